"""The store: responses by target and variant, in memory within a budget of bytes, and in a tier below it; its purges.

What is kept and what goes is the choice of a policy, variant by variant. A purge holds from the moment it is asked
for, for what is stored and for what is being fetched (:mod:`netsuite.http.cache.purges`). A target goes at once with
all its variants, what has a tag at once by the index of tags. A prefix, or a tag of more than a thousand responses,
becomes a :class:`Sweep`: while one is under way, a look-up also compares what it finds with the sweeps that are
pending, of which there are at most 64 and to each response once; :meth:`Store.sweep` ends them in slices. A *soft*
purge makes stale instead of forgetting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, Final, Protocol

from netsuite.http.cache.purges import Purge, PurgeLog
from netsuite.http.cache.stored import StoredResponse
from netsuite.http.cache.tags import TagIndex
from netsuite.sansio.budgeted import BudgetedMap
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["Key", "LowerTier", "Store", "Sweep"]

Key = bytes
"""A target: ``scheme://authority/path?query``, host in lower case, the default port left out."""

VariantKey = Key | tuple[Key, tuple[bytes, ...], tuple["bytes | None", ...]]
"""A target, with what selects where its responses vary."""

_VARIANTS_AT_MOST: Final = 64
_COST_OF_ONE: Final = 1000
"""Bytes that an entry costs beside its body, fields and key."""

_AT_ONCE: Final = 1000
"""Responses that a purge by tag ends while its caller waits; it takes some 3 microseconds for each."""

_SWEEPS_AT_MOST: Final = 64


def _variant(key: Key, stored: StoredResponse) -> VariantKey:
    return (key, stored.vary, stored.selection) if stored.vary else key


class Sweep:
    """A purge that is under way in slices: what it covers is not used any more, ``gone`` counts how many that were."""

    __slots__ = ("done", "gone", "members", "number", "purge")

    def __init__(self, purge: Purge, number: int, members: set[StoredResponse] | None) -> None:
        self.purge = purge
        self.number = number
        self.members = members
        self.gone = 0
        self.done = False

    def covers(self, stored: StoredResponse) -> bool:
        """Whether a stored response has to go."""
        return self.purge.covers(stored.key, ()) if self.members is None else stored in self.members


class LowerTier(Protocol):
    """A larger and slower store: it is told of all that is stored, and asked for what memory does not hold."""

    def find(self, key: Key, present: Sequence[StoredResponse]) -> Sequence[StoredResponse]:
        """The variants of a target that lie there and are not among those present, waited for if need be."""

    def fetch(
        self, key: Key, present: Sequence[StoredResponse], adopt: Callable[[StoredResponse], object]
    ) -> Awaitable[object] | None:
        """Hand over the same; None if nothing has to be waited for."""

    def keep(self, key: Key, stored: StoredResponse) -> None:
        """Something was stored."""

    def drop(self, stored: StoredResponse) -> None:
        """One variant must not be used any more."""

    def purge(self, key: Key) -> int:
        """A whole target must not, now and after a crash; how many variants lay there."""

    def purged(self, purge: Purge) -> None:
        """What a purge covers, of what is there now, must not, or is stale; now and after a crash."""

    def use(self, stored: StoredResponse) -> None:
        """Something was used."""

    def clear(self) -> None:
        """Nothing must be used any more."""


