"""The files of a torrent on a disk: read and written at any offset, by several threads at once, never outside a folder.

:class:`Folder` is the real one. Its twin in :mod:`netsuite.testing.folders` keeps everything in memory, fails and
tears where a test says so, and at a crash loses what was not synced.

A path is a tuple of plain names (a :class:`~netsuite.bittorrent.metainfo.File`'s ``path``). Each of them is opened in
the folder before it, without following symbolic links, so that no link inside the folder leads out of it; the folder
itself may be reached through links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, Protocol

__all__ = ["PASSING", "Buffer", "Descriptors", "Facts", "Folder", "FolderLayer", "Names"]

Names = tuple[str, ...]
Buffer = bytes | bytearray | memoryview

PASSING: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR))
"""Errors that say nothing of the file: another time it may be read."""

_IOV: Final = 1024
_AT_ONCE: Final = getattr(os, "RWF_NOWAIT", 0)
_ANY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_INNER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Facts(NamedTuple):
    """What tells whether a file is still what it was: its size in bytes and when it was last written to."""

    size: int
    written: int


class FolderLayer(Protocol):
    """A folder as the piece store sees it; all calls block, may come from any thread and may raise OSError."""

    @property
    def place(self) -> str:
        """Where it is, for people and for telling one folder from another."""

    def look(self, names: Names) -> Facts | None:
        """What is known of a file; None if there is none."""

    def read(self, names: Names, offset: int, length: int) -> bytes:
        """A part of a file, shorter only at its end. FileNotFoundError if there is none."""

    def peek(self, names: Names, offset: int, length: int) -> Buffer | None:
        """A part of a file if all of it can be had without waiting for a disk, else None."""

    def hollow(self, names: Names, offset: int, length: int) -> bool:
        """Whether a part of a file is known to be zeros because nothing was ever written there."""

    def write(self, names: Names, size: int, offset: int, buffers: Sequence[Buffer]) -> None:
        """Put bytes into a file, which is made as :meth:`make` does."""

    def make(self, names: Names, size: int) -> None:
        """Make a file and its folders, if it is not there, and give it its size, if it has another; it is sparse."""

    def sync(self, names: Names) -> Facts:
        """Make a file's bytes and its name durable; what was known of it just before."""

    def close(self) -> None:
        """Close what is open."""


class _Open:
    """A descriptor, and how many use it now."""

    __slots__ = ("descriptor", "unwanted", "users")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.users = 0
        self.unwanted = False


class Descriptors:
    """Files kept open between uses: at most ``most``, or as many as are in use. Several folders may share it."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._lock = Lock()
        self._open: OrderedDict[tuple[int, Names, bool], _Open] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def of(self, folder: Folder, names: Names, writing: bool) -> Iterator[int]:
        """A descriptor of a file, for the time of a ``with``."""
        key = (id(folder), names, writing)
        with self._lock:
            entry = self._open.get(key)
            if entry is not None:
                self._open.move_to_end(key)
                entry.users += 1
        if entry is None:
            entry = self._add(key, folder.open(names, writing))
        try:
            yield entry.descriptor
        finally:
            with self._lock:
                entry.users -= 1
                if entry.unwanted and not entry.users:
                    os.close(entry.descriptor)

    def forget(self, folder: Folder) -> None:
        """Close a folder's files."""
        with self._lock:
            for key in [key for key in self._open if key[0] == id(folder)]:
                self._drop(key)

    def _add(self, key: tuple[int, Names, bool], descriptor: int) -> _Open:
        with self._lock:
            entry = self._open.get(key)
            if entry is None:
                entry = self._open[key] = _Open(descriptor)
            else:
                os.close(descriptor)  # another thread was quicker
            entry.users += 1
            while len(self._open) > self._most:
                self._drop(next(iter(self._open)))
        return entry

    def _drop(self, key: tuple[int, Names, bool]) -> None:
        entry = self._open.pop(key)
        entry.unwanted = True
        if not entry.users:
            os.close(entry.descriptor)


