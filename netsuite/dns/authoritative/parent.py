"""What a zone's parent has of it: its DS records, asked of the parent's servers or of the site's resolver.

A new key may sign alone only once everyone can find it from above: the parent has its DS record (it reads the CDS and
CDNSKEY records that we publish), and what it had before has left all caches (RFC 7583 section 3.3.3).

Implements: RFC 7344 section 5 (the child's side); RFC 8078 section 3
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from netsuite.common.commons import Runtime
from netsuite.common.stream import ConnectFailed, StreamAdapter, StreamFactory, connect_stream
from netsuite.dns.authoritative.permission import Remote
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text
from netsuite.dns.wire.records import MalformedRecord, message
from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.interfaces import INameResolver, LookupFailed

__all__ = ["Delegation", "NoParent", "Parent", "ResolvedParent", "ServedParent", "Watch"]

_log = Logger()

_SILENCE: Final = 10.0
_EVERY: Final = 1800.0
_LONG: Final = 86400
"""Seconds for which DS records may be kept by others, where only a cache tells how long."""


class NoParent(Exception):
    """The parent's records cannot be had at the moment."""


class Delegation(NamedTuple):
    """The data of the DS records that a parent has, and for how many seconds others may keep them."""

    digests: frozenset[bytes]
    ttl: int


class Parent(Protocol):
    """Who knows what the parent has."""

    async def delegation(self, name: bytes) -> Delegation:
        """The DS records of a zone, none at all if the parent says so; raises NoParent."""


class ResolvedParent:
    """Asks the site's resolver; ``find`` finds it, None if there is none."""

    def __init__(self, find: Callable[[], INameResolver | None]) -> None:
        self._find = find

    async def delegation(self, name: bytes) -> Delegation:
        """The DS records in the resolver's cache or beyond."""
        resolver = self._find()
        if resolver is None:
            raise NoParent("this site has no resolver: add a [resolver], or name the parent's servers in parent")
        try:
            answer = await resolver.lookup(to_text(name), "DS")
        except LookupFailed as error:
            raise NoParent(str(error)) from None
        digests = set()
        for record in answer.records:
            if record.type == "DS":
                tag, algorithm, kind, *hexes = record.data.split()
                digests.add(
                    int(tag).to_bytes(2, "big") + bytes((int(algorithm), int(kind))) + bytes.fromhex("".join(hexes))
                )
        return Delegation(frozenset(digests), max([_LONG, *(record.ttl for record in answer.records)]))


class ServedParent:
    """Asks the parent's own servers, one after another, over TCP."""

    def __init__(self, runtime: Runtime, servers: Sequence[Remote]) -> None:
        self._runtime = runtime
        self._servers = servers

    async def delegation(self, name: bytes) -> Delegation:
        """The DS records that the first server that answers has."""
        said = []
        for server in self._servers:
            try:
                return _delegation(await self._ask(server, name), name)
            except (ConnectFailed, NoParent, MalformedRecord) as error:
                said.append(f"{server}: {error}")
        raise NoParent("; ".join(said))

    async def _ask(self, server: Remote, name: bytes) -> bytes:
        clock = self._runtime.clock
        answer: Deferred[bytes] = Deferred()

        def came(message: Message, body: Any, adapter: StreamAdapter) -> None:
            if not answer.called:
                answer.callback(message.data)

        def gone(adapter: StreamAdapter, reason: str) -> None:
            if not answer.called:
                answer.errback(NoParent(f"the connection ended: {reason}"))

        limits = DnsStreamLimits(idle=_SILENCE, message=_SILENCE)
        factory = StreamFactory(
            self._runtime,
            "dns parent",
            lambda _: DnsConnection(clock.seconds(), server=False, limits=limits),
            came,
            gone=gone,
        )
        adapter = await connect_stream(factory, server.host, server.port)
        ident = self._runtime.rng.getrandbits(16).to_bytes(2, "big")
        try:
            question = name + codes.DS.to_bytes(2, "big") + b"\0\1"
            adapter.send(Message(0, ident + b"\0\0\0\1\0\0\0\0\0\0" + question))
            data = await answer
        finally:
            adapter.close("done")
        if data[:2] != ident or data[12 : 12 + len(question)].lower() != question:
            raise NoParent("the answer is to another question")
        return data


def _delegation(data: bytes, name: bytes) -> Delegation:
    rcode = data[3] & 15
    if rcode or not data[2] & codes.AA >> 8:
        raise NoParent(f"it does not answer for the parent ({codes.RCODES.get(rcode, rcode)})")
    found = [record for record in message(data).answer if record.type == codes.DS and record.owner == name]
    return Delegation(frozenset(record.rdata for record in found), max([0, *(record.ttl for record in found)]))


class Watch:
    """Looks what the parent has, while a new key waits for it, and lets the key sign when it may.

    ``waiting`` gives the DS data of the key that waits and when everyone may know the key itself (Unix time), or None;
    ``finish`` lets it sign. ``trouble`` says why the parent could not be asked.
    """

    def __init__(
        self,
        clock: IReactorTime,
        name: bytes,
        parent: Parent,
        waiting: Callable[[], tuple[bytes, int] | None],
        finish: Callable[[], Awaitable[object]],
    ) -> None:
        self._clock = clock
        self._name = name
        self._parent = parent
        self._waiting = waiting
        self._finish = finish
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        # Which DS record is there, and since when we know.
        self._seen: tuple[bytes, float] | None = None
        self.trouble: str | None = None

    def start(self) -> None:
        """Look as soon as there is something to look for."""
        if self._looking is None:
            self.stop()
            looking = Deferred.fromCoroutine(self._look()).addErrback(self._failed)
            self._looking = None if looking.called else looking

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _failed(self, failure: Any) -> None:
        self._looking = None
        if failure.check(CancelledError) is None:
            _log.failure("zone {zone}: a fault of ours", failure, zone=to_text(self._name))
            self._again(_EVERY)

    def _again(self, wait: float) -> None:
        self._timer = self._clock.callLater(max(wait, 1.0), self.start)

    async def _look(self) -> None:
        wait = await self._wait()
        self._looking = None
        if wait is not None:
            self._again(wait)

    async def _wait(self) -> float | None:
        """What to do now; seconds until the next time, None when there is nothing to wait for."""
        waiting = self._waiting()
        if waiting is None:
            self._seen = self.trouble = None
            return None
        wanted, known = waiting
        now = self._clock.seconds()
        if now < known:
            return known - now
        try:
            found = await self._parent.delegation(self._name)
        except NoParent as error:
            self.trouble = f"zone {to_text(self._name)}: a new key waits, and its parent cannot be asked: {error}"
            return _EVERY
        self.trouble = None
        if wanted not in found.digests:
            self._seen = None
            return _EVERY
        now = self._clock.seconds()
        if self._seen is None or self._seen[0] != wanted:
            self._seen = wanted, now
            _log.info("zone {zone}: the parent has the new key's DS record", zone=to_text(self._name))
        left = self._seen[1] + found.ttl - now
        if left > 0:
            return min(left, _EVERY)
        await self._finish()
        _log.info("zone {zone}: the new key signs", zone=to_text(self._name))
        return None
