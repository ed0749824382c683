"""A map with a byte budget that weighs uses against size: Greedy-Dual-Size with frequency (GDSF).

What an entry is worth is ``age + uses / size``; the least worth is forgotten, and the age becomes its worth, so that
what was popular once does not stay for ever. Many small objects are kept in place of few large ones: most requests are
answered, fewer bytes are. (Cherkasova: "Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching
policy", 1998.)

A use costs two additions. Every entry has one place in a heap, by what it was worth when it was put there: since it is
worth more with every use, what comes up first is put back with its present worth, until one comes up that is worth no
more than that. Places of entries that were discarded are swept out when they are as many as the entries.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

__all__ = ["Gdsf"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_TOLERATED: Final = 64


class _Entry(Generic[K, V]):
    """What is held; ``used`` numbers its last use."""

    __slots__ = ("key", "size", "used", "uses", "value", "worth")

    def __init__(self, key: K, value: V, size: int, uses: int) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.uses = uses
        self.worth = 0.0
        self.used = 0


class Gdsf(Generic[K, V]):
    """See :class:`netsuite.sansio.budgeted.BudgetedMap`. Of entries that are worth the same, the older use goes."""

    __slots__ = ("_age", "_entries", "_heap", "_on_evict", "_uses", "budget", "bytes", "evictions")

    def __init__(self, budget: int, on_evict: Callable[[K, V], object] | None = None) -> None:
        self.budget = budget
        self.bytes = 0
        self.evictions = 0
        self._age = 0.0
        self._uses = 0
        self._entries: dict[K, _Entry[K, V]] = {}
        self._heap: list[tuple[float, int, _Entry[K, V]]] = []
        self._on_evict = on_evict

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """The value of a key, which is worth more thereby."""
        return self._entries[key].value if self.touch(key) else None

    def touch(self, key: K, times: int = 1) -> bool:
        """Make a key worth more; False if it is not there."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        entry.uses += times
        self._value(entry)
        return True

    def put(self, key: K, value: V, size: int) -> bool:
        """Hold a value, forgetting what is worth least for it; False if it is larger than the whole budget."""
        if size < 1:
            raise ValueError("the size of an entry is at least 1")
        known = self._entries.get(key)
        self.discard(key)
        if size > self.budget:
            return False
        while self.bytes + size > self.budget:
            _, used, entry = heappop(self._heap)
            if self._entries.get(entry.key) is not entry:
                continue
            if entry.used != used:
                heappush(self._heap, (entry.worth, entry.used, entry))
                continue
            self._age = entry.worth
            del self._entries[entry.key]
            self.bytes -= entry.size
            self.evictions += 1
            if self._on_evict is not None:
                self._on_evict(entry.key, entry.value)
        made = _Entry(key, value, size, 1 if known is None else known.uses)
        self._entries[key] = made
        self.bytes += size
        self._value(made)
        if len(self._heap) > 2 * len(self._entries) + _TOLERATED:
            self._heap = [(each.worth, each.used, each) for each in self._entries.values()]
            heapify(self._heap)
        else:
            heappush(self._heap, (made.worth, made.used, made))
        return True

    def discard(self, key: K) -> bool:
        """Drop a key; False if it was not there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self.bytes -= entry.size
        return True

    def _value(self, entry: _Entry[K, V]) -> None:
        self._uses += 1
        entry.used = self._uses
        entry.worth = self._age + entry.uses / entry.size
