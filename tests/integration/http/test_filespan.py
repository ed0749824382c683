"""Bodies that are spans of files: in clear, encrypted, over HTTP/2, to slow readers, and to those who leave."""

from __future__ import annotations

import gc
import hashlib
import http.client
import os
import socket
import ssl
import subprocess
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface import implementer

from netsuite.common.filespan import FileSpan, HeldFile
from netsuite.common.outlet import Outlet
from netsuite.http.origin.service import build
from netsuite.http.origin.settings import HttpSettings
from netsuite.http.proxy.bodies import FileSource
from netsuite.interfaces import IHttpApplication
from netsuite.testing.commons import make_commons
from tests.memoryfiles import memory_file

BODY = os.urandom(1 << 20) * 9 + b"end"


@implementer(IHttpApplication)
class Spans:
    """Answers with the body, as spans of a file: with its length, or (on /chunked) without."""

    def __init__(self):
        self.file = memory_file(BODY)

    def handle(self, request, body):
        fields = [] if request.path == b"/chunked" else [(b"content-length", b"%d" % len(BODY))]
        return 200, fields, FileSource(FileSpan(self.file, 0, len(BODY)))


class Resumer:
    """A transport's producer that does for an outlet what adapters do."""

    def __init__(self, outlet):
        self.outlet = outlet

    def pauseProducing(self):
        pass

    def resumeProducing(self):
        self.outlet.resume()

    def stopProducing(self):
        pass


def fetched(port, path, *, context=None, close=False, pause=None):
    """The body's digest, and how many times it was read."""
    kind = http.client.HTTPConnection if context is None else http.client.HTTPSConnection
    more = {} if context is None else {"context": context}
    connection = kind("localhost", port, timeout=30, **more)
    connection.request("GET", path, headers={"Connection": "close"} if close else {})
    response = connection.getresponse()
    digest = hashlib.sha256()
    while data := response.read(200_000):
        digest.update(data)
        if pause is not None:
            pause()
    connection.close()
    return digest.hexdigest()


class FileSpanTests(TestCase):
    def setUp(self):
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        commons = make_commons(folder / "data", reactor)
        table = {"listen": ["127.0.0.1:0", "secure:127.0.0.1:0"]}
        service = build(HttpSettings.model_validate(table, context={"base": folder}), commons)
        self.app = Spans()
        service.mount("/", self.app)
        service.join(commons.offers)
        service.open()
        service.startService()
        self.factory = service.server.factory
        self.port, self.secure = (address.port for address in service.addresses())
        self.context = ssl.create_default_context(cafile=str(commons.certificates.ca_path))
        self.digest = hashlib.sha256(BODY).hexdigest()
        self.addCleanup(service.stopService)
        self.addCleanup(lambda: service.drain(reactor.seconds() + 1))

    async def test_in_clear_and_encrypted(self):
        for path in ("/", "/chunked"):
            for context in (None, self.context):
                port = self.port if context is None else self.secure
                for close in (False, True):
                    found = await deferToThread(fetched, port, path, context=context, close=close)
                    self.assertEqual(found, self.digest, (path, context, close))

    async def test_a_slow_reader(self):
        pause = iter(range(10**6))

        def wait():
            if next(pause) % 8 == 0:
                subprocess.run(["sleep", "0.02"], check=True)

        self.assertEqual(await deferToThread(fetched, self.port, "/", pause=wait), self.digest)

    async def test_several_in_a_row(self):
        def row():
            with socket.create_connection(("127.0.0.1", self.port), 30) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
                data, total = hashlib.sha256(), 0
                file = sock.makefile("rb")
                for _ in range(3):
                    while (line := file.readline()) != b"\r\n":
                        self.assertTrue(line)
                    body = file.read(len(BODY))
                    total += len(body)
                    data.update(body)
                return data.hexdigest(), total

        self.assertEqual(await deferToThread(row), (hashlib.sha256(BODY * 3).hexdigest(), 3 * len(BODY)))

    async def test_over_http2(self):
        command = ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "30", f"http://127.0.0.1:{self.port}/"]
        try:
            done = await deferToThread(subprocess.run, command, capture_output=True, timeout=40)
        except FileNotFoundError:
            raise SkipTest("curl is not installed") from None
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), self.digest, done.stderr)

    async def test_who_leaves(self):
        """Nothing is held for a client that goes in the middle."""
        for _ in range(5):
            sock = socket.create_connection(("127.0.0.1", self.port), 30)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await deferToThread(sock.recv, 100_000)
            sock.close()
        while self.factory.adapters:
            await deferLater(reactor, 0.01)
        self.assertEqual(self.factory.errors, 0)

    async def test_behind_what_is_queued_already(self):
        """It goes out behind that, in order, and is not copied into the queue."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        where = TCP4ClientEndpoint(reactor, "127.0.0.1", listener.getsockname()[1])
        protocol = await connectProtocol(where, Protocol())
        transport = protocol.transport
        self.addCleanup(transport.abortConnection)
        peer, _ = listener.accept()
        peer.settimeout(20)
        outlet = Outlet(transport, 65536, unix=False)
        transport.registerProducer(Resumer(outlet), True)
        before = 0
        while not (transport.dataBuffer or transport._tempDataBuffer):
            before += outlet.write((b"x" * 10_000,))
        span = FileSpan(self.app.file, 0, len(BODY))
        self.assertEqual(outlet.write((b"head", span)), 4 + len(BODY))
        outlet.write((b"tail",))
        self.assertLess(len(transport.dataBuffer) + sum(map(len, transport._tempDataBuffer)), 20_000)

        def read():
            digest, left = hashlib.sha256(), before + 4 + len(BODY) + 4
            while left:
                data = peer.recv(min(left, 200_000))
                self.assertTrue(data)
                digest.update(data)
                left -= len(data)
            peer.close()
            return digest.hexdigest()

        found = await deferToThread(read)
        self.assertEqual(found, hashlib.sha256(b"x" * before + b"head" + BODY + b"tail").hexdigest())

    async def test_a_file_that_is_cut_short(self):
        """The connection ends; nothing is made up in place of what is missing."""
        os.ftruncate(self.app.file.descriptor, len(BODY) // 2)
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
            await deferToThread(fetched, self.port, "/")

    def test_the_descriptor_is_closed_with_the_last_span(self):
        held = HeldFile(os.memfd_create("test"))
        descriptor = held.descriptor
        os.write(descriptor, b"0123456789")
        span = FileSpan(held, 2, 9)[1:4]
        del held
        gc.collect()
        self.assertEqual((len(span), bytes(span), bytes(span[1:])), (3, b"345", b"45"))
        del span
        self.assertRaises(OSError, os.fstat, descriptor)
