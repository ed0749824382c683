"""Large bodies from the cache on the hot path: the kernel sends them from files, whole or not at all."""

from __future__ import annotations

import random

from tests.integration.http.scripted import connect, reply, sleep
from tests.integration.http.test_disk import OnDisk
from tests.integration.http.test_proxy import FRESH, ProxyCase

SIZE = 14 << 20
"""More than the kernel takes for one connection at once."""
REQUEST = b"GET /large HTTP/1.1\r\nHost: origin.test\r\n\r\n"


class Cases:
    """The same in memory and on disk."""

    async def start(self):
        await super().start()
        self.bodies = [random.Random(number).randbytes(SIZE) for number in range(2)]
        self.version = 0
        self.script = lambda side, head, _: side.say(reply(self.bodies[self.version], FRESH))
        self.client = await connect(self.reactor, self.port)
        self.addCleanup(self.client.transport.abortConnection)

    async def again(self):
        """What comes for the same request on the same connection."""
        self.client.data = b""
        self.client.transport.write(REQUEST)
        return await self.rest()

    async def rest(self):
        def complete(client):
            return len(client.data) >= SIZE and len(client.data) - client.data.index(b"\r\n\r\n") - 4 >= SIZE

        await self.client.until(complete)
        return self.client.data.partition(b"\r\n\r\n")[2]

    async def hot(self):
        for _ in range(5):
            self.assertEqual(await self.again(), self.bodies[0])
        self.assertEqual(len(self.origin.seen), 1)
        self.assertGreaterEqual(self.server.shortcuts.hot.hits, 2)

    async def test_it_comes_from_the_hot_path(self):
        await self.hot()
        before = self.server.shortcuts.hot.hits
        self.assertEqual(await self.again(), self.bodies[0])
        self.assertEqual(self.server.shortcuts.hot.hits, before + 1)
        self.assertEqual(self.server.factory.errors, 0)

    async def test_a_purge_while_it_is_sent(self):
        """Who is being answered gets all of what was there; who asks after it gets the new one."""
        await self.hot()
        before = self.server.shortcuts.hot.hits
        self.client.data = b""
        self.client.transport.write(REQUEST)
        await self.client.until(lambda client: client.data)
        self.client.transport.pauseProducing()
        self.assertEqual(self.server.shortcuts.hot.hits, before + 1)
        self.version = 1
        self.assertEqual(self.server.cache.purge(b"http://origin.test/large"), 1)
        self.client.transport.resumeProducing()
        self.assertEqual(await self.rest(), self.bodies[0])
        self.assertEqual(await self.again(), self.bodies[1])

    async def test_requests_behind_it_are_answered_in_order(self):
        await self.hot()
        self.client.data = b""
        self.client.transport.write(REQUEST)
        await self.client.until(lambda client: client.data)
        self.client.transport.write(REQUEST + b"GET /small HTTP/1.1\r\nHost: origin.test\r\n\r\n")
        self.script = lambda side, head, _: side.say(reply(b"small", FRESH))
        await self.client.until(lambda client: client.data.endswith(b"\r\n\r\nsmall"))
        self.assertEqual(self.client.data.count(self.bodies[0]), 2)

    async def test_a_client_that_leaves(self):
        await self.hot()
        other = await connect(self.reactor, self.port)
        other.transport.write(REQUEST)
        await other.until(lambda client: client.data)
        other.transport.abortConnection()
        self.assertEqual(await self.again(), self.bodies[0])
        self.assertEqual(self.server.factory.errors, 0)

    async def test_a_drain_lets_it_end(self):
        await self.hot()
        self.client.data = b""
        self.client.transport.write(REQUEST)
        await self.client.until(lambda client: client.data)
        self.server.factory.drain(self.reactor.seconds() + 10)
        self.assertEqual(await self.rest(), self.bodies[0])


class InMemory(Cases, ProxyCase):
    async def test_what_takes_its_place_never_shows_in_what_was_sent(self):
        """The kernel holds pages, not a copy: while a slow client has not read them, others come and go."""
        small = {f"/{number}": random.Random(number).randbytes(300_000) for number in range(40)}
        self.script = lambda side, head, _: side.say(reply(small.get(head.split()[1], self.bodies[0]), FRESH))
        clients = []
        for target in [*small, *small]:
            client = await connect(self.reactor, self.port)
            self.addCleanup(client.transport.abortConnection)
            client.transport.pauseProducing()
            client.transport.write(f"GET {target} HTTP/1.1\r\nHost: origin.test\r\n\r\n".encode())
            while client.transport.connected and self.server.requests + self.server.shortcuts.hot.hits <= len(clients):
                await sleep(self.reactor, 0.001)
            clients.append((client, small[target]))
        while len(self.server.cache.store) < len(small):
            await sleep(self.reactor, 0.01)
        self.server.cache.store.clear()
        script = self.script
        self.script = lambda side, head, _: side.say(reply(b"\xee" * 300_000, FRESH))
        for number in range(60):
            await self.ask(f"/other/{number}")
        self.script = script
        for client, body in clients:
            client.transport.resumeProducing()
            await client.until(lambda client: len(client.data) > 300_000)
            await client.until(lambda client: len(client.data.partition(b"\r\n\r\n")[2]) >= 300_000)
            self.assertEqual(client.data.partition(b"\r\n\r\n")[2], body)


class FromDisk(Cases, OnDisk):
    pass
