"""Header fields by offset: a block is cut into fields, and nothing of it is changed.

Lines end with CRLF or LF, as stored. A line that is neither a field nor the continuation of one is stepped over.

Implements: RFC 5322 sections 2.2 and 3.6.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Field", "block_end", "fields", "first", "unfolded"]

_END: Final = re.compile(rb"\n\r?\n")
_FIELD: Final = re.compile(rb"(?:([!-9;-~]+)[ \t]*:)?([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
MOST_FIELDS: Final = 8192
LONGEST: Final = 1 << 20
"""Bytes of a header that are looked at."""


class Field(NamedTuple):
    """One field: its name in lower case, and where it starts, its value starts, and the line after it starts."""

    name: bytes
    start: int
    value: int
    end: int


def block_end(data: bytes, start: int, end: int) -> int:
    """Where the body starts: behind the empty line that ends the header, or ``end`` if there is none."""
    if data.startswith(b"\n", start, end):
        return start + 1
    if data.startswith(b"\r\n", start, end):
        return start + 2
    found = _END.search(data, start, end)
    return found.end() if found is not None else end


def fields(data: bytes, start: int, end: int) -> list[Field]:
    """The fields between two offsets, in order; at most MOST_FIELDS, in the first LONGEST bytes."""
    return list(_fields(data, start, min(end, start + LONGEST)))


def _fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    for _ in range(MOST_FIELDS):
        found = _FIELD.match(data, start, end)
        if start >= end or found is None or found.end() <= start:
            return
        name = found[1]
        if name is not None:
            yield Field(name.lower(), start, found.start(2), found.end())
        start = found.end()


def unfolded(data: bytes, field: Field) -> bytes:
    """A field's value on one line, without white space around it."""
    value = data[field.value : field.end]
    return (_FOLD.sub(b"", value) if b"\n" in value else value).strip()


def first(data: bytes, found: list[Field], name: bytes) -> bytes | None:
    """The value of the first field of a name, unfolded; None if there is none."""
    for field in found:
        if field.name == name:
            return unfolded(data, field)
    return None
