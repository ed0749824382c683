"""The caching proxy at work: what is stored is answered at once, the rest is fetched, once for all who ask meanwhile.

A request is decided by :mod:`netsuite.http.cache.decision`; what has to be fetched becomes a
:class:`~netsuite.http.proxy.flight.Flight`, from which its asker and whoever joins read while it arrives. Where the
origin fails, a stored response may stand in; else the client is told what failed, in the words of RFC 9209.

Implements: RFC 9110 sections 7.6 and 15.2; RFC 9111 sections 3, 4 and 5.1; RFC 5861
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from types import CoroutineType
from typing import Any, Final

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.job import run
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.http.accesslog import LOGGED, combined, said
from netsuite.http.cache.answers import answer, is_not_modified, ranges_of
from netsuite.http.cache.cache import Cache
from netsuite.http.cache.content import Content, InMemory
from netsuite.http.cache.decision import Action, Decision, Failure, fresh_until, may_serve_stale
from netsuite.http.cache.explain import explain
from netsuite.http.cache.hits import StoredAnswer, hit_marks, is_plain
from netsuite.http.cache.partial import suffices
from netsuite.http.cache.shadow import POLICIES, Shadows
from netsuite.http.cache.status import forward_field
from netsuite.http.cache.store import Key, Store
from netsuite.http.cache.stored import Field, StoredResponse
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.uses import Uses
from netsuite.http.disk.cabinet import Cabinet
from netsuite.http.disk.hits import DiskHits
from netsuite.http.hotpath import HotPath, teachable
from netsuite.http.proxy.fetching import Fetches, Resolve
from netsuite.http.proxy.flight import Flight, Landing
from netsuite.http.proxy.gate import Gate, TurnedAway
from netsuite.http.proxy.hops import loops
from netsuite.http.proxy.memoryfile import Keeper
from netsuite.http.proxy.passage import TRACING, Arrival, asks_for_part
from netsuite.http.proxy.patchwork import Patchwork
from netsuite.http.proxy.prefetch import Prefetch
from netsuite.http.proxy.purgedoor import PurgeDoor
from netsuite.http.proxy.purging import Purging
from netsuite.http.proxy.replies import Replies
from netsuite.http.proxy.settings import ProxySettings, targets_of
from netsuite.http.proxy.slices import Slice, Wish
from netsuite.http.proxy.targets import Refused, ReverseTargets, Target, forward_target
from netsuite.http.proxy.troubles import Trouble, proxy_status, trouble
from netsuite.http.proxy.tunnels import UPGRADES, Spliced, Tunnels
from netsuite.http.proxy.unkeyed import unkeyed
from netsuite.http.proxy.upstreams import Upstreams
from netsuite.http.versions import Versions
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.messages import Request, Response
from netsuite.http.wire.ranges import content_range
from netsuite.sansio.connection import Channel
from netsuite.sansio.dates import format_date

__all__ = ["ProxyServer"]

_ATTEMPTS: Final = 4
_NOT_SHARED: Final = frozenset((b"if-range",))
"""What a fetch that others join does not carry, as its answer depends on it."""

_SELECTIVE: Final = (b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"range")
"""Fields of a request that may want less than the whole response."""
_ALLOW: Final = (b"allow", b"GET, HEAD, POST, PUT, DELETE, OPTIONS")
_HEADS_AT_MOST: Final = 256
_ENCRYPTED_AT_ONCE: Final = 512 * 1024
"""Sorts of requests for one stored response that the hot path learns; they are forgotten with it at once."""


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
        self._settings = settings
        self.clock = commons.clock
        self.sharing = commons.sharing
        self._seconds = commons.clock.seconds
        self._rng = commons.rng
        self._pseudonym = pseudonym
        self._on_network = on_network
        self.upstreams = Upstreams(settings)
        self._reverse = ReverseTargets(self.upstreams.routes) if settings.reverse else None
        self.cache = Cache(Store(settings.cache_bytes, settings.object_limit, POLICIES[settings.policy]))
        store = self.cache.store
        store.on_end = self._ended
        self._uses = Uses(store.use)
        store.before_put = self._uses.settle
        sample = settings.shadow_sample
        self.shadow = Shadows(settings.cache_bytes, sample, self._uses.settle) if sample else None
        store.on_use = self.shadow.used if self.shadow is not None else None
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
        self._record = commons.journal.kind("proxy", LOGGED, combined)
        self._replies = Replies(self._record, self._seconds, self._broke)
        self.hot = HotPath(self._seconds, settings.cache_bytes // 8, self._hot_answered)
        self.purging = Purging(self.cache, commons.clock, commons.sharing, self.hot.forget)
        # a forward proxy's clients name another origin in each target, which is a matter for the rules of access
        self.disk_hits = (
            DiskHits(disk.tier, self._seconds, self._record, settings.cache_bytes // 16)
            if disk is not None and self._reverse is not None
            else None
        )
        limits = Http1Limits(idle_time=settings.idle_time, tunnel_time=settings.tunnel_time)
        versions = Versions(self._seconds, limits, self.hot, UPGRADES, extended=UPGRADES)
        self.over_quic = versions.over_quic
        self.factory = StreamFactory(
            commons,
            "proxy",
            versions.http1,
            self._answer,
            shortcut=self.hot.shortcut if self.disk_hits is None else self._shortcut,
            rule=rule,
            concurrency=concurrency,
            alpn=versions.alpn,
        )
        self.requests = self.hits = self.stale_hits = self.misses = self.validations = self.passes = 0
        self.collapsed = self.troubles = 0

    def explained(self, request: Request) -> dict[str, Any] | Refused:
        """What would be done with a request, and why; nothing is done (see :mod:`netsuite.http.cache.explain`)."""
        target = self.target(request)
        if isinstance(target, Refused):
            return target
        asked, now = Asked(request.method, request.headers), self._seconds()
        decision = self._decide(request, target, asked, now)
        explanation = explain(self.cache, target.key, asked, now, decision)
        explanation["origin"] = target.next_hop
        explanation["upstream"] = self.fetches.upstream_lines(request, target, decision)
        explanation["uncacheable"] = self.fetches.uncacheable.knows(target.key, now)
        explanation["under_way"] = self.fetches.under_way(target.key, part=asks_for_part(asked, decision)) is not None
        return explanation

    def _decide(self, request: Request, target: Target, asked: Asked, now: float) -> Decision:
        return unkeyed(request, reverse=self._reverse is not None) or self.cache.decide(target.key, asked, now)

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
            return self._replies.finished(
                request, adapter, 200, [(b"allow", b"GET, HEAD, POST, PUT, DELETE, OPTIONS")], b""
            )
        if request.upgrade is not None:
            return self._spliced(self.tunnels.switched(request, body, target, adapter), request, adapter)
        asked = Asked(request.method, [field for field in request.headers if field[0] != b"proxy-authorization"])
        waiting = self.cache.store.prepare(target.key)
        if waiting is not None:
            return self._prepared(waiting, request, body, adapter, target, asked)
        return self._decided(request, body, adapter, target, asked)

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
        answer = self._decided(request, body, adapter, target, asked)
        return answer if isinstance(answer, Response) else await answer

    def _decided(self, request: Request, body: Body, adapter: StreamAdapter, target: Target, asked: Asked) -> Any:
        now = self._seconds()
        decision = self._decide(request, target, asked, now)
        action = decision.action
        if action is Action.HIT:
            self.hits += 1
            return self._from_store(request, adapter, target.key, asked, decision, now)
        if action is Action.STALE_HIT:
            self.stale_hits += 1
            self.fetches.validate_behind(request, target, asked, decision)
            return self._from_store(request, adapter, target.key, asked, decision, now)
        if action is Action.TIMEOUT:
            self.misses += 1
            return self._replies.refusal(request, adapter, 504, "Nothing that is stored may answer this request.")
        return self._fetched(request, body, adapter, target, asked, decision)

    def _from_store(
        self, request: Request, adapter: StreamAdapter, key: Key, asked: Asked, decision: Decision, now: float
    ) -> Response:
        stored = decision.stored
        assert stored is not None
        self.cache.store.use(stored)
        made = self._made(request, asked, stored, now, hit_marks(stored, now))
        if (
            made.status == stored.status
            and not stored.trailers
            # what stands in for this very target and request gives way to their own response when that comes
            and stored.key == key
            and stored.selected_by(asked)
            and decision.action is Action.HIT
            and now < fresh_until(stored)
            and is_plain(asked)
            and (self.gate is None or self.gate.by_message_alone)
            and teachable(request)
            and (stored.heads is None or len(stored.heads) < _HEADS_AT_MOST)
            and _goes_at_once(stored.content, request, adapter)
        ):
            hot, note = StoredAnswer(stored), said(request)
            if stored.heads is None:
                stored.heads = set()
            stored.heads.add(self.hot.teach(request, hot, adapter.channel, note))
            if self.disk_hits is not None:
                self.disk_hits.teach(request, adapter.channel, note)
        return self._replies.made(request, adapter, made)

    async def _fetched(
        self,
        request: Request,
        body: Body,
        adapter: StreamAdapter,
        target: Target,
        asked: Asked,
        decision: Decision,
    ) -> Response:
        """The answer to a request that the store cannot answer: by its own fetch, or by one that is under way."""
        key = target.key
        shared = (
            request.method == b"GET"
            and decision.action is not Action.FORWARD
            and not asked.authorized
            and not asked.control.no_store
            and (decision.stored is not None or asked.fields.keys().isdisjoint(_NOT_SHARED))
        )
        waited = False
        alone = False
        for attempt in range(_ATTEMPTS):
            wish = Wish(request, target, asked, self.cache.store.generation(key))
            if decision.action is Action.COMPLETE and decision.stored is not None:
                self.cache.store.use(decision.stored)
                part, own = self.fetches.slices.first(wish, decision.stored, joins=not alone)
                flight, alone = part.flight, not own
            else:
                joined = (
                    self.fetches.under_way(key, part=asks_for_part(asked, decision)) if shared and not attempt else None
                )
                own = joined is None or not joined.joinable or joined.waiters >= self._settings.collapse_limit
                if joined is None or own:
                    share = shared and not attempt
                    joined = self.fetches.depart(request, body, adapter, target, asked, decision, share)
                flight = joined
            landing = await flight.landed(own, None if own else self._settings.collapse_time)
            if landing is Landing.READ and isinstance(flight.response, Slice):
                if own or decision.action is Action.COMPLETE:
                    return self._from_parts(request, adapter, wish, flight.response, decision, own)
            elif landing is Landing.READ and (own or self.fetches.fits(flight, asked, decision)):
                self.collapsed += not own
                collapsed = True if not own else False if waited else None
                return self._from_flight(request, adapter, flight, asked, decision, collapsed)
            if landing is Landing.TAKE:
                return self._handed(request, adapter, flight, decision, False if waited else None)
            if landing is Landing.STORED and own and self._suffices(flight.response, asked):
                self.validations += 1
                now = self._seconds()
                stored = flight.response
                left = stored.lifetime.seconds - int(stored.age(now))
                mark = forward_field(decision.forward, 304, ttl=left, stored=stored.alive)
                marks = [(b"age", b"%d" % stored.age(now)), mark]
                made = self._made(request, asked, stored, now, marks)
                return self._replies.made(request, adapter, made)
            if landing is Landing.FAILED:
                return self._without_origin(request, adapter, target, asked, decision, flight.trouble)
            waited = waited or not own
            # somebody else's fetch brought what is not for us: look again, then ask ourselves
            decision = self.cache.decide(key, asked, self._seconds())
            if decision.action in (Action.HIT, Action.STALE_HIT):
                self.hits += 1
                return self._from_store(request, adapter, key, asked, decision, self._seconds())
        return self._replies.refusal(request, adapter, 503, "The response changes faster than it can be fetched.")

    def _suffices(self, stored: StoredResponse | None, asked: Asked) -> bool:
        return stored is not None and suffices(asked, stored, self._seconds())

    # -- answers

    def _made(self, request: Request, asked: Asked, stored: StoredResponse, now: float, marks: list[Field]) -> Response:
        return answer(request.method, asked.fields, stored, now, marks, self._boundary)

    def _boundary(self) -> bytes:
        return b"%032x" % self._rng.getrandbits(128)

    def _ended(self, stored: StoredResponse) -> None:
        for head in stored.heads or ():
            self.hot.forget(head)
        stored.heads = None

    def _from_flight(
        self,
        request: Request,
        adapter: StreamAdapter,
        flight: Flight,
        asked: Asked,
        decision: Decision,
        collapsed: bool | None,
    ) -> Response:
        arrived: Arrival = flight.response
        now = self._seconds()
        own = collapsed is not True
        self.misses += own
        seen = StoredResponse(arrived, InMemory(b""), ())
        left = arrived.lifetime.seconds - int(seen.age(now))
        mark = forward_field(decision.forward, arrived.status, ttl=left, stored=flight.keeping, collapsed=collapsed)
        if own and flight.whole is not None and asked.fields.keys().isdisjoint(_SELECTIVE):
            return self._replies.finished(request, adapter, arrived.status, [*arrived.lines, mark], flight.whole)
        # who joined gets what a cache may share, which leaves out the fields that private and no-cache name
        headers = [*(arrived.lines if own else seen.fields), mark]
        content: Any = flight.whole
        if content is None:
            content = flight.reader()
        if is_not_modified(request.method, asked.fields, seen, now):
            self._unread(content)
            made = self._made(request, asked, seen, now, [mark])
            return self._replies.finished(request, adapter, 304, made.headers, b"")
        status = arrived.status
        if flight.length is not None:
            spans = ranges_of(request.method, asked.fields, seen, flight.length, now)
            if spans is not None and len(spans) == 1:
                first, stop = spans[0]
                content = content[first:stop] if isinstance(content, bytes) else content.span(first, stop)
                status = 206
                headers = [field for field in headers if field[0] not in (b"content-length", b"content-range")]
                headers.append((b"content-range", content_range(spans[0], flight.length)))
                headers.append((b"content-length", b"%d" % (stop - first)))
            elif spans is not None and not spans:
                self._unread(content)
                headers = [(b"content-range", content_range(None, flight.length)), mark]
                return self._replies.finished(request, adapter, 416, headers, b"")
        return self._replies.finished(request, adapter, status, headers, content)

    def _unread(self, content: Any) -> None:
        """Nobody reads what was there to be read."""
        if not isinstance(content, bytes):
            run(content.aclose(), lambda _: None, self.factory.broke)

    def _from_parts(
        self, request: Request, adapter: StreamAdapter, wish: Wish, part: Slice, decision: Decision, own: bool
    ) -> Response:
        """An answer made of what is stored and of slices, of which the first has begun to arrive."""
        stored, now = part.stored, self._seconds()
        self.misses += own
        self.collapsed += not own
        age = int(stored.age(now))
        mark = forward_field(
            decision.forward, 206, ttl=stored.lifetime.seconds - age, stored=True, collapsed=None if own else True
        )
        whole = stored.holding(Patchwork(self.fetches.slices, wish, stored, part))
        made = self._made(request, wish.asked, whole, now, [(b"age", b"%d" % age), mark])
        return self._replies.made(request, adapter, made)

    def _handed(
        self, request: Request, adapter: StreamAdapter, flight: Flight, decision: Decision, collapsed: bool | None
    ) -> Response:
        """What is for this client alone, as it comes."""
        arrived: Arrival = flight.response
        self.passes += 1
        why = "" if decision.forward == "method" else arrived.unstored
        mark = forward_field(decision.forward, arrived.status, collapsed=collapsed, detail=why)
        return self._replies.finished(request, adapter, arrived.status, [*arrived.lines, mark], flight.body)

    def _without_origin(
        self,
        request: Request,
        adapter: StreamAdapter,
        target: Target,
        asked: Asked,
        decision: Decision,
        failed: Trouble,
    ) -> Response:
        """A stored response in place of the origin's, where it may; else what failed."""
        stored, now = decision.stored, self._seconds()
        if decision.action is Action.COMPLETE:
            stored = None
        failure = Failure.UNREACHABLE if failed.error else Failure.ERROR
        if stored is not None and failed.status != 403 and may_serve_stale(asked, stored, now, failure):
            self.stale_hits += 1
            told = proxy_status(failed._replace(error=""), received=None if failed.error else failed.status)
            if failed.error:
                marks = [*hit_marks(stored, now, b"no-origin"), told]
            else:
                left = stored.lifetime.seconds - int(stored.age(now))
                mark = forward_field(decision.forward, failed.status, ttl=left, detail="stale-if-error")
                marks = [(b"age", b"%d" % stored.age(now)), mark, told]
            made = self._made(request, asked, stored, now, marks)
            return self._replies.made(request, adapter, made)
        self.troubles += 1
        if stored is not None and failed.status == 502:
            # RFC 9111 section 5.2.2.2: what may not be used without validation, and cannot be validated, is a 504
            failed = failed._replace(status=504)
        # where a reverse proxy fetches from is nobody's business on the network; a forward proxy's client said it
        known = "" if self._reverse is not None and self._on_network else target.next_hop
        headers = [proxy_status(failed, next_hop=known)]
        return self._replies.page(
            request, adapter, failed.status, f"The origin's answer cannot be had: {failed.detail}.", headers
        )

    def _hot_answered(self, note: tuple[str, str, str], prepared: Any, channel: Channel) -> None:
        self._uses.count(prepared)
        self._record(channel.peer[0], note[0], prepared.status, prepared.size, note[1], note[2])

    async def _purged(self, request: Request, adapter: StreamAdapter, door: PurgeDoor, key: Key) -> Response:
        channel = adapter.channel
        status, headers, text = await door.answer(request, key, channel.peer[0], secure=channel.tls is not None)
        headers.append((b"date", format_date(self._seconds())))
        return self._replies.finished(request, adapter, status, headers, text)

    def _shortcut(self, data: bytes, channel: Channel) -> bytes | tuple[bytes, ...] | None:
        assert self.disk_hits is not None
        found = self.hot.shortcut(data, channel)
        return self.disk_hits.shortcut(data, channel) if found is None else found

    @property
    def refusals(self) -> int:
        """Requests that were refused."""
        return self._replies.refusals

    @property
    def quick_hits(self) -> int:
        """Hits that went no long way: from memory, and from disk."""
        return self.hot.hits + (self.disk_hits.hits if self.disk_hits is not None else 0)

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
            self.troubles += 1
            return self._replies.page(request, adapter, failed.status, failed.detail, [proxy_status(failed)])
        if isinstance(found, Refused):
            error = "http_request_denied" if found.status == 403 else ""
            return self._replies.refusal(request, adapter, found.status, found.detail, error)
        return self._replies.finished(request, adapter, found.status, found.headers, found.source)


def _goes_at_once(content: Content, request: Request, adapter: StreamAdapter) -> bool:
    """Whether a stored body can be sent as a whole without waiting.

    What lies in a file is sent by the kernel, as it is; to be encrypted it must be short, and read where it lies.
    """
    if content.body is not None:
        return True
    found = content.at_hand() if request.version < (2, 0) else None
    return found is not None and (
        not adapter.encrypted or (content.size <= _ENCRYPTED_AT_ONCE and found.view is not None)
    )
