"""One name of a zone, packed: a zone of a million names is a million small byte strings.

The first byte says of what kind the node is. A lone record (ONE) follows as ``type (2 bytes), record``, a lone RRset as
``type (2), count (2), records``, and of SEVERAL each as ``type (2), count (2), length of its records (4), records``.
A record is written as an answer has it to a question for this very name: a pointer to the question, type, class, TTL,
length, data (names uncompressed); so such an answer takes no more than a slice of the node. A count stops at 65535, for
no message holds more.

The RRSIGs of a name lie together, though they are no RRset (RFC 4035 section 2.2): each has the TTL of what it covers
(RFC 4034 section 3), which :func:`pack` sees to, whatever was said of them; one that covers nothing has its Original
TTL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from netsuite.dns.wire import codes
from netsuite.dns.wire.writer import RRset

__all__ = [
    "ALIAS",
    "CUT",
    "EMPTY",
    "GONE",
    "ONE",
    "RENAMED",
    "SEVERAL",
    "Node",
    "Packed",
    "RRsets",
    "bundles",
    "pack",
    "rrsigs",
    "stretch",
    "types",
    "unpack",
]

SEVERAL: Final = 1
"""More than one RRset."""
CUT: Final = 2
"""NS below the zone's own name: a delegation."""
RENAMED: Final = 4
"""A DNAME: what lies below has another name."""
ALIAS: Final = 8
"""A CNAME."""
ONE: Final = 16
"""One record and no more."""
EMPTY: Final = b"\x80"
"""The node of a name that has no records, only names below it (RFC 4592 section 2.2.2)."""
GONE: Final = b"\xff"
"""In a zone's overlay: the name is no longer there."""

Packed = bytes
RRsets = dict[int, tuple[int, dict[bytes, None]]]
"""A node in the making: by type, the TTL and the data of its records in order. That of RRSIGs says nothing."""

# Seen in the making only; no node is marked so.
_SIGNED: Final = 32
_KINDS: Final = {codes.NS: CUT, codes.DNAME: RENAMED, codes.CNAME: ALIAS, codes.RRSIG: _SIGNED}
_RRSIG: Final = codes.RRSIG.to_bytes(2, "big")
_FIXED: Final = 12
_LEAST: Final = 18
"""No RRSIG has less data before the name of who signed (RFC 4034 section 3.1)."""


def pack(rrsets: Mapping[int, tuple[int, Iterable[bytes]]], apex: bool) -> Packed:
    """A node from its RRsets, by type the TTL and the data of its records; ``apex`` for the zone's own name."""
    found = []
    kind = 0
    for rdtype, (ttl, rdatas) in rrsets.items():
        lead = b"\xc0\x0c%c%c\0\1" % (rdtype >> 8, rdtype & 255) + ttl.to_bytes(4, "big")
        tails = [lead + len(rdata).to_bytes(2, "big") + rdata for rdata in rdatas]
        found.append((lead[2:4] + min(len(tails), 65535).to_bytes(2, "big"), b"".join(tails)))
        kind |= _KINDS.get(rdtype, 0)
    if kind & _SIGNED:
        kind &= ~_SIGNED
        found = _timed(found)
    if apex:
        kind &= ~CUT
    if not found:
        return EMPTY
    if len(found) == 1 and found[0][0][2:] == b"\0\1":
        return bytes((kind | ONE,)) + found[0][0][:2] + found[0][1]
    if len(found) == 1:
        return bytes((kind,)) + found[0][0] + found[0][1]
    out = [bytes((kind | SEVERAL,))]
    for head, tail in found:
        out += (head, len(tail).to_bytes(4, "big"), tail)
    return b"".join(out)


