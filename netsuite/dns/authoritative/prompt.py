"""Answers straight from packed zones: one lookup, a few slices, no parsing.

Most queries are alike in all but id and name: the bytes before the name and behind it are few in kind, and what each
kind means (flags, type, EDNS, size) is found out once, the careful way, and kept as a shape. With the shape known, the
answer for a name that the zone simply has, has nothing of that type for, or does not have, is put together from the
node as it lies there. Whatever is not that plain (aliases, wildcards, delegations, names to compress, lack of room)
is declined: the careful way answers the same, only slower.

Queries and answers are without their first two bytes, the id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from netsuite.dns.authoritative.node import CUT, EMPTY, GONE, RENAMED, SEVERAL
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
    """A kind of query: what its answers begin and end with, and how long they may be (0: they are not made here).

    ``lead`` begins the node of a lone RRset of its type. ``found``, ``none`` and ``absent`` are flags and question count
    of answers with records, without, and to names that are not there; ``counts`` is what follows the answer count of
    the first, the others have all counts.
    """

    limit: int
    lead: bytes = b""
    rdtype: bytes = b""
    found: bytes = b""
    counts: bytes = b""
    none: bytes = b""
    absent: bytes = b""
    edns: bytes = b""
    dnssec: bool = False


_DECLINED: Final = _Shape(0)
# No node begins so.
_CAREFULLY: Final = b"\xfe"


class Prompt:
    """The prompt answers of one server; ``rcodes`` counts them; over a ``stream`` size is no matter.

    :meth:`serve` must hear of every change of zones.
    """

    __slots__ = ("_negatives", "_shapes", "_sole", "_stream", "_udp_size", "_zones", "rcodes")

    def __init__(self, rcodes: list[int], *, udp_size: int, stream: bool = False) -> None:
        self.rcodes = rcodes
        self._udp_size = udp_size
        self._stream = stream
        self._shapes: dict[bytes, _Shape] = {}
        self._zones: Mapping[bytes, Zone] = {}
        self._sole: Zone | None = None
        self._negatives: dict[tuple[bytes, int], bytes] = {}

    def serve(self, zones: Mapping[bytes, Zone]) -> None:
        """Answer from these zones, as they are now."""
        self._zones = zones
        self._sole = next(iter(zones.values())) if len(zones) == 1 else None
        self._negatives.clear()

    def answer(self, query: bytes) -> bytes | None:
        """The response to a query, both without id; None if it is not that plain."""
        # A zero byte within a label ends the name early, and no zone has a name that is cut there.
        end = query.find(b"\0", 10) + 1
        around = query[:10] + query[end:]
        shape = self._shapes.get(around) or self._learn(around)
        if not shape.limit:
            return None
        name = query[10:end].lower()
        zone = self._sole or self._zone(name)
        if zone is None or (shape.dnssec and zone.signed):
            return None
        packed = zone.overlay.get(name) or zone.base.get(name)
        if packed is None:
            return self._absent(query, end, shape, zone, name)
        if (zone.cuts or zone.renames) and _hidden(zone, name):
            return None
        if packed.startswith(shape.lead):
            out = b"".join((shape.found, packed[3:5], shape.counts, query[10 : end + 4], packed[5:], shape.edns))
        else:
            kind = packed[0]
            at, size = 1, len(packed)
            if kind == SEVERAL:
                while at < size and packed[at : at + 2] != shape.rdtype:
                    at += 8 + int.from_bytes(packed[at + 4 : at + 8], "big")
            elif packed is EMPTY or (not kind and packed[1:3] != shape.rdtype):
                at = size
            else:
                return None
            if at == size:
                return self._without(query, end, shape.none, shape, zone, len(name))
            if shape.lead is _CAREFULLY:
                return None
            stop = at + 8 + int.from_bytes(packed[at + 4 : at + 8], "big")
            count, records = packed[at + 2 : at + 4], packed[at + 8 : stop]
            out = b"".join((shape.found, count, shape.counts, query[10 : end + 4], records, shape.edns))
        if len(out) > shape.limit:
            return None
        self.rcodes[codes.NOERROR] += 1
        return out

    def _absent(self, query: bytes, end: int, shape: _Shape, zone: Zone, name: bytes) -> bytes | None:
        """The answer for a name that is not there; None if it may come from a wildcard, or lies in another zone."""
        overlay, base = zone.overlay, zone.base
        above = name
        packed = None
        while packed is None:
            above = above[above[0] + 1 :]
            if not above:
                return None
            packed = overlay.get(above) or base.get(above)
        if packed is GONE or (packed[0] & _HINDERED and packed is not EMPTY):
            return None
        if (zone.cuts or zone.renames) and _hidden(zone, above):
            return None
        if zone.wildcards and zone.packed(b"\1*" + above) is not None:
            return None
        return self._without(query, end, shape.absent, shape, zone, len(name))

    def _without(self, query: bytes, end: int, head: bytes, shape: _Shape, zone: Zone, length: int) -> bytes | None:
        """An answer without records."""
        negative = self._negatives.get((zone.name, length)) or self._deny(zone, length)
        out = b"".join((head, query[10 : end + 4], negative, shape.edns))
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
        if len(self._negatives) >= _SHAPES:
            self._negatives.clear()
        found = self._negatives[zone.name, length] = writer.finish()[12 + len(question) :]
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

    def _learn(self, around: bytes) -> _Shape:
        """What a kind of query is, from its bytes around the name."""
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        shape = self._shapes[around] = self._shape(around)
        return shape

    def _shape(self, around: bytes) -> _Shape:
        # Nothing but a question, or that and an OPT record without options.
        edns = around[4:10] == b"\0\0\0\0\0\1" and len(around) == 25 and around[14:17] == b"\0\0\x29"
        if not edns and (around[4:10] != bytes(6) or len(around) != 14):
            return _DECLINED
        query = parse(b"\0\0" + around[:10] + b"\0" + around[10:], self._udp_size)
        if not isinstance(query, Query) or query.rdclass != codes.CLASS_IN or query.options:
            return _DECLINED
        rdtype = query.type
        if rdtype in (codes.DS, codes.OPT) or 128 <= rdtype <= 255 or not rdtype:
            return _DECLINED
        flags = codes.QR | codes.AA | (query.flags & codes.RD)
        head, gone = (number.to_bytes(2, "big") + b"\0\1" for number in (flags, flags | codes.NXDOMAIN))
        tail = opt(self._udp_size, dnssec=query.dnssec) if query.edns else b""
        counts = b"\0\1" if tail else b"\0\0"
        kind = rdtype.to_bytes(2, "big")
        return _Shape(
            limit=65533 if self._stream else min(query.size, self._udp_size) - 2,
            lead=_CAREFULLY if rdtype in _CAREFUL else b"\0" + kind,
            rdtype=kind,
            found=head,
            counts=b"\0\0" + counts,
            none=head + b"\0\0\0\1" + counts,
            absent=gone + b"\0\0\0\1" + counts,
            edns=tail,
            dnssec=query.dnssec,
        )


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
