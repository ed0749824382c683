"""What signed zones say beside an answer, straight from packed nodes: signatures, and authority sections that deny.

The same records as the careful way gives (RFC 4035 section 3.1). Names are compressed against the zone's own, whose
place in the question is all that such a section depends on: it is kept in pieces, to be joined by a pointer to there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from netsuite.dns.authoritative.node import Node, Packed, stretch
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import within
from netsuite.dns.wire.writer import RRset

__all__ = ["Evidence", "evidence", "pointer", "shortened", "signatures"]

_RRSIG: Final = codes.RRSIG.to_bytes(2, "big")
_FIXED: Final = 12


class Evidence(NamedTuple):
    """Records of an authority section, a pointer to the zone's name missing between the pieces, and their count."""

    pieces: list[bytes]
    records: int


def pointer(zone: Zone, length: int) -> bytes:
    """The zone's name behind a question for a name of a length in it; the root's is shorter than any pointer."""
    return (0xC000 | 12 + length - len(zone.name)).to_bytes(2, "big") if len(zone.name) > 1 else zone.name


def signatures(packed: Packed, rdtype: bytes, ttl: bytes) -> tuple[bytes, int]:
    """The RRSIG records over a node's RRset of a type, with its TTL (RFC 4034 section 3), and how many they are."""
    place = stretch(packed, _RRSIG)
    if place is None:
        return b"", 0
    at, stop = place[1:]
    out: list[bytes] = []
    while at < stop:
        after = at + _FIXED + (packed[at + 10] << 8 | packed[at + 11])
        if packed[at + _FIXED : at + 14] == rdtype:
            out += (packed[at : at + 6], ttl, packed[at + 10 : after])
        at = after
    return b"".join(out), len(out) // 3


def shortened(records: bytes, before: int, zone: Zone, point: bytes) -> bytes:
    """Records whose data end with a name, ``before`` bytes into them, where that is the zone's or lies in it."""
    if len(zone.name) == 1:
        return records
    out: list[bytes] = []
    at, end = 0, len(records)
    while at < end:
        begin = at + _FIXED
        after = begin + (records[at + 10] << 8 | records[at + 11])
        if within(records[begin + before : after].lower(), zone.name):
            kept = after - len(zone.name)
            out += (records[at : at + 10], (kept - begin + 2).to_bytes(2, "big"), records[begin:kept], point)
        else:
            out.append(records[at:after])
        at = after
    return b"".join(out)


def evidence(zone: Zone, nodes: Iterable[Node], *, soa: bool) -> Evidence:
    """The SOA of negative answers, if it is wanted, and the NSEC or NSEC3 records of nodes, all with signatures."""
    pieces: list[bytes] = []
    count = 0
    written = b""
    if soa:
        names = zone.negative.parts[0][1]
        written, pieces = _soa(zone, names)
        count = 1
        found = _signed(zone.apex, zone.negative)
        for tail in found:
            pieces.append(written)
            written = tail
        count += len(found)
    for node in nodes:
        rrset = node.rrset(codes.NSEC) or node.rrset(codes.NSEC3)
        if rrset is None:
            continue
        labels = node.name[: len(node.name) - len(zone.name)]
        for tail in (*rrset.tails, *_signed(node, rrset)):
            pieces.append(written + labels)
            written = tail
            count += 1
    pieces.append(written)
    return Evidence(pieces, count)


def _soa(zone: Zone, names: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The SOA record in pieces: the last, and those before it."""
    (tail,) = zone.negative.tails
    after = zone.negative.parts[0][2]
    size = len(zone.name)
    inside = [size > 1 and within(name.lower(), zone.name) for name in names]
    length = sum(map(len, names)) + len(after) - sum(inside) * (size - 2)
    written = tail[:8] + length.to_bytes(2, "big")
    pieces = [b""]
    for name, is_inside in zip(names, inside, strict=True):
        if is_inside:
            pieces.append(written + name[: len(name) - size])
            written = b""
        else:
            written += name
    return written + after, pieces


def _signed(node: Node, rrset: RRset) -> list[bytes]:
    """The signatures over an RRset of a node, each behind its owner."""
    records, _ = signatures(node.packed, rrset.type.to_bytes(2, "big"), rrset.ttl.to_bytes(4, "big"))
    out: list[bytes] = []
    at = 0
    while at < len(records):
        after = at + _FIXED + (records[at + 10] << 8 | records[at + 11])
        out.append(records[at + 2 : after])
        at = after
    return out
