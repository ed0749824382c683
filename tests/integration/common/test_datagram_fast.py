"""The batched port's own shortcut: which datagrams it takes, and that its answers reach who asked."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.common import mmsg
from netsuite.common.mmsg import BatchPort
from tests.integration.common.test_datagram import Client


class Fast(TestCase):
    timeout = 20
    host = "127.0.0.1"

    def setUp(self):
        if not mmsg.available():
            raise SkipTest("this platform has no batches")
        self.slow = []
        self.port = self.listening((self.host, 0))

    def listening(self, where):
        port = BatchPort(reactor, where, self.answer, fast=self.fast)
        port.startListening()
        self.addCleanup(port.stopListening)
        return port

    def fast(self, data, name):
        if data.startswith(b"fail"):
            raise RuntimeError("as the test wants it")
        packed = name[8:24] if ":" in self.host else name[4:8]
        assert packed == socket.inet_pton(socket.AF_INET6 if ":" in self.host else socket.AF_INET, self.host)
        return data.upper() if data.startswith(b"fast") else b"x" * 9000 if data == b"huge" else None

    def answer(self, data, peer, local, now):
        self.slow.append(data)
        return None if data == b"drop" else data.title() * (1000 if data == b"huge" else 1)

    async def test_both_ways_in_one_batch(self):
        client = Client(self, self.host)
        said = [b"fast %d" % each if each % 3 else b"slow %d" % each for each in range(150)]
        got = await client.ask(self.port.local, *said)
        self.assertEqual(sorted(got), sorted(each.upper() if each[:1] == b"f" else each.title() for each in said))
        self.assertEqual(len(self.slow), 50)

    async def test_silence_in_the_middle_of_a_batch(self):
        clients = [Client(self, self.host) for _ in range(3)]
        for client in clients:
            client.socket.sendto(b"drop", self.port.local)
        for number, client in enumerate(clients):
            self.assertEqual(await client.ask(self.port.local, b"fast %d" % number), [b"FAST %d" % number])

    async def test_answers_too_long_for_a_batch_leave_alone(self):
        client = Client(self, self.host)
        self.assertEqual(await client.ask(self.port.local, b"huge"), [b"Huge" * 1000])
        self.assertEqual(await client.ask(self.port.local, b"fast" * 2000), [b"Fast" + b"fast" * 1999])

    async def test_a_fault_costs_one_answer(self):
        client = Client(self, self.host)
        self.assertEqual(await client.ask(self.port.local, b"fail", b"fast 1", expect=1), [b"FAST 1"])
        self.assertEqual(self.port.faults, 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_on_all_addresses_the_asked_one_answers(self):
        port = self.listening(("::" if ":" in self.host else "0.0.0.0", 0))
        client = Client(self, self.host)
        client.socket.connect((self.host, port.local[1]))
        for _ in range(3):
            client.socket.send(b"drop")
        client.socket.send(b"fast 1")
        client.socket.send(b"slow 1")
        got = await client.ask((self.host, port.local[1]), expect=2)
        self.assertEqual(sorted(got), [b"FAST 1", b"Slow 1"])


class FastIpv6(Fast):
    host = "::1"
