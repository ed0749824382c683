"""What operators get wrong in zones that can be served all the same: one line for each finding."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Final

from netsuite.dns.authoritative.digest import complaint
from netsuite.dns.authoritative.node import ALIAS, CUT, EMPTY, RENAMED, Node, Packed, types
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text, within
from netsuite.dns.wire.writer import RRset

__all__ = ["audit"]

_ADDRESSES: Final = frozenset({codes.A, codes.AAAA})
_AT_CUT: Final = frozenset({codes.NS, codes.DS, codes.RRSIG, codes.NSEC})
_DAY: Final = 86400
_LARGEST_MESSAGE: Final = 65535 - 12 - 255 - 4 - 11
_POINTING: Final = ((codes.NS, "NS"), (codes.MX, "MX"), (codes.SRV, "SRV"), (codes.CNAME, "CNAME"))


def audit(zone: Zone, today: datetime.date) -> Iterator[str]:
    """What is odd about a zone; ``today`` is for serials that are dates."""
    yield from _start(zone, today)
    if (why := complaint(zone)) is not None:
        yield why
    for name, packed in zone.nodes():
        if packed is EMPTY:
            continue
        shown = to_text(name)
        above = _above(zone, name)
        there = types(packed)
        if above is not None:
            word = "delegation" if above.kind & CUT else "DNAME"
            if above.kind & RENAMED or not _ADDRESSES.issuperset(there):
                yield f"{shown} is never answered: it lies below the {word} of {to_text(above.name)}"
            continue
        yield from _node(zone, name, shown, packed, there)


def _start(zone: Zone, today: datetime.date) -> Iterator[str]:
    """The SOA and NS records of the zone itself."""
    refresh, retry, expire, least = (int.from_bytes(zone.soa.rdatas[0][at:][:4], "big") for at in (-16, -12, -8, -4))
    if len(zone.servers.rdatas) < 2:
        yield f"{to_text(zone.name)} has one name server only; two keep it reachable (RFC 2182)"
    if zone.serial == 0:
        yield "serial 0 is what some secondaries take for no serial at all"
    text = str(zone.serial)
    if len(text) == 10 and text[:2] in ("19", "20", "21"):
        try:
            written = datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
        except ValueError:
            written = None
        if written is not None and written > today + datetime.timedelta(days=1):
            yield f"serial {text} is a date to come: until then it cannot be raised by the date"
    if retry >= refresh:
        yield f"SOA retry {retry} is not shorter than refresh {refresh}"
    if expire < refresh + retry:
        yield f"SOA expire {expire} is shorter than refresh and retry together: secondaries drop the zone between them"
    elif expire < 7 * _DAY:
        yield f"SOA expire {expire} is less than a week (RFC 1912)"
    if least > _DAY:
        yield f"SOA minimum {least} keeps names that are new unseen for more than a day (RFC 2308)"
    if codes.DS in zone.apex.types():
        yield f"{to_text(zone.name)} has a DS record: it belongs into the zone above"


def _node(zone: Zone, name: bytes, shown: str, packed: Packed, there: list[int]) -> Iterator[str]:
    """One name that the zone answers for, or delegates."""
    kind = packed[0]
    node = Node(name, packed)
    if kind & CUT:
        if name.startswith(b"\1*"):
            yield f"{shown} is a delegation of all names, which servers understand in several ways (RFC 4592)"
        hidden = [rdtype for rdtype in there if rdtype not in _AT_CUT and rdtype not in _ADDRESSES]
        if hidden:
            yield f"{shown} has records beside a delegation that are never answered"
    elif codes.DS in there and name != zone.name:
        yield f"{shown} has a DS record but is no delegation"
    for rdtype in there:
        rrset = node.rrset(rdtype)
        if rrset is not None and sum(len(tail) + 2 for tail in rrset.tails) > _LARGEST_MESSAGE:
            yield f"{shown} has more records of type {rdtype} than a message holds"
    for rdtype, word in _POINTING:
        rrset = node.rrset(rdtype) if rdtype in there else None
        if rrset is not None:
            yield from _targets(zone, name, f"{shown} {word}", rdtype, rrset)


def _targets(zone: Zone, owner: bytes, what: str, rdtype: int, rrset: RRset) -> Iterator[str]:
    """Names that records point to, as far as this zone can tell."""
    targets = [rrset.rdatas[0].lower()] if rdtype == codes.CNAME else rrset.targets
    for target in targets:
        if not within(target, zone.name):
            continue
        shown = to_text(target)
        cut = _cut(zone, target)
        node = zone.node(target)
        addressed = node is not None and not _ADDRESSES.isdisjoint(node.types())
        if cut is not None:
            if rdtype == codes.NS and not addressed and (cut == owner or owner == zone.name):
                yield f"{what} {shown} lacks glue: no address of it is here, and only its own zone has one"
        elif node is None and not _matched(zone, target):
            yield f"{what} {shown} does not exist"
        elif node is not None and rdtype != codes.CNAME:
            if node.kind & ALIAS:
                yield f"{what} {shown} is an alias (CNAME), which it must not be (RFC 2181)"
            elif not addressed:
                yield f"{what} {shown} has no address"


def _matched(zone: Zone, name: bytes) -> bool:
    """Whether a wildcard or a DNAME answers for a name that is not there."""
    above = name
    while zone.packed(above) is None:
        above = above[above[0] + 1 :]
    renamed = _above(zone, name)
    here = zone.packed(above)
    return (
        zone.packed(b"\1*" + above) is not None
        or renamed is not None
        or (here is not None and here is not EMPTY and bool(here[0] & RENAMED))
    )


def _cut(zone: Zone, name: bytes) -> bytes | None:
    """The topmost delegation at or above a name."""
    found = None
    above = name
    while True:
        packed = zone.packed(above)
        if packed is not None and packed is not EMPTY and packed[0] & CUT:
            found = above
        if above == zone.name:
            return found
        above = above[above[0] + 1 :]


def _above(zone: Zone, name: bytes) -> Node | None:
    """The topmost cut or DNAME above a name."""
    found = None
    if zone.cuts or zone.renames:
        above = name
        while above != zone.name:
            above = above[above[0] + 1 :]
            packed = zone.packed(above)
            if packed is not None and packed is not EMPTY and packed[0] & (CUT | RENAMED):
                found = Node(above, packed)
    return found
