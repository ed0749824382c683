"""The upper-case pair on real sockets: our servers with the textbook's clients, our clients with our servers."""

from __future__ import annotations

import random
import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.commons import Runtime
from netsuite.common.stream import ConnectFailed
from netsuite.suite.assembly import Assembly
from netsuite.suite.site import read_site
from netsuite.upper.client import NoAnswer, TcpClient, UdpClient


def textbook_tcp(port, sentence):
    """The chapter's TCP client, with a receive loop that a stream needs."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(sentence + b"\n")
        got = b""
        while not got.endswith(b"\n"):
            got += client.recv(2048)
    return got


def textbook_udp(port, message):
    """The chapter's UDP client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(message, ("127.0.0.1", port))
        answer, server = client.recvfrom(2048)
        assert server == ("127.0.0.1", port)
        return answer


class Upper(TestCase):
    timeout = 30

    def serve(self, *sets):
        site = read_site(sets=[f"common.data={self.mktemp()}", 'upper.listen=["127.0.0.1:0"]', *sets])
        self.assembly = Assembly(site, reactor)
        self.assembly.build()
        self.assembly.open()
        self.assembly.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.assembly.stop(5)))
        (self.service,) = self.assembly.services
        return self.service.addresses()[0].port

    def setUp(self):
        self.runtime = Runtime(reactor, reactor, random.Random(1))

    async def test_the_textbooks_clients(self):
        port = self.serve()
        self.assertEqual(await deferToThread(textbook_tcp, port, b"hello, world"), b"HELLO, WORLD\n")
        self.assertEqual(await deferToThread(textbook_udp, port, b"hello, world"), b"HELLO, WORLD")
        figures = dict(self.service.figures())
        self.assertEqual((figures["lines over TCP"], figures["lines over UDP"]), (1, 1))
        self.assertIn(b'netsuite_upper_lines_total{transport="udp"} 1.0', self.assembly.commons.metrics.exposition())

    async def test_many_clients_at_once(self):
        port = self.serve()
        clients = [TcpClient(self.runtime) for _ in range(50)]
        for client in clients:
            await client.connect("127.0.0.1", port)
            self.addCleanup(client.close)
        asked = [
            Deferred.fromCoroutine(client.ask(b"line %d of client %d" % (line, number)))
            for line in range(20)
            for number, client in enumerate(clients)
        ]
        answers = await gatherResults(asked)
        self.assertEqual(answers, [b"LINE %d OF CLIENT %d" % (line, n) for line in range(20) for n in range(50)])

    async def test_our_udp_client(self):
        client = UdpClient(self.runtime, "127.0.0.1", self.serve())
        self.addCleanup(client.close)
        self.assertEqual(await client.ask("straße".encode()), b"STRA\xc3\x9fE")

    async def test_a_silent_server_is_given_up(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            client = UdpClient(self.runtime, "127.0.0.1", silent.getsockname()[1], patience=0.01, tries=3)
            self.addCleanup(client.close)
            problem = await self.assertFailure(Deferred.fromCoroutine(client.ask(b"hello")), NoAnswer)
            self.assertIn("after 3 tries", str(problem))
            asked = [silent.recv(100) for _ in range(3)]
        self.assertEqual(asked, [b"hello"] * 3)

    async def test_a_stranger_is_refused(self):
        port = self.serve('upper.allow=["192.0.2.0/24"]')
        client = UdpClient(self.runtime, "127.0.0.1", port, patience=0.05, tries=1)
        self.addCleanup(client.close)
        await self.assertFailure(Deferred.fromCoroutine(client.ask(b"hello")), NoAnswer)
        stranger = TcpClient(self.runtime)
        try:
            await stranger.connect("127.0.0.1", port)
        except ConnectFailed:
            return
        await self.assertFailure(Deferred.fromCoroutine(stranger.ask(b"hello")), NoAnswer)

    async def test_a_line_in_flight_is_answered_by_a_drain(self):
        port = self.serve()
        client = TcpClient(self.runtime)
        await client.connect("127.0.0.1", port)
        answer = Deferred.fromCoroutine(client.ask(b"last words"))
        drained = self.service.drain(reactor.seconds() + 5)
        self.assertEqual(await answer, b"LAST WORDS")
        await drained
        await self.assertFailure(Deferred.fromCoroutine(client.connect("127.0.0.1", port)), ConnectFailed)
