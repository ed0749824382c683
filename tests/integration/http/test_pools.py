"""Several servers behind the proxy, on real sockets: who is asked, what happens when one fails, what they are told."""

from __future__ import annotations

from collections import Counter

from twisted.internet.defer import Deferred

from netsuite.sansio.proxyheader import read
from tests.integration.http.scripted import Origin, connect, reply, sleep
from tests.integration.http.test_proxy import ProxyCase, together

PLAIN = "Cache-Control: no-store"


class PoolCase(ProxyCase):
    """Three origins that say their own names; ``pool(...)`` puts a proxy before them."""

    async def start(self):
        await super().start()
        self.origins = [await Origin(self.reactor, self.saying(name)).start() for name in ("a", "b", "c")]
        self.say = {}

    def saying(self, name):
        def answer(side, head, body):
            self.say.get(name, lambda side, head, body: side.say(reply(name.encode(), PLAIN)))(side, head, body)

        return answer

    async def stop(self):
        await super().stop()
        for origin in self.origins:
            await origin.stop()

    def pool(self, *, servers=None, **settings):
        more = {key: settings.pop(key) for key in ("answer_time", "listen", "cache_bytes") if key in settings}
        servers = servers or [origin.url for origin in self.origins]
        proxy = self.serve(pool=[{"name": "web", "servers": servers, "slow_start": 0, **settings}], **more)
        self.port = proxy.addresses()[0].port
        self.server = proxy.server
        self.upstream = proxy.server.upstreams.named[0].pool
        return proxy

    async def bodies(self, count, target="/", *fields, **more):
        return Counter([(await self.ask(target, *fields, **more)).body for _ in range(count)])


class Balancing(PoolCase):
    async def test_in_turn_by_weight(self):
        a, b, c = self.origins
        self.pool(servers=[{"url": a.url, "weight": 3}, b.url, {"url": c.url, "backup": True}])
        self.assertEqual(await self.bodies(8), {b"a": 6, b"b": 2})

    async def test_each_server_sees_its_own_host(self):
        self.pool()
        await self.bodies(3)
        for origin in self.origins:
            self.assertIn(f"Host: 127.0.0.1:{origin.port}", origin.seen[0][0])

    async def test_or_the_clients(self):
        self.pool(pass_host=True)
        await self.bodies(3, host="shop.test")
        for origin in self.origins:
            self.assertIn("Host: shop.test", origin.seen[0][0])

    async def test_a_url_stays_with_its_server(self):
        self.pool(balance="hash", hash="path")
        for n in range(10):
            self.assertEqual(len(await self.bodies(3, f"/page/{n}")), 1)

    async def test_a_header_decides(self):
        self.pool(balance="hash", hash="header:X-User")
        seen = {len(await self.bodies(3, f"/{n}", "X-User: 7")) for n in range(3)}
        self.assertEqual(seen, {1})

    async def test_the_least_busy(self):
        held = []
        self.say["a"] = lambda side, head, body: held.append(side)
        self.pool(balance="least-requests")
        waiting = [Deferred.fromCoroutine(self.ask(f"/{n}")) for n in range(20)]
        while not held:
            await sleep(self.reactor, 0.01)
        before = len(held)
        self.assertNotIn(b"a", await self.bodies(6, "/more"))
        self.assertEqual(len(held), before)
        for side in held:
            side.say(reply(b"a", PLAIN))
        for each in waiting:
            await each
        self.assertEqual([server.under_way for server in self.upstream.servers], [0, 0, 0])

    async def test_routes(self):
        a, b, c = self.origins
        proxy = self.serve(
            origin=a.url,
            pool=[{"name": "api", "servers": [b.url]}],
            route=[{"path": "/api", "pool": "api"}, {"host": "*.img.test", "origin": c.url}],
        )
        self.port = proxy.addresses()[0].port
        for host, path, said in (
            ("x", "/", b"a"), ("x", "/apis", b"a"), ("x", "/api/1", b"b"), ("n.img.test", "/api/1", b"c"),
        ):  # fmt: skip
            self.assertEqual((await self.ask(path, host=host)).body, said)

    async def test_nothing_stands_behind_a_name(self):
        proxy = self.serve(route=[{"host": "a.test", "origin": self.origin.url}])
        self.port = proxy.addresses()[0].port
        self.assertEqual((await self.ask("/", host="b.test")).status, 404)
        self.assertEqual((await self.ask("/", host="a.test")).status, 200)


