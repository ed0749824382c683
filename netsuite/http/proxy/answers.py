"""Answers made from a stored response: whole, to HEAD, 304, and ranges of it.

Implements: RFC 9111 sections 4.3.2, 5.1; RFC 9110 sections 14.2, 15.3.7, 15.4.5, 15.5.17; RFC 9211
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from netsuite.http.proxy.stored import Field, StoredResponse
from netsuite.http.wire.messages import Response
from netsuite.http.wire.preconditions import evaluate, range_applies
from netsuite.http.wire.ranges import content_range, multipart_parts, parse_ranges

__all__ = ["answer", "is_not_modified", "ranges_of"]

_NOT_IN_304: Final = frozenset({b"content-encoding", b"content-length", b"content-range", b"content-type"})
_IN_EACH_PART: Final = frozenset({b"content-length", b"content-range"})
_BOUNDARY: Final = b"netsuite-%032x"


def is_not_modified(method: bytes, fields: Mapping[bytes, Sequence[bytes]], stored: StoredResponse, now: float) -> bool:
    """Whether the client's own copy is as good as the stored one (RFC 9111 section 4.3.2).

    Only for a stored 200; without Last-Modified the client's date is compared with Date.
    """
    if stored.status != 200:
        return False

    def header(name: bytes) -> bytes | None:
        lines = fields.get(name)
        return b", ".join(lines) if lines else None

    modified = stored.date if stored.modified is None else float(stored.modified)
    return evaluate(method, header, stored.etag, modified, now) == 304


def ranges_of(
    method: bytes, fields: Mapping[bytes, Sequence[bytes]], stored: StoredResponse, size: int, now: float
) -> list[tuple[int, int]] | None:
    """The spans that a GET asks for of a stored 200; ``[]`` if none can be had; None if it asks for the whole."""
    lines = fields.get(b"range")
    if not lines or method != b"GET" or stored.status != 200:
        return None
    conditions = fields.get(b"if-range")
    validator = b", ".join(conditions) if conditions else None
    if not range_applies(validator, stored.etag, stored.modified, stored.date, now):
        return None
    return parse_ranges(b", ".join(lines), size)


def answer(
    method: bytes,
    fields: Mapping[bytes, Sequence[bytes]],
    stored: StoredResponse,
    now: float,
    marks: list[Field],
) -> Response:
    """The response to a request from what is stored; ``marks`` (Age, Cache-Status) are added to its fields."""
    if is_not_modified(method, fields, stored, now):
        return Response(304, [field for field in stored.fields if field[0] not in _NOT_IN_304] + marks)
    body = stored.body
    size = len(body)
    if method == b"HEAD":
        length = [] if stored.status == 204 else [(b"content-length", b"%d" % size)]
        return Response(stored.status, [*_without_length(stored), *length, *marks])
    spans = ranges_of(method, fields, stored, size, now)
    if spans is None:
        return Response(stored.status, [*_without_length(stored), *marks], body)
    if not spans:
        return Response(416, [(b"content-range", content_range(None, size)), *_dated(stored), *marks])
    kept = _without_length(stored)
    if len(spans) == 1:
        first, stop = spans[0]
        return Response(206, [*kept, (b"content-range", content_range(spans[0], size)), *marks], body[first:stop])
    kind = next((value for name, value in kept if name == b"content-type"), None)
    # the boundary must not occur in what it separates: derived from the size of all, tried until it fits
    number = size
    while (boundary := _BOUNDARY % number) in body:
        number += 1
    heads = multipart_parts(spans, size, kind, boundary)
    pieces: list[bytes] = []
    for head, (first, stop) in zip(heads, spans, strict=False):
        pieces += (head, body[first:stop])
    pieces.append(heads[-1])
    kept = [field for field in kept if field[0] != b"content-type"]
    kept.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
    return Response(206, [*kept, *marks], b"".join(pieces))


def _without_length(stored: StoredResponse) -> list[Field]:
    return [field for field in stored.fields if field[0] not in _IN_EACH_PART]


def _dated(stored: StoredResponse) -> list[Field]:
    return [field for field in stored.fields if field[0] in (b"date", b"via")]
