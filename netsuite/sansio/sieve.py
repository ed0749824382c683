"""A map with a byte budget that keeps what was used since a moving hand last passed: SIEVE.

Entries stand in the order in which they came. The hand walks from the oldest to the youngest, spares what was used and
takes away its mark, and forgets the first that was not; it stays where it was. A use moves nothing.
(Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is simpler than LRU", NSDI 2024.)

Known weakness: one pass over many keys can drive out what was not used since the hand passed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Sieve"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Node(Generic[K, V]):
    """An entry in its line; ``younger`` and ``older`` are None at the ends."""

    __slots__ = ("key", "older", "size", "used", "value", "younger")

    def __init__(self, key: K, value: V, size: int) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.used = False
        self.younger: _Node[K, V] | None = None
        self.older: _Node[K, V] | None = None


class Sieve(Generic[K, V]):
    """See :class:`netsuite.sansio.budgeted.BudgetedMap`."""

    __slots__ = ("_entries", "_hand", "_oldest", "_on_evict", "_youngest", "budget", "bytes", "evictions")

    def __init__(self, budget: int, on_evict: Callable[[K, V], object] | None = None) -> None:
        self.budget = budget
        self.bytes = 0
        self.evictions = 0
        self._entries: dict[K, _Node[K, V]] = {}
        self._youngest: _Node[K, V] | None = None
        self._oldest: _Node[K, V] | None = None
        self._hand: _Node[K, V] | None = None
        self._on_evict = on_evict

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """The value of a key, which the hand will spare once."""
        node = self._entries.get(key)
        if node is None:
            return None
        node.used = True
        return node.value

    def touch(self, key: K, times: int = 1) -> bool:
        """Have the hand spare a key once; False if it is not there."""
        node = self._entries.get(key)
        if node is None:
            return False
        node.used = True
        return True

    def put(self, key: K, value: V, size: int) -> bool:
        """Hold a value as the youngest, forgetting others for it; False if it is larger than the whole budget.

        A key that is there already keeps its place and its mark, unless it grew.
        """
        if size < 1:
            raise ValueError("the size of an entry is at least 1")
        node = self._entries.get(key)
        if node is not None:
            if size <= node.size:
                self.bytes -= node.size - size
                node.value, node.size = value, size
                return True
            self.discard(key)
        if size > self.budget:
            return False
        while self.bytes + size > self.budget:
            self._forget_one()
        made = _Node(key, value, size)
        made.used = node is not None and node.used
        made.older = self._youngest
        if self._youngest is not None:
            self._youngest.younger = made
        else:
            self._oldest = made
        self._youngest = self._entries[key] = made
        self.bytes += size
        return True

    def discard(self, key: K) -> bool:
        """Drop a key; False if it was not there."""
        node = self._entries.get(key)
        if node is None:
            return False
        self._unlink(node)
        return True

    def _forget_one(self) -> None:
        node = self._hand or self._oldest
        while node is not None and node.used:
            node.used = False
            node = node.younger or self._oldest
        assert node is not None
        self._hand = node
        self._unlink(node)
        self.evictions += 1
        if self._on_evict is not None:
            self._on_evict(node.key, node.value)

    def _unlink(self, node: _Node[K, V]) -> None:
        if self._hand is node:
            # None is the beginning: the oldest
            self._hand = node.younger
        if node.older is not None:
            node.older.younger = node.younger
        else:
            self._oldest = node.younger
        if node.younger is not None:
            node.younger.older = node.older
        else:
            self._youngest = node.older
        del self._entries[node.key]
        self.bytes -= node.size