class Failing(PoolCase):
    async def test_a_server_that_is_gone_costs_nobody_an_answer(self):
        self.pool(failures=2, open_time=60)
        await self.origins[0].stop()
        self.assertEqual(set(await self.bodies(20)), {b"b", b"c"})
        self.assertEqual(self.upstream.servers[0].state, "open")
        self.assertEqual(self.upstream.servers[0].failures, 2)
        figures = dict(self.services[-1].figures())
        self.assertEqual(figures[f"web {self.origins[0].url} (open) requests"], 2)

    async def test_what_is_sent_again_and_what_is_not(self):
        """Reset after the request was read: only what is idempotent goes to another server."""
        for method, body, status in (
            ("GET", b"", 200), ("HEAD", b"", 200), ("DELETE", b"", 200), ("PUT", b"x", 502), ("POST", b"", 502),
            ("POST", b"x", 502), ("PATCH", b"", 502),
        ):  # fmt: skip
            self.say["a"] = lambda side, head, body: side.transport.abortConnection()
            a, b, _ = self.origins
            self.pool(servers=[{"url": a.url, "weight": 1000}, b.url], failures=0)
            answer = await self.ask("/", method=method, body=body)
            self.assertEqual(answer.status, status, (method, body))
            self.assertEqual(len(b.seen), int(status == 200), (method, body))
            b.seen.clear()

    async def test_a_body_is_sent_to_the_next_if_nothing_of_it_has_left(self):
        a, b, _ = self.origins
        self.pool(servers=[{"url": a.url, "weight": 1000}, b.url])
        await a.stop()
        answer = await self.ask("/", method="POST", body=b"x" * 300_000)
        self.assertEqual(answer.body, b"b")
        self.assertEqual(b.seen[0][1], b"x" * 300_000)

    async def test_not_after_something_was_passed_on(self):
        def hint_and_die(side, head, body):
            side.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            side.transport.loseConnection()

        for name in "abc":
            self.say[name] = hint_and_die
        self.pool()
        client = await connect(self.reactor, self.port)
        client.transport.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.until(lambda c: c.closed)
        self.assertEqual(client.data.count(b"103 Early Hints"), 1)
        self.assertIn(b"502 Bad Gateway", client.data)

    async def test_the_budget_ends_a_storm(self):
        for name in "abc":
            self.say[name] = lambda side, head, body: side.transport.abortConnection()
        self.pool(failures=0, retry_share=0.1)
        await together(self.ask(f"/{n}") for n in range(100))
        asked = sum(len(origin.seen) for origin in self.origins)
        self.assertLess(asked, 100 + 10 + 10 + 15)
        self.assertGreater(asked, 105)

    async def test_a_silent_server_is_a_504_and_nobody_else_is_asked(self):
        for name in "abc":
            self.say[name] = lambda side, head, body: None
        self.pool(answer_time=0.2)
        self.assertEqual((await self.ask("/")).status, 504)
        self.assertEqual(sum(len(origin.seen) for origin in self.origins), 1)

    async def test_all_gone(self):
        self.pool(failures=1, retry_share=1, open_time=60)
        for origin in self.origins:
            await origin.stop()
        first = await self.ask("/")
        self.assertEqual(first.status, 502)
        answer = await self.ask("/")
        self.assertEqual(answer.status, 503)
        self.assertIn("destination_unavailable", answer.header("proxy-status"))

    async def test_all_gone_but_something_is_stored(self):
        for name in "abc":
            self.say[name] = lambda side, head, body: side.say(reply(b"old", "Cache-Control: max-age=1", "Age: 5"))
        self.pool(failures=1, retry_share=1, open_time=60)
        await self.ask("/stale")
        for origin in self.origins:
            await origin.stop()
        for _ in range(3):
            answer = await self.ask("/stale")
            self.assertEqual((answer.status, answer.body), (200, b"old"))

    async def test_a_server_that_recovers_is_asked_again(self):
        failing = [True]

        def shaky(side, head, body):
            side.say(reply(b"a", PLAIN, status="503 Sorry" if failing[0] else "200 OK"))

        self.say["a"] = shaky
        self.pool(failures=3, open_time=0.2)
        await self.bodies(9)
        self.assertEqual(self.upstream.servers[0].state, "open")
        self.assertNotIn(b"a", await self.bodies(4))
        failing[0] = False
        while self.upstream.servers[0].state != "up":
            await self.ask("/")
        self.assertIn(b"a", await self.bodies(3))


