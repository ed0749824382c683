"""Requests as caches meet them, made from a seed: the popular and the rare, what is asked for once, and crawlers.

Every trace is a list of object numbers; :func:`size_of` says how large an object is, whatever the trace.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Final

from netsuite.sansio.budgeted import BudgetedMap

__all__ = ["OBJECTS", "TRACES", "belady", "replay", "size_of"]

OBJECTS: Final = 5_000
_ONCE: Final = 1_000_000
"""Numbers from here on are asked for once."""
_MEDIAN: Final = 3_000
_SMALLEST, _LARGEST = 200, 60_000


def size_of(number: int) -> int:
    """Bytes of an object: a log-normal distribution, as web objects have, and the same each time."""
    size = int(_MEDIAN * random.Random(number * 7919 + 1).lognormvariate(0, 1))
    return min(max(size, _SMALLEST), _LARGEST)


class _Zipf:
    """Objects of which the n-th most popular is asked for 1 / n ** alpha as often as the first."""

    def __init__(self, alpha: float, rng: random.Random) -> None:
        self._sums = list(itertools.accumulate(1 / rank**alpha for rank in range(1, OBJECTS + 1)))
        self._numbers = rng.sample(range(OBJECTS), OBJECTS)
        self._rng = rng

    def __call__(self) -> int:
        at = bisect.bisect(self._sums, self._rng.random() * self._sums[-1])
        return self._numbers[min(at, OBJECTS - 1)]


def zipf(alpha: float, requests: int, seed: int) -> list[int]:
    """Independent requests by popularity alone."""
    ask = _Zipf(alpha, random.Random(seed))
    return [ask() for _ in range(requests)]


def wonders(requests: int, seed: int) -> list[int]:
    """Every third request is for something that nobody asks for again, the rest by popularity."""
    rng = random.Random(seed)
    ask, once = _Zipf(0.9, rng), itertools.count(_ONCE)
    return [next(once) if rng.random() < 1 / 3 else ask() for _ in range(requests)]


def scans(requests: int, seed: int) -> list[int]:
    """By popularity, but now and then a crawler takes 600 objects in turn, none of them twice."""
    rng = random.Random(seed)
    ask, once = _Zipf(0.9, rng), itertools.count(_ONCE)
    found: list[int] = []
    while len(found) < requests:
        found += [ask() for _ in range(1400)]
        found += itertools.islice(once, 600)
    return found[:requests]


def shifting(requests: int, seed: int) -> list[int]:
    """By popularity, which changes altogether every quarter."""
    rng = random.Random(seed)
    found: list[int] = []
    for _ in range(4):
        ask = _Zipf(0.9, rng)
        found += [ask() for _ in range(requests // 4)]
    return found


TRACES: Final[dict[str, Callable[[int, int], list[int]]]] = {
    "Zipf 0.6": lambda requests, seed: zipf(0.6, requests, seed),
    "Zipf 1.0": lambda requests, seed: zipf(1.0, requests, seed),
    "Zipf 1.2": lambda requests, seed: zipf(1.2, requests, seed),
    "one-hit wonders": wonders,
    "scans": scans,
    "shifting popularity": shifting,
}
"""By name: requests of a trace, from their number and a seed."""


def replay(trace: Sequence[int], cache: BudgetedMap[int, None], cost: Callable[[int], int]) -> int:
    """How many requests of a trace a policy answers."""
    hits = 0
    for number in trace:
        if cache.touch(number):
            hits += 1
        else:
            cache.put(number, None, cost(number))
    return hits


def belady(trace: Sequence[int], budget: int, cost: Callable[[int], int]) -> int:
    """The same for who knows the future, and forgets what is asked for last: no policy does better at one size."""
    following = [len(trace)] * len(trace)
    last: dict[int, int] = {}
    for at in range(len(trace) - 1, -1, -1):
        following[at] = last.get(trace[at], len(trace))
        last[trace[at]] = at
    held: dict[int, int] = {}
    farthest: list[tuple[int, int]] = []
    used = hits = 0
    for at, number in enumerate(trace):
        if number in held:
            hits += 1
        elif following[at] < len(trace):
            used += cost(number)
        else:
            continue
        held[number] = following[at]
        heapq.heappush(farthest, (-following[at], number))
        while used > budget:
            when, other = heapq.heappop(farthest)
            if held.get(other) == -when:
                del held[other]
                used -= cost(other)
    return hits
