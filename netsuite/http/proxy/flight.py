"""A response on its way, read by several: each at its own pace, from the first byte on.

A :class:`Flight` is one fetch from an origin. Requests wait until it has *landed* (the head of the
response is there) and are told what that means for them. While it may be stored, what arrives is kept
whole, so that whoever joins late begins at the first byte: in memory, or once it is large in a file (a *spool*) of
which memory holds a window. When it turns out too large for both, only the window is kept, and the fetch goes no faster
than its slowest reader, who is cut if others wait too long.

```
 AWAITED --head, may be shared--> SHARED --end--> (stored)
    |----head, for its asker only-> HANDED
    |----304, store brought up to date-> STORED
    '----nothing came------------> FAILED
```
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from netsuite.common.body import BodyFailed
from netsuite.common.errors import Overloaded
from netsuite.http.disk.spool import Spool
from netsuite.sansio.connection import Source

__all__ = ["Flight", "Landing", "Reader"]

_LAG: Final = 10.0
_PIECE: Final = 256 * 1024
_SMALL: Final = 256 * 1024
_NEARLY: Final = 0.75


class Landing(enum.Enum):
    """What a flight is for one of those who wait."""

    READ = "the response may be read from the flight"
    TAKE = "the response is the asker's alone"
    STORED = "decide again: the store has been brought up to date"
    ALONE = "the response is not for others: ask yourself"
    FAILED = "no response came"


class Flight:
    """One fetch; see the module's docstring.

    ``response`` is whatever the owner sets with :meth:`share` or :meth:`hand_over`; ``length`` the announced size of
    its body or None; ``trouble`` why it failed. ``joinable`` is true while newcomers may wait or read, ``keeping``
    while everything that arrives is kept. ``lane`` is under what others find it.
    """

    __slots__ = (
        "_cancel",
        "_chunks",
        "_clock",
        "_content",
        "_first",
        "_late",
        "_readers",
        "_room",
        "_spool",
        "_start",
        "_taken",
        "_waiting",
        "_window",
        "arrived",
        "body",
        "ended",
        "joinable",
        "keeping",
        "landing",
        "lane",
        "length",
        "response",
        "retained",
        "trailers",
        "trouble",
        "waiters",
    )

    def __init__(self, clock: IReactorTime, window: int, lane: bytes) -> None:
        self._clock = clock
        self.lane = lane
        self._window = window
        self._chunks: deque[bytes] = deque()
        self._content: bytes | None = None
        self._first = 0
        self._start = 0  # bytes before the first chunk that is still here
        self._spool: Spool | None = None
        self._readers: set[Reader] = set()
        self._waiting: list[Deferred[None]] = []
        self._room: Deferred[None] | None = None
        self._late: Any = None
        self._cancel: Callable[[], None] | None = None
        self._taken = False
        self.arrived = 0
        self.retained = 0
        self.body: Source | bytes | None = None
        self.ended = False
        self.joinable = True
        self.keeping = True
        self.landing: Landing | None = None
        self.length: int | None = None
        self.response: Any = None
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        self.trouble: Any = None
        self.waiters = 0

    # -- those who wait

    async def landed(self, asker: bool, timeout: float | None) -> Landing | None:
        """What the flight is for this one, once its head is there; None if ``timeout`` seconds were too short."""
        if self.landing is None:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            self.waiters += 1
            late = self._clock.callLater(timeout, waiter.callback, None) if timeout is not None else None
            try:
                await waiter
            except CancelledError:
                self._unattended_after(waiter)
                raise
            finally:
                self.waiters -= 1
                if late is not None and late.active():
                    late.cancel()
            if self.landing is None:
                self._waiting.remove(waiter)
                return None
        if self.landing is Landing.TAKE:
            if not asker or self._taken:
                return Landing.ALONE
            self._taken = True
        elif self.landing is Landing.READ and not asker and not self.joinable:
            return Landing.ALONE
        return self.landing

    @property
    def attended(self) -> bool:
        """Whether anybody reads, or waits to."""
        return bool(self._readers) or self.waiters > 0

    def reader(self) -> Reader:
        """A body from the first byte on; allowed while everything is still there."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

    # -- the one who fetches

    def cancelled_by(self, cancel: Callable[[], None]) -> None:
        """What to call when nobody wants the rest."""
        self._cancel = cancel

    def share(self, response: Any, length: int | None, joinable: bool) -> None:
        """The head is there, and others may read; newcomers too if ``joinable``."""
        self.response = response
        self.length = length
        self.joinable = joinable
        self._land(Landing.READ)

    def hand_over(self, response: Any, body: Source | bytes) -> bool:
        """The response is for the asker alone; False if the asker has left, the body is then the caller's to close."""
        self.response = response
        self.body = body
        self.joinable = False
        self._land(Landing.TAKE)
        return self._taken

    def settle(self) -> None:
        """The store has been brought up to date instead."""
        self.joinable = False
        self._land(Landing.STORED)

    def fail(self, trouble: Any) -> None:
        """No response came."""
        self.trouble = trouble
        self.joinable = False
        self._land(Landing.FAILED)

    def _land(self, landing: Landing) -> None:
        self.landing = landing
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)

    def narrow(self) -> None:
        """It will not be stored: newcomers are turned away, and no more than the window is kept."""
        self.joinable = False
        self.keeping = False
        if self._spool is not None:
            self._spool.stop()
        self._trim()

    def spool(self, spool: Spool) -> None:
        """Go on in a file: it gets what is here and what comes."""
        self._spool = spool
        spool.progressed = self._spooled
        for chunk in self._chunks:
            spool.add(chunk)

    @property
    def spooling(self) -> bool:
        """Whether what arrives goes to a file."""
        return self._spool is not None and not self._spool.failed

    def _spooled(self) -> None:
        """More of the body is in the file, or the file takes no more."""
        spool = self._spool
        assert spool is not None
        if spool.failed and self.keeping and not self.ended:
            self.narrow()
        else:
            self._trim()

    def add(self, chunk: bytes) -> None:
        """Some of the body arrived."""
        self._chunks.append(chunk)
        self.arrived += len(chunk)
        self.retained += len(chunk)
        if self._spool is not None:
            self._spool.add(chunk)
            self._trim()
        for reader in list(self._readers):
            reader.wake()

    async def room(self) -> None:
        """Wait until the slowest reader, or the disk, leaves room in the window."""
        while self.retained > self._window and (self.spooling or not self.keeping):
            self._room = Deferred()
            self._late = self._clock.callLater(_LAG, self._cut_laggards)
            try:
                await self._room
            finally:
                self._room = None
                if self._late.active():
                    self._late.cancel()

    def end(self, trailers: tuple[tuple[bytes, bytes], ...] = (), content: bytes | None = None) -> None:
        """The body is complete; ``content`` is all of it where it was kept, and readers go on from there."""
        self.trailers = trailers
        self.ended = True
        self.joinable = False
        if content is not None:
            self._content = content
            self._chunks.clear()
        for reader in list(self._readers):
            reader.wake()

    def break_off(self, trouble: str) -> None:
        """The rest of the body will never come: readers are told, so that theirs is seen to be cut short."""
        self.trouble = trouble
        self.joinable = False
        for reader in list(self._readers):
            reader.wake()

    @property
    def whole(self) -> bytes | None:
        """The whole body once it is there, if it was kept."""
        return self._content

    def content(self) -> bytes:
        """The whole body."""
        return b"".join(self._chunks)

    # -- readers

    def take(self, position: int, offset: int) -> bytes | None:
        """What follows a reader's position (in chunks) and offset (in bytes), None if nothing is there yet."""
        if self._content is not None:
            return self._content[offset : offset + _PIECE] or None
        index = position - self._first
        if index < 0:
            return None
        return self._chunks[index] if index < len(self._chunks) else None

    def left_behind(self, position: int) -> bool:
        """Whether what follows a position is in the file only."""
        return position < self._first and self._content is None

    def skipped(self, offset: int, wanted: int) -> int:
        """How much of what nobody wants need not even be read from the file."""
        return min(wanted, self._start - offset)

    def caught_up(self, position: int, offset: int) -> int:
        """The position among the chunks of who has read up to an offset in the file; else the position as it is."""
        return self._first if position < self._first and offset == self._start else position

    async def recall(self, reader: Reader) -> bytes:
        """What follows for a reader, from the file."""
        spool, offset = self._spool, reader.offset
        if spool is None:
            raise BodyFailed("the beginning of the body is not here any more")
        try:
            found = spool.read(offset, self._start)
            data = found if isinstance(found, bytes) else await found
        except (OSError, Overloaded) as problem:
            raise BodyFailed(f"the beginning of the body cannot be read: {problem}") from problem
        if not data:
            raise BodyFailed("the beginning of the body is not there any more")
        return data

    def progressed(self) -> None:
        """A reader went on: perhaps there is room now."""
        if not self.keeping and not self.ended:
            self._trim()

    def leave(self, reader: Reader) -> None:
        """A reader is done, or its client has gone."""
        self._readers.discard(reader)
        if self.ended:
            return
        if not self._readers and not self.waiters:
            self._unattended()
        else:
            self.progressed()

    def _trim(self) -> None:
        spool = self._spool
        if spool is not None:
            # what is in the file need not stay here, unless it is all that readers lack
            keep = self._window // 2
            while self.retained > keep and self._start + len(self._chunks[0]) <= spool.written:
                self._drop_first()
        if self._readers and not self.keeping:
            slowest = min(reader.position for reader in self._readers)
            while self._first < slowest:
                self._drop_first()
        if self._room is not None and not self._room.called and self.retained <= self._window:
            self._room.callback(None)

    def _drop_first(self) -> None:
        size = len(self._chunks.popleft())
        self.retained -= size
        self._start += size
        self._first += 1

    def _cut_laggards(self) -> None:
        if self.spooling:
            # the disk is slow, not a reader
            self._late = self._clock.callLater(_LAG, self._cut_laggards)
            return
        slowest = min((reader.position for reader in self._readers), default=0)
        laggards = [reader for reader in self._readers if reader.position == slowest]
        if len(laggards) < len(self._readers):
            for reader in laggards:
                self._readers.discard(reader)
                reader.cut("the client reads too slowly for those who share its response")
            self._trim()
        elif self._room is not None and not self._room.called:
            self._room.callback(None)

    def _unattended_after(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def _unattended(self) -> None:
        """Nobody reads any more: go on only if little is left to do, and it will be stored."""
        keep = self.keeping and (
            self.arrived <= _SMALL if self.length is None else self.length <= max(_SMALL, self.arrived / _NEARLY)
        )
        if not keep and self._cancel is not None:
            cancel, self._cancel = self._cancel, None
            cancel()


class Reader:
    """One client's view of a flight's body: an async iterator, optionally over a span of bytes only."""

    __slots__ = ("_flight", "_left", "_skip", "_trouble", "_waiter", "offset", "position")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._waiter: Deferred[None] | None = None
        self._trouble: str | None = None
        self.offset = 0
        self._skip = 0
        self._left: int | None = None
        self.position = 0

    def span(self, first: int, stop: int) -> Reader:
        """Read only these bytes."""
        self._skip = first
        self._left = stop - first
        return self

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What followed the body."""
        return self._flight.trailers

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        flight = self._flight
        while self._left != 0:
            if self._trouble is not None:
                raise BodyFailed(self._trouble)
            chunk = flight.take(self.position, self.offset)
            if chunk is not None:
                self.position += 1
            elif flight.left_behind(self.position):
                skipped = flight.skipped(self.offset, self._skip)
                self._skip -= skipped
                self.offset += skipped
                chunk = b"" if skipped else await flight.recall(self)
            if chunk is not None:
                self.offset += len(chunk)
                self.position = flight.caught_up(self.position, self.offset)
                flight.progressed()
                if self._skip:
                    skipped = min(self._skip, len(chunk))
                    self._skip -= skipped
                    chunk = chunk[skipped:]
                if self._left is not None:
                    chunk = chunk[: self._left]
                    self._left -= len(chunk)
                if chunk:
                    return chunk
                continue
            if flight.ended:
                break
            if flight.trouble is not None:
                raise BodyFailed(flight.trouble)
            self._waiter = Deferred()
            try:
                await self._waiter
            finally:
                self._waiter = None
        raise StopAsyncIteration

    def wake(self) -> None:
        """Something changed."""
        waiter = self._waiter
        if waiter is not None and not waiter.called:
            waiter.callback(None)

    def cut(self, trouble: str) -> None:
        """End what this reader gets."""
        self._trouble = trouble
        self.wake()

    async def aclose(self) -> None:
        """Done, or the client has gone."""
        self._flight.leave(self)
