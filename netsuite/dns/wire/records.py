"""Whole messages, record by record, for those that are more than a question: transfers, notifications, updates.

Rdata are given in wire form with every name in them uncompressed. Nothing is merged or folded: a transfer's records
count in their order, an update's with their class.

Implements: RFC 1035 sections 3.2.1, 4.1; RFC 3597 section 4.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, expand

__all__ = ["LAYOUTS", "MalformedRecord", "Message", "Record", "message", "read_rdata"]

# How the rdata of a type is laid out where names in it may be compressed (RFC 3597 section 4): a number is
# so many bytes, "n" a name, "s" a character string; what follows the layout is copied.
LAYOUTS: Final[dict[int, tuple[int | str, ...]]] = {
    **dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 12, 39), ("n",)),
    6: ("n", "n", 20),
    14: ("n", "n"),
    15: (2, "n"),
    17: ("n", "n"),
    18: (2, "n"),
    21: (2, "n"),
    26: (2, "n", "n"),
    33: (6, "n"),
    35: (4, "s", "s", "s", "n"),
    36: (2, "n"),
}
_SIZES: Final = {codes.A: 4, codes.AAAA: 16}
_FIXED: Final = struct.Struct("!HHIH")


class MalformedRecord(ValueError):
    """Bytes that are no such message or record."""


class Record(NamedTuple):
    """A record as it was sent: owner in lower case, type, class, TTL in seconds, rdata with names uncompressed."""

    owner: bytes
    type: int
    rdclass: int
    ttl: int
    rdata: bytes


class Message(NamedTuple):
    """A message's question (name in lower case, type, class), and its other sections in order."""

    question: tuple[bytes, int, int] | None
    answer: list[Record]
    authority: list[Record]
    additional: list[Record]


def read_rdata(data: bytes, at: int, end: int, rdtype: int) -> bytes:
    """The rdata at ``at``, uncompressed; raises MalformedRecord and BadName."""
    layout = LAYOUTS.get(rdtype)
    if layout is None:
        size = _SIZES.get(rdtype)
        if size is not None and end - at != size:
            raise MalformedRecord("address of a wrong size")
        return data[at:end]
    parts = []
    for field in layout:
        if field == "n":
            name, at = expand(data, at)
            parts.append(name)
            continue
        if at >= end:
            raise MalformedRecord("rdata too short")
        size = data[at] + 1 if field == "s" else int(field)
        parts.append(data[at : at + size])
        at += size
    if at > end:
        raise MalformedRecord("rdata too short")
    parts.append(data[at:end])
    return b"".join(parts)


def message(data: bytes) -> Message:
    """Read a message whole; raises MalformedRecord."""
    try:
        questions, *counts = struct.unpack_from("!4H", data, 4)
        if questions > 1:
            raise MalformedRecord("several questions")
        at = 12
        question = None
        if questions:
            name, at = expand(data, at)
            question = (name.lower(), *struct.unpack_from("!HH", data, at))
            at += 4
        sections = []
        for count in counts:
            records = []
            for _ in range(count):
                record, at = _record(data, at)
                records.append(record)
            sections.append(records)
    except (struct.error, IndexError, BadName) as error:
        raise MalformedRecord(f"a malformed message: {error}") from None
    if at != len(data):
        raise MalformedRecord("bytes behind a message")
    return Message(question, *sections)


def _record(data: bytes, at: int) -> tuple[Record, int]:
    owner, at = expand(data, at)
    rdtype, rdclass, ttl, size = _FIXED.unpack_from(data, at)
    at += 10
    end = at + size
    if end > len(data):
        raise MalformedRecord("a record is cut off")
    # An update's records without data (class ANY or NONE) have none to read.
    body = read_rdata(data, at, end, rdtype) if size or rdclass == codes.CLASS_IN else b""
    return Record(owner.lower(), rdtype, rdclass, 0 if ttl >> 31 else ttl, body), end
