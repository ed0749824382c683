"""The pooled client against our server, and against servers that misbehave on purpose."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netsuite.common.body import BodyFailed
from netsuite.common.listen import StreamListener
from netsuite.http.client import ClientLimits, FetchFailed, HttpClient, Origin
from netsuite.http.server import HttpServer
from netsuite.http.wire import Request
from netsuite.interfaces import IHttpApplication
from netsuite.testing.commons import make_commons
from tests.integration.http.behaviour import Application, Source

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@implementer(IHttpApplication)
class Uploads(Application):
    """Also says how a request came."""

    def plain(self, request, body):
        return 200, [(b"x-connection", b"%d" % request.peer[1])], b"hello"


class Scripted(Protocol):
    """Answers each request in turn with the next line of a script; None closes, an empty text stays silent."""

    def connectionMade(self):
        self.factory.connections.append(self)
        self.buffer = b""

    def dataReceived(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            _, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            said = self.factory.script.pop(0) if self.factory.script else ANSWER
            if said is None:
                self.transport.abortConnection()
            else:
                self.transport.write(said)

    def connectionLost(self, reason):
        self.factory.lost += 1


class Client(TestCase):
    timeout = 60

    def setUp(self):
        self.commons = make_commons(Path(self.mktemp()), reactor)
        self.resolved = []

    def client(self, **limits):
        async def resolve(host):
            self.resolved.append(host)
            return ["127.0.0.1"]

        context = self.commons.certificates.client_context
        client = HttpClient(self.commons, resolve, tls=context, limits=ClientLimits(**limits))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.closed(client)))
        return client

    async def closed(self, client):
        client.close()
        await self.until(lambda: not client._factory.adapters and not client._tunnels.adapters)

    async def until(self, condition):
        while not condition():
            turn = Deferred()
            reactor.callLater(0.002, turn.callback, None)
            await turn

    def serve(self, app=None, address="127.0.0.1:0"):
        self.app = app or Uploads()
        server = HttpServer(self.commons, "test")
        server.mount("/", self.app)
        listener = StreamListener(address, server.factory, self.commons, "test.listen")
        listener.open()
        listener.accept()

        async def stop():
            await listener.close()
            for adapter in list(server.factory.adapters):
                adapter.abort()
            await self.until(lambda: not server.factory.adapters)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return Origin("https" if listener.secure else "http", "localhost", listener.port)

    def script(self, *script):
        factory = Factory.forProtocol(Scripted)
        factory.noisy = False
        factory.script = list(script)
        factory.connections = []
        factory.lost = 0
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: [each.transport.abortConnection() for each in factory.connections])
        self.factory = factory
        return Origin("http", "localhost", port.getHost().port)

    def request(self, method=b"GET", target=b"/", headers=(), **more):
        return Request(method, target, list(headers), authority=b"a.test", **more)

    async def fetch(self, client, origin, *args, **more):
        fetched = await client.fetch(self.request(*args, **more), origin)
        return fetched.response, await fetched.body.read(1 << 24)

    async def fails(self, kind, awaitable):
        try:
            await awaitable
        except FetchFailed as failed:
            self.assertEqual(failed.kind, kind, failed)
            return failed
        return self.fail("it did not fail")

    async def test_a_connection_is_kept(self):
        client, origin = self.client(), self.serve()
        ports = set()
        for _ in range(3):
            response, body = await self.fetch(client, origin)
            self.assertEqual((response.status, body), (200, b"hello"))
            ports.add(response.header(b"x-connection"))
        self.assertEqual(len(ports), 1)
        self.assertEqual((client.requests, client.connections, client.reuses), (3, 1, 2))

    async def test_no_more_connections_than_allowed(self):
        client, origin = self.client(connections=2), self.serve()
        answers = await gatherResults([Deferred.fromCoroutine(self.fetch(client, origin)) for _ in range(20)])
        self.assertEqual({body for _, body in answers}, {b"hello"})
        self.assertEqual(client.connections, 2)

    async def test_too_many_wait(self):
        client, origin = self.client(connections=1, waiting=1, wait_time=0.1), self.script(b"")
        first = Deferred.fromCoroutine(self.fetch(client, origin))
        first.addErrback(lambda _: None)
        second = Deferred.fromCoroutine(self.fails("timeout", self.fetch(client, origin)))
        await self.fails("busy", self.fetch(client, origin))
        await second
        first.cancel()

    async def test_a_body_is_streamed_both_ways(self):
        client, origin = self.client(), self.serve()
        source = Source([b"x" * 100_000] * 50)
        response, body = await self.fetch(client, origin, b"POST", b"/through", source=source)
        self.assertEqual((response.status, len(body), source.closed), (200, 5_000_000, 1))
        response, body = await self.fetch(client, origin, b"POST", b"/echo", body=b"small")
        self.assertEqual(body, b"small")
        self.assertEqual(client.connections, 1)

    async def test_a_source_that_breaks(self):
        client, origin = self.client(), self.serve()
        source = Source([b"one", RuntimeError("it broke")])
        await self.fails("closed", client.fetch(self.request(b"POST", b"/echo", source=source), origin))
        self.assertEqual(source.closed, 1)
        self.flushLoggedErrors()

    async def test_https(self):
        client, origin = self.client(), self.serve(address="secure:127.0.0.1:0")
        response, body = await self.fetch(client, origin)
        self.assertEqual((response.status, body), (200, b"hello"))
        await self.fails("tls", self.fetch(client, origin._replace(host="not-its-name.example.org")))

    async def test_interim_responses(self):
        client, origin = self.client(), self.script(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ANSWER)
        seen = []
        fetched = await client.fetch(self.request(), origin, interim=seen.append)
        self.assertEqual(await fetched.body.read(10), b"hi")
        self.assertEqual([response.status for response in seen], [103])

    async def test_a_kept_connection_that_died_is_replaced(self):
        client, origin = self.client(), self.script(ANSWER, None, ANSWER)
        await self.fetch(client, origin)
        _, body = await self.fetch(client, origin)
        self.assertEqual(body, b"hi")
        self.assertEqual((client.retries, len(self.factory.connections)), (1, 2))

    async def test_what_is_not_sent_twice(self):
        client, origin = self.client(), self.script(ANSWER, None)
        await self.fetch(client, origin)
        await self.fails("closed", self.fetch(client, origin, b"POST"))
        client, origin = self.client(), self.script(ANSWER, None)
        await self.fetch(client, origin)
        await self.fails("closed", self.fetch(client, origin, b"PUT", source=Source([b"x"])))
        client, origin = self.client(), self.script(None)
        await self.fails("closed", self.fetch(client, origin))
        self.assertEqual(client.retries, 0)

    async def test_half_an_answer_is_never_taken_for_a_whole_one(self):
        for said in (
            ANSWER[:-1],
            ANSWER.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2] + b"2\r\nhi",
        ):
            client, origin = self.client(), self.script(said)
            fetched = await client.fetch(self.request(), origin)
            await self.until(lambda: self.factory.connections)
            self.factory.connections[0].transport.loseConnection()
            with self.assertRaises(BodyFailed):
                await fetched.body.read(100)

    async def test_garbage(self):
        for said in (
            b"garbage\r\n\r\n",
            ANSWER.replace(b"HTTP/1.1", b"HTTP/3.0"),
            ANSWER.replace(b"Length: 2", b"Length: 2\r\nContent-Length: 3"),
            ANSWER.replace(b"\r\nC", b"\r\nTransfer-Encoding: chunked\r\nC"),
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ):
            client, origin = self.client(), self.script(said)
            await self.fails("closed", self.fetch(client, origin))

    async def test_what_comes_unasked_ends_the_connection(self):
        """Bytes behind an answer are never taken for the next one's."""
        client, origin = self.client(), self.script(ANSWER + ANSWER.replace(b"hi", b"no"), ANSWER)
        self.assertEqual((await self.fetch(client, origin))[1], b"hi")
        self.assertEqual((await self.fetch(client, origin))[1], b"hi")
        self.assertEqual(len(self.factory.connections), 2)

    async def test_time(self):
        client, origin = self.client(answer_time=0.2), self.script(b"")
        await self.fails("timeout", self.fetch(client, origin))
        client, origin = self.client(body_time=0.2), self.script(ANSWER[:-1])
        fetched = await client.fetch(self.request(), origin)
        with self.assertRaises(BodyFailed):
            await fetched.body.read(100)

    async def test_nobody_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            origin = Origin("http", "localhost", taken.getsockname()[1])
            source = Source([b"x"])
            await self.fails("connect", self.fetch(self.client(), origin, b"PUT", source=source))
            self.assertEqual(source.closed, 1)

    async def test_cancelled(self):
        client, origin = self.client(), self.script(b"")
        fetching = Deferred.fromCoroutine(client.fetch(self.request(), origin))
        await self.until(lambda: self.factory.connections)
        fetching.cancel()
        with self.assertRaises(CancelledError):
            await fetching
        await self.until(lambda: self.factory.lost)
        await self.until(lambda: not client._pools)

    async def test_a_body_that_nobody_wants_to_the_end(self):
        client, origin = self.client(), self.serve()
        fetched = await client.fetch(self.request(target=b"/endless"), origin)
        await fetched.body.__anext__()
        await fetched.body.aclose()
        await self.until(lambda: self.app.sources[0].closed)
        self.assertEqual((await self.fetch(client, origin))[1], b"hello")

    async def test_a_tunnel(self):
        client, origin = self.client(), self.serve()
        waiter = Deferred()

        async def asked():
            yield b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            await waiter

        body = await client.tunnel("localhost", origin.port, asked())
        self.assertTrue((await body.read(10_000)).endswith(b"hello"))
        waiter.callback(None)
        await self.until(lambda: not client._tunnels.adapters)
