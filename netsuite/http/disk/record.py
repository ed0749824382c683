"""How a stored response lies on disk: a head that is checked before anything in it is believed, then the body.

```
 0 magic   4 CRC-32 of all of the head that follows
 8 sequence number   16 name   24 size of the rest of the head   28 CRC-32 of a body of one piece
32 size of the body   40 its offset   48 its segment   52 status   54 reserved   56 when it becomes stale
64 request time, response time, age at arrival, lengths of: key, fields, selection; these; a CRC-32 for each piece
```

All integers are little-endian. A body follows its head (segment 0), or lies elsewhere: a 304 writes a new head for the
same body, and a body that was spooled while it arrived lies before its head. Bodies of more than one piece have a
CRC-32 for each, so that they can be checked as they are read. Fields are kept as they are sent to clients of HTTP/1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, error
from typing import Final, NamedTuple
from zlib import crc32

from netsuite.http.cache.content import Content
from netsuite.http.cache.decision import fresh_until
from netsuite.http.cache.stored import Field, Response, StoredResponse
from netsuite.http.disk.index import UNIT
from netsuite.http.wire.lines import prefixes

__all__ = ["FIXED", "PIECE", "Head", "aligned", "checks_of", "head_of", "quick_head", "read_head", "skim"]

PIECE: Final = 256 * 1024
"""Bytes of a body that have a checksum of their own."""

FIXED: Final = 64
_MAGIC: Final = b"nsR1"
_HEAD: Final = Struct("<4sIQ8sIIQQIHHd")
_MORE: Final = Struct("<dddIII")
_KEY: Final = FIXED + _MORE.size
_QUICK: Final = Struct("<4s12x8sI4xQ8xIH2xd8xddIII")
_PART: Final = Struct("<I")
_LONGEST_REST: Final = 8 << 20
_NONE: Final = 0xFFFFFFFF


def aligned(size: int) -> int:
    """A size, filled up to where the next record may begin."""
    return -(-size // UNIT) * UNIT


def checks_of(body: bytes | memoryview) -> list[int]:
    """The checksum of each piece of a body; one for an empty body too."""
    view = memoryview(body)
    return [crc32(view[at : at + PIECE]) for at in range(0, len(view) or 1, PIECE)]


class Head(NamedTuple):
    """What is written of a stored response beside its body.

    ``segment`` 0 means that the body follows the head; ``checks`` are the checksums of its pieces.
    """

    sequence: int
    name: bytes
    key: bytes
    status: int
    until: float
    request_time: float
    response_time: float
    initial_age: float
    lines: bytes
    selection: bytes
    size: int
    segment: int
    offset: int
    checks: Sequence[int]

    @property
    def length(self) -> int:
        """Bytes that the head takes."""
        table = 4 * -(-self.size // PIECE) if self.size > PIECE else 0
        return FIXED + _MORE.size + len(self.key) + len(self.lines) + len(self.selection) + table

    def encoded(self) -> bytes:
        """The head as it is written."""
        one = self.size <= PIECE
        rest = b"".join(
            (
                _MORE.pack(
                    self.request_time,
                    self.response_time,
                    self.initial_age,
                    len(self.key),
                    len(self.lines),
                    len(self.selection),
                ),
                self.key,
                self.lines,
                self.selection,
                b"" if one else b"".join(map(_PART.pack, self.checks)),
            )
        )
        fixed = _HEAD.pack(
            _MAGIC,
            0,
            self.sequence,
            self.name,
            len(rest),
            self.checks[0] if one else 0,
            self.size,
            self.offset,
            self.segment,
            self.status,
            0,
            self.until,
        )
        return fixed[:4] + _PART.pack(crc32(rest, crc32(fixed[8:]))) + fixed[8:] + rest

    def stored(self, content: Content, targets: Sequence[bytes] = ()) -> StoredResponse:
        """The stored response, around its body; ``targets`` are the fields that may rule it (RFC 9213)."""
        fields: list[Field] = []
        for line in self.lines.split(b"\r\n"):
            if line:
                name, _, value = line.partition(b": ")
                fields.append((name.lower(), value))
        made = StoredResponse(
            Response(self.status, fields, self.request_time, self.response_time, tuple(targets)),
            content,
            _selection(self.selection),
        )
        made.initial_age = self.initial_age
        made.key = self.key
        made.filed = self.name
        return made


def head_of(key: bytes, stored: StoredResponse, name: bytes, sequence: int) -> Head:
    """The head of a stored response, its body taken to follow it; ``checks`` are still to be filled in."""
    lines = [prefixes[field] + value for field, value in stored.fields if field != b"content-length"]
    if stored.status != 204:
        lines.append(b"Content-Length: %d" % stored.content.size)
    return Head(
        sequence,
        name,
        key,
        stored.status,
        fresh_until(stored),
        stored.request_time,
        stored.response_time,
        stored.initial_age,
        b"\r\n".join(lines),
        b"".join(_PART.pack(_NONE) if part is None else _PART.pack(len(part)) + part for part in stored.selection),
        stored.content.size,
        0,
        0,
        (),
    )


def read_head(data: bytes | memoryview) -> Head | None:
    """The head that some bytes begin with; None if they do not, or not with all of it."""
    try:
        magic, check, sequence, name, size, one, body, offset, segment, status, _, until = _HEAD.unpack_from(data)
    except error:
        return None
    if magic != _MAGIC or not _MORE.size <= size <= _LONGEST_REST or len(data) < FIXED + size:
        return None
    if crc32(data[8 : FIXED + size]) != check:
        return None
    asked, answered, age, key, lines, selection = _MORE.unpack_from(data, FIXED)
    at = FIXED + _MORE.size
    first, second, third = at + key, at + key + lines, at + key + lines + selection
    checks = [one] if body <= PIECE else [each[0] for each in _PART.iter_unpack(data[third : FIXED + size])]
    if len(checks) != max(1, -(-body // PIECE)):
        return None
    return Head(
        sequence,
        name,
        bytes(data[at:first]),
        status,
        until,
        asked,
        answered,
        age,
        bytes(data[first:second]),
        bytes(data[second:third]),
        body,
        segment,
        offset,
        checks,
    )


def skim(data: memoryview, at: int) -> tuple[bytes, int, int] | None:
    """Name, sequence number and length, with a body that follows, of the head at an offset; None if it is not whole."""
    if len(data) < at + FIXED:
        return None
    magic, check, sequence, name, rest, _, size, _, segment, _, _, _ = _HEAD.unpack_from(data, at)
    stop = at + FIXED + rest
    if magic != _MAGIC or len(data) < stop or crc32(data[at + 8 : stop]) != check:
        return None
    return name, sequence, FIXED + rest + (0 if segment else size)


def quick_head(data: bytearray, name: bytes, key: bytes) -> tuple[int, float, float, bytes, int, int] | None:
    """What an answer needs of a record that was checked before, at the beginning of a buffer; None if it is not plain.

    Its status, when it becomes stale, the moment when its age was 0, its lines, and where its body begins and how long
    that is. The body must follow the head.
    """
    magic, found, rest, size, segment, status, until, answered, age, length, lines, selection = _QUICK.unpack_from(data)
    if magic != _MAGIC or found != name or segment or selection or length != len(key) or not data.startswith(key, _KEY):
        return None
    at = _KEY + length
    return status, until, answered - age, bytes(data[at : at + lines]), FIXED + rest, size


def _selection(data: bytes) -> tuple[bytes | None, ...]:
    parts: list[bytes | None] = []
    at = 0
    while at < len(data):
        (length,) = _PART.unpack_from(data, at)
        at += 4
        if length == _NONE:
            parts.append(None)
        else:
            parts.append(data[at : at + length])
            at += length
    return tuple(parts)
