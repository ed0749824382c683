"""Ports that answer at the door, on real sockets."""

from __future__ import annotations

import random
import socket

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.access import Rule
from netsuite.common.commons import Runtime
from netsuite.common.door import DoorPort, door_port
from netsuite.common.stream import StreamFactory
from netsuite.upper.wire import Line, LineConnection, raised


class Doors(TestCase):
    """The upper-case server, which knows one answer at the door."""

    timeout = 20

    def setUp(self):
        self.asked = []
        runtime = Runtime(reactor, reactor, random.Random(1))
        self.factory = StreamFactory(
            runtime,
            "upper",
            lambda channel: LineConnection(reactor.seconds(), answers=True, longest=1000, idle=5.0),
            lambda line, body, adapter: Line(raised(line.text)),
            rule=Rule(["loopback"], ["127.0.0.66"]),
            door=self.door,
        )
        with socket.create_server(("127.0.0.1", 0)) as bound:
            bound.setblocking(False)
            self.port = door_port(reactor, bound, self.factory)
        self.addCleanup(self.port.stopListening)
        self.where = self.port.getHost().port

    def door(self, data, host):
        self.asked.append((data, host))
        if data == b"fail\n":
            raise RuntimeError("as the test wants it")
        return b"at the door\n" if data == b"knock\n" else None

    def exchange(self, *words, host="127.0.0.1"):
        """What comes back until the other side closes, or as many lines as were said."""
        with socket.create_connection(("127.0.0.1", self.where), 5, source_address=(host, 0)) as client:
            got = b""
            for count, word in enumerate(words, 1):
                client.sendall(word)
                while got.count(b"\n") < count:
                    data = client.recv(1000)
                    if not data:
                        return got, True
                    got += data
            client.settimeout(0.2)
            try:
                return got, not client.recv(1000)
            except TimeoutError:
                return got, False

    async def ask(self, *words, **rest):
        return await deferToThread(self.exchange, *words, **rest)

    async def test_an_answer_at_the_door_ends_the_connection(self):
        self.assertEqual(await self.ask(b"knock\n"), (b"at the door\n", True))
        self.assertEqual(self.asked, [(b"knock\n", "127.0.0.1")])
        self.assertEqual((self.factory.accepted, self.factory.shortcuts, len(self.factory.adapters)), (1, 1, 0))
        self.assertEqual((self.factory.bytes_in, self.factory.bytes_out), (6, 12))

    async def test_whoever_says_something_else_is_let_in_and_loses_nothing(self):
        self.assertEqual(await self.ask(b"hello\n", b"knock\n"), (b"HELLO\nKNOCK\n", False))
        self.assertEqual(self.asked, [(b"hello\n", "127.0.0.1")])
        self.assertEqual(self.factory.shortcuts, 0)

    async def test_many_at_once(self):
        for word, answer in ((b"knock\n", b"at the door\n"), (b"x\n", b"X\n")):
            for _ in range(5):
                self.assertEqual((await self.ask(word))[0], answer)

    async def test_a_rule_holds_at_the_door(self):
        with self.assertRaises(ConnectionResetError):
            got, ended = await self.ask(b"knock\n", host="127.0.0.66")
            if not got and ended:
                raise ConnectionResetError
        self.assertEqual((self.asked, self.factory.refused), ([], 1))

    async def test_a_fault_is_logged_and_ends_one_client(self):
        try:
            got, _ = await self.ask(b"fail\n")
        except ConnectionResetError:
            got = b""
        self.assertEqual(got, b"")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.factory.errors, 1)
        self.assertEqual((await self.ask(b"knock\n"))[0], b"at the door\n")

    async def test_who_is_silent_holds_up_nobody(self):
        with socket.create_connection(("127.0.0.1", self.where), 5):
            self.assertEqual((await self.ask(b"knock\n"))[0], b"at the door\n")

    async def test_who_leaves_at_once_harms_nobody(self):
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", self.where), 5)
            client.close()
        self.assertEqual((await self.ask(b"knock\n"))[0], b"at the door\n")

    def test_it_is_a_port_of_twisted(self):
        self.assertIsInstance(self.port, DoorPort)
