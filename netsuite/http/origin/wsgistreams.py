"""What a WSGI application reads and writes: each side in a thread of its own, the other in the reactor."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["ErrorLog", "Gone", "Input", "Output"]

_log = Logger()

_AHEAD: Final = 256 * 1024
"""Bytes that an application may be ahead of its client."""


class Gone(Exception):
    """The client is not there any more."""


class ErrorLog(io.TextIOBase):
    """``wsgi.errors``: whole lines to the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._line = ""

    def write(self, text: str) -> int:
        """Log the lines that are whole."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            _log.error("{app}: {line}", app=self._name, line=line)
        return len(text)

    def flush(self) -> None:
        """Log what has no line end yet."""
        if self._line:
            self.write("\n")


class Input(io.RawIOBase):
    """``wsgi.input`` at its raw end: the thread waits while the reactor fetches the next chunk."""

    def __init__(self, reactor: Any, body: AsyncIterator[bytes], limit: int) -> None:
        self._reactor = reactor
        self._body = body
        self._left = limit
        self._chunk = memoryview(b"")
        self._ended = False
        self.too_long = False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """In the thread."""
        if not self._chunk and not self._ended:
            self._chunk = memoryview(self._fetched())
            self._left -= len(self._chunk)
            if self._left < 0:
                self.too_long = True
                raise OSError("the request's body is longer than http.body_limit")
        count = min(len(buffer), len(self._chunk))
        buffer[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count

    def _fetched(self) -> bytes:
        arrived = threading.Event()
        result: list[Any] = []

        def settled(value: Any) -> None:
            result.append(value)
            arrived.set()

        self._reactor.callFromThread(lambda: Deferred.fromCoroutine(self._next()).addBoth(settled))
        arrived.wait()
        if isinstance(result[0], Failure):
            raise OSError(f"the request's body broke off: {result[0].getErrorMessage()}")
        chunk: bytes = result[0]
        self._ended = not chunk
        return chunk

    async def _next(self) -> bytes:
        async for chunk in self._body:
            if chunk:
                return chunk
        return b""


class Output:
    """What an application writes, as the source of an answer's body."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._changed = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._failed = False
        self._gone = False
        self._waiter: Deferred[None] | None = None

    # -- in the thread

    def put(self, data: bytes) -> None:
        """Hand over a piece, once there is room; raises Gone if nobody wants it."""
        with self._changed:
            while self._size >= _AHEAD and not self._gone:
                self._changed.wait()
            if self._gone:
                raise Gone
            self._chunks.append(data)
            self._size += len(data)
            first = len(self._chunks) == 1
        if first:
            self._reactor.callFromThread(self._wake)

    def end(self, *, failed: bool) -> None:
        """That was all."""
        with self._changed:
            self._over = True
            self._failed = failed
        self._reactor.callFromThread(self._wake)

    # -- in the reactor

    def give_up(self) -> None:
        """Nobody wants the rest."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def __aiter__(self) -> Output:
        return self

    async def __anext__(self) -> bytes:
        while True:
            with self._changed:
                if self._chunks:
                    data = b"".join(self._chunks)
                    self._chunks.clear()
                    self._size = 0
                    self._changed.notify_all()
                    return data
                if self._over:
                    if self._failed:
                        raise RuntimeError("the application broke off")
                    raise StopAsyncIteration
            self._waiter = Deferred()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def aclose(self) -> None:
        """The answer has ended."""
        self.give_up()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.called:
            waiter.callback(None)
