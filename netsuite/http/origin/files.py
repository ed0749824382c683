"""Static files over HTTP: GET and HEAD with validators, conditions and ranges.

A file's entity tag is strong and made of inode, size and modification time, so two versions never share one.
Small files are kept in memory; what is kept is compared with the disk at most once a second. Large ones are read by
threads while they are sent, and a file that changes meanwhile ends the connection rather than
mixing two versions.

Implements: RFC 9110 sections 8.8, 9.3.1, 9.3.2, 9.3.7, 13, 14, 15.3.7, 15.4.2, 15.4.5, 15.5.5, 15.5.6, 15.5.13, 15.5.17
"""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes

from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from netsuite.common.commons import Commons
from netsuite.http.origin.filebody import FileBody
from netsuite.http.origin.tree import Signature, Tree, segments
from netsuite.http.server import Memorable, error_page
from netsuite.http.wire.messages import Fields
from netsuite.http.wire.preconditions import evaluate, range_applies
from netsuite.http.wire.ranges import Span, content_range, multipart_parts, parse_ranges
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest
from netsuite.sansio.dates import format_date
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["Files"]

_SMALL: Final = 256 * 1024
_ENTRY_COST: Final = 1000
_LOOK_AGAIN: Final = 1.0
_SPECIAL: Final = frozenset(
    [b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"]
)
_ALLOW: Final = (b"allow", b"GET, HEAD, OPTIONS")
_TEXTUAL: Final = frozenset(
    ["application/javascript", "application/json", "application/xml", "image/svg+xml", "application/dash+xml"]
)
_NEWER_TYPES: Final = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".m4s": "video/iso.segment",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mpd": "application/dash+xml",
    ".torrent": "application/x-bittorrent",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


class _File:
    """One version of one file; ``body`` is None where it is too long to be kept."""

    __slots__ = ("body", "checked", "etag", "fields", "modified", "place", "signature", "still")

    def __init__(self, place: bytes, signature: Signature, body: bytes | None, kind: bytes, more: Fields) -> None:
        self.place = place
        self.signature = signature
        self.body = body
        self.modified = signature.modified // 1_000_000_000
        self.etag = b'"%x-%x-%x"' % (signature.inode, signature.size, signature.modified)
        self.fields: Fields = [
            (b"content-type", kind),
            (b"last-modified", format_date(self.modified)),
            (b"etag", self.etag),
            (b"accept-ranges", b"bytes"),
            *more,
        ]
        self.checked = 0.0
        self.still: Callable[[], bool] = self._is_still

    def _is_still(self) -> bool:
        """Whether the disk still has this version there."""
        try:
            return Signature.of(os.stat(self.place)) == self.signature  # noqa: PTH116 - a path in bytes
        except OSError:
            return False


@implementer(IHttpApplication)
class Files:
    """Shows the files below ``root``."""

    def __init__(
        self,
        commons: Commons,
        root: Path,
        *,
        index: Sequence[str] = ("index.html",),
        listing: bool = False,
        types: Mapping[str, str] = {},
        max_age: int | None = None,
        memory: int = 32 << 20,
    ) -> None:
        self._commons = commons
        self._seconds = commons.clock.seconds
        self._tree = Tree(root)
        self._index = [os.fsencode(name) for name in index]
        self._listing = listing
        self._types = mimetypes.MimeTypes()
        for extension, kind in (_NEWER_TYPES | dict(types)).items():
            self._types.add_type(kind, extension if extension.startswith(".") else f".{extension}")
        self._more: Fields = [(b"cache-control", b"max-age=%d" % max_age)] if max_age is not None else []
        self._known: S3Fifo[bytes, _File] = S3Fifo(memory)
        self._pool = ThreadPool(0, 4, name="netsuite files")

    def stop(self) -> None:
        """End the threads."""
        if self._pool.started:
            self._pool.stop()

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The answer for a request."""
        method = request.method
        if method != b"GET" and method != b"HEAD":
            if method == b"OPTIONS":
                return 204, [_ALLOW], b""
            status, fields, page = error_page(405, "Files can only be read here.")
            return status, [*fields, _ALLOW], page
        path = request.path
        entry = self._known.find(path)
        now = self._seconds()
        if entry is not None:
            known = entry.value
            if now - known.checked < _LOOK_AGAIN or known.still():
                if now - known.checked >= _LOOK_AGAIN:
                    known.checked = now
                entry.uses += 1
                return self._answer(request, known, None, now)
            self._known.discard(path)
        return self._look(request, path, now)

    def _look(self, request: IHttpRequest, path: bytes, now: float) -> Any:
        """Find a path on the disk."""
        names = segments(path)
        if names is None:
            return error_page(404)
        place = self._tree.place(names)
        descriptor = self._tree.open(place)
        if descriptor is None:
            return error_page(404)
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            return self._folder(request, path, place, descriptor, now)
        if not stat.S_ISREG(found.st_mode) or not names[-1]:
            os.close(descriptor)
            return error_page(404)
        return self._file(request, path, place, descriptor, now)

    def _folder(self, request: IHttpRequest, path: bytes, place: bytes, descriptor: int, now: float) -> Any:
        try:
            if not path.endswith(b"/"):
                query = b"" if request.query is None else b"?" + request.query
                status, fields, page = error_page(301, "This is a folder; its address ends with a slash.")
                return status, [*fields, (b"location", path + b"/" + query)], page
            for name in self._index:
                inside = self._tree.below(place, name)
                index = self._tree.open(inside)
                if index is not None:
                    if stat.S_ISREG(os.fstat(index).st_mode):
                        return self._file(request, path, inside, index, now)
                    os.close(index)
            if not self._listing:
                return error_page(404)
            return _listed(path, self._tree.names(descriptor))
        finally:
            os.close(descriptor)

    def _file(self, request: IHttpRequest, path: bytes, place: bytes, descriptor: int, now: float) -> Any:
        """Answer with an open file; the descriptor is closed, or handed on."""
        signature = Signature.of(os.fstat(descriptor))
        body = None
        if signature.size <= _SMALL:
            try:
                body = os.pread(descriptor, signature.size + 1, 0)
            finally:
                again = os.fstat(descriptor)
                os.close(descriptor)
            descriptor = -1
            if len(body) != signature.size or Signature.of(again) != signature:
                return error_page(503, "The file is being changed; try again.")
        file = _File(place, signature, body, self._kind(place), self._more)
        file.checked = now
        self._known.put(path, file, len(path) + len(body or b"") + _ENTRY_COST)
        return self._answer(request, file, descriptor if body is None else None, now)

    def _kind(self, place: bytes) -> bytes:
        kind, encoding = self._types.guess_type(os.fsdecode(place))
        if encoding is not None:
            kind = {"gzip": "application/gzip", "br": "application/x-brotli"}.get(encoding, "application/octet-stream")
        if kind is None:
            kind = "application/octet-stream"
        if kind.startswith("text/") or kind in _TEXTUAL:
            kind += "; charset=utf-8" if "charset" not in kind else ""
        return kind.encode("ascii", "replace")

    def _answer(self, request: IHttpRequest, file: _File, descriptor: int | None, now: float) -> Any:
        """Conditions, then ranges (RFC 9110 section 13.2.2); an open ``descriptor`` is used or closed."""
        spans: list[Span] | None = None
        special = False
        for name, _ in request.headers:
            if name in _SPECIAL:
                special = True
                break
        if special:
            header = request.header
            status = evaluate(request.method, header, file.etag, file.modified, now)
            if status:
                if descriptor is not None:
                    os.close(descriptor)
                if status == 304:
                    kept = [field for field in file.fields if field[0] in (b"etag", b"last-modified", b"cache-control")]
                    return Memorable(304, kept, b"", file.still)
                return error_page(412, "The file is not (any more) what you expected.")
            asked = header(b"range")
            if (
                asked is not None
                and request.method == b"GET"
                and range_applies(header(b"if-range"), file.etag, file.modified, now, now)
            ):
                spans = parse_ranges(asked, file.signature.size)
        if spans is None:
            if file.body is not None:
                return Memorable(200, file.fields, file.body, file.still)
            return self._large(request, file, descriptor, 200, file.fields, [(0, file.signature.size)])
        return self._ranges(request, file, descriptor, spans)

    def _ranges(self, request: IHttpRequest, file: _File, descriptor: int | None, spans: list[Span]) -> Any:
        size = file.signature.size
        if not spans:
            if descriptor is not None:
                os.close(descriptor)
            status, fields, page = error_page(416, f"The file has {size} bytes.")
            return status, [*fields, (b"content-range", content_range(None, size))], page
        pieces: list[tuple[int, int] | bytes] = []
        if len(spans) == 1:
            fields = [*file.fields, (b"content-range", content_range(spans[0], size))]
            pieces.append(spans[0])
        else:
            boundary = b"%032x" % self._commons.rng.getrandbits(128)
            kind = b"multipart/byteranges; boundary=" + boundary
            fields = [(b"content-type", kind), *file.fields[1:]]
            heads = multipart_parts(spans, size, file.fields[0][1], boundary)
            for head, span in zip(heads, spans, strict=False):
                pieces += [head, span]
            pieces.append(heads[-1])
        if file.body is None:
            return self._large(request, file, descriptor, 206, fields, pieces)
        body = file.body
        return 206, fields, b"".join(p if isinstance(p, bytes) else body[p[0] : p[1]] for p in pieces)

    def _large(
        self,
        request: IHttpRequest,
        file: _File,
        descriptor: int | None,
        status: int,
        fields: Fields,
        pieces: list[tuple[int, int] | bytes],
    ) -> HttpAnswer:
        length = sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
        fields = [*fields, (b"content-length", b"%d" % length)]
        if request.method == b"HEAD":
            if descriptor is not None:
                os.close(descriptor)
            return status, fields, _Nothing()
        if descriptor is None:
            descriptor = self._tree.open(file.place)
            if descriptor is None or Signature.of(os.fstat(descriptor)) != file.signature:
                if descriptor is not None:
                    os.close(descriptor)
                return error_page(503, "The file is being changed; try again.")
        if not self._pool.started:
            self._pool.start()
        return status, fields, FileBody(self._commons.reactor, self._pool, descriptor, file.signature, pieces)


class _Nothing:
    """A body that is never read: the answer to HEAD for a file that is not in memory."""

    def __aiter__(self) -> _Nothing:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


def _listed(path: bytes, names: list[tuple[bytes, bool]]) -> HttpAnswer:
    """The page of a folder without an index."""
    title = escape(os.fsdecode(path).encode("utf-8", "replace").decode())
    lines = ['<li><a href="../">../</a></li>'] if path != b"/" else []
    for name, folder in names:
        slash = "/" if folder else ""
        shown = escape(name.decode("utf-8", "replace") + slash)
        lines.append(f'<li><a href="./{quote_from_bytes(name, safe="")}{slash}">{shown}</a></li>')
    text = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        f"<h1>{title}</h1>\n<ul>\n" + "\n".join(lines) + "\n</ul>\n</html>\n"
    )
    return 200, [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-cache")], text.encode()
