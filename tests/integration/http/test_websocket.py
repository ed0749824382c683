"""WebSockets at a real socket: the handshake, conversations, and clients and applications that misbehave."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from zope.interface import implementer

from netsuite.http.websocket import accept
from netsuite.interfaces import IHttpApplication
from tests.integration.http.serving import Serving

ECHO = Path(__file__).parents[3] / "etc" / "examples" / "echo.py"
UPGRADE = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@implementer(IHttpApplication)
class Talks:
    """One path for each way to talk."""

    def __init__(self, commons):
        self.commons = commons
        self.sockets = []
        self.heard = []
        self.ended = 0

    def handle(self, request, body):
        name = request.path.rpartition(b"/")[2].decode()
        talk = self.echo if name == "pinged" else getattr(self, name)
        return accept(
            self.commons, request, body, talk, protocols=("chat", "super"), origins=["http://friend.test"],
            limit=100_000, ping=0.7 if name in ("pinged", "deaf") else 30.0,
        )  # fmt: skip

    async def echo(self, socket):
        self.sockets.append(socket)
        async for message in socket:
            await socket.send(message)
        self.ended += 1

    async def raises(self, socket):
        raise RuntimeError("the conversation failed")

    async def says(self, socket):
        await socket.send("hello")

    async def floods(self, socket):
        self.sockets.append(socket)
        try:
            while not socket.ended:
                await socket.send(b"x" * 65536)
                self.heard.append(1)
        finally:
            self.ended += 1

    async def deaf(self, socket):
        self.sockets.append(socket)
        await Deferred()


class Client:
    """A client in a thread, on wsproto."""

    def __init__(self, port, target, *, host="localhost", deflate=False, origin=None, protocols=()):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.later = []
        self.connection = WSConnection(ConnectionType.CLIENT)
        headers = [(b"Origin", origin)] if origin else []
        extensions = [PerMessageDeflate()] if deflate else []
        request = Request(
            host=host, target=target, extensions=extensions, extra_headers=headers, subprotocols=list(protocols)
        )
        self.send(request)
        self.first = self.next()

    def send(self, event):
        self.socket.sendall(self.connection.send(event))

    def next(self):
        while not self.later:
            data = self.socket.recv(65536)
            self.connection.receive_data(data or None)
            self.later += self.connection.events()
        return self.later.pop(0)

    def whole(self):
        """The next message, of whatever pieces."""
        event = self.next()
        data = event.data
        while not event.message_finished:
            event = self.next()
            data += event.data
        return data


class WebSockets(Serving):
    async def serve_talks(self):
        await self.serve(mount=[{"path": "/echo", "app": f"{ECHO}:Echo", "kind": "netsuite"}])
        self.talks = Talks(self.commons)
        self.service.mount("/talk", self.talks)

    async def test_the_handshake_byte_for_byte(self):
        await self.serve_talks()

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(b"\r\n".join([b"GET /echo HTTP/1.1", b"Host: localhost", *UPGRADE, b"", b""]))
                head = client.recv(4096)
                client.sendall(b"\x81\x85\0\0\0\0hello")
                answer = client.recv(100)
                client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
                rest = b""
                while piece := client.recv(100):
                    rest += piece
                return head, answer, rest

        head, answer, rest = await deferToThread(run)
        lines = head.split(b"\r\n")
        self.assertEqual(lines[0], b"HTTP/1.1 101 Switching Protocols")
        self.assertIn(b"Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".lower(), head.lower())
        self.assertIn(b"connection: upgrade", head.lower())
        self.assertIn(b"upgrade: websocket", head.lower())
        self.assertEqual((answer, rest), (b"\x81\x05hello", b"\x88\x02\x03\xe8"))

    async def test_handshakes_that_are_none(self):
        await self.serve_talks()
        for status, lines in (
            (426, ()),
            (426, UPGRADE[1:]),
            (426, (*UPGRADE[:2], UPGRADE[3])),
            (426, (*UPGRADE[:2], b"Sec-WebSocket-Version: 8", UPGRADE[3])),
            (400, UPGRADE[:3]),
            (400, (*UPGRADE[:3], b"Sec-WebSocket-Key: nonsense")),
            (403, (*UPGRADE, b"Origin: http://evil.test")),
            (403, (*UPGRADE, b"Origin: null")),
            (403, (*UPGRADE, b"Origin: https://localhost")),
        ):
            got, fields, _ = await self.ask(b"/echo", *lines)
            self.assertEqual(got, status, lines)
            if status == 426:
                self.assertTrue(fields.keys() & {b"upgrade", b"sec-websocket-version"})
        self.assertEqual((await self.ask(b"/echo", *UPGRADE, method=b"POST"))[0], 426)
        # what is no WebSocket takes no harm from the wish
        self.assertEqual((await self.ask(b"/", *UPGRADE))[2], b"home")

    async def test_conversations(self):
        await self.serve_talks()

        def run(deflate):
            client = Client(
                self.port, "/talk/echo", deflate=deflate, origin=b"http://friend.test", protocols=["super", "chat"]
            )
            self.assertIsInstance(client.first, AcceptConnection)
            self.assertEqual(client.first.subprotocol, "chat")
            self.assertEqual(len(client.first.extensions), int(deflate))
            got = []
            for message in ("hällo", "long " * 10_000, ""):
                client.send(TextMessage(message))
                got.append(client.whole() == message)
            client.send(BytesMessage(b"\0" * 99_999))
            got.append(client.whole() == b"\0" * 99_999)
            client.send(CloseConnection(4001, "enough"))
            closed = client.next()
            client.socket.close()
            return got, closed.code

        for deflate in (False, True):
            self.assertEqual(await deferToThread(run, deflate), ([True] * 4, 4001))
        await self.settled(lambda: self.talks.ended == 2)
        self.assertEqual([each.close_code for each in self.talks.sockets], [4001, 4001])

    async def test_pages_of_the_same_host_may_connect(self):
        await self.serve_talks()

        def run(origin):
            client = Client(self.port, "/echo", host="shop.test:8080", origin=origin)
            client.socket.close()
            return type(client.first)

        self.assertIs(await deferToThread(run, b"http://shop.test:8080"), AcceptConnection)
        self.assertIs(await deferToThread(run, b"http://shop.test"), RejectConnection)

    async def test_how_the_application_ends_it(self):
        await self.serve_talks()

        def run(target):
            client = Client(self.port, target)
            events = []
            while not events or not isinstance(events[-1], CloseConnection):
                events.append(client.next())
            client.send(events[-1].response())
            rest = client.socket.recv(100)
            client.socket.close()
            return events, rest

        events, rest = await deferToThread(run, "/talk/says")
        self.assertEqual((events[0].data, events[-1].code, rest), ("hello", 1000, b""))
        events, _ = await deferToThread(run, "/talk/raises")
        self.assertEqual(events[-1].code, 1011)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_a_message_beyond_the_limit(self):
        await self.serve_talks()

        def run():
            client = Client(self.port, "/talk/echo")
            client.send(BytesMessage(b"x" * 100_001))
            closed = client.next()
            client.socket.close()
            return closed.code

        self.assertEqual(await deferToThread(run), 1009)
        await self.settled(lambda: self.talks.ended)

    async def test_pings_both_ways(self):
        await self.serve_talks()

        def run():
            client = Client(self.port, "/talk/pinged")
            client.send(Ping(b"there?"))
            pong = client.next()
            ping = client.next()
            client.send(ping.response())
            again = client.next()
            # this one is not answered: we are given up
            client.socket.settimeout(10)
            rest = client.socket.recv(100)
            client.socket.close()
            return pong, ping, again, rest

        pong, ping, again, rest = await deferToThread(run)
        self.assertIsInstance(pong, Pong)
        self.assertEqual(bytes(pong.payload), b"there?")
        self.assertIsInstance(ping, Ping)
        self.assertIsInstance(again, Ping)
        self.assertEqual(rest, b"")
        self.assertEqual(self.talks.sockets[0].close_code, 1006)

    async def test_a_client_that_does_not_read(self):
        await self.serve_talks()
        client = await deferToThread(Client, self.port, "/talk/floods")
        before = -1
        while before != len(self.talks.heard):
            before = len(self.talks.heard)
            for _ in range(5):
                await self.settled(lambda: True)
        self.assertLess(before * 65536, 32 << 20)
        client.socket.close()
        await self.settled(lambda: self.talks.ended)

    async def test_an_application_that_does_not_read(self):
        await self.serve_talks()

        def run():
            client = Client(self.port, "/talk/deaf")
            client.socket.settimeout(1)
            sent = 0
            try:
                while sent < 1000:
                    client.send(BytesMessage(b"x" * 99_000))
                    sent += 1
            except (TimeoutError, OSError):
                pass
            client.socket.close()
            return sent

        self.assertLess(await deferToThread(run), 500)
        await self.settled(lambda: self.talks.sockets[0].ended)
        self.assertLess(self.talks.sockets[0]._held, 1 << 20)

    async def test_a_client_that_leaves_without_a_word(self):
        await self.serve_talks()
        client = await deferToThread(Client, self.port, "/talk/echo")
        client.socket.close()
        await self.settled(lambda: self.talks.ended)
        self.assertEqual(self.talks.sockets[0].close_code, 1006)
