"""When a message is tried: at once, then after longer and longer pauses, until it is too old.

Pure: times are arguments.
"""

from __future__ import annotations

import heapq

import attrs

__all__ = ["Retries", "Schedule"]


@attrs.frozen
class Retries:
    """Pauses in seconds: ``first``, then doubling up to ``longest``; after ``give_up`` a message goes back."""

    first: float = 300.0
    longest: float = 4 * 3600.0
    give_up: float = 5 * 86400.0

    def pause(self, attempts: int) -> float:
        """How long to wait after so many attempts."""
        return min(self.longest, self.first * 2.0 ** min(attempts - 1, 32))

    def next(self, arrived: float, attempts: int, now: float) -> float | None:
        """When to try again, or None if that is enough; the last attempt is at the very end."""
        end = arrived + self.give_up
        return None if now >= end else min(now + self.pause(attempts), end)


class Schedule:
    """Names with the times at which they are due; giving a name another time replaces the first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._times: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._times)

    def put(self, name: str, due: float) -> None:
        """A name is due at a time."""
        self._times[name] = due
        heapq.heappush(self._heap, (due, name))

    def forget(self, name: str) -> None:
        """A name is not due any more."""
        self._times.pop(name, None)

    def next(self) -> float | None:
        """When the first name is due."""
        self._clean()
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> str | None:
        """A name that is due, in the order of time; it is then forgotten."""
        self._clean()
        if not self._heap or self._heap[0][0] > now:
            return None
        name = heapq.heappop(self._heap)[1]
        del self._times[name]
        return name

    def _clean(self) -> None:
        """Remove from the heap's top what was replaced or forgotten."""
        heap = self._heap
        while heap and self._times.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
