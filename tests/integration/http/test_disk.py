"""The proxy's cache on disk: what a restart finds, large bodies that go there while they arrive."""

from __future__ import annotations

import gc
import hashlib
import random

from twisted.internet.defer import Deferred

from netsuite.http.disk.spool import Spool
from netsuite.http.proxy.flight import Flight
from netsuite.sansio.connection import Channel
from tests.integration.http.scripted import Answer, connect, reply, sleep
from tests.integration.http.test_proxy import FRESH, ProxyCase, together

MIB = 1 << 20


class OnDisk(ProxyCase):
    async def start(self):
        await super().start()
        await self.begin()

    async def begin(self, **settings):
        """The proxy anew, with the disk as it is, and an empty memory."""
        await self.end(self.services.pop())
        settings = {"cache_bytes": 4 * MIB, "object_limit": MIB // 2, "disk_bytes": 256 * MIB, **settings}
        self.proxy = self.serve(origin=self.origin.url, **settings)
        self.port = self.proxy.addresses()[0].port
        self.server = self.proxy.server

    async def end(self, service):
        await service.drain(self.reactor.seconds() + 0.5)
        await (service.stopService() or sleep(self.reactor, 0))
        while service.server.factory.adapters or service.server.client.open:
            await sleep(self.reactor, 0.01)

    async def settled(self):
        await self.proxy.disk.log.settled()

    def hits(self, answer):
        return "; hit" in answer.header("cache-status")


class Restart(OnDisk):
    async def test_a_restart_finds_what_was_stored(self):
        self.script = lambda side, head, body: side.say(reply(head.split()[1].encode() * 100, FRESH, "X-Kept: yes"))
        for n in range(50):
            await self.ask(f"/{n}")
        await self.begin()
        for n in range(50):
            answer = await self.ask(f"/{n}")
            self.assertTrue(self.hits(answer))
            self.assertEqual(answer.body, b"/%d" % n * 100)
            self.assertEqual(answer.header("x-kept"), "yes")
        self.assertEqual(len(self.origin.seen), 50)

    async def test_what_was_purged_stays_away(self):
        await self.ask("/one")
        await self.settled()
        self.assertEqual(self.server.cache.purge(b"http://origin.test/one"), 1)
        await self.begin()
        self.assertFalse(self.hits(await self.ask("/one")))

    async def test_variants_and_ranges_come_from_disk(self):
        def script(side, head, body):
            word = next(line[5:] for line in head.split("\r\n") if line.startswith("Foo: "))
            side.say(reply(word.encode() * 10, FRESH, "Vary: Foo"))

        self.script = script
        for word in ("a", "b"):
            await self.ask("/v", f"Foo: {word}")
        await self.begin()
        answer = await self.ask("/v", "Foo: b", "Range: bytes=2-4")
        self.assertEqual((answer.status, answer.body), (206, b"bbb"))
        self.assertEqual((await self.ask("/v", "Foo: a")).body, b"a" * 10)
        self.assertEqual(len(self.origin.seen), 2)

    async def test_two_proxies_cannot_share_a_folder(self):
        from netsuite.common.errors import StartError

        with self.assertRaises(StartError) as caught:
            self.serve(origin=self.origin.url, disk_bytes=256 * MIB)
        self.assertIn("in use", str(caught.exception))


class Large(OnDisk):
    def body(self, size):
        return random.Random(size).randbytes(size)

    async def test_a_large_body_is_stored_and_served_from_its_file(self):
        body = self.body(5 * MIB + 17)
        self.script = lambda side, head, _: side.say(reply(body, FRESH, 'ETag: "x"'))
        self.assertEqual((await self.ask("/large")).body, body)
        for restart in (False, True):
            if restart:
                await self.begin()
            answer = await self.ask("/large")
            self.assertTrue(self.hits(answer))
            self.assertEqual(answer.body, body)
            part = await self.ask("/large", f"Range: bytes={MIB - 5}-{3 * MIB}")
            self.assertEqual((part.status, part.body), (206, body[MIB - 5 : 3 * MIB + 1]))
        self.assertEqual(len(self.origin.seen), 1)

    async def test_what_arrived_is_not_kept_once_it_has_been_written(self):
        """Nothing waits for the collector, which comes seldom."""
        for size, count in ((300_000, 3), (3 * MIB, 3), (5 * MIB, 1)):
            body = self.body(size)
            self.script = lambda side, head, _, body=body: side.say(reply(body, FRESH))
            gc.collect()
            gc.disable()
            try:
                for number in range(count):
                    self.assertEqual((await self.ask(f"/{size}/{number}")).body, body)
                await self.settled()
                left = 1
                for _ in range(100):
                    left = sum(type(each) in (Flight, Spool) for each in gc.get_objects())
                    if not left:
                        break
                    await sleep(self.reactor, 0.01)
                self.assertEqual(left, 0)
            finally:
                gc.enable()

    async def test_a_body_of_unknown_length_is_spooled_too(self):
        body = self.body(3 * MIB)
        chunks = b"".join(b"%x\r\n%b\r\n" % (MIB, body[at : at + MIB]) for at in range(0, 3 * MIB, MIB)) + b"0\r\n\r\n"
        self.script = lambda side, head, _: side.say(
            reply(b"", FRESH, "Transfer-Encoding: chunked", length=False) + chunks
        )
        self.assertEqual((await self.ask("/chunked")).body, body)
        self.assertTrue(self.hits(answer := await self.ask("/chunked")))
        self.assertEqual(answer.body, body)

    async def test_who_joins_late_reads_from_the_file_and_memory_stays_small(self):
        size = 12 * MIB
        body = self.body(size)
        held = []

        def begin(side, head, _):
            held.append(side)
            side.say(reply(b"", FRESH, f"Content-Length: {size}", length=False) + body[: size // 2])

        self.script = begin
        first = await connect(self.reactor, self.port)
        first.transport.write(b"GET /big HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n")
        await first.until(lambda client: len(client.data) >= size // 2)
        flight = self.server.fetches.under_way(b"http://origin.test/big")
        late = [Deferred.fromCoroutine(self.ask("/big")) for _ in range(3)]
        while self.server.answering.collapsed < 3:
            await sleep(self.reactor, 0.01)
        self.assertLess(flight.retained, 3 * MIB)
        held[0].say(body[size // 2 :])
        digest = hashlib.sha256(body).digest()
        for answer in await together(self.waited(each) for each in late):
            self.assertEqual(hashlib.sha256(answer.body).digest(), digest)
        await first.until(lambda client: client.closed)
        self.assertTrue(first.data.endswith(body[-1000:]))
        self.assertEqual(len(self.origin.seen), 1)

    async def waited(self, deferred):
        return await deferred

    async def test_an_origin_that_breaks_off_leaves_nothing_behind(self):
        def script(side, head, _):
            side.say(reply(b"", FRESH, f"Content-Length: {4 * MIB}", length=False) + b"x" * 2 * MIB)
            side.transport.loseConnection()

        self.script = script
        answer = await self.ask("/broken")
        self.assertFalse(answer.whole)
        self.assertEqual(self.proxy.disk.log.reserved, 0)
        self.assertEqual([path.stat().st_size for path in self.proxy.disk.log.folder.path.glob("*.seg")], [])

    async def test_a_damaged_body_is_cut_short_and_then_fetched_anew(self):
        body = self.body(4 * MIB)
        self.script = lambda side, head, _: side.say(reply(body, FRESH))
        await self.ask("/large")
        await self.settled()
        (path,) = [each for each in self.proxy.disk.log.folder.path.glob("*.seg") if each.stat().st_size > MIB]
        with path.open("r+b") as file:
            file.seek(3 * MIB)
            file.write(b"\0" * 100)
        answer = await self.ask("/large")
        self.assertFalse(answer.whole)
        self.assertTrue(body.startswith(answer.body))
        await self.begin()
        answer = await self.ask("/large")
        self.assertEqual(answer.body, body)
        self.assertFalse(self.hits(answer))
        self.flushLoggedErrors()


class Shortcut(OnDisk):
    """Plain hits from disk that skip the general machinery."""

    async def fill(self, count=20, size=300):
        self.version = 1
        self.script = lambda side, head, body: side.say(
            reply(b"%d%b " % (self.version, head.split()[1].encode()) * size, FRESH, 'ETag: "e"', "X-Kept: yes")
        )
        for n in range(count):
            await self.ask(f"/{n}")
        await self.settled()
        # a request that is answered in the ordinary way teaches the shape; the first reading verifies each record
        await self.begin(cache_bytes=MIB, object_limit=MIB // 4)
        for n in range(count):
            await self.kept_asking(f"/{n}")

    async def kept_asking(self, *targets, fields=()):
        """Ask on one kept connection; the answers."""
        client = await connect(self.reactor, self.port)
        found = []
        for target in targets:
            client.data = b""
            client.transport.write(
                "\r\n".join([f"GET {target} HTTP/1.1", "Host: origin.test", *fields, "", ""]).encode()
            )
            await client.until(lambda c: b"\r\n\r\n" in c.data)
            found.append(Answer(client.data, True))
            while not found[-1].whole and not client.closed:
                size = len(client.data)
                await client.until(lambda c, size=size: len(c.data) > size or c.closed)
                found[-1] = Answer(client.data, True)
        client.transport.loseConnection()
        await client.until(lambda c: c.closed)
        return found

    def empty_memory(self):
        store = self.server.cache.store
        lower, store.lower = store.lower, None
        store.clear()
        store.lower = lower

    async def test_it_says_what_the_long_way_says(self):
        for size in (1, 300, 9000, 45000):
            await self.fill(size=size)
            for turn in range(40):
                n = turn % 20
                self.empty_memory()
                before = self.server.shortcuts.disk.hits
                (short,) = await self.kept_asking(f"/{n}")
                self.assertEqual(self.server.shortcuts.disk.hits, before + 1, (n, size))
                (long,) = await self.kept_asking(f"/{n}", fields=[f"X-Unknown: {size}-{turn}"])
                self.assertEqual(self.server.shortcuts.disk.hits, before + 1)
                self.assertTrue(self.hits(short) and self.hits(long))
                self.assertEqual(short.body, long.body)
                volatile = {"age", "cache-status"}
                self.assertEqual(
                    sorted(field for field in short.fields if field[0] not in volatile),
                    sorted(field for field in long.fields if field[0] not in volatile),
                )
                self.assertLess(abs(int(short.header("age")) - int(long.header("age"))), 2)

    async def test_what_is_not_plain_goes_the_long_way(self):
        await self.fill()
        self.empty_memory()
        before = self.server.shortcuts.disk.hits
        for field in ("Range: bytes=0-3", 'If-None-Match: "e"', "Cache-Control: no-cache", "Connection: close"):
            answers = [await self.kept_asking("/1", fields=[field]) for _ in range(2)]
            self.assertIn(answers[1][0].status, (200, 206, 304))
        for target in ("/not-there", "//1", "/1#x", "/1\t"):
            await self.kept_asking(target)
        self.assertEqual(self.server.shortcuts.disk.hits, before)

    async def test_a_purge_and_a_write_end_it_at_once(self):
        await self._end_at_once(300)

    async def test_a_purge_and_a_write_end_a_long_one_whose_head_is_known(self):
        await self._end_at_once(20000)

    async def _end_at_once(self, size):
        await self.fill(size=size)
        self.empty_memory()
        before = self.server.shortcuts.disk.hits
        for n in (1, 2, 3, 1, 2, 3):
            (answer,) = await self.kept_asking(f"/{n}")
            self.assertTrue(answer.body.startswith(b"1"))
        self.assertEqual(self.server.shortcuts.disk.hits, before + 6)
        self.version = 2
        self.server.cache.purge(b"http://origin.test/1")
        await self.ask("/2", method="PUT", body=b"x")
        for n in (1, 2):
            (answer,) = await self.kept_asking(f"/{n}")
            self.assertTrue(answer.body.startswith(b"2"), answer.body[:20])
        (answer,) = await self.kept_asking("/3")
        self.assertTrue(answer.body.startswith(b"1"))
        self.server.cache.store.purge_prefix(b"http://origin.test/")
        (answer,) = await self.kept_asking("/3")
        self.assertTrue(answer.body.startswith(b"2"))

    async def test_a_long_one_becomes_older_and_stale(self):
        await self.fill(size=20000)
        self.empty_memory()
        hits = self.server.shortcuts.disk
        (first,) = await self.kept_asking("/1")
        now = self.reactor.seconds()
        hits._seconds = lambda: now + 100
        (second,) = await self.kept_asking("/1")
        self.assertAlmostEqual(int(second.header("age")) - int(first.header("age")), 100, delta=2)
        self.assertIn(f"ttl={3600 - int(second.header('age'))}", second.header("cache-status"))
        before = hits.hits
        hits._seconds = lambda: now + 3700
        self.assertIsNone(
            hits.shortcut(b"GET /1 HTTP/1.1\r\nHost: origin.test\r\n\r\n", Channel(("", 0), ("127.0.0.1", 1)))
        )
        self.assertEqual(hits.hits, before)
