"""The origin server as a service: large files, files that change, its ports and those of others, the drain."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.http.origin.service import build
from netsuite.http.origin.settings import HttpSettings
from netsuite.interfaces import IHttpServer
from netsuite.testing.commons import make_commons
from tests.integration.http.behaviour import Application


class Origin(TestCase):
    timeout = 60

    def serve(self, **settings):
        folder = Path(self.mktemp())
        self.root = folder / "site"
        self.root.mkdir(parents=True)
        self.large = os.urandom(3 << 20)
        (self.root / "large").write_bytes(self.large)
        (self.root / "index.html").write_text("home")
        self.commons = make_commons(folder / "data", reactor)
        table = {"listen": ["127.0.0.1:0", "secure:127.0.0.1:0"], "root": self.root, **settings}
        self.service = service = build(HttpSettings.model_validate(table), self.commons)
        service.register(self.commons.offers)
        self.app = Application()
        server = self.commons.offers.find(IHttpServer)
        self.others = server.listen("other", ["127.0.0.1:0"], self.app)
        server.mount("/app", self.app)
        service.open()
        service.startService()
        self.port = service.addresses()[0].port

        async def stop():
            await service.drain(reactor.seconds() + 5)
            service.stopService()

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))

    def ask(self, target=b"/", *lines, method=b"GET", port=None, wrap=None):
        """The head and the body of one response."""

        def run():
            with socket.create_connection(("127.0.0.1", port or self.port), 20) as plain:
                client = wrap(plain) if wrap else plain
                head = [method + b" " + target + b" HTTP/1.1", b"Host: localhost", *lines, b"Connection: close"]
                client.sendall(b"\r\n".join(head) + b"\r\n\r\n")
                got = b""
                while piece := client.recv(1 << 20):
                    got += piece
                return got.partition(b"\r\n\r\n")[::2]

        return deferToThread(run)

    async def test_large_files(self):
        self.serve()
        head, body = await self.ask(b"/large")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "))
        self.assertEqual(body, self.large)
        head, body = await self.ask(b"/large", method=b"HEAD")
        self.assertIn(b"Content-Length: 3145728", head)
        self.assertEqual(body, b"")
        head, body = await self.ask(b"/large", b"Range: bytes=1000000-2000000")
        self.assertEqual(body, self.large[1000000:2000001])
        head, body = await self.ask(b"/large", b"Range: bytes=0-9,1500000-2500000,-10")
        self.assertIn(self.large[1500000:2500001], body)
        self.assertIn(b"Content-Length: %d" % len(body), head)

    async def test_https(self):
        self.serve()
        context = ssl.create_default_context()
        context.check_hostname = False
        await self.ask(b"/")  # the authority is made with the first certificate
        context.load_verify_locations(self.commons.certificates.ca_path)
        port = self.service.addresses()[1].port
        wrap = lambda plain: context.wrap_socket(plain, server_hostname="localhost")  # noqa: E731
        _, body = await self.ask(b"/large", port=port, wrap=wrap)
        self.assertEqual(body, self.large)

    async def test_a_file_cut_short_while_it_is_sent_ends_the_connection(self):
        self.serve()
        (self.root / "huge").write_bytes(self.large * 10)

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
                got = client.recv(1000)
                (self.root / "huge").write_bytes(b"short")
                while piece := client.recv(1 << 20):
                    got += piece
                return len(got)

        size = await deferToThread(run)
        self.assertLess(size, len(self.large) * 10)
        self.flushLoggedErrors()

    async def test_other_applications(self):
        self.serve()
        (address,) = self.others()
        self.assertEqual(address.kind, "http")
        self.assertEqual((await self.ask(b"/plain", port=address.port))[1], b"hello")
        self.assertEqual((await self.ask(b"/"))[1], b"home")
        self.app.handle = lambda request, body: (200, [], request.path)
        self.assertEqual((await self.ask(b"/app/x"))[1], b"/app/x")

    async def test_who_may_ask(self):
        self.serve(allow=["192.0.2.0/24"])
        try:
            self.assertEqual(await self.ask(b"/"), (b"", b""))
        except ConnectionResetError:
            pass  # the close came before the request
        self.assertEqual(self.service.server.factory.refused, 1)

    async def test_counters(self):
        self.serve()
        for _ in range(3):
            await self.ask(b"/")
        await self.ask(b"/missing")
        figures = dict(self.service.figures())
        self.assertEqual((figures["requests"], figures["client errors"]), (4, 1))
        self.assertIn(
            b'netsuite_http_responses_total{server="http",status="2xx"} 3.0', self.commons.metrics.exposition()
        )
        self.assertTrue(self.service.health().ok)
        self.assertIn("curl --cacert", self.service.addresses()[1].hint)

    async def test_a_root_that_is_not_there(self):
        commons = make_commons(Path(self.mktemp()), reactor)
        service = build(HttpSettings.model_validate({"root": "/nonexistent", "listen": []}), commons)
        with self.assertRaises(StartError) as caught:
            service.check()
        self.assertIn("http.root: /nonexistent is not a folder", str(caught.exception))
