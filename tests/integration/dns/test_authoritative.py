"""The authoritative server on real sockets: UDP, TCP, IPv6, pipelining, floods, slow clients, reload under load."""

from __future__ import annotations

import random
import socket
import struct
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons

ZONE = """$TTL 60
@ SOA ns host {serial} 2 3 4 5
@ NS ns
ns A 192.0.2.1
*.wild A 192.0.2.2
""" + "".join(f"many A 192.0.2.{n}\n" for n in range(200))


async def eventually(condition, seconds=8.0):
    end = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > end:
            raise AssertionError("it never came to pass")
        await deferLater(reactor, 0.002, lambda: None)


class Stream(Protocol):
    """A TCP client that takes messages apart."""

    def __init__(self):
        self.buffer = b""
        self.got = []
        self.lost = Deferred()

    def dataReceived(self, data):
        self.buffer += data
        while len(self.buffer) >= 2:
            end = 2 + int.from_bytes(self.buffer[:2], "big")
            if len(self.buffer) < end:
                return
            self.got.append(self.buffer[2:end])
            self.buffer = self.buffer[end:]

    def connectionLost(self, reason):
        self.lost.callback(None)

    def ask(self, *queries):
        self.transport.write(b"".join(struct.pack("!H", len(query)) + query for query in queries))


class Datagrams(DatagramProtocol):
    def __init__(self):
        self.got = []

    def datagramReceived(self, data, address):
        self.got.append(data)


def wire(name, rdtype="A", number=None, **options):
    query = dns.message.make_query(name, rdtype, **options)
    if number is not None:
        query.id = number
    return query.to_wire()