class Checking(PoolCase):
    def down(self, index):
        return self.upstream.servers[index].state == "down"

    async def test_by_status(self):
        well = [True]

        def script(side, head, body):
            if head.startswith("GET /healthz HTTP/1.1\r\nHost: check.test\r\n"):
                side.say(reply(b"", status="200 OK" if well[0] else "500 No"))
            else:
                side.say(reply(b"a", PLAIN))

        self.say["a"] = script
        self.pool(health={"path": "/healthz", "host": "check.test", "interval": 0.05, "rise": 2, "fall": 2})
        while not self.origins[0].seen:
            await sleep(self.reactor, 0.01)
        self.assertFalse(self.down(0))
        well[0] = False
        while not self.down(0):
            await sleep(self.reactor, 0.01)
        self.assertEqual(set(await self.bodies(6)), {b"b", b"c"})
        well[0] = True
        while self.down(0):
            await sleep(self.reactor, 0.01)
        self.assertEqual(set(await self.bodies(6)), {b"a", b"b", b"c"})

    async def test_by_connection_alone(self):
        self.pool(health={"interval": 0.05, "fall": 1})
        await self.origins[1].stop()
        while not self.down(1):
            await sleep(self.reactor, 0.01)
        self.assertEqual(set(await self.bodies(6)), {b"a", b"c"})

    async def test_a_check_that_takes_too_long(self):
        self.say["c"] = lambda side, head, body: None if "/healthz" in head else side.say(reply(b"c", PLAIN))
        self.pool(health={"path": "/healthz", "interval": 0.05, "timeout": 0.1, "fall": 1})
        while not self.down(2):
            await sleep(self.reactor, 0.01)
        self.assertIn("no answer in 0.1 s", self.upstream.servers[2].health.detail)


class Announcing(PoolCase):
    """``send_proxy``: what the servers are told before anything else."""

    async def start(self):
        await super().start()
        self.first = []

        def announced(side):
            received = side.dataReceived
            side.buffer = b""

            def first(data):
                found = read(data)
                self.first.append(found)
                side.dataReceived = received
                received(data[found.size :])

            side.dataReceived = first

        made = self.origins[0]._port.factory.buildProtocol

        def build(address):
            side = made(address)
            announced(side)
            return side

        self.origins[0]._port.factory.buildProtocol = build

    async def test_both_versions(self):
        for version in ("v1", "v2"):
            self.pool(servers=[self.origins[0].url], send_proxy=version)
            client = await connect(self.reactor, self.port)
            client.transport.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            mine = client.transport.getHost()
            await client.until(lambda c: c.closed)
            self.assertTrue(client.data.endswith(b"a"))
            self.assertEqual(self.first[-1].peer, ("127.0.0.1", mine.port))
            self.assertEqual(self.first[-1].local, ("127.0.0.1", self.port))

    async def test_one_clients_connection_serves_no_other(self):
        self.pool(servers=[self.origins[0].url], send_proxy="v2")
        ports = set()
        for _ in range(3):
            client = await connect(self.reactor, self.port)
            ports.add(client.transport.getHost().port)
            for turn in (1, 2):
                client.transport.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                await client.until(lambda c, turn=turn: c.data.count(b"\r\n\r\na") == turn)
            client.transport.loseConnection()
        self.assertEqual({found.peer[1] for found in self.first}, ports)
        self.assertEqual(self.origins[0].connections, 3)

    async def test_a_check_announces_nobody(self):
        self.pool(servers=[self.origins[0].url], send_proxy="v2", health={"path": "/healthz", "interval": 0.05})
        while not self.first:
            await sleep(self.reactor, 0.01)
        self.assertEqual(self.first[0].peer, None)
