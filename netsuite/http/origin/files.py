"""Static files over HTTP: GET and HEAD with validators, conditions, ranges and content codings.

A file's entity tag is strong and made of inode, size and modification time, so two versions never share one.
Small files are kept in memory; what is kept is compared with the disk at most once a second. Large ones are read by
threads while they are sent, and a file that changes meanwhile ends the connection rather than
mixing two versions.

Implements: RFC 9110 sections 8.4, 8.8, 9.3.1, 9.3.2, 9.3.7, 12.1, 12.5.3, 12.5.5, 13, 14, 15.3.7, 15.4.2, 15.4.5,
15.5.5, 15.5.6, 15.5.7, 15.5.13, 15.5.17
"""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from netsuite.common.commons import Commons
from netsuite.http.origin.changes import Changes
from netsuite.http.origin.filebody import FileBody
from netsuite.http.origin.listing import listed
from netsuite.http.origin.representation import CODINGS, Kinds, Representation, Resource, beside, current
from netsuite.http.origin.tree import Signature, Tree, segments
from netsuite.http.server import Memorable, error_page
from netsuite.http.wire.acceptance import IDENTITY, choose_coding
from netsuite.http.wire.messages import Fields
from netsuite.http.wire.preconditions import evaluate, range_applies
from netsuite.http.wire.ranges import Span, content_range, multipart_parts, parse_ranges
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["Files"]

_SMALL: Final = 256 * 1024
_WORTH_CODING: Final = 512
_ENTRY_COST: Final = 1000
_LOOK_AGAIN: Final = 1.0
_LOOKED_AT: Final = frozenset(
    [
        b"accept-encoding",
        b"range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
    ]
)
_KEPT_IN_304: Final = frozenset([b"etag", b"last-modified", b"cache-control", b"vary"])
_VARY: Final = (b"vary", b"accept-encoding")
_READING: Final = (b"GET", b"HEAD", b"OPTIONS")


