"""A map with a byte budget that forgets what is least asked for: S3-FIFO.

New entries enter a *small* queue (a tenth of the budget). What is asked for twice there moves to the *main* queue,
the rest is forgotten but for its hash, in a bounded *ghost* queue: a key that comes back while its ghost stands goes
to main at once. So one pass over many keys never drives out what is popular, and a hit moves nothing.
(Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023.)

Hot paths look up without a call into this module, a dict lookup and one attribute write::

    find = cache.find                  # once
    entry = find(key)                  # for each request
    if entry is not None:
        entry.uses += 1
        answer = entry.value

and count hits and misses themselves; :meth:`S3Fifo.get` does the same and counts. An entry is to be read at once, not
kept: one that is dropped later loses its value.

Known weakness: a ghost costs some 190 bytes that are not part of the budget; the sizes of what they stand for sum to
at most the budget.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar, overload

__all__ = ["Entry", "S3Fifo"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")

_GONE: Final = 0
_SMALL: Final = 1
_MAIN: Final = 2

_MOST_USES: Final = 3
"""More uses than these do not keep an entry longer."""

_USES_FOR_MAIN: Final = 2
_TOLERATED_GONE: Final = 64


class Entry(Generic[K, V]):
    """What the map holds under a key; whoever reads ``value`` adds one to ``uses``."""

    __slots__ = ("key", "queue", "size", "uses", "value")

    def __init__(self, key: K, value: V, size: int, queue: int) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.uses = 0
        self.queue = queue


class S3Fifo(Generic[K, V]):
    """A map whose entries' sizes never sum to more than ``budget`` bytes.

    A size is what the caller says an entry costs, at least 1; it should count the key and some 200 bytes of
    bookkeeping. ``on_evict(key, value)`` is told what was forgotten for want of room (not what was replaced, popped
    or discarded); it may call :meth:`discard` and :meth:`pop`, not :meth:`put`. ``bytes``, ``hits``, ``misses`` and
    ``evictions`` are for reading.
    """

    __slots__ = (
        "_entries",
        "_ghost",
        "_ghost_bytes",
        "_gone",
        "_main",
        "_on_evict",
        "_small",
        "_small_budget",
        "_small_bytes",
        "budget",
        "bytes",
        "evictions",
        "find",
        "hits",
        "misses",
    )

    def __init__(self, budget: int, on_evict: Callable[[K, V], object] | None = None) -> None:
        self.budget = budget
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._entries: dict[K, Entry[K, V]] = {}
        self.find: Callable[[K], Entry[K, V] | None] = self._entries.get
        self._small: deque[Entry[K, V]] = deque()
        self._main: deque[Entry[K, V]] = deque()
        self._gone = 0  # entries in the queues that were discarded
        self._small_bytes = 0
        self._small_budget = budget // 10
        self._ghost: OrderedDict[int, int] = OrderedDict()  # hash of a key: size
        self._ghost_bytes = 0
        self._on_evict = on_evict

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def items(self) -> Iterator[tuple[K, V]]:
        """Keys and values, in no order that means anything; counts as no use."""
        return ((key, entry.value) for key, entry in self._entries.items())

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: object = None) -> object:
        """The value of a key; counts a hit or a miss."""
        entry = self.find(key)
        if entry is None:
            self.misses += 1
            return default
        entry.uses += 1
        self.hits += 1
        return entry.value

    def touch(self, key: K, times: int = 1) -> bool:
        """Count uses of a key; False if it is not there. Counts neither hit nor miss."""
        entry = self.find(key)
        if entry is None:
            return False
        entry.uses += times
        return True

    def put(self, key: K, value: V, size: int) -> bool:
        """Hold a value, forgetting others for it; False if it is larger than the whole budget (and not held)."""
        if size < 1:
            raise ValueError("the size of an entry is at least 1")
        entry = self.find(key)
        if size > self.budget:
            if entry is not None:
                self._remove(entry)
            return False
        if entry is None:
            self._make_room(size)
            known = self._ghost.pop(hash(key), None)
            if known is None:
                self._append(Entry(key, value, size, _SMALL))
            else:
                self._ghost_bytes -= known
                self._append(Entry(key, value, size, _MAIN))
        elif size > entry.size:  # leaves its queue first, so that it is not itself what has to go
            grown = Entry(key, value, size, entry.queue)
            grown.uses = entry.uses
            self._remove(entry)
            self._make_room(size)
            self._append(grown)
        else:
            entry.value = value
            self.bytes -= entry.size - size
            if entry.queue == _SMALL:
                self._small_bytes -= entry.size - size
            entry.size = size
        return True

    def discard(self, key: K) -> bool:
        """Drop a key; False if it was not there."""
        entry = self.find(key)
        if entry is None:
            return False
        self._remove(entry)
        return True

    @overload
    def pop(self, key: K) -> V | None: ...
    @overload
    def pop(self, key: K, default: D) -> V | D: ...
    def pop(self, key: K, default: object = None) -> object:
        """Drop a key and hand its value over; counts neither hit nor miss."""
        entry = self.find(key)
        if entry is None:
            return default
        value = entry.value
        self._remove(entry)
        return value

    def clear(self) -> None:
        """Drop everything, ghosts too; the counters stay."""
        for entry in self._entries.values():
            entry.queue = _GONE
        self._entries.clear()
        self._small.clear()
        self._main.clear()
        self._ghost.clear()
        self.bytes = self._small_bytes = self._ghost_bytes = self._gone = 0

    def _append(self, entry: Entry[K, V]) -> None:
        if entry.queue == _SMALL:
            self._small.append(entry)
            self._small_bytes += entry.size
        else:
            self._main.append(entry)
        self._entries[entry.key] = entry
        self.bytes += entry.size

    def _make_room(self, size: int) -> None:
        while self.bytes + size > self.budget:
            if self._small_bytes > self._small_budget or self._small_bytes == self.bytes:
                self._advance_small()
            else:
                self._advance_main()

    def _advance_small(self) -> None:
        """The oldest of the small queue moves to main or is forgotten."""
        entry = self._small.popleft()
        if entry.queue == _GONE:
            self._gone -= 1
            return
        self._small_bytes -= entry.size
        if entry.uses >= _USES_FOR_MAIN:
            entry.uses = 0
            entry.queue = _MAIN
            self._main.append(entry)
            return
        ghost = self._ghost
        key_hash = hash(entry.key)
        self._ghost_bytes += entry.size - ghost.pop(key_hash, 0)
        ghost[key_hash] = entry.size
        while self._ghost_bytes > self.budget:
            self._ghost_bytes -= ghost.popitem(last=False)[1]
        self._evict(entry)

    def _advance_main(self) -> None:
        """The oldest of the main queue goes round again, one use poorer, or is forgotten."""
        entry = self._main.popleft()
        if entry.queue == _GONE:
            self._gone -= 1
        elif entry.uses:
            entry.uses = min(entry.uses, _MOST_USES) - 1
            self._main.append(entry)
        else:
            self._evict(entry)

    def _evict(self, entry: Entry[K, V]) -> None:
        """Forget an entry that has left its queue."""
        entry.queue = _GONE
        del self._entries[entry.key]
        self.bytes -= entry.size
        self.evictions += 1
        if self._on_evict is not None:
            self._on_evict(entry.key, entry.value)

    def _remove(self, entry: Entry[K, V]) -> None:
        """Drop an entry that is still queued; its place in the queue is swept up later."""
        if entry.queue == _SMALL:
            self._small_bytes -= entry.size
        entry.queue = _GONE
        del self._entries[entry.key]
        self.bytes -= entry.size
        del entry.value
        self._gone += 1
        if self._gone > len(self._entries) + _TOLERATED_GONE:
            self._small = deque(kept for kept in self._small if kept.queue)
            self._main = deque(kept for kept in self._main if kept.queue)
            self._gone = 0
