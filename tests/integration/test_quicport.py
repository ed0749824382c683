"""The port of protocols over QUIC: versions, proof of address, silence and noise."""

from __future__ import annotations

import os
from pathlib import Path

from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.common.listen import StreamListener, stream_listener
from netsuite.common.quic import QuicLimits
from netsuite.common.quicport import QuicListener
from netsuite.common.stream import StreamFactory
from netsuite.dns.doq import DoqConnection
from netsuite.dns.wire.stream import Message
from netsuite.testing.commons import make_commons
from tests.integration.quic import QuicClient, connected


class Peer(DatagramProtocol):
    """Sends datagrams as they are, and keeps what comes."""

    def __init__(self):
        self.got = []
        self.waiting = None

    def datagramReceived(self, data, addr):
        self.got.append(data)
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(data)

    def ask(self, data, port):
        self.waiting = Deferred()
        self.transport.write(data, ("127.0.0.1", port))
        return self.waiting.addTimeout(10, reactor)


def first_packet(port, ca, **settings):
    """The first datagram of a client that is never run."""
    client = QuicClient(port, "doq", ca, **settings)
    client.quic.connect(client.place, 0.0)
    return client.quic.datagrams_to_send(0.0)[0][0]


class QuicPortTests(TestCase):
    def setUp(self):
        self.commons = make_commons(Path(self.mktemp()).resolve(), reactor)
        seconds = self.commons.clock.seconds

        def handle(message, body, adapter):
            return Message(message.stream, message.data)

        self.factory = StreamFactory(self.commons, "test", lambda channel: None, handle)
        self.listener = QuicListener(
            "quic:127.0.0.1:0",
            self.factory,
            self.commons,
            "test.listen",
            "doq",
            lambda quic: DoqConnection(quic, seconds, transport=QuicLimits(handshake=0.3)),
        )
        self.listener.open()
        self.listener.accept()
        self.ca = self.commons.certificates.ca_path
        self.peer = Peer()
        port = reactor.listenUDP(0, self.peer, "127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.stop)

    async def stop(self):
        await self.listener.close()
        await self.factory.drain(reactor.seconds() + 0.2)

    async def test_version_negotiation(self):
        unknown = bytearray(first_packet(self.listener.port, self.ca))
        unknown[1:5] = b"\x1a\x2a\x3a\x4a"
        answer = await self.peer.ask(bytes(unknown), self.listener.port)
        header = pull_quic_header(Buffer(data=answer), host_cid_length=8)
        self.assertEqual(header.packet_type, QuicPacketType.VERSION_NEGOTIATION)
        self.assertIn(1, header.supported_versions)
        self.assertEqual(len(self.factory.adapters), 0)

    async def test_proof_of_address(self):
        """While many handshakes are under way, a newcomer gets a token first, and is let in with it."""
        self.listener.handshakes = 64
        answer = await self.peer.ask(first_packet(self.listener.port, self.ca), self.listener.port)
        header = pull_quic_header(Buffer(data=answer), host_cid_length=8)
        self.assertEqual(header.packet_type, QuicPacketType.RETRY)
        self.assertEqual(len(self.factory.adapters), 0)
        client = await connected(self.listener.port, "doq", self.ca)
        self.addCleanup(client.close)
        stream = client.send(b"\0\x0c" + bytes(12))
        await client.until(lambda: stream in client.ended)
        self.listener.handshakes -= 64

    async def test_forged_token(self):
        """A token that was not made here lets nobody in."""
        packet = first_packet(self.listener.port, self.ca, token=b"x" * 60)
        self.peer.transport.write(packet, ("127.0.0.1", self.listener.port))
        client = await connected(self.listener.port, "doq", self.ca)
        self.addCleanup(client.close)
        self.assertEqual((len(self.factory.adapters), self.peer.got), (1, []))

    async def test_silence_in_the_handshake(self):
        gone = Deferred()
        self.factory.gone = lambda adapter, reason: gone.callback(reason)
        self.peer.transport.write(first_packet(self.listener.port, self.ca), ("127.0.0.1", self.listener.port))
        await gone.addTimeout(10, reactor)
        self.assertEqual(self.listener.handshakes, 0)

    async def test_amplification(self):
        """To an address that has proven nothing goes at most three times what came from it (RFC 9000 section 8.1)."""
        gone = Deferred()
        self.factory.gone = lambda adapter, reason: gone.callback(reason)
        packet = first_packet(self.listener.port, self.ca)
        self.peer.transport.write(packet, ("127.0.0.1", self.listener.port))
        await gone.addTimeout(10, reactor)
        self.assertLessEqual(sum(map(len, self.peer.got)), 3 * len(packet))

    async def test_noise(self):
        """Datagrams that are no QUIC, or no beginning of it, are dropped in silence; the port goes on."""
        packet = first_packet(self.listener.port, self.ca)
        for noise in (b"", b"\0", os.urandom(1500), packet[:100], b"\xff" * 1200, packet[:5] + bytes(1300)):
            self.peer.transport.write(noise, ("127.0.0.1", self.listener.port))
        for _ in range(200):
            mangled = bytearray(packet)
            mangled[self.commons.rng.randrange(len(mangled))] ^= 1 << self.commons.rng.randrange(8)
            self.peer.transport.write(bytes(mangled), ("127.0.0.1", self.listener.port))
        client = await connected(self.listener.port, "doq", self.ca)
        self.addCleanup(client.close)
        stream = client.send(b"\0\x0c" + bytes(12))
        await client.until(lambda: stream in client.ended)
        self.assertEqual(self.factory.errors, 0)

    async def test_access_rule(self):
        """Who may not connect gets no answer."""
        self.factory.rule = self.commons.access.rule(["192.0.2.0/24"])
        client = QuicClient(self.listener.port, "doq", self.ca)
        reactor.listenUDP(0, client, "127.0.0.1")
        self.addCleanup(client.close)
        while not self.factory.refused:
            await deferLater(reactor, 0.01)
        self.assertEqual((len(self.factory.adapters), self.listener.handshakes), (0, 0))

    def test_protocols_without_quic(self):
        with self.assertRaisesRegex(StartError, "there is no QUIC here"):
            StreamListener("quic:0", self.factory, self.commons, "smtp.listen")
        listener = stream_listener("secure:0", self.factory, self.commons, "test.listen", quic=lambda: ("doq", None))
        self.assertIsInstance(listener, StreamListener)

    def test_without_the_library(self):
        def missing():
            raise ImportError

        with self.assertRaisesRegex(StartError, r"netsuite\[quic\]"):
            stream_listener("quic:0", self.factory, self.commons, "test.listen", quic=missing)
