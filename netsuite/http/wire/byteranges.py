"""Parts of a representation as they arrive: Content-Range, and the parts of a multipart/byteranges body.

Both are read strictly: what is combined with other bytes must leave no doubt where it belongs.

Implements: RFC 9110 sections 14.4, 14.6, 15.3.7; RFC 2046 section 5.1.1
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from netsuite.http.wire.ranges import Span
from netsuite.sansio.fields import is_field_value, is_token, parameters

__all__ = ["Byteranges", "Extent", "Malformed", "byteranges_boundary", "is_byteranges", "parse_content_range"]

_CONTENT_RANGE: Final = re.compile(rb"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:([0-9]{1,18})|\*)", re.IGNORECASE)
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PREAMBLE_AT_MOST: Final = 1024
_HEAD_AT_MOST: Final = 8192


class Extent(NamedTuple):
    """Which bytes a part holds, and of how many; ``size`` is None where the sender does not know."""

    span: Span
    size: int | None


class Malformed(Exception):
    """A multipart/byteranges body that leaves doubts."""


def parse_content_range(value: bytes) -> Extent | None:
    """What a part's Content-Range says; None if it is malformed, contradicts itself, or is that of a 416."""
    found = _CONTENT_RANGE.fullmatch(value)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    size = None if found[3] is None else int(found[3])
    if last < first or (size is not None and last >= size):
        return None
    return Extent((first, last + 1), size)


def is_byteranges(content_type: bytes) -> bool:
    """Whether a Content-Type is multipart/byteranges."""
    return parameters(content_type)[0].strip(b" \t").lower() == b"multipart/byteranges"


def byteranges_boundary(content_type: bytes) -> bytes | None:
    """The boundary that a Content-Type of multipart/byteranges names; None if it is another, or names none or two."""
    if not is_byteranges(content_type):
        return None
    boundaries = [value for name, value in parameters(content_type)[1] if name == b"boundary"]
    return boundaries[0] if len(boundaries) == 1 and _BOUNDARY.fullmatch(boundaries[0]) else None


class Byteranges:
    """A multipart/byteranges body, fed as it arrives in pieces of any size.

    :meth:`feed` collects, and raises Malformed at the first doubt: a part without exactly one good Content-Range, parts
    that name different lengths of the whole or different types, data shorter or longer than its range, more than
    ``parts_at_most`` parts. ``parts`` are the spans and their bytes in order of arrival; ``complete`` is true after
    the closing boundary, what follows it is ignored. ``size`` is the length of the whole, ``content_type`` that of the
    parts; both are None where no part tells.
    """

    __slots__ = ("_awaited", "_buffer", "_data", "_delimiter", "_left", "_parts_at_most", "_span", "complete",
                 "content_type", "parts", "size")  # fmt: skip

    def __init__(self, boundary: bytes, parts_at_most: int = 64) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._parts_at_most = parts_at_most
        self._buffer = b"\r\n"  # as if a line had ended: the first boundary may come at once
        self._awaited = "boundary"
        self._span: Span = (0, 0)
        self._left = 0
        self._data: list[bytes] = []
        self.parts: list[tuple[Span, bytes]] = []
        self.complete = False
        self.size: int | None = None
        self.content_type: bytes | None = None

    def feed(self, data: bytes) -> None:
        """Take what arrived next; raises Malformed."""
        if self.complete:
            return
        self._buffer += data
        while not self.complete and getattr(self, "_" + self._awaited)():
            pass

    def _boundary(self) -> bool:
        """Find a boundary: the first behind a preamble, the others exactly where the data of a part ends."""
        delimiter = self._delimiter
        at = self._buffer.find(delimiter) if not self.parts else 0
        if at < 0:
            if len(self._buffer) > _PREAMBLE_AT_MOST + len(delimiter):
                raise Malformed("there is no boundary")
            return False
        if at > _PREAMBLE_AT_MOST:
            raise Malformed("there is no boundary")
        line = self._buffer[at:]
        if len(line) < len(delimiter) + 2:
            if not delimiter.startswith(line[: len(delimiter)]):
                raise Malformed("a part is longer than its range")
            return False
        if not line.startswith(delimiter):
            raise Malformed("a part is longer than its range")
        rest = line[len(delimiter) :]
        if rest.startswith(b"--"):
            if not self.parts:
                raise Malformed("there are no parts")
            self.complete = True
            self._buffer = b""
            return False
        end = rest.find(b"\r\n")
        if end < 0:
            if len(rest) > _PREAMBLE_AT_MOST:
                raise Malformed("a boundary's line does not end")
            return False
        if rest[:end].strip(b" \t"):
            raise Malformed("there is something behind a boundary")
        self._buffer = rest[end:]
        self._awaited = "head"
        return True

    def _head(self) -> bool:
        """The fields of a part; they begin with the end of the boundary's line."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > _HEAD_AT_MOST:
            if len(self._buffer) > _HEAD_AT_MOST:
                raise Malformed("a part's head is too long")
            return False
        if len(self.parts) >= self._parts_at_most:
            raise Malformed("there are too many parts")
        extents, kinds = [], []
        for line in self._buffer[2:end].split(b"\r\n") if end else ():
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not is_token(name) or not is_field_value(value):
                raise Malformed("a part's head is malformed")
            if name.lower() == b"content-range":
                extents.append(parse_content_range(value))
            elif name.lower() == b"content-type":
                kinds.append(value)
        extent = extents[0] if len(extents) == 1 else None
        if extent is None:
            raise Malformed("a part has no good Content-Range")
        kind = kinds[0] if kinds else None
        if self.parts and (extent.size, kind) != (self.size, self.content_type):
            raise Malformed("parts are of different things")
        self.size, self.content_type = extent.size, kind
        self._span = extent.span
        self._left = extent.span[1] - extent.span[0]
        self._buffer = self._buffer[end + 4 :]
        self._awaited = "content"
        return True

    def _content(self) -> bool:
        """The bytes of a part: as many as its range says."""
        taken, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._data.append(taken)
        self._left -= len(taken)
        if self._left:
            return False
        self.parts.append((self._span, b"".join(self._data)))
        self._data = []
        self._awaited = "boundary"
        return True
