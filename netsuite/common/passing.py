"""Sources that pass another source on, and do something of their own on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

__all__ = ["Counted", "Passing"]


class Passing:
    """A source that gives what another gives: its chunks, its trailers if it has any, its end."""

    __slots__ = ("_source",)

    def __init__(self, source: Any) -> None:
        self._source = source

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk: bytes = await self._source.__anext__()
        return chunk

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The source's trailers, if it has any."""
        found: tuple[tuple[bytes, bytes], ...] = getattr(self._source, "trailers", ())
        return found

    async def aclose(self) -> None:
        """Close the source."""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


class Counted(Passing):
    """A source that tells ``done``, once, how many bytes it gave."""

    __slots__ = ("_done", "_size")

    def __init__(self, source: Any, done: Callable[[int], None]) -> None:
        super().__init__(source)
        self._done: Callable[[int], None] | None = done
        self._size = 0

    async def __anext__(self) -> bytes:
        chunk: bytes = await self._source.__anext__()
        self._size += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Tell how many bytes it was, and close the source."""
        done, self._done = self._done, None
        if done is not None:
            done(self._size)
        await super().aclose()
