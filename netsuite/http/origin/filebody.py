"""The bytes of a large file: at once where the kernel has them, else read by threads ahead of who sends them."""

from __future__ import annotations

import os
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from netsuite.http.origin.tree import Signature
from netsuite.http.reading import read_now, read_waiting

__all__ = ["FileBody", "FileChanged"]

_CHUNK: Final = 256 * 1024


class FileChanged(Exception):
    """The file was changed or cut short while it was being sent: the rest would not be what was promised."""


class FileBody:
    """A source: pieces of an open file (or bytes as they are) in order; the descriptor is closed with it.

    ``pieces`` are spans of the file, or bytes to send between them. One chunk is read ahead.
    """

    __slots__ = ("_ahead", "_descriptor", "_pieces", "_pool", "_reactor", "_signature")

    def __init__(
        self,
        reactor: Any,
        pool: ThreadPool,
        descriptor: int,
        signature: Signature,
        pieces: list[tuple[int, int] | bytes],
    ) -> None:
        self._reactor = reactor
        self._pool = pool
        self._descriptor = descriptor
        self._signature = signature
        self._pieces = pieces[::-1]
        self._ahead: Deferred[bytes] | None = None

    def __aiter__(self) -> FileBody:
        return self

    async def __anext__(self) -> bytes:
        if self._ahead is None:
            piece = self._next_piece()
            if piece is None:
                raise StopAsyncIteration
            if isinstance(piece, bytes):
                return piece
            ready = _read_now(self._descriptor, self._signature, *piece)
            if ready is not None:
                return ready
            self._ahead = self._read(*piece)
        try:
            data = await self._ahead
        finally:
            self._ahead = None
        if self._pieces and not isinstance(self._pieces[-1], bytes):
            piece = self._next_piece()
            if piece is not None and not isinstance(piece, bytes):
                self._ahead = self._read(*piece)
        return data

    async def aclose(self) -> None:
        """Close the file, once what is being read has come."""
        ahead, self._ahead = self._ahead, None
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if ahead is None:
            os.close(descriptor)
        else:
            ahead.addBoth(lambda _: os.close(descriptor))

    def _next_piece(self) -> tuple[int, int] | bytes | None:
        """Bytes as they are, or a span of at most one chunk."""
        if not self._pieces:
            return None
        piece = self._pieces.pop()
        if isinstance(piece, bytes):
            return piece
        start, stop = piece
        if stop - start > _CHUNK:
            self._pieces.append((start + _CHUNK, stop))
            stop = start + _CHUNK
        return start, stop

    def _read(self, start: int, stop: int) -> Deferred[bytes]:
        return deferToThreadPool(self._reactor, self._pool, _pread, self._descriptor, self._signature, start, stop)


def _read_now(descriptor: int, signature: Signature, start: int, stop: int) -> bytes | None:
    """The bytes of a span if the kernel has them all in memory, so that nobody has to wait for a disk."""
    data = read_now(descriptor, start, stop)
    if data is None or len(data) < stop - start:
        return None
    _check(descriptor, signature)
    return data


def _check(descriptor: int, signature: Signature) -> None:
    if Signature.of(os.fstat(descriptor)) != signature:
        raise FileChanged("the file was changed while it was being sent")


def _pread(descriptor: int, signature: Signature, start: int, stop: int) -> bytes:
    """The bytes of a span; raises FileChanged if they are not there, or not those that were promised."""
    data = read_waiting(descriptor, start, stop)
    if len(data) < stop - start:
        raise FileChanged("the file was cut short while it was being sent")
    _check(descriptor, signature)
    return data
