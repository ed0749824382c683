"""Purges against fetches that are under way, the door for PURGE, prefetching, and errors that are remembered."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred

from netsuite.common.errors import StartError
from netsuite.http.cache.purges import Purge
from netsuite.interfaces import IControlled, IPrefetcher
from tests.integration.http.scripted import ask, reply, sleep
from tests.integration.http.test_proxy import FRESH, ProxyCase, together


class Fetching(ProxyCase):
    """One fetch is held, something is purged, another asks, the fetch ends: who gets what, and what is stored."""

    async def around(self, purge, *, landed):
        """Bodies of who asked before and after, and of who asks in the end; ``landed`` purges after the head came."""
        self.sides = []
        self.script = lambda side, head, body: self.sides.append(side)
        first = Deferred.fromCoroutine(self.ask("/one"))
        await self.until(lambda: len(self.sides) == 1)
        head = reply(b"", FRESH, "Cache-Tag: x", "Content-Length: 3", length=False)
        if landed:
            self.sides[0].say(head)
            await self.until(lambda: self.server.fetches.under_way(b"http://origin.test/one").landing is not None)
        await purge()
        second = Deferred.fromCoroutine(self.ask("/one"))
        await self.until(lambda: self.server.requests == 2)
        self.script = lambda side, head, body: side.say(reply(b"new", FRESH, "Cache-Tag: x"))
        if len(self.sides) > 1:
            self.sides[1].say(reply(b"new", FRESH, "Cache-Tag: x"))
        self.sides[0].say(b"old" if landed else head + b"old")
        before, after = await first, await second
        return before.body, after.body, (await self.ask("/one")).body

    async def until(self, test):
        for _ in range(500):
            if test():
                return
            await sleep(self.reactor, 0.01)
        raise AssertionError("waited too long")

    def order(self, **order):
        return lambda: Deferred.fromCoroutine(self.server.purging.everywhere(order))

    async def test_whatever_purges_wins(self):
        url = "http://origin.test/one"
        for order in (
            {"urls": [url]},
            {"prefixes": ["http://origin.test/o"]},
            {"tags": ["x"]},
            {"tags": ["x"], "origin": url},
            {"all": True},
            {"urls": [url], "soft": True},
        ):
            for landed in (False, True):
                self.server.cache.store.clear()
                self.server.requests = 0
                found = await self.around(self.order(**order), landed=landed)
                self.assertEqual(found, (b"old", b"new", b"new"), (order, landed))

    async def test_what_is_not_meant_is_shared(self):
        for order in ({"urls": ["http://origin.test/two"]}, {"prefixes": ["http://origin.test/t"]}):
            self.server.cache.store.clear()
            self.server.requests = 0
            found = await self.around(self.order(**order), landed=True)
            self.assertEqual(found, (b"old", b"old", b"old"), order)

    async def test_another_tag_spares_a_fetch_whose_tags_are_known(self):
        found = await self.around(self.order(tags=["y"]), landed=True)
        self.assertEqual(found, (b"old", b"old", b"old"))


class HotAnswers(ProxyCase):
    async def test_no_purge_leaves_an_answer_on_the_hot_path(self):
        for order in (
            {"urls": ["http://origin.test/hot"]},
            {"prefixes": ["http://origin.test/"]},
            {"tags": ["x"]},
            {"all": True},
            {"all": True, "soft": True},
        ):
            self.script = lambda side, head, body: side.say(reply(b"old", FRESH, "Cache-Tag: x"))
            client = await self.kept()
            for _ in range(4):
                self.assertEqual((await self.again(client))[-3:], b"old")
            before = self.server.shortcuts.hot.hits
            await self.again(client)
            self.assertEqual(self.server.shortcuts.hot.hits, before + 1)
            self.script = lambda side, head, body: side.say(reply(b"new", FRESH, "Cache-Tag: x"))
            gone = self.server.purging.everywhere(order)
            waiting = Deferred.fromCoroutine(gone)
            self.assertEqual((await self.again(client))[-3:], b"new")
            self.assertEqual(await waiting, 1)
            client.transport.loseConnection()
            self.server.cache.store.clear()

    async def kept(self):
        from tests.integration.http.scripted import connect

        return await connect(self.reactor, self.port)

    async def again(self, client):
        client.data = b""
        client.transport.write(b"GET /hot HTTP/1.1\r\nHost: origin.test\r\n\r\n")
        await client.until(lambda c: c.data.endswith((b"old", b"new")))
        return client.data

    async def test_every_hot_hit_is_a_use(self):
        client = await self.kept()
        self.script = lambda side, head, body: side.say(reply(b"old", FRESH))
        told = []
        self.server.cache.store.on_use = lambda stored, times: told.append(times)
        for _ in range(30):
            await self.again(client)
        self.server.shadow.report()
        self.assertEqual(sum(told), 30)
        client.transport.loseConnection()


class Door(ProxyCase):
    async def start(self):
        await super().start()
        self.proxy = self.serve(origin=self.origin.url, purge_allow=["loopback"])
        self.port, self.server = self.proxy.addresses()[0].port, self.proxy.server
        self.token = self.commons.data.read("purge.token").decode().strip()

    def purge(self, target, *fields, token=None):
        return self.ask(target, f"Authorization: Bearer {token or self.token}", *fields, method="PURGE")

    async def stored(self, *paths):
        self.script = lambda side, head, body: side.say(
            reply(b"x", FRESH, "Surrogate-Key: all " + head.split()[1].strip("/"), "Vary: Foo")
        )
        for path in paths:
            await self.ask(path, "Foo: 1")
            await self.ask(path, "Foo: 2")

    async def test_a_target_with_all_variants(self):
        await self.stored("/a", "/b")
        answer = await self.purge("/a")
        self.assertEqual((answer.status, json.loads(answer.body)), (200, {"purged": 2, "soft": False}))
        self.assertEqual(answer.header("content-type"), "application/json")
        self.assertEqual(len(self.server.cache.store), 2)

    async def test_prefix_tag_all_and_softly(self):
        await self.stored("/a/1", "/a/2", "/b")
        self.assertEqual(json.loads((await self.purge("/a/", "Purge: soft, prefix")).body)["purged"], 4)
        self.assertEqual(len(self.server.cache.store), 6)
        self.assertEqual(json.loads((await self.purge("/", "Cache-Tag: b")).body)["purged"], 2)
        self.assertEqual(json.loads((await self.purge("/", "Purge: prefix")).body)["purged"], 4)
        await self.stored("/a/1", "/b")
        self.assertEqual(json.loads((await self.purge("/", "Purge: all")).body)["purged"], 4)

    async def test_who_may_not(self):
        await self.stored("/a")
        bare = await self.ask("/a", method="PURGE")
        self.assertEqual((bare.status, bare.header("www-authenticate")), (401, 'Bearer realm="purge"'))
        for token in ("x", self.token[:-1], self.token + "0"):
            self.assertEqual((await self.purge("/a", token=token)).status, 401)
        self.assertEqual((await self.ask("/a", f"Authorization: Basic {self.token}", method="PURGE")).status, 401)
        self.assertEqual(len(self.server.cache.store), 2)
        other = self.serve(origin=self.origin.url, purge_allow=["192.0.2.1"])
        answer = await ask(
            self.reactor, other.addresses()[0].port, "/a", f"Authorization: Bearer {self.token}", method="PURGE"
        )
        self.assertEqual((answer.status, "purge_allow" in json.loads(answer.body)["error"]), (403, True))
        self.assertNotIn("PURGE", [head.split()[0] for head, _ in self.origin.seen])

    async def test_what_cannot_be_done(self):
        for field in ("Purge: prefix, all", "Purge: every", "Cache-Tag: " + ",".join(map(str, range(300)))):
            answer = await self.purge("/a", field)
            self.assertEqual((answer.status, "error" in json.loads(answer.body)), (400, True), field)

    async def test_without_the_door_purge_is_a_method_like_others(self):
        closed = self.serve(origin=self.origin.url)
        port = closed.addresses()[0].port
        await ask(self.reactor, port, "/a")
        self.script = lambda side, head, body: side.say(reply(b"by the origin"))
        answer = await ask(self.reactor, port, "/a", method="PURGE")
        self.assertEqual((answer.status, answer.body), (200, b"by the origin"))
        # an unsafe method that succeeded
        self.assertEqual(len(closed.server.cache.store), 0)

    async def test_a_token_that_others_can_read_is_refused(self):
        self.commons.data.at("purge.token").chmod(0o644)
        self.assertRaises(StartError, self.serve, origin=self.origin.url, purge_allow=["any"])
        self.commons.data.write("purge.token", b"short")
        self.assertRaises(StartError, self.serve, origin=self.origin.url, purge_allow=["any"])

    async def test_as_a_forward_proxy(self):
        forward = self.serve(purge_allow=["loopback"])
        port, url = forward.addresses()[0].port, f"{self.origin.url}/x"
        await ask(self.reactor, port, url)
        answer = await ask(self.reactor, port, url, f"Authorization: Bearer {self.token}", method="PURGE")
        self.assertEqual(json.loads(answer.body)["purged"], 1)


class Prefetching(ProxyCase):
    async def linked(self, *links, fields=(), **settings):
        """What the origin was asked for after a page with these links; each linked thing links to more."""
        self.proxy = self.serve(origin=self.origin.url, **{"prefetch": 2, **settings})
        self.port, self.server = self.proxy.addresses()[0].port, self.proxy.server
        self.most = self.now = 0

        def answer(side, head, body):
            path = head.split()[1]
            if path == "/page":
                side.say(reply(b"page", FRESH, *(f"Link: {link}" for link in links)))
                return
            self.now += 1
            self.most = max(self.most, self.now)

            def later():
                self.now -= 1
                side.say(reply(b"x", FRESH, "Link: </more>; rel=preload", "Vary: Accept-Encoding"))

            self.reactor.callLater(0.02, later)

        self.script = answer
        await self.ask("/page", *fields)
        await sleep(self.reactor, 0.3)
        return [head.split()[1] for head, _ in self.origin.seen if "/page" not in head]

    async def test_what_a_page_links_to_is_there_before_it_is_asked_for(self):
        paths = [f"/{number}" for number in range(5)]
        links = [f"<{path}>; rel=preload; as=style" for path in paths]
        seen = await self.linked(", ".join(links[:2]), *links[2:], fields=["Accept-Encoding: br"])
        self.assertEqual(seen, paths)
        self.assertEqual(self.most, 2)
        for path in paths:
            self.assertIn("hit", (await self.ask(path, "Accept-Encoding: br")).header("cache-status"))
        self.assertTrue(all("sec-purpose: prefetch" in head.lower() for head, _ in self.origin.seen[1:6]))

    async def test_only_of_the_same_origin_and_the_right_relation(self):
        seen = await self.linked('<http://elsewhere.test/1>; rel=preload, </2>; rel=next, </3>; rel="prefetch x", 4')
        self.assertEqual(seen, ["/3"])

    async def test_a_few_of_many(self):
        seen = await self.linked(", ".join(f"</{number}>; rel=preload" for number in range(100)))
        self.assertEqual(len(seen), 16)

    async def test_not_for_those_who_log_in(self):
        for field in ("Authorization: Basic eDp5", "Cookie: a=b"):
            self.assertEqual(await self.linked("</1>; rel=preload", fields=[field]), [])

    async def test_off_unless_it_is_asked_for(self):
        self.assertEqual(await self.linked("</1>; rel=preload", prefetch=0), [])

    async def test_an_application_may_ask(self):
        await self.linked()
        self.proxy.register(self.commons.offers)
        prefetcher = self.commons.offers.find(IPrefetcher)
        self.assertEqual(
            prefetcher.prefetch(["http://origin.test/1", "http://origin.test/2", "http://origin.test/1"]), 3
        )
        await sleep(self.reactor, 0.2)
        self.assertIn("hit", (await self.ask("/1")).header("cache-status"))
        self.assertEqual(self.server.prefetch.fetched, 2)
        self.assertEqual(prefetcher.prefetch(["http://origin.test/1", "nonsense"]), 2)
        self.assertEqual(self.server.prefetch.fetched, 2)


class Errors(ProxyCase):
    async def test_a_404_is_remembered_for_as_long_as_was_said(self):
        service = self.serve(origin=self.origin.url, negative_times={"404": 0.4})
        port = service.addresses()[0].port
        self.script = lambda side, head, body: side.say(reply(b"none", status="404 Not Found"))
        for _ in range(5):
            self.assertEqual((await ask(self.reactor, port, "/x")).status, 404)
        self.assertEqual(len(self.origin.seen), 1)
        await sleep(self.reactor, 0.5)
        await ask(self.reactor, port, "/x")
        self.assertEqual(len(self.origin.seen), 2)

    async def test_many_who_ask_for_what_is_not_there_make_one_request(self):
        service = self.serve(origin=self.origin.url, negative_times={"503": 5})
        port, held = service.addresses()[0].port, []
        self.script = lambda side, head, body: held.append(side)
        asking = together(ask(self.reactor, port, "/x") for _ in range(20))
        while service.server.requests < 20 or not held:
            await sleep(self.reactor, 0.01)
        held[0].say(reply(b"down", status="503 Service Unavailable"))
        self.assertEqual({answer.status for answer in await asking}, {503})
        self.assertEqual(len(self.origin.seen), 1)


class Command(ProxyCase):
    async def test_verbs(self):
        self.proxy.register(self.commons.offers)
        control = self.commons.offers.find(IControlled, "cache")
        self.script = lambda side, head, body: side.say(reply(b"x", FRESH, "Cache-Tag: t"))
        for path in ("/a", "/b"):
            await self.ask(path)
        listed = await control.asked({"do": "list", "prefix": "http://origin.test/a"})
        self.assertEqual(listed["count"], 1)
        entry = listed["entries"][0]
        self.assertEqual((entry["url"], entry["size"], entry["tags"]), ("http://origin.test/a", 1, ["t"]))
        self.assertEqual((await control.asked({"do": "purge", "tags": ["t"]}))["purged"], 2)
        self.assertEqual((await control.asked({"do": "stats"}))["stats"]["purges"], 1)
        for order in ({}, {"urls": "x"}, {"urls": [1]}, {"urls": ["x"] * 1001}, {"prefixes": ["ftp://x/"]}):
            try:
                await control.asked({"do": "purge", **order})
            except StartError as error:
                self.assertNotIn("\n", str(error))
            else:
                self.fail(f"{order} was taken")

    def test_purges_cover(self):
        purge = Purge(tags=frozenset({b"x"}), origin=b"http://a")
        self.assertTrue(purge.covers(b"http://a/", (b"x",)))
        self.assertFalse(purge.covers(b"http://ab/", (b"x",)))
