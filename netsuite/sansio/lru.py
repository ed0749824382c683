"""A map with a byte budget that forgets what has not been used for longest: exact LRU.

The measure of all others, and what most caches do. Every use moves its entry, and one pass over many keys drives out
everything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Lru"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """See :class:`netsuite.sansio.budgeted.BudgetedMap`."""

    __slots__ = ("_entries", "_on_evict", "budget", "bytes", "evictions")

    def __init__(self, budget: int, on_evict: Callable[[K, V], object] | None = None) -> None:
        self.budget = budget
        self.bytes = 0
        self.evictions = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._on_evict = on_evict

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """The value of a key, which becomes the youngest."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def touch(self, key: K, times: int = 1) -> bool:
        """Make a key the youngest; False if it is not there."""
        if key not in self._entries:
            return False
        self._entries.move_to_end(key)
        return True

    def put(self, key: K, value: V, size: int) -> bool:
        """Hold a value as the youngest, forgetting the oldest for it; False if it is larger than the whole budget."""
        if size < 1:
            raise ValueError("the size of an entry is at least 1")
        self.discard(key)
        if size > self.budget:
            return False
        while self.bytes + size > self.budget:
            oldest, (gone, freed) = self._entries.popitem(last=False)
            self.bytes -= freed
            self.evictions += 1
            if self._on_evict is not None:
                self._on_evict(oldest, gone)
        self._entries[key] = (value, size)
        self.bytes += size
        return True

    def discard(self, key: K) -> bool:
        """Drop a key; False if it was not there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self.bytes -= entry[1]
        return True
