"""Zone transfers, both ways, as messages and plain values: no sockets here.

:func:`whole` and :func:`steps` make the messages of AXFR and IXFR (RFC 5936, RFC 1995); :class:`Inbound` reads those of
another server, judging every record before anything is done with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from netsuite.dns.authoritative.change import Change, later
from netsuite.dns.authoritative.node import bundles
from netsuite.dns.authoritative.zone import Addition, Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text, within
from netsuite.dns.wire.query import Query
from netsuite.dns.wire.records import MalformedRecord, Record, message
from netsuite.dns.wire.writer import RRset, Writer

__all__ = ["BadTransfer", "Full", "Inbound", "Same", "Step", "Steps", "ask", "steps", "whole"]

_SIZE: Final = 16384
_LARGEST: Final = 65535
_ROOM: Final = 512
"""What is left free in every message for a signature."""


class BadTransfer(Exception):
    """A transfer breaks the rules, or our limits; nothing of it is taken."""


class Step(NamedTuple):
    """One version's way to the next: serials, what goes, what comes; both begin with the SOA record."""

    before: int
    after: int
    removals: Sequence[Addition]
    additions: Sequence[Addition]


class Same(NamedTuple):
    """The other server has nothing newer: its serial."""

    serial: int


class Full(NamedTuple):
    """All records of a version."""

    serial: int
    records: Sequence[Addition]


class Steps(NamedTuple):
    """What leads from our version to the other server's."""

    steps: Sequence[Step]


# Out


class _Messages:
    """Messages that are filled with records in their order."""

    def __init__(self, data: bytes, query: Query, size: int) -> None:
        self._data = data
        self._query = query
        self._size = size
        self._writer = self._fresh(size)
        self._empty = True

    def _fresh(self, size: int) -> Writer:
        self._empty = True
        flags = codes.QR | codes.AA | self._query.flags & codes.RD
        return Writer(self._data[:2], self._query.question, flags, size, _ROOM)

    def add(self, owner: bytes, rrset: RRset) -> Iterator[bytes]:
        """Put in an RRset; the messages that are full by it."""
        if self._writer.add(0, owner, rrset):
            self._empty = False
            return
        if len(rrset.rdatas) > 1 and len(b"".join(rrset.rdatas)) > self._size // 4:
            for rdata in rrset.rdatas:
                yield from self.add(owner, RRset(rrset.type, rrset.ttl, [rdata]))
            return
        if not self._empty:
            yield self._writer.finish()
            self._writer = self._fresh(self._size)
        if not self._writer.add(0, owner, rrset):
            self._writer = self._fresh(_LARGEST)
            self._writer.add(0, owner, rrset)
        self._empty = False

    def rest(self) -> bytes:
        """The last one."""
        return self._writer.finish()


def whole(data: bytes, query: Query, zone: Zone) -> Iterator[bytes]:
    """The answer to AXFR: all records between two copies of the SOA."""
    out = _Messages(data, query, _SIZE)
    yield from out.add(zone.name, zone.soa)
    for owner, packed in zone.nodes():
        for rdtype, ttl, rdatas in bundles(packed):
            if rdtype != codes.SOA:
                yield from out.add(owner, RRset(rdtype, ttl, rdatas))
    yield from out.add(zone.name, zone.soa)
    yield out.rest()


def steps(
    data: bytes, query: Query, zone: Zone, changes: Iterable[Step | Change], size: int = _SIZE
) -> Iterator[bytes]:
    """The answer to IXFR: the SOA, for each change what goes and what comes, and the SOA; the SOA alone for no changes.

    Each change's parts begin with their version's SOA.
    """
    out = _Messages(data, query, size)
    yield from out.add(zone.name, zone.soa)
    some = False
    for change in changes:
        some = True
        for part in (change.removals, change.additions):
            for owner, rdtype, ttl, rdata in part:
                yield from out.add(owner, RRset(rdtype, ttl, [rdata]))
    if some:
        yield from out.add(zone.name, zone.soa)
    yield out.rest()


def ask(ident: int, name: bytes, soa: Addition | None) -> bytes:
    """A query for IXFR from the version of ``soa`` (owner, type, TTL, data), or for AXFR without one."""
    rdtype = codes.AXFR if soa is None else codes.IXFR
    parts = [
        ident.to_bytes(2, "big"),
        b"\0\0\0\1\0\0",
        b"\0\0" if soa is None else b"\0\1",
        b"\0\0",
        name,
        rdtype.to_bytes(2, "big"),
        b"\0\1",
    ]
    if soa is not None:
        owner, _, ttl, rdata = soa
        parts += [owner, b"\0\6\0\1", ttl.to_bytes(4, "big"), len(rdata).to_bytes(2, "big"), rdata]
    return b"".join(parts)


