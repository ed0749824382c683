"""The store: responses by target and variant, in memory within a budget of bytes, and in a tier below it.

What is kept and what goes is S3-FIFO's choice, variant by variant. Purging a target takes every
variant at once, and a *generation* tells fetches that began before it that what they bring is
too old to be stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from netsuite.http.cache.stored import StoredResponse
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["Key", "LowerTier", "Store"]

Key = bytes
"""A target: ``scheme://authority/path?query``, host in lower case, the default port left out."""

VariantKey = tuple[Key, tuple[bytes, ...], tuple["bytes | None", ...]]

_VARIANTS_AT_MOST: Final = 64
_COST_OF_ONE: Final = 1200
"""Bytes that an entry costs beside its body, fields and key."""

_GENERATIONS: Final = 65536


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

    def use(self, stored: StoredResponse) -> None:
        """Something was used."""

    def clear(self) -> None:
        """Nothing must be used any more."""


class Store:
    """Stored responses.

    ``budget`` is in bytes, as is ``object_limit``, the largest body that is kept. ``purges`` and ``stores`` count.
    ``on_purge`` and ``on_end`` may be set to be told of every purge, and of every response whose use has ended,
    ``lower`` to a tier below.
    """

    def __init__(self, budget: int, object_limit: int) -> None:
        self.object_limit = min(object_limit, budget // 2)
        self.on_purge: Callable[[Key], object] = lambda key: None
        self.on_end: Callable[[StoredResponse], object] = lambda stored: None
        self.lower: LowerTier | None = None
        self.purges = 0
        self.stores = 0
        self._targets: dict[Key, list[StoredResponse]] = {}
        self._entries: S3Fifo[VariantKey, StoredResponse] = S3Fifo(budget, self._evicted)
        self._generations: dict[Key, int] = {}
        self._generation = 0
        self._oldest = 0

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

    def lookup(self, key: Key) -> Sequence[StoredResponse]:
        """All variants of a target; see :meth:`prepare`."""
        variants: Sequence[StoredResponse] = self._targets.get(key, ())
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
        return self.lower.fetch(key, self._targets.get(key, ()), self._adopt)

    def use(self, stored: StoredResponse) -> None:
        """Count a use, for the eviction."""
        entry = self._entries.find((stored.key, stored.vary, stored.selection))
        if entry is not None:
            entry.uses += 1
        if self.lower is not None:
            self.lower.use(stored)

    def generation(self, key: Key) -> int:
        """A number that changes when a target is purged; take it before a fetch, hand it back with what came."""
        return self._generations.get(key, self._oldest)

    def put(self, key: Key, stored: StoredResponse, generation: int) -> bool:
        """Keep a response in place of the variant that the same request would select; False if it is not kept."""
        if generation != self.generation(key):
            return False
        if stored.content.cost > self.object_limit:
            return False
        variants = self.lookup(key)
        replaced: Sequence[StoredResponse] = ()
        if variants:
            if variants[-1].vary != stored.vary:
                # the origin changed what selects: older variants would be found by rules that hold no more
                self._drop(key, [each for each in variants if each.vary != stored.vary])
            replaced = [each for each in variants if each.selection == stored.selection and each.vary == stored.vary]
            self._forget(key, replaced)
            if not replaced:
                self._drop(key, variants[: max(0, len(variants) - _VARIANTS_AT_MOST + 1)])
        stored.key = key
        if not self._enter(stored):
            self._drop(key, replaced)
            return False
        self.stores += 1
        if self.lower is not None:
            self.lower.keep(key, stored)
        return True

    def drop(self, key: Key, stored: StoredResponse) -> None:
        """Forget one variant."""
        self._drop(key, [stored])

    def purge(self, key: Key) -> int:
        """Forget every variant of a target, and whatever is being fetched for it; how many there were."""
        variants = list(self._targets.get(key, ()))
        below = self.lower.purge(key) if self.lower is not None else 0
        self._forget(key, variants)
        self._generation += 1
        if len(self._generations) >= _GENERATIONS:
            # forgotten generations count as changed: fetches that are under way are then not stored
            self._generations.clear()
            self._oldest = self._generation
        self._generations[key] = self._generation
        self.purges += 1
        self.on_purge(key)
        return max(len(variants), below)

    def clear(self) -> None:
        """Forget everything."""
        gone = [stored for variants in self._targets.values() for stored in variants]
        if self.lower is not None:
            self.lower.clear()
        self._targets.clear()
        self._entries.clear()
        self._generation += 1
        self._generations.clear()
        self._oldest = self._generation
        for stored in gone:
            self._end(stored)

    def _end(self, stored: StoredResponse) -> None:
        stored.alive = False
        self.on_end(stored)

    def _enter(self, stored: StoredResponse) -> bool:
        """Hold a response in memory; False if it is too large."""
        key = stored.key
        size = _COST_OF_ONE + len(key) + stored.content.cost + sum(len(n) + len(v) + 130 for n, v in stored.fields)
        if not self._entries.put((key, stored.vary, stored.selection), stored, size):
            return False
        self._targets.setdefault(key, []).append(stored)
        return True

    def _adopt(self, stored: StoredResponse) -> None:
        """Hold what came from below, if there is room, and no other of its kind."""
        variant = (stored.key, stored.vary, stored.selection)
        if stored.content.cost <= self.object_limit and self._entries.find(variant) is None:
            self._enter(stored)

    def _drop(self, key: Key, stored: Sequence[StoredResponse]) -> None:
        if self.lower is not None:
            for each in stored:
                self.lower.drop(each)
        self._forget(key, stored)

    def _forget(self, key: Key, stored: Sequence[StoredResponse]) -> None:
        for each in stored:
            if each.alive:
                self._entries.discard((key, each.vary, each.selection))
                self._evicted((key, each.vary, each.selection), each)

    def _evicted(self, variant: VariantKey, stored: StoredResponse) -> None:
        self._end(stored)
        key = variant[0]
        variants = self._targets.get(key)
        if variants is not None:
            if stored in variants:
                variants.remove(stored)
            if not variants:
                del self._targets[key]
