"""Remembers targets whose answers could not be shared, so that requests for them do not queue up (hit-for-miss)."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Uncacheable"]


class Uncacheable:
    """A bounded memory of targets, each for ``duration`` seconds; beyond ``limit`` the oldest is forgotten."""

    __slots__ = ("_known", "duration", "limit")

    def __init__(self, duration: float = 60.0, limit: int = 16384) -> None:
        self.duration = duration
        self.limit = limit
        self._known: OrderedDict[int, float] = OrderedDict()  # a dict that loses its first entry over and over is slow

    def __len__(self) -> int:
        return len(self._known)

    def add(self, key: bytes, now: float) -> None:
        """The answer of a target was not for others."""
        mark = hash(key)
        self._known.pop(mark, None)
        if len(self._known) >= self.limit:
            self._known.popitem(last=False)
        self._known[mark] = now + self.duration

    def knows(self, key: bytes, now: float) -> bool:
        """Whether that was so a short while ago."""
        until = self._known.get(hash(key))
        return until is not None and now < until

    def discard(self, key: bytes) -> None:
        """The answer of a target could be shared after all."""
        self._known.pop(hash(key), None)
