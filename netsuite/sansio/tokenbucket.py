"""Token buckets by key: so many tokens a second, in bursts of up to so many, in a table with a bound.

Of each bucket one number is kept: when it would be full again (the theoretical arrival time of the generic cell rate
algorithm). A bucket that is full needs none.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["TokenBuckets"]

_FORGIVEN: Final = 1e-6
"""Seconds: those since the epoch are not exact to much more."""


class TokenBuckets:
    """Buckets of ``burst`` tokens that get ``rate`` tokens a second, one for each key.

    At most ``keys`` are remembered. Where there are more, the full ones are forgotten, and if that does not help, the
    quarter that is nearest to full: they gain least by it.
    """

    __slots__ = ("_full_at", "_interval", "_keys", "_window")

    def __init__(self, rate: float, burst: float, keys: int = 65536) -> None:
        if rate <= 0 or burst < 1 or keys < 1:
            raise ValueError("a token bucket needs a rate above 0, a burst and a number of keys of at least 1")
        self._interval = 1.0 / rate
        self._window = burst * self._interval
        self._keys = keys
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: float, count: float = 1.0) -> bool:
        """Take ``count`` tokens from a bucket; False, and none is taken, if there are fewer."""
        full_at = self._full_at.get(key)
        if full_at is None:
            if len(self._full_at) >= self._keys:
                self._forget(now)
            full_at = now
        elif full_at > now + self._window:
            # the clock was set back: the bucket is empty, not worse
            full_at = self._full_at[key] = now + self._window
        elif full_at < now:
            full_at = now
        full_at += count * self._interval
        if full_at - now > self._window + _FORGIVEN:
            return False
        self._full_at[key] = full_at
        return True

    def wait(self, key: Hashable, now: float, count: float = 1.0) -> float:
        """Seconds until ``count`` tokens (at most the burst) are there; 0 if they are."""
        full_at = min(max(self._full_at.get(key, now), now), now + self._window)
        wait = full_at + count * self._interval - now - self._window
        return wait if wait > _FORGIVEN else 0.0

    def _forget(self, now: float) -> None:
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) > self._keys * 3 // 4:
            nearest = sorted(self._full_at, key=self._full_at.__getitem__)
            for key in nearest[: len(nearest) - self._keys * 3 // 4]:
                del self._full_at[key]