class Folder:
    """A folder of this machine. It is made when the first file is."""

    def __init__(self, path: Path, descriptors: Descriptors | None = None) -> None:
        self._path = path.absolute()
        self._descriptors = Descriptors() if descriptors is None else descriptors
        self._lock = Lock()
        self._naming = Lock()
        self._can_peek = _AT_ONCE != 0
        self._unsynced: set[Names] = set()

    @property
    def place(self) -> str:
        """The absolute path."""
        return str(self._path)

    def look(self, names: Names) -> Facts | None:
        """What is known of a file; a symbolic link is an error."""
        try:
            with self._descriptors.of(self, names, False) as descriptor:
                return _facts(descriptor)
        except FileNotFoundError:
            return None

    def read(self, names: Names, offset: int, length: int) -> bytes:
        """A part of a file."""
        with self._descriptors.of(self, names, False) as descriptor:
            data = os.pread(descriptor, length, offset)
            while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
                data += more
            return data

    def peek(self, names: Names, offset: int, length: int) -> Buffer | None:
        """A part of a file that is in memory, as Linux's RWF_NOWAIT tells where the file system knows it."""
        if not self._can_peek:
            return None
        data = bytearray(length)
        try:
            with self._descriptors.of(self, names, False) as descriptor:
                count = os.preadv(descriptor, [data], offset, _AT_ONCE)
        except OSError as problem:
            self._can_peek = problem.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
            return None
        return data if count == length else None

    def hollow(self, names: Names, offset: int, length: int) -> bool:
        """Whether a part of a file lies in a hole, where the file system tells."""
        with self._descriptors.of(self, names, False) as descriptor:
            if os.fstat(descriptor).st_size < offset + length:
                return False
            try:
                return os.lseek(descriptor, offset, os.SEEK_DATA) >= offset + length
            except OSError as problem:
                return problem.errno == errno.ENXIO  # a hole up to the end

    def write(self, names: Names, size: int, offset: int, buffers: Sequence[Buffer]) -> None:
        """Put bytes into a file."""
        with self._descriptors.of(self, names, True) as descriptor:
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, size)
            _write_all(descriptor, offset, buffers)

    def make(self, names: Names, size: int) -> None:
        """Make a file."""
        with self._descriptors.of(self, names, True) as descriptor:
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, size)

    def sync(self, names: Names) -> Facts:
        """Make a file durable, with the time it was written at, and the names that lead to it."""
        with self._descriptors.of(self, names, False) as descriptor:
            facts = _facts(descriptor)
            os.fsync(descriptor)
        with self._naming:  # whose names another thread is syncing must not go on before it is done
            for depth in range(len(names) - 1, -1, -1):
                if names[:depth] in self._unsynced:
                    self._sync_folder(names[:depth])
        return facts

    def close(self) -> None:
        """Close what is open."""
        self._descriptors.forget(self)

    def open(self, names: Names, writing: bool) -> int:
        """A descriptor of a file; one for writing makes it. Raises OSError, also if it is no plain file."""
        with self._parent(names[:-1], making=writing) as parent:
            if not writing:
                descriptor = _open(self._path, names, os.O_RDONLY | _ANY, parent)
            else:
                try:
                    descriptor = _open(self._path, names, os.O_RDWR | _ANY, parent)
                except FileNotFoundError:
                    descriptor = _open(self._path, names, os.O_RDWR | os.O_CREAT | _ANY, parent)
                    with self._lock:
                        self._unsynced.add(names[:-1])
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a plain file", str(self._path.joinpath(*names)))
        return descriptor

    @contextlib.contextmanager
    def _parent(self, inner: Names, *, making: bool) -> Iterator[int]:
        """The folder that a file is in, opened name by name."""
        if making:
            self._make_itself()
        current = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for depth in range(len(inner)):
                name = inner[: depth + 1]
                try:
                    following = _open(self._path, name, _INNER, current)
                except FileNotFoundError:
                    if not making:
                        raise
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name[-1], dir_fd=current)
                        with self._lock:
                            self._unsynced.add(inner[:depth])
                    following = _open(self._path, name, _INNER, current)
                os.close(current)
                current = following
            yield current
        finally:
            os.close(current)

    def _make_itself(self) -> None:
        missing = []
        path = self._path
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            _sync(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def _sync_folder(self, inner: Names) -> None:
        with self._lock:
            self._unsynced.discard(inner)  # what is made from now on is for the next time
        try:
            with self._parent(inner, making=False) as descriptor:
                os.fsync(descriptor)
        except OSError:
            with self._lock:
                self._unsynced.add(inner)
            raise


def _facts(descriptor: int) -> Facts:
    found = os.fstat(descriptor)
    return Facts(found.st_size, found.st_mtime_ns)


def _open(root: Path, names: Names, flags: int, parent: int) -> int:
    """Open the last name in its folder; a symbolic link is refused in clear words."""
    try:
        return os.open(names[-1], flags, 0o666, dir_fd=parent)
    except OSError as problem:
        path = str(root.joinpath(*names))
        if problem.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", path) from None
        if problem.errno == errno.ENOTDIR:
            raise OSError(errno.ENOTDIR, "is not a folder (symbolic links are not followed)", path) from None
        raise type(problem)(problem.errno, problem.strerror, path) from None


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, offset: int, buffers: Sequence[Buffer]) -> None:
    views: Sequence[Buffer] = buffers
    while views:
        written = os.pwritev(descriptor, views[:_IOV], offset)
        offset += written
        if not written and any(len(view) for view in views[:_IOV]):
            raise OSError(errno.EIO, "nothing could be written")
        views = _after(views, written)


def _after(views: Sequence[Buffer], written: int) -> Sequence[Buffer]:
    """What is left of buffers of which so many bytes are written."""
    for index, view in enumerate(views):
        if written < len(view):
            return [memoryview(view)[written:], *views[index + 1 :]]
        written -= len(view)
    return ()
