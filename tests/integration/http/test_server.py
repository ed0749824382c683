"""The HTTP server on real sockets, with clients and applications that behave badly."""

from __future__ import annotations

import resource
import socket
import threading
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.listen import StreamListener
from netsuite.common.stream import StreamLimits
from netsuite.http.server import HttpServer
from netsuite.http.wire import Http1Limits
from netsuite.testing.commons import make_commons
from tests.integration.http.behaviour import Application

GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"


def receive_all(client):
    got = b""
    while piece := client.recv(65536):
        got += piece
    return got


class Server(TestCase):
    timeout = 60

    def serve(self, http1=Http1Limits(), limits=StreamLimits()):
        self.commons = make_commons(Path(self.mktemp()), reactor)
        self.app = Application()
        self.server = HttpServer(self.commons, "test", http1=http1, limits=limits)
        self.server.mount("/", self.app)
        listener = StreamListener("127.0.0.1:0", self.server.factory, self.commons, "test.listen")
        listener.open()
        listener.accept()
        self.port = listener.port

        async def stop():
            await listener.close()
            for adapter in list(self.server.factory.adapters):
                adapter.abort()
            await self.until(lambda: not self.server.factory.adapters)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), 20)
        self.addCleanup(client.close)
        return client

    async def until(self, condition):
        """Let the reactor turn until something holds (the test's time-out is the limit)."""
        while not condition():
            turn = Deferred()
            reactor.callLater(0.002, turn.callback, None)
            await turn

    def talk(self, raw, half_close=True):
        """Everything the server says to these bytes, until it closes."""

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(raw)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
                return receive_all(client)

        return deferToThread(run)

    async def test_requests_on_one_connection(self):
        self.serve()
        got = await self.talk(GET % b"" + GET % b"kept" + GET % b"kept" + (GET % b"").replace(b"GET", b"HEAD"))
        self.assertEqual(got.count(b"HTTP/1.1 200 OK\r\n"), 4)
        self.assertEqual(got.count(b"\r\nDate: "), 4)
        self.assertTrue(got.endswith(b"Content-Length: 5\r\n\r\n"))

    async def test_the_hot_path_says_the_same(self):
        self.serve()

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                answers = []
                for _ in range(5):
                    client.sendall(GET % b"kept")
                    answers.append(client.recv(65536))
                return answers

        answers = await deferToThread(run)
        self.assertEqual(len({answer.split(b"\r\nServer")[1] for answer in answers}), 1)
        self.assertEqual(self.server.hot.hits, 4)
        self.assertEqual(self.app.asked, 1)

    async def test_a_hit_never_overtakes_a_late_answer(self):
        """What came late leaves at the end of a turn, in which the next request may be read."""
        self.serve()
        kept = GET % b"kept"
        self.assertIn(b"200 OK", await self.talk(kept))
        client = self.connect()
        client.sendall(GET % b"slow")
        await self.until(lambda: self.app.waiting)
        (adapter,) = self.server.factory.adapters
        self.app.waiting[0].callback(None)
        adapter.dataReceived(kept)
        adapter.dataReceived(kept)
        client.shutdown(socket.SHUT_WR)
        bodies = [
            part.split(b"\r\n\r\n")[1] for part in (await deferToThread(receive_all, client)).split(b"HTTP/1.1 ")[1:]
        ]
        self.assertEqual(bodies, [b"slow", b"kept", b"kept"])
        self.assertEqual(self.server.hot.hits, 1)

    async def test_a_handler_that_raises(self):
        self.serve()
        got = await self.talk(GET % b"raises" + GET % b"splits" + GET % b"")
        self.assertEqual(got.count(b"HTTP/1.1 500 "), 2)
        self.assertEqual(got.count(b"HTTP/1.1 200 "), 1)
        self.assertNotIn(b"oops", got)
        self.assertNotIn(b"Set-Cookie", got)
        self.assertEqual(self.server.factory.errors, 2)
        self.flushLoggedErrors()

    async def test_a_source_that_breaks(self):
        self.serve()
        for path, sign in ((b"breaks", b"3\r\none\r\n"), (b"counted", b"\r\n\r\none")):
            got = await self.talk(GET % path, half_close=False)
            self.assertTrue(got.endswith(sign), got)
        self.assertEqual([source.closed for source in self.app.sources], [1, 1])
        self.flushLoggedErrors()

    async def test_the_client_leaves_while_its_answer_is_made(self):
        self.serve()
        client = self.connect()
        client.sendall(GET % b"slow")
        await self.until(lambda: self.app.waiting)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        await self.until(lambda: self.app.cancelled and not self.server.factory.adapters)

    async def test_the_client_leaves_while_it_is_sent_a_body(self):
        self.serve()
        client = self.connect()
        client.sendall(GET % b"endless")
        await deferToThread(client.recv, 1000)
        client.close()
        await self.until(lambda: not self.server.factory.adapters)
        self.assertEqual(self.app.sources[0].closed, 1)

    async def test_a_flood_behind_a_slow_answer_is_held_back(self):
        self.serve()
        client = self.connect()
        client.setblocking(False)
        client.sendall(GET % b"slow")
        await self.until(lambda: self.app.waiting)
        sent, flood = 0, (GET % b"") * 1000

        def pour():
            nonlocal sent
            try:
                sent += client.send(flood)
            except BlockingIOError:
                return True
            return sent > 200 << 20

        await self.until(pour)
        self.assertLess(sent, 64 << 20)
        self.assertEqual(self.app.asked, 1)
        (adapter,) = self.server.factory.adapters
        self.assertLess(adapter.connection.backlog(), 1 << 20)
        client.close()
        self.app.waiting[0].callback(None)
        await self.until(lambda: not self.server.factory.adapters)

    async def test_a_reader_that_stops_is_cut(self):
        self.serve(limits=StreamLimits(stall=0.3))
        client = self.connect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        client.sendall(GET % b"endless")
        await self.until(lambda: self.app.sources)
        await self.until(lambda: not self.server.factory.adapters)
        self.assertEqual(self.app.sources[0].closed, 1)
        self.assertLess(self.app.sources[0].given, 64 << 20)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 64 << 10)

    async def test_a_slow_head(self):
        self.serve(Http1Limits(head_time=0.2))
        got = await self.talk(b"GET / HTTP/1.1\r\nHost:", half_close=False)
        self.assertIn(b"HTTP/1.1 408 ", got)

    async def test_silence(self):
        self.serve(Http1Limits(idle_time=0.2))
        self.assertEqual(await self.talk(b"", half_close=False), b"")

    async def test_a_slow_body(self):
        self.serve(Http1Limits(body_time=0.2))
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
        self.assertIn(b"HTTP/1.1 408 ", await self.talk(head, half_close=False))
        self.flushLoggedErrors()

    async def test_uploads_both_ways_at_once(self):
        self.serve()

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(b"POST /through HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                chunk = b"x" * 50_000
                feeder = threading.Thread(
                    target=lambda: client.sendall(b"c350\r\n%b\r\n" % chunk * 200 + b"0\r\n\r\n" + GET % b"")
                )
                feeder.start()
                got = b""
                while not got.endswith(b"hello"):
                    got += client.recv(1 << 20)
                feeder.join()
                return got

        got = await deferToThread(run)
        self.assertEqual(got.count(b"x"), 10_000_000 + got.count(b"text"))

    async def test_continue(self):
        self.serve()

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
                client.sendall(head)
                interim = client.recv(1000)
                client.sendall(b"abc")
                return interim, client.recv(1000)

        interim, final = await deferToThread(run)
        self.assertEqual(interim, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertTrue(final.endswith(b"\r\n\r\nabc"))

    async def test_refusals_arrive_though_more_is_being_sent(self):
        """The close lingers, so that no reset overtakes the last words."""
        self.serve()
        raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"x" * 300_000
        for _ in range(10):
            self.assertIn(b"HTTP/1.1 400 ", await self.talk(raw))

    async def test_drain_finishes_what_is_in_flight(self):
        self.serve()
        busy, idle = self.connect(), self.connect()
        busy.sendall(GET % b"slow")
        idle.sendall(GET % b"")
        await self.until(lambda: self.app.waiting and self.app.asked == 2)
        drained = self.server.factory.drain(reactor.seconds() + 10)
        self.assertTrue((await deferToThread(receive_all, idle)).endswith(b"hello"))
        self.app.waiting[0].callback(None)
        got = await deferToThread(receive_all, busy)
        self.assertIn(b"\r\nConnection: close\r\n", got)
        self.assertTrue(got.endswith(b"slow"))
        busy.close()
        idle.close()
        await drained

    async def test_hosts_and_paths_that_nobody_serves(self):
        self.serve()
        server = HttpServer(self.commons, "hosts", hosts=["a.test"])
        server.mount("/app", self.app)
        self.server.factory.handler = server.factory.handler
        for path, host, status in ((b"/app", b"b.test", 421), (b"/x", b"a.test:80", 404), (b"/apple", b"A.test", 404)):
            got = await self.talk(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            self.assertIn(b"HTTP/1.1 %d " % status, got)
