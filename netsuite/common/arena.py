"""Long-lived bytes of medium and large size in shared memory, from where the kernel sends them without a copy.

To send 100 KiB of a ``bytes`` object the kernel copies them, which costs more than all else about an answer. From a
file it takes the pages as they are (sendfile), but looks each of them up, which costs a good part of that again where a
page has 4 KiB. So bytes are lodged here in files without a name (memfd_create) that consist of pages of 2 MiB, as far
as the machine has them: they are asked for one by one (MADV_COLLAPSE, Linux 6.1), whatever the machine's setting for
shared memory in general.

What was sent may lie in a socket's queue for as long as the peer likes, as a reference to these pages. So nothing is
ever written where something was before: bodies lie behind one another in *chunks*, and a chunk goes as a whole when
nobody refers to it any more. Where little of one is still in use, that moves on.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final
from weakref import WeakSet

from netsuite.common.filespan import FileSpan
from netsuite.common.process import descriptors

__all__ = ["CHUNK", "SHARED", "Arena", "LargePages", "Lodged"]

CHUNK: Final = 8 << 20
"""Bytes of a chunk that many share."""
SHARED: Final = 1 << 20
"""What has that many bytes or more gets a chunk of its own."""

_PAGE: Final = 2 << 20
_WORTH_A_PAGE: Final = _PAGE * 3 // 4
"""What is left of a body gets a large page from so many bytes on."""
_SMALL: Final = 4096
_COLLAPSE: Final = 25
_NOTHING: Final = 0
_FIXED: Final = 0x10
_RESERVED: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000
_FAILED: Final = (1 << 8 * ctypes.sizeof(ctypes.c_void_p)) - 1
"""Of mmap(2) and madvise(2), as Linux has them: MADV_COLLAPSE, PROT_NONE, MAP_FIXED, with MAP_NORESERVE, MAP_FAILED."""
_MOVES: Final = 4
"""How much is moved at most for each byte that is lodged."""


class _Chunk(mmap.mmap):
    """A file in memory, mapped so that it can be read too; it goes when no span and no view of it is left."""

    descriptor: int = -1
    used: int
    taken: int
    lodgers: WeakSet[Lodged]

    def __new__(cls, size: int) -> _Chunk:
        """An empty one of whole pages; raises OSError."""
        descriptor = os.memfd_create("netsuite", os.MFD_CLOEXEC)
        try:
            size = -(-size // _PAGE) * _PAGE
            os.truncate(descriptor, size)
            self = super().__new__(cls, descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ)
        except BaseException:
            os.close(descriptor)
            raise
        self.descriptor = descriptor
        self.used = self.taken = 0
        self.lodgers = WeakSet()
        return self

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    @property
    def live(self) -> int:
        """Bytes that are still in use."""
        return sum(map(len, self.lodgers))


class _Part(FileSpan):
    """A span of a chunk, which can be read where it lies."""

    __slots__ = ()

    file: _Chunk

    @property
    def view(self) -> memoryview:
        """The bytes themselves."""
        return memoryview(self.file)[self.start : self.stop]

    def __getitem__(self, part: slice) -> FileSpan:
        first, stop, _ = part.indices(len(self))
        return _Part(self.file, self.start + first, self.start + max(first, stop))


class Lodged(_Part):
    """All of what was lodged; it is kept for as long as this is, and may come to lie elsewhere.

    ``cost`` is the memory that it takes. Parts, and views, stay what they are.
    """

    __slots__ = ("__weakref__", "cost")

    def __init__(self, file: _Chunk, start: int, stop: int, cost: int) -> None:
        super().__init__(file, start, stop)
        self.cost = cost
        file.lodgers.add(self)


class Arena:
    """See the module's docstring: for one thread. ``moved`` counts bytes that were moved so that a chunk could go.

    What is lodged takes at most a quarter more memory than it has bytes, and two chunks. Chunks take two descriptors
    each, at most a quarter of those that the process may have.
    """

    def __init__(self, pages: LargePages | None = None) -> None:
        self.moved = 0
        self._pages = pages or LargePages()
        self._open: _Chunk | None = None
        self._full: WeakSet[_Chunk] = WeakSet()
        self._leaving: list[_Chunk] = []
        self._all: WeakSet[_Chunk] = WeakSet()
        self._most = descriptors() // 8

    @property
    def taken(self) -> int:
        """Bytes of memory that all of it takes."""
        return sum(chunk.taken for chunk in self._all)

    def lodge(self, body: bytes | memoryview) -> Lodged:
        """Keep a copy of these bytes for as long as the answer is referred to; raises OSError."""
        size = len(body)
        if size >= SHARED:
            chunk = self._made(size)
            self._pave(chunk, size - _WORTH_A_PAGE)
            chunk.taken += max(0, -(-(size - chunk.taken) // _SMALL) * _SMALL)
            return Lodged(*_put(chunk, body), chunk.taken)
        span = Lodged(*self._placed(body), size)
        self._move(_MOVES * size)
        return span

    def _placed(self, body: bytes | memoryview) -> tuple[_Chunk, int, int]:
        """Put among others."""
        chunk = self._open
        if chunk is None or chunk.used + len(body) > CHUNK:
            self._open = None
            if chunk is not None:
                self._full.add(chunk)
                self._look()
            chunk = self._open = self._made(CHUNK)
        self._pave(chunk, chunk.used + len(body))
        return _put(chunk, body)

    def _made(self, size: int) -> _Chunk:
        if len(self._all) >= self._most:
            raise OSError(errno.EMFILE, "too many chunks")
        chunk = _Chunk(size)
        self._all.add(chunk)
        return chunk

    def _pave(self, chunk: _Chunk, stop: int) -> None:
        """Have large pages up to there, and to the end of the last."""
        while chunk.taken < stop:
            self._pages.lay(chunk.descriptor, chunk.taken)
            chunk.taken += _PAGE

    def _look(self) -> None:
        """See which chunks are to go: those that are least in use, if too much of all is not."""
        live = {chunk: chunk.live for chunk in self._full}
        unused = CHUNK * len(live) - sum(live.values())
        allowed = max(sum(live.values()) // 4, CHUNK)
        for chunk in sorted(live, key=live.__getitem__):
            if unused <= allowed:
                break
            unused -= CHUNK - live[chunk]
            self._full.discard(chunk)
            self._leaving.append(chunk)

    def _move(self, limit: int) -> None:
        """Go on with moving what lies in chunks that are to go."""
        while self._leaving and limit > 0:
            chunk = self._leaving[-1]
            try:
                span = chunk.lodgers.pop()
            except KeyError:
                self._leaving.pop()
                continue
            try:
                place = self._placed(span.view)
            except OSError:
                # it stays where it is for now
                chunk.lodgers.add(span)
                return
            span.file, span.start, span.stop = place
            span.file.lodgers.add(span)
            self.moved += len(span)
            limit -= len(span)


def _put(chunk: _Chunk, body: bytes | memoryview) -> tuple[_Chunk, int, int]:
    """Write behind what is there."""
    start, stop = chunk.used, chunk.used + len(body)
    view, at = memoryview(body), start
    while at < stop:
        at += os.pwrite(chunk.descriptor, view[at - start :], at)
    chunk.used = stop
    return chunk, start, stop


class LargePages:
    """Pages of 2 MiB for files in memory, where they can be had. ``laid`` counts them.

    After one that could not be had, or took longer than ``patience`` seconds, none is asked for during ``pause``.
    """

    def __init__(self, seconds: Callable[[], float] = perf_counter, patience: float = 0.02, pause: float = 60) -> None:
        self.laid = 0
        self._seconds = seconds
        self._patience = patience
        self._pause = pause
        self._not_before = -pause
        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        self._libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        self._libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        # where a page of a file is mapped for a moment: addresses that begin as it does
        space = self._libc.mmap(None, 2 * _PAGE, _NOTHING, _RESERVED, -1, 0)
        self._window = None if space == _FAILED else -(-space // _PAGE) * _PAGE

    def lay(self, descriptor: int, offset: int) -> None:
        """Have 2 MiB of a file, of which nothing is there yet, in one page if that can be; the file is long enough."""
        began = self._seconds()
        if self._window is None or began < self._not_before:
            return
        if self._laid(descriptor, offset):
            self.laid += 1
            if self._seconds() - began <= self._patience:
                return
        self._not_before = self._seconds() + self._pause

    def _laid(self, descriptor: int, offset: int) -> bool:
        # of nothing at all the kernel makes no large page
        os.pwrite(descriptor, b"\0", offset)
        both = mmap.PROT_READ | mmap.PROT_WRITE
        if self._libc.mmap(self._window, _PAGE, both, mmap.MAP_SHARED | _FIXED, descriptor, offset) == _FAILED:
            return False
        done: bool = self._libc.madvise(self._window, _PAGE, _COLLAPSE) == 0
        # nothing of the file stays mapped, or it would never go
        self._libc.mmap(self._window, _PAGE, _NOTHING, _RESERVED | _FIXED, -1, 0)
        return done
