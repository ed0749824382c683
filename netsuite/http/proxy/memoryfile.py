"""Complete bodies in memory: small ones as bytes, large ones as nameless files that the kernel sends by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from netsuite.common.filespan import FileSpan, HeldFile, memory_file
from netsuite.http.cache.content import Content, InMemory
from netsuite.http.wire.ranges import Span
from netsuite.sansio.connection import Source

__all__ = ["FileSource", "InMemoryFile", "kept"]

_LARGE: Final = 512 * 1024
_PIECE: Final = 16 << 20


class FileSource:
    """A source: a span of a file in pieces that are not read."""

    __slots__ = ("_at", "_file", "_stop")

    def __init__(self, file: HeldFile, first: int, stop: int) -> None:
        self._file = file
        self._at = first
        self._stop = stop

    def __aiter__(self) -> FileSource:
        return self

    async def __anext__(self) -> Any:
        first = self._at
        if first == self._stop:
            raise StopAsyncIteration
        self._at = min(first + _PIECE, self._stop)
        return FileSpan(self._file, first, self._at)

    async def aclose(self) -> None:
        """Nothing is held but the file, which others may hold as well."""


class InMemoryFile:
    """A complete body in a file without a name."""

    __slots__ = ("_file", "body", "cost", "size")

    def __init__(self, body: bytes) -> None:
        self._file = memory_file(body)
        self.body: bytes | None = None
        self.size = self.cost = len(body)

    def spans(self) -> Sequence[Span]:
        """All of it."""
        return ((0, self.size),)

    def piece(self, first: int, stop: int) -> Source:
        """Some of it."""
        return FileSource(self._file, first, stop)

    def at_hand(self) -> FileSpan:
        """All of it."""
        return FileSpan(self._file, 0, self.size)


def kept(body: bytes) -> Content:
    """A complete body, as it is best kept."""
    return InMemory(body) if len(body) < _LARGE else InMemoryFile(body)
