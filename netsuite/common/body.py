"""The body of a message, as applications read it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from netsuite.common.stream import StreamAdapter

__all__ = ["EMPTY", "Body", "BodyFailed", "BodyTooLarge"]


class BodyFailed(Exception):
    """The rest of the body will never come: the peer left, or broke the protocol."""


class BodyTooLarge(Exception):
    """The body is longer than its reader allows."""


class Body:
    """An asynchronous iterator over the chunks of one body, in order, each handed over once.

    Taking a chunk tells the protocol machine that its bytes are consumed, which is what lets the
    peer send more. A body may be another message's source. One reader only, who may set ``lasting`` if it goes on
    reading when the answer is complete, as in a tunnel.
    """

    __slots__ = ("_adapter", "_chunks", "_dropping", "_failure", "_waiter", "ended", "lasting", "stream", "trailers")

    def __init__(self, adapter: StreamAdapter | None, stream: int) -> None:
        self._adapter = adapter
        self.stream = stream
        self._chunks: deque[bytes] = deque()
        self._waiter: Deferred[None] | None = None
        self._failure: str | None = None
        self._dropping = False
        self.ended = adapter is None
        self.lasting = False
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._failure is not None:
                raise BodyFailed(self._failure)
            if self.ended or self._adapter is None:
                raise StopAsyncIteration
            self._adapter.consumed(0, self.stream)
            if self._chunks:
                break
            if not self.ended and self._failure is None:
                self._waiter = Deferred()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
        chunk = self._chunks.popleft()
        if self._adapter is not None:
            self._adapter.consumed(len(chunk), self.stream)
        return chunk

    @classmethod
    def of(cls, data: bytes) -> Body:
        """A body that is all there."""
        body = cls(None, 0)
        body._chunks.append(data)
        return body

    def at_hand(self) -> bytes | None:
        """The whole body if it is all there and nothing of it was taken; it still is to be read, or closed."""
        if self._adapter is not None:
            return None
        return self._chunks[0] if self._chunks else b""

    async def read(self, limit: int) -> bytes:
        """The whole body; raises BodyTooLarge beyond ``limit`` bytes, BodyFailed if it breaks off."""
        chunks, size = [], 0
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(f"the body is longer than {limit} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def aclose(self) -> None:
        """Nobody will read the rest."""
        self.drop()

    def drop(self) -> None:
        """What has come and what is still to come is thrown away."""
        if self._dropping:
            return
        self._dropping = True
        waiting = sum(map(len, self._chunks))
        self._chunks.clear()
        if self._adapter is not None and not self.ended and self._failure is None:
            self._adapter.dropping(self, waiting)

    def feed(self, data: bytes) -> bool:
        """The adapter: a chunk arrived; false if nobody wants it."""
        if self._dropping:
            return False
        self._chunks.append(data)
        self._wake()
        return True

    def finish(self, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        """The adapter: the body is complete."""
        self.ended = True
        self.trailers = trailers
        self._wake()

    def fail(self, reason: str) -> None:
        """The adapter: the rest will never come."""
        if not self.ended and self._failure is None:
            self._failure = reason
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)


EMPTY = Body(None, 0)
"""The body of every message that has none."""
