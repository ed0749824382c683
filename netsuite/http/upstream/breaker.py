"""The circuit breaker of one server: requests that fail for certain are not sent.

```
 CLOSED --too many failures--> OPEN (for a while, each time twice as long)
   ^                            |  ^
   |                  time over |  | the probe failed
   '---- the probe succeeded -- HALF_OPEN (one request at a time)
```

Too many are ``failures`` in a row, or a ``share`` of at least ``volume`` results within ``window`` seconds.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

__all__ = ["NEVER_OPENS", "Breaker", "BreakerLimits", "Circuit"]


class Circuit(enum.Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


@attrs.frozen
class BreakerLimits:
    """When it opens, and for how long; times in seconds. With ``failures`` 0 it never does."""

    failures: int = 5
    window: float = 10.0
    volume: int = 20
    share: float = 0.5
    open_time: float = 2.0
    longest: float = 60.0


NEVER_OPENS: Final = BreakerLimits(failures=0)


class Breaker:
    """One server's; ``opened`` counts how often it went from closed to open."""

    __slots__ = ("_failed", "_in_a_row", "_limits", "_seen", "_times", "_window_ends", "circuit", "opened", "until")

    def __init__(self, limits: BreakerLimits = BreakerLimits()) -> None:
        self._limits = limits
        self._in_a_row = 0
        self._seen = self._failed = 0
        self._window_ends = 0.0
        self._times = 0
        self.circuit = Circuit.CLOSED
        self.until = 0.0
        self.opened = 0

    def permits(self, now: float) -> bool:
        """Whether a request may be sent."""
        return self.circuit is Circuit.CLOSED or (self.circuit is Circuit.OPEN and now >= self.until)

    def begun(self, now: float) -> None:
        """A permitted request is sent: the first after the wait is the probe."""
        if self.circuit is Circuit.OPEN and now >= self.until:
            self.circuit = Circuit.HALF_OPEN

    def succeeded(self, now: float) -> bool:
        """A request was answered; whether that closed the circuit."""
        self._in_a_row = 0
        self._count(now, 0)
        if self.circuit is Circuit.CLOSED:
            return False
        if self.circuit is Circuit.OPEN:
            return False  # a request from before it opened
        self.circuit = Circuit.CLOSED
        self._times = self._seen = self._failed = 0
        return True

    def failed(self, now: float) -> bool:
        """A request failed; whether that opened the circuit of a server that was trusted so far."""
        limits = self._limits
        if not limits.failures or self.circuit is Circuit.OPEN:
            return False
        if self.circuit is Circuit.HALF_OPEN:
            self._open(now)
            return False
        self._in_a_row += 1
        self._count(now, 1)
        if self._in_a_row < limits.failures and (
            self._seen < limits.volume or self._failed < limits.share * self._seen
        ):
            return False
        self.opened += 1
        self._open(now)
        return True

    def unsettled(self, now: float) -> None:
        """A request ended without saying anything of the server: a probe is still wanted, at once."""
        if self.circuit is Circuit.HALF_OPEN:
            self.circuit = Circuit.OPEN
            self.until = now

    def reset(self) -> None:
        """What is known otherwise (a health check) says that the server is well."""
        self.circuit = Circuit.CLOSED
        self._in_a_row = self._times = self._seen = self._failed = 0

    def _open(self, now: float) -> None:
        limits = self._limits
        self.circuit = Circuit.OPEN
        self.until = now + min(limits.longest, limits.open_time * 2.0**self._times)
        self._times = min(self._times + 1, 32)
        self._in_a_row = self._seen = self._failed = 0

    def _count(self, now: float, failed: int) -> None:
        if now >= self._window_ends:
            self._window_ends = now + self._limits.window
            self._seen = self._failed = 0
        self._seen += 1
        self._failed += failed