@implementer(IHttpApplication)
class Files:
    """Shows the files below ``root``; ``changes`` takes PUT and DELETE, where anybody may.

    ``compress`` has small texts compressed for clients who take gzip, where no compressed file lies beside them.
    """

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
        compress: bool = False,
        changes: Changes | None = None,
    ) -> None:
        self._commons = commons
        self._seconds = commons.clock.seconds
        self._tree = Tree(root)
        self._index = [os.fsencode(name) for name in index]
        self._listing = listing
        self._kinds = Kinds(types)
        self._more: Fields = [(b"cache-control", b"max-age=%d" % max_age)] if max_age is not None else []
        self._known: S3Fifo[bytes, Resource] = S3Fifo(memory)
        self._pool = ThreadPool(0, 4, name="netsuite files")
        self._compress = compress
        self._changes = changes

    def stop(self) -> None:
        """End the threads."""
        if self._pool.started:
            self._pool.stop()

    def forget(self) -> None:
        """Look at the disk before anything is shown again."""
        self._known.clear()

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The answer for a request."""
        method = request.method
        if method != b"GET" and method != b"HEAD":
            return self._otherwise(request, body)
        path = request.path
        entry = self._known.find(path)
        now = self._seconds()
        if entry is not None:
            known = entry.value
            if now - known.checked < _LOOK_AGAIN or known.still():
                if now - known.checked >= _LOOK_AGAIN:
                    known.checked = now
                entry.uses += 1
                return self._shown(request, known, None, now)
            self._known.discard(path)
        return self._look(request, path, now)

    def _otherwise(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """OPTIONS, what changes files, and what cannot be done here."""
        changes = self._changes
        writing = changes.allowed(request) if changes is not None else ()
        if changes is not None and request.method in writing:
            return changes.handle(request, body)
        allow = (b"allow", b", ".join((*_READING, *writing)))
        if request.method == b"OPTIONS":
            return 204, [allow], b""
        status, fields, page = error_page(405, "This cannot be done with a file here.")
        return status, [*fields, allow], page

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
            return listed(path, self._tree.entries(descriptor), request.header(b"accept"))
        finally:
            os.close(descriptor)

    def _file(self, request: IHttpRequest, path: bytes, place: bytes, descriptor: int, now: float) -> Any:
        """Answer with an open file; the descriptor is closed, or handed on."""
        kind = self._kinds.of(place)
        siblings = self._siblings(place, Signature.of(os.fstat(descriptor)))
        compress = (
            self._compress and not any(coding == b"gzip" for coding, _ in siblings) and kind.endswith(b"charset=utf-8")
        )
        more = [*self._more, _VARY] if siblings or compress else self._more
        plain, descriptor = _read(descriptor, place, kind, more)
        if plain is None:
            for _, opened in siblings:
                os.close(opened)
            return error_page(503, "The file is being changed; try again.")
        coded = {}
        for coding, opened in siblings:
            sibling, rest = _read(opened, place + dict(CODINGS)[coding], kind, more, coding)
            if rest >= 0:
                os.close(rest)
            if sibling is not None:
                coded[coding] = sibling
        resource = Resource(plain, coded)
        resource.checked = now
        if compress and plain.body is not None and len(plain.body) >= _WORTH_CODING:
            return self._compressed(request, path, resource, kind, more, now)
        return self._kept(request, path, resource, descriptor, now)

    def _kept(self, request: IHttpRequest, path: bytes, resource: Resource, descriptor: int, now: float) -> Any:
        size = sum(len(each.body or b"") + _ENTRY_COST for each in (resource.plain, *resource.coded.values()))
        self._known.put(path, resource, len(path) + size)
        return self._shown(request, resource, None if descriptor < 0 else descriptor, now)

    async def _compressed(
        self, request: IHttpRequest, path: bytes, resource: Resource, kind: bytes, more: Fields, now: float
    ) -> Any:
        """Compress a small text, once for each of its versions, and answer."""
        plain = resource.plain
        assert plain.body is not None
        self._start()
        packed = await deferToThreadPool(self._commons.reactor, self._pool, _packed, plain.body)
        if len(packed) < len(plain.body):
            made = Representation(plain.place, plain.signature, packed, kind, more, b"gzip", made=True)
            resource = Resource(plain, {**resource.coded, b"gzip": made})
            resource.checked = now
        return self._kept(request, path, resource, -1, now)

    def _siblings(self, place: bytes, plain: Signature) -> list[tuple[bytes, int]]:
        """The codings in which the same lies beside a file, each with an open descriptor."""
        found = []
        for coding, ending in CODINGS:
            signature = beside(place + ending)
            if signature is not None and current(signature, plain):
                descriptor = self._tree.open(place + ending)
                if descriptor is not None:
                    found.append((coding, descriptor))
        return found

    def _shown(self, request: IHttpRequest, resource: Resource, descriptor: int | None, now: float) -> Any:
        """Choose the representation; an open ``descriptor`` is that of the plain one, and used or closed."""
        special = choice = False
        for name, value in request.headers:
            if name in _LOOKED_AT:
                if name != b"accept-encoding":
                    special = True
                elif resource.coded or b";" in value:
                    # without weights nothing refuses the file as it is
                    choice = True
        coding: bytes | None = IDENTITY
        if choice:
            coding = choose_coding(request.header(b"accept-encoding"), resource.sizes)
        if coding is IDENTITY:
            file = resource.plain
            if not special and file.body is not None:
                return Memorable(200, file.fields, file.body, resource.still)
            return self._answer(request, resource, file, descriptor, now, special=special)
        if descriptor is not None:
            os.close(descriptor)
        if coding is None:
            status, fields, page = error_page(406, "The file is not here in any coding that you take.")
            return status, [*fields, _VARY], page
        return self._answer(request, resource, resource.coded[coding], None, now, special=special)

    def _answer(
        self,
        request: IHttpRequest,
        resource: Resource,
        file: Representation,
        descriptor: int | None,
        now: float,
        *,
        special: bool,
    ) -> Any:
        """Conditions, then ranges (RFC 9110 section 13.2.2), where ``special`` says that there may be some.

        An open ``descriptor`` is used or closed.
        """
        spans: list[Span] | None = None
        if special:
            header = request.header
            status = evaluate(request.method, header, file.etag, file.modified, now)
            if status:
                if descriptor is not None:
                    os.close(descriptor)
                if status == 304:
                    kept = [field for field in file.fields if field[0] in _KEPT_IN_304]
                    return Memorable(304, kept, b"", resource.still)
                return error_page(412, "The file is not (any more) what you expected.")
            asked = header(b"range")
            if (
                asked is not None
                and request.method == b"GET"
                and range_applies(header(b"if-range"), file.etag, file.modified, now, now)
            ):
                spans = parse_ranges(asked, file.size)
        if spans is None:
            if file.body is not None:
                return Memorable(200, file.fields, file.body, resource.still)
            return self._large(request, file, descriptor, 200, file.fields, [(0, file.size)])
        return self._ranges(request, file, descriptor, spans)

    def _ranges(self, request: IHttpRequest, file: Representation, descriptor: int | None, spans: list[Span]) -> Any:
        size = file.size
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
        file: Representation,
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
        self._start()
        return status, fields, FileBody(self._commons.reactor, self._pool, descriptor, file.signature, pieces)

    def _start(self) -> None:
        if not self._pool.started:
            self._pool.start()


class _Nothing:
    """A body that is never read: the answer to HEAD for a file that is not in memory."""

    def __aiter__(self) -> _Nothing:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


def _read(
    descriptor: int, place: bytes, kind: bytes, more: Fields, coding: bytes = b""
) -> tuple[Representation | None, int]:
    """An open file as a representation, and the descriptor if it is too long to be kept (else -1, and closed).

    None for a file that changes just now.
    """
    signature = Signature.of(os.fstat(descriptor))
    if signature.size > _SMALL:
        return Representation(place, signature, None, kind, more, coding), descriptor
    try:
        body = os.pread(descriptor, signature.size + 1, 0)
        again = Signature.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if len(body) != signature.size or again != signature:
        return None, -1
    return Representation(place, signature, body, kind, more, coding), -1


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)
