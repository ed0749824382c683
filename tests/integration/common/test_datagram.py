"""Datagram ports on real sockets: the same behaviour by batches, one by one, and on Twisted's own port."""

from __future__ import annotations

import errno
import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.common import mmsg
from netsuite.common.datagram import DatagramLimits, DatagramPort, Memo, ProtocolPort, bound_socket, datagram_port
from netsuite.common.mmsg import BATCH, BatchPort


def upper(data, peer, local, now):
    return data.upper()


async def eventually(condition, seconds=5.0):
    end = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > end:
            raise AssertionError("it never came to pass")
        await deferLater(reactor, 0.002, lambda: None)


class Client:
    """A socket that is asked without blocking, so that the reactor in the same thread can answer."""

    def __init__(self, case, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.got = []
        case.addCleanup(self.socket.close)

    def look(self):
        while True:
            try:
                self.got.append(self.socket.recvfrom(65535))
            except BlockingIOError:
                return self.got

    async def ask(self, where, *datagrams, expect=None):
        for data in datagrams:
            self.socket.sendto(data, where)
        expect = len(datagrams) if expect is None else expect
        await eventually(lambda: len(self.look()) >= expect)
        got, self.got = self.got, []
        return [data for data, _ in got]


class PortCase:
    """What every kind of port does."""

    kind: type[DatagramPort]
    replies_from_asked = True

    def port(self, answer, where=("127.0.0.1", 0), **rest):
        port = self.kind(reactor, where, answer, **rest)
        port.startListening()
        self.addCleanup(port.stopListening)
        return port

    async def test_answers_come_back_whole_and_in_order(self):
        port = self.port(upper)
        asked = [b"query %d" % number for number in range(200)]
        self.assertEqual(await Client(self).ask(port.local, *asked), [data.upper() for data in asked])
        self.assertEqual((port.received, port.sent, port.dropped, port.faults), (200, 200, 0, 0))

    async def test_sizes_from_nothing_to_the_largest(self):
        port = self.port(upper)
        for size in (0, 1, 2, 3, 4095, 4096, 4097, 30000, 65507):
            data = bytes(97 + i % 26 for i in range(size))
            self.assertEqual(await Client(self).ask(port.local, data), [data.upper()], size)

    async def test_silence_for_some_leaves_the_others_theirs(self):
        port = self.port(lambda data, peer, local, now: None if data.endswith(b"3") else data + b"!")
        asked = [b"%03d" % number for number in range(150)]
        answers = [data + b"!" for data in asked if not data.endswith(b"3")]
        self.assertEqual(await Client(self).ask(port.local, *asked, expect=len(answers)), answers)

    async def test_each_client_gets_its_own(self):
        port = self.port(upper)
        clients = [Client(self) for _ in range(20)]
        for number, client in enumerate(clients):
            for again in range(10):
                client.socket.sendto(b"client %d, %d" % (number, again), port.local)
        for number, client in enumerate(clients):
            self.assertEqual(
                await client.ask(port.local, expect=10), [b"CLIENT %d, %d" % (number, again) for again in range(10)]
            )

    async def test_peer_and_local_are_told(self):
        seen = []
        port = self.port(lambda data, peer, local, now: seen.append((peer, local)) or b"ok")
        client = Client(self)
        await client.ask(port.local, b"hello")
        self.assertEqual(seen, [(client.socket.getsockname(), port.local)])

    async def test_a_fault_is_counted_and_does_not_end_the_port(self):
        def answer(data, peer, local, now):
            if data.startswith(b"bad"):
                raise ZeroDivisionError
            return data

        port = self.port(answer)
        got = await Client(self).ask(port.local, b"bad1", b"good", b"bad2", b"bad3", b"fine", expect=2)
        self.assertEqual(got, [b"good", b"fine"])
        self.assertEqual(port.faults, 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_an_answer_may_come_later(self):
        waiting = []

        def answer(data, peer, local, now):
            waiting.append(Deferred())
            return waiting[-1]

        port = self.port(answer, limits=DatagramLimits(outstanding=2))
        client = Client(self)
        for number in range(3):
            client.socket.sendto(b"%d" % number, port.local)
        await eventually(lambda: len(waiting) == 3)
        self.assertEqual((port.outstanding, port.dropped), (2, 1))
        settled = port.settled()
        waiting[1].callback(b"second")
        waiting[0].callback(None)
        self.assertEqual(await client.ask(port.local, expect=1), [b"second"])
        await settled
        self.assertEqual(port.outstanding, 0)

    async def test_a_coroutine_answers_or_fails(self):
        async def later(data):
            await deferLater(reactor, 0.01, lambda: None)
            if data == b"bad":
                raise ZeroDivisionError
            return data

        port = self.port(lambda data, peer, local, now: later(data))
        self.assertEqual(await Client(self).ask(port.local, b"bad", b"good", expect=1), [b"good"])
        self.assertEqual(port.faults, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_an_answer_that_comes_after_the_end_is_dropped(self):
        waiting = Deferred()
        port = self.port(lambda data, peer, local, now: waiting)
        Client(self).socket.sendto(b"x", port.local)
        await eventually(lambda: port.outstanding)
        await port.stopListening()
        waiting.callback(b"too late")
        self.assertEqual((port.sent, port.outstanding), (0, 0))

    async def test_an_answer_function_may_close_the_port(self):
        ports = []

        def answer(data, peer, local, now):
            ports[0].stopListening()
            return data

        ports.append(self.port(answer))
        client = Client(self)
        for _ in range(3):
            client.socket.sendto(b"x", ports[0].local)
        await eventually(lambda: ports[0].received)
        await deferLater(reactor, 0.02, lambda: None)
        self.assertEqual(ports[0].faults, 0)

    async def test_the_memo_answers_with_each_ones_id(self):
        memo = Memo()
        asked = []

        def answer(data, peer, local, now):
            asked.append(data)
            out = data[:2] + b"answer to " + data[2:]
            memo.put(data, out, 3)
            return out

        port = self.port(answer, memo=memo)
        client = Client(self)
        queries = [b"%02dname%d" % (number, number % 7) for number in range(99)]
        # One of each first, so that all others are known.
        await client.ask(port.local, *queries[:7])
        got = await client.ask(port.local, *queries[7:])
        self.assertEqual(got, [query[:2] + b"answer to " + query[2:] for query in queries[7:]])
        self.assertEqual(len(asked), 7)
        self.assertEqual(memo.tally[3], 92)

    async def test_prompt_answers_silence_and_what_is_declined(self):
        def prompt(queries, hosts):
            for host in hosts[: len(queries)]:
                self.assertEqual(bytes(host), b"\x7f\0\0\1")
            given = {b"q": b"A" * 9, b"s": b"", b"d": None}
            return [given[query[:1]] for query in queries]

        port = self.port(upper, prompt=prompt)
        client = Client(self)
        asked = [b"%02d%s" % (number, b"qsd"[number % 3 : number % 3 + 1]) for number in range(60)]
        got = await client.ask(port.local, *asked, expect=40)
        self.assertEqual(
            got, [data[:2] + b"A" * 9 if data[2:] == b"q" else data.upper() for data in asked if data[2:] != b"s"]
        )

    async def test_a_flood_of_small_batches_is_answered_whole(self):
        port = self.port(upper, prompt=lambda queries, hosts: [query.upper() for query in queries])
        clients = [Client(self) for _ in range(4)]
        for turn in range(60):
            for client in clients:
                for number in range(3):
                    client.socket.sendto(b"%02dx%d" % (turn, number), port.local)
            await deferLater(reactor, 0, lambda: None)
        await eventually(lambda: all(len(client.look()) == 180 for client in clients))
        for client in clients:
            self.assertEqual(
                {data for data, _ in client.got}, {b"%02dX%d" % (t, n) for t in range(60) for n in range(3)}
            )

    async def test_known_and_new_and_silent_in_one_batch(self):
        memo = Memo()

        def answer(data, peer, local, now):
            if data[2:] == b"silent":
                return None
            out = data + b" made"
            if data[2:6] == b"keep":
                memo.put(data, out)
            return out

        port = self.port(answer, memo=memo)
        client = Client(self)
        words = [b"keep1", b"silent", b"new", b"keep2", b"silent", b"keep1", b"new", b"keep2", b"keep1"] * 12
        queries = [b"%02d" % (number % 100) + word for number, word in enumerate(words)]
        expected = [query + b" made" for query in queries if not query.endswith(b"silent")]
        self.assertEqual(await client.ask(port.local, *queries, expect=len(expected)), expected)

    async def test_a_memo_that_overflows_within_a_batch_mixes_nothing_up(self):
        memo = Memo(count=64)

        def answer(data, peer, local, now):
            out = data + b"=" + data[2:] * 20
            memo.put(data, out)
            return out

        port = self.port(answer, memo=memo)
        client = Client(self)
        for turn in range(12):
            queries = [b"%02dname%d" % (number, (number * 7 + turn) % 90) for number in range(100)]
            got = await client.ask(port.local, *queries)
            self.assertEqual(got, [query + b"=" + query[2:] * 20 for query in queries])

    async def test_ipv6(self):
        try:
            port = self.port(upper, ("::1", 0))
        except OSError:
            raise SkipTest("no IPv6 here") from None
        seen = await Client(self, "::1").ask(port.local, b"six")
        self.assertEqual(seen, [b"SIX"])
        self.assertEqual(port.getHost().host, "::1")

    async def test_a_port_in_use_is_an_oserror(self):
        first = self.port(upper)
        second = self.kind(reactor, first.local, upper)
        error = self.assertRaises(OSError, second.startListening)
        self.assertEqual(error.errno, errno.EADDRINUSE)

    async def test_a_paused_port_answers_nothing(self):
        port = self.port(upper)
        client = Client(self)
        await client.ask(port.local, b"one")
        port.pause()
        client.socket.sendto(b"two", port.local)
        await deferLater(reactor, 0.03, lambda: None)
        self.assertEqual(client.look(), [])

    async def test_a_wildcard_answers_from_the_address_that_was_asked(self):
        for bind, asked, client_at in (("0.0.0.0", "127.0.0.77", "127.0.0.1"), ("::", "::1", "::1")):
            seen = []
            port = self.port(lambda data, peer, local, now, seen=seen: seen.append(local) or data, (bind, 0))
            client = Client(self, client_at)
            for number in range(70):
                client.socket.sendto(b"number %d" % number, (asked, port.local[1]))
            await eventually(lambda client=client: len(client.look()) == 70)
            if self.replies_from_asked:
                self.assertEqual({peer[:2] for _, peer in client.got}, {(asked, port.local[1])})
                self.assertEqual(set(seen), {(asked, port.local[1])})


class ReaderPortCase(PortCase):
    """What only ports with a descriptor of their own do."""

    async def test_an_adopted_socket(self):
        sock = bound_socket("127.0.0.1", 0)
        port = self.port(upper, sock)
        self.assertEqual(port.local, sock.getsockname())
        self.assertEqual(await Client(self).ask(port.local, b"adopted"), [b"ADOPTED"])

    async def test_a_flood_does_not_starve_the_reactor(self):
        port = self.port(upper, limits=DatagramLimits(turn=128))
        client = Client(self)
        turns = []

        def turn():
            turns.append(port.received)
            if port.received < 1000:
                reactor.callLater(0, turn)

        for number in range(1000):
            client.socket.sendto(b"%d" % number, port.local)
        turn()
        await eventually(lambda: port.received == 1000)
        self.assertGreater(len(set(turns)), 1000 // 128 - 2)

    async def test_workers_share_a_port(self):
        first = self.port(upper, bound_socket("127.0.0.1", 0, share=True))
        second = self.port(upper, bound_socket("127.0.0.1", first.local[1], share=True))
        for number in range(40):
            self.assertEqual(await Client(self).ask(first.local, b"n%d" % number), [b"N%d" % number])
        self.assertEqual(first.received + second.received, 40)
        self.assertTrue(first.received)
        self.assertTrue(second.received)

    async def test_what_the_kernel_does_not_take_waits_and_is_bounded(self):
        port = self.port(upper, limits=DatagramLimits(late=3))
        client = Client(self)
        peer = client.socket.getsockname()
        port._socket = full = FullSocket(port._socket)
        for number in range(5):
            port.transmit(b"late %d" % number, peer, [])
        self.assertEqual((port.sent, port.dropped), (0, 2))
        settled = port.settled()
        full.full = False
        await settled
        self.assertEqual(await client.ask(port.local, expect=3), [b"late 0", b"late 1", b"late 2"])
        self.assertEqual((port.sent, port.dropped), (3, 2))


class FullSocket:
    """A socket whose kernel takes nothing while ``full``; a loopback interface is never that slow by itself."""

    def __init__(self, real):
        self.real = real
        self.full = True

    def __getattr__(self, name):
        return getattr(self.real, name)

    def sendto(self, *rest):
        if self.full:
            raise BlockingIOError(errno.EAGAIN, "full")
        return self.real.sendto(*rest)

    def sendmsg(self, *rest):
        if self.full:
            raise BlockingIOError(errno.EAGAIN, "full")
        return self.real.sendmsg(*rest)


class BatchPortTests(ReaderPortCase, TestCase):
    kind = BatchPort
    skip = None if mmsg.available() else "this platform has no recvmmsg"

    async def test_a_refused_datagram_does_not_hold_up_its_batch(self):
        # The kernel refuses to send to port 0 (EINVAL); nobody can ask from there, so it is put into the batch.
        port = self.port(upper)
        client = Client(self)
        for number in range(10):
            client.socket.sendto(b"query%d" % number, port.local)
        original = port._send

        def send(descriptor, count):
            port._name_views[4][2:4] = b"\0\0"
            original(descriptor, count)

        port._send = send
        await eventually(lambda: len(client.look()) == 9)
        self.assertEqual([data for data, _ in client.got], [b"QUERY%d" % n for n in range(10) if n != 4])
        self.assertEqual(port.dropped, 1)

    async def test_a_batch_that_the_kernel_does_not_take_is_kept(self):
        port = self.port(upper)
        client = Client(self)
        for number in range(BATCH):
            client.socket.sendto(b"query%d" % number, port.local)
        port._send = lambda descriptor, count: port._keep(0, count)
        await eventually(lambda: len(client.look()) == BATCH)
        self.assertEqual([data for data, _ in client.got], [b"QUERY%d" % n for n in range(BATCH)])

    def test_the_fastest_is_chosen(self):
        self.assertIs(type(datagram_port(reactor, ("127.0.0.1", 0), upper)), BatchPort)


class OneByOneTests(ReaderPortCase, TestCase):
    kind = DatagramPort


class ProtocolPortTests(PortCase, TestCase):
    kind = ProtocolPort
    replies_from_asked = False
