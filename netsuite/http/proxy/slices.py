"""Answers made of parts: what is stored of a representation, and the slices that are fetched for the rest.

A *slice* is a span of one representation on its way: a :class:`~netsuite.http.proxy.flight.Flight` for what Range and
If-Range ask of the origin. Requests that need overlapping parts read the same slices, so each byte is fetched once. An
answer begins only when the first missing slice's head has shown that the representation is still the stored one; where
a later slice shows another, the answer is cut: versions are never mixed.

Slices of a large representation end at multiples of ``slice_bytes``, so that a reader's neighbours find what they need;
they begin with the first byte that is wanted, so that nobody waits for bytes that he did not ask for. The first request
for a target goes out as it came: only its answer tells length and validator.

Implements: RFC 9110 sections 13.1.5, 14.2, 15.3.7; RFC 9111 sections 3.3, 3.4
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IReactorTime

from netsuite.common.body import BodyFailed
from netsuite.common.job import run
from netsuite.http.cache.cache import Cache
from netsuite.http.cache.content import Content
from netsuite.http.cache.decision import fresh_until
from netsuite.http.cache.partial import (
    as_whole,
    boundary_of,
    continues,
    current_of,
    extend,
    extent_of,
    is_of,
    keep_parts,
    missing_of,
    parts_of,
    range_field,
    strong_validator,
)
from netsuite.http.cache.purges import Purge
from netsuite.http.cache.sparse import Sparse
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field, StoredResponse
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.tags import tags_of
from netsuite.http.client import Fetched
from netsuite.http.proxy.flight import Flight, Reader
from netsuite.http.proxy.passage import Arrival
from netsuite.http.proxy.targets import Target
from netsuite.http.wire.messages import Request
from netsuite.sansio.spans import covers

__all__ = ["Slice", "Slices", "Wish"]


Name = tuple[Key, bytes, int, tuple["bytes | None", ...]]
"""One representation: its target, its strong validator, its length and what selects it."""


class Wish(NamedTuple):
    """A client's request as slices are fetched for it; ``generation`` is the target's when it was decided."""

    request: Request
    target: Target
    asked: Asked
    generation: int


class Slice:
    """A span on its way; the origin may answer with another span, which then counts.

    ``stored`` is the response that it is a part of, once its head has come brought up to date by that; the slice is
    its flight's ``response``.
    """

    __slots__ = ("first", "flight", "name", "stop", "stored")

    def __init__(self, name: Name, first: int, stop: int, flight: Flight, stored: StoredResponse) -> None:
        self.name = name
        self.first = first
        self.stop = stop
        self.flight = flight
        self.stored = stored


class Fetching(Protocol):
    """What slices need of the fetches that they are part of."""

    async def exchange(self, wish: Wish, fields: Sequence[Field]) -> tuple[Arrival, Fetched]:
        """The origin's response to a request with these conditions."""

    async def arrive(self, flight: Flight, wish: Wish, arrived: Arrival, fetched: Fetched) -> None:
        """What came is no part, but an answer of its own: do with it as with any other."""

    def has_room(self, length: int) -> bool:
        """Whether so many bytes may be kept while they arrive."""

    def keeping(self, flight: Flight, keeps: bool) -> None:
        """A flight keeps what arrives, or no longer."""

    def fell(self, flight: Flight, problem: BaseException) -> None:
        """A fetch ended in an exception."""


