"""Resources of twisted.web under our server: its own Request class, on a channel that is one exchange of ours.

Everything that a Resource may ask of its request works: arguments, cookies, sessions, NOT_DONE_YET, producers,
notifyFinish. What twisted.web's own server does badly stays out of it: framing, limits, pipelining and TLS are ours.

Known weakness: twisted.web hands a request over only when its body is complete, so bodies are gathered first, in memory
when they are small and in a temporary file otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from zope.interface import implementer

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.http.hosts import host_of
from netsuite.http.server import error_page
from netsuite.http.wire.messages import Fields
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest

__all__ = ["ResourceTree", "as_resource"]

_AHEAD: Final = 256 * 1024
"""Bytes that a producer may be ahead of its client."""
_OWN: Final = frozenset([b"date", b"server", b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"])


def as_resource(found: Any, name: str) -> Any:
    """A resource, or what a callable makes; raises StartError."""
    if not IResource.providedBy(found) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise StartError(f"http.mount.app: {name} makes no resource ({type(error).__name__}: {error})") from error
    if not IResource.providedBy(found):
        raise StartError(f"http.mount.app: {name} is no resource of twisted.web")
    return found


class _Mounted(Site):
    """A site whose root lies some segments deep."""

    depth = 0

    def getResourceFor(self, request: Any) -> Any:
        for _ in range(self.depth):
            request.prepath.append(request.postpath.pop(0))
        if not request.postpath:
            request.postpath.append(b"")
        return super().getResourceFor(request)  # type: ignore[no-untyped-call]


class _Channel:
    """What a twisted.web Request takes for its connection, and the source of the answer's body."""

    factory = None

    def __init__(self, site: Site, clock: Any, asked: IHttpRequest) -> None:
        self.site = site
        self.transport = self
        self.head: Deferred[None] = Deferred()
        self.status = 500
        self.fields: Fields = []
        self.done = False
        self._clock = clock
        self._asked = asked
        self._chunks: list[bytes] = []
        self._size = 0
        self._producer: Any = None
        self._streaming = False
        self._paused = False
        self._waiter: Deferred[None] | None = None
        self._telling = False
        self.request: Any = Request(self)

    # -- what the request asks of its channel

    def getPeer(self) -> Any:
        """The client's address."""
        host, port = self._asked.peer
        return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)

    def getHost(self) -> Any:
        """Where the client thinks that it is."""
        secure = self._asked.scheme == "https"
        port = self._asked.authority.rpartition(b":")[2]
        host = host_of(self._asked.authority).decode("latin-1")
        return IPv4Address("TCP", host, int(port) if port.isdigit() else 443 if secure else 80)

    def isSecure(self) -> bool:
        """Whether nobody can listen."""
        return self._asked.scheme == "https"

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """The head of the answer."""
        self.status = int(code)
        self.fields = [
            (name.lower(), value.strip())
            for name, values in headers.getAllRawHeaders()
            for value in values
            if name.lower() not in _OWN
        ]
        self._tell_soon()

    def write(self, data: bytes) -> None:
        """More of the body."""
        self._chunks.append(data)
        self._size += len(data)
        if self._streaming and not self._paused and self._size >= _AHEAD:
            self._paused = True
            self._producer.pauseProducing()
        self._tell_soon()

    def writeSequence(self, pieces: Any) -> None:
        """More of the body."""
        self.write(b"".join(pieces))

    def requestDone(self, request: Any) -> None:
        """The body is complete."""
        self.done = True
        self._tell_soon()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Somebody makes the body as it is wanted."""
        self._producer, self._streaming, self._paused = producer, streaming, False
        if not streaming:
            self._clock.callLater(0, self._pull)

    def unregisterProducer(self) -> None:
        """Nobody does any more."""
        self._producer, self._streaming = None, False

    def loseConnection(self) -> None:
        """The resource wants the answer to break off."""
        self.abandon()
        self._tell_soon()

    abortConnection = loseConnection

    def _respondToBadRequestAndDisconnect(self) -> None:
        """The request's body is not what its Content-Type says."""
        self.request.setResponseCode(400)
        self.request.finish()

    # -- the source

    def whole(self) -> bytes:
        """What was written so far; it is all, if it is done."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return data

    def __aiter__(self) -> _Channel:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._chunks:
                return self.whole()
            if self.done:
                raise StopAsyncIteration
            if self.request is None:
                raise RuntimeError("the resource broke off")
            if self._paused:
                self._paused = False
                self._producer.resumeProducing()
                continue
            if self._producer is not None and not self._streaming:
                self._pull()
                if self._chunks or self.done:
                    continue
            self._waiter = Deferred()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def aclose(self) -> None:
        """The answer has ended, maybe before its time."""
        self.abandon()

    def abandon(self) -> None:
        """Tell the resource that its client has gone, unless it is done."""
        request, self.request = self.request, None
        producer, self._producer = self._producer, None
        if self.done or request is None:
            return
        if producer is not None:
            producer.stopProducing()
        request.connectionLost(Failure(ConnectionDone()))

    def _pull(self) -> None:
        if self._producer is not None and not self._streaming and not self._chunks:
            self._producer.resumeProducing()

    def _tell_soon(self) -> None:
        """Go on with the answer, but not within a call of who makes it: that may not be ready for another one."""
        if not self._telling:
            self._telling = True
            self._clock.callLater(0, self._tell)

    def _tell(self) -> None:
        self._telling = False
        for waiter in (self.head, self._waiter):
            if waiter is not None and not waiter.called:
                waiter.callback(None)


@implementer(IHttpApplication)
class ResourceTree:
    """A resource and what is below it, mounted on ``prefix`` (without a last slash)."""

    def __init__(self, commons: Commons, resource: Any, prefix: bytes, *, body_limit: int = 64 << 20) -> None:
        self._clock = commons.clock
        self._body_limit = body_limit
        self._site = _Mounted(resource, reactor=commons.reactor)  # type: ignore[no-untyped-call]
        self._site.depth = prefix.count(b"/")

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The resource's answer."""
        return self._answer(request, body)

    async def _answer(self, asked: IHttpRequest, body: AsyncIterator[bytes]) -> HttpAnswer:
        channel = _Channel(self._site, self._clock, asked)
        request = channel.request
        version = getattr(asked, "version", (1, 1))
        try:
            for name, value in asked.headers:
                request.requestHeaders.addRawHeader(name, value)
            if asked.header(b"host") is None:
                request.requestHeaders.addRawHeader(b"host", asked.authority)
            length = asked.header(b"content-length")
            request.gotLength(int(length) if length is not None else None)
            size = 0
            async for chunk in body:
                size += len(chunk)
                if size > self._body_limit:
                    channel.abandon()
                    return error_page(413, f"Bodies of up to {self._body_limit} bytes are taken.")
                request.handleContentChunk(chunk)
            request.parseCookies()
            target = asked.path if asked.query is None else asked.path + b"?" + asked.query
            # to an "HTTP/1.1" it would write chunks, which are our business
            request.requestReceived(asked.method, target, b"HTTP/1.0" if version == (1, 0) else b"HTTP/2")
            if not channel.done:
                await channel.head
        except BaseException:
            channel.abandon()
            raise
        return channel.status, channel.fields, channel.whole() if channel.done else channel
