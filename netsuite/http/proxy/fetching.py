"""Fetches from origins, once for all who ask meanwhile; their responses are stored, shared or handed over.

Implements: RFC 9111 sections 3, 4 and 4.3; RFC 9110 section 9.3.1
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from twisted.internet.defer import CancelledError

from netsuite.common.access import is_internal
from netsuite.common.body import Body, BodyFailed
from netsuite.common.commons import Commons
from netsuite.common.job import run
from netsuite.common.stream import StreamAdapter
from netsuite.http.cache.cache import Cache
from netsuite.http.cache.content import Content, InMemory
from netsuite.http.cache.decision import Action, Decision, Failure, may_serve_stale
from netsuite.http.cache.negative import grant
from netsuite.http.cache.purges import Purge
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.tags import tags_of
from netsuite.http.cache.uncacheable import Uncacheable
from netsuite.http.cache.variants import secondary_key
from netsuite.http.client import ClientLimits, Fetched, HttpClient
from netsuite.http.disk.spool import Spool
from netsuite.http.proxy.flight import Flight, Landing
from netsuite.http.proxy.passage import Arrival, interim_passage, upstream_request
from netsuite.http.proxy.settings import ProxySettings, targets_of
from netsuite.http.proxy.targets import Target
from netsuite.http.proxy.troubles import Forbidden, Trouble, trouble
from netsuite.http.wire.messages import Request

__all__ = ["Fetches", "Resolve"]

_WINDOW: Final = 1 << 20
"""Bytes that are held of a response that is not stored, between its fetch and its slowest reader."""

_SPOOL_FROM: Final = 1 << 20
"""Bodies from this size on go to disk while they arrive, where there is one."""

_ERRORS: Final = frozenset({500, 502, 503, 504})

Spooling = Callable[["int | None"], "Spool | None"]
"""A file for a body of a length (None if that is unknown), or None."""

Resolve = Callable[[str], Awaitable[list[str]]]
"""A host to its addresses; raises LookupFailed."""


class Fetches:
    """What is under way to origins.

    ``guarded`` refuses internal addresses; ``broke`` is told of exceptions that are our own fault; ``spool`` makes
    files for large bodies. ``on_shared`` may be set to be told of every response that others may have too.
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
    ) -> None:
        self._clock = commons.clock
        self._seconds = commons.clock.seconds
        self._resolve = resolve
        self._pseudonym = pseudonym
        self._reverse = settings.origin is not None
        self._targets = targets_of(settings)
        self._guarded = guarded and not self._reverse
        self._budget = settings.cache_bytes
        self._broke = broke
        self._spool: Spooling = spool if spool is not None else lambda length: None
        self._flights: dict[Key, Flight] = {}
        self._keeping: set[Flight] = set()
        self._negative = {int(status): seconds for status, seconds in settings.negative_times.items()}
        self.on_shared: Callable[[Asked, Key, Arrival], object] = lambda asked, key, arrived: None
        self.cache = cache
        cache.store.on_purge = self._purged
        self.uncacheable = Uncacheable()
        self.client = HttpClient(
            commons,
            self._addresses,
            tls=lambda: commons.certificates.client_context(settings.verify),
            limits=ClientLimits(
                connections=settings.origin_connections,
                connect_time=settings.connect_time,
                answer_time=settings.answer_time,
                body_time=settings.body_time,
                tunnel_time=settings.tunnel_time,
            ),
        )

    def under_way(self, key: Key) -> Flight | None:
        """The fetch for a target that others may join."""
        return self._flights.get(key)

    def _purged(self, purge: Purge) -> None:
        """What is on its way for a purged target is for those who asked before."""
        if purge.key is not None:
            meant = [purge.key] if purge.key in self._flights else []
        else:
            meant = [
                key
                for key, flight in self._flights.items()
                if purge.covers(key, tags_of(flight.response.lines) if flight.landing is Landing.READ else None)
            ]
        for key in meant:
            self._flights.pop(key).joinable = False

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
        key = target.key
        flight = Flight(self._clock, _WINDOW)
        flight.joinable = shared and key not in self._flights and not self.uncacheable.knows(key, self._seconds())
        if flight.joinable:
            self._flights[key] = flight
        fetching = self._fetch(flight, request, body, adapter, target, asked, decision)

        def fell(problem: BaseException) -> None:
            self._fell(flight, problem)
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
                began = self._seconds()
                upstream = self._upstream(request, body, target, decision, validators)
                fetched = await self.client.fetch(upstream, target.origin, interim=interim_passage(request, adapter))
                arrived = Arrival(fetched, began, self._seconds(), self._pseudonym, self._targets)
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
            await self._land(flight, target, asked, decision, arrived, fetched, generation)
        finally:
            if self._flights.get(target.key) is flight:
                del self._flights[target.key]

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
                elif sum(each.retained for each in self._keeping) + (length or 0) > self._budget:
                    arrived.unstored = "too much else is arriving"
        if arrived.unstored:
            if collapsing:
                self.uncacheable.add(key, self._seconds())
            if not flight.hand_over(arrived, fetched.body):
                await fetched.body.aclose()
            return
        joinable = arrived.fresh and not asked.authorized
        if joinable:
            self.uncacheable.discard(key)
        elif collapsing:
            self.uncacheable.add(key, self._seconds())
        arrived.selection = secondary_key(arrived.vary, asked.fields)
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
            return
        except BaseException:
            flight.break_off("the fetch was given up")
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
        return InMemory(flight.content()) if spool is None else await spool.finish()

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
