"""Ranges through the proxy on real sockets: what is fetched, once; what ends it; what is kept of what broke off."""

from __future__ import annotations

import random
from itertools import pairwise

from twisted.internet.defer import Deferred

from tests.integration.http.scripted import ask, connect, reply, sleep
from tests.integration.http.test_proxy import FRESH, ProxyCase, together

SIZE = 10 << 20
WHOLE = random.Random(1).randbytes(SIZE)
TAG = 'ETag: "one"'


def fields_of(head):
    return {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}


def span_of(head, size):
    first, _, last = fields_of(head)["range"].removeprefix("bytes=").partition("-")
    return int(first), int(last) + 1 if last else size


def part(whole, first, stop, *fields, tag=TAG):
    named = f"Content-Range: bytes {first}-{stop - 1}/{len(whole)}"
    return reply(whole[first:stop], FRESH, tag, named, *fields, status="206 Partial Content")


class PartialCase(ProxyCase):
    """An origin that honours ranges of ``whole`` and notes them in ``fetched``."""

    async def start(self):
        await super().start()
        self.whole = b"0123456789"
        self.fetched = []
        self.script = self.honest

    def honest(self, side, head, body):
        if "range" not in fields_of(head):
            side.say(reply(self.whole, FRESH, TAG))
            return
        first, stop = span_of(head, len(self.whole))
        self.fetched.append((first, stop))
        side.say(part(self.whole, first, stop))

    def range(self, value, *fields, **more):
        return self.ask("/file", f"Range: bytes={value}", *fields, **more)

    async def settled(self):
        """Wait until no slice is on its way."""
        while len(self.server.fetches.slices):
            await sleep(self.reactor, 0.01)


class Collapsing(PartialCase):
    async def read(self, order):
        """A client that reads the whole by ranges, in this order."""
        port = self.port
        for first, stop in order:
            answer = await ask(self.reactor, port, "/file", f"Range: bytes={first}-{stop - 1}")
            self.assertEqual((answer.status, answer.whole), (206, True))
            self.assertEqual(answer.header("content-range"), f"bytes {first}-{stop - 1}/{SIZE}")
            self.assertTrue(answer.body == WHOLE[first:stop], (first, stop))

    async def test_a_hundred_clients_in_different_order_cause_each_byte_to_be_fetched_once(self):
        self.whole = WHOLE
        dice = random.Random(2)
        orders = []
        for _ in range(100):
            edges = sorted({0, SIZE, *(dice.randrange(SIZE) for _ in range(5))})
            order = list(pairwise(edges))
            dice.shuffle(order)
            orders.append(order[:3])
        await together(self.read(order) for order in orders)
        await self.settled()
        fetched = sorted(self.fetched)
        for (_, stop), (first, _) in pairwise(fetched):
            self.assertLessEqual(stop, first, "bytes were fetched twice")
        self.assertEqual(len(self.origin.seen), len(fetched))
        await self.read([(0, SIZE)])
        await self.settled()
        self.assertEqual(sum(stop - first for first, stop in self.fetched), SIZE)
        answer = await self.ask("/file")
        self.assertTrue(answer.body == WHOLE)
        self.assertIn("hit", answer.header("cache-status"))

    async def test_who_asks_first_is_waited_for_by_the_others(self):
        held = []
        self.script = lambda side, head, body: held.append((side, head))
        asking = [Deferred.fromCoroutine(self.range(value)) for value in ("0-3", "2-5", "5-9")]
        while not held or self.server.requests < 3:
            await sleep(self.reactor, 0.01)
        self.assertEqual(len(held), 1)
        self.script = self.honest
        self.honest(*held[0], b"")
        answers = [await each for each in asking]
        self.assertEqual([answer.body for answer in answers], [b"0123", b"2345", b"56789"])
        self.assertEqual(sorted(self.fetched), [(0, 4), (4, 6), (6, 10)])

    async def test_what_is_stored_is_sent_before_what_is_missing_comes(self):
        await self.range("0-4")
        held = []

        def head_only(side, head, body):
            held.append(side)
            side.say(part(self.whole, 5, 10)[:-5])

        self.script = head_only
        client = await connect(self.reactor, self.port)
        client.transport.write(b"GET /file HTTP/1.1\r\nHost: origin.test\r\n\r\n")
        await client.until(lambda c: c.data.endswith(b"\r\n\r\n01234"))
        self.assertIn(b"HTTP/1.1 200 OK", client.data)
        held[0].say(b"56789")
        await client.until(lambda c: c.data.endswith(b"\r\n\r\n0123456789"))
        client.transport.loseConnection()

    async def test_a_range_joins_a_whole_that_is_on_its_way(self):
        held = []

        def begin(side, head, body):
            held.append(side)
            side.say(reply(self.whole, FRESH, TAG)[:-5])

        self.script = begin
        first = Deferred.fromCoroutine(self.ask("/file"))
        while not held:
            await sleep(self.reactor, 0.01)
        second = Deferred.fromCoroutine(self.range("3-7"))
        while self.server.requests < 2:
            await sleep(self.reactor, 0.01)
        held[0].say(b"56789")
        self.assertEqual(((await first).body, (await second).body), (b"0123456789", b"34567"))
        self.assertEqual(len(self.origin.seen), 1)

    async def test_a_range_does_not_wait_for_a_whole_of_unknown_length(self):
        held = []

        def script(side, head, body):
            if "range" in fields_of(head):
                self.honest(side, head, body)
            else:
                held.append(side)
                side.say(f"HTTP/1.1 200 OK\r\n{FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n01\r\n".encode())

        self.script = script
        first = Deferred.fromCoroutine(self.ask("/file"))
        while not held:
            await sleep(self.reactor, 0.01)
        self.assertEqual((await self.range("3-7")).body, b"34567")
        held[0].say(b"8\r\n23456789\r\n0\r\n\r\n")
        self.assertEqual((await first).body, self.whole)
        self.assertEqual((await self.range("0-2")).body, b"012")
        self.assertEqual(self.fetched, [(3, 8)])


