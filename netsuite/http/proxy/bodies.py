"""Complete bodies in memory: small ones as bytes, others where the kernel sends them from by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from netsuite.common.arena import Arena, Lodged
from netsuite.common.filespan import FileSpan
from netsuite.http.cache.content import Content, InMemory
from netsuite.http.wire.ranges import Span
from netsuite.sansio.connection import Source

__all__ = ["FileSource", "InArena", "Keeper"]

_LODGED_FROM: Final = 64 * 1024
"""From here on it costs less to send pages than to copy them."""
_READ_TO: Final = 256 * 1024
"""Up to here a part of a body is copied, which is simpler for all who send it."""
_ARENA_FROM: Final = 64 << 20
"""In less memory than this, the chunks of an arena would be a good part of all."""
_PIECE: Final = 16 << 20


class FileSource:
    """A source: a span of a file in pieces that are not read."""

    __slots__ = ("_at", "_span")

    def __init__(self, span: FileSpan) -> None:
        self._span = span
        self._at = 0

    def __aiter__(self) -> FileSource:
        return self

    async def __anext__(self) -> Any:
        first = self._at
        if first == len(self._span):
            raise StopAsyncIteration
        self._at = min(first + _PIECE, len(self._span))
        return self._span[first : self._at]

    async def aclose(self) -> None:
        """Nothing is held but the file, which others may hold as well."""


class InArena:
    """A complete body that lies in an arena."""

    __slots__ = ("_lodged", "body", "cost", "size")

    def __init__(self, lodged: Lodged) -> None:
        self._lodged = lodged
        self.body: bytes | None = None
        self.size = len(lodged)
        self.cost = lodged.cost

    def spans(self) -> Sequence[Span]:
        """All of it."""
        return ((0, self.size),)

    def piece(self, first: int, stop: int) -> bytes | Source:
        """Some of it."""
        if stop - first <= _READ_TO:
            return bytes(self._lodged.view[first:stop])
        return FileSource(self._lodged[first:stop])

    def at_hand(self) -> FileSpan:
        """All of it."""
        return self._lodged


class Keeper:
    """Puts complete bodies where they are best kept, for a store that has ``budget`` bytes; ``arena`` may be None."""

    def __init__(self, budget: int) -> None:
        self.arena = Arena() if budget >= _ARENA_FROM else None

    def keep(self, body: bytes) -> Content:
        """The same as a content."""
        if self.arena is None or len(body) < _LODGED_FROM:
            return InMemory(body)
        try:
            return InArena(self.arena.lodge(body))
        except OSError:
            # there are no more descriptors, or no memory of this kind
            return InMemory(body)
