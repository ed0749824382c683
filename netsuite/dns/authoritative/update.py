"""What a dynamic update asks for, judged and worked out against a version of the zone; nothing is changed here.

RFC 2136 section 3, with RFC 2181 section 5.2 (one TTL an RRset), RFC 4034 section 3 (what may stand beside a CNAME),
RFC 6672 section 5.2 (a DNAME is alone of its kind), and RFC 3007's rule that what signing makes is not for updates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from netsuite.dns.authoritative.change import Change, SerialRule, folded, later, next_serial, with_serial
from netsuite.dns.authoritative.node import EMPTY, bundles, pack, types, unpack
from netsuite.dns.authoritative.zone import Addition, Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import within
from netsuite.dns.wire.records import Message, Record

__all__ = ["Refused", "Update", "execute"]

_OF_SIGNING: Final = frozenset(
    {codes.RRSIG, codes.NSEC, codes.NSEC3, codes.NSEC3PARAM, codes.DNSKEY, codes.CDS, codes.CDNSKEY}
)
_BESIDE_CNAME: Final = frozenset({codes.CNAME, codes.RRSIG, codes.NSEC, 25})
_ALONE: Final = frozenset({codes.SOA, codes.CNAME, codes.DNAME})
_META: Final = frozenset({0, codes.OPT, *range(128, 256)})

Held = dict[int, tuple[int, dict[bytes, bytes]]]
"""A name's RRsets in the making: by type, the TTL and each record's data by how it compares."""


class Refused(Exception):
    """An update that is not carried out; ``rcode`` says why to its sender, the text to people."""

    def __init__(self, rcode: int, words: str) -> None:
        super().__init__(words)
        self.rcode = rcode


class Update(NamedTuple):
    """Who asks, and what of a zone may be changed: ``permits(owner, type)``."""

    message: Message
    permits: Callable[[bytes, int], bool]
    source: str


def execute(zone: Zone, update: Update, rule: SerialRule, now: float, *, signed: bool = False) -> Change | None:
    """The change that an update makes, None if it changes nothing; raises Refused.

    The update's zone section has been looked at already: it names this zone. ``signed`` says that we sign the zone.
    """
    message = update.message
    _prerequisites(zone, message.answer)
    updates = message.authority
    for record in updates:
        _prescan(zone, record, signed)
        if not update.permits(record.owner, record.type):
            raise Refused(codes.REFUSED, f"{update.source} has no grant for what it changes")
    return _Work(zone, updates, _OF_SIGNING if signed else frozenset()).change(rule, now, update.source)


def _prerequisites(zone: Zone, records: list[Record]) -> None:
    """RFC 2136 section 3.2."""
    wanted: dict[tuple[bytes, int], set[bytes]] = {}
    for record in records:
        owner, rdtype, rdclass, ttl, rdata = record
        if ttl:
            raise Refused(codes.FORMERR, "a prerequisite has a TTL")
        if not within(owner, zone.name):
            raise Refused(codes.NOTZONE, "a prerequisite is outside the zone")
        if rdclass == codes.CLASS_IN:
            _checked(rdtype, rdata)
            wanted.setdefault((owner, rdtype), set()).add(folded(rdtype, rdata))
            continue
        if rdata or rdclass not in (codes.CLASS_ANY, codes.CLASS_NONE):
            raise Refused(codes.FORMERR, "a prerequisite has data")
        types = _types(zone, owner)
        there = bool(types) if rdtype == codes.ANY else rdtype in types
        if there and rdclass == codes.CLASS_NONE:
            raise Refused(codes.YXDOMAIN if rdtype == codes.ANY else codes.YXRRSET, "a prerequisite: what is not, is")
        if not there and rdclass == codes.CLASS_ANY:
            raise Refused(codes.NXDOMAIN if rdtype == codes.ANY else codes.NXRRSET, "a prerequisite: what is, is not")
    for (owner, rdtype), expected in wanted.items():
        node = zone.node(owner)
        rrset = node.rrset(rdtype) if node is not None else None
        if rrset is None or {folded(rdtype, rdata) for rdata in rrset.rdatas} != expected:
            raise Refused(codes.NXRRSET, "a prerequisite: an RRset has other data")


def _types(zone: Zone, owner: bytes) -> Collection[int]:
    packed = zone.packed(owner)
    return () if packed is None else types(packed)


def _prescan(zone: Zone, record: Record, signed: bool) -> None:
    """RFC 2136 section 3.4.1."""
    owner, rdtype, rdclass, ttl, rdata = record
    if not within(owner, zone.name):
        raise Refused(codes.NOTZONE, "an update is outside the zone")
    if rdclass == codes.CLASS_IN:
        if rdtype in _META:
            raise Refused(codes.FORMERR, f"no record can have type {rdtype}")
        _checked(rdtype, rdata)
    elif rdclass == codes.CLASS_ANY:
        if ttl or rdata or (rdtype in _META and rdtype != codes.ANY):
            raise Refused(codes.FORMERR, "a deletion of an RRset has a TTL, data or an unfit type")
    elif rdclass == codes.CLASS_NONE:
        if ttl or rdtype in _META:
            raise Refused(codes.FORMERR, "a deletion of a record has a TTL or an unfit type")
    else:
        raise Refused(codes.FORMERR, f"an update has class {rdclass}")
    if signed and rdtype in _OF_SIGNING:
        raise Refused(codes.REFUSED, "signatures, denials and keys of this zone are made here")


def _checked(rdtype: int, rdata: bytes) -> None:
    """Whether data may be served: it is well-formed."""
    try:
        dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), rdata, 0, len(rdata))
    except (dns.exception.DNSException, ValueError) as error:
        raise Refused(codes.FORMERR, f"malformed data: {error}") from None


class _Work:
    """RFC 2136 section 3.4.2: record after record, on copies of the names that are touched; types ``apart`` stay."""

    def __init__(self, zone: Zone, updates: list[Record], apart: Collection[int]) -> None:
        self._zone = zone
        self._apart = apart
        self._names: dict[bytes, Held] = {}
        for record in updates:
            if record.rdclass == codes.CLASS_IN:
                self._add(record)
            elif record.rdclass == codes.CLASS_NONE:
                self._delete(record)
            elif record.type == codes.ANY:
                self._clear(record.owner)
            elif record.owner != zone.name or record.type not in (codes.SOA, codes.NS):
                self._held(record.owner).pop(record.type, None)

    def _held(self, owner: bytes) -> Held:
        held = self._names.get(owner)
        if held is None:
            held = self._names[owner] = self._copied(owner)
        return held

    def _copied(self, owner: bytes) -> Held:
        there = unpack(self._zone.packed(owner) or EMPTY)
        return {
            rdtype: (ttl, {folded(rdtype, rdata): rdata for rdata in rdatas})
            for rdtype, (ttl, rdatas) in there.items()
            if rdtype not in self._apart
        }

    def _add(self, record: Record) -> None:
        owner, rdtype, _, ttl, rdata = record
        held = self._held(owner)
        if rdtype == codes.SOA:
            if owner != self._zone.name:
                return
            (current,) = held[codes.SOA][1].values()
            if not later(int.from_bytes(rdata[-20:-16], "big"), int.from_bytes(current[-20:-16], "big")):
                return
        elif rdtype == codes.CNAME:
            if held.keys() - _BESIDE_CNAME:
                return
        elif codes.CNAME in held and rdtype not in _BESIDE_CNAME:
            return
        present = {} if rdtype in _ALONE else held.get(rdtype, (0, {}))[1]
        present.setdefault(folded(rdtype, rdata), rdata)
        held[rdtype] = (ttl, present)

    def _delete(self, record: Record) -> None:
        owner, rdtype, _, _, rdata = record
        held = self._held(owner)
        if rdtype not in held or rdtype == codes.SOA:
            return
        present = held[rdtype][1]
        if rdtype == codes.NS and owner == self._zone.name and len(present) == 1:
            return
        try:
            present.pop(folded(rdtype, rdata), None)
        except (ValueError, IndexError):
            raise Refused(codes.FORMERR, "malformed data") from None
        if not present:
            del held[rdtype]

    def _clear(self, owner: bytes) -> None:
        held = self._held(owner)
        kept = (codes.SOA, codes.NS) if owner == self._zone.name else ()
        for rdtype in [rdtype for rdtype in held if rdtype not in kept]:
            del held[rdtype]

    def change(self, rule: SerialRule, now: float, source: str) -> Change | None:
        """What is other than before, with a later serial."""
        removals: list[Addition] = []
        additions: list[Addition] = []
        zone = self._zone
        soa = (zone.name, codes.SOA, zone.soa.ttl, zone.soa.rdatas[0])
        fresh: Addition | None = None
        for owner, held in self._names.items():
            before = set(_records(owner, self._copied(owner)))
            after = set(_records(owner, held))
            fresh = next((record for record in after - before if record[1] == codes.SOA), fresh)
            removals += sorted(record for record in before - after if record[1] != codes.SOA)
            additions += sorted(record for record in after - before if record[1] != codes.SOA)
        if not (removals or additions or fresh):
            return None
        if fresh is None:
            fresh = (*soa[:3], with_serial(soa[3], next_serial(zone.serial, rule, now)))
        serial = int.from_bytes(fresh[3][-20:-16], "big")
        return Change(zone.serial, serial, [soa, *removals], [fresh, *additions], int(now), source)


def _records(owner: bytes, held: Held) -> Iterator[Addition]:
    """What a node of these records would have: when an RRset's TTL changes, so does that of its signatures."""
    packed = pack({rdtype: (ttl, present.values()) for rdtype, (ttl, present) in held.items()}, False)
    for rdtype, ttl, rdatas in bundles(packed):
        for rdata in rdatas:
            yield owner, rdtype, ttl, rdata
