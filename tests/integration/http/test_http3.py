"""HTTP/3 on a real socket, asked by aioquic."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netsuite.http.origin.service import build
from netsuite.http.origin.settings import HttpSettings
from netsuite.interfaces import IHttpApplication
from netsuite.testing.commons import make_commons
from tests.integration.quic import connected


@implementer(IHttpApplication)
class Echo:
    """Answers with what it was sent, as it comes; or breaks, or waits for ever."""

    def __init__(self):
        self.cancelled = Deferred()

    async def handle(self, request, body):
        if request.path == b"/app/break":
            raise RuntimeError("broken on purpose")
        if request.path == b"/app/eat":
            return 200, [], b"%d" % len(await body.read(1 << 30))
        if request.path == b"/app/early":
            return 200, [], b"early"
        if request.path == b"/app/never":
            try:
                await Deferred()
            except BaseException:
                self.cancelled.callback(None)
                raise
        return 200, [(b"x-query", request.query or b"")], body


class Http3Tests(TestCase):
    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        (self.folder / "index.html").write_text("hello")
        self.big = bytes(range(256)) * 4096
        (self.folder / "big").write_bytes(self.big)
        commons = make_commons(self.folder / "data", reactor)
        table = {"listen": ["quic:127.0.0.1:0", "secure:127.0.0.1:0"], "root": self.folder, "body_limit": 1 << 20}
        self.service = service = build(HttpSettings.model_validate(table, context={"base": self.folder}), commons)
        self.echo = Echo()
        service.mount("/app", self.echo)
        service.join(commons.offers)
        service.open()
        service.startService()
        self.ca = commons.certificates.ca_path
        self.address = service.addresses()[0]
        self.addCleanup(service.stopService)
        self.addCleanup(lambda: service.drain(reactor.seconds() + 1))

    async def client(self, **settings):
        client = await connected(self.address.port, "h3", self.ca, **settings)
        self.addCleanup(client.close)
        return client

    def ask(self, client, path="/", method="GET", fields=(), body=None, end=True):
        stream = client.quic.get_next_available_stream_id()
        head = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", b"localhost")]
        head.append((b":path", path.encode()))
        client.h3.send_headers(stream, [*head, *fields], end_stream=body is None and end)
        if body is not None:
            client.h3.send_data(stream, body, end)
        client.flush()
        return stream

    async def answer(self, client, *args, **rest):
        stream = self.ask(client, *args, **rest)
        await client.until(lambda: stream in client.ended or stream in client.resets)
        heads = client.heads.get(stream, [])
        return [dict(head) for head in heads], client.streams.get(stream, b"")

    def test_address(self):
        self.assertEqual(self.address.kind, "h3")
        self.assertIn("--http3", self.address.hint)

    async def test_files(self):
        client = await self.client()
        (head,), body = await self.answer(client)
        self.assertEqual((head[b":status"], head[b"content-length"], body), (b"200", b"5", b"hello"))
        self.assertIn(b"date", head)
        (head,), body = await self.answer(client, "/big")
        self.assertEqual((head[b":status"], body), (b"200", self.big))
        (head,), body = await self.answer(client, "/big", fields=[(b"range", b"bytes=10-19")])
        self.assertEqual((head[b":status"], body), (b"206", self.big[10:20]))
        (head,), body = await self.answer(client, fields=[(b"if-none-match", b"*")])
        self.assertEqual((head[b":status"], body), (b"304", b""))

    async def test_many_at_once(self):
        client = await self.client()
        streams = [self.ask(client, "/big" if n % 5 == 0 else "/") for n in range(30)]
        await client.until(lambda: client.ended.issuperset(streams))
        for n, stream in enumerate(streams):
            self.assertEqual(client.streams[stream], self.big if n % 5 == 0 else b"hello")

    async def test_bodies_both_ways(self):
        client = await self.client()
        body = bytes(range(256)) * 3000
        (head,), back = await self.answer(client, "/app/echo?a=1", "POST", body=body)
        self.assertEqual((head[b":status"], head[b"x-query"], back), (b"200", b"a=1", body))

    async def test_expect(self):
        client = await self.client()
        stream = self.ask(client, "/app/eat", "POST", [(b"expect", b"100-continue")], end=False)
        await client.until(lambda: stream in client.heads)
        self.assertIn((b":status", b"100"), client.heads[stream][0])
        client.h3.send_data(stream, b"now", True)
        client.flush()
        await client.until(lambda: stream in client.ended)
        self.assertEqual(client.streams[stream], b"3")

    async def test_refusals(self):
        client = await self.client()
        for fields, method, status in [
            ([(b"x%d" % n, b"y" * 60000) for n in range(2)], "GET", b"431"),
            ([(b"content-length", b"2000000")], "POST", b"413"),
            ([(b"expect", b"miracles")], "GET", b"417"),
            ([], "TRACE", b"501"),
            ([], "CURDLE", b"501"),
        ]:
            heads, _ = await self.answer(client, "/", method, fields, end=method != "POST")
            self.assertEqual(heads[0][b":status"], status, method)
        malformed = [(b"host", b"other")], [(b"te", b"gzip")], [(b"content_length", b"1")], [(b"content-length", b"9")]
        for fields in malformed:
            stream = self.ask(client, fields=fields)
            await client.until(lambda stream=stream: stream in client.resets)
            self.assertEqual(client.resets[stream], 0x10E, fields)
        (head,), _ = await self.answer(client)
        self.assertEqual(head[b":status"], b"200")

    async def test_a_body_too_long(self):
        """Without a Content-Length too."""
        client = await self.client()
        heads, _ = await self.answer(client, "/app/eat", "POST", body=bytes(1 << 21))
        self.assertEqual(heads[0][b":status"], b"413")

    async def test_early_answer(self):
        client = await self.client()
        (head,), body = await self.answer(client, "/app/early", "POST", body=b"begins", end=False)
        self.assertEqual((head[b":status"], body), (b"200", b"early"))
        (head,), _ = await self.answer(client)
        self.assertEqual(head[b":status"], b"200")

    async def test_broken_application(self):
        client = await self.client()
        (head,), _ = await self.answer(client, "/app/break")
        self.assertEqual(head[b":status"], b"500")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_given_up(self):
        client = await self.client()
        stream = self.ask(client, "/app/never")
        await self.answer(client)
        client.quic.reset_stream(stream, 0x10C)
        client.quic.stop_stream(stream, 0x10C)
        client.flush()
        await self.echo.cancelled

    async def test_rapid_reset(self):
        client = await self.client()
        for _ in range(120):
            stream = self.ask(client, "/app/echo", "POST", end=False)
            client.quic.stop_stream(stream, 0x10C)
            client.flush()
        await client.until(lambda: client.over is not None)
        self.assertEqual(client.over[0], 0x107)

    async def test_alternative(self):
        """Who comes over TLS is told."""
        self.assertEqual(self.service.server.alternative, b'h3=":%d"' % self.address.port)

    async def test_lost_datagrams(self):
        client = await self.client()
        count = iter(range(10**6))
        client.lossy = lambda data: next(count) % 10 == 0
        _, body = await self.answer(client, "/big")
        self.assertEqual(body, self.big)

    async def test_certificate_by_name(self):
        client = await self.client(name="127.0.0.1")
        self.assertTrue(client.ready)
