"""Expect: 100-continue, interim responses and trailers from one end to the other."""

from __future__ import annotations

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from tests.integration.http.scripted import connect, reply, sleep
from tests.integration.http.test_proxy import ProxyCase

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD = b"POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"


class EndToEnd(ProxyCase):
    async def start(self):
        await super().start()
        case = self

        class Side(Protocol):
            def connectionMade(self):
                case.sides.append(self)
                self.data = b""

            def dataReceived(self, data):
                self.data += data
                case.said(self)

            def connectionLost(self, reason):
                case.sides.remove(self)

        self.sides = []
        self.said = lambda side: None
        self.raw = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Side))
        self.proxy = self.serve(origin=f"http://127.0.0.1:{self.raw.getHost().port}", name="raw")
        self.port = self.proxy.addresses()[0].port

    async def stop(self):
        await super().stop()
        await self.raw.stopListening()
        while self.sides:
            await sleep(self.reactor, 0.01)

    async def client(self, data):
        client = await connect(self.reactor, self.port)
        client.transport.write(data)
        return client

    async def heard(self, test):
        while not any(test(side.data) for side in self.sides):
            await sleep(self.reactor, 0.01)
        return self.sides[0]

    async def test_the_origin_says_when(self):
        client = await self.client(HEAD)
        side = await self.heard(lambda data: data.endswith(b"\r\n\r\n"))
        self.assertIn(b"Expect: 100-continue\r\n", side.data)
        await sleep(self.reactor, 0.1)
        self.assertEqual(client.data, b"")
        side.transport.write(CONTINUE)
        await client.until(lambda c: c.data == CONTINUE)
        client.transport.write(b"hello")
        await self.heard(lambda data: data.endswith(b"\r\n\r\nhello"))
        side.transport.write(reply(b"thanks"))
        await client.until(lambda c: c.data.endswith(b"thanks"))
        self.assertEqual(client.data.count(b"100 Continue"), 1)
        client.transport.loseConnection()

    async def test_a_refusal_means_that_the_body_is_never_asked_for(self):
        client = await self.client(HEAD)
        side = await self.heard(lambda data: data.endswith(b"\r\n\r\n"))
        side.transport.write(reply(b"no", status="403 Forbidden"))
        await client.until(lambda c: c.closed)
        self.assertTrue(client.data.startswith(b"HTTP/1.1 403"))
        self.assertTrue(client.data.endswith(b"no"))
        self.assertNotIn(b"100 Continue", client.data)
        while self.sides:
            await sleep(self.reactor, 0.01)
        self.assertTrue(side.data.endswith(b"\r\n\r\n"), "no body was sent")

    async def test_an_origin_that_does_not_know_the_field(self):
        client = await self.client(HEAD)
        await client.until(lambda c: c.data == CONTINUE)
        client.transport.write(b"hello")
        side = await self.heard(lambda data: data.endswith(b"hello"))
        side.transport.write(reply(b"thanks"))
        await client.until(lambda c: c.data.endswith(b"thanks"))
        client.transport.loseConnection()

    async def test_who_does_not_expect_is_not_kept_waiting(self):
        client = await self.client(HEAD.replace(b"Expect: 100-continue\r\n", b"") + b"hello")
        side = await self.heard(lambda data: data.endswith(b"hello"))
        self.assertNotIn(b"Expect", side.data)
        side.transport.write(reply(b"thanks"))
        await client.until(lambda c: c.data.endswith(b"thanks"))
        client.transport.loseConnection()

    async def test_a_client_that_leaves_while_it_waits(self):
        client = await self.client(HEAD)
        await self.heard(lambda data: data.endswith(b"\r\n\r\n"))
        client.transport.abortConnection()
        while self.sides:
            await sleep(self.reactor, 0.01)

    async def test_trailers_of_a_request(self):
        chunks = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nForwarded: for=evil\r\nVia: 1.1 evil\r\n\r\n"
        client = await self.client(b"POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        side = await self.heard(lambda data: b"\r\n0\r\n" in data and data.endswith(b"\r\n\r\n"))
        self.assertTrue(side.data.endswith(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), side.data)
        side.transport.write(reply(b"thanks"))
        await client.until(lambda c: c.data.endswith(b"thanks"))
        client.transport.loseConnection()

    async def test_trailers_of_a_response(self):
        chunks = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nVary: evil\r\n\r\n"
        for fields, passed in (
            (b"TE: trailers\r\nConnection: TE\r\n", True),
            (b"TE: trailers\r\n", False),
            (b"", False),
        ):
            client = await self.client(b"GET /t HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
            side = await self.heard(lambda data: data.endswith(b"\r\n\r\n"))
            self.assertEqual(b"TE: trailers\r\n" in side.data, passed)
            self.assertEqual(b"Connection: TE\r\n" in side.data, passed)
            side.data = b""
            side.transport.write(
                b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
            )
            await client.until(lambda c: c.data.endswith(b"0\r\nX-Sum: 1\r\n\r\n"))
            self.assertNotIn(b"evil", client.data)
            client.transport.loseConnection()
