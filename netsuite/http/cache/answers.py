"""Answers made from a stored response: whole, to HEAD, 304, and ranges of it.

Implements: RFC 9111 sections 4.3.2, 5.1; RFC 9110 sections 6.5, 14.2, 15.3.7, 15.4.5, 15.5.17
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from netsuite.http.cache.content import Content, Joined, joined
from netsuite.http.cache.stored import Field, StoredResponse
from netsuite.http.wire.messages import Response
from netsuite.http.wire.preconditions import evaluate, range_applies
from netsuite.http.wire.ranges import Span, content_range, multipart_parts, parse_ranges
from netsuite.sansio.connection import Source

__all__ = ["answer", "is_not_modified", "ranges_of"]

_NOT_IN_304: Final = frozenset({b"content-encoding", b"content-length", b"content-range", b"content-type"})
_IN_EACH_PART: Final = frozenset({b"content-length", b"content-range"})


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
    boundary: Callable[[], bytes],
) -> Response:
    """The response to a request from what is stored; ``marks`` (Age, Cache-Status) are added to its fields.

    ``boundary`` makes what separates several ranges: something that no content can foresee.
    """
    if is_not_modified(method, fields, stored, now):
        return Response(304, [field for field in stored.fields if field[0] not in _NOT_IN_304] + marks)
    content = stored.content
    size = content.size
    if method == b"HEAD":
        length = [] if stored.status == 204 else [(b"content-length", b"%d" % size)]
        return Response(stored.status, [*_without_length(stored), *length, *marks])
    spans = ranges_of(method, fields, stored, size, now)
    if spans is None and stored.trailers:
        whole = content.piece(0, size) if size else b""
        return Response(stored.status, [*_without_length(stored), *marks], source=_Trailed(whole, stored.trailers))
    if spans is None:
        return _made(stored.status, [*_without_length(stored), *marks], [(0, size)] if size else [], content)
    if not spans:
        return Response(416, [(b"content-range", content_range(None, size)), *_dated(stored), *marks])
    kept = _without_length(stored)
    if len(spans) == 1:
        return _made(206, [*kept, (b"content-range", content_range(spans[0], size)), *marks], spans, content)
    kind = next((value for name, value in kept if name == b"content-type"), None)
    separator = boundary()
    heads = multipart_parts(spans, size, kind, separator)
    pieces: list[Span | bytes] = []
    for head, span in zip(heads, spans, strict=False):
        pieces += (head, span)
    pieces.append(heads[-1])
    kept = [field for field in kept if field[0] != b"content-type"]
    kept.append((b"content-type", b"multipart/byteranges; boundary=" + separator))
    return _made(206, [*kept, *marks], pieces, content)


class _Trailed:
    """A whole body with the trailers that came behind it."""

    __slots__ = ("_pieces", "trailers")

    def __init__(self, body: bytes | Source, trailers: tuple[Field, ...]) -> None:
        self._pieces = Joined([body])
        self.trailers = trailers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def __anext__(self) -> bytes:
        return await self._pieces.__anext__()

    async def aclose(self) -> None:
        await self._pieces.aclose()


def _made(status: int, headers: list[Field], pieces: Sequence[Span | bytes], content: Content) -> Response:
    found = joined([piece if isinstance(piece, bytes) else content.piece(*piece) for piece in pieces])
    if isinstance(found, bytes):
        return Response(status, headers, found)
    length = sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
    return Response(status, [*headers, (b"content-length", b"%d" % length)], source=found)


def _without_length(stored: StoredResponse) -> list[Field]:
    return [field for field in stored.fields if field[0] not in _IN_EACH_PART]


def _dated(stored: StoredResponse) -> list[Field]:
    return [field for field in stored.fields if field[0] in (b"date", b"via")]
