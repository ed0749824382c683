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
from netsuite.http.cache.content import InMemory
from netsuite.http.cache.decision import Action, Decision, Failure, may_serve_stale
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.uncacheable import Uncacheable
from netsuite.http.cache.variants import secondary_key
from netsuite.http.client import ClientLimits, Fetched, HttpClient
from netsuite.http.proxy.expectation import Expectation
from netsuite.http.proxy.flight import Flight
from netsuite.http.proxy.hierarchy import Hierarchy
from netsuite.http.proxy.passage import Arrival, interim_passage, upstream_request
from netsuite.http.proxy.settings import ProxySettings
from netsuite.http.proxy.targets import Target
from netsuite.http.proxy.troubles import Forbidden, Trouble, trouble
from netsuite.http.proxy.upstreams import log_change
from netsuite.http.upstream.announcing import announcement
from netsuite.http.upstream.dispatch import Dispatch
from netsuite.http.wire.messages import Request, Response

__all__ = ["Fetches", "Resolve"]

_WINDOW: Final = 1 << 20
"""Bytes that are held of a response that is not stored, between its fetch and its slowest reader."""

_ERRORS: Final = frozenset({500, 502, 503, 504})

Resolve = Callable[[str], Awaitable[list[str]]]
"""A host to its addresses; raises LookupFailed."""


