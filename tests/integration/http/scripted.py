"""An origin that says, byte for byte, what a test wants, and a client that reads whatever comes."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

__all__ = ["Client", "Origin", "ask", "reply", "sleep"]


def reply(body=b"", *fields, status="200 OK", length=True):
    """A response."""
    lines = [f"HTTP/1.1 {status}", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def sleep(reactor, seconds):
    done = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


class _Side(Protocol):
    def connectionMade(self):
        self.buffer = b""
        self.origin = self.factory.origin
        self.origin.connections += 1
        self.origin.open.add(self)

    def dataReceived(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                return
            body, self.buffer = rest[:length], rest[length:]
            self.origin.seen.append((head.decode("latin-1"), body))
            self.origin.answer(self, head.decode("latin-1"), body)

    def connectionLost(self, reason):
        self.origin.open.discard(self)

    def say(self, data):
        self.transport.write(data)


class Origin:
    """``answer(side, head, body)`` is called for each request; ``side.say(bytes)`` answers."""

    def __init__(self, reactor, answer):
        self.reactor = reactor
        self.answer = answer
        self.seen = []
        self.open = set()
        self.connections = 0

    async def start(self):
        factory = Factory.forProtocol(_Side)
        factory.origin = self
        self._port = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(factory)
        self.port = self._port.getHost().port
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def stop(self):
        stopped = self._port.stopListening()
        if stopped is not None:
            await stopped
        for side in list(self.open):
            side.transport.abortConnection()
        while self.open:
            await sleep(self.reactor, 0.01)


class Client(Protocol):
    """Collects what comes; ``until(test)`` waits for enough of it."""

    def __init__(self):
        self.data = b""
        self.closed = False
        self._waiting = []
        self.paused = False

    def dataReceived(self, data):
        self.data += data
        self._look()

    def connectionLost(self, reason):
        self.closed = True
        self._look()

    def _look(self):
        for test, done in list(self._waiting):
            if test(self) and not done.called:
                self._waiting.remove((test, done))
                done.callback(self)

    def until(self, test):
        done = Deferred()
        self._waiting.append((test, done))
        self._look()
        return done


async def connect(reactor, port):
    return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Client())


class Answer:
    """A response taken apart; ``whole`` is false if it broke off."""

    def __init__(self, data, closed):
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.fields = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:])]
        self.body = rest
        if self.header("transfer-encoding") == "chunked":
            self.body, self.whole = b"", False
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                if not size or not rest:
                    break
                count = int(size, 16)
                if count == 0:
                    self.whole = True
                    break
                self.body += rest[:count]
                rest = rest[count + 2 :]
        else:
            length = self.header("content-length")
            self.whole = len(self.body) == int(length) if length is not None else closed

    def header(self, name):
        values = [v for n, v in self.fields if n == name]
        return ", ".join(values) if values else None


async def ask(reactor, port, target, *fields, method="GET", body=b"", host="origin.test"):
    """One request on a connection of its own; the Answer once the server closes."""
    client = await connect(reactor, port)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    client.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
    await client.until(lambda c: c.closed)
    return Answer(client.data, True)
