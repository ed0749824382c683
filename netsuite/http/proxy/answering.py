"""What becomes of a request that may pass: an answer from the store, from a fetch while it arrives, or what failed.

What has to be fetched becomes a :class:`~netsuite.http.proxy.flight.Flight`, from which its asker and whoever joins
read. Where the origin fails, a stored response may stand in; else the client is told what failed, in the words of
RFC 9209.

Implements: RFC 9110 section 15.2; RFC 9111 sections 3, 4 and 5.1; RFC 5861
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from netsuite.common.body import Body
from netsuite.common.job import run
from netsuite.common.stream import StreamAdapter
from netsuite.http.cache.answers import answer, is_not_modified, ranges_of
from netsuite.http.cache.content import InMemory
from netsuite.http.cache.decision import Action, Decision, Failure, may_serve_stale
from netsuite.http.cache.hits import hit_marks
from netsuite.http.cache.partial import suffices
from netsuite.http.cache.status import forward_field
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field, StoredResponse
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.proxy.fetching import Fetches
from netsuite.http.proxy.flight import Flight, Landing
from netsuite.http.proxy.passage import Arrival, asks_for_part
from netsuite.http.proxy.patchwork import Patchwork
from netsuite.http.proxy.replies import Replies
from netsuite.http.proxy.settings import ProxySettings
from netsuite.http.proxy.shortcuts import Shortcuts
from netsuite.http.proxy.slices import Slice, Wish
from netsuite.http.proxy.targets import Target
from netsuite.http.proxy.troubles import Trouble, proxy_status
from netsuite.http.proxy.unkeyed import unkeyed
from netsuite.http.wire.messages import Request, Response
from netsuite.http.wire.ranges import content_range

__all__ = ["Answering"]

_ATTEMPTS: Final = 4
_NOT_SHARED: Final = frozenset((b"if-range",))
"""What a fetch that others join does not carry, as its answer depends on it."""

_SELECTIVE: Final = (b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"range")
"""Fields of a request that may want less than the whole response."""


class Answering:
    """Answers from ``fetches`` and their cache.

    ``reticent`` says that nobody shall learn where a fetch leads; ``broke`` is told of exceptions that are our own
    fault. ``hits``, ``stale_hits``, ``misses``, ``validations``, ``passes``, ``collapsed`` and ``troubles`` count.
    """

    def __init__(
        self,
        settings: ProxySettings,
        fetches: Fetches,
        replies: Replies,
        shortcuts: Shortcuts,
        seconds: Callable[[], float],
        rng: Random,
        *,
        reticent: bool,
        broke: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._reverse = settings.reverse
        self.cache = fetches.cache
        self.fetches = fetches
        self._replies = replies
        self._shortcuts = shortcuts
        self._seconds = seconds
        self._rng = rng
        self._reticent = reticent
        self._broke = broke
        self.hits = self.stale_hits = self.misses = self.validations = self.passes = 0
        self.collapsed = self.troubles = 0

    def decide(self, request: Request, target: Target, asked: Asked, now: float) -> Decision:
        """What is to be done with a request, and why."""
        return unkeyed(request, reverse=self._reverse) or self.cache.decide(target.key, asked, now)

    def answer(self, request: Request, body: Body, adapter: StreamAdapter, target: Target, asked: Asked) -> Any:
        """The response to a request, or a coroutine of it."""
        now = self._seconds()
        decision = self.decide(request, target, asked, now)
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
        if decision.action is Action.HIT and made.status == stored.status and stored.key == key:
            # what stands in for this very target and request gives way to their own response when that comes
            self._shortcuts.teach(request, adapter, asked, stored, now)
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
            run(content.aclose(), lambda _: None, self._broke)

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
        known = "" if self._reticent else target.next_hop
        headers = [proxy_status(failed, next_hop=known)]
        return self._replies.page(
            request, adapter, failed.status, f"The origin's answer cannot be had: {failed.detail}.", headers
        )