# In


class Inbound:
    """Reads the answer to a query for a transfer; one use.

    ``serial`` is that of our version, None if we have none (AXFR). ``most`` bounds the records.
    """

    __slots__ = (
        "_current",
        "_first",
        "_ident",
        "_most",
        "_name",
        "_phase",
        "_records",
        "_serial",
        "_steps",
        "count",
    )

    def __init__(self, ident: int, name: bytes, serial: int | None, *, most: int = 20_000_000) -> None:
        self._ident = ident
        self._name = name
        self._serial = serial
        self._most = most
        self._first: Record | None = None
        # what comes next: "second" record (which says whether it is AXFR or IXFR), "full", "removals", "additions"
        self._phase = "first"
        self._records: list[Addition] = []
        self._steps: list[Step] = []
        self._current: tuple[int, list[Addition]] | None = None
        self.count = 0

    def feed(self, data: bytes) -> Full | Steps | Same | None:
        """Take the next message; what came of it once it is whole. Raises BadTransfer."""
        if len(data) < 12 or int.from_bytes(data[:2], "big") != self._ident or not data[2] & 0x80:
            raise BadTransfer("a message that answers nothing")
        rcode = data[3] & 15
        if rcode:
            raise BadTransfer(f"the answer is {codes.RCODES.get(rcode, rcode)}")
        if data[2] & codes.TC >> 8:
            raise BadTransfer("the answer is truncated")
        try:
            read = message(data)
        except MalformedRecord as error:
            raise BadTransfer(str(error)) from None
        if read.question is not None and read.question[0] != self._name:
            raise BadTransfer("the answer is about another zone")
        if not read.answer:
            raise BadTransfer("a message without records")
        self.count += len(read.answer)
        if self.count > self._most:
            raise BadTransfer(f"more than {self._most} records")
        for index, record in enumerate(read.answer):
            found = self._take(record)
            if found is not None:
                if index != len(read.answer) - 1:
                    raise BadTransfer("records behind the last SOA")
                return found
        if self._phase == "second" and self._serial is not None:
            # A lone SOA: there is nothing newer (RFC 1995 section 4), or we would have got it.
            assert self._first is not None
            serial = _serial(self._first)
            if later(serial, self._serial):
                raise BadTransfer("the answer says only that there is a newer version")
            return Same(serial)
        return None

    def _take(self, record: Record) -> Full | Steps | None:
        if record.rdclass != codes.CLASS_IN or not within(record.owner, self._name):
            raise BadTransfer(f"a record at {to_text(record.owner)} does not belong into the zone")
        if record.type in (0, codes.OPT) or 128 <= record.type <= 255:
            raise BadTransfer(f"no zone has records of type {record.type}")
        soa = record.type == codes.SOA
        if soa and record.owner != self._name:
            raise BadTransfer("a SOA record below the zone's name")
        phase = self._phase
        if phase == "first":
            if not soa:
                raise BadTransfer("the first record is not the SOA")
            self._first = record
            self._phase = "second"
            return None
        if phase == "second":
            self._phase = "full"
            if soa and self._serial is not None and _serial(record) == self._serial:
                self._phase = "removals"
                self._current = (self._serial, [_plain(record)])
                return None
            assert self._first is not None
            self._records.append(_plain(self._first))
        return self._full(record, soa) if self._phase == "full" else self._step(record, soa)

    def _full(self, record: Record, soa: bool) -> Full | None:
        assert self._first is not None
        if not soa:
            self._records.append(_plain(record))
            return None
        if record.rdata != self._first.rdata:
            raise BadTransfer("the last SOA is not the first")
        return Full(_serial(record), self._records)

    def _step(self, record: Record, soa: bool) -> Steps | None:
        assert self._current is not None
        assert self._first is not None
        before, removals = self._current
        if not soa:
            (removals if self._phase == "removals" else self._records).append(_plain(record))
            return None
        serial = _serial(record)
        if self._phase == "removals":
            if not later(serial, before):
                raise BadTransfer(f"a step from serial {before} to {serial}")
            self._phase = "additions"
            self._records = [_plain(record)]
            return None
        after = int.from_bytes(self._records[0][3][-20:-16], "big")
        self._steps.append(Step(before, after, removals, self._records))
        if record.rdata == self._first.rdata and after == _serial(self._first):
            return Steps(self._steps)
        if serial != after:
            raise BadTransfer(f"a step from serial {serial} after one to {after}")
        self._phase = "removals"
        self._current = (serial, [_plain(record)])
        return None


def _serial(record: Record) -> int:
    return int.from_bytes(record.rdata[-20:-16], "big")


def _plain(record: Record) -> Addition:
    return record.owner, record.type, record.ttl, record.rdata