class Slices(PartialCase):
    async def test_missing_parts_of_large_objects_are_fetched_to_the_ends_of_slices(self):
        self.whole = WHOLE[:5000]
        for slice_bytes, expected in [
            (0, [(100, 200), (700, 800), (1500, 2600)]),
            (1000, [(100, 200), (700, 1000), (1500, 2000), (2000, 3000)]),
            (10000, [(100, 200), (700, 800), (1500, 2600)]),
        ]:
            self.fetched.clear()
            port = self.serve(origin=self.origin.url, slice_bytes=slice_bytes).addresses()[0].port
            for first, last in [(100, 199), (700, 799), (1500, 2599)]:
                answer = await ask(self.reactor, port, "/file", f"Range: bytes={first}-{last}")
                self.assertEqual(answer.body, self.whole[first : last + 1])
            self.assertEqual(self.fetched, expected)

    async def test_a_slice_is_fetched_to_its_end_though_its_client_leaves(self):
        self.whole = WHOLE[: 3 << 20]
        await self.range("0-0")
        held = []

        def begin(side, head, body):
            first, stop = span_of(head, len(self.whole))
            data = part(self.whole, first, stop)
            side.say(data[: 1 << 18])
            held.append((side, data[1 << 18 :]))

        self.script = begin
        client = await connect(self.reactor, self.port)
        client.transport.write(b"GET /file HTTP/1.1\r\nHost: origin.test\r\nRange: bytes=1000-2000\r\n\r\n")
        await client.until(lambda c: len(c.data) > 1001)
        client.transport.abortConnection()
        await sleep(self.reactor, 0.05)
        held[0][0].say(held[0][1])
        await self.settled()
        answer = await self.range("0-1040000")
        self.assertIn("fwd=partial", answer.header("cache-status"))  # bytes 1 to 999 are missing
        self.assertTrue((await self.range("1000-1048575")).header("cache-status").startswith("netsuite; hit"))

    async def test_an_object_beyond_the_limit_keeps_what_was_read_last(self):
        self.whole = WHOLE[:50_000]
        port = self.serve(origin=self.origin.url, slice_bytes=1000, object_limit=5000).addresses()[0].port
        for first in range(0, 40_000, 1000):
            answer = await ask(self.reactor, port, "/file", f"Range: bytes={first}-{first + 999}")
            self.assertEqual(answer.body, self.whole[first : first + 1000])
        store = self.services[-1].server.cache.store
        self.assertLess(store.size, 8000)
        answer = await ask(self.reactor, port, "/file", "Range: bytes=39000-39999")
        self.assertIn("hit", answer.header("cache-status"))
        answer = await ask(self.reactor, port, "/file")
        self.assertTrue(answer.body == self.whole)


