"""The few things that durable stores ask of a file system, so that a test can stand in for one that fails.

:class:`Files` is the real one. Its twin in :mod:`netsuite.testing.faults` keeps files in memory, fails, shortens and
tears writes where a test says so, and at a crash loses whatever was not synced.

What is promised after a power cut: the bytes of a file up to its last :meth:`AppendFile.sync`; a name (created,
renamed, removed) once :meth:`Files.sync_folder` returned.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

__all__ = ["AppendFile", "FileLayer", "Files"]

_IOV = 512
_AT_ONCE = getattr(os, "RWF_NOWAIT", 0)
_DURABLY = getattr(os, "RWF_DSYNC", 0)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class AppendFile(Protocol):
    """A file that grows."""

    def append(self, chunks: Sequence[bytes]) -> int:
        """Write chunks at the end; answers how many bytes were taken, which may be fewer. Raises OSError."""

    def sync(self) -> None:
        """Make what was appended durable. Raises OSError; nothing is known of the file afterwards."""

    def truncate(self, size: int) -> None:
        """Cut the file. Raises OSError."""

    def close(self) -> None:
        """Close the file."""


class FileLayer(Protocol):
    """A file system as stores see it; all calls block and may raise OSError."""

    def create(self, path: Path, ahead: int = 0) -> AppendFile:
        """A new, empty file, for its owner alone; FileExistsError if the name is taken.

        ``ahead`` is by how many bytes it may be grown with zeros, which make syncs cheaper and a crash leaves behind.
        """

    def reopen(self, path: Path, ahead: int = 0) -> AppendFile:
        """An existing file, to append to."""

    def read(self, path: Path) -> bytes:
        """A file's bytes."""

    def part(self, path: Path, offset: int, length: int, *, wait: bool = True) -> bytes | None:
        """A piece of a file, shorter only at its end; None if it is not in memory and one must not ``wait``."""

    def names(self, folder: Path) -> list[str]:
        """What is in a folder, sorted."""

    def make_folder(self, folder: Path) -> None:
        """A folder for its owner alone, durable, if it is not there."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, replacing what has it."""

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""

    def sync_folder(self, folder: Path) -> None:
        """Make a folder's names durable."""


class _File:
    """A real file, open for appending."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def append(self, chunks: Sequence[bytes]) -> int:
        written = 0
        for at in range(0, len(chunks), _IOV):
            some = chunks[at : at + _IOV]
            count = os.writev(self._descriptor, some)
            written += count
            if count < sum(map(len, some)):
                break
        return written

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        os.close(self._descriptor)


class _AheadFile:
    """A real file that is grown with zeros before its bytes come: a sync then need not store a new size as well.

    What is left of the zeros is cut off when it is closed; after a crash they are its tail. Where Linux can, a write
    over zeros is durable at once (RWF_DSYNC), and the sync after it has nothing to do.
    """

    def __init__(self, descriptor: int, ahead: int) -> None:
        self._descriptor = descriptor
        self._zeros = bytes(ahead)
        self._at = self._end = os.fstat(descriptor).st_size
        self._durably = _DURABLY
        self._unsynced = True  # what was there may be in memory only
        self._failed: OSError | None = None

    def append(self, chunks: Sequence[bytes]) -> int:
        size = sum(map(len, chunks))
        if self._durably and self._at + size <= self._end and len(chunks) <= _IOV:
            written = self._append_durably(chunks, size)
            if written is not None:
                return written
        self._unsynced = True
        if self._at + size > self._end:
            try:
                self._end = self._at + size + os.pwrite(self._descriptor, self._zeros, self._at + size)
            except OSError:
                self._end = self._at + size  # no room ahead; whether there is any for the bytes, the write tells
        written = 0
        for at in range(0, len(chunks), _IOV):
            some = chunks[at : at + _IOV]
            count = os.pwritev(self._descriptor, some, self._at + written)
            written += count
            if count < sum(map(len, some)):
                break
        self._at += written
        return written

    def _append_durably(self, chunks: Sequence[bytes], size: int) -> int | None:
        """Write and sync in one; None if this file cannot. A failure that may be the sync's waits for sync()."""
        try:
            written = os.pwritev(self._descriptor, chunks, self._at, self._durably)
        except OSError as problem:
            if problem.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                self._durably = 0
                return None
            if problem.errno in _NO_ROOM:
                raise
            self._failed = problem
            written = size
        self._at += written
        return written

    def sync(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._unsynced:
            os.fdatasync(self._descriptor)
            self._unsynced = False

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._at = self._end = size
        self._unsynced = True

    def close(self) -> None:
        try:
            if self._end > self._at:
                os.ftruncate(self._descriptor, self._at)
        finally:
            os.close(self._descriptor)


def _all(descriptor: int, offset: int, length: int) -> bytes:
    pieces = []
    while length:
        piece = os.pread(descriptor, length, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b"".join(pieces)


class Files:
    """The file system of this machine."""

    def create(self, path: Path, ahead: int = 0) -> AppendFile:
        """A new, empty file, for its owner alone."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        if ahead:
            return _AheadFile(os.open(path, flags, 0o600), ahead)
        return _File(os.open(path, flags | os.O_APPEND, 0o600))

    def reopen(self, path: Path, ahead: int = 0) -> AppendFile:
        """An existing file, to append to."""
        if ahead:
            return _AheadFile(os.open(path, os.O_WRONLY | os.O_CLOEXEC), ahead)
        return _File(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))

    def read(self, path: Path) -> bytes:
        """A file's bytes."""
        return path.read_bytes()

    def part(self, path: Path, offset: int, length: int, *, wait: bool = True) -> bytes | None:
        """A piece of a file; what is in memory is told by Linux's RWF_NOWAIT, where the file system knows it."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if wait:
                return _all(descriptor, offset, length)
            piece = bytearray(length)
            try:
                count = os.preadv(descriptor, [piece], offset, _AT_ONCE)
            except OSError as problem:
                if problem.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL):
                    return None
                raise
            return bytes(piece) if count == length else None
        finally:
            os.close(descriptor)

    def names(self, folder: Path) -> list[str]:
        """What is in a folder, sorted."""
        return sorted(path.name for path in folder.iterdir())

    def make_folder(self, folder: Path) -> None:
        """A folder for its owner alone, if it is not there."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            self.sync_folder(folder.parent)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, replacing what has it."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Make a folder's names durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