class ServerTests(TestCase):
    """One service on 127.0.0.1, and on ::1 where there is one."""

    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.write(1)
        self.start(listen=["127.0.0.1:0"])

    def write(self, serial):
        (self.folder / "zone").write_text(ZONE.format(serial=serial))

    def start(self, **table):
        table = {"zone": [{"name": "example.test", "file": "zone"}], **table}
        commons = make_commons(self.folder / "data", reactor)
        self.service = build(DnsSettings.model_validate(table, context={"base": self.folder}), commons)
        self.service.register(commons.offers)
        self.service.join(commons.offers)
        self.service.check()
        self.service.open()
        self.service.startService()
        self.port = self.service.addresses()[0].port
        service = self.service
        self.addCleanup(lambda: service.drain(reactor.seconds() + 0.2))

    async def connect(self, host="127.0.0.1"):
        endpoint = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        stream = await connectProtocol(endpoint(reactor, host, self.port), Stream())
        self.addCleanup(
            lambda: stream.lost if stream.lost.called else (stream.transport.abortConnection(), stream.lost)[1]
        )
        return stream

    def client(self, host="127.0.0.1"):
        protocol = Datagrams()
        port = reactor.listenUDP(0, protocol, "::1" if ":" in host else "127.0.0.1", 65535)
        port.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.addCleanup(port.stopListening)
        protocol.ask = lambda query: port.write(query, (host, self.port))
        return protocol

    async def test_udp_says_truncated_and_tcp_says_all(self):
        client = self.client()
        client.ask(wire("many.example.test."))
        await eventually(lambda: client.got)
        self.assertTrue(dns.message.from_wire(client.got[0]).flags & dns.flags.TC)
        stream = await self.connect()
        stream.ask(wire("many.example.test."))
        await eventually(lambda: stream.got)
        self.assertEqual(len(dns.message.from_wire(stream.got[0]).answer[0]), 200)

    async def test_ipv6(self):
        try:
            self.start(listen=["[::1]:0"])
        except Exception as error:
            raise SkipTest(f"no IPv6 here: {error}") from None
        client = self.client("::1")
        client.ask(wire("ns.example.test."))
        stream = await self.connect("::1")
        stream.ask(wire("ns.example.test."))
        await eventually(lambda: client.got and stream.got)
        for data in (client.got[0], stream.got[0]):
            self.assertEqual(dns.message.from_wire(data).rcode(), dns.rcode.NOERROR)

    async def test_pipelined_queries_are_all_answered(self):
        stream = await self.connect()
        stream.ask(*(wire(f"n{n}.wild.example.test.", number=n) for n in range(2000)))
        await eventually(lambda: len(stream.got) == 2000)
        self.assertEqual(sorted(int.from_bytes(data[:2], "big") for data in stream.got), list(range(2000)))

    async def test_byte_by_byte_and_half_closed(self):
        stream = await self.connect()
        query = wire("ns.example.test.", number=77)
        for byte in struct.pack("!H", len(query)) + query:
            stream.transport.write(bytes([byte]))
            await deferLater(reactor, 0, lambda: None)
        stream.transport.loseWriteConnection()
        await stream.lost
        self.assertEqual([data[:2] for data in stream.got], [b"\0\x4d"])

    async def test_noise_does_no_harm(self):
        rng = random.Random(3)
        client = self.client()
        for _ in range(500):
            client.ask(rng.randbytes(rng.randrange(1, 200)))
        good = wire("ns.example.test.")
        for _ in range(500):
            damaged = bytearray(good)
            damaged[rng.randrange(len(good))] = rng.randrange(256)
            client.ask(bytes(damaged[: rng.randrange(1, len(good) + 1)]))
        stream = await self.connect()
        stream.transport.write(rng.randbytes(5000))
        client.ask(wire("ns.example.test.", number=0xABCD))
        await eventually(lambda: any(data[:2] == b"\xab\xcd" for data in client.got))

    async def test_a_flood_is_answered_and_others_are_too(self):
        flooding = self.client()
        for number in range(3000):
            flooding.ask(wire(f"f{number % 50}.wild.example.test.", number=number))
        other = self.client()
        other.ask(wire("ns.example.test."))
        stream = await self.connect()
        stream.ask(wire("ns.example.test."))
        await eventually(lambda: other.got and stream.got and len(flooding.got) == 3000)
        self.assertEqual({data[3] & 15 for data in flooding.got}, {0})

    async def test_a_client_that_does_not_read_is_not_read_either(self):
        stream = await self.connect()
        stream.transport.pauseProducing()
        many = wire("many.example.test.")
        server = self.service._places["127.0.0.1:0"].server
        for _ in range(40):
            stream.ask(*[many] * 100)
            await deferLater(reactor, 0.005, lambda: None)
        # What it asked (4,000 answers of 3 kB) stays with the client; the server goes on for others.
        self.assertLess(server.messages, 4000)
        client = self.client()
        client.ask(wire("ns.example.test."))
        await eventually(lambda: client.got)
        stream.transport.resumeProducing()
        await eventually(lambda: len(stream.got) == 4000)

    async def test_a_stalled_connection_is_cut(self):
        self.start(listen=["127.0.0.1:0"], idle=0.05)
        stream = await self.connect()
        await stream.lost

    async def test_connections_of_one_client_are_limited(self):
        self.start(listen=["127.0.0.1:0"], connections_per_address=3)
        streams = [await self.connect() for _ in range(4)]
        await eventually(lambda: any(stream.lost.called for stream in streams))
        self.assertEqual(sum(stream.lost.called for stream in streams), 1)

    async def test_reload_loses_no_query_and_never_shows_an_old_answer_again(self):
        client = self.client()
        asked = 0
        for serial in range(2, 6):
            self.write(serial)
            reloading = Deferred.fromCoroutine(self.once())
            while not reloading.called:
                client.ask(wire("example.test.", "SOA", number=asked))
                asked += 1
                await deferLater(reactor, 0.001, lambda: None)
            await reloading
        client.ask(wire("example.test.", "SOA", number=asked))
        await eventually(lambda: len(client.got) == asked + 1)
        serials = [dns.message.from_wire(data).answer[0][0].serial for data in client.got]
        self.assertEqual(serials, sorted(serials))
        self.assertEqual(serials[-1], 5)

    async def once(self):
        return await self.service.reload()

    async def test_a_broken_zone_stays_as_it_was(self):
        (self.folder / "zone").write_text("@ nonsense\n")
        (line,) = await self.service.reload()
        self.assertRegex(line, r"^zone example\.test\. stays as it was: .*zone:1: 'nonsense' is no record type$")
        self.assertFalse(self.service.health().ok)
        client = self.client()
        client.ask(wire("ns.example.test."))
        await eventually(lambda: client.got)
        self.assertEqual(dns.message.from_wire(client.got[0]).rcode(), dns.rcode.NOERROR)
        self.write(9)
        self.assertEqual(list(await self.service.reload()), ["zone example.test. serial 9, 204 records"])
        self.assertTrue(self.service.health().ok)
        # What has not changed is not read again.
        self.assertEqual(list(await self.service.reload()), [])

    async def test_drain_answers_what_has_come(self):
        stream = await self.connect()
        stream.ask(wire("ns.example.test."))
        await eventually(lambda: stream.got)
        await gatherResults([Deferred.fromCoroutine(self.drained()), stream.lost])
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(probe.close)
        probe.bind(("127.0.0.1", self.port))

    async def drained(self):
        await self.service.drain(reactor.seconds() + 2)
