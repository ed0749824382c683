"""The body of an answer that is made of parts, as it is sent.

Implements: RFC 9110 section 15.3.7; RFC 9111 section 3.4
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netsuite.common.body import BodyFailed
from netsuite.http.cache.sparse import Sparse
from netsuite.http.cache.stored import StoredResponse
from netsuite.http.proxy.flight import Landing, Reader
from netsuite.http.proxy.slices import Slice, Slices, Wish
from netsuite.http.wire.ranges import Span
from netsuite.sansio.connection import Source
from netsuite.sansio.spans import covers, lacking

__all__ = ["Patchwork"]

_PIECE: Final = 256 * 1024


class Patchwork:
    """A Content that is whole: what is stored, and what is missing as it is fetched; ``part`` is the first of that."""

    __slots__ = ("_part", "_slices", "_stored", "_wish", "body", "cost", "size")

    def __init__(self, slices: Slices, wish: Wish, stored: StoredResponse, part: Slice) -> None:
        self.size = stored.content.size
        self.cost = 0
        self.body: bytes | None = None
        self._slices = slices
        self._wish = wish
        self._stored = stored.holding(slices.held(wish, stored))
        self._part: Slice | None = part

    def spans(self) -> Sequence[Span]:
        """All of it, sooner or later."""
        return ((0, self.size),)

    def piece(self, first: int, stop: int) -> bytes | Source:
        """Bytes that are there, or a source."""
        if covers(self._stored.content.spans(), [(first, stop)]):
            return self._stored.content.piece(first, stop)
        part = self._part
        if part is not None and not part.flight.keeping:
            self._part = None  # what is not kept can be read once
        return Walk(self._slices, self._wish, self._stored, first, stop, part)

    def at_hand(self) -> None:
        """Some of it must be waited for."""


class Walk:
    """A source that goes through a span from part to part: stored ones, slices under way, slices of its own."""

    __slots__ = ("_at", "_ready", "_slices", "_source", "_stop", "_stored", "_until", "_wish")

    def __init__(
        self, slices: Slices, wish: Wish, stored: StoredResponse, first: int, stop: int, part: Slice | None
    ) -> None:
        self._slices = slices
        self._wish = wish
        self._stored = stored
        self._at = first
        self._stop = stop
        self._until = first
        self._source: Source | None = None
        self._ready: tuple[int, Slice, Reader] | None = None
        missing = lacking(stored.content.spans(), [(first, stop)])[0][0]
        if part is not None and part.first <= missing < part.stop:
            # entered now: it must not be given up while what comes before it is sent
            self._ready = missing, part, self._enter(part, missing)

    def __aiter__(self) -> Walk:
        return self

    async def __anext__(self) -> bytes:
        while self._at < self._stop:
            source = self._source
            if source is None:
                found = self._held() or await self._boarded()
                if not isinstance(found, bytes):
                    self._source = found
                    continue
                chunk = found
            else:
                try:
                    chunk = await source.__anext__()
                except StopAsyncIteration:
                    await self._leave()
                    if self._at < self._until:
                        raise BodyFailed("a part ended before its end") from None
                    continue
            self._at += len(chunk)
            return chunk
        raise StopAsyncIteration

    def _held(self) -> bytes | Source:
        """What is stored from here on, as far as it lies in one piece."""
        for content in (self._stored.content, self._slices.held(self._wish, self._stored)):
            if isinstance(content, Sparse):
                run = content.run(self._at, self._stop)
                if run:
                    return run
            elif content.body is not None:
                return content.piece(self._at, min(self._stop, self._at + _PIECE))
            else:
                self._until = self._stop
                return content.piece(self._at, self._stop)
        return b""

    async def _boarded(self) -> Reader:
        """A reader of the slice that brings the next byte."""
        slices, wish, stored = self._slices, self._wish, self._stored
        ready, self._ready = self._ready, None
        if ready is not None and ready[0] == self._at:
            _, part, reader = ready
        else:
            if ready is not None:
                await ready[2].aclose()
            known = slices.over(wish, stored, self._at)
            if known is not None and await known.flight.landed(False, None) is Landing.READ and self._fits(known):
                part = known
            else:
                part = slices.depart(wish, stored, self._at, self._stop, shared=known is None)
                if await part.flight.landed(True, None) is not Landing.READ or not self._fits(part):
                    raise BodyFailed("the representation changed while it was sent, or the rest of it cannot be had")
            reader = self._enter(part, self._at)
        self._until = min(self._stop, part.stop)
        slices.ahead(wish, stored, part.stop, self._stop)
        return reader

    def _fits(self, part: Slice) -> bool:
        return part.first <= self._at < part.stop and part.flight.response is part

    def _enter(self, part: Slice, first: int) -> Reader:
        return part.flight.reader().span(first - part.first, min(self._stop, part.stop) - part.first)

    async def _leave(self) -> None:
        source, self._source = self._source, None
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()

    async def aclose(self) -> None:
        """Done, or the client has gone."""
        ready, self._ready = self._ready, None
        if ready is not None:
            await ready[2].aclose()
        await self._leave()
