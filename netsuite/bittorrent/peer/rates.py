"""How fast bytes come and go: rolling rates, the number of requests to keep outstanding, and limits."""

from __future__ import annotations

from collections import deque
from typing import Final

from netsuite.sansio.tokenbucket import TokenBuckets

__all__ = ["BLOCK", "Limit", "Pipeline", "Rate"]

BLOCK: Final = 16384
"""What is asked for at a time (BEP 3: all current implementations use 2^14)."""

_STEPS: Final = 20


class Rate:
    """Bytes a second over the last ``window`` seconds, exact to a twentieth of it.

    Somebody who has not been there for a whole window is measured over the time since ``now``, but no less than a
    quarter of the window, so that one block just after the start is no high rate. ``total`` counts from the start.
    """

    __slots__ = ("_began", "_counts", "_recent", "_step", "_width", "_window", "total")

    def __init__(self, now: float, window: float = 20.0) -> None:
        self._window = window
        self._width = window / _STEPS
        self._began = now
        self._counts: deque[int] = deque([0] * _STEPS, _STEPS)
        self._step = int(now / self._width)
        self._recent = 0  # the sum of the counts
        self.total = 0

    def add(self, now: float, count: int) -> None:
        """So many bytes came just now."""
        if int(now / self._width) != self._step:
            self._roll(now)
        self._counts[-1] += count
        self._recent += count
        self.total += count

    def rate(self, now: float) -> float:
        """Bytes a second."""
        self._roll(now)
        return self._recent / min(self._window, max(now - self._began, self._window / 4))

    def _roll(self, now: float) -> None:
        step = int(now / self._width)
        for _ in range(min(step - self._step, _STEPS)):
            self._recent -= self._counts[0]
            self._counts.append(0)
        self._step = max(self._step, step)


class Pipeline:
    """How many requests to keep outstanding at one peer: ``depth``.

    At first one more for each block that comes, until the rate of a second is no longer clearly higher than that of the
    one before; from then on what the last seconds' rate would bring in ``seconds``, between ``least`` and ``most``.
    With :meth:`stalled` (the peer snubs, or requests timed out) it begins anew from one.
    """

    __slots__ = ("_before", "_began", "_block", "_count", "_least", "_most", "_seconds", "_starting", "depth")

    def __init__(
        self, now: float, *, least: int = 4, most: int = 500, seconds: float = 3.0, block: int = BLOCK
    ) -> None:
        self._least, self._most, self._seconds, self._block = least, most, seconds, block
        self._starting = True
        self._began = now
        self._count = 0
        self._before = 0.0  # blocks a second, before this second
        self.depth = least

    def arrived(self, now: float, blocks: int = 1) -> None:
        """So many blocks have come."""
        self._count += blocks
        if self._starting:
            self.depth = min(self._most, self.depth + blocks)
        elapsed = now - self._began
        if elapsed >= 1.0:
            rate = self._count / elapsed
            if self._starting and rate < self._before * 1.1:
                self._starting = False
            if not self._starting:
                rate = max(rate, (rate + self._before) / 2)
                self.depth = min(self._most, max(self._least, round(rate * self._seconds)))
            self._before, self._began, self._count = rate, now, 0

    def stalled(self, now: float) -> None:
        """Nothing came for too long: ask for one block at a time, and start again from there."""
        self.depth = 1
        self._starting = True
        self._before, self._began, self._count = 0.0, now, 0


class Limit:
    """At most so many bytes a second, for all that share it; no limit where ``rate`` is None.

    Bursts reach ``burst`` bytes: a fifth of a second's worth unless told, and never less than one block with its
    message's head, or that block would never go.
    """

    __slots__ = ("_bucket", "burst", "rate")

    def __init__(self, rate: float | None, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = max(BLOCK + 13.0, burst if burst is not None else (rate or 0.0) / 5)
        self._bucket = None if rate is None else TokenBuckets(rate, self.burst, keys=1)

    def take(self, now: float, size: int) -> bool:
        """Whether so many bytes may go now; if so they are counted. More than the burst at a time never may."""
        return self._bucket is None or self._bucket.take(None, now, size)

    def wait(self, now: float, size: int) -> float:
        """Seconds until so many bytes may go."""
        return 0.0 if self._bucket is None else self._bucket.wait(None, now, size)
