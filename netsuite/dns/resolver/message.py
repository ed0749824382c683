"""Reading replies and writing queries and answers, between bytes and the plain values of the resolver.

Rdata are kept in wire form with every name in them uncompressed, so that they can be stored and sent as they are.

Implements: RFC 1035 section 4; RFC 3597 section 4; RFC 6891 section 6; RFC 8914 section 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from netsuite.dns.wire.codes import CLASS_IN, CNAME, MX, NS, OPT, PTR, SOA, TC
from netsuite.dns.wire.name import BadName, expand
from netsuite.dns.wire.records import MalformedRecord, read_rdata

__all__ = ["Holes", "MalformedMessageError", "Question", "RRset", "Reply", "decode", "encode", "query"]

MAX_RECORDS = 4000
"""Records in a message beyond which it is refused (a 64 KiB message of the smallest records)."""

_HEADER = struct.Struct("!6H")
_COUNTS = struct.Struct("!5H")
_RECORD = struct.Struct("!HHIH")


class MalformedMessageError(ValueError):
    """Bytes that are no DNS message."""


class Question(NamedTuple):
    """What is asked: name as sent, type and class."""

    name: bytes
    type: int
    klass: int


class RRset(NamedTuple):
    """All records of one owner (folded) and type in a section; ``ttl`` is the least of theirs, in seconds."""

    name: bytes
    type: int
    ttl: int
    rdatas: tuple[bytes, ...]


class Reply(NamedTuple):
    """A message, read. ``rcode`` includes EDNS's upper bits; sections hold only class IN and no OPT.

    ``edns`` is the OPT record's (payload size, version, DO) or None, ``options`` its (code, data) pairs.
    """

    id: int
    flags: int
    rcode: int
    question: Question | None
    answer: tuple[RRset, ...]
    authority: tuple[RRset, ...]
    additional: tuple[RRset, ...]
    edns: tuple[int, int, bool] | None = None
    options: tuple[tuple[int, bytes], ...] = ()

    @property
    def opcode(self) -> int:
        """What kind of message it is; 0 is a query."""
        return self.flags >> 11 & 15


def _read_options(data: bytes) -> tuple[tuple[int, bytes], ...]:
    options: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data) or len(options) >= 32:
            raise MalformedMessageError("EDNS options do not parse")
        code, size = struct.unpack_from("!HH", data, at)
        at += 4
        if at + size > len(data):
            raise MalformedMessageError("EDNS options do not parse")
        options.append((code, data[at : at + size]))
        at += size
    return tuple(options)


def decode(data: bytes) -> Reply:
    """Read a whole message; MalformedMessageError if it is none (RFC 1035 section 4)."""
    try:
        return _decode(data)
    except (BadName, MalformedRecord) as error:
        raise MalformedMessageError(str(error)) from None


def _decode(data: bytes) -> Reply:
    if len(data) < 12:
        raise MalformedMessageError("shorter than a header")
    ident, flags, questions, *counts = _HEADER.unpack_from(data)
    if questions > 1 or sum(counts) > MAX_RECORDS:
        raise MalformedMessageError("too many questions or records")
    at = 12
    question = None
    if questions:
        name, at = expand(data, at)
        if at + 4 > len(data):
            raise MalformedMessageError("question cut off")
        question = Question(name, *struct.unpack_from("!HH", data, at))
        at += 4
    sections: list[tuple[RRset, ...]] = []
    edns = None
    options: tuple[tuple[int, bytes], ...] = ()
    rcode = flags & 15
    for section, count in enumerate(counts):
        groups: dict[tuple[bytes, int], list[tuple[int, bytes]]] = {}
        for _ in range(count):
            name, at = expand(data, at)
            if at + 10 > len(data):
                raise MalformedMessageError("record cut off")
            rdtype, klass, ttl, size = _RECORD.unpack_from(data, at)
            at += 10
            end = at + size
            if end > len(data):
                raise MalformedMessageError("record cut off")
            if rdtype == OPT:
                if section != 2 or edns is not None or name != b"\0":
                    raise MalformedMessageError("misplaced OPT record")
                edns = (klass, ttl >> 16 & 255, bool(ttl & 0x8000))
                rcode |= ttl >> 24 << 4
                options = _read_options(data[at:end])
            elif klass == CLASS_IN:
                # RFC 2181 section 8: a TTL with its top bit set counts as zero
                record = (0 if ttl >> 31 else ttl, read_rdata(data, at, end, rdtype))
                groups.setdefault((name.lower(), rdtype), []).append(record)
            at = end
        sections.append(
            tuple(
                RRset(owner, rdtype, min(ttl for ttl, _ in records), tuple(dict.fromkeys(data for _, data in records)))
                for (owner, rdtype), records in groups.items()
            )
        )
    answer, authority, additional = sections
    return Reply(ident, flags, rcode, question, answer, authority, additional, edns, options)


def query(ident: int, name: bytes, rdtype: int, *, flags: int = 0, payload: int = 1232) -> bytes:
    """A query of class IN with an OPT record that offers ``payload`` bytes (none if 0)."""
    head = _HEADER.pack(ident, flags, 1, 0, 0, 1 if payload else 0)
    opt = b"\0" + _RECORD.pack(OPT, payload, 0, 0) if payload else b""
    return head + name + struct.pack("!HH", rdtype, CLASS_IN) + opt


class Holes(NamedTuple):
    """An encoded message and the offsets of its TTLs."""

    data: bytes
    ttls: tuple[int, ...]


class _Writer:
    """Appends names with compression: a suffix written before is replaced by a pointer."""

    def __init__(self, start: bytes, suffixes: dict[bytes, int]) -> None:
        self.data = bytearray(start)
        self.suffixes = suffixes

    def name(self, name: bytes) -> None:
        suffixes = self.suffixes
        rest = name
        while len(rest) > 1:
            folded = rest.lower()
            known = suffixes.get(folded)
            if known is not None:
                self.data += struct.pack("!H", 0xC000 | known)
                return
            if len(self.data) < 0x3FFF:
                suffixes[folded] = len(self.data)
            self.data += rest[: rest[0] + 1]
            rest = rest[rest[0] + 1 :]
        self.data += b"\0"


def encode(
    ident: bytes,
    flags: int,
    question: bytes,
    answer: Iterable[RRset],
    authority: Iterable[RRset],
    *,
    limit: int,
    payload: int = 0,
    dnssec_ok: bool = False,
    rcode: int = 0,
    options: Sequence[tuple[int, bytes]] = (),
) -> Holes:
    """A response of at most ``limit`` bytes to a question section as it was sent, with the offsets of its TTLs.

    If the records do not fit it is empty with TC set (RFC 2181 section 9, as servers do it today); ``payload`` above 0
    adds an OPT record with that size, the DO bit copied and the options. Owner names and the names in NS, CNAME, PTR,
    SOA and MX rdata are compressed (RFC 3597 section 4 forbids it elsewhere).
    """
    start = ident + bytes(10) + question
    suffixes: dict[bytes, int] = {}
    folded = question[:-4].lower()
    for at in _offsets(folded):
        suffixes[folded[at:]] = 12 + at
    opt = b""
    if payload:
        data = b"".join(struct.pack("!HH", code, len(text)) + text for code, text in options)
        extended = rcode >> 4 << 24 | (0x8000 if dnssec_ok else 0)
        opt = b"\0" + _RECORD.pack(OPT, payload, extended, len(data)) + data
    writer = _Writer(start, suffixes)
    counts = [0, 0]
    holes: list[int] = []
    for section, rrsets in enumerate((answer, authority)):
        for rrset in rrsets:
            counts[section] += len(rrset.rdatas)
            for rdata in rrset.rdatas:
                writer.name(rrset.name)
                holes.append(len(writer.data) + 4)
                _write_rdata(writer, rrset.type, rrset.ttl, rdata)
                if len(writer.data) + len(opt) > limit:
                    writer = _Writer(start, {})
                    return _finish(writer.data, flags | TC, rcode, [0, 0], opt, ())
    return _finish(writer.data, flags, rcode, counts, opt, tuple(holes))


def _offsets(name: bytes) -> Iterable[int]:
    at = 0
    while name[at]:
        yield at
        at += name[at] + 1


def _finish(data: bytearray, flags: int, rcode: int, counts: list[int], opt: bytes, holes: tuple[int, ...]) -> Holes:
    _COUNTS.pack_into(data, 2, flags | rcode & 15, 1, counts[0], counts[1], 1 if opt else 0)
    return Holes(bytes(data) + opt, holes)


def _write_rdata(writer: _Writer, rdtype: int, ttl: int, rdata: bytes) -> None:
    writer.data += _RECORD.pack(rdtype, 1, ttl, len(rdata))
    if rdtype not in (NS, CNAME, SOA, PTR, MX):
        writer.data += rdata
        return
    begin = len(writer.data)
    at = 0
    if rdtype == MX:
        writer.data += rdata[:2]
        at = 2
    for _ in range(2 if rdtype == SOA else 1):
        name, at = expand(rdata, at)
        writer.name(name)
    writer.data += rdata[at:]
    struct.pack_into("!H", writer.data, begin - 2, len(writer.data) - begin)
