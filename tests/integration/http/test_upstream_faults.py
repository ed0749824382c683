"""Whatever an origin does wrong ends in a right answer: 502, 504, or an answer that is seen to break off.

Never a hang, never half a body that looks whole, never bytes of one response in another. Each case is said on a
connection that another request has used before and one wants afterwards.
"""

from __future__ import annotations

from tests.integration.http.scripted import Answer, connect, reply, sleep
from tests.integration.http.test_proxy import FRESH, ProxyCase, together

BODY = b"0123456789abcdef"
LENGTH = reply(BODY, FRESH, 'ETag: "x"')
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\n0123\r\n0a;x=y\r\n456789abcd\r\n2\r\nef\r\n0\r\nX-Sum: 7\r\n\r\n"
)
UNTIL_CLOSE = reply(BODY, FRESH, length=False)
SHAPES = {"length": LENGTH, "chunked": CHUNKED, "close": UNTIL_CLOSE}


def head_of(whole):
    return whole.index(b"\r\n\r\n") + 4


class FaultCase(ProxyCase):
    """``/good`` is answered well; anything else as :attr:`say` says."""

    async def start(self):
        await super().start()
        self.say = {}
        self.script = self.told
        self.proxy = self.serve(origin=self.origin.url, answer_time=1.0, body_time=0.4, name="faults")
        self.port = self.proxy.addresses()[0].port
        self.server = self.proxy.server

    def told(self, side, head, body):
        target = head.split()[1]
        if target.startswith("/good"):
            side.say(reply(b"good " + target.encode(), FRESH))
        else:
            self.say[target](side)

    async def asked(self, target, say, *, method="GET", body=b""):
        """The Answer; before and after it another request goes the same way, and gets its own."""
        self.say[target] = say
        before = await self.ask(f"/good{target}/before")
        self.assertEqual(before.body, f"good /good{target}/before".encode())
        answer = await self.ask(target, method=method, body=body)
        after = await self.ask(f"/good{target}/after")
        self.assertEqual(after.body, f"good /good{target}/after".encode())
        return answer


class EveryByte(FaultCase):
    timeout = 120

    async def each(self, shape, leave, whole_when_ended):
        whole = SHAPES[shape]

        async def one(cut):
            def say(side):
                side.transport.write(whole[:cut])
                if leave == "fin":
                    side.transport.loseConnection()
                else:
                    # the bytes must have come before the reset overtakes them
                    self.reactor.callLater(0.02, side.transport.abortConnection)

            answer = await self.asked(f"/{shape}/{leave}/{cut}", say)
            if cut < head_of(whole):
                self.assertEqual(answer.status, 502, cut)
                self.assertIn("error=", answer.header("proxy-status"))
                self.assertTrue(answer.whole)
            else:
                self.assertEqual(answer.status, 200, cut)
                self.assertTrue(BODY.startswith(answer.body), (cut, answer.body))
                complete = cut == len(whole) and (shape != "close" or leave == "fin")
                self.assertEqual(answer.whole, complete or whole_when_ended, (cut, answer.body))
                if answer.whole and not whole_when_ended:
                    self.assertEqual(answer.body, BODY)

        for first in range(0, len(whole) + 1, 16):
            await together(one(cut) for cut in range(first, min(first + 16, len(whole) + 1)))

    async def test_length_fin(self):
        await self.each("length", "fin", False)

    async def test_length_reset(self):
        await self.each("length", "reset", False)

    async def test_chunked_fin(self):
        await self.each("chunked", "fin", False)

    async def test_chunked_reset(self):
        await self.each("chunked", "reset", False)

    async def test_close_fin(self):
        """There an end of the connection is the end of the body (RFC 9112 section 6.3), and nobody can tell more."""
        await self.each("close", "fin", True)

    async def test_close_reset(self):
        await self.each("close", "reset", False)


