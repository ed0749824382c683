"""What each client of the proxy may use: requests a second, requests at once, bytes a second.

A client is a user, or where nobody logs in an address (IPv6 by its /64). Too many requests are answered with 429 and
told when to come back; too many bytes just take longer, in both directions together.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from netsuite.common.access import ConcurrencyLimit, RateLimit
from netsuite.common.passing import Passing

__all__ = ["Limits", "Paced", "counted_as"]

_BUSY: Final = 1.0
"""Seconds after which who had too many requests at once may try again."""
_AHEAD: Final = 0.5
"""Seconds by which bytes may be ahead of their rate."""
_AT_ONCE: Final = 16 * 1024
"""Bytes that pass at once where so many a second may."""
_MOST: Final = 65536


def counted_as(peer: str) -> str:
    """What a client without a name is counted by."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address) or address.ipv4_mapped is not None:
        return peer
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


class Limits:
    """The limits of all clients; 0 is without limit. ``requests`` come in bursts of up to ``burst``."""

    def __init__(
        self, clock: IReactorTime, *, requests: float, burst: int, concurrent: int, bytes_per_second: int
    ) -> None:
        self._clock = clock
        self._requests = RateLimit(requests, burst or max(1.0, 2 * requests), clock)
        self._concurrent = ConcurrencyLimit(0, concurrent)
        self._rate = bytes_per_second
        self._free: dict[str, float] = {}

    def enter(self, key: str) -> float:
        """Let a request in (0), which then wants one :meth:`leave`; else the seconds after which it may come again."""
        if not self._concurrent.enter(key):
            return _BUSY
        if self._requests.permits(key):
            return 0.0
        self._concurrent.leave(key)
        return self._requests.wait(key)

    def leave(self, key: str) -> None:
        """A request that was let in is over."""
        self._concurrent.leave(key)

    @property
    def paces(self) -> bool:
        """Whether bytes are held back."""
        return bool(self._rate)

    def paced(self, key: str, source: Any) -> Any:
        """A source that gives no more than the client's bytes a second, or the source where there is no such limit."""
        return Paced(source, lambda size: self._wait(key, size), self._clock) if self._rate else source

    def _wait(self, key: str, size: int) -> float:
        """Seconds for which so many bytes, which have just come, must be held."""
        now = self._clock.seconds()
        free = max(now, self._free.pop(key, now)) + size / self._rate
        if len(self._free) >= _MOST:
            self._free = {other: when for other, when in self._free.items() if when > now}
            if len(self._free) >= _MOST:
                del self._free[next(iter(self._free))]
        self._free[key] = free
        return free - now - _AHEAD


class Paced(Passing):
    """A source whose chunks are cut small, and held for as long as ``wait(size)`` says."""

    __slots__ = ("_at", "_chunk", "_clock", "_wait")

    def __init__(self, source: Any, wait: Callable[[int], float], clock: IReactorTime) -> None:
        super().__init__(source)
        self._wait = wait
        self._clock = clock
        self._chunk: Any = b""  # bytes, or a span of a file
        self._at = 0

    async def __anext__(self) -> bytes:
        if self._at >= len(self._chunk):
            self._chunk = await self._source.__anext__()
            self._at = 0
        chunk: bytes = self._chunk[self._at : self._at + _AT_ONCE]
        self._at += _AT_ONCE
        seconds = self._wait(len(chunk))
        if seconds > 0:
            held: Deferred[None] = Deferred()
            later = self._clock.callLater(seconds, held.callback, None)
            try:
                await held
            finally:
                if later.active():
                    later.cancel()
        return chunk
