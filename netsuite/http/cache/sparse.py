"""The body of a stored response of which only parts are there.

Implements: RFC 9111 sections 3.3, 3.4
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from netsuite.http.cache.content import Content, InMemory, Joined
from netsuite.http.wire.ranges import Span
from netsuite.sansio.connection import Source
from netsuite.sansio.spans import lacking, union

__all__ = ["Sparse", "merged"]

_PIECES_AT_MOST: Final = 64
_COST_OF_A_PIECE: Final = 120
_COPIED_AT_MOST: Final = 64 * 1024

Piece = tuple[int, bytes]
"""Where some bytes begin, and the bytes."""


class Sparse:
    """Parts of a representation of ``size`` bytes: a Content that is never changed, and never the whole.

    Make one with :func:`merged`, which shares the pieces of the one that it adds to.
    """

    __slots__ = ("_firsts", "_pieces", "_spans", "body", "cost", "size")

    def __init__(self, size: int, pieces: Sequence[Piece] = ()) -> None:
        self.size = size
        self.body: bytes | None = None
        self.cost = sum(len(data) + _COST_OF_A_PIECE for _, data in pieces)
        self._pieces = tuple(pieces)
        self._firsts = [first for first, _ in pieces]
        self._spans = tuple(union((first, first + len(data)) for first, data in pieces))

    @property
    def pieces(self) -> Sequence[Piece]:
        """What is there, in order; pieces may touch."""
        return self._pieces

    def spans(self) -> Sequence[Span]:
        """What is there."""
        return self._spans

    def piece(self, first: int, stop: int) -> bytes | Source:
        """Bytes of a span that is there; many of them are given piece by piece, so that they are not copied."""
        size = stop - first
        found: list[bytes] = []
        while first < stop:
            run = self.run(first, stop)
            assert run, "the span is not there"
            found.append(run)
            first += len(run)
        if len(found) == 1:
            return found[0]
        return b"".join(found) if size <= _COPIED_AT_MOST else Joined(found)

    def at_hand(self) -> None:
        """Never all of it."""

    def run(self, first: int, stop: int) -> bytes:
        """What one piece holds from ``first`` on, up to ``stop``; empty if that byte is not there."""
        at = bisect_right(self._firsts, first) - 1
        if at < 0:
            return b""
        begin, data = self._pieces[at]
        return data if begin == first and begin + len(data) <= stop else data[first - begin : max(first, stop) - begin]


def merged(content: Content, parts: Iterable[tuple[Span, bytes]], limit: int) -> Content:
    """The content with more parts of the same representation; what is there already stays as it is.

    It is InMemory once the whole is there. At most ``limit`` bytes are held: beyond that the pieces go that lie
    farthest from the part that came last. There are never more than a fixed number of pieces: touching ones are joined,
    and if that is not enough the smallest are forgotten.
    """
    if not isinstance(content, Sparse):
        return content
    pieces = list(content.pieces)
    last: Span = (0, 0)
    for span, data in parts:
        last = span
        held = [(first, first + len(bytes_)) for first, bytes_ in pieces]
        gaps = lacking(held, [span])
        pieces += [(a, data if (a, b) == span else data[a - span[0] : b - span[0]]) for a, b in gaps]
        pieces.sort()
    if sum(len(data) for _, data in pieces) == content.size:
        return InMemory(b"".join(data for _, data in pieces))
    if len(pieces) > _PIECES_AT_MOST:
        pieces = _coalesced(pieces)
    if len(pieces) > _PIECES_AT_MOST:
        pieces = sorted(sorted(pieces, key=lambda piece: len(piece[1]))[len(pieces) // 2 :])
    cost = sum(len(data) + _COST_OF_A_PIECE for _, data in pieces)
    if cost > limit:
        pieces.sort(key=lambda piece: max(last[0] - piece[0] - len(piece[1]), piece[0] - last[1]))
        while pieces and cost > limit:
            cost -= len(pieces.pop()[1]) + _COST_OF_A_PIECE
        pieces.sort()
    return Sparse(content.size, pieces)


def _coalesced(pieces: Sequence[Piece]) -> list[Piece]:
    """Touching pieces joined."""
    found: list[Piece] = []
    run: list[bytes] = []
    begin = end = 0
    for first, data in pieces:
        if run and first != end:
            found.append((begin, run[0] if len(run) == 1 else b"".join(run)))
            run = []
        if not run:
            begin = first
        run.append(data)
        end = first + len(data)
    if run:
        found.append((begin, run[0] if len(run) == 1 else b"".join(run)))
    return found