class Endings(PartialCase):
    async def test_a_purge_between_slices_drops_the_older_ones(self):
        await self.range("0-4")
        held = []
        self.script = lambda side, head, body: held.append((side, head))
        asking = Deferred.fromCoroutine(self.ask("/file"))
        while not held:
            await sleep(self.reactor, 0.01)
        self.assertEqual(self.server.cache.purge(b"http://origin.test/file"), 1)
        self.honest(*held[0], b"")
        self.assertEqual((await asking).body, b"0123456789")
        self.assertEqual(len(self.server.cache.store), 0)
        self.script = self.honest
        self.assertIn("uri-miss", (await self.range("0-4")).header("cache-status"))

    async def test_faults_of_a_slice_before_the_head_are_told(self):
        for name, sent, status, body in [
            ("reset", b"", 502, None),
            ("garbage", b"garbage\r\n\r\n", 502, None),
            ("error", reply(b"oh", status="500 Oh"), 500, b"oh"),
            ("gone", reply(b"gone", status="404 Not Found"), 404, b"gone"),
            ("changed", reply(b"abcdefghij", FRESH, 'ETag: "two"'), 200, b"abcdefghij"),
            ("ignored", reply(self.whole, FRESH, TAG), 200, self.whole),
        ]:
            with self.subTest(name):
                self.server.cache.purge(b"http://origin.test/file")
                self.script = self.honest
                await self.range("0-4")

                def script(side, head, body, sent=sent):
                    side.say(sent)
                    side.transport.loseConnection()

                self.script = script
                answer = await self.ask("/file")
                self.assertEqual(answer.status, status)
                if body is not None:
                    self.assertEqual((answer.body, answer.whole), (body, True))

    async def test_a_slice_that_is_none_makes_the_proxy_ask_anew(self):
        for name, answer in [
            ("another tag", part(b"abcdefghij", 5, 10, tag='ETag: "two"')),
            ("no tag", part(self.whole, 5, 10, tag="Foo: bar")),
            ("elsewhere", part(self.whole, 0, 3)),
            ("another length", part(self.whole + b"a", 5, 10)),
            ("unsatisfied", reply(b"", "Content-Range: bytes */10", status="416 No")),
            ("not modified", reply(b"", TAG, status="304 Not Modified", length=False)),
        ]:
            with self.subTest(name):
                self.server.cache.purge(b"http://origin.test/file")
                self.script = self.honest
                await self.range("0-4")

                def script(side, head, body, answer=answer):
                    if "if-range" in fields_of(head):
                        side.say(answer)
                    else:
                        self.honest(side, head, body)

                self.script = script
                found = await self.range("2-8")
                self.assertEqual((found.status, found.body, found.whole), (206, b"2345678", True))
                self.script = self.honest
                self.assertEqual((await self.ask("/file")).body, self.whole)

    async def test_faults_within_a_slice_cut_the_answer_and_what_came_is_kept(self):
        self.whole = WHOLE[:1000]
        for name, cut in [("the first byte", 1), ("the middle", 300), ("all but one", 499)]:
            with self.subTest(name):
                self.server.cache.purge(b"http://origin.test/file")
                self.script = self.honest
                await self.range("0-499")

                def script(side, head, body, cut=cut):
                    data = part(self.whole, 500, 1000)
                    side.say(data[: len(data) - 500 + cut])
                    side.transport.loseConnection()

                self.script = script
                answer = await self.ask("/file")
                self.assertEqual((answer.status, answer.whole), (200, False))
                self.assertTrue(self.whole.startswith(answer.body))
                await self.settled()
                self.script = self.honest
                self.fetched.clear()
                self.assertEqual((await self.ask("/file")).body, self.whole)
                self.assertEqual(self.fetched, [(500 + cut, 1000)])

    async def test_a_part_whose_length_only_its_range_tells(self):
        """Until the close, or in chunks: exactly what Content-Range says, or the answer is cut and not believed."""
        head = f"HTTP/1.1 206 Partial\r\n{FRESH}\r\n{TAG}\r\nContent-Range: bytes 2-6/10\r\n".encode()
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
        for name, sent, whole, kept in [
            ("until the close", head + b"Connection: close\r\n\r\n23456", True, b"23456"),
            ("short", head + b"Connection: close\r\n\r\n2345", False, b""),
            ("long", head + b"Connection: close\r\n\r\n234567", False, b""),
            ("chunked", chunked + b"2\r\n23\r\n3\r\n456\r\n0\r\n\r\n", True, b"23456"),
            ("chunked, long", chunked + b"5\r\n23456\r\n1\r\n7\r\n0\r\n\r\n", False, b""),
            ("chunked, short", chunked + b"3\r\n234\r\n0\r\n\r\n", False, b""),
        ]:
            with self.subTest(name):
                self.server.cache.purge(b"http://origin.test/file")

                def script(side, head, body, sent=sent):
                    side.say(sent)
                    side.transport.loseConnection()

                self.script = script
                answer = await self.range("2-6")
                self.assertEqual((answer.status, answer.whole), (206, whole))
                self.assertTrue(b"23456".startswith(answer.body))
                await self.settled()
                (stored,) = self.server.cache.store.lookup(b"http://origin.test/file")
                self.assertEqual(b"".join(stored.content.piece(*span) for span in stored.content.spans()), kept)

    async def test_a_later_slice_of_another_version_cuts_the_answer(self):
        self.whole = WHOLE[:3000]
        port = self.serve(origin=self.origin.url, slice_bytes=1000).addresses()[0].port
        await ask(self.reactor, port, "/file", "Range: bytes=0-9")
        other = WHOLE[5000:8000]

        def script(side, head, body):
            first, stop = span_of(head, 3000)
            if first >= 2000:
                side.say(reply(other, FRESH, 'ETag: "two"'))
            else:
                side.say(part(self.whole, first, stop))

        self.script = script
        answer = await ask(self.reactor, port, "/file")
        self.assertEqual((answer.status, answer.whole), (200, False))
        self.assertEqual(answer.body, self.whole[:2000])
        self.script = lambda side, head, body: side.say(reply(other, FRESH, 'ETag: "two"'))
        self.assertEqual((await ask(self.reactor, port, "/file")).body, other)

    async def test_a_whole_that_broke_off_is_completed(self):
        def torn(side, head, body):
            side.say(reply(self.whole, FRESH, TAG)[:-4])
            side.transport.loseConnection()

        self.script = torn
        self.assertFalse((await self.ask("/file")).whole)
        self.script = self.honest
        answer = await self.ask("/file")
        self.assertEqual((answer.status, answer.body), (200, self.whole))
        self.assertEqual(self.fetched, [(6, 10)])

    async def test_a_client_that_leaves_a_long_answer_leaves_its_part(self):
        self.whole = WHOLE[: 2 << 20]
        held = []

        def begin(side, head, body):
            held.append(side)
            side.say(part(self.whole, 0, 2 << 20)[: 1 << 19])

        self.script = begin
        client = await connect(self.reactor, self.port)
        client.transport.write(b"GET /file HTTP/1.1\r\nHost: origin.test\r\nRange: bytes=0-\r\n\r\n")
        await client.until(lambda c: len(c.data) > 1 << 18)
        client.transport.abortConnection()
        await self.settled()
        self.script = self.honest
        answer = await self.range("0-99999")
        self.assertIn("hit", answer.header("cache-status"))
        self.assertTrue(answer.body == self.whole[:100000])

    async def test_what_is_missing_of_a_stale_part_is_no_reason_to_answer_from_it(self):
        self.script = lambda side, head, body: side.say(part(self.whole, 0, 5))
        await self.range("0-4")
        await self.origin.stop()
        self.assertEqual((await self.range("0-4")).status, 206)
        self.assertEqual((await self.range("0-5")).status, 502)
