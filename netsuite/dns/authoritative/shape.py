"""Kinds of plain queries: what stands around the name in a query, understood once and known again by its bytes."""

from __future__ import annotations

from typing import Final, NamedTuple

from netsuite.dns.authoritative.node import ONE
from netsuite.dns.authoritative.spread import ADDRESS_SIZES
from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import opt
from netsuite.dns.wire.query import Query, parse

__all__ = ["CAREFULLY", "NO_SHAPE", "Shape", "Shapes"]

_SHAPES: Final = 1024
# Type, class and an OPT record without options; what has some differs from client to client.
_LONGEST_TAIL: Final = 15
# At the zone's own name more belongs to them, and a DNAME hides what is below it.
_CAREFUL: Final = frozenset({codes.NS, codes.SOA, codes.DNAME, codes.RRSIG})
# Their data end with a name to compress, behind so many bytes.
_NAMED: Final = {codes.CNAME: 0, codes.PTR: 0, codes.MX: 2}
# No node begins so.
CAREFULLY: Final = b"\xfe"


class Shape(NamedTuple):
    """A kind of query: what stands around its name, and what its answers are made of.

    ``head`` stands before the name and ``tail`` behind it, with ``opened``, the OPT record if any, at its end.
    ``limit`` is how long answers may be (0: they are not made here). ``one`` begins the nodes of a lone record of its
    type; ``named`` is where in such a record's data a name begins (-1: nowhere), and ``careful`` says that it is not
    to be given here. ``found`` begins answers of one record, ``some`` of more, up to the answer count, and
    ``counts`` follows that; ``none`` begins those without records, ``absent`` those to names that are not there, and
    ``refer`` referrals.
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
    rdtype: bytes = b""
    some: bytes = b""
    counts: bytes = b""
    none: bytes = b""
    refer: bytes = b""
    dnssec: bool = False
    named: int = -1
    careful: bool = False
    aliased: bool = True
    size: int = 0


NO_SHAPE: Final = Shape(b"\xff", b"")
"""Of which no query is: none begins and ends so."""


class Shapes:
    """The shapes that were seen. ``udp_size`` is what our OPT records announce; over a ``stream`` size is no matter."""

    __slots__ = ("_shapes", "_stream", "_udp_size")

    def __init__(self, *, udp_size: int, stream: bool) -> None:
        self._udp_size = udp_size
        self._stream = stream
        self._shapes: dict[bytes, Shape] = {}

    def recognise(self, query: bytes) -> Shape:
        """A query's shape, from its bytes around the name."""
        # A zero byte within a label ends the name early; no zone has a name that is cut there, nor do we know the rest.
        end = query.find(b"\0", 10) + 1
        if len(query) - end > _LONGEST_TAIL:
            return NO_SHAPE
        around = query[:10] + query[end:]
        shape = self._shapes.get(around)
        if shape is None:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            shape = self._shapes[around] = self._shape(query[:10], query[end:])
        return shape

    def _shape(self, head: bytes, tail: bytes) -> Shape:
        declined = Shape(head, tail)
        # Nothing but a question, or that and an OPT record without options.
        edns = head[4:] == b"\0\0\0\0\0\1" and len(tail) == _LONGEST_TAIL and tail[4:7] == b"\0\0\x29"
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
        return Shape(
            limit=65533 if self._stream else min(query.size, self._udp_size) - 2,
            head=head,
            tail=tail,
            opened=tail[4:],
            one=CAREFULLY if careful or rdtype in _NAMED else bytes((ONE,)) + kind,
            rdtype=kind,
            found=some + b"\0\1" + counts,
            some=some,
            counts=counts,
            refer=(codes.QR | query.flags & codes.RD).to_bytes(2, "big") + b"\0\1",
            none=some + b"\0\0\0\1" + counts[2:],
            absent=absent + b"\0\0\0\1" + counts[2:],
            edns=opened,
            dnssec=query.dnssec,
            named=_NAMED.get(rdtype, -1),
            careful=careful,
            aliased=rdtype != codes.CNAME,
            size=ADDRESS_SIZES.get(rdtype, 0),
        )
