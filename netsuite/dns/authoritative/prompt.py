"""Answers straight from packed zones: one lookup, a few slices, no parsing.

Most queries are alike in all but id and name: the bytes before the name and behind it are few in kind, and what each
kind means (flags, type, EDNS, size) is found out once, the careful way, and kept as a shape. With the shape known, the
answer for a name that the zone simply has, has nothing of that type for, or does not have, is put together from the
node as it lies there. Whatever is not that plain (aliases, wildcards, delegations, names to compress, lack of room)
is declined: the careful way answers the same, only slower.

Queries and answers are without their first two bytes, the id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from netsuite.dns.authoritative.node import CUT, EMPTY, GONE, ONE, RENAMED, SEVERAL, Packed
from netsuite.dns.authoritative.spread import ADDRESS_SIZES, Spread
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import opt
from netsuite.dns.wire.query import Query, parse
from netsuite.dns.wire.writer import Writer

__all__ = ["Prompt"]

_SHAPES: Final = 1024
_HINDERED: Final = CUT | RENAMED
# Their data hold names to compress, which depends on the question; a DNAME hides what is below it.
_CAREFUL: Final = frozenset({codes.NS, codes.CNAME, codes.SOA, codes.PTR, codes.MX, codes.DNAME})


class _Shape(NamedTuple):
    """A kind of query: what stands around its name, and what its answers are made of.

    ``head`` stands before the name and ``tail`` behind it, with ``opened``, the OPT record if any, at its end.
    ``limit`` is how long answers may be (0: they are not made here). ``one`` and ``lone`` begin the nodes of a lone
    record and RRset of its type. ``found`` begins answers of one record, ``some`` of more, up to the answer count, and
    ``counts`` follows that; ``none`` begins those without records and ``absent`` those to names that are not there.
    ``size`` is how long records of its type are, if it is one of addresses.
    """

    head: bytes
    tail: bytes
    opened: bytes = b""
    limit: int = 0
    found: bytes = b""
    absent: bytes = b""
    edns: bytes = b""
    one: bytes = b""
    lone: bytes = b""
    rdtype: bytes = b""
    some: bytes = b""
    counts: bytes = b""
    none: bytes = b""
    dnssec: bool = False
    size: int = 0


# No node begins so.
_CAREFULLY: Final = b"\xfe"
# No query begins and ends so.
_NO_SHAPE: Final = _Shape(b"\xff", b"")


class Prompt:
    """The prompt answers of one server; ``rcodes`` counts them; over a ``stream`` size is no matter.

    :meth:`serve` must hear of every change of zones. ``spread`` turns sets of addresses.
    """

    __slots__ = ("_last", "_negatives", "_shapes", "_sole", "_spread", "_stream", "_udp_size", "_zones", "rcodes")

    def __init__(self, rcodes: list[int], *, udp_size: int, stream: bool = False, spread: Spread | None = None) -> None:
        self.rcodes = rcodes
        self._udp_size = udp_size
        self._stream = stream
        self._spread = spread
        self._shapes: dict[bytes, _Shape] = {}
        self._last = _NO_SHAPE
        self._zones: Mapping[bytes, Zone] = {}
        self._sole: Zone | None = None
        self._negatives: dict[bytes, dict[int, bytes]] = {}

    def serve(self, zones: Mapping[bytes, Zone]) -> None:
        """Answer from these zones, as they are now."""
        self._zones = zones
        self._sole = next(iter(zones.values())) if len(zones) == 1 else None
        self._negatives.clear()

    def answers(self, queries: Iterable[bytes]) -> list[bytes | None]:
        """The responses to queries, all without id; None for what is not that plain."""
        out: list[bytes | None] = []
        give = out.append
        zone = sole = self._sole
        find, negatives, apex, plain, flat = self._access(zone)
        shape = self._last
        head, tail, opened, limit, found, absent, edns = shape[:7]
        one = shape.one if plain and not shape.dnssec else _CAREFULLY
        apart = none = 0
        for query in queries:
            # These answer what they were given where nothing is to remove, and cost half of asking first.
            question = query.removeprefix(head)
            written = question.removesuffix(tail)
            if written is question or question is query:
                # Queries come in runs of one shape; here another begins.
                other = self._recognise(query)
                if not other.limit:
                    give(None)
                    apart += 1
                    continue
                shape = other
                head, tail, opened, limit, found, absent, edns = shape[:7]
                one = shape.one if plain and not shape.dnssec else _CAREFULLY
                question = query.removeprefix(head)
                written = question.removesuffix(tail)
            name = written.lower()
            if sole is None:
                zone = self._zone(name)
                find, negatives, apex, plain, flat = self._access(zone)
                one = shape.one if plain and not shape.dnssec else _CAREFULLY
            if opened:
                question = question.removesuffix(opened)
            packed = find(name)
            if packed is not None:
                records = packed.removeprefix(one)
                if records is not packed:
                    answer = b"".join((found, question, records, edns))
                    if len(answer) <= limit:
                        give(answer)
                        continue
            elif flat and name and 0 < name[0] < 64 and name[name[0] + 1 :] == apex and not shape.dnssec:
                negative = negatives.get(len(name))
                if negative is not None:
                    answer = b"".join((absent, question, negative, edns))
                    if len(answer) <= limit:
                        give(answer)
                        none += 1
                        continue
            give(None if zone is None else self._look(question, shape, zone, name, packed))
            apart += 1
        self._last = shape
        self.rcodes[codes.NOERROR] += len(out) - apart - none
        self.rcodes[codes.NXDOMAIN] += none
        return out

    def _access(
        self, zone: Zone | None
    ) -> tuple[Callable[[bytes], Packed | None], Mapping[int, bytes], bytes, bool, bool]:
        """The way to a zone's nodes, its negative answers, its name; whether nothing hides names, or stands for any."""
        if zone is None:
            return _nothing, {}, b"", False, False
        plain = not zone.cuts and not zone.renames
        base, overlay = zone.base.get, zone.overlay.get
        find = (lambda name: overlay(name) or base(name)) if zone.overlay else base
        return find, self._negatives.get(zone.name, {}), zone.name, plain, plain and not zone.wildcards

    def _look(self, question: bytes, shape: _Shape, zone: Zone, name: bytes, packed: Packed | None) -> bytes | None:
        """The answer from any node, or without one."""
        if shape.dnssec and zone.signed:
            return None
        if packed is None:
            return self._absent(question, shape, zone, name)
        if (zone.cuts or zone.renames) and _hidden(zone, name):
            return None
        kind = packed[0]
        if packed.startswith(shape.one):
            count, records = b"\0\1", packed[3:]
        elif packed.startswith(shape.lone):
            count, records = packed[3:5], packed[5:]
        elif kind == SEVERAL:
            at, size = 1, len(packed)
            while packed[at : at + 2] != shape.rdtype:
                at += 8 + int.from_bytes(packed[at + 4 : at + 8], "big")
                if at == size:
                    return self._without(question, shape.none, shape, zone, len(name))
            if shape.lone is _CAREFULLY:
                return None
            stop = at + 8 + int.from_bytes(packed[at + 4 : at + 8], "big")
            count, records = packed[at + 2 : at + 4], packed[at + 8 : stop]
        elif packed is EMPTY or (kind in (0, ONE) and packed[1:3] != shape.rdtype):
            return self._without(question, shape.none, shape, zone, len(name))
        else:
            return None
        if self._spread is not None and shape.size and len(records) > shape.size:
            if name in self._spread.weighted:
                return None
            first = shape.size * self._spread.turn(name, shape.rdtype[1], len(records) // shape.size)
            records = records[first:] + records[:first]
        out = b"".join((shape.some, count, shape.counts, question, records, shape.edns))
        if len(out) > shape.limit:
            return None
        self.rcodes[codes.NOERROR] += 1
        return out

    def _absent(self, question: bytes, shape: _Shape, zone: Zone, name: bytes) -> bytes | None:
        """The answer for a name that is not there; None if it may come from a wildcard, or lies in another zone."""
        overlay, base = zone.overlay, zone.base
        above = name
        packed = None
        if len(name) > 255:
            return None
        while packed is None:
            if len(above) < 2 or not 0 < above[0] < 64:
                return None
            above = above[above[0] + 1 :]
            packed = overlay.get(above) or base.get(above)
        if packed is GONE or (packed[0] & _HINDERED and packed is not EMPTY):
            return None
        if (zone.cuts or zone.renames) and _hidden(zone, above):
            return None
        if zone.wildcards and zone.packed(b"\1*" + above) is not None:
            return None
        return self._without(question, shape.absent, shape, zone, len(name))

    def _without(self, question: bytes, head: bytes, shape: _Shape, zone: Zone, length: int) -> bytes | None:
        """An answer without records."""
        negative = self._negatives.get(zone.name, {}).get(length) or self._deny(zone, length)
        out = head + question + negative + shape.edns
        if len(out) > shape.limit:
            return None
        self.rcodes[head[1] & 15] += 1
        return out

    def _deny(self, zone: Zone, length: int) -> bytes:
        """The SOA of negative answers, behind a question for a name of a length: the zone's own lies at its end."""
        missing = length - len(zone.name)
        filler = b"".join(bytes((size - 1,)) + b"\0" * (size - 1) for size in _labels(missing))
        question = filler + zone.name + b"\0\1\0\1"
        writer = Writer(b"\0\0", question, 0, 65535, 0)
        writer.add(1, zone.name, zone.negative)
        found = self._negatives.setdefault(zone.name, {})[length] = writer.finish()[12 + len(question) :]
        return found

    def _zone(self, name: bytes) -> Zone | None:
        """The nearest zone at or above a name."""
        zones = self._zones
        while name:
            zone = zones.get(name)
            if zone is not None:
                return zone
            name = name[name[0] + 1 :]
        return None

    def _recognise(self, query: bytes) -> _Shape:
        """A query's shape, from its bytes around the name."""
        # A zero byte within a label ends the name early; no zone has a name that is cut there, nor do we know the rest.
        end = query.find(b"\0", 10) + 1
        around = query[:10] + query[end:]
        shape = self._shapes.get(around)
        if shape is None:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            shape = self._shapes[around] = self._shape(query[:10], query[end:])
        return shape

    def _shape(self, head: bytes, tail: bytes) -> _Shape:
        declined = _Shape(head, tail)
        # Nothing but a question, or that and an OPT record without options.
        edns = head[4:] == b"\0\0\0\0\0\1" and len(tail) == 15 and tail[4:7] == b"\0\0\x29"
        if len(head) != 10 or (not edns and (head[4:] != bytes(6) or len(tail) != 4)):
            return declined
        query = parse(b"\0\0" + head + b"\0" + tail, self._udp_size)
        if not isinstance(query, Query) or query.rdclass != codes.CLASS_IN:
            return declined
        rdtype = query.type
        if rdtype in (codes.DS, codes.OPT) or 128 <= rdtype <= 255 or not rdtype:
            return declined
        flags = codes.QR | codes.AA | (query.flags & codes.RD)
        some, absent = (number.to_bytes(2, "big") + b"\0\1" for number in (flags, flags | codes.NXDOMAIN))
        opened = opt(self._udp_size, dnssec=query.dnssec) if query.edns else b""
        counts = b"\0\0\0\1" if opened else b"\0\0\0\0"
        kind = rdtype.to_bytes(2, "big")
        careful = rdtype in _CAREFUL
        return _Shape(
            limit=65533 if self._stream else min(query.size, self._udp_size) - 2,
            head=head,
            tail=tail,
            opened=tail[4:],
            one=_CAREFULLY if careful else bytes((ONE,)) + kind,
            lone=_CAREFULLY if careful else b"\0" + kind,
            rdtype=kind,
            found=some + b"\0\1" + counts,
            some=some,
            counts=counts,
            none=some + b"\0\0\0\1" + counts[2:],
            absent=absent + b"\0\0\0\1" + counts[2:],
            edns=opened,
            dnssec=query.dnssec,
            size=ADDRESS_SIZES.get(rdtype, 0),
        )


def _nothing(name: bytes) -> None:
    return None


def _hidden(zone: Zone, name: bytes) -> bool:
    """Whether a cut or a DNAME stands above a name."""
    above = name
    while above != zone.name:
        above = above[above[0] + 1 :]
        packed = zone.packed(above)
        if packed is None or (packed[0] & _HINDERED and packed is not EMPTY):
            return True
    return False


def _labels(missing: int) -> list[int]:
    """Sizes of labels, length bytes included, that make up so many bytes; no label is empty."""
    sizes = []
    while missing > 64:
        sizes.append(min(64, missing - 2))
        missing -= sizes[-1]
    return [*sizes, missing] if missing else sizes
