"""Parents and siblings: real proxies that stand behind one another."""

from __future__ import annotations

from base64 import b64encode

from tests.integration.http.scripted import Origin, ask, connect, reply, sleep
from tests.integration.http.test_proxy import FRESH, ProxyCase


class HierarchyCase(ProxyCase):
    async def stop(self):
        for service in self.services:
            service.server.fetches.peers.close()
        await super().stop()
        for service in self.services:
            while service.server.fetches.peers.open:
                await sleep(self.reactor, 0.01)

    def named(self, name, **settings):
        return self.serve(name=name, **settings)

    def url(self, proxy):
        return f"http://127.0.0.1:{proxy.addresses()[0].port}"

    def child(self, **settings):
        self.proxy = self.named("child", **settings)
        self.port = self.proxy.addresses()[0].port
        self.server = self.proxy.server


class Parents(HierarchyCase):
    async def test_requests_go_by_the_parent(self):
        parent = self.named("parent")
        self.child(parents=[self.url(parent)])
        answer = await self.ask(self.origin.url + "/a?b=c")
        self.assertEqual(answer.body, b"hello")
        self.assertEqual(parent.server.requests, 1)
        self.assertTrue(self.origin.seen[0][0].startswith("GET /a?b=c HTTP/1.1\r\n"))
        self.assertIn(
            "Via: 1.1 child, 1.1 parent", self.origin.seen[0][0].replace("\r\nVia: 1.1 parent", ", 1.1 parent")
        )
        self.assertIn(f"Host: 127.0.0.1:{self.origin.port}", self.origin.seen[0][0])

    async def test_uploads_too(self):
        self.script = lambda side, head, body: side.say(reply(b"%d" % len(body)))
        self.child(parents=[self.url(self.named("parent"))])
        answer = await self.ask(self.origin.url + "/up", method="POST", body=b"x" * 500_000)
        self.assertEqual(answer.body, b"500000")

    async def test_what_the_parent_is_told(self):
        seen = []
        parent = await Origin(self.reactor, lambda side, head, body: (seen.append(head), side.say(reply(b"p")))).start()
        try:
            self.child(parents=[{"url": parent.url, "user": "me", "password": "secret"}])
            await self.ask("http://far.test/x", "Proxy-Authorization: Basic theirs", host="far.test")
        finally:
            await parent.stop()
        self.assertTrue(seen[0].startswith("GET http://far.test/x HTTP/1.1\r\nHost: far.test\r\n"))
        self.assertIn("Proxy-Authorization: Basic " + b64encode(b"me:secret").decode(), seen[0])
        self.assertNotIn("theirs", seen[0])

    async def test_a_tunnel_through_the_parent(self):
        parent = self.named("parent")
        self.child(parents=[self.url(parent)])
        client = await connect(self.reactor, self.port)
        where = f"127.0.0.1:{self.origin.port}"
        client.transport.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        await client.until(lambda c: b"\r\n\r\n" in c.data)
        self.assertTrue(client.data.startswith(b"HTTP/1.1 200"), client.data)
        client.data = b""
        client.transport.write(b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(lambda c: c.data.endswith(b"hello"))
        self.assertEqual(parent.server.tunnels.opened, 1)
        client.transport.loseConnection()
        await client.until(lambda c: c.closed)

    async def test_a_tunnel_that_the_parent_refuses(self):
        parent = self.named("parent", connect_ports=[443])
        self.child(parents=[self.url(parent)])
        answer = await self.ask(f"127.0.0.1:{self.origin.port}", method="CONNECT")
        self.assertEqual(answer.status, 502)

    async def test_a_parent_that_wants_credentials_is_our_trouble(self):
        parent = await Origin(
            self.reactor,
            lambda side, head, body: side.say(
                reply(b"", 'Proxy-Authenticate: Basic realm="p"', status="407 Proxy Authentication Required")
            ),
        ).start()
        try:
            self.child(parents=[parent.url])
            answer = await self.ask("http://far.test/")
        finally:
            await parent.stop()
        self.assertEqual((answer.status, answer.header("proxy-authenticate")), (502, None))

    async def test_the_next_parent_stands_in(self):
        gone = await Origin(self.reactor, lambda *_: None).start()
        await gone.stop()
        self.child(parents=[gone.url, self.url(self.named("parent"))])
        for n in range(8):
            self.assertEqual((await self.ask(f"{self.origin.url}/{n}")).body, b"hello")

    async def test_exceptions_are_asked_directly(self):
        parent = self.named("parent")
        self.child(parents=[self.url(parent)], no_proxy=["127.0.0.0/8"])
        self.assertEqual((await self.ask(self.origin.url + "/a")).body, b"hello")
        self.assertEqual(parent.server.requests, 0)

    async def test_a_loop_of_parents_ends(self):
        first = self.named("first")
        port = first.addresses()[0].port
        await first.drain(self.reactor.seconds())
        second = self.named("second", parents=[f"http://127.0.0.1:{port}"])
        self.child(parents=[self.url(second)], listen=[f"127.0.0.1:{port}"])
        answer = await self.ask("http://far.test/")
        self.assertEqual(answer.status, 508)

    async def test_internal_literals_are_refused_before_the_parent_is_asked(self):
        parent = self.named("parent")
        self.child(parents=[self.url(parent)], internal_targets=False)
        self.assertEqual((await self.ask(self.origin.url + "/a")).status, 403)
        self.assertEqual(parent.server.requests, 0)


class Siblings(HierarchyCase):
    async def test_what_a_sibling_has_is_not_fetched(self):
        sibling = self.named("sibling")
        await ask(self.reactor, sibling.addresses()[0].port, self.origin.url + "/a")
        self.child(siblings=[self.url(sibling)])
        answer = await self.ask(self.origin.url + "/a")
        self.assertEqual(answer.body, b"hello")
        self.assertEqual(len(self.origin.seen), 1)
        self.assertIn("hit", answer.header("cache-status"))
        self.assertEqual((await self.ask(self.origin.url + "/a")).body, b"hello")
        self.assertEqual(sibling.server.answering.hits, 1, "it is stored here now")

    async def test_what_it_has_not_is_asked_of_the_origin(self):
        sibling = self.named("sibling")
        self.child(siblings=[self.url(sibling)])
        self.assertEqual((await self.ask(self.origin.url + "/b")).body, b"hello")
        self.assertEqual(len(self.origin.seen), 1)
        self.assertEqual(sibling.server.requests, 1)

    async def test_siblings_may_name_one_another(self):
        one = self.named("one")
        port = one.addresses()[0].port
        await one.drain(self.reactor.seconds())
        other = self.named("other", siblings=[f"http://127.0.0.1:{port}"])
        self.child(siblings=[self.url(other)], listen=[f"127.0.0.1:{port}"])
        self.assertEqual((await self.ask(self.origin.url + "/c")).body, b"hello")
        self.assertEqual(len(self.origin.seen), 1)

    async def test_a_sibling_that_is_slow_or_gone_is_not_waited_for(self):
        slow = await Origin(self.reactor, lambda *_: None).start()
        gone = await Origin(self.reactor, lambda *_: None).start()
        await gone.stop()
        try:
            self.child(siblings=[slow.url, gone.url], sibling_time=0.1)
            self.assertEqual((await self.ask(self.origin.url + "/d")).body, b"hello")
            self.assertIn("only-if-cached", slow.seen[0][0] if slow.seen else "only-if-cached")
        finally:
            await slow.stop()

    async def test_what_may_not_be_shared_is_not_asked_of_siblings(self):
        sibling = self.named("sibling")
        self.child(siblings=[self.url(sibling)])
        self.script = lambda side, head, body: side.say(reply(b"mine", FRESH))
        await self.ask(self.origin.url + "/e", "Authorization: Basic x")
        await self.ask(self.origin.url + "/e", method="POST", body=b"x")
        self.assertEqual(sibling.server.requests, 0)
