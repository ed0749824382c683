"""Fetches from origins, once for all who ask meanwhile; their responses are stored, shared or handed over.

Implements: RFC 9111 sections 3, 4 and 4.3; RFC 9110 section 9.3.1
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from twisted.internet.defer import CancelledError

from netsuite.common.access import is_address, is_internal
from netsuite.common.body import Body, BodyFailed
from netsuite.common.commons import Commons
from netsuite.common.job import run
from netsuite.common.stream import StreamAdapter
from netsuite.http.cache.cache import Cache
from netsuite.http.cache.content import Content, InMemory
from netsuite.http.cache.decision import Action, Decision, Failure, may_serve_stale
from netsuite.http.cache.negative import grant
from netsuite.http.cache.partial import extend, strong_validator
from netsuite.http.cache.purges import Purge
from netsuite.http.cache.sparse import Sparse
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field, StoredResponse
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.tags import tags_of
from netsuite.http.cache.uncacheable import Uncacheable
from netsuite.http.cache.variants import secondary_key
from netsuite.http.client import ClientLimits, Fetched, HttpClient
from netsuite.http.disk.spool import Spool
from netsuite.http.proxy.expectation import Expectation
from netsuite.http.proxy.flight import Flight, Landing
from netsuite.http.proxy.hierarchy import Hierarchy
from netsuite.http.proxy.hosts import canonical, literal
from netsuite.http.proxy.passage import Arrival, asks_for_part, interim_passage, upstream_request
from netsuite.http.proxy.settings import ProxySettings, targets_of
from netsuite.http.proxy.slices import Slice, Slices, Wish
from netsuite.http.proxy.targets import Target
from netsuite.http.proxy.troubles import Forbidden, Trouble, trouble
from netsuite.http.proxy.upstreams import log_change
from netsuite.http.upstream.announcing import announcement
from netsuite.http.upstream.dispatch import Dispatch
from netsuite.http.wire.messages import Request, Response
from netsuite.sansio.connection import Source

__all__ = ["Fetches", "Resolve"]

_WINDOW: Final = 1 << 20
"""Bytes that are held of a response that is not stored, between its fetch and its slowest reader."""

_SPOOL_FROM: Final = 1 << 20
"""Bodies from this size on go to disk while they arrive, where there is one."""

_PARTS: Final = b" parts"
"""Behind a key: the fetch of a part of what is not stored; others wait for its head, not for its body."""

_ERRORS: Final = frozenset({500, 502, 503, 504})

_FOR_PARTS: Final = Decision(Action.COMPLETE, "partial", "parts of it are missing", "RFC 9111 3.4")

Spooling = Callable[["int | None"], "Spool | None"]
"""A file for a body of a length (None if that is unknown), or None."""

Resolve = Callable[[str], Awaitable[list[str]]]
"""A host to its addresses; raises LookupFailed."""


class Fetches:
    """What is under way to origins.

    ``guarded`` refuses internal addresses; ``broke`` is told of exceptions that are our own fault; ``spool`` makes
    files for large bodies, ``keep`` contents of those that memory holds. ``on_shared`` may be set to be told of every
    response that others may have too.
    """

    def __init__(
        self,
        settings: ProxySettings,
        commons: Commons,
        cache: Cache,
        resolve: Resolve,
        *,
        pseudonym: bytes,
        guarded: bool,
        broke: Callable[[BaseException], object],
        spool: Spooling | None = None,
        keep: Callable[[bytes], Content] = InMemory,
    ) -> None:
        self._clock = commons.clock
        self._seconds = commons.clock.seconds
        self._resolve = resolve
        self._pseudonym = pseudonym
        self._reverse = settings.reverse
        self._targets = targets_of(settings)
        self._guarded = guarded and not self._reverse
        self._budget = settings.cache_bytes
        self._broke = broke
        self._spool: Spooling = spool if spool is not None else lambda length: None
        self._keep = keep
        self._flights: dict[Key, Flight] = {}
        self._keeping: set[Flight] = set()
        self._negative = {int(status): seconds for status, seconds in settings.negative_times.items()}
        self.on_shared: Callable[[Asked, Key, Arrival], object] = lambda asked, key, arrived: None
        self.cache = cache
        cache.store.on_purge = self._purged
        self.uncacheable = Uncacheable()
        limits = ClientLimits(
            connections=settings.origin_connections,
            connect_time=settings.connect_time,
            answer_time=settings.answer_time,
            body_time=settings.body_time,
            tunnel_time=settings.tunnel_time,
        )

        def client(resolve: Resolve) -> HttpClient:
            return HttpClient(
                commons, resolve, tls=lambda: commons.certificates.client_context(settings.verify), limits=limits
            )

        self.client = client(self.addresses)
        self._dispatch = Dispatch(self.client, self._seconds)
        self.peers = client(resolve)
        self._hierarchy = (
            Hierarchy(settings, self.peers, self._clock, log_change) if settings.parents or settings.siblings else None
        )
        self.slices = Slices(
            commons.clock,
            cache,
            self,
            slice_bytes=settings.slice_bytes,
            window=_WINDOW,
            waiters=settings.collapse_limit,
        )

    def under_way(self, key: Key, *, part: bool = False) -> Flight | None:
        """The fetch for a target that others may join; of a part of it, if that is what is wanted."""
        flight = self._flights.get(key)
        if flight is None and part:
            flight = self._flights.get(key + _PARTS)
        return flight

    def fits(self, flight: Flight, asked: Asked, decision: Decision) -> bool:
        """Whether a response under way is for another request too.

        It is of the variant that the request would select; and if a part is wanted, not so long that it is too far off.
        """
        if not flight.response.vary_fits(asked):
            return False
        limit = self.cache.store.object_limit
        return not asks_for_part(asked, decision) or (flight.length is not None and flight.length <= limit)

    def _purged(self, purge: Purge) -> None:
        """What is on its way for a purged target is for those who asked before."""
        if purge.key is not None:
            meant = [lane for lane in (purge.key, purge.key + _PARTS) if lane in self._flights]
        else:
            meant = [lane for lane, flight in self._flights.items() if purge.covers(lane, _tags(flight))]
        for lane in meant:
            self._flights.pop(lane).joinable = False
        self.slices.purged(purge)

    def depart(
        self,
        request: Request,
        body: Body | None,
        adapter: StreamAdapter | None,
        target: Target,
        asked: Asked,
        decision: Decision,
        shared: bool,
        ended: Callable[[], None] = lambda: None,
    ) -> Flight:
        """Begin a fetch; others may join it if it is ``shared`` and the target's answers usually are.

        ``ended`` is told when it is over, however that came.
        """
        lane = _lane(target.key, asked, decision)
        flight = Flight(self._clock, _WINDOW, lane)
        flight.joinable = shared and lane not in self._flights and not self.uncacheable.knows(lane, self._seconds())
        if flight.joinable:
            self._flights[lane] = flight
        fetching = self._fetch(flight, request, body, adapter, target, asked, decision)

        def fell(problem: BaseException) -> None:
            self.fell(flight, problem)
            ended()

        job = run(fetching, lambda _: ended(), fell)
        flight.cancelled_by(job.cancel)
        return flight

    def _upstream(
        self, request: Request, body: Body | None, target: Target, decision: Decision, validators: Sequence[Field]
    ) -> Request:
        return upstream_request(
            request, body, target, decision, validators, pseudonym=self._pseudonym, reverse=self._reverse
        )

    def upstream_lines(self, request: Request, target: Target, decision: Decision) -> list[str]:
        """What an origin would be asked: the request line and the fields; nothing if it would not."""
        if decision.action in (Action.HIT, Action.TIMEOUT):
            return []
        sent = self._upstream(request, None, target, decision, decision.validators)
        lines = [(sent.method + b" " + sent.target).decode("latin-1")]
        return lines + [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in sent.headers]

    async def _fetch(
        self,
        flight: Flight,
        request: Request,
        body: Body | None,
        adapter: StreamAdapter | None,
        target: Target,
        asked: Asked,
        decision: Decision,
    ) -> None:
        try:
            validators: Sequence[Field] = decision.validators
            while True:
                generation = self.cache.store.generation(target.key)
                arrived, fetched = await self._exchange(request, body, adapter, target, decision, validators)
                if arrived.status != 304 or not validators:
                    grant(arrived, self._negative, instead=decision.stored is not None)
                    break
                await fetched.body.aclose()
                fresh = self.cache.validated(target.key, asked, decision.stored, arrived, generation)
                if fresh is not None:
                    flight.response = fresh
                    flight.settle()
                    return
                # it speaks of what is not here any more: ask for the whole
                validators = ()
            await self._land(flight, request, target, asked, decision, arrived, fetched, generation)
        finally:
            if self._flights.get(flight.lane) is flight:
                del self._flights[flight.lane]

    async def _exchange(
        self,
        request: Request,
        body: Body | None,
        adapter: StreamAdapter | None,
        target: Target,
        decision: Decision,
        validators: Sequence[Field],
    ) -> tuple[Arrival, Fetched]:
        began = self._seconds()
        upstream = self._upstream(request, body, target, decision, validators)
        expectation = None
        if request.expects_continue and upstream.source is not None and body is not None:
            upstream.headers.append((b"expect", b"100-continue"))
            expectation = upstream.source = Expectation(body, self._clock)
        interim = interim_passage(request, adapter, expectation.met if expectation is not None else None)
        near = None
        if self._hierarchy is not None and decision.stored is None and target.key in self._flights:
            self._check_literal(target.origin.host)
            near = await self._hierarchy.sibling(upstream, target)
        fetched = near or await self.sent(upstream, request, target, adapter, interim)
        if expectation is not None:
            expectation.answered()
        return Arrival(fetched, began, self._seconds(), self._pseudonym, self._targets), fetched

    def sent(
        self,
        upstream: Request,
        request: Request,
        target: Target,
        adapter: StreamAdapter | None,
        interim: Callable[[Response], None] | None,
    ) -> Awaitable[Fetched]:
        """The response to a request: of its one origin, or of a server of its pool."""
        pool = target.upstream
        if pool is None and self._hierarchy is not None and self._hierarchy.has_parent(target.origin.host):
            return self._by_parent(self._hierarchy, upstream, target, interim)
        if pool is None or pool.lone:
            return self.client.fetch(upstream, target.origin, interim=interim)
        prelude = announcement(pool.send_proxy, adapter.channel if adapter is not None else None)
        return self._dispatch.fetch(upstream, pool, pool.key(request), prelude=prelude, interim=interim)

    async def _by_parent(
        self, hierarchy: Hierarchy, upstream: Request, target: Target, interim: Callable[[Response], None] | None
    ) -> Fetched:
        self._check_literal(target.origin.host)
        return await hierarchy.fetch(upstream, target, interim)

    async def tunnel(self, host: str, port: int, source: Source, addresses: tuple[str, ...] = ()) -> Body:
        """A tunnel to a host, by a parent where it has one, or by one of ``addresses``; raises as a fetch does."""
        if self._hierarchy is not None and self._hierarchy.has_parent(host):
            self._check_literal(host)
            return await self._hierarchy.tunnel(host, port, source)
        return await self.client.tunnel(host, port, source, addresses)

    def _check_literal(self, host: str) -> None:
        """A parent finds the addresses of names, and guards itself; of a literal it is known where it leads."""
        if self._guarded and is_address(host) and is_internal(host):
            raise Forbidden(f"{host} is an internal address")

    async def _land(
        self,
        flight: Flight,
        request: Request,
        target: Target,
        asked: Asked,
        decision: Decision,
        arrived: Arrival,
        fetched: Fetched,
        generation: int,
    ) -> None:
        key, stored = target.key, decision.stored
        if (
            stored is not None
            and arrived.status in _ERRORS
            and may_serve_stale(asked, stored, self._seconds(), Failure.ERROR)
        ):
            await fetched.body.aclose()
            flight.fail(Trouble(arrived.status, "", "the origin answered with an error"))
            return
        if asked.method == b"HEAD":
            self.cache.head_seen(key, asked, arrived)
        if asked.method not in (b"GET", b"HEAD"):
            self.cache.invalidate(key, asked.method, arrived.status, target.relative(arrived.lines))
            generation = self.cache.store.generation(key)
        if arrived.status == 206 and asked.method == b"GET" and decision.action is not Action.FORWARD:
            # an answer to the client's own If-Range lacks fields that the client has, so nothing new begins with it
            wish = Wish(request, target, asked, generation)
            if not (stored is None and b"if-range" in asked.fields) and await self.slices.open(
                flight, wish, arrived, fetched
            ):
                return
        lane = flight.lane
        collapsing = self._flights.get(lane) is flight
        whole = fetched.body.at_hand()
        length = arrived.length
        limit = self.cache.store.object_limit
        large = min(_SPOOL_FROM, limit + 1)
        spool: Spool | None = None
        if decision.action is Action.FORWARD and asked.method != b"POST":
            arrived.unstored = decision.reason
        else:
            verdict = self.cache.storability(key, asked, arrived)
            if not verdict.allowed:
                arrived.unstored = verdict.reason
                self.cache.superseded(asked, stored, arrived)
            elif length is not None and length >= large:
                spool = self._spool(length)
            if verdict.allowed and spool is None:
                if length is not None and length > limit:
                    arrived.unstored = "it is too large"
                elif not self.has_room(length or 0):
                    arrived.unstored = "too much else is arriving"
        if arrived.unstored:
            if collapsing:
                self.uncacheable.add(lane, self._seconds())
            if not flight.hand_over(arrived, fetched.body if whole is None else whole):
                await fetched.body.aclose()
            return
        joinable = arrived.fresh and not asked.authorized
        if joinable:
            self.uncacheable.discard(lane)
        elif collapsing:
            self.uncacheable.add(lane, self._seconds())
        arrived.selection = secondary_key(arrived.vary, asked.fields)
        if whole is not None:
            arrived.trailers = fetched.body.trailers
            self.cache.keep(key, asked, arrived, InMemory(whole), generation)
            flight.end(fetched.body.trailers, whole)
            flight.share(arrived, length, joinable)
            self.on_shared(asked, key, arrived)
            return
        if spool is not None:
            flight.spool(spool)
        flight.share(arrived, length, joinable)
        self.on_shared(asked, key, arrived)
        self._keeping.add(flight)
        kept = False
        try:
            async for chunk in fetched.body:
                flight.add(chunk)
                if spool is None and length is None and flight.keeping and flight.arrived >= large:
                    spool = self._spool(None)
                    if spool is not None:
                        flight.spool(spool)
                if flight.keeping and flight.arrived > (limit if spool is None else spool.limit):
                    flight.narrow()
                if not flight.keeping and not flight.attended:
                    raise BodyFailed("nobody reads it, and it is too large to be stored")
                await flight.room()
            content = await self._content(flight, spool)
            arrived.trailers = fetched.body.trailers
            kept = content is not None and self.cache.keep(key, asked, arrived, content, generation) is not None
        except BodyFailed as failed:
            flight.break_off(str(failed))
            self._keep_torn(flight, key, asked, arrived, generation)
            return
        except BaseException:
            flight.break_off("the fetch was given up")
            self._keep_torn(flight, key, asked, arrived, generation)
            raise
        finally:
            self._keeping.discard(flight)
            if spool is not None and not kept:
                spool.discard()
            await fetched.body.aclose()
        flight.end(fetched.body.trailers, content.body if content is not None else None)

    async def _content(self, flight: Flight, spool: Spool | None) -> Content | None:
        """The whole body, if it was kept."""
        if not flight.keeping:
            return None
        return self._keep(flight.content()) if spool is None else await spool.finish()

    def fell(self, flight: Flight, problem: BaseException) -> None:
        """A fetch ended in an exception."""
        known = trouble(problem)
        if isinstance(problem, CancelledError):
            known = Trouble(502, "connection_terminated", "nobody waited for it")
        elif known is None:
            self._broke(problem)
            known = Trouble(500, "proxy_internal_error", "the proxy made a mistake")
        if flight.landing is None:
            flight.fail(known)
        else:
            flight.break_off(known.detail)

    def _keep_torn(self, flight: Flight, key: Key, asked: Asked, arrived: Arrival, generation: int) -> None:
        """A body broke off: what came of it is stored, if the rest can be had later (RFC 9111 section 3.3)."""
        length = arrived.length
        content = flight.content() if flight.keeping else b""
        if arrived.status == 200 and length is not None and 0 < len(content) == flight.arrived < length:
            torn = StoredResponse(arrived, Sparse(length), secondary_key(arrived.vary, asked.fields))
            if strong_validator(torn) is not None:
                extend(self.cache.store, key, asked, torn, [((0, len(content)), content)], generation)

    # -- for slices

    async def exchange(self, wish: Wish, fields: Sequence[Field]) -> tuple[Arrival, Fetched]:
        """The origin's response to a request with these conditions."""
        return await self._exchange(wish.request, None, None, wish.target, _FOR_PARTS, fields)

    async def arrive(self, flight: Flight, wish: Wish, arrived: Arrival, fetched: Fetched) -> None:
        """What came is no part, but an answer of its own: do with it as with any other."""
        request, target, asked, generation = wish
        await self._land(flight, request, target, asked, _FOR_PARTS, arrived, fetched, generation)

    def has_room(self, length: int) -> bool:
        """Whether so many bytes may be kept while they arrive."""
        return sum(each.retained for each in self._keeping) + length <= self._budget

    def keeping(self, flight: Flight, keeps: bool) -> None:
        """A flight keeps what arrives, or no longer."""
        if keeps:
            self._keeping.add(flight)
        else:
            self._keeping.discard(flight)

    def validate_behind(self, request: Request, target: Target, asked: Asked, decision: Decision) -> None:
        """Bring a stale response up to date while its client is answered from it (RFC 5861 section 3)."""
        if target.key not in self._flights:
            self.depart(request, None, None, target, asked, decision, True)

    async def addresses(self, host: str) -> list[str]:
        """The addresses that may be connected to; raises Forbidden if there are others only."""
        address = literal(canonical(host))
        found = [str(address)] if address is not None else await self._resolve(host)
        if self._guarded:
            allowed = [address for address in found if not is_internal(address)]
            if found and not allowed:
                raise Forbidden(f"{host} leads to an internal address")
            return allowed
        return found


def _tags(flight: Flight) -> tuple[bytes, ...] | None:
    """The tags of what a flight brings, if that is known already."""
    if flight.landing is not Landing.READ:
        return None
    response = flight.response
    return tags_of(response.stored.fields if isinstance(response, Slice) else response.lines)


def _lane(key: Key, asked: Asked, decision: Decision) -> Key:
    """Under what others find a fetch."""
    return key + _PARTS if asks_for_part(asked, decision) else key
