"""The caching proxy at work: its parts put together, and the way of a request to its answer.

What came before in the same bytes is answered by :mod:`~netsuite.http.proxy.shortcuts`. All else passes the gate, is
looked at, and becomes a tunnel, or is answered from what is stored and fetched by
:mod:`~netsuite.http.proxy.answering`.

Implements: RFC 9110 section 7.6
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from types import CoroutineType
from typing import Any, Final

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.http.accesslog import LOGGED, combined
from netsuite.http.cache.cache import Cache
from netsuite.http.cache.explain import explain
from netsuite.http.cache.shadow import POLICIES, Shadows
from netsuite.http.cache.store import Key, Store
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.disk.cabinet import Cabinet
from netsuite.http.proxy.answering import Answering
from netsuite.http.proxy.bodies import Keeper
from netsuite.http.proxy.fetching import Fetches, Resolve
from netsuite.http.proxy.gate import Gate, TurnedAway
from netsuite.http.proxy.hops import loops
from netsuite.http.proxy.passage import TRACING, asks_for_part
from netsuite.http.proxy.prefetch import Prefetch
from netsuite.http.proxy.purgedoor import PurgeDoor
from netsuite.http.proxy.purging import Purging
from netsuite.http.proxy.replies import Replies
from netsuite.http.proxy.settings import ProxySettings, targets_of
from netsuite.http.proxy.shortcuts import Shortcuts
from netsuite.http.proxy.targets import Refused, ReverseTargets, Target, forward_target
from netsuite.http.proxy.troubles import proxy_status, trouble
from netsuite.http.proxy.tunnels import UPGRADES, Spliced, Tunnels
from netsuite.http.proxy.upstreams import Upstreams
from netsuite.http.versions import Versions
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.messages import Request, Response
from netsuite.sansio.dates import format_date

__all__ = ["ProxyServer"]

_ALLOW: Final = (b"allow", b"GET, HEAD, POST, PUT, DELETE, OPTIONS")


class ProxyServer:
    """A forward proxy, or with servers of its own behind it a reverse one; ``resolve`` finds addresses of hosts.

    ``pseudonym`` is its name in Via: another proxy must not have the same. ``guarded`` refuses internal
    targets; ``on_network`` says that others than this machine may reach it. ``disk`` is what lies below memory, if any.
    """

    def __init__(
        self,
        settings: ProxySettings,
        commons: Commons,
        resolve: Resolve,
        *,
        pseudonym: bytes,
        guarded: bool,
        on_network: bool,
        rule: Rule | None = None,
        concurrency: ConcurrencyLimit | None = None,
        disk: Cabinet | None = None,
    ) -> None:
        self.clock = commons.clock
        self.sharing = commons.sharing
        self._seconds = commons.clock.seconds
        self._pseudonym = pseudonym
        self.upstreams = Upstreams(settings)
        self._reverse = ReverseTargets(self.upstreams.routes) if settings.reverse else None
        self.cache = Cache(Store(settings.cache_bytes, settings.object_limit, POLICIES[settings.policy]))
        store = self.cache.store
        self.keeper = Keeper(settings.cache_bytes)
        if disk is not None:
            store.lower = disk.tier
            disk.tier.keep_in_memory = self.keeper.keep
            disk.tier.targets = targets_of(settings)
        self.fetches = Fetches(
            settings,
            commons,
            self.cache,
            resolve,
            pseudonym=pseudonym,
            guarded=guarded,
            broke=self._broke,
            spool=disk.spool if disk is not None else None,
            keep=self.keeper.keep,
        )
        self.client = self.fetches.client
        self.gate = Gate.of(settings, commons, self.fetches.addresses)
        ports = settings.connect_ports
        self.tunnels = Tunnels(
            self.fetches,
            commons.rng,
            lambda port: port in ports if ports is not None else port == 443 or not on_network,
            pseudonym=pseudonym,
            reverse=self._reverse is not None,
        )
        self.prefetch = Prefetch(self, settings.prefetch)
        self.fetches.on_shared = self.prefetch.seen
        self.purge_door: PurgeDoor | None = None
        record = commons.journal.kind("proxy", LOGGED, combined)
        self._replies = Replies(record, self._seconds, self._broke)
        self.shortcuts = Shortcuts(
            store,
            # a forward proxy's clients name another origin in each target, which is a matter for the rules of access
            disk.tier if disk is not None and self._reverse is not None else None,
            self._seconds,
            record,
            settings.cache_bytes,
            learns=self.gate is None or self.gate.by_message_alone,
        )
        self.purging = Purging(self.cache, commons.clock, commons.sharing, self.shortcuts.hot.forget)
        sample = settings.shadow_sample
        self.shadow = Shadows(settings.cache_bytes, sample, self.shortcuts.uses.settle) if sample else None
        store.on_use = self.shadow.used if self.shadow is not None else None
        self.answering = Answering(
            settings,
            self.fetches,
            self._replies,
            self.shortcuts,
            self._seconds,
            commons.rng,
            # where a reverse proxy fetches from is nobody's business on the network; a forward proxy's client said it
            reticent=self._reverse is not None and on_network,
            broke=self._broke,
        )
        limits = Http1Limits(idle_time=settings.idle_time, tunnel_time=settings.tunnel_time)
        versions = Versions(self._seconds, limits, self.shortcuts.hot, UPGRADES, extended=UPGRADES)
        self.over_quic = versions.over_quic
        self.factory = StreamFactory(
            commons,
            "proxy",
            versions.http1,
            self._answer,
            shortcut=self.shortcuts.answer,
            rule=rule,
            concurrency=concurrency,
            alpn=versions.alpn,
        )
        self.requests = 0

    def explained(self, request: Request) -> dict[str, Any] | Refused:
        """What would be done with a request, and why; nothing is done (see :mod:`netsuite.http.cache.explain`)."""
        target = self.target(request)
        if isinstance(target, Refused):
            return target
        asked, now = Asked(request.method, request.headers), self._seconds()
        decision = self.answering.decide(request, target, asked, now)
        explanation = explain(self.cache, target.key, asked, now, decision)
        explanation["origin"] = target.next_hop
        explanation["upstream"] = self.fetches.upstream_lines(request, target, decision)
        explanation["uncacheable"] = self.fetches.uncacheable.knows(target.key, now)
        explanation["under_way"] = self.fetches.under_way(target.key, part=asks_for_part(asked, decision)) is not None
        return explanation

    def close(self) -> None:
        """Close what is open to origins, and begin nothing more."""
        self.prefetch.close()
        self.purging.close()
        self.client.close()
        self.fetches.peers.close()

    def target(self, request: Request) -> Target | Refused:
        """Where a request leads."""
        return forward_target(request) if self._reverse is None else self._reverse(request)

    def _broke(self, problem: BaseException) -> None:
        self.factory.broke(problem)

    # -- the way of a request

    def _answer(self, request: Request, body: Body, adapter: StreamAdapter) -> Any:
        self.requests += 1
        if request.has_body:
            body.lasting = request.method == b"CONNECT" or request.upgrade is not None
        if self.gate is None:
            return self._admitted(request, body, adapter)
        return self._through_gate(self.gate, request, body, adapter)

    async def _through_gate(self, gate: Gate, request: Request, body: Body, adapter: StreamAdapter) -> Response:
        """The answer to a request that is judged first."""
        found = await gate.admit(request, adapter.channel)
        if isinstance(found, TurnedAway):
            return self._replies.refusal(
                request, adapter, found.status, found.detail, "http_request_denied", found.headers
            )
        try:
            answer = self._admitted(request, found.paced(body), adapter, found.addresses)
            response: Response = await answer if type(answer) is CoroutineType else answer
        except BaseException:
            found.leave()
            raise
        return found.until_left(response)

    def _admitted(self, request: Request, body: Body, adapter: StreamAdapter, addresses: tuple[str, ...] = ()) -> Any:
        """The answer to a request that may pass; ``addresses``, if any, are those that its host was judged by."""
        if request.method == b"CONNECT":
            return self._spliced(self.tunnels.connected(request, body, addresses), request, adapter)
        target = self.target(request)
        if isinstance(target, Refused):
            return self._replies.refusal(request, adapter, target.status, target.detail)
        if request.method == b"PURGE" and self.purge_door is not None:
            return self._purged(request, adapter, self.purge_door, target.key)
        if addresses:
            target = target._replace(origin=target.origin._replace(addresses=addresses))
        if loops(request.headers, self._pseudonym):
            return self._replies.refusal(
                request, adapter, 508, "This request has passed here before.", "proxy_loop_detected"
            )
        if request.method in TRACING and request.header(b"max-forwards") == b"0":
            if request.method == b"TRACE":
                return self._replies.refusal(request, adapter, 405, "This proxy does not show what was sent to it.")
            return self._replies.finished(request, adapter, 200, [_ALLOW], b"")
        if request.upgrade is not None:
            return self._spliced(self.tunnels.switched(request, body, target, adapter), request, adapter)
        asked = Asked(request.method, [field for field in request.headers if field[0] != b"proxy-authorization"])
        waiting = self.cache.store.prepare(target.key)
        if waiting is not None:
            return self._prepared(waiting, request, body, adapter, target, asked)
        return self.answering.answer(request, body, adapter, target, asked)

    async def _prepared(
        self,
        waiting: Awaitable[object],
        request: Request,
        body: Body,
        adapter: StreamAdapter,
        target: Target,
        asked: Asked,
    ) -> Response:
        """The same, once what lies on disk has been read."""
        await waiting
        answer = self.answering.answer(request, body, adapter, target, asked)
        return answer if isinstance(answer, Response) else await answer

    async def _purged(self, request: Request, adapter: StreamAdapter, door: PurgeDoor, key: Key) -> Response:
        channel = adapter.channel
        status, headers, text = await door.answer(request, key, channel.peer[0], secure=channel.tls is not None)
        headers.append((b"date", format_date(self._seconds())))
        return self._replies.finished(request, adapter, status, headers, text)

    @property
    def refusals(self) -> int:
        """Requests that were refused."""
        return self._replies.refusals

    async def _spliced(
        self, splicing: Coroutine[Any, Any, Spliced | Refused], request: Request, adapter: StreamAdapter
    ) -> Response:
        """The answer to who asks for another protocol; the log has it when both sides have ended."""
        try:
            found = await splicing
        except Exception as problem:
            failed = trouble(problem)
            if failed is None:
                raise
            self.answering.troubles += 1
            return self._replies.page(request, adapter, failed.status, failed.detail, [proxy_status(failed)])
        if isinstance(found, Refused):
            error = "http_request_denied" if found.status == 403 else ""
            return self._replies.refusal(request, adapter, found.status, found.detail, error)
        return self._replies.finished(request, adapter, found.status, found.headers, found.source)
