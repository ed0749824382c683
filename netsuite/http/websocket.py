"""WebSockets for applications: the answer to a request becomes a conversation of messages.

An application answers with what :func:`accept` makes; ``talk(socket)`` is then run for as long as the conversation
lasts. Where it ends, the socket is closed with 1000; where it raises, with 1011. Reading ahead of the application is
bounded, and sending waits while the client does not read, so neither side can fill the memory. A client that stays
silent is pinged, and given up when it does not answer.

Only pages of the same host may connect, unless ``origins`` names others: browsers let every page try (section 10.2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from netsuite.common.body import BodyFailed
from netsuite.common.commons import Runtime
from netsuite.http.server import error_page
from netsuite.http.wire.websocket import Closed, Message, Pong, WebSocketMachine, accept_key, negotiated
from netsuite.interfaces import HttpAnswer, IHttpRequest, IWebSocket
from netsuite.sansio.fields import split_list

__all__ = ["WebSocket", "accept"]

_log = Logger()

_AHEAD: Final = 256 * 1024
_FAREWELL: Final = 5.0
"""Seconds in which a client answers our Close."""


def accept(
    commons: Runtime,
    request: IHttpRequest,
    body: AsyncIterator[bytes],
    talk: Callable[[IWebSocket], Awaitable[None]],
    *,
    protocols: Sequence[str] = (),
    origins: Sequence[str] = (),
    limit: int = 1 << 20,
    ping: float = 30.0,
) -> HttpAnswer:
    """The answer that makes a request a WebSocket, or the refusal of one that cannot be.

    ``protocols`` are those that the application speaks, the best first; ``limit`` bounds a message in bytes; after
    ``ping`` seconds of silence the client is asked whether it is there.
    """
    header = request.header
    asked: bytes = getattr(request, "upgrade", None) or b""
    if asked.lower() != b"websocket" or request.method != b"GET":
        status, fields, page = error_page(426, "This is a WebSocket.")
        return status, [*fields, (b"upgrade", b"websocket")], page
    if header(b"sec-websocket-version") != b"13":
        status, fields, page = error_page(426, "This is a WebSocket of version 13.")
        return status, [*fields, (b"sec-websocket-version", b"13")], page
    fields = [(b"upgrade", b"websocket")]
    if getattr(request, "version", (1, 1)) < (2, 0):
        key = accept_key(header(b"sec-websocket-key"))
        if key is None:
            return error_page(400, "The Sec-WebSocket-Key is none.")
        fields.append((b"sec-websocket-accept", key))
    origin = header(b"origin")
    if origin is not None and not _welcome(origin.decode("latin-1"), request, origins):
        return error_page(403, "Pages from elsewhere may not connect here.")
    protocol = None
    offered = [each.decode("latin-1") for each in split_list(header(b"sec-websocket-protocol") or b"")]
    for each in protocols:
        if each in offered:
            protocol = each
            fields.append((b"sec-websocket-protocol", each.encode()))
            break
    deflate = negotiated(header(b"sec-websocket-extensions"))
    if deflate is not None:
        fields.append((b"sec-websocket-extensions", deflate.answer))
    machine = WebSocketMachine(limit=limit, deflate=deflate)
    return 101, fields, _Conversation(WebSocket(commons, machine, protocol, ping), body, talk)


def _welcome(origin: str, request: IHttpRequest, origins: Sequence[str]) -> bool:
    if origin in origins or "*" in origins:
        return True
    parts = urlsplit(origin)
    return parts.scheme == request.scheme and parts.netloc.lower().encode() == request.authority.lower()


@implementer(IWebSocket)
class WebSocket:
    """One conversation; ``protocol`` is what was agreed, ``close_code`` how it ended (1006: without a word)."""

    def __init__(self, commons: Runtime, machine: WebSocketMachine, protocol: str | None, ping: float) -> None:
        self.protocol = protocol
        self.close_code: int | None = None
        self._clock = commons.clock
        self._machine = machine
        self._ping = ping
        self._messages: deque[str | bytes] = deque()
        self._held = 0
        self._out: list[bytes] = []
        self._unsent = 0
        self._waiting: list[Deferred[None]] = []
        self._timer: Any = None
        self._heard = True
        self.ended = False

    def __aiter__(self) -> WebSocket:
        """The messages, until the conversation ends."""
        return self

    async def __anext__(self) -> str | bytes:
        """The next message."""
        while not self._messages:
            if self.ended or self.close_code is not None:
                raise StopAsyncIteration
            await self._turn()
        message = self._messages.popleft()
        self._held -= len(message)
        self._wake()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits while the client does not read. Nothing happens once the socket is closed."""
        self._machine.send(message)
        self._collect()
        while self._unsent > _AHEAD and not self.ended:
            await self._turn()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say good-bye: nothing is sent after it. ValueError for a code that nobody may send."""
        if not self._machine.closing and not self.ended:
            self._machine.close(code, reason)
            self._set_timer(_FAREWELL)
            self._collect()

    # -- for the connection

    def start(self) -> None:
        """The connection stands."""
        self._set_timer(self._ping)

    async def read(self, body: AsyncIterator[bytes]) -> None:
        """Take what comes, until the end."""
        try:
            async for chunk in body:
                self._heard = True
                self._take(self._machine.receive(chunk))
                while self._held > _AHEAD and not self.ended and self.close_code is None:
                    await self._turn()
                if self._machine.over:
                    return
        except BodyFailed:
            pass
        self._take(self._machine.receive(b""))

    async def outgoing(self) -> bytes:
        """What is to be written next; empty when that was all."""
        while not self._out:
            if self.ended or (self._machine.over and self._machine.closing) or self.close_code == 1006:
                return b""
            await self._turn()
        data = b"".join(self._out)
        self._out.clear()
        self._unsent = 0
        self._wake()
        return data

    def end(self) -> None:
        """The connection is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.ended = True
        if self.close_code is None:
            self.close_code = 1006
        self._wake()

    def _take(self, events: Sequence[Message | Pong | Closed]) -> None:
        for event in events:
            if isinstance(event, Message):
                self._messages.append(event.data)
                self._held += len(event.data)
            elif isinstance(event, Closed) and self.close_code is None:
                self.close_code = event.code
        self._collect()
        self._wake()

    def _collect(self) -> None:
        data = self._machine.outgoing()
        if data:
            self._out.append(data)
            self._unsent += len(data)
            self._wake()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.ended:
            self._timer = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        """The client has had its time: to answer a ping, or our Close."""
        self._timer = None
        if self._machine.closing or not self._heard:
            self.end()
            return
        self._heard = False
        self._machine.ping()
        self._collect()
        self._set_timer(self._ping)

    def _turn(self) -> Deferred[None]:
        """Something has changed."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)


class _Conversation:
    """The source of a connection's bytes: runs the application, and the reading, as long as it is asked for more."""

    def __init__(
        self, socket: WebSocket, body: AsyncIterator[bytes], talk: Callable[[IWebSocket], Awaitable[None]]
    ) -> None:
        self._socket = socket
        self._body = body
        self._talk = talk
        self._jobs: list[Deferred[None]] = []

    def __aiter__(self) -> _Conversation:
        return self

    async def __anext__(self) -> bytes:
        if not self._jobs:
            self._socket.start()
            for work in (self._socket.read(self._body), self._run()):
                job = Deferred.fromCoroutine(work)
                job.addErrback(lambda failure: failure.trap(CancelledError) and None)
                self._jobs.append(job)
        data = await self._socket.outgoing()
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """The connection is over, or nothing more is to be said."""
        self._socket.end()
        for job in self._jobs:
            job.cancel()

    async def _run(self) -> None:
        try:
            await self._talk(cast(IWebSocket, self._socket))
        except CancelledError:
            raise
        except Exception:
            _log.failure("a conversation failed")
            await self._socket.close(1011, "the server failed")
        else:
            await self._socket.close()
