"""StreamAdapter on real sockets: every limit and every way in which a peer, a handler or a source can fail."""

from __future__ import annotations

import random
import socket
import struct

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from netsuite.common.access import ConcurrencyLimit
from netsuite.common.adapter import StreamLimits
from netsuite.common.body import BodyFailed, BodyTooLarge
from netsuite.common.commons import Runtime
from netsuite.common.outlet import Outlet
from netsuite.common.stream import ConnectFailed, StreamFactory, connect_stream
from tests.blocks import Blocks, Message


class Raw(Protocol):
    """A peer that does only what the test says."""

    def __init__(self):
        self.got = b""
        self.closed = Deferred()
        self.waiting = []

    def dataReceived(self, data):
        self.got += data
        for wanted, heard in list(self.waiting):
            if wanted in self.got:
                self.waiting.remove((wanted, heard))
                heard.callback(None)

    def until(self, wanted):
        heard = Deferred()
        if wanted in self.got:
            heard.callback(None)
        else:
            self.waiting.append((wanted, heard))
        return heard

    def more(self, count):
        """Wait until that many x have come."""
        return eventually(lambda: self.got.count(b"x") >= count, 20)

    def connectionLost(self, reason):
        self.closed.callback(None)


class Source:
    """Counts what is taken from it and how often it is closed."""

    def __init__(self, chunks, failure=None):
        self.chunks, self.failure, self.taken, self.closed = chunks, failure, 0, 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.taken == self.chunks:
            if self.failure:
                raise self.failure
            raise StopAsyncIteration
        self.taken += 1
        return b"x" * 65536

    async def aclose(self):
        self.closed += 1


def turns(seconds=0.0):
    return deferLater(reactor, seconds, lambda: None)


async def eventually(condition, seconds=5.0):
    """Wait until a condition holds; the test fails if it never does."""
    end = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > end:
            raise AssertionError("what was waited for did not happen")
        await turns(0.005)


class StreamCase(TestCase):
    timeout = 30

    def setUp(self):
        self.clock = Clock()
        self.clock.advance(1000)
        self.runtime = Runtime(reactor, self.clock, random.Random(1))
        self.machines = []

    def serve(self, handler, machine=None, context=None, **options):
        def connection(channel):
            made = Blocks(self.clock.seconds(), answers=True, **(machine or {}))
            self.machines.append(made)
            return made

        self.factory = StreamFactory(self.runtime, "blocks", connection, handler, **options)
        listening = self.factory if context is None else self.factory.secured(context)
        port = reactor.listenTCP(0, listening, interface="127.0.0.1")

        async def clean():
            await port.stopListening()
            for adapter in list(self.factory.adapters):
                adapter.abort()
            await eventually(lambda: not self.factory.adapters)

        self.addCleanup(lambda: Deferred.fromCoroutine(clean()))
        self.port = port.getHost().port
        return self.port

    def raw(self):
        factory = Factory.forProtocol(Raw)
        factory.noisy = False
        made = Deferred()
        TCP4ClientEndpoint(reactor, "127.0.0.1", self.port).connect(factory).chainDeferred(made)

        def clean(peer):
            async def close():
                if not peer.closed.called:
                    peer.transport.abortConnection()
                    await peer.closed

            self.addCleanup(lambda: Deferred.fromCoroutine(close()))
            return peer

        return made.addCallback(clean)


