"""The journal's bytes: how a record is framed, and how a file is read after a crash.

A file is records one after another. A record is a head of 28 bytes and its payload: a mark, the payload's
length, a CRC-32 of all that follows it, the record's number (one more than the last), and how many
bytes of this file were known to be durable when the record was written.

That last field tells a torn tail from damage. What does not parse may be cut off if nobody was ever told that it is
durable; if a later record vouches for it, the file is damaged and must not be served as if it were whole.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

__all__ = ["HEAD", "LONGEST", "Damaged", "Scan", "frame", "scan"]

_MARK: Final = b"\xa9NSJ"
_HEAD: Final = struct.Struct(">4sIIQQ")
_COVERED: Final = struct.Struct(">QQ")
HEAD: Final = _HEAD.size
"""The bytes before a payload."""
LONGEST: Final = 1 << 30
"""The longest payload, in bytes."""


class Damaged(Exception):
    """Bytes that were acknowledged as durable cannot be read back."""


class Scan(NamedTuple):
    """What a file holds: ``(number, payload)`` in order, where the good part ends, and whether a tail is to be cut."""

    records: list[tuple[int, bytes]]
    size: int
    torn: bool


def frame(number: int, payload: bytes, durable: int) -> tuple[bytes, bytes]:
    """A record's head and payload."""
    check = zlib.crc32(payload, zlib.crc32(_COVERED.pack(number, durable)))
    return _HEAD.pack(_MARK, len(payload), check, number, durable), payload


def scan(data: bytes, first: int, *, last: bool) -> Scan:
    """Read a file whose first record has the number ``first``; only the ``last`` file of a journal may be torn.

    Raises Damaged, with the offset.
    """
    records: list[tuple[int, bytes]] = []
    at, number = 0, first
    while at < len(data):
        found = _record(data, at)
        if found is None or found[0] != number:
            if data.count(0, at) == len(data) - at:
                return Scan(records, at, last)  # zeros written ahead
            if not last or _vouched(data, at):
                raise Damaged(f"at byte {at}: a record that was durable cannot be read")
            return Scan(records, at, True)
        records.append((number, found[1]))
        at += _HEAD.size + len(found[1])
        number += 1
    return Scan(records, at, False)


def _record(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """The record at an offset: number, payload, how much was durable; None if there is no whole one."""
    if len(data) - at < _HEAD.size:
        return None
    mark, length, check, number, durable = _HEAD.unpack_from(data, at)
    begin = at + _HEAD.size
    if mark != _MARK or length > LONGEST or len(data) - begin < length:
        return None
    payload = data[begin : begin + length]
    if zlib.crc32(payload, zlib.crc32(_COVERED.pack(number, durable))) != check:
        return None
    return number, payload, durable


def _vouched(data: bytes, at: int) -> bool:
    """Whether a whole record behind an offset says that the bytes at it were durable."""
    candidate = data.find(_MARK, at + 1)
    while candidate >= 0:
        found = _record(data, candidate)
        if found is not None and found[2] > at:
            return True
        candidate = data.find(_MARK, candidate + 1)
    return False
