"""The caching proxy as a service of the suite."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from netsuite.common.commons import Commons
from netsuite.common.listen import StreamListener, stream_listener
from netsuite.common.service import NetsuiteService
from netsuite.http.client import HttpClient
from netsuite.http.disk.cabinet import Cabinet
from netsuite.http.proxy.control import CacheControls
from netsuite.http.proxy.purgedoor import PurgeDoor, read_token
from netsuite.http.proxy.server import ProxyServer
from netsuite.http.proxy.settings import ProxySettings
from netsuite.http.upstream.checks import Checks
from netsuite.http.versions import kind
from netsuite.interfaces import Address, Health, IControlled, INameResolver, IOffers, IPrefetcher, LookupFailed

if TYPE_CHECKING:
    from netsuite.common.quicport import QuicListener

__all__ = ["ProxyService", "build"]


class ProxyService(NetsuiteService):
    """A proxy on its ports; asks the site's resolver for addresses."""

    def __init__(self, settings: ProxySettings, commons: Commons) -> None:
        super().__init__("proxy", commons)
        self.settings = settings
        self._resolver: INameResolver | None = None
        on_network = commons.access.guards_private(settings.listen)
        guarded = on_network if settings.internal_targets is None else not settings.internal_targets
        self.disk = (
            Cabinet(commons, settings.disk, settings.disk_bytes, settings.disk_object_limit)
            if settings.disk_bytes
            else None
        )
        self.server = ProxyServer(
            settings,
            commons,
            self._addresses,
            pseudonym=_pseudonym(settings, commons),
            guarded=guarded,
            on_network=on_network,
            rule=commons.access.rule(settings.allow),
            concurrency=commons.access.concurrency(settings.connections, settings.connections_per_address),
            disk=self.disk,
        )
        self._listeners = [
            stream_listener(text, self.server.factory, commons, "proxy.listen", quic=self.server.over_quic)
            for text in settings.listen
        ]
        checking = HttpClient(commons, self._addresses, tls=self._client_tls)
        self._checks = Checks(checking, commons.clock, commons.rng, self.server.upstreams.named)
        self._measure()

    def join(self, offers: IOffers) -> None:
        """Take the resolver of the site."""
        self._resolver = offers.find(INameResolver)

    def register(self, offers: IOffers) -> None:
        """Let the ``netsuite`` command ask, and applications have things fetched."""
        offers.provide(IControlled, CacheControls(self.server), "cache")
        offers.provide(IPrefetcher, self.server.prefetch, "proxy")

    def open(self) -> None:
        """Find what is on disk; bind and listen on all addresses."""
        settings, commons = self.settings, self.commons
        if self.server.gate is not None:
            self.server.gate.open()
        if settings.purge_allow:
            token = read_token(commons.data, settings.purge_token, b"%064x" % commons.rng.getrandbits(256))
            self.server.purge_door = PurgeDoor(self.server.purging, commons.access.rule(settings.purge_allow), token)
        if self.disk is not None:
            self.disk.open()
        for listener in self._listeners:
            listener.open()

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for listener in self._listeners:
            listener.accept()
        self._checks.start()

    def stopService(self) -> Deferred[None] | None:
        """Close what is open to origins, and the disk."""
        super().stopService()
        self._checks.stop()
        self.server.close()
        return Deferred.fromCoroutine(self.disk.close()) if self.disk is not None else None

    def addresses(self) -> Sequence[Address]:
        """Where it listens, each with a line to try."""
        return [
            Address(kind(listener), listener.host, listener.port, self._hint(listener)) for listener in self._listeners
        ]

    def health(self) -> Health:
        """Well while it runs and can find its origins."""
        if not self.running:
            return Health(False, "not running")
        if self._resolver is None:
            return Health(False, "there is no resolver")
        problem = self.disk.problem if self.disk is not None else ""
        return Health(True, f"the cache is in memory only, for its disk fails: {problem}" if problem else "")

    def figures(self) -> Sequence[tuple[str, float]]:
        """What was asked, and how much of it the store answered."""
        server = self.server
        hits = server.answering.hits + server.shortcuts.hits
        asked = server.requests + server.shortcuts.hits
        return (
            ("requests", asked),
            ("hits", hits),
            ("hit ratio in per cent", round(100 * hits / asked, 1) if asked else 0),
            ("stale answers", server.answering.stale_hits),
            ("collapsed", server.answering.collapsed),
            ("failed fetches", server.answering.troubles),
            ("stored responses", len(server.cache.store)),
            ("stored bytes", server.cache.store.size),
            ("connections", len(server.factory.adapters)),
            *server.upstreams.figures(),
            *(server.shadow.figures() if server.shadow is not None else ()),
            *(self.disk.figures() if self.disk is not None else ()),
        )

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more; requests in flight are answered and their connections closed."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        for listener in self._listeners:
            await listener.close()
        await self.server.factory.drain(deadline)

    def _client_tls(self) -> ssl.SSLContext:
        return self.commons.certificates.client_context(self.settings.verify)

    async def _addresses(self, host: str) -> list[str]:
        if self._resolver is None:
            raise LookupFailed(f"{host}: there is no resolver")
        return await self._resolver.addresses(host)

    def _hint(self, listener: StreamListener | QuicListener) -> str:
        if listener.spec.quic:
            return ""
        host = f"[{listener.host}]" if ":" in listener.host else listener.host
        url = f"{'https' if listener.secure else 'http'}://{host}:{listener.port}"
        return f"curl -i {url}/" if self.settings.reverse else f"curl -i -x {url} http://127.0.0.1:10080/"

    def _measure(self) -> None:
        server, add = self.server, self.commons.metrics.add
        server.upstreams.measure(self.commons.metrics)
        add(
            "netsuite_proxy_requests",
            "Requests, by what became of them.",
            "counter",
            lambda: {
                ("hit",): server.answering.hits + server.shortcuts.hits,
                ("stale",): server.answering.stale_hits,
                ("miss",): server.answering.misses,
                ("validated",): server.answering.validations,
                ("passed",): server.answering.passes,
                ("collapsed",): server.answering.collapsed,
                ("refused",): server.refusals,
                ("failed",): server.answering.troubles,
                ("tunnel",): server.tunnels.opened,
            },
            labels=("outcome",),
        )
        store = server.cache.store
        add("netsuite_proxy_purges", "Purges, of targets, prefixes and tags.", "counter", lambda: store.purges)
        arena = server.keeper.arena
        add(
            "netsuite_proxy_arena_bytes",
            "Memory that stored bodies of 64 KiB and more take, with the gaps between them.",
            "gauge",
            lambda: arena.taken if arena is not None else 0,
        )
        prefetch = server.prefetch
        add("netsuite_proxy_prefetches", "Fetches that no client asked for.", "counter", lambda: prefetch.fetched)
        add(
            "netsuite_proxy_uncacheable_bytes",
            "Memory for targets whose answers are not for sharing.",
            "gauge",
            lambda: server.fetches.uncacheable.size,
        )
        shadow = server.shadow
        if shadow is not None:
            add(
                "netsuite_proxy_shadow_requests",
                "Requests for sampled targets, and how many of them each policy and part of the budget would answer.",
                "counter",
                shadow.requests_by_policy,
                labels=("policy", "budget", "outcome"),
            )
            add(
                "netsuite_proxy_shadow_bytes",
                "Bytes of sampled responses, and how many of them each policy and part of the budget would answer.",
                "counter",
                shadow.bytes_by_policy,
                labels=("policy", "budget", "outcome"),
            )
        add("netsuite_proxy_stored", "Stored responses.", "gauge", lambda: len(store))
        add("netsuite_proxy_stored_bytes", "Bytes of stored responses.", "gauge", lambda: store.size)
        add("netsuite_proxy_evictions", "Responses forgotten for want of room.", "counter", lambda: store.evictions)
        add("netsuite_proxy_slices", "Parts that are on their way.", "gauge", lambda: len(server.fetches.slices))
        if self.disk is not None:
            self.disk.measure(self.commons.metrics)
        factory = server.factory
        add("netsuite_proxy_connections", "Open connections of clients.", "gauge", lambda: len(factory.adapters))
        add(
            "netsuite_proxy_bytes",
            "Bytes to and from clients.",
            "counter",
            lambda: {("in",): factory.bytes_in, ("out",): factory.bytes_out},
            labels=("direction",),
        )
        tunnels, gate = server.tunnels, server.gate
        add(
            "netsuite_proxy_tunnel_bytes",
            "Bytes that clients sent through tunnels.",
            "counter",
            lambda: tunnels.bytes_up,
        )
        if gate is not None:
            add(
                "netsuite_proxy_gate",
                "Requests that the gate did not let pass.",
                "counter",
                lambda: {("asked to log in",): gate.challenges, ("refused",): gate.refusals},
                labels=("what",),
            )
        client = server.client
        add(
            "netsuite_proxy_fetches",
            "Requests to origins, and what it took.",
            "counter",
            lambda: {
                ("sent",): client.requests,
                ("connection reused",): client.reuses,
                ("retried",): client.retries,
                ("failed",): client.failures,
            },
            labels=("what",),
        )


def _pseudonym(settings: ProxySettings, commons: Commons) -> bytes:
    """A name that is the same in all workers and after a restart, and no other proxy's."""
    if settings.name:
        return settings.name.encode()
    what = "\n".join([str(commons.data.path.absolute()), *settings.listen])
    return b"netsuite-" + hashlib.sha256(what.encode()).hexdigest()[:8].encode()


def build(settings: ProxySettings, commons: Commons) -> ProxyService:
    """The ``[proxy]`` table's service."""
    return ProxyService(settings, commons)
