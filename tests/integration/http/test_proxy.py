"""The proxy on real sockets: collapsing, streaming, faults of origins, clients that leave, guards."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from netsuite.common.resolver import SystemResolver
from netsuite.http.proxy.service import build
from netsuite.http.proxy.settings import ProxySettings
from netsuite.interfaces import INameResolver
from netsuite.testing.commons import make_commons
from tests.integration.http.scripted import Origin, ask, connect, reply, sleep

FRESH = "Cache-Control: max-age=3600"


def together(coroutines):
    return gatherResults([Deferred.fromCoroutine(each) for each in coroutines], consumeErrors=True)


class ProxyCase(TestCase):
    timeout = 30

    def setUp(self):
        return Deferred.fromCoroutine(self.start())

    async def start(self):
        from twisted.internet import reactor

        self.reactor = reactor
        self.folder = tempfile.TemporaryDirectory()
        self.commons = make_commons(Path(self.folder.name), reactor)
        self.resolver = SystemResolver(reactor)
        self.commons.offers.provide(INameResolver, self.resolver, "system")
        self.script = lambda side, head, body: side.say(reply(b"hello", FRESH))
        self.origin = await Origin(reactor, lambda side, head, body: self.script(side, head, body)).start()
        self.services = []
        self.proxy = self.serve(origin=self.origin.url)
        self.port = self.proxy.addresses()[0].port
        self.server = self.proxy.server

    def serve(self, **settings):
        settings = {"listen": ["127.0.0.1:0"], "answer_time": 5.0, "body_time": 5.0, **settings}
        service = build(ProxySettings(**settings), self.commons)
        service.join(self.commons.offers)
        service.open()
        service.startService()
        self.services.append(service)
        return service

    def tearDown(self):
        return Deferred.fromCoroutine(self.stop())

    async def stop(self):
        for service in self.services:
            await service.drain(self.reactor.seconds() + 0.5)
            await (service.stopService() or sleep(self.reactor, 0))
        await self.origin.stop()
        self.resolver.stop()
        for service in self.services:
            while service.server.factory.adapters or service.server.client.open:
                await sleep(self.reactor, 0.01)
        self.folder.cleanup()

    def ask(self, target="/", *fields, **more):
        return ask(self.reactor, self.port, target, *fields, **more)


class Collapsing(ProxyCase):
    async def test_a_hundred_clients_make_one_request(self):
        held = []
        self.script = lambda side, head, body: held.append(side)
        asking = together(self.ask("/one") for _ in range(100))
        while not held or self.server.requests < 100:
            await sleep(self.reactor, 0.01)
        held[0].say(reply(b"x" * 1000, FRESH))
        answers = await asking
        self.assertEqual({(answer.status, answer.body, answer.whole) for answer in answers}, {(200, b"x" * 1000, True)})
        self.assertEqual(len(self.origin.seen), 1)
        self.assertEqual(self.server.answering.collapsed, 99)

    async def test_those_who_come_late_read_from_the_first_byte(self):
        held = []

        def begin(side, head, body):
            held.append(side)
            side.say(reply(b"", FRESH, "Content-Length: 10", length=False) + b"01234")

        self.script = begin
        first = Deferred.fromCoroutine(self.ask("/late"))
        while not held:
            await sleep(self.reactor, 0.01)
        await sleep(self.reactor, 0.05)
        second = Deferred.fromCoroutine(self.ask("/late"))
        while self.server.answering.collapsed < 1:
            await sleep(self.reactor, 0.01)
        held[0].say(b"56789")
        self.assertEqual([(await each).body for each in (first, second)], [b"0123456789"] * 2)
        self.assertEqual(len(self.origin.seen), 1)

    async def test_what_is_private_goes_to_each_alone(self):
        count = []

        def mine(side, head, body):
            count.append(1)
            side.say(reply(b"for %d" % len(count), "Cache-Control: private"))

        self.script = mine
        answers = await together(self.ask("/mine") for _ in range(20))
        self.assertEqual(len({answer.body for answer in answers}), 20)

    async def test_variants_are_not_mixed_up(self):
        def say(side, head, body):
            word = next(line[5:] for line in head.split("\r\n") if line.startswith("Foo: "))
            side.say(reply(word.encode(), FRESH, "Vary: Foo"))

        self.script = say
        answers = await together(self.ask("/vary", f"Foo: {n % 3}") for n in range(30))
        self.assertEqual([answer.body for answer in answers], [b"%d" % (n % 3) for n in range(30)])

    async def test_the_first_client_leaves_and_the_others_are_served(self):
        held = []
        self.script = lambda side, head, body: held.append(side)
        leaver = await connect(self.reactor, self.port)
        leaver.transport.write(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
        while not held:
            await sleep(self.reactor, 0.01)
        others = together(self.ask("/left", host="a") for _ in range(3))
        while self.server.requests < 4:
            await sleep(self.reactor, 0.01)
        leaver.transport.abortConnection()
        await sleep(self.reactor, 0.05)
        held[0].say(reply(b"still here", FRESH))
        self.assertEqual([answer.body for answer in await others], [b"still here"] * 3)
        self.assertEqual(len(self.origin.seen), 1)


class Invalidation(ProxyCase):
    async def test_a_write_takes_effect_at_once_on_the_hot_path_too(self):
        version = [0]

        def script(side, head, body):
            if head.startswith("PUT"):
                version[0] += 1
            side.say(reply(b"v%d" % version[0], FRESH))

        self.script = script
        client = await connect(self.reactor, self.port)
        request = b"GET /doc HTTP/1.1\r\nHost: a\r\n\r\n"
        for _ in range(5):
            client.data = b""
            client.transport.write(request)
            await client.until(lambda c: c.data.endswith(b"v0"))
        self.assertGreater(self.server.shortcuts.hot.hits, 0)
        await self.ask("/doc", method="PUT", body=b"new", host="a")
        client.data = b""
        client.transport.write(request)
        await client.until(lambda c: c.data.endswith(b"v1"))
        client.transport.loseConnection()

    async def test_a_fetch_that_began_before_a_write_is_not_stored(self):
        held = []

        def script(side, head, body):
            if head.startswith("GET") and not held:
                held.append(side)
            else:
                side.say(reply(b"new", FRESH))

        self.script = script
        early = Deferred.fromCoroutine(self.ask("/race"))
        while not held:
            await sleep(self.reactor, 0.01)
        await self.ask("/race", method="POST", body=b"x")
        self.assertEqual((await self.ask("/race")).body, b"new")
        held[0].say(reply(b"old", FRESH))
        self.assertEqual((await early).body, b"old")
        self.assertEqual((await self.ask("/race")).body, b"new")

    async def test_a_location_in_the_origins_own_name_is_invalidated_too(self):
        await self.ask("/b")
        self.script = lambda side, head, body: side.say(
            reply(b"", f"Location: {self.origin.url}/b", status="201 Created")
        )
        await self.ask("/a", method="POST", body=b"x")
        self.script = lambda side, head, body: side.say(reply(b"new", FRESH))
        self.assertEqual((await self.ask("/b")).body, b"new")

    async def test_hosts_that_clients_name_are_kept_apart(self):
        def script(side, head, body):
            side.say(reply(head.encode(), FRESH))

        self.script = script
        for host in ("one.test", "two.test", "one.test"):
            answer = await self.ask("/", host=host)
            self.assertIn(f"X-Forwarded-Host: {host}".encode(), answer.body)
        self.assertEqual(len(self.origin.seen), 2)

    async def test_purge(self):
        await self.ask("/a", host="a")
        self.assertEqual(self.server.cache.purge(b"http://a/a"), 1)
        await self.ask("/a", host="a")
        self.assertEqual(len(self.origin.seen), 2)


class Faults(ProxyCase):
    async def test_an_origin_that_breaks_off_anywhere(self):
        whole = reply(b"0123456789", FRESH, 'ETag: "x"')

        for cut in range(0, len(whole), 3):

            def script(side, head, body, cut=cut):
                side.transport.write(whole[:cut])
                side.transport.loseConnection()

            self.script = script
            answer = await self.ask(f"/cut/{cut}")
            if answer.status == 200:
                self.assertFalse(answer.whole, cut)
                self.assertTrue(whole.endswith(answer.body) or b"0123456789".startswith(answer.body))
            else:
                self.assertEqual(answer.status, 502, cut)
                self.assertIn("error=", answer.header("proxy-status"))
            # what came of a body is kept as a part, and never as the whole
            kept = self.server.cache.store.lookup(b"http://origin.test/cut/%d" % cut)
            self.assertEqual([each.content.body for each in kept], [None] * len(kept))

    async def test_garbage_and_wrong_lengths(self):
        for sent in (
            b"garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: foo\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
            b"\0" * 100,
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
        ):  # fmt: skip

            def script(side, head, body, sent=sent):
                side.say(sent)
                side.transport.loseConnection()

            self.script = script
            answer = await self.ask("/garbage")
            self.assertEqual(answer.status, 502, sent[:60])

    async def test_a_silent_origin_is_a_504(self):
        proxy = self.serve(origin=self.origin.url, answer_time=0.2)
        self.script = lambda side, head, body: None
        answer = await ask(self.reactor, proxy.addresses()[0].port, "/silent")
        self.assertEqual(answer.status, 504)

    async def test_an_origin_that_is_down(self):
        await self.origin.stop()
        answer = await self.ask("/down")
        self.assertEqual(answer.status, 502)
        self.assertIn("connection_refused", answer.header("proxy-status"))

    async def test_stale_when_the_origin_goes_down(self):
        self.script = lambda side, head, body: side.say(reply(b"old", "Cache-Control: max-age=1", "Age: 5"))
        await self.ask("/stale")
        await self.origin.stop()
        answer = await self.ask("/stale")
        self.assertEqual((answer.status, answer.body), (200, b"old"))

    async def test_a_kept_connection_that_died_is_tried_again(self):
        await self.ask("/first")

        def script(side, head, body):
            if len(self.origin.seen) == 2:
                side.transport.abortConnection()
            else:
                side.say(reply(b"again", FRESH))

        self.script = script
        answer = await self.ask("/second")
        self.assertEqual((answer.status, answer.body), (200, b"again"))

    async def test_a_post_is_not_tried_again(self):
        await self.ask("/first")
        self.script = lambda side, head, body: side.transport.abortConnection()
        answer = await self.ask("/second", method="POST", body=b"x")
        self.assertEqual(answer.status, 502)
        self.assertEqual(len(self.origin.seen), 2)


class Passing(ProxyCase):
    async def test_what_the_origin_sees(self):
        await self.ask(
            "/x?y=%2f", "X-Forwarded-Host: evil", "Forwarded: for=evil", "Connection: x-private, close", "X-Private: 1",
            "TE: trailers", "CDN-Loop: other; x=y", "Proxy-Authorization: Basic x", "Accept: */*", host="shop.test",
        )  # fmt: skip
        head = self.origin.seen[0][0]
        self.assertTrue(head.startswith("GET /x?y=%2f HTTP/1.1\r\n"))
        self.assertIn("X-Forwarded-Host: shop.test", head)
        self.assertIn("Via: 1.1 netsuite-", head)
        self.assertEqual(re.findall("(?mi)^CDN-Loop: (.*?)\r?$", head), ["other; x=y", self.server._pseudonym.decode()])
        for word in ("evil", "X-Private", "Proxy-Authorization", "TE:"):
            self.assertNotIn(word, head)

    async def test_interim_responses_go_through_and_only_the_final_one_is_stored(self):
        def hints(side, head, body):
            side.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + reply(b"page", FRESH))

        self.script = hints
        client = await connect(self.reactor, self.port)
        client.transport.write(b"GET /h HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.until(lambda c: c.closed)
        self.assertTrue(client.data.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK"))
        answer = await self.ask("/h", host="a")
        self.assertEqual((answer.body, answer.header("link")), (b"page", None))
        self.assertIn("hit", answer.header("cache-status"))

    async def test_a_body_streams_to_the_origin(self):
        self.script = lambda side, head, body: side.say(reply(b"%d" % len(body)))
        answer = await self.ask("/up", method="POST", body=b"x" * 3_000_000)
        self.assertEqual(answer.body, b"3000000")

    async def test_a_get_with_a_body_is_neither_answered_from_the_store_nor_stored(self):
        self.script = lambda side, head, body: side.say(reply(body or b"plain", FRESH))
        first = await self.ask("/fat", body=b"poison")
        self.assertIn(first.body if first.status == 200 else b"poison", (b"poison",))
        self.assertEqual((await self.ask("/fat")).body, b"plain")

    async def test_loops_are_found(self):
        name = self.server._pseudonym.decode()
        for field in (f"Via: 1.1 {name}", f"CDN-Loop: other, {name.upper()}; x=y"):
            self.assertEqual((await self.ask("/", field)).status, 508)
        self.assertEqual(self.origin.seen, [])

    async def test_a_slow_reader_of_an_object_too_large_to_store_costs_little(self):
        size = 64 << 20
        sent = [0]

        class Pushing:
            def __init__(self, side):
                self.side = side

            def resumeProducing(self):
                self.go = True
                while self.go and sent[0] < size:
                    sent[0] += 65536
                    self.side.transport.write(b"x" * 65536)

            def pauseProducing(self):
                self.go = False

            def stopProducing(self):
                self.go = False

        def script(side, head, body):
            side.say(reply(b"", FRESH, f"Content-Length: {size}", length=False))
            producer = Pushing(side)
            side.transport.registerProducer(producer, True)
            producer.resumeProducing()

        self.script = script
        client = await connect(self.reactor, self.port)
        client.transport.pauseProducing()
        client.transport.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await sleep(self.reactor, 1.0)
        self.assertLess(sent[0], 24 << 20)
        client.transport.abortConnection()
        while self.origin.open:
            await sleep(self.reactor, 0.01)


class Forward(ProxyCase):
    async def start(self):
        await super().start()
        self.proxy = self.serve()
        self.port = self.proxy.addresses()[0].port
        self.server = self.proxy.server

    async def test_absolute_targets(self):
        answer = await self.ask(self.origin.url + "/a", host="ignored")
        self.assertEqual(answer.body, b"hello")
        head = self.origin.seen[0][0]
        self.assertTrue(head.startswith("GET /a HTTP/1.1\r\n"))
        self.assertIn(f"Host: 127.0.0.1:{self.origin.port}", head)

    async def test_a_target_without_a_host_is_refused(self):
        self.assertEqual((await self.ask("/a")).status, 400)

    async def test_a_tunnel(self):
        client = await connect(self.reactor, self.port)
        where = f"127.0.0.1:{self.origin.port}"
        client.transport.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        await client.until(lambda c: b"\r\n\r\n" in c.data)
        self.assertTrue(client.data.startswith(b"HTTP/1.1 200"))
        client.data = b""
        client.transport.write(b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(lambda c: c.data.endswith(b"hello"))
        self.assertTrue(self.origin.seen[0][0].startswith("GET /inside"))
        client.transport.loseConnection()

    async def test_internal_targets_are_refused_where_strangers_may_ask(self):
        self.proxy = self.serve(internal_targets=False, connect_ports=[self.origin.port])
        self.port = self.proxy.addresses()[0].port
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
            answer = await self.ask(f"http://{host}:{self.origin.port}/")
            self.assertIn(answer.status, (403, 502), host)
            self.assertIn("prohibited", answer.header("proxy-status"), host)
            answer = await self.ask(f"{host}:{self.origin.port}", method="CONNECT")
            self.assertEqual(answer.status, 403, host)
        self.assertEqual(self.origin.seen, [])


class Https(ProxyCase):
    async def test_an_https_origin_is_verified_and_fetched_from(self):
        secure = self.serve(listen=["secure:127.0.0.1:0"], origin=self.origin.url)
        proxy = self.serve(origin=f"https://localhost:{secure.addresses()[0].port}")
        for expected in ("fwd=uri-miss", "hit"):
            answer = await ask(self.reactor, proxy.addresses()[0].port, "/tls")
            self.assertEqual(answer.body, b"hello")
            self.assertIn(expected, answer.header("cache-status").split(", ")[-1])

    async def test_a_certificate_for_another_name_is_a_502(self):
        secure = self.serve(listen=["secure:127.0.0.1:0"], origin=self.origin.url)
        self.script = lambda side, head, body: side.say(reply(b"never seen"))
        self.commons.certificates.client_context()
        proxy = self.serve(origin=f"https://127.0.0.9:{secure.addresses()[0].port}")
        answer = await ask(self.reactor, proxy.addresses()[0].port, "/tls")
        self.assertEqual(answer.status, 502)
