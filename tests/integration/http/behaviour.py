"""An application with one path for each way to behave, and a source that breaks when it is told to."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netsuite.http.server import Memorable
from netsuite.interfaces import IHttpApplication


class Source:
    """A body of ``chunks``; an exception among them is raised. Counts how often it was closed."""

    def __init__(self, chunks):
        self.chunks = iter(chunks)
        self.closed = 0
        self.given = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            self.given += len(chunk)
            return chunk
        raise StopAsyncIteration

    async def aclose(self):
        self.closed += 1


@implementer(IHttpApplication)
class Application:
    """One path for each way to behave."""

    def __init__(self):
        self.waiting = []
        self.cancelled = 0
        self.sources = []
        self.asked = 0

    def handle(self, request, body):
        self.asked += 1
        return getattr(self, request.path[1:].decode() or "plain")(request, body)

    def plain(self, request, body):
        return 200, [(b"content-type", b"text/plain")], b"hello"

    def kept(self, request, body):
        return Memorable(200, [], b"kept", lambda: True)

    def raises(self, request, body):
        raise RuntimeError("oops")

    def splits(self, request, body):
        return 200, [(b"x", b"a\r\nSet-Cookie: b")], b""

    async def slow(self, request, body):
        waiter = Deferred()
        self.waiting.append(waiter)
        try:
            await waiter
        except BaseException:
            self.cancelled += 1
            raise
        return 200, [], b"slow"

    async def echo(self, request, body):
        return 200, [], await body.read(1 << 20)

    def through(self, request, body):
        return 200, [], body

    def poured(self, chunks):
        self.sources.append(Source(chunks))
        return 200, [], self.sources[-1]

    def breaks(self, request, body):
        return self.poured([b"one", RuntimeError("the source broke")])

    def counted(self, request, body):
        status, _, source = self.poured([b"one"])
        return status, [(b"content-length", b"10")], source

    def endless(self, request, body):
        return self.poured(b"x" * 65536 for _ in range(1 << 20))
