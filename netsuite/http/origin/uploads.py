"""Files that come in: written apart, durable before they show, and visible as a whole or not at all.

An upload is written to ``ROOT/.netsuite-uploads`` (beside its target, under a hidden name, where the target lies on
another file system), by threads. When it is complete it is flushed to the disk and renamed into its place, so readers
see the old file or the new one. One that breaks off is removed at once; what a crash left is removed at the next start,
but for what another process is still writing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from netsuite.common.commons import Commons
from netsuite.common.errors import Overloaded
from netsuite.common.threads import Threads
from netsuite.http.origin.tree import Signature, Tree, visible

__all__ = ["NotWanted", "Upload", "Uploads", "handed"]

T = TypeVar("T")

FOLDER: Final = b".netsuite-uploads"
_PIECE: Final = 256 * 1024
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class NotWanted(Exception):
    """What stands at the target is not what the client expected it to be."""


class Uploads:
    """Writes and removes files of a tree. What blocks runs in a few threads; the order of changes is one for all."""

    def __init__(self, commons: Commons, tree: Tree, *, waiting: int = 256) -> None:
        self._tree = tree
        self._rng = commons.rng
        self._turn = threading.Lock()
        self.threads = Threads(commons.reactor, "uploads", most=4, waiting=waiting)

    def close(self) -> None:
        """End the threads."""
        self.threads.close()

    def clean(self) -> int:
        """Remove what broken uploads left behind; answers how many there were. May block for a moment."""
        count = 0
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            folder = os.open(os.path.join(self._tree.root, FOLDER), _FOLDER)  # noqa: PTH118 - a path in bytes
            try:
                for name in os.listdir(folder):  # noqa: PTH208 - by descriptor
                    count += _removed_if_left(folder, name)
            finally:
                os.close(folder)
        return count

    async def begin(self, names: list[bytes], *, length: int | None = None) -> Upload:
        """A file that comes in for these segments of a path; ``length`` is how long it says it is.

        Raises OSError (no space, a folder that is a file ...) and Overloaded.
        """
        name = b"%032x" % self._rng.getrandbits(128)
        return await handed(self.threads.run(self._begun, names, name, length or 0), Upload.abandon)

    async def remove(self, names: list[bytes], wanted: Callable[[Signature | None], bool]) -> None:
        """Remove a file. Raises NotWanted, OSError (FileNotFoundError, IsADirectoryError ...) and Overloaded."""
        await self.threads.run(self._removed, names, wanted)

    def publish(self, upload: Upload, wanted: Callable[[Signature | None], bool]) -> bool:
        """In a thread: put a whole upload where it belongs; whether nothing was there before."""
        with self._turn:
            folder = self._tree.folder(upload.names[:-1], make=True)
            try:
                before = _standing(folder, upload.names[-1])
                if not wanted(before):
                    raise NotWanted
                os.rename(upload.name, upload.names[-1], src_dir_fd=upload.folder, dst_dir_fd=folder)
                upload.name = b""
                os.fsync(folder)
                return before is None
            finally:
                os.close(folder)

    def _removed(self, names: list[bytes], wanted: Callable[[Signature | None], bool]) -> None:
        with self._turn:
            folder = self._tree.folder(names[:-1])
            try:
                before = _standing(folder, names[-1])
                if not wanted(before):
                    raise NotWanted
                os.unlink(names[-1], dir_fd=folder)
                os.fsync(folder)
            finally:
                os.close(folder)

    def _begun(self, names: list[bytes], name: bytes, length: int) -> Upload:
        if not names or not all(map(visible, names)):
            raise PermissionError(errno.EACCES, "files of that name are not shown here")
        target, depth = self._deepest(names[:-1])
        try:
            if depth == len(names) - 1:
                _standing(target, names[-1])
            apart = self._apart(os.fstat(target).st_dev)
            if apart is None:
                apart, name = os.dup(target), b".netsuite-upload-" + name
        finally:
            os.close(target)
        try:
            space = os.fstatvfs(apart)
            if space.f_bavail * space.f_frsize < length:
                raise OSError(errno.ENOSPC, "there is not enough space")
            descriptor = os.open(name, _NEW, 0o666, dir_fd=apart)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(apart)
            raise
        return Upload(self, names, apart, name, descriptor)

    def _deepest(self, names: list[bytes]) -> tuple[int, int]:
        """The folder for these names, or the last one above it, and how many lead there; what is none is an error."""
        for cut in range(len(names), -1, -1):
            try:
                return self._tree.folder(names[:cut]), cut
            except FileNotFoundError:
                if not cut:
                    raise
        raise AssertionError("unreachable")

    def _apart(self, device: int) -> int | None:
        """The folder for what is not complete, if it lies on that file system."""
        root = self._tree.folder([])
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, 0o700, dir_fd=root)
            apart = os.open(FOLDER, _FOLDER, dir_fd=root)
        finally:
            os.close(root)
        if os.fstat(apart).st_dev == device:
            return apart
        os.close(apart)
        return None


class Upload:
    """One file that comes in; it ends with :meth:`commit` or :meth:`abandon`, which may be called in any case.

    ``size`` is how much has come; ``signature`` is that of the new file, once it is in its place.
    """

    def __init__(self, uploads: Uploads, names: list[bytes], folder: int, name: bytes, descriptor: int) -> None:
        self.names = names
        self.folder = folder
        self.name = name
        self.size = 0
        self.signature: Signature | None = None
        self._uploads = uploads
        self._descriptor = descriptor
        self._gathered: list[bytes] = []
        self._waiting = 0
        self._turn = threading.Lock()

    async def write(self, data: bytes) -> None:
        """Take more of it; raises OSError."""
        self._gathered.append(data)
        self._waiting += len(data)
        self.size += len(data)
        if self._waiting >= _PIECE:
            await self._uploads.threads.run(self._write, self._gather())

    async def commit(self, wanted: Callable[[Signature | None], bool]) -> bool:
        """Show it, durably; whether it is new. Raises NotWanted where ``wanted`` refuses what stands there, OSError."""
        return await self._uploads.threads.run(self._commit, self._gather(), wanted)

    def abandon(self) -> None:
        """Remove it, unless it stands in its place already, or is just being put there."""
        try:
            ended = self._uploads.threads.run(self._end)
        except Overloaded:
            self._end()
        else:
            ended.addErrback(lambda _: self._end())

    def _gather(self) -> bytes:
        data = b"".join(self._gathered)
        self._gathered.clear()
        self._waiting = 0
        return data

    def copy(self, source: int, count: int) -> None:
        """In a thread: begin with so many bytes of an open file."""
        at = 0
        while at < count and (data := os.pread(source, min(_PIECE, count - at), at)):
            self._put(data)
            at += len(data)
        self.size = at

    def _write(self, data: bytes) -> None:
        # who gives an upload up may do so while a thread still writes
        with self._turn:
            self._put(data)

    def _put(self, data: bytes) -> None:
        if self._descriptor < 0:
            raise OSError(errno.ECANCELED, "the upload was given up")
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def _commit(self, data: bytes, wanted: Callable[[Signature | None], bool]) -> bool:
        with self._turn:
            self._put(data)
            os.fsync(self._descriptor)
            new = self._uploads.publish(self, wanted)
            self.signature = Signature.of(os.fstat(self._descriptor))
            return new

    def _end(self) -> None:
        with self._turn:
            if self._descriptor < 0:
                return
            if self.name:
                with contextlib.suppress(OSError):
                    os.unlink(self.name, dir_fd=self.folder)
            os.close(self._descriptor)
            os.close(self.folder)
            self._descriptor = -1


def handed(work: Deferred[T], dispose: Callable[[T], object]) -> Deferred[T]:
    """What a thread makes; where nobody waits for it any more, it is disposed of when it comes."""
    taker: Deferred[T] = Deferred()

    def made(value: T) -> None:
        if taker.called:
            dispose(value)
        else:
            taker.callback(value)

    work.addCallbacks(made, lambda failure: None if taker.called else taker.errback(failure))
    return taker


def _standing(folder: int, name: bytes) -> Signature | None:
    """What has a name in a folder, if it is a file; None if nothing has."""
    try:
        found = os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder stands there")
    return Signature.of(found)


def _removed_if_left(folder: int, name: Any) -> int:
    """Remove a file that nobody is writing."""
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
    except OSError:
        return 0
    finally:
        os.close(descriptor)
    return 1
