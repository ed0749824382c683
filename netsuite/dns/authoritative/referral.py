"""Referrals straight from packed nodes: what most questions to a zone of delegations get.

The same records in the same order as the careful way gives (RFC 1034 section 4.3.2 step 3b, RFC 9471), names compressed
against the delegation, the zone and one another's parents.
"""

from __future__ import annotations

from typing import Final

from netsuite.dns.authoritative.node import EMPTY, Packed, bundles
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes

__all__ = ["referral"]

_FURTHEST: Final = 0x3FFF
_ADDRESSES: Final = (codes.A, codes.AAAA)


def referral(zone: Zone, cut: bytes, packed: Packed, length: int) -> tuple[bytes, int, int]:
    """Authority and additional records behind a question for a name of a length at or below a cut, and their counts."""
    start = 12 + length + 4
    here = 12 + length - len(cut)
    known = {cut: here}
    if len(zone.name) > 1:
        known[zone.name] = 12 + length - len(zone.name)
    out: list[bytes] = []
    at = start
    pointer = (0xC000 | here).to_bytes(2, "big")
    inside: list[tuple[bytes, int]] = []
    outside: list[tuple[bytes, int]] = []
    count = 0
    for rdtype, ttl, rdatas in bundles(packed):
        if rdtype != codes.NS:
            continue
        fixed = pointer + b"\0\2\0\1" + ttl.to_bytes(4, "big")
        count = len(rdatas)
        for rdata in rdatas:
            host = rdata.lower()
            # A label and what is above it: nearly all names share one of the two with another.
            first = host[0] + 1
            above = host[first:]
            place = known.get(host)
            if place is not None:
                written = (0xC000 | place).to_bytes(2, "big")
            else:
                place = at + 12
                if place <= _FURTHEST - 256 and first > 1:
                    known[host] = place
                parent = known.get(above) if first > 1 else None
                if parent is None:
                    written = rdata
                    if place <= _FURTHEST - 256 and len(above) > 1:
                        known[above] = place + first
                else:
                    written = rdata[:first] + (0xC000 | parent).to_bytes(2, "big")
            out += (fixed, len(written).to_bytes(2, "big"), written)
            at += 12 + len(written)
            (inside if _within(host, cut) else outside).append((host, place))
    given = 0
    for host, place in dict.fromkeys((*inside, *outside)):
        glue = zone.overlay.get(host) or zone.base.get(host)
        if glue is None or glue is EMPTY or place > _FURTHEST:
            continue
        owner = (0xC000 | place).to_bytes(2, "big")
        addresses = {rdtype: (ttl, rdatas) for rdtype, ttl, rdatas in bundles(glue) if rdtype in _ADDRESSES}
        for rdtype in _ADDRESSES:
            if rdtype in addresses:
                ttl, rdatas = addresses[rdtype]
                fixed = owner + rdtype.to_bytes(2, "big") + b"\0\1" + ttl.to_bytes(4, "big")
                out += [fixed + len(rdata).to_bytes(2, "big") + rdata for rdata in rdatas]
                given += len(rdatas)
    return b"".join(out), count, given


def _within(name: bytes, above: bytes) -> bool:
    if not name.endswith(above):
        return False
    at, wanted = 0, len(name) - len(above)
    while at < wanted:
        at += name[at] + 1
    return at == wanted
