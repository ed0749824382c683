"""Rate limits of one direction: the torrent's and the whole peer's, and those who wait until they allow something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from netsuite.bittorrent.peer.rates import Limit
from netsuite.bittorrent.wire.messages import BLOCK

__all__ = ["MESSAGE", "Throttle"]

MESSAGE: Final = BLOCK + 13
"""What a block weighs on the wire."""

_SHORTEST: Final = 0.005


class Throttle:
    """All limits that hold for one torrent in one direction; who may not go on is called again, in turns."""

    def __init__(self, clock: IReactorTime, limits: Sequence[Limit]) -> None:
        self._clock = clock
        self._limits = [limit for limit in limits if limit.rate is not None]
        self._waiting: dict[Callable[[], None], None] = {}
        self._timer: IDelayedCall | None = None
        self._turn = False

    def take(self, again: Callable[[], None], now: float, size: int) -> bool:
        """Whether so many bytes may go now, and count them; if not, ``again`` is called when they may."""
        if not self._limits:
            return True
        if (self._waiting and not self._turn) or self._wait(now, size) > 0:
            self._call(again, now, size)
            return False
        self.count(now, size)
        return True

    def messages(self, again: Callable[[], None], now: float, most: int) -> int:
        """How many blocks up to ``most`` may be asked for now (:meth:`count` those that are)."""
        if not self._limits:
            return most
        if self._waiting and not self._turn:
            most = 0
        while most and self._wait(now, most * MESSAGE, exactly=True) > 0:
            most //= 2
        if not most:
            self._call(again, now, MESSAGE)
        return most

    def count(self, now: float, size: int) -> None:
        """So many bytes go."""
        for limit in self._limits:
            limit.take(now, min(size, int(limit.burst)))

    def stop(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, now: float, size: int, *, exactly: bool = False) -> float:
        """Seconds; a single message larger than a limit's burst goes when the burst is full."""
        return max(limit.wait(now, size if exactly else min(size, int(limit.burst))) for limit in self._limits)

    def _call(self, again: Callable[[], None], now: float, size: int) -> None:
        self._waiting[again] = None
        if self._timer is None:
            self._timer = self._clock.callLater(max(_SHORTEST, self._wait(now, size)), self._over)

    def _over(self) -> None:
        """Those who waited longest go on while there is something to be had; who then must wait again goes last."""
        self._timer = None
        now = self._clock.seconds()
        waiting, self._waiting = self._waiting, {}
        self._turn = True
        try:
            for again in list(waiting):
                if self._wait(now, MESSAGE) > 0:
                    break
                del waiting[again]
                again()
        finally:
            self._turn = False
        self._waiting = {**waiting, **self._waiting}
        if waiting:
            self._call(next(iter(waiting)), now, MESSAGE)
