"""DNS over QUIC on a real socket, asked by aioquic."""

from __future__ import annotations

from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons
from tests.integration.quic import connected

ZONE = """$TTL 60
@ SOA ns host 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
""" + "".join(f"host{n} TXT {'x' * 200}\n" for n in range(2000))


def framed(message):
    wire = message if isinstance(message, bytes) else message.to_wire()
    return len(wire).to_bytes(2, "big") + wire


def messages(data):
    found = []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        found.append(dns.message.from_wire(data[2:end], one_rr_per_rrset=True))
        data = data[end:]
    return found


def question(name="ns.example.test", rdtype="A", **rest):
    asked = dns.message.make_query(name, rdtype, **rest)
    asked.id = 0
    return asked


class DoqTests(TestCase):
    def setUp(self):
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        (folder / "zone").write_text(ZONE)
        commons = make_commons(folder / "data", reactor)
        table = {
            "zone": [{"name": "example.test", "file": "zone", "transfer": ["loopback"]}],
            "listen": ["quic:127.0.0.1:0"],
        }
        self.service = service = build(DnsSettings.model_validate(table, context={"base": folder}), commons)
        service.register(commons.offers)
        service.join(commons.offers)
        service.check()
        service.open()
        service.startService()
        self.ca = commons.certificates.ca_path
        self.address = service.addresses()[0]
        self.addCleanup(lambda: service.drain(reactor.seconds() + 1))

    async def client(self, **settings):
        client = await connected(self.address.port, "doq", self.ca, **settings)
        self.addCleanup(client.close)
        return client

    def test_address(self):
        self.assertEqual(self.address.kind, "quic")
        self.assertIn("+quic", self.address.hint)

    async def test_queries(self):
        client = await self.client()
        streams = [client.send(framed(question())) for _ in range(20)]
        await client.until(lambda: client.ended.issuperset(streams))
        for stream in streams:
            (answer,) = messages(client.streams[stream])
            self.assertEqual((answer.id, answer.rcode(), len(answer.answer)), (0, dns.rcode.NOERROR, 1))

    async def test_padding(self):
        """An encrypted path: whoever pads gets padding (RFC 9250 section 5.4)."""
        client = await self.client()
        padding = [dns.edns.GenericOption(12, b"\0" * 20)]
        stream = client.send(framed(question(use_edns=0, options=padding)))
        await client.until(lambda: stream in client.ended)
        self.assertEqual((len(client.streams[stream]) - 2) % 468, 0)

    async def test_a_query_in_pieces(self):
        client = await self.client()
        wire = framed(question())
        stream = client.send(wire[:1], end=False)
        for byte in wire[1:-1]:
            client.send(bytes([byte]), end=False, stream=stream)
        client.send(wire[-1:], stream=stream)
        await client.until(lambda: stream in client.ended)
        self.assertEqual(len(messages(client.streams[stream])), 1)

    async def test_transfer(self):
        client = await self.client()
        stream = client.send(framed(question("example.test", "AXFR")))
        await client.until(lambda: stream in client.ended)
        found = messages(client.streams[stream])
        self.assertGreater(len(found), 5)
        self.assertEqual(sum(len(message.answer) for message in found), 2004)

    async def test_fatal(self):
        """What RFC 9250 calls a protocol error ends the connection with that code."""
        numbered = question()
        numbered.id = 7
        keepalive = question(use_edns=0, options=[dns.edns.GenericOption(11, b"")])
        for name, data in [
            ("an id", framed(numbered)),
            ("bytes behind", framed(question()) + b"x"),
            ("an end inside", framed(question())[:-1]),
            ("nothing", b""),
            ("no header", framed(b"\0\0\0")),
            ("keepalive", framed(keepalive)),
        ]:
            client = await self.client()
            client.send(data)
            await client.until(lambda client=client: client.over is not None)
            self.assertEqual(client.over[0], 2, name)

    async def test_one_way_stream(self):
        client = await self.client()
        client.send(framed(question()), stream=client.quic.get_next_available_stream_id(is_unidirectional=True))
        await client.until(lambda: client.over is not None)
        self.assertEqual(client.over[0], 2)

    async def test_taken_back(self):
        client = await self.client()
        stream = client.send(framed(question())[:5], end=False)
        client.quic.reset_stream(stream, 3)
        client.flush()
        other = client.send(framed(question()))
        await client.until(lambda: other in client.ended)
        self.assertNotIn(stream, client.ended)

    async def test_too_much(self):
        """More of half-read queries than a connection may hold: EXCESSIVE_LOAD."""
        client = await self.client()
        for _ in range(100):
            client.send(b"\xff\xff" + bytes(4000), end=False)
        await client.until(lambda: client.over is not None)
        self.assertEqual(client.over[0], 4)

    async def test_wrong_protocol(self):
        client = await connected(self.address.port, "h3", self.ca)
        self.addCleanup(client.close)
        self.assertFalse(client.ready)

    async def test_lost_datagrams(self):
        """One datagram in three is lost on the way back; everything arrives."""
        client = await self.client()
        count = iter(range(10**6))
        client.lossy = lambda data: next(count) % 3 == 0
        stream = client.send(framed(question("example.test", "AXFR")))
        await client.until(lambda: stream in client.ended)
        self.assertEqual(sum(len(message.answer) for message in messages(client.streams[stream])), 2004)

    async def test_drain(self):
        client = await self.client()
        stream = client.send(framed(question()))
        await client.until(lambda: stream in client.ended)
        await self.service.drain(reactor.seconds() + 2)
        await client.until(lambda: client.over is not None)
        self.assertEqual(client.over[0], 0)