class Store:
    """Stored responses.

    ``budget`` is in bytes, as is ``object_limit``, the largest body that is kept; ``policy`` makes the map that chooses
    what to forget. ``purges`` and ``stores`` count. ``on_purge`` may be set to be told of every purge, ``on_sweep`` of
    one that goes on in slices, ``on_end`` of every response whose use has ended, ``on_use`` of uses (a new response's
    first included), and ``before_put`` to bring in uses that were counted elsewhere before anything is evicted.
    ``lower`` may be set to a tier below; how many responses of a prefix or a tag lie only there, no purge tells.
    """

    def __init__(
        self,
        budget: int,
        object_limit: int,
        policy: Callable[[int, Callable[[Any, Any], object]], BudgetedMap[Any, Any]] = S3Fifo,
    ) -> None:
        self.budget = budget
        self.object_limit = min(object_limit, budget // 2)
        self.on_purge: Callable[[Purge], object] = lambda purge: None
        self.on_sweep: Callable[[], object] = lambda: None
        self.on_end: Callable[[StoredResponse], object] = lambda stored: None
        self.on_use: Callable[[StoredResponse, int], object] | None = None
        self.lower: LowerTier | None = None
        self.before_put: Callable[[], object] = lambda: None
        self.purges = 0
        self.stores = 0
        self._targets: dict[Key, tuple[StoredResponse, ...]] = {}
        self._entries: BudgetedMap[VariantKey, StoredResponse] = policy(budget, self._evicted)
        self._tags: TagIndex[StoredResponse] = TagIndex()
        self._log = PurgeLog()
        self._sweeps: list[Sweep] = []
        self._walk: Iterator[Key] | None = None
        self._walked_for = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._entries.bytes

    @property
    def evictions(self) -> int:
        """How many responses were forgotten for want of room."""
        return self._entries.evictions

    @property
    def tags(self) -> int:
        """How many names of groups are indexed."""
        return len(self._tags)

    def targets(self) -> list[Key]:
        """The targets of which something is stored."""
        return list(self._targets)

    def lookup(self, key: Key) -> Sequence[StoredResponse]:
        """All variants of a target; see :meth:`prepare`."""
        variants: Sequence[StoredResponse] = self._held(key)
        if self.lower is not None:
            found = self.lower.find(key, variants)
            if found:
                # those for which memory has no room are used once
                variants = [*variants, *found]
                for stored in found:
                    self._adopt(stored)
                variants = [each for each in variants if each.alive]
        return variants

    def prepare(self, key: Key) -> Awaitable[object] | None:
        """Bring what lies below to where :meth:`lookup` finds it at once; None if nothing has to be waited for."""
        if self.lower is None:
            return None
        return self.lower.fetch(key, self._held(key), self._adopt)

    def use(self, stored: StoredResponse, times: int = 1) -> None:
        """Count uses, for the eviction."""
        self._entries.touch(_variant(stored.key, stored), times)
        if self.lower is not None:
            self.lower.use(stored)
        if self.on_use is not None:
            self.on_use(stored, times)

    def generation(self, key: Key) -> int:
        """A number that changes when something is purged; take it before a fetch, hand it back with what came."""
        return self._log.number

    def put(self, key: Key, stored: StoredResponse, generation: int) -> bool:
        """Keep a response in place of the variant that the same request would select; False if it is not kept.

        That is if it is too large, or if a purge since ``generation`` covers it.
        """
        if self._log.covered(key, stored.tags, generation):
            return False
        if not self._fits(stored):
            return False
        variants = self.lookup(key)
        replaced: StoredResponse | None = None
        if variants:
            if variants[-1].vary != stored.vary:
                # the origin changed what selects: older variants would be found by rules that hold no more
                self._drop(key, [each for each in variants if each.vary != stored.vary])
            like = (each for each in variants if each.selection == stored.selection and each.vary == stored.vary)
            replaced = next(like, None)
            if replaced is not None:
                # its place in the queues stays, with the uses that it has earned
                self._ended(key, replaced)
            else:
                self._drop(key, variants[: max(0, len(variants) - _VARIANTS_AT_MOST + 1)])
        stored.key = key
        if not self._enter(stored):
            if replaced is not None and self.lower is not None:
                self.lower.drop(replaced)
            return False
        self.stores += 1
        if self.lower is not None:
            self.lower.keep(key, stored)
        if self.on_use is not None:
            self.on_use(stored, 1)
        return True

    def drop(self, key: Key, stored: StoredResponse) -> None:
        """Forget one variant."""
        self._drop(key, [stored])

    # -- purges; with ``soft_at`` (the moment) what they cover is made stale instead of being forgotten

    def purge(self, key: Key, soft_at: float | None = None) -> int:
        """Forget every variant of a target, and whatever is being fetched for it; how many there were."""
        purge = Purge(key=key, soft_at=soft_at)
        self._noted(purge)
        below = 0
        if self.lower is not None and soft_at is None:
            below = self.lower.purge(key)
        elif self.lower is not None:
            self.lower.purged(purge)
        return max(below, sum(self._strike(each, soft_at) for each in self._held(key)))

    def purge_tags(self, origin: bytes | None, tags: Collection[bytes], soft_at: float | None = None) -> int:
        """Forget what an origin (``scheme://authority``; or any, if None) gave one of these names; how many."""
        purge = Purge(tags=frozenset(tags), origin=origin, soft_at=soft_at)
        number = self._noted(purge)
        if self.lower is not None:
            self.lower.purged(purge)
        if self._sweeps:
            for key in {stored.key for stored in self._tags.members(origin, purge.tags)}:
                self._swept(key)
        members = self._tags.members(origin, purge.tags)
        if len(members) > _AT_ONCE and len(self._sweeps) < _SWEEPS_AT_MOST:
            self._begin(Sweep(purge, number, members))
            return len(members)
        return sum(self._strike(each, soft_at) for each in members)

    def purge_groups(self, origin: bytes, groups: Collection[bytes]) -> int:
        """Forget what an origin put into one of these groups; how many there were (RFC 9875)."""
        return self.purge_tags(origin, groups)

    def purge_prefix(self, prefix: Key, soft_at: float | None = None) -> Sweep | None:
        """Forget all targets that begin so; an empty prefix is all there are. None while too many are under way.

        It holds at once; call :meth:`sweep` until the answer is ``done``, which then says how many there were.
        """
        if len(self._sweeps) >= _SWEEPS_AT_MOST:
            return None
        purge = Purge(prefix=prefix, soft_at=soft_at)
        sweep = Sweep(purge, self._noted(purge), None)
        if self.lower is not None:
            self.lower.purged(purge)
        self._begin(sweep)
        return sweep

    def sweep(self, targets: int = 256) -> bool:
        """Do a slice of what purges left to do; whether there is more."""
        if not self._sweeps:
            return False
        if self._walk is None:
            self._walked_for = len(self._sweeps)
            members = [each.members for each in self._sweeps]
            if None in members:
                self._walk = iter(list(self._targets))
            else:
                self._walk = iter(list({stored.key for some in members for stored in some or ()}))
        for _ in range(targets):
            key = next(self._walk, None)
            if key is None:
                for ended in self._sweeps[: self._walked_for]:
                    ended.done = True
                del self._sweeps[: self._walked_for]
                self._walk = None
                break
            self._swept(key)
        return bool(self._sweeps)

    def clear(self) -> None:
        """Forget everything at once."""
        self._noted(Purge(prefix=b""))
        gone = [stored for variants in self._targets.values() for stored in variants]
        if self.lower is not None:
            self.lower.clear()
        for stored in gone:
            self._forget(stored.key, [stored])

    def _noted(self, purge: Purge) -> int:
        number = self._log.note(purge)
        self.purges += 1
        self.on_purge(purge)
        return number

    def _begin(self, sweep: Sweep) -> None:
        self._sweeps.append(sweep)
        self.on_sweep()

    def _held(self, key: Key) -> Sequence[StoredResponse]:
        """What memory has of a target."""
        variants = self._targets.get(key, ())
        return self._swept(key) if self._sweeps and variants else variants

    def _enter(self, stored: StoredResponse) -> bool:
        """Hold a response in memory; False if it is too large."""
        self.before_put()
        key = stored.key
        stored.survived = self._log.number
        stored.cost = _COST_OF_ONE + len(key) + stored.content.cost + stored.field_bytes + self._tags.cost(stored.tags)
        if not self._entries.put(_variant(key, stored), stored, stored.cost):
            return False
        self._targets[key] = (*self._targets.get(key, ()), stored)
        self._tags.add(stored)
        return True

    def _adopt(self, stored: StoredResponse) -> None:
        """Hold what came from below, if there is room, and no other of its kind."""
        if self._fits(stored) and _variant(stored.key, stored) not in self._entries:
            self._enter(stored)

    def _fits(self, stored: StoredResponse) -> bool:
        """Whether it is not too large for memory: by its length, or by what of it is held there."""
        return min(stored.content.cost, stored.content.size) <= self.object_limit

    def _swept(self, key: Key) -> Sequence[StoredResponse]:
        """What is left of a target's variants by the sweeps that are pending."""
        newest = self._sweeps[-1].number
        for stored in self._targets.get(key, ()):
            if stored.survived >= newest:
                continue
            meant = [each for each in self._sweeps if stored.survived < each.number and each.covers(stored)]
            stored.survived = newest
            if meant:
                # what is to be forgotten by one and made stale by another is forgotten
                sweep = next((each for each in meant if each.purge.soft_at is None), meant[0])
                sweep.gone += self._strike(stored, sweep.purge.soft_at)
        return self._targets.get(key, ())

    def _strike(self, stored: StoredResponse, soft_at: float | None) -> bool:
        """End a response, or make it stale."""
        if soft_at is None:
            self._forget(stored.key, [stored])
            return True
        stale = stored.stale_from(soft_at)
        if stale is None:
            return False
        stale.survived = self._log.number
        self._targets[stored.key] = tuple(stale if each is stored else each for each in self._targets[stored.key])
        self._entries.put(_variant(stored.key, stored), stale, stored.cost)
        self._tags.discard(stored)
        self._tags.add(stale)
        self._end(stored)
        return True

    def _drop(self, key: Key, stored: Sequence[StoredResponse]) -> None:
        if self.lower is not None:
            for each in stored:
                self.lower.drop(each)
        self._forget(key, stored)

    def _forget(self, key: Key, stored: Sequence[StoredResponse]) -> None:
        for each in stored:
            if each.alive:
                self._entries.discard(_variant(key, each))
                self._ended(key, each)

    def _evicted(self, variant: VariantKey, stored: StoredResponse) -> None:
        self._ended(stored.key, stored)

    def _ended(self, key: Key, stored: StoredResponse) -> None:
        """A response that holds no place any more."""
        self._end(stored)
        self._tags.discard(stored)
        variants = self._targets.get(key)
        if variants is not None:
            left = tuple(each for each in variants if each is not stored)
            if left:
                self._targets[key] = left
            else:
                del self._targets[key]

    def _end(self, stored: StoredResponse) -> None:
        stored.alive = False
        self.on_end(stored)