class Answers(StreamCase):
    async def test_a_message_and_its_body(self):
        async def handler(message, body, adapter):
            return Message(message.name.upper(), await body.read(100))

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n3\nabc2\nde0\n")
        await peer.until(b"HI\n5\nabcde0\n")
        self.assertEqual(self.machines[0].waited >= 0, True)
        self.assertEqual(self.factory.accepted, 1)
        self.assertEqual(self.factory.bytes_in, 14)

    async def test_a_handler_that_raises_is_said_in_the_protocols_words(self):
        def handler(message, body, adapter):
            raise ZeroDivisionError("by zero")

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await peer.closed
        self.assertEqual(peer.got, b"!by zero\n")
        self.assertEqual(self.factory.errors, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_machine_that_cannot_be_made_ends_one_connection(self):
        self.serve(lambda *a: None, machine={"nonsense": 1})
        peer = await self.raw()
        await peer.closed
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    async def test_a_late_failure_is_said_too(self):
        async def handler(message, body, adapter):
            await turns()
            raise ZeroDivisionError("late")

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await peer.closed
        self.assertEqual(peer.got, b"!late\n")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_one_that_breaks_at_the_end_of_a_turn_ends_alone(self):
        """What several connections have to say leaves together, and one of them cannot say it."""
        waiting = []

        async def handler(message, body, adapter):
            waiting.append(Deferred())
            await waiting[-1]
            if message.name == b"bad":
                adapter.connection.deadline = lambda: 1 / 0
            return Message(message.name.upper())

        self.serve(handler)
        peers = [await self.raw() for _ in range(5)]
        for number, peer in enumerate(peers):
            peer.transport.write(b"bad\n0\n" if number == 2 else b"good\n0\n")
        await eventually(lambda: len(waiting) == len(peers))
        for each in waiting:
            each.callback(None)
        for number, peer in enumerate(peers):
            await (peer.closed if number == 2 else peer.until(b"GOOD\n0\n"))
        self.assertEqual(self.factory.errors, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_an_answer_that_the_protocol_forbids_does_not_hang(self):
        self.serve(lambda message, body, adapter: "nonsense")
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await peer.closed
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    async def test_a_body_too_long_for_its_reader(self):
        async def handler(message, body, adapter):
            try:
                await body.read(4)
            except BodyTooLarge:
                return Message(b"no")

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n5\nabcde0\n")
        await peer.until(b"no\n0\n")

    async def test_an_unwanted_body_is_read_over(self):
        self.serve(lambda message, body, adapter: Message(b"done"))
        peer = await self.raw()
        peer.transport.write(b"a\n3\nabc0\nb\n3\nabc0\n")
        await peer.until(b"done\n0\ndone\n0\n")

    async def test_too_much_of_an_unwanted_body_closes(self):
        self.serve(lambda message, body, adapter: Message(b"done"), limits=StreamLimits(drop_bytes=1000))
        peer = await self.raw()
        peer.transport.write(b"a\n" + b"900\n" + b"x" * 900 + b"900\n" + b"x" * 900)
        await peer.closed
        self.assertEqual((peer.got, self.machines[0].unconsumed), (b"done\n0\n", 900))

    async def test_the_answer_reaches_a_peer_that_said_all(self):
        async def handler(message, body, adapter):
            await turns(0.01)
            return Message(b"late")

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        peer.transport.loseWriteConnection()
        await peer.closed
        self.assertEqual(peer.got, b"late\n0\n")

    async def test_an_error_outlives_what_the_peer_still_sends(self):
        self.serve(lambda message, body, adapter: None, machine={"linger": True})
        peer = await self.raw()
        peer.transport.write(b"hi\nworse\n" + b"x" * 300_000)
        await peer.until(b"!bad size\n")
        await turns(0.05)
        peer.transport.write(b"y" * 300_000)
        await turns(0.05)
        peer.transport.loseConnection()
        await eventually(lambda: not self.factory.adapters)

    async def test_a_lingering_peer_is_cut_in_the_end(self):
        self.serve(lambda message, body, adapter: None, machine={"linger": True})
        peer = await self.raw()
        peer.transport.write(b"hi\nworse\n")
        await peer.until(b"!bad size\n")
        self.clock.advance(2.1)
        await eventually(lambda: not self.factory.adapters)


class Leaving(StreamCase):
    async def test_the_client_leaves_while_its_answer_is_made(self):
        ended = []

        async def handler(message, body, adapter):
            try:
                await Deferred()
            except CancelledError:
                ended.append("cancelled")
                raise
            finally:
                ended.append("finally")

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await eventually(lambda: self.machines and self.machines[0].owed)
        peer.transport.abortConnection()
        await eventually(lambda: ended)
        self.assertEqual(ended, ["cancelled", "finally"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_the_client_leaves_within_its_body(self):
        failures = []

        async def handler(message, body, adapter):
            try:
                await body.read(1000)
            except BodyFailed as failed:
                failures.append(str(failed))
                raise

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n3\nabc")
        await eventually(lambda: self.machines and self.machines[0].inside)
        peer.transport.loseConnection()
        await eventually(lambda: failures)
        self.assertEqual(failures, ["the peer left"])

    async def test_a_source_is_closed_when_its_reader_leaves(self):
        source = Source(10**9)
        self.serve(lambda message, body, adapter: Message(b"much", source=source))
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await peer.more(100_000)
        peer.transport.abortConnection()
        await eventually(lambda: source.closed)
        self.assertEqual(source.closed, 1)

    async def test_a_reset_is_seen_though_nobody_reads(self):
        self.serve(lambda message, body, adapter: Deferred(), limits=StreamLimits(backlog_high=1000, backlog_low=100))
        self.factory.handler = lambda message, body, adapter: None
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n" + b"pipelined\n0\n" * 1000)
        await eventually(lambda: self.machines and self.machines[0].backlog() > 1000)
        await turns(0.02)
        peer.transport.abortConnection()
        await turns(0.02)
        self.assertEqual(len(self.factory.adapters), 1)
        self.clock.advance(5.1)
        await eventually(lambda: not self.factory.adapters)


class Sources(StreamCase):
    async def test_a_source_is_poured_and_closed_once(self):
        source = Source(40)
        self.serve(lambda message, body, adapter: Message(b"much", source=source))
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await peer.until(b"x0\n")
        self.assertEqual(peer.got.count(b"x"), 40 * 65536)
        self.assertEqual(source.closed, 1)

    async def test_a_source_that_fails_half_way(self):
        source = Source(3, ZeroDivisionError("half way"))
        self.serve(lambda message, body, adapter: Message(b"much", source=source))
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await peer.closed
        self.assertEqual(peer.got.count(b"x"), 3 * 65536)
        self.assertFalse(peer.got.endswith(b"0\n"))
        self.assertEqual(source.closed, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_reader_that_stops_is_not_read_ahead_for_and_is_cut(self):
        source = Source(10**9)
        self.serve(lambda message, body, adapter: Message(b"much", source=source))
        peer = await self.raw()
        peer.transport.pauseProducing()
        peer.transport.write(b"hi\n0\n")
        before = -1
        while before != source.taken:
            before = source.taken
            await turns(0.05)
        self.assertLess(source.taken * 65536, 16 << 20)
        self.clock.advance(30.1)
        self.clock.advance(30.1)
        await eventually(lambda: not self.factory.adapters)
        self.assertEqual((source.closed, self.factory.timed_out), (1, 1))

    async def test_a_duplex_stream_is_read_while_its_peer_reads_nothing(self):
        heard, writable = [], []

        def handler(message, body, adapter):
            heard.append(message.name)
            if len(heard) == 1:
                return Message(b"ok", b"x" * (32 << 20))
            return Message(b"ok")

        limits = StreamLimits(duplex=True)
        self.serve(handler, limits=limits, writable=writable.append)
        client = await self.raw()
        client.transport.pauseProducing()
        client.transport.write(b"a\n0\n")
        await eventually(lambda: heard == [b"a"])
        (adapter,) = self.factory.adapters
        self.assertTrue(adapter.full)
        client.transport.write(b"b\n0\nc\n0\n")
        await eventually(lambda: heard == [b"a", b"b", b"c"])
        self.assertEqual((adapter.full, writable), (True, []))
        client.transport.resumeProducing()
        await eventually(lambda: writable == [adapter])

    async def test_a_slow_reader_is_not_cut(self):
        source = Source(10**9)
        self.serve(lambda message, body, adapter: Message(b"much", source=source))
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        for _ in range(5):
            await peer.more(peer.got.count(b"x") + 1_000_000)
            peer.transport.pauseProducing()
            await turns(0.02)
            self.clock.advance(20)
            peer.transport.resumeProducing()
        self.assertEqual(len(self.factory.adapters), 1)

    async def test_the_protocols_own_window_holds_a_source_back(self):
        source = Source(4)
        self.serve(lambda message, body, adapter: Message(b"much", source=source), machine={"window": 100_000})
        peer = await self.raw()
        peer.transport.write(b"hi\n0\n")
        await eventually(lambda: self.machines and self.machines[0].window == 0)
        await turns(0.02)
        self.assertEqual(peer.got.count(b"x"), 100_000)
        self.machines[0].window = 10**9
        next(iter(self.factory.adapters)).pump()
        await peer.until(b"x0\n")

    async def test_a_body_may_be_the_next_source(self):
        async def handler(message, body, adapter):
            return Message(b"echo", source=body)

        self.serve(handler)
        peer = await self.raw()
        peer.transport.write(b"hi\n")
        for _ in range(50):
            peer.transport.write(b"65536\n" + b"y" * 65536)
        peer.transport.write(b"0\n")
        await peer.until(b"y0\n")
        self.assertEqual(peer.got.count(b"y"), 50 * 65536)


class Floods(StreamCase):
    async def test_requests_behind_a_slow_answer_are_not_taken(self):
        gate = Deferred()

        async def handler(message, body, adapter):
            if not gate.called:
                await gate
            return Message(b"ok")

        self.serve(handler)
        peer = await self.raw()
        for _ in range(40):
            peer.transport.write(b"hi\n0\n" * 10_000)
        await turns(0.3)
        self.assertLess(self.factory.bytes_in, 1 << 19)
        gate.callback(None)
        await eventually(lambda: peer.got.count(b"ok\n0\n") == 400_000, 25)

    async def test_a_flooder_that_reads_nothing_is_not_answered_without_end(self):
        big = b"z" * 100_000
        answered = []

        def handler(message, body, adapter):
            answered.append(1)
            return Message(b"ok", big)

        self.serve(handler)
        peer = await self.raw()
        peer.transport.pauseProducing()
        peer.transport.write(b"hi\n0\n" * 10_000)
        await turns(0.3)
        self.assertLess(len(answered), 300)

    async def test_concurrency_is_limited_and_given_back(self):
        self.serve(lambda *a: None, concurrency=ConcurrencyLimit(10, 2))
        first, second = await self.raw(), await self.raw()
        third = await self.raw()
        await third.closed
        self.assertEqual(self.factory.refused, 1)
        first.transport.loseConnection()
        await eventually(lambda: len(self.factory.adapters) == 1)
        fourth = await self.raw()
        await eventually(lambda: len(self.factory.adapters) == 2)
        self.assertFalse(fourth.closed.called or second.closed.called)

    async def test_a_silent_peer_meets_the_machines_deadline(self):
        self.serve(lambda *a: None)
        peer = await self.raw()
        await eventually(lambda: self.machines)
        self.clock.advance(60)
        await peer.closed


class Draining(StreamCase):
    async def test_what_is_in_flight_is_finished_and_idle_ones_close(self):
        gate = Deferred()

        async def handler(message, body, adapter):
            await gate
            return Message(b"late")

        self.serve(handler)
        idle, busy = await self.raw(), await self.raw()
        busy.transport.write(b"hi\n0\n")
        await eventually(lambda: any(m.owed for m in self.machines))
        drained = self.factory.drain(self.clock.seconds() + 10)
        await idle.closed
        self.assertFalse(drained.called)
        gate.callback(None)
        await busy.closed
        self.assertEqual(busy.got, b"late\n0\n")
        await drained

    async def test_the_deadline_cuts_the_rest(self):
        async def handler(message, body, adapter):
            await Deferred()

        self.serve(handler)
        busy = await self.raw()
        busy.transport.write(b"hi\n0\n")
        await eventually(lambda: any(m.owed for m in self.machines))
        drained = self.factory.drain(self.clock.seconds() + 10)
        self.clock.advance(10)
        await drained
        await busy.closed


class Clients(StreamCase):
    async def test_a_client_asks_with_a_source(self):
        async def handler(message, body, adapter):
            return Message(b"%d" % len(await body.read(1 << 20)))

        self.serve(handler)
        answers = Deferred()
        client = StreamFactory(
            self.runtime,
            "client",
            lambda channel: Blocks(self.clock.seconds(), answers=False),
            lambda message, body, adapter: answers.callback(message.name),
        )
        adapter = await connect_stream(client, "127.0.0.1", self.port)
        adapter.send(Message(b"hi", source=Source(3)))
        self.assertEqual(await answers, b"196608")
        adapter.close("done")
        await eventually(lambda: not client.adapters)

    async def test_nobody_listens(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            client = StreamFactory(self.runtime, "client", lambda c: None, lambda *a: None)
            problem = await self.assertFailure(
                Deferred.fromCoroutine(connect_stream(client, "127.0.0.1", port)), ConnectFailed
            )
        self.assertIn(f"127.0.0.1:{port}", str(problem))

    async def test_the_immediate_send_finds_twisteds_queue(self):
        self.serve(lambda *a: None)
        await self.raw()
        await eventually(lambda: self.factory.adapters)
        outlet = next(iter(self.factory.adapters))._outlet
        self.assertIsInstance(outlet, Outlet)
        self.assertIsNotNone(outlet._socket, "Twisted's transports changed: the immediate send is off")
        self.assertIs(outlet._transport._writeDisconnected, False, "Twisted's transports changed: half_close lies")
        info = outlet._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
        self.assertEqual(len(info), 128, "the kernel's tcp_info is shorter than tcpi_bytes_acked needs")
        acknowledged = struct.unpack_from("=Q", info, 120)[0]
        self.assertLess(acknowledged, 1000)
