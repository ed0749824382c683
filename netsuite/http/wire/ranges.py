"""Byte ranges of a complete representation: which bytes a Range asks for, and how several are sent.

Implements: RFC 9110 sections 14.1, 14.2, 14.4, 14.6, 15.3.7, 15.5.17
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["Span", "content_range", "multipart_parts", "parse_ranges"]

Span = tuple[int, int]
"""The first byte and the one after the last, as in a slice."""

_RANGES: Final = re.compile(rb"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_ONE: Final = re.compile(rb"([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18})")


def parse_ranges(value: bytes, size: int, limit: int = 16) -> list[Span] | None:
    """The satisfiable ranges in the order asked; ``[]`` if none is (416); None if Range is to be ignored.

    Ignored are other units, malformed ranges, more than ``limit``, and sets that together ask for more than the whole,
    so that no request makes us send a body twice over (RFC 9110 section 14.2).
    """
    listed = _RANGES.fullmatch(value.strip())
    if listed is None:
        return None
    spans: list[Span] = []
    specs = [spec for part in listed[1].split(b",") if (spec := part.strip(b" \t"))]
    if not specs or len(specs) > limit:
        return None
    for spec in specs:
        found = _ONE.fullmatch(spec)
        if found is None:
            return None
        if found[3] is not None:
            first, stop = max(0, size - int(found[3])), size
        else:
            first = int(found[1])
            if found[2] is not None and int(found[2]) < first:
                return None
            stop = size if found[2] is None else min(size, int(found[2]) + 1)
        if first < stop:
            spans.append((first, stop))
    if len(spans) > 1 and sum(stop - first for first, stop in spans) > size:
        return None
    return spans


def content_range(span: Span | None, size: int) -> bytes:
    """The value of Content-Range; without a span that of a 416."""
    return b"bytes */%d" % size if span is None else b"bytes %d-%d/%d" % (span[0], span[1] - 1, size)


def multipart_parts(spans: Sequence[Span], size: int, content_type: bytes | None, boundary: bytes) -> list[bytes]:
    """What stands before each span of a multipart/byteranges body, and at last what ends it."""
    kind = b"" if content_type is None else b"Content-Type: %b\r\n" % content_type
    heads = [
        b"%b--%b\r\n%bContent-Range: %b\r\n\r\n" % (b"\r\n" if at else b"", boundary, kind, content_range(span, size))
        for at, span in enumerate(spans)
    ]
    return [*heads, b"\r\n--%b--\r\n" % boundary]
