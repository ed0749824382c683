"""What every connection that gathers bytes, tells events and bears silence for a while has in common.

A protocol derives from :class:`Machine` and says what its next step is, how long it waits for the peer, and what it
does about silence; the members of the :class:`~netsuite.sansio.connection.Connection` contract that it does not
speak of are those of a protocol without bodies and windows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Final

from netsuite.sansio.buffer import NO_LINE_YET, TOO_LONG, ReceiveBuffer
from netsuite.sansio.connection import NEED_DATA, UNLIMITED, Close, Event, Item, Pause

__all__ = ["MOST_WAITING", "Machine"]

MOST_WAITING: Final = 1 << 20
"""Bytes that may wait unread; who drives a connection stops reading long before."""


class Machine(ABC):
    """One connection. ``over`` is true once nothing more is read; ``most`` bytes may wait to be read.

    Protocols implement :meth:`step`, :meth:`patience` and :meth:`send`, and may override the rest.
    """

    def __init__(self, now: float, most: int = MOST_WAITING) -> None:
        self.over = False
        self._buffer = ReceiveBuffer(most)
        self._events: deque[Event] = deque()
        self._out: list[bytes] = []
        self._heard = now
        self._ended = False
        self._draining = False

    # -- what a protocol says

    @abstractmethod
    def step(self) -> Event | None:
        """Read on: an event, NEED_DATA, PAUSED, or None where there is more to do (or an event is queued)."""

    @abstractmethod
    def patience(self) -> float | None:
        """Seconds of silence that are borne now; None while it is not the peer that is waited for."""

    def silent(self) -> None:
        """The peer was silent for that long."""
        self.close("the peer is silent")

    def flooded(self) -> None:
        """The peer sent more than may wait."""
        self.close("the peer sends more than can wait")

    def lives_by(self, data: bytes) -> bool:
        """Whether these bytes show that the peer is there: what comes byte by byte has no more time than one piece."""
        return not self._buffer

    # -- what it is helped with

    def line(self, longest: int) -> bytes | Pause | None:
        """The next line, without its LF; NEED_DATA if it has not come, None if it has more than ``longest`` bytes."""
        size = self._buffer.line(longest)
        if size == NO_LINE_YET:
            return NEED_DATA
        if size == TOO_LONG:
            return None
        return (self._buffer.take(size) or b"")[:-1]

    def close(self, reason: str, *, linger: bool = False) -> Event | None:
        """Read no more; the end is told after what is told already. Answers what a step answers then."""
        self.over = True
        self._buffer.clear()
        self._events.append(Close(reason, linger))
        return None

    # -- the contract

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return not (self._buffer or self._events or self.over)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes; ``b""`` ends the input."""
        if self.over:
            return
        if self.lives_by(data):
            self._heard = now
        if not data:
            self._ended = True
        elif not self._buffer.append(data):
            self.flooded()

    def next_event(self) -> Event:
        """The next event, NEED_DATA, or PAUSED while an answer is owed."""
        events = self._events
        while not events:
            if self.over:
                return NEED_DATA
            event = self.step()
            if event is not None:
                return event
        return events.popleft()

    @abstractmethod
    def send(self, item: Item, now: float) -> None:
        """Queue an item; StateError if the state forbids it."""

    def room(self, stream: int = 0) -> int:
        """There is no window here."""
        return UNLIMITED

    def consumed(self, count: int, stream: int = 0) -> None:  # noqa: B027 - to do nothing is right for most
        """There are no bodies here."""

    def backlog(self) -> int:
        """What has come and is not read yet."""
        return len(self._buffer)

    def outgoing(self) -> list[bytes]:
        """What is to be written."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """When silence has lasted too long."""
        patience = None if self.over else self.patience()
        return None if patience is None else self._heard + patience

    def tick(self, now: float) -> None:
        """Give up a peer that has been silent too long."""
        deadline = self.deadline()
        if deadline is not None and deadline <= now:
            self.silent()

    def touched(self, now: float) -> None:
        """A shortcut answered in this machine's place."""
        self._heard = now
