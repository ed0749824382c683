"""PUT and DELETE on files: conditions before anything is read, the body to the disk as it comes, then all at once.

A new file answers 201, a changed one 204, both with its new entity tag. Folders that are missing are made with the file
that needs them. The media type that an upload says of itself is not kept: it is judged by the name, as for all files.

Implements: RFC 9110 sections 8.4, 9.3.4, 9.3.5, 10.1.1, 13.1, 13.2, 14.4, 15.3.2, 15.3.5, 15.5.10, 15.5.13, 15.5.14,
15.5.16; RFC 4918 section 11.5 (507); RFC 9530 sections 2 and 3
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from netsuite.common.commons import Commons
from netsuite.common.errors import Overloaded
from netsuite.http.origin.permission import Permission
from netsuite.http.origin.representation import entity_tag, signature_at
from netsuite.http.origin.tree import Signature, Tree, segments
from netsuite.http.origin.uploads import NotWanted, Upload, Uploads
from netsuite.http.server import error_page
from netsuite.http.wire.digests import Digests, MalformedDigest
from netsuite.http.wire.preconditions import evaluate
from netsuite.interfaces import HttpAnswer, IHttpRequest
from netsuite.sansio.dates import format_date

__all__ = ["Changes"]

_METHODS: Final = (b"PUT", b"DELETE")
_REFUSALS: Final = {
    errno.ENOENT: (404, "There is nothing here."),
    errno.EISDIR: (409, "That is a folder."),
    errno.ENOTDIR: (409, "A file stands where a folder would have to be."),
    errno.ELOOP: (409, "A link stands where a folder would have to be."),
    errno.EACCES: (403, "Nothing can be written there."),
    errno.EPERM: (403, "Nothing can be written there."),
    errno.EROFS: (403, "Nothing can be written there."),
    errno.EXDEV: (409, "That folder was exchanged meanwhile; try again."),
    errno.ENAMETOOLONG: (414, "The name is too long."),
    errno.ENOSPC: (507, "There is no space left."),
    errno.EDQUOT: (507, "There is no space left."),
    errno.EFBIG: (413, "The file would be too long."),
}


class Changes:
    """Changes the files of a tree, where a rule names the method; ``changed`` is called after each change.

    ``limit`` bounds a file, in bytes.
    """

    def __init__(
        self, commons: Commons, tree: Tree, permission: Permission, limit: int, changed: Callable[[], None]
    ) -> None:
        self._seconds = commons.clock.seconds
        self._tree = tree
        self._permission = permission
        self._limit = limit
        self._changed = changed
        self.uploads = Uploads(commons, tree)

    def allowed(self, request: IHttpRequest) -> tuple[bytes, ...]:
        """The methods by which this client may change what this path stands for."""
        if request.path.endswith(b"/") or segments(request.path) is None:
            return ()
        return tuple(method for method in _METHODS if self._permission.grants(request, method))

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The answer to a PUT or DELETE that is :meth:`allowed`."""
        names = segments(request.path)
        assert names is not None
        return self._guarded(
            self._put(request, body, names) if request.method == b"PUT" else self._delete(request, names)
        )

    async def _guarded(self, work: Any) -> HttpAnswer:
        """The work's answer, and words for what a disk can say."""
        try:
            answer: HttpAnswer = await work
        except NotWanted:
            return error_page(412, "The file is not (any more) what you expected.")
        except Overloaded:
            status, fields, page = error_page(503, "Too many files are coming in; try again.")
            return status, [*fields, (b"retry-after", b"1")], page
        except OSError as error:
            refusal = _REFUSALS.get(error.errno or 0)
            if refusal is None:
                raise
            return error_page(*refusal)
        return answer

    async def _put(self, request: IHttpRequest, body: AsyncIterator[bytes], names: list[bytes]) -> HttpAnswer:
        header = request.header
        if header(b"content-range") is not None:
            return error_page(400, "A part of a file cannot be put.")
        coding = header(b"content-encoding")
        if coding is not None and coding.strip().lower() not in (b"", b"identity"):
            status, fields, page = error_page(415, "Files are taken without a content coding.")
            return status, [*fields, (b"accept-encoding", b"identity")], page
        promised = [value for name in (b"content-digest", b"repr-digest") if (value := header(name)) is not None]
        try:
            digests = Digests(promised)
        except MalformedDigest as malformed:
            return error_page(400, f"{str(malformed).capitalize()}.")
        length = header(b"content-length")
        if length is not None and int(length) > self._limit:
            return self._too_long()
        wanted = self._wanted(request)
        if not wanted(signature_at(self._tree.place(names))):
            raise NotWanted
        upload = await self.uploads.begin(names, length=None if length is None else int(length))
        try:
            async for chunk in body:
                if upload.size + len(chunk) > self._limit:
                    return self._too_long()
                digests.feed(chunk)
                await upload.write(chunk)
            if not digests.kept():
                return error_page(400, "The file is not what its digest says.")
            return await self._shown(upload, wanted)
        finally:
            upload.abandon()

    async def _shown(self, upload: Upload, wanted: Callable[[Signature | None], bool]) -> HttpAnswer:
        try:
            new = await upload.commit(wanted)
        except FileNotFoundError:
            return error_page(409, "The folder has gone.")
        self._changed()
        assert upload.signature is not None
        fields = [
            (b"etag", entity_tag(upload.signature)),
            (b"last-modified", format_date(upload.signature.modified // 1_000_000_000)),
        ]
        return (201 if new else 204), fields, b""

    async def _delete(self, request: IHttpRequest, names: list[bytes]) -> HttpAnswer:
        await self.uploads.remove(names, self._wanted(request))
        self._changed()
        return 204, [], b""

    def _wanted(self, request: IHttpRequest) -> Callable[[Signature | None], bool]:
        """Whether the preconditions of a request hold for what stands at its path."""

        def holds(found: Signature | None) -> bool:
            etag = None if found is None else entity_tag(found)
            modified = None if found is None else found.modified // 1_000_000_000
            now = self._seconds()
            return not evaluate(request.method, request.header, etag, modified, now, exists=found is not None)

        return holds

    def _too_long(self) -> HttpAnswer:
        return error_page(413, f"Files of up to {self._limit} bytes are taken.")
