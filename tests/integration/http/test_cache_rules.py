"""What the proxy tells of its decisions, on real sockets: Cache-Status, Proxy-Status, explanations; and trailers."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from netsuite.common.errors import StartError
from netsuite.interfaces import IControlled
from netsuite.sansio.structured import Token, parse_list
from tests.integration.http.scripted import connect, reply, sleep
from tests.integration.http.test_proxy import FRESH, ProxyCase, together


def members(answer, name="cache-status"):
    return [(str(each.value), dict(each.parameters)) for each in parse_list(answer.header(name).encode())]


class Told(ProxyCase):
    async def test_our_member_comes_behind_those_of_others(self):
        others = ("Cache-Status: OriginCache; hit; ttl=1100", "Cache-Status: broken value", "Proxy-Status: Inner")
        self.script = lambda side, head, body: side.say(reply(b"x", FRESH, *others))
        for expected in (
            {"fwd": Token("uri-miss"), "fwd-status": 200, "ttl": 3600, "stored": True},
            {"hit": True, "ttl": 3600},
        ):
            answer = await self.ask("/chain")
            self.assertEqual(members(answer), [("OriginCache", {"hit": True, "ttl": 1100}), ("netsuite", expected)])
            self.assertEqual(members(answer, "proxy-status"), [("Inner", {})])

    async def test_why_it_is_not_stored(self):
        self.script = lambda side, head, body: side.say(reply(b"x", "Cache-Control: private"))
        self.assertEqual(members(await self.ask("/"))[-1][1]["detail"], "the response is private")
        answer = await self.ask("/", method="POST", body=b"x")
        self.assertEqual(members(answer)[-1][1], {"fwd": Token("method"), "fwd-status": 200})
        answer = await self.ask("/", "If-Match: x")
        self.assertEqual(members(answer)[-1][1]["fwd"], Token("bypass"))

    async def test_who_waited_in_vain_says_so(self):
        held = []
        self.script = lambda side, head, body: held.append(side)
        asking = together(self.ask("/mine") for _ in range(2))
        while not held or self.server.requests < 2:
            await sleep(self.reactor, 0.01)
        self.script = lambda side, head, body: side.say(reply(b"x", "Cache-Control: private"))
        held[0].say(reply(b"x", "Cache-Control: private"))
        found = [members(answer)[-1][1].get("collapsed") for answer in await asking]
        self.assertCountEqual(found, [None, False])

    async def test_who_waited_with_success_says_so(self):
        held = []
        self.script = lambda side, head, body: held.append(side)
        asking = together(self.ask("/ours") for _ in range(2))
        while not held or self.server.requests < 2:
            await sleep(self.reactor, 0.01)
        held[0].say(reply(b"x", FRESH))
        found = [members(answer)[-1][1].get("collapsed") for answer in await asking]
        self.assertCountEqual(found, [None, True])

    async def test_an_error_of_the_origin_behind_what_is_stored(self):
        stored = reply(b"old", "Cache-Control: max-age=1, stale-if-error=60", "Age: 5")
        self.script = lambda side, head, body: side.say(stored)
        await self.ask("/")
        self.script = lambda side, head, body: side.say(reply(status="503 Busy"))
        answer = await self.ask("/")
        self.assertEqual((answer.status, answer.body), (200, b"old"))
        mine = members(answer)[-1][1]
        self.assertEqual((mine["fwd"], mine["fwd-status"], mine["detail"]), (Token("stale"), 503, "stale-if-error"))
        self.assertLess(mine["ttl"], 0)
        told = members(answer, "proxy-status")[-1][1]
        self.assertEqual((told["received-status"], told.get("error")), (503, None))

    async def test_an_origin_that_is_gone_behind_what_is_stored(self):
        self.script = lambda side, head, body: side.say(reply(b"old", "Cache-Control: max-age=1", "Age: 5"))
        await self.ask("/")
        await self.origin.stop()
        answer = await self.ask("/")
        mine = members(answer)[-1][1]
        self.assertEqual((answer.status, mine["hit"], mine["detail"]), (200, True, Token("no-origin")))
        self.assertIn("refused", members(answer, "proxy-status")[-1][1]["details"])

    async def test_error_pages_tell_the_error_and_no_cache(self):
        await self.origin.stop()
        answer = await self.ask("/")
        self.assertIsNone(answer.header("cache-status"))
        told = members(answer, "proxy-status")[-1][1]
        self.assertEqual(told["error"], Token("connection_refused"))
        self.assertEqual(told["next-hop"], f"127.0.0.1:{self.origin.port}")

    async def test_each_fault_has_its_word(self):
        for word, sent in [
            ("connection_terminated", b""),
            ("http_protocol_error", b"garbage\r\n\r\n"),
            ("http_protocol_error", b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n"),
        ]:

            def script(side, head, body, sent=sent):
                side.say(sent)
                side.transport.loseConnection()

            self.script = script
            answer = await self.ask("/fault")
            self.assertEqual(members(answer, "proxy-status")[-1][1]["error"], Token(word), sent)

    async def test_refusals_have_their_words(self):
        answer = await self.ask("/", f"CDN-Loop: {self.server._pseudonym.decode()}")
        self.assertEqual(members(answer, "proxy-status")[-1][1]["error"], Token("proxy_loop_detected"))
        self.proxy = self.serve(connect_ports=[1])
        self.port = self.proxy.addresses()[0].port
        answer = await self.ask("127.0.0.1:2", method="CONNECT")
        self.assertEqual(answer.status, 403)
        self.assertEqual(members(answer, "proxy-status")[-1][1]["error"], Token("http_request_denied"))

    async def test_a_forward_proxy_leaves_targeted_fields_to_others(self):
        self.proxy = self.serve()
        self.port = self.proxy.addresses()[0].port
        self.script = lambda side, head, body: side.say(
            reply(b"x", "Cache-Control: no-store", "CDN-Cache-Control: max-age=60")
        )
        for _ in range(2):
            answer = await self.ask(f"{self.origin.url}/")
            self.assertEqual(members(answer)[-1][1]["detail"], "the response says no-store")
            self.assertEqual(answer.header("cdn-cache-control"), "max-age=60")

    async def test_a_target_list_of_ones_own(self):
        self.proxy = self.serve(origin=self.origin.url, targeted=["Mine-Cache-Control", "cdn-cache-control"])
        self.port = self.proxy.addresses()[0].port
        fields = ("Cache-Control: no-store", "CDN-Cache-Control: no-store", "Mine-Cache-Control: max-age=60")
        self.script = lambda side, head, body: side.say(reply(b"x", *fields))
        await self.ask("/")
        self.assertIn("hit", members(await self.ask("/"))[-1][1])


class Trailers(ProxyCase):
    async def test_they_are_stored_and_sent_again(self):
        def script(side, head, body):
            side.say(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
            side.say(b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")

        self.script = script
        for _ in range(3):
            client = await connect(self.reactor, self.port)
            client.transport.write(b"GET /t HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.until(lambda c: b"\r\n\r\n" in c.data and c.data.endswith(b"\r\n\r\n") and b"X-Sum" in c.data)
            self.assertTrue(client.data.endswith(b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"), client.data)
            client.transport.abortConnection()
        self.assertEqual(len(self.origin.seen), 1)
        part = await self.ask("/t", "Range: bytes=1-2", host="a")
        self.assertEqual((part.status, part.body), (206, b"el"))

    async def test_http_1_0_goes_without(self):
        def script(side, head, body):
            side.say(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
            side.say(b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")

        self.script = script
        for _ in range(2):
            client = await connect(self.reactor, self.port)
            client.transport.write(b"GET /t HTTP/1.0\r\nHost: a\r\n\r\n")
            await client.until(lambda c: c.closed)
            self.assertTrue(client.data.endswith(b"\r\n\r\nhello"), client.data)


class Interim(ProxyCase):
    async def test_http_1_0_gets_none(self):
        page = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + reply(b"page", FRESH)
        self.script = lambda side, head, body: side.say(page)
        client = await connect(self.reactor, self.port)
        client.transport.write(b"GET /h HTTP/1.0\r\nHost: a\r\n\r\n")
        await client.until(lambda c: c.closed)
        self.assertTrue(client.data.startswith(b"HTTP/1.1 200 OK"), client.data)


class Explained(ProxyCase):
    async def explain(self, path="/", **details):
        control = self.commons.offers.find(IControlled, "cache")
        url = f"http://origin.test{path}"
        return await control.asked({"do": "explain", "url": url, **details})

    async def start(self):
        await super().start()
        self.proxy.register(self.commons.offers)

    async def test_what_is_stored_and_what_would_be_sent(self):
        answer = await self.explain("/x")
        self.assertEqual(answer["explanation"]["decision"]["action"], "miss")
        self.assertEqual(answer["explanation"]["upstream"][0], "GET /x")
        await self.ask("/x", host="origin.test")
        found = (await self.explain("/x"))["explanation"]
        self.assertEqual((found["decision"]["action"], found["upstream"], len(found["stored"])), ("hit", [], 1))
        self.assertEqual(found["origin"], f"127.0.0.1:{self.origin.port}")
        found = (await self.explain("/x", headers=["Cache-Control: no-cache"]))["explanation"]
        self.assertEqual(found["decision"]["action"], "revalidate")
        self.assertEqual(len(self.origin.seen), 1)

    async def test_what_was_not_for_others(self):
        self.script = lambda side, head, body: side.say(reply(b"x", "Cache-Control: private"))
        await self.ask("/mine")
        answer = await self.explain("/mine")
        self.assertTrue(answer["explanation"]["uncacheable"])
        self.assertTrue([line for line in answer["lines"] if "not for others" in line])

    async def test_a_fetch_that_is_under_way(self):
        held = []
        self.script = lambda side, head, body: held.append(side)
        asking = Deferred.fromCoroutine(self.ask("/slow"))
        while not held:
            await sleep(self.reactor, 0.01)
        self.assertTrue((await self.explain("/slow"))["explanation"]["under_way"])
        held[0].say(reply(b"x", FRESH))
        await asking

    async def test_what_is_no_question(self):
        control = self.commons.offers.find(IControlled, "cache")
        for asked, word in [
            ({"do": "explain", "url": "x"}, "URL"),
            ({"do": "explain", "url": "http://a/ b"}, "URL"),
            ({"do": "explain", "url": "http://a/", "method": "G T"}, "method"),
            ({"do": "explain", "url": "http://a/", "headers": ["x"]}, "Name: value"),
            ({"do": "explain", "url": "http://a/", "headers": ["a: b\r\nc: d"]}, "Name: value"),
            ({"do": "dance"}, "explain"),
        ]:
            problem = await self.assertFailure(Deferred.fromCoroutine(control.asked(asked)), StartError)
            self.assertIn(word, str(problem))