class Fetches:
    """What is under way to origins.

    ``guarded`` refuses internal addresses; ``broke`` is told of exceptions that are our own fault.
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
    ) -> None:
        self._clock = commons.clock
        self._seconds = commons.clock.seconds
        self._resolve = resolve
        self._pseudonym = pseudonym
        self._reverse = settings.reverse
        self._guarded = guarded and not self._reverse
        self._budget = settings.cache_bytes
        self._broke = broke
        self._flights: dict[Key, Flight] = {}
        self._keeping: set[Flight] = set()
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

        self.client = client(self._addresses)
        self._dispatch = Dispatch(self.client, self._seconds)
        self.peers = client(resolve)
        self._hierarchy = (
            Hierarchy(settings, self.peers, self._clock, log_change) if settings.parents or settings.siblings else None
        )

    def under_way(self, key: Key) -> Flight | None:
        """The fetch for a target that others may join."""
        return self._flights.get(key)

    def _purged(self, key: Key) -> None:
        """What is on its way for a purged target is for those who asked before."""
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.joinable = False

    def depart(
        self,
        request: Request,
        body: Body | None,
        adapter: StreamAdapter | None,
        target: Target,
        asked: Asked,
        decision: Decision,
        shared: bool,
    ) -> Flight:
        """Begin a fetch; others may join it if it is ``shared`` and the target's answers usually are."""
        key = target.key
        flight = Flight(self._clock, _WINDOW)
        flight.joinable = shared and key not in self._flights and not self.uncacheable.knows(key, self._seconds())
        if flight.joinable:
            self._flights[key] = flight
        fetching = self._fetch(flight, request, body, adapter, target, asked, decision)
        job = run(fetching, lambda _: None, lambda problem: self._fell(flight, problem))
        flight.cancelled_by(job.cancel)
        return flight

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
                began = self._seconds()
                upstream = upstream_request(
                    request, body, target, decision, validators, pseudonym=self._pseudonym, reverse=self._reverse
                )
                expectation = None
                if request.expects_continue and upstream.source is not None and body is not None:
                    upstream.headers.append((b"expect", b"100-continue"))
                    expectation = upstream.source = Expectation(body, self._clock)
                interim = interim_passage(request, adapter, expectation.met if expectation is not None else None)
                near = None
                if self._hierarchy is not None and decision.stored is None and target.key in self._flights:
                    self._check_literal(target.origin.host)
                    near = await self._hierarchy.sibling(upstream, target)
                fetched = near or await self._sent(upstream, request, target, adapter, interim)
                if expectation is not None:
                    expectation.answered()
                arrived = Arrival(fetched, began, self._seconds(), self._pseudonym)
                if arrived.status != 304 or not validators:
                    break
                await fetched.body.aclose()
                fresh = self.cache.validated(target.key, asked, decision.stored, arrived, generation)
                if fresh is not None:
                    flight.response = fresh
                    flight.settle()
                    return
                # it speaks of what is not here any more: ask for the whole
                validators = ()
            await self._land(flight, target, asked, decision, arrived, fetched, generation)
        finally:
            if self._flights.get(target.key) is flight:
                del self._flights[target.key]

    def _sent(
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

    async def tunnel(self, host: str, port: int, source: Body) -> Body:
        """A tunnel to a host, by a parent where it has one; raises as a fetch does."""
        if self._hierarchy is not None and self._hierarchy.has_parent(host):
            self._check_literal(host)
            return await self._hierarchy.tunnel(host, port, source)
        return await self.client.tunnel(host, port, source)

    def _check_literal(self, host: str) -> None:
        """A parent finds the addresses of names, and guards itself; of a literal it is known where it leads."""
        if self._guarded and is_address(host) and is_internal(host):
            raise Forbidden(f"{host} is an internal address")

    async def _land(
        self,
        flight: Flight,
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
        self.cache.invalidate(key, asked.method, arrived.status, target.relative(arrived.lines))
        if asked.method not in (b"GET", b"HEAD"):
            generation = self.cache.store.generation(key)
        collapsing = self._flights.get(key) is flight
        whole = fetched.body.at_hand()
        length = arrived.length
        limit = self.cache.store.object_limit
        keep = decision.action is not Action.FORWARD or asked.method == b"POST"
        keep = keep and self.cache.may_store(key, asked, arrived) and (length is None or length <= limit)
        keep = keep and sum(each.retained for each in self._keeping) + (length or 0) <= self._budget
        if not keep:
            if collapsing:
                self.uncacheable.add(key, self._seconds())
            if not flight.hand_over(arrived, fetched.body if whole is None else whole):
                await fetched.body.aclose()
            return
        joinable = arrived.fresh and not asked.authorized
        if joinable:
            self.uncacheable.discard(key)
        elif collapsing:
            self.uncacheable.add(key, self._seconds())
        arrived.selection = secondary_key(arrived.vary, asked.fields)
        if whole is not None:
            self.cache.keep(key, asked, arrived, InMemory(whole), generation)
            flight.end(fetched.body.trailers, whole)
            flight.share(arrived, length, joinable)
            return
        flight.share(arrived, length, joinable)
        self._keeping.add(flight)
        try:
            async for chunk in fetched.body:
                flight.add(chunk)
                if flight.keeping and flight.arrived > limit:
                    flight.narrow()
                if not flight.keeping:
                    if not flight.attended:
                        raise BodyFailed("nobody reads it, and it is too large to be stored")
                    await flight.room()
        except BodyFailed as failed:
            flight.break_off(str(failed))
            return
        except BaseException:
            flight.break_off("the fetch was given up")
            raise
        finally:
            self._keeping.discard(flight)
            await fetched.body.aclose()
        content = flight.content() if flight.keeping else None
        if content is not None:
            self.cache.keep(key, asked, arrived, InMemory(content), generation)
        flight.end(fetched.body.trailers, content)

    def _fell(self, flight: Flight, problem: BaseException) -> None:
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

    def validate_behind(self, request: Request, target: Target, asked: Asked, decision: Decision) -> None:
        """Bring a stale response up to date while its client is answered from it (RFC 5861 section 3)."""
        if target.key not in self._flights:
            self.depart(request, None, None, target, asked, decision, True)

    async def _addresses(self, host: str) -> list[str]:
        """The addresses that may be connected to; raises Forbidden if there are others only."""
        found = await self._resolve(host)
        if self._guarded:
            allowed = [address for address in found if not is_internal(address)]
            if found and not allowed:
                raise Forbidden(f"{host} leads to an internal address")
            return allowed
        return found
