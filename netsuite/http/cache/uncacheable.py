"""Remembers targets whose answers could not be shared, so that requests for them do not queue up (hit-for-miss).

A sketch of fixed size: fingerprints of 16 bits with the second at which each is forgotten, in buckets of four; a bucket
that is full forgets what it would have forgotten first. It takes 256 KiB whatever is asked of it. At most 4 in 65,535
look-ups (0.006 per cent) take one target for another, when every place is taken; such a target's requests are then
sent each by itself for a minute, and that is all.
"""

from __future__ import annotations

from array import array
from typing import Final

__all__ = ["Uncacheable"]

_WAYS: Final = 4
_CLOCK: Final = 0xFFFF
"""Seconds are kept modulo 65,536; what is that old and was never overwritten counts again, for ``duration``."""


class Uncacheable:
    """A memory of targets, each for ``duration`` seconds, with ``places`` (a power of two) for them."""

    __slots__ = ("_mask", "_places", "duration")

    def __init__(self, duration: int = 60, places: int = 65536) -> None:
        self.duration = duration
        self._places = array("I", bytes(4 * places))
        self._mask = places // _WAYS - 1

    def __len__(self) -> int:
        """How many places are taken, by what is remembered or was."""
        return sum(1 for place in self._places if place)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self._places) * self._places.itemsize

    def add(self, key: bytes, now: float) -> None:
        """The answer of a target was not for others."""
        first, mark = self._found(key)
        second = int(now)
        chosen, least = first, self.duration + 1
        for place in range(first, first + _WAYS):
            value = self._places[place]
            left = (value - second) & _CLOCK if value else 0
            if value >> 16 == mark or left > self.duration:
                left = 0
            if left < least or value >> 16 == mark:
                chosen, least = place, left
            if value >> 16 == mark:
                break
        self._places[chosen] = mark << 16 | (second + self.duration) & _CLOCK

    def knows(self, key: bytes, now: float) -> bool:
        """Whether that was so a short while ago."""
        first, mark = self._found(key)
        for value in self._places[first : first + _WAYS]:
            if value >> 16 == mark:
                return 0 < (value - int(now)) & _CLOCK <= self.duration
        return False

    def discard(self, key: bytes) -> None:
        """The answer of a target could be shared after all."""
        first, mark = self._found(key)
        for place in range(first, first + _WAYS):
            if self._places[place] >> 16 == mark:
                self._places[place] = 0

    def _found(self, key: bytes) -> tuple[int, int]:
        """Where a target's bucket begins, and its fingerprint, which is never 0."""
        hashed = hash(key)
        return (hashed & self._mask) * _WAYS, (hashed >> 40) % 0xFFFF + 1