def _timed(found: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """RRsets in the making, each RRSIG with the TTL of what it covers."""
    ttls = {head[:2]: records[6:10] for head, records in found if head[:2] != _RRSIG}
    out = []
    for head, records in found:
        if head[:2] == _RRSIG:
            tails: list[bytes] = []
            at = 0
            while at < len(records):
                begin = at + _FIXED
                after = begin + (records[at + 10] << 8 | records[at + 11])
                given = records[begin + 4 : begin + 8] if after - begin > _LEAST else records[at + 6 : at + 10]
                ttl = ttls.get(records[begin : begin + 2], given)
                tails += (records[at : at + 6], ttl, records[at + 10 : after])
                at = after
            records = b"".join(tails)
        out.append((head, records))
    return out


def _slices(packed: Packed) -> Iterator[tuple[int, int, int]]:
    """Where the RRsets lie: type, begin and end of the records."""
    if packed[0] & 0x80:
        return
    if not packed[0] & SEVERAL:
        yield packed[1] << 8 | packed[2], 3 if packed[0] & ONE else 5, len(packed)
        return
    at = 1
    while at < len(packed):
        end = at + 8 + int.from_bytes(packed[at + 4 : at + 8], "big")
        yield packed[at] << 8 | packed[at + 1], at + 8, end
        at = end


def stretch(packed: Packed, rdtype: bytes) -> tuple[bytes, int, int] | None:
    """Where the records of a type (two bytes) lie in a node: their count (two bytes), begin, end; None for none."""
    kind = packed[0]
    if kind & SEVERAL and not kind & 0x80:
        at, size = 1, len(packed)
        while at < size:
            stop = at + 8 + int.from_bytes(packed[at + 4 : at + 8], "big")
            if packed[at : at + 2] == rdtype:
                return packed[at + 2 : at + 4], at + 8, stop
            at = stop
        return None
    if kind & 0x80 or packed[1:3] != rdtype:
        return None
    return (b"\0\1", 3, len(packed)) if kind & ONE else (packed[3:5], 5, len(packed))


def types(packed: Packed) -> list[int]:
    """The types that a node has."""
    return [rdtype for rdtype, _, _ in _slices(packed)]


def bundles(packed: Packed) -> Iterator[tuple[int, int, list[bytes]]]:
    """The RRsets of a node: type, TTL, data of each record. RRSIGs come in as many parts as they have TTLs."""
    for rdtype, at, end in _slices(packed):
        if rdtype == codes.RRSIG:
            for ttl, rdatas in _signatures(packed, at, end).items():
                yield rdtype, ttl, rdatas
        else:
            yield rdtype, int.from_bytes(packed[at + 6 : at + 10], "big"), _rdatas(packed, at, end)


def unpack(packed: Packed) -> RRsets:
    """What a node was packed from, to be changed and packed again."""
    return {
        rdtype: (int.from_bytes(packed[at + 6 : at + 10], "big"), dict.fromkeys(_rdatas(packed, at, end)))
        for rdtype, at, end in _slices(packed)
    }


def rrsigs(packed: Packed) -> list[bytes]:
    """The data of a node's RRSIGs, whatever their TTLs."""
    place = stretch(packed, _RRSIG)
    return [] if place is None else _rdatas(packed, place[1], place[2])


def _rdatas(packed: Packed, at: int, end: int) -> list[bytes]:
    """The data of the records that lie in a stretch of a node."""
    rdatas = []
    while at < end:
        after = at + _FIXED + (packed[at + 10] << 8 | packed[at + 11])
        rdatas.append(packed[at + _FIXED : after])
        at = after
    return rdatas


def _signatures(packed: Packed, at: int, end: int) -> dict[int, list[bytes]]:
    """The data of the RRSIGs that lie in a stretch of a node, by their TTLs."""
    found: dict[int, list[bytes]] = {}
    while at < end:
        after = at + _FIXED + (packed[at + 10] << 8 | packed[at + 11])
        found.setdefault(int.from_bytes(packed[at + 6 : at + 10], "big"), []).append(packed[at + _FIXED : after])
        at = after
    return found


class Node:
    """One name of a zone, its RRsets unpacked as they are asked for; made for one answer and not kept.

    ``kind`` has the packed node's bits; a name that is there without records (an empty non-terminal) has no types.
    """

    __slots__ = ("kind", "name", "packed")

    def __init__(self, name: bytes, packed: Packed) -> None:
        self.name = name
        self.packed = packed
        self.kind = packed[0] & 0x7F

    def types(self) -> list[int]:
        """The types that it has, in the order in which they came."""
        return types(self.packed)

    def rrset(self, rdtype: int) -> RRset | None:
        """Its records of a type; for RRSIGs, which are no RRset, see :meth:`rrsets`."""
        packed = self.packed
        for found, at, end in _slices(packed):
            if found == rdtype:
                return RRset(rdtype, int.from_bytes(packed[at + 6 : at + 10], "big"), _rdatas(packed, at, end))
        return None

    def rrsets(self, rdtype: int) -> list[RRset]:
        """Its records of a type in one, or none; of RRSIGs, those of each TTL by themselves."""
        if rdtype != codes.RRSIG:
            rrset = self.rrset(rdtype)
            return [] if rrset is None else [rrset]
        place = stretch(self.packed, _RRSIG)
        parts = {} if place is None else _signatures(self.packed, *place[1:])
        return [RRset(rdtype, ttl, rdatas) for ttl, rdatas in parts.items()]
