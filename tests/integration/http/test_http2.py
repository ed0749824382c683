"""HTTP/2 on real sockets: the h2 library as the client, in front of the origin server's and the proxy's doors."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import h2.config
import h2.connection
import h2.events
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.listen import StreamListener
from netsuite.http.server import HttpServer
from netsuite.http.wire.http2frames import frame, goaway
from netsuite.testing.commons import make_commons
from tests.integration.http.behaviour import Application


class Client:
    """A blocking client for several streams at a time."""

    def __init__(self, port, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()
        self.statuses, self.bodies, self.ended, self.reset, self.goaway = {}, {}, set(), {}, None
        self.closed = False
        self.trailers = {}
        self.take = True

    def ask(self, path, method=b"GET", fields=(), body=None, end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [(b":method", method), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=body is None and end)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def until(self, condition):
        while not condition() and not self.closed:
            data = self.socket.recv(65536)
            if not data:
                self.closed = True
                return
            for event in self.h2.receive_data(data):
                self.heard(event)
            self.flush()

    def heard(self, event):
        kind, stream = type(event), getattr(event, "stream_id", None)
        if kind is h2.events.ResponseReceived:
            self.statuses[stream] = int(dict(event.headers)[b":status"])
        elif kind is h2.events.DataReceived:
            self.bodies[stream] = self.bodies.get(stream, b"") + event.data
            if self.take:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif kind is h2.events.TrailersReceived:
            self.trailers[stream] = event.headers
        elif kind is h2.events.StreamEnded:
            self.ended.add(stream)
        elif kind is h2.events.StreamReset:
            self.reset[stream] = event.error_code
        elif kind is h2.events.ConnectionTerminated:
            self.goaway = event

    def answered(self, *streams):
        self.until(lambda: self.ended.issuperset(streams))
        return [(self.statuses.get(stream), self.bodies.get(stream, b"")) for stream in streams]


class Http2(TestCase):
    timeout = 60

    def serve(self, text="127.0.0.1:0"):
        self.commons = make_commons(Path(self.mktemp()), reactor)
        self.app = Application()
        self.server = HttpServer(self.commons, "test")
        self.server.mount("/", self.app)
        self.listener = StreamListener(text, self.server.factory, self.commons, "test.listen")
        self.listener.open()
        self.listener.accept()
        self.port = self.listener.port

        async def stop():
            await self.listener.close()
            for adapter in list(self.server.factory.adapters):
                adapter.abort()
            await self.until(lambda: not self.server.factory.adapters)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))

    async def until(self, condition):
        while not condition():
            turn = Deferred()
            reactor.callLater(0.002, turn.callback, None)
            await turn

    def client(self, context=None):
        client = Client(self.port, context)
        self.addCleanup(client.socket.close)
        return client

    async def test_requests_by_prior_knowledge(self):
        self.serve()

        def talk():
            client = self.client()
            streams = [client.ask(b"/"), client.ask(b"/raises"), client.ask(b"/splits"), client.ask(b"/nothing")]
            return client.answered(*streams)

        self.app.nothing = lambda request, body: (204, [], b"")
        answers = await deferToThread(talk)
        self.assertEqual([status for status, _ in answers], [200, 500, 500, 204])
        self.assertEqual(answers[0][1], b"hello")
        self.assertEqual(len(self.flushLoggedErrors()), 2)

    async def test_alpn_chooses(self):
        self.serve("secure:127.0.0.1:0")
        context = ssl.create_default_context(cafile=str(self.commons.certificates.ca_path))
        context.check_hostname = False

        def talk(protocols):
            context.set_alpn_protocols(protocols)
            client = self.client(context)
            chosen = client.socket.selected_alpn_protocol()
            if chosen != "h2":
                client.socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return chosen, client.socket.recv(9)
            return chosen, client.answered(client.ask(b"/"))

        self.assertEqual(await deferToThread(talk, ["h2", "http/1.1"]), ("h2", [(200, b"hello")]))
        self.assertEqual(await deferToThread(talk, ["http/1.1"]), ("http/1.1", b"HTTP/1.1 "))
        self.assertEqual(await deferToThread(talk, []), (None, b"HTTP/1.1 "))

    async def test_hits_are_logged_and_the_same(self):
        self.serve()

        def talk():
            client = self.client()
            return [client.answered(client.ask(b"/kept")) for _ in range(5)]

        self.assertEqual(await deferToThread(talk), [[(200, b"kept")]] * 5)
        self.assertGreater(self.server.hot.hits, 1)
        self.assertLess(self.app.asked, 4)
        self.assertEqual(self.server.statuses[2], 5)

    async def test_a_reset_cancels_what_makes_the_answer(self):
        self.serve()
        gone = threading.Event()

        def talk():
            client = self.client()
            stream, other = client.ask(b"/slow"), client.ask(b"/slow")
            self.assertTrue(gone.wait(20))
            client.h2.reset_stream(stream)
            client.flush()
            return client.answered(other)

        talking = deferToThread(talk)
        await self.until(lambda: len(self.app.waiting) == 2)
        gone.set()
        await self.until(lambda: self.app.cancelled == 1)
        self.app.waiting[1].callback(None)
        self.assertEqual(await talking, [(200, b"slow")])

    async def test_a_stream_that_is_not_read_holds_up_no_other(self):
        self.serve()
        self.app.long = lambda request, body: self.app.poured(b"x" * 50_000 for _ in range(1000))

        def talk():
            client = self.client()
            client.take = False
            slow = client.ask(b"/long")
            client.until(lambda: len(client.bodies.get(slow, b"")) >= 65535)
            client.h2.increment_flow_control_window(1 << 20)
            client.flush()
            others = [client.answered(client.ask(b"/")) for _ in range(20)]
            client.socket.close()
            return len(client.bodies[slow]), others

        size, others = await deferToThread(talk)
        self.assertEqual((size, others), (65535, [[(200, b"hello")]] * 20))
        self.assertLess(self.app.sources[0].given, 500_000)
        await self.until(lambda: self.app.sources[0].closed == 1)

    async def test_an_upload_that_is_not_read_holds_up_no_other(self):
        self.serve()

        async def slow(request, body):
            self.app.waiting.append(Deferred())
            await self.app.waiting[-1]
            return 200, [], b"%d" % len(await body.read(1 << 20))

        self.app.unread = slow

        def talk():
            client = self.client()
            upload = client.ask(b"/unread", b"POST", end=False)
            client.until(lambda: client.h2.local_flow_control_window(upload) > 200_000)
            for _ in range(16):
                client.h2.send_data(upload, b"x" * 16_000)
            client.flush()
            others = [client.answered(client.ask(b"/echo", b"POST", body=b"y" * 15_000)) for _ in range(20)]
            reactor.callFromThread(lambda: self.app.waiting[0].callback(None))
            client.h2.end_stream(upload)
            client.flush()
            return others, client.answered(upload)

        others, last = await deferToThread(talk)
        self.assertEqual(others, [[(200, b"y" * 15_000)]] * 20)
        self.assertEqual(last, [(200, b"256000")])

    async def test_a_body_goes_through_with_its_trailers(self):
        self.serve()

        def talk():
            client = self.client()
            stream = client.ask(b"/through", b"POST", body=b"a" * 1000, end=False)
            client.h2.send_headers(stream, [(b"x-sum", b"1000")], end_stream=True)
            client.flush()
            return client.answered(stream), client.trailers[stream]

        answer, trailers = await deferToThread(talk)
        self.assertEqual(answer, [(200, b"a" * 1000)])
        self.assertEqual([tuple(field) for field in trailers], [(b"x-sum", b"1000")])

    async def test_a_source_that_breaks_resets_its_stream(self):
        self.serve()
        self.app.breaks = lambda request, body: self.app.poured([b"a", RuntimeError("oops")])

        def talk():
            client = self.client()
            broken = client.ask(b"/breaks")
            client.until(lambda: broken in client.reset)
            return client.answered(client.ask(b"/"))

        self.assertEqual(await deferToThread(talk), [(200, b"hello")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.app.sources[0].closed, 1)

    async def test_an_answer_before_the_body_frees_everything(self):
        self.serve()

        def talk():
            client = self.client()
            for _ in range(30):
                stream = client.ask(b"/", b"POST", body=b"x" * 16_000, end=False)
                self.assertEqual(client.answered(stream), [(200, b"hello")])
            return client.answered(client.ask(b"/"))

        self.assertEqual(await deferToThread(talk), [(200, b"hello")])
        (adapter,) = self.server.factory.adapters
        self.assertEqual(adapter._exchanges._bodies, {})
        self.assertEqual(adapter._exchanges._jobs, {})

    async def test_a_drain_says_goaway_and_waits_for_answers(self):
        self.serve()

        def talk():
            # the library gives a connection up at GOAWAY, so what follows is read raw
            client = self.client()
            client.ask(b"/slow")
            raw = b""
            while data := client.socket.recv(65536):
                raw += data
            return raw

        talking = deferToThread(talk)
        await self.until(lambda: self.app.waiting)
        drained = self.server.factory.drain(self.commons.clock.seconds() + 20)
        self.app.waiting[0].callback(None)
        raw = await talking
        await drained
        self.assertIn(goaway(1, 0, "draining"), raw)
        self.assertTrue(raw.endswith(frame(0, 1, 1, b"slow")))
