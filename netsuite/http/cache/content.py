"""The body of a stored response, wherever it lies: in memory, on disk, or in parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from netsuite.http.wire.ranges import Span
from netsuite.sansio.connection import Source

__all__ = ["Content", "InMemory", "Joined", "joined"]


class Content(Protocol):
    """What is stored of a representation.

    ``size`` is the length of the whole representation, ``cost`` the bytes of memory that this takes. ``body`` is the
    whole as bytes where it lies in memory, else None.
    """

    size: int
    cost: int
    body: bytes | None

    def spans(self) -> Sequence[Span]:
        """What is there, in order, apart from one another; of a complete body ``((0, size),)``, or none if empty."""

    def piece(self, first: int, stop: int) -> bytes | Source:
        """Bytes of a span that is there; a source where they must be read first."""

    def at_hand(self) -> Any | None:
        """All of it as it can be sent now without waiting: bytes, or what the kernel sends from a file; else None."""


class InMemory:
    """A complete body."""

    __slots__ = ("body", "cost", "size")

    def __init__(self, body: bytes) -> None:
        self.body: bytes | None = body
        self.size = self.cost = len(body)

    def spans(self) -> Sequence[Span]:
        """All of it."""
        return ((0, self.size),) if self.size else ()

    def piece(self, first: int, stop: int) -> bytes:
        """Some of it."""
        assert self.body is not None
        return self.body[first:stop]

    def at_hand(self) -> bytes | None:
        """All of it."""
        return self.body


class Joined:
    """A source made of bytes and sources, one after the other."""

    __slots__ = ("_current", "_pieces")

    def __init__(self, pieces: Sequence[bytes | Source]) -> None:
        self._pieces = list(reversed(pieces))
        self._current: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> Joined:
        return self

    async def __anext__(self) -> bytes:
        while self._current is not None or self._pieces:
            if self._current is None:
                piece = self._pieces.pop()
                if isinstance(piece, bytes):
                    return piece
                self._current = piece
            try:
                return await self._current.__anext__()
            except StopAsyncIteration:
                done, self._current = self._current, None
                await _close(done)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close what is left."""
        left, self._pieces = self._pieces, []
        current, self._current = self._current, None
        for piece in (current, *left):
            if piece is not None and not isinstance(piece, bytes):
                await _close(piece)


async def _close(source: AsyncIterator[bytes]) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


def joined(pieces: Sequence[bytes | Source]) -> bytes | Source:
    """Pieces as one body: bytes if they all are."""
    if len(pieces) == 1:
        return pieces[0]
    plain = [piece for piece in pieces if isinstance(piece, bytes)]
    return b"".join(plain) if len(plain) == len(pieces) else Joined(pieces)