class Slices:
    """The slices that are under way.

    ``window`` is what a flight holds of a response that is not kept; at most ``waiters`` wait for one head.
    """

    def __init__(
        self,
        clock: IReactorTime,
        cache: Cache,
        fetching: Fetching,
        *,
        slice_bytes: int,
        window: int,
        waiters: int,
    ) -> None:
        self._clock = clock
        self._store = cache.store
        self._cache = cache
        self._fetching = fetching
        self._slice_bytes = slice_bytes
        self._window = window
        self._waiters = waiters
        self._under_way: dict[Name, list[Slice]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._under_way.values()))

    def purged(self, purge: Purge) -> None:
        """What is on its way for a purged target is for those who asked before."""
        for name, parts in list(self._under_way.items()):
            if purge.covers(name[0], tags_of(parts[0].stored.fields)):
                del self._under_way[name]

    # -- for answers

    def first(self, wish: Wish, stored: StoredResponse, *, joins: bool) -> tuple[Slice, bool]:
        """The slice that brings the first byte that a request misses, and whether it was begun for this request."""
        first, stop = missing_of(wish.asked, stored, self._clock.seconds())[0]
        known = self.over(wish, stored, first) if joins else None
        if known is not None:
            return known, False
        return self.depart(wish, stored, first, stop, answers=True, shared=joins), True

    def over(self, wish: Wish, stored: StoredResponse, position: int) -> Slice | None:
        """The slice under way that brings a byte."""
        for each in self._under_way.get(_name(wish, stored), ()):
            flight = each.flight
            if each.first <= position < each.stop and flight.joinable and flight.waiters < self._waiters:
                return each
        return None

    def held(self, wish: Wish, stored: StoredResponse) -> Content:
        """What is in the store of a representation by now."""
        current = current_of(self._store, wish.target.key, wish.asked, stored)
        return stored.content if current is None else current.content

    def depart(
        self, wish: Wish, stored: StoredResponse, first: int, stop: int, *, answers: bool = False, shared: bool = True
    ) -> Slice:
        """Begin to fetch from ``first`` on, up to ``stop`` or the slice's end, or to what is stored or under way.

        ``answers`` says that a client still waits for its answer, whatever that will be.
        """
        flight = Flight(self._clock, self._window, wish.target.key)
        name = _name(wish, stored)
        made = Slice(name, first, self._end(wish, stored, first, stop), flight, stored)
        flight.joinable = shared and self._current(wish)
        if flight.joinable:
            self._under_way.setdefault(name, []).append(made)
        fetching = self._bring(made, wish, stored, answers)
        job = run(fetching, lambda _: None, lambda problem: self._fetching.fell(flight, problem))
        flight.cancelled_by(job.cancel)
        return made

    def ahead(self, wish: Wish, stored: StoredResponse, first: int, stop: int) -> None:
        """Begin with what a reader will need next."""
        if (
            self._slice_bytes
            and first < stop
            and self._current(wish)
            and self._shareable(stored)
            and self._fetching.has_room(self._slice_bytes)
            and not covers(self.held(wish, stored).spans(), [(first, first + 1)])
            and self.over(wish, stored, first) is None
        ):
            self.depart(wish, stored, first, stop)

    def _end(self, wish: Wish, stored: StoredResponse, first: int, stop: int) -> int:
        size = stored.content.size
        if self._slice_bytes and size > self._slice_bytes:
            stop = min(size, (first // self._slice_bytes + 1) * self._slice_bytes)
        begun = [each.first for each in self._under_way.get(_name(wish, stored), ()) if each.flight.joinable]
        there = [begin for begin, _ in self.held(wish, stored).spans()]
        return min([stop, *(begin for begin in begun + there if begin > first)])

    def _current(self, wish: Wish) -> bool:
        return wish.generation == self._store.generation(wish.target.key)

    def _shareable(self, stored: StoredResponse) -> bool:
        return self._clock.seconds() < fresh_until(stored)

    # -- fetches

    async def _bring(self, part: Slice, wish: Wish, stored: StoredResponse, answers: bool) -> None:
        """Fetch one slice."""
        validator = strong_validator(stored)
        assert validator is not None
        try:
            condition = (b"if-range", validator)
            wanted = range_field((part.first, part.stop), stored.content.size)
            arrived, fetched = await self._fetching.exchange(wish, (wanted, condition))
            extent = continues(stored, arrived)
            if (
                extent is not None
                and extent.span[0] <= part.first < extent.span[1]
                and extent.span[1] - extent.span[0] <= self._store.object_limit
            ):
                part.first, part.stop = extent.span
                whole = as_whole(arrived)
                times = whole.request_time, whole.response_time
                part.stored = stored.freshened(whole.lines, wish.asked, *times).holding(self.held(wish, stored))
                await self._pour(part, wish, fetched, keeps=self._cache.may_store(*_of(wish), whole))
                return
        except BaseException:
            self._forget(part)
            raise
        self._forget(part)
        if arrived.status in (206, 304, 416) or (arrived.status == 200 and not is_of(stored, arrived.fields)):
            # another representation, or an origin that contradicts itself: what is stored is of no more use
            current = current_of(self._store, wish.target.key, wish.asked, stored)
            if current is not None and self._current(wish):
                self._store.drop(wish.target.key, current)
        if answers and arrived.status not in (206, 304, 416):
            await self._fetching.arrive(part.flight, wish, arrived, fetched)
            return
        await fetched.body.aclose()
        part.flight.settle()

    async def open(self, flight: Flight, wish: Wish, arrived: Arrival, fetched: Fetched) -> bool:
        """Store the 206 that answers a request's own ranges, while it is read; False if that is not to be."""
        whole, extent = as_whole(arrived), extent_of(arrived)
        length = arrived.length if extent is None else extent.span[1] - extent.span[0]
        fits = boundary_of(arrived) is not None if extent is None else extent.size is not None
        if not fits or not self._cache.may_store(*_of(wish), whole):
            return False
        if not (length is None or length <= self._store.object_limit) or not self._fetching.has_room(length or 0):
            return False
        if extent is not None and extent.size is not None:
            seen = StoredResponse(whole, Sparse(extent.size), ())
            if strong_validator(seen) is not None:
                opened = keep_parts(self._store, *_of(wish), whole, extent.size, (), wish.generation)
                if opened is None:
                    return False
                part = Slice(_name(wish, opened), *extent.span, flight, opened)
                if not wish.asked.authorized:
                    self._under_way.setdefault(part.name, []).append(part)
                await self._pour(part, wish, fetched, keeps=True)
                return True
        await self._pour_through(flight, wish, arrived, fetched)
        return True

    async def _pour_through(self, flight: Flight, wish: Wish, arrived: Arrival, fetched: Fetched) -> None:
        """Hand over a 206 as it came, and store what it brought: several parts, or one that cannot be combined."""
        flight.share(arrived, arrived.length, False)
        self._fetching.keeping(flight, True)
        try:
            async for chunk in fetched.body:
                flight.add(chunk)
                if flight.keeping and flight.arrived > self._store.object_limit:
                    flight.narrow()
                if not flight.keeping:
                    if not flight.attended:
                        raise BodyFailed("nobody reads it, and it is not stored")
                    await flight.room()
        except BodyFailed as failed:
            flight.break_off(str(failed))
            return
        except BaseException:
            flight.break_off("the fetch was given up")
            raise
        finally:
            self._fetching.keeping(flight, False)
            await fetched.body.aclose()
        content = flight.content() if flight.keeping else None
        found = parts_of(arrived, content) if content is not None else None
        if found is not None:
            key, asked = _of(wish)
            keep_parts(self._store, key, asked, *found, wish.generation)
        flight.end(fetched.body.trailers, content)

    async def _pour(self, part: Slice, wish: Wish, fetched: Fetched, *, keeps: bool) -> None:
        """Let readers have a slice while it arrives, and store what came of it."""
        flight, stored, length = part.flight, part.stored, part.stop - part.first
        store, key, asked, generation = self._store, wish.target.key, wish.asked, wish.generation
        if keeps:
            extend(store, key, asked, stored, (), generation)
        elif self._current(wish) and (known := current_of(store, key, asked, stored)) is not None:
            store.drop(key, known)
        joinable = flight.joinable and keeps and self._shareable(stored) and not asked.authorized
        flight.share(part, length, joinable)
        keeps = keeps and self._fetching.has_room(length)
        keeper: Reader | None = None
        if not keeps:
            flight.narrow()
        elif length <= self._slice_bytes:
            keeper = flight.reader()  # what is left of one slice is fetched whoever leaves: its neighbours will want it
        self._fetching.keeping(flight, keeps)
        content = b""
        try:
            async for chunk in fetched.body:
                if flight.arrived + len(chunk) > length:
                    keeps = False
                    raise BodyFailed("the origin sent more than its Content-Range says")
                flight.add(chunk)
                if not flight.keeping:
                    if not flight.attended:
                        raise BodyFailed("nobody reads it, and it is not stored")
                    await flight.room()
            if flight.arrived < length:
                keeps = False
                raise BodyFailed("the origin sent less than its Content-Range says")
        except BodyFailed as failed:
            flight.break_off(str(failed))
        except BaseException:
            flight.break_off("the fetch was given up")
            raise
        finally:
            self._fetching.keeping(flight, False)
            self._forget(part)
            if keeps and flight.arrived:
                content = flight.content()
                came = (part.first, part.first + len(content))
                extend(store, key, asked, stored, [(came, content)], generation)
            if flight.trouble is None and flight.arrived == length:
                flight.end((), content if keeps else None)
            if keeper is not None:
                flight.leave(keeper)
            await fetched.body.aclose()

    def _forget(self, part: Slice) -> None:
        """A slice is not under way any more, or not as one."""
        parts = self._under_way.get(part.name)
        if parts is not None and part in parts:
            parts.remove(part)
            if not parts:
                del self._under_way[part.name]


def _name(wish: Wish, stored: StoredResponse) -> Name:
    return wish.target.key, strong_validator(stored) or b"", stored.content.size, stored.selection


def _of(wish: Wish) -> tuple[Key, Asked]:
    return wish.target.key, wish.asked