class Table(FaultCase):
    timeout = 60

    BROKEN = {
        "nothing": b"",
        "http/0.9": b"<html>hello</html>",
        "a version that is none": b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "no status": b"HTTP/1.1\r\n\r\n",
        "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
        "a status above 599": b"HTTP/1.1 1000 OK\r\n\r\n",
        "zeros": b"\0" * 1000,
        "tls": b"\x16\x03\x01\x00\x05hello",
        "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\n0123456789abcdef",
        "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "a field without a colon": b"HTTP/1.1 200 OK\r\nhello\r\n\r\n",
        "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        "a fold in front": b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "a bare CR": b"HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n",
        "a NUL in a value": b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
        "a protocol that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
        b"Connection: upgrade\r\n\r\nhello",
        "endless fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40000,
        "an endless field": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 300000,
        "an endless status line": b"HTTP/1.1 200 " + b"b" * 300000,
        "a flood of 1xx": b"HTTP/1.1 102 Processing\r\n\r\n" * 20000,
        "a flood of 100": b"HTTP/1.1 100 Continue\r\n\r\n" * 20000,
        "an interim response and no other": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    }

    async def test_what_is_no_answer_is_a_502(self):
        for number, (name, said) in enumerate(self.BROKEN.items()):

            def say(side, said=said):
                side.say(said)
                side.transport.loseConnection()

            answer = await self.asked(f"/broken/{number}", say)
            while 100 <= answer.status < 200:
                answer = Answer(answer.body, True)
            self.assertEqual(answer.status, 502, name)
            self.assertTrue(answer.whole, name)

    CUT = {
        "too short a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + BODY, False),
        "too long a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n" + BODY + b"and more", True),
        "two answers": (LENGTH + reply(b"poison", FRESH), True),
        "two answers, the second for nobody": (LENGTH + b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npoison", True),
        "no chunk size": (CHUNKED.replace(b"\r\n0a;", b"\r\n;"), False),
        "a chunk size that is none": (CHUNKED.replace(b"\r\n0a;", b"\r\n-a;"), False),
        "too large a chunk size": (CHUNKED.replace(b"\r\n0a;", b"\r\nfffffffffffffffff0a;"), False),
        "a chunk that is longer than it says": (CHUNKED.replace(b"\r\n0a;", b"\r\n02;"), False),
        "a trailer that is none": (CHUNKED.replace(b"X-Sum: 7", b"X Sum"), False),
        "endless trailers": (CHUNKED.replace(b"X-Sum: 7", b"X-Sum: 7\r\n" * 40000), False),
        "an endless chunk extension": (CHUNKED.replace(b";x=y", b";" + b"x" * 300000), False),
        "a body for a 204": (b"HTTP/1.1 204 No Content\r\n\r\n" + BODY, True),
        "a body for a 304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 16\r\n\r\n" + BODY, True),
    }

    async def test_what_breaks_off_is_seen_to_and_what_is_too_much_is_dropped(self):
        for number, (name, (said, whole)) in enumerate(self.CUT.items()):

            def say(side, said=said):
                side.say(said)
                side.transport.loseConnection()

            answer = await self.asked(f"/cut/{number}", say)
            self.assertIn(answer.status, (200, 204, 304), name)
            if answer.status == 200:
                self.assertEqual(answer.whole, whole, name)
                self.assertTrue(BODY.startswith(answer.body), name)
            self.assertNotIn(b"poison", answer.body)

    async def test_what_comes_late_is_given_up(self):
        self.dripping = 0

        def drip(data, later):
            def say(side):
                side.say(data)
                self.dripping += 1

                def more(at):
                    if at == len(later) or side not in self.origin.open:
                        self.dripping -= 1
                        return
                    side.transport.write(later[at : at + 1])
                    self.reactor.callLater(0.05, more, at + 1)

                more(0)

            return say

        async def one(target, say, status):
            answer = await self.asked(target, say)
            self.assertEqual(answer.status, status, target)
            if status == 200:
                self.assertFalse(answer.whole)

        await together(
            [
                one("/late/never", lambda side: None, 504),
                one("/late/head", drip(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000), 504),
                one("/late/interims", drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100), 504),
                one("/late/body", drip(head(1000), b"x" * 999), 200),
                one("/late/chunks", drip(CHUNKED[: head_of(CHUNKED)], b"1\r\nx\r\n" * 1000), 200),
                one("/late/silence", lambda side: side.say(LENGTH[:-3]), 200),
            ]
        )
        while self.dripping:
            await sleep(self.reactor, 0.01)

    async def test_an_answer_before_all_of_the_request(self):
        """It is the answer; the rest of the request's body is not waited for, and the connection not used again."""
        for status in ("200 OK", "413 Too Much"):
            said = []

            def early(side, status=status, said=said):
                side.say(reply(b"early", status=status))
                said.append(side)

            def hear(side, data, early=early, said=said):
                if data and b"\r\n\r\n" in data and not said:
                    early(side)

            raw = await self.raw(hear)
            proxy = self.serve(origin=f"http://127.0.0.1:{raw.getHost().port}", name="early")
            client = await connect(self.reactor, proxy.addresses()[0].port)
            client.transport.write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
            await client.until(lambda c: c.data.endswith(b"early"))
            self.assertTrue(client.data.startswith(f"HTTP/1.1 {status[:3]}".encode()))
            client.transport.loseConnection()
            await client.until(lambda c: c.closed)
            await raw.stopListening()
            while not said[0].lost:
                await sleep(self.reactor, 0.01)

    async def test_an_answer_before_the_request(self):
        def greet(side, data):
            if data is None:
                side.say(reply(b"unasked", FRESH))

        raw = await self.raw(greet)
        proxy = self.serve(origin=f"http://127.0.0.1:{raw.getHost().port}", name="early", answer_time=0.5)
        for _ in range(5):
            client = await connect(self.reactor, proxy.addresses()[0].port)
            client.transport.write(b"GET /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await client.until(lambda c: c.closed)
            answer = Answer(client.data, True)
            self.assertIn((answer.status, answer.whole), ((200, True), (502, True)))
        await raw.stopListening()

    async def test_bytes_that_come_between_two_requests_are_nobodys(self):
        """What an origin says on an idle connection is never taken for the answer to the next request."""
        sides = []
        self.say["/first"] = lambda side: (sides.append(side), side.say(reply(b"first")))
        self.say["/second"] = lambda side: side.say(reply(b"second"))
        await self.ask("/first")
        client = await connect(self.reactor, self.port)
        # both are in the kernel when the reactor looks again: the request may be read first
        sides[0].transport.socket.send(reply(b"poison", FRESH))
        client.transport.write(b"GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.until(lambda c: c.closed)
        self.assertTrue(client.data.endswith(b"second"), client.data)

    async def test_half_closed(self):
        """An origin that ends its side behind a complete answer has answered."""
        answer = await self.asked("/half", lambda side: (side.say(LENGTH), side.transport.loseWriteConnection()))
        self.assertEqual((answer.status, answer.body, answer.whole), (200, BODY, True))

    async def test_nothing_follows_an_answer_that_broke_off(self):
        """Of two pipelined requests the first breaks off: the second must not be answered where its body ends."""
        self.say["/breaks"] = lambda side: (side.say(head(1000) + b"x" * 10), side.transport.loseConnection())
        client = await connect(self.reactor, self.port)
        client.transport.write(b"GET /breaks HTTP/1.1\r\nHost: a\r\n\r\nGET /good HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(lambda c: c.closed)
        self.assertTrue(client.data.endswith(b"x" * 10))
        self.assertNotIn(b"good", client.data)

    async def test_interim_responses_in_order(self):
        interims = b"".join(b"HTTP/1.1 103 Early Hints\r\nLink: </%d>\r\n\r\n" % n for n in range(3))
        interims += b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        answer = await self.asked("/interims", lambda side: side.say(interims + LENGTH))
        seen = []
        while 100 <= answer.status < 200:
            seen.append((answer.status, answer.header("link")))
            answer = Answer(answer.body, True)
        self.assertEqual(seen, [(103, "</0>"), (103, "</1>"), (103, "</2>"), (102, None)])
        self.assertEqual(answer.body, BODY)

    async def raw(self, said):
        """An origin that calls ``said(side, None)`` for each connection and ``said(side, data)`` for what comes."""
        from twisted.internet.endpoints import TCP4ServerEndpoint
        from twisted.internet.protocol import Factory, Protocol

        class Side(Protocol):
            lost = False

            def connectionMade(self):
                said(self, None)

            def connectionLost(self, reason):
                self.lost = True

            def dataReceived(self, data):
                said(self, data)

            def say(self, data):
                self.transport.write(data)

        return await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Side))


def head(length):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length
