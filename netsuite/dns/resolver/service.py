"""The caching name server as a service of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from netsuite.common.access import is_internal, is_loopback
from netsuite.common.commons import Commons
from netsuite.common.listen import DatagramListener, StreamListener, stream_listener
from netsuite.common.service import NetsuiteService
from netsuite.common.stream import StreamFactory
from netsuite.dns.doh import DnsOverHttps
from netsuite.dns.resolver import hints
from netsuite.dns.resolver.cache import Cache, Delegation, Lifetimes
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.iterator import Budget, Surroundings
from netsuite.dns.resolver.local import LocalNames
from netsuite.dns.resolver.lookup import NameLookup
from netsuite.dns.resolver.recursion import Recursion
from netsuite.dns.resolver.server import ResolverServer, ServerLimits
from netsuite.dns.resolver.settings import ResolverSettings, server_address
from netsuite.dns.resolver.streams import StreamQueries
from netsuite.dns.resolver.upstream import Upstream, UpstreamLimits
from netsuite.dns.wire.codes import RCODES
from netsuite.dns.wire.name import ROOT, from_text
from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.interfaces import Address, IDnsAnswers, IHttpServer, INameResolver, IOffers
from netsuite.sansio.connection import Channel

if TYPE_CHECKING:
    from netsuite.common.quicport import MachineOf, QuicListener

__all__ = ["ResolverService", "build"]

_DRAIN_LOOK = 0.05


class ResolverService(NetsuiteService):
    """Answers on UDP and TCP, and for the suite's own servers through INameResolver and IDnsAnswers."""

    def __init__(self, settings: ResolverSettings, commons: Commons) -> None:
        super().__init__("resolver", commons)
        self._settings = settings
        clock = commons.clock
        pinned = _pinned(settings)
        self._hints = dict(hints.BUILT_IN)
        self.cache = Cache(
            settings.cache_bytes, Lifetimes(settings.max_ttl, settings.max_negative_ttl, settings.failure_ttl)
        )
        self.infrastructure = Infrastructure()
        around = Surroundings(
            self.cache,
            self.infrastructure,
            self._hints,
            commons.rng,
            pinned,
            port=settings.upstream_port,
            minimise=settings.minimise,
            ipv6=settings.ipv6,
            permits=_permits(settings, commons),
            budget=Budget(queries=settings.queries),
        )
        streams = StreamQueries(commons)
        limits = UpstreamLimits(settings.sockets, payload=settings.payload, randomise_case=settings.randomise_case)
        self.upstream = Upstream(commons, self.infrastructure, streams.ask, limits)
        self.recursion = Recursion(clock, around, self.upstream, settings.clients)
        local = LocalNames(pinned)
        self.server = ResolverServer(
            clock,
            self.recursion,
            local,
            commons.access.rule(settings.allow),
            ServerLimits(settings.payload, settings.clients, settings.per_client),
        )
        self.lookup = NameLookup(clock, self.recursion, local)
        self._factory = StreamFactory(
            commons,
            "resolver",
            self._connection,
            self._answer_stream,
            concurrency=commons.access.concurrency(settings.connections, settings.connections_per_address),
        )
        self._stream_limits = DnsStreamLimits(idle=settings.idle)
        self._listeners: list[tuple[StreamListener | QuicListener, DatagramListener | None]] = []
        for text in settings.listen:
            stream = stream_listener(
                text, self._factory, commons, "resolver.listen", alpn=("dot",), quic=self._over_quic
            )
            datagram = None
            if not stream.secure and stream.spec.form in ("address", "inherited"):
                # the memo asks nobody's leave, so it stands only where all who can come may ask
                open_to_all = is_loopback(stream.host) and self.server.memo_for_loopback
                memo = self.server.memo if open_to_all else None
                answer = self.server.answer_datagram
                datagram = DatagramListener(text, answer, commons, "resolver.listen", memo=memo)
            self._listeners.append((stream, datagram))
        self._measure()

    def register(self, offers: IOffers) -> None:
        """Names for the suite's servers, answers in wire format for DNS over HTTPS."""
        offers.provide(INameResolver, self.lookup, "resolver")
        offers.provide(IDnsAnswers, self.server, "resolver")

    def join(self, offers: IOffers) -> None:
        """Answer DNS over HTTPS where the suite has an HTTP server."""
        http = offers.find(IHttpServer)
        if http is not None and self._settings.doh:
            http.mount(self._settings.doh, DnsOverHttps(self.server))

    def check(self) -> None:
        """Read the root hints."""
        self._read_hints()

    def open(self) -> None:
        """Bind and listen; a port 0 is chosen by TCP and then taken for UDP too."""
        for stream, datagram in self._listeners:
            stream.open()
            if datagram is not None:
                datagram.follow(stream)
                datagram.open()

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for stream, datagram in self._listeners:
            stream.accept()
            if datagram is not None:
                datagram.accept()

    def stopService(self) -> Deferred[None] | None:
        """Give up what still waits."""
        super().stopService()
        self.upstream.close()
        self.server.stop()
        return Deferred.fromCoroutine(self._close())

    def addresses(self) -> Sequence[Address]:
        """Every socket, with a question to try."""
        found = []
        for stream, datagram in self._listeners:
            ask = f"dig @{stream.host} -p {stream.port}"
            if datagram is not None:
                found.append(Address("udp", datagram.host, datagram.port, f"{ask} example.test"))
            if stream.spec.quic:
                found.append(Address("quic", stream.host, stream.port, f"k{ask} +quic ."))
                continue
            found.append(Address("tcp", stream.host, stream.port, f"{ask} +{'tls' if stream.secure else 'tcp'} ."))
        return found

    def figures(self) -> Sequence[tuple[str, float]]:
        """What a person looks at first."""
        server = self.server
        return (
            ("questions", server.queries + sum(server.memo.tally)),
            ("from the cache", server.hits + sum(server.memo.tally)),
            ("asked upstream", self.upstream.asked),
            ("waiting", server.waiting),
            ("names held", len(self.cache)),
        )

    async def _reload(self) -> Sequence[str]:
        if self._settings.root_hints is None:
            return ()
        self._read_hints()
        return (f"root hints read from {self._settings.root_hints}",)

    def reload(self) -> Awaitable[Sequence[str]]:
        """Read the root hints again; they serve the next priming."""
        return self._reload()

    def drain(self, deadline: float) -> Awaitable[None]:
        """Hear no more questions; answer those that wait."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        clock = self.commons.clock
        for stream, datagram in self._listeners:
            await stream.close()
            if datagram is not None and datagram.datagrams is not None:
                datagram.datagrams.pause()
        while self.server.waiting and clock.seconds() < deadline:
            pause: Deferred[None] = Deferred()
            clock.callLater(_DRAIN_LOOK, pause.callback, None)
            await pause
        await self._factory.drain(deadline)
        await self._close()

    async def _close(self) -> None:
        listeners, self._listeners = self._listeners, []
        for stream, datagram in listeners:
            await stream.close()
            if datagram is not None:
                await datagram.close()

    def _read_hints(self) -> None:
        path = self._settings.root_hints
        if path is not None:
            found = hints.read(path)
            self._hints.clear()
            self._hints.update(found)

    def _connection(self, channel: Channel) -> DnsConnection:
        return DnsConnection(self.commons.clock.seconds(), server=True, limits=self._stream_limits)

    def _over_quic(self) -> tuple[str, MachineOf]:
        from netsuite.dns.doq import ALPN, DoqConnection

        return ALPN, lambda quic: DoqConnection(quic, self.commons.clock.seconds, self._stream_limits)

    def _answer_stream(self, message: Message, body: Any, adapter: Any) -> Any:
        answer = self.server.answer(message.data, adapter.channel.peer, True)
        if isinstance(answer, bytes):
            return Message(message.stream, answer)
        return None if answer is None else _later(message.stream, answer)

    def _measure(self) -> None:
        add = self.commons.metrics.add
        server, upstream, cache = self.server, self.upstream, self.cache

        def answered() -> dict[tuple[str, ...], float]:
            tally = {rcode: count for rcode, count in enumerate(server.memo.tally) if count}
            for rcode, count in server.answered.items():
                tally[rcode] = tally.get(rcode, 0) + count
            return {(RCODES.get(rcode, str(rcode)),): count for rcode, count in tally.items()}

        add("netsuite_resolver_answers", "Answers to clients.", "counter", answered, labels=("rcode",))
        add(
            "netsuite_resolver_cache_hits",
            "Answers that needed no question to a name server.",
            "counter",
            lambda: server.hits + sum(server.memo.tally),
        )
        add(
            "netsuite_resolver_dropped",
            "Queries left without an answer: no queries at all, too many, or too late.",
            "counter",
            lambda: server.dropped,
        )
        add("netsuite_resolver_waiting", "Clients' questions under way.", "gauge", lambda: server.waiting)
        add("netsuite_resolver_cache_bytes", "Memory of what has been learnt.", "gauge", lambda: cache.held)
        add(
            "netsuite_resolver_cache_evictions",
            "Entries forgotten for want of room.",
            "counter",
            lambda: cache.evictions,
        )
        add(
            "netsuite_resolver_upstream",
            "Questions to name servers and what came of them.",
            "counter",
            lambda: {
                ("asked",): upstream.asked,
                ("answered",): upstream.replies,
                ("timeout",): upstream.timeouts,
                ("near_miss",): upstream.near_misses,
                ("over_tcp",): upstream.over_tcp,
                ("shared",): upstream.shared,
            },
            labels=("what",),
        )


async def _later(stream: int, answer: Awaitable[bytes | None]) -> Message | None:
    data = await answer
    return None if data is None else Message(stream, data)


def _pinned(settings: ResolverSettings) -> dict[bytes, Delegation]:
    """The delegations that the operator names: stubs, and the root where everything is forwarded."""
    pinned = {}
    for zone, servers in settings.stubs.items():
        name = from_text(zone).lower()
        pinned[name] = Delegation(name, fixed=[server_address(text, settings.upstream_port) for text in servers])
    if settings.forward:
        fixed = [server_address(text) for text in settings.forward]
        pinned[ROOT] = Delegation(ROOT, fixed=fixed, recursive=True)
    return pinned


def _permits(settings: ResolverSettings, commons: Commons) -> Callable[[str], bool]:
    """Whom delegations may lead to: not into the operator's own network, once strangers can make us ask.

    Who brings his own root hints has an Internet of his own, where no address is private.
    """
    if settings.root_hints is not None or not commons.access.guards_private(settings.listen):
        return lambda host: True
    return lambda host: not is_internal(host)


def build(settings: ResolverSettings, commons: Commons) -> ResolverService:
    """The ``[resolver]`` table's service."""
    return ResolverService(settings, commons)
