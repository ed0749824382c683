"""The table of caching conversations, played through the real proxy on real sockets, on a clock that stands still.

What a client can see decides how an answer came about: Cache-Status, and whether the origin was asked. Once each
request has a connection of its own, and once all of a conversation share one and hits are asked for twice, so that the
hot path answers what it can.
"""

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
from netsuite.sansio.dates import format_date
from netsuite.sansio.structured import parse_list
from netsuite.testing.commons import make_commons
from tests.integration.http.scripted import Answer, Origin, connect, sleep
from tests.vectors.caching_cases import cases, dated, judge

_TOGETHER = 8
_PATIENCE = 10.0
"""Seconds for one answer; what comes later is looked at as far as it came."""


class StandingClock:
    """Tells the time that it is set to; timers are the reactor's."""

    def __init__(self, reactor):
        self.now = float(int(reactor.seconds()))
        self.callLater = reactor.callLater
        self.getDelayedCalls = reactor.getDelayedCalls

    def seconds(self):
        return self.now


class Seen:
    """What a client got, and what the origin was asked meanwhile."""

    def __init__(self, data, requests):
        self.interim = []
        while data.startswith(b"HTTP/1.1 1"):
            head, _, data = data.partition(b"\r\n\r\n")
            self.interim.append(head.decode("latin-1").split("\r\n")[1:])
        answer = Answer(data, True)
        self.status, self.header, self.body = answer.status, answer.header, answer.body
        self.asked = bool(requests)
        self.upstream = None
        if requests:
            fields = [line.partition(": ") for line in requests[0].split("\r\n")[1:]]
            self.upstream = {name.lower(): value for name, _, value in fields}
        self.how = self._how()

    def _how(self):
        told = self.header("cache-status")
        if told is None:
            return str(self.status)
        mine = parse_list(told.encode())[-1].parameters
        if "hit" in mine:
            return "stale" if mine["ttl"] <= 0 else "hit"
        if mine.get("fwd-status") == 304 and "ttl" in mine:
            return "validated"
        return "stale" if mine.get("detail") == "stale-if-error" else "fetched"


class Conversations(TestCase):
    timeout = 120

    def setUp(self):
        return Deferred.fromCoroutine(self.start())

    async def start(self):
        from twisted.internet import reactor

        self.reactor = reactor
        self.from_hot_path = 0
        self.folder = tempfile.TemporaryDirectory()
        self.resolver = SystemResolver(reactor)
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(self.resolver.stop)

    async def play(self, case, kept):
        """One case on a proxy of its own: so none sees another's time, or what it stored."""
        world = World(self.reactor, Path(self.folder.name), self.resolver, kept)
        await world.start()
        try:
            for number, step in enumerate(case[2], 1):
                again = 2 if kept and step[:2] == ("ask", "hit") else 1
                for seen in [await world.step(step) for _ in range(again)]:
                    if seen is None:
                        continue
                    if step[1] == "hit" and seen.how == "stale":
                        seen.how = "hit"  # within the request's max-stale: the table calls that a hit
                    judge(number, step, seen, world.date)
        finally:
            self.from_hot_path += world.proxy.server.shortcuts.hot.hits
            await world.stop()

    async def test_a_connection_for_each_request(self):
        await self.play_all(False)

    async def test_one_connection(self):
        await self.play_all(True)
        self.assertGreater(self.from_hot_path, 200)

    async def play_all(self, kept):
        wrong = []

        async def some(mine):
            for case in mine:
                try:
                    await self.play(case, kept)
                except AssertionError as problem:
                    wrong.append(f"{case[0]}: {case[1]}: {problem}")

        # a TRACE never comes so far: the server refuses it; parts are played on sockets by test_partial
        every = [case for case in cases() if case[0] != "partial" and all(map(_comes_through, case[2]))]
        await gatherResults([Deferred.fromCoroutine(some(every[at::_TOGETHER])) for at in range(_TOGETHER)])
        self.assertEqual(wrong, [])


def _comes_through(step):
    return step[0] != "ask" or step[3] != "TRACE"


class World:
    """A proxy and its origin."""

    def __init__(self, reactor, folder, resolver, kept):
        self.kept = kept
        self.client = None
        self.reactor = reactor
        self.clock = StandingClock(reactor)
        self.commons = make_commons(folder, reactor, clock=self.clock)
        self.commons.offers.provide(INameResolver, resolver, "system")
        self.next = None
        self.delay = 0.0

    def date(self, offset=0):
        return format_date(self.clock.now + offset).decode()

    async def start(self):
        self.origin = await Origin(self.reactor, self.answer).start()
        self.proxy = build(ProxySettings(listen=["127.0.0.1:0"], origin=self.origin.url), self.commons)
        self.proxy.join(self.commons.offers)
        self.proxy.open()
        self.proxy.startService()
        self.port = self.proxy.addresses()[0].port

    async def stop(self):
        if self.client is not None:
            self.client.transport.abortConnection()
        await self.proxy.drain(self.clock.now)
        await (self.proxy.stopService() or sleep(self.reactor, 0))
        await self.origin.stop()
        while self.proxy.server.factory.adapters or self.proxy.server.client.open:
            await sleep(self.reactor, 0.001)

    def answer(self, side, head, body):
        self.clock.now += self.delay
        if self.next is None:
            side.transport.abortConnection()
            return
        status, fields, content, interim = self.next
        lines = [f"HTTP/1.1 {status} OK", *(f"{name}: {dated(value, self.date)}" for name, value in fields)]
        names = {name.lower() for name, _ in fields}
        bodiless = head.startswith("HEAD ") or status in (204, 304)
        if not bodiless and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(content)}")
        for number, name, value in interim:
            side.say(f"HTTP/1.1 {number} Wait\r\n{name}: {value}\r\n\r\n".encode("latin-1"))
        side.say("\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if bodiless else content))

    async def step(self, step):
        kind = step[0]
        if kind == "origin":
            self.next = step[1:]
        elif kind == "down":
            self.next = None
        elif kind == "wait":
            self.clock.now += step[1]
        elif kind == "delay":
            self.delay = step[1]
        else:
            return await self.ask(step)
        return None

    async def ask(self, step):
        _, _, fields, method, path, _ = step
        before = len(self.origin.seen)
        client = self.client
        if client is None or client.closed:
            client = await connect(self.reactor, self.port)
            self.client = client if self.kept else None
        client.data = b""
        lines = [f"{method} {path} HTTP/1.1", "Host: origin.test", *([] if self.kept else ["Connection: close"])]
        lines += [f"{name}: {dated(value, self.date)}" for name, value in fields]
        if method in ("POST", "PUT"):
            lines.append("Content-Length: 0")
        client.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        done = client.until(lambda c: c.closed or (self.kept and _whole(c.data, method)))
        done.addTimeout(_PATIENCE, self.reactor, onTimeoutCancel=lambda *_: client.transport.abortConnection())
        await done
        return Seen(client.data, [head for head, _ in self.origin.seen[before:]])


def _whole(data, method):
    """Whether a final response is there with all of its body."""
    while data.startswith(b"HTTP/1.1 1"):
        data = data.partition(b"\r\n\r\n")[2]
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if method == "HEAD" or head[9:12] in (b"204", b"304"):
        return True
    return body.endswith(b"0\r\n\r\n") if length is None else len(body) >= int(length[1])
