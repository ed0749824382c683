"""The upper-case protocol in bytes: a line goes in, the same line comes back in upper case.

Over TCP a line ends with LF (a CR before it is kept out); a last line without LF counts when the peer ends its
side. Over UDP a datagram is a line. ASCII letters are raised; all other bytes stay as they are.

Implements: the socket programming example of the application-layer chapter.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from netsuite.sansio.buffer import NO_LINE_YET, TOO_LONG, ReceiveBuffer
from netsuite.sansio.connection import NEED_DATA, PAUSED, UNLIMITED, Abandon, Close, Drain, Event, Item, StateError
from netsuite.sansio.state import StateTable

__all__ = ["Line", "LineConnection", "raised"]

IDLE: Final = 300.0
LONGEST: Final = 8192
MOST_WAITING: Final = 1 << 20

SERVER: Final = StateTable(
    "upper server",
    "listening",
    [
        ("listening", "take", "owing"),
        ("owing", "give", "listening"),
        ("listening", "close", "over"),
        ("owing", "close", "over"),
    ],
)
CLIENT: Final = StateTable(
    "upper client", "open", [("open", "give", "open"), ("open", "take", "open"), ("open", "close", "over")]
)


class Line(NamedTuple):
    """One line without its end: a sentence to the server, a raised one back."""

    text: bytes
    stream: int = 0
    has_body: bool = False
    source: None = None


def raised(text: bytes) -> bytes:
    """The text in upper case."""
    return text.upper()


class LineConnection:
    """Either side of the TCP pair: a :class:`~netsuite.sansio.connection.Connection` of :class:`Line`.

    A server (``answers=True``) owes one line for each that it takes, and takes the next when that is sent; a client
    takes whatever comes. A line longer than ``longest`` bytes, or one that is not there after ``idle`` seconds,
    ends the connection.
    """

    def __init__(self, now: float, *, answers: bool, longest: int = LONGEST, idle: float = IDLE) -> None:
        self._table = SERVER if answers else CLIENT
        self._state = self._table.start
        self._longest = longest
        self._patience = idle
        self._heard = now
        self._buffer = ReceiveBuffer(MOST_WAITING)
        self._events: deque[Event] = deque()
        self._out: list[bytes] = []
        self._ended = False
        self._draining = False

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return self._state == self._table.start and not (self._buffer or self._events)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes; ``b""`` ends the input."""
        if self._state == "over":
            return
        if not self._buffer:
            # a line that comes byte by byte has no more time than one that never comes
            self._heard = now
        self._ended = self._ended or not data
        if not self._buffer.append(data):
            self._events.append(self._close("the peer sends more than can wait"))

    def next_event(self) -> Event:
        """A Line, Close, NEED_DATA, or PAUSED while a line is owed."""
        if self._events:
            return self._events.popleft()
        if self._state == "over":
            return NEED_DATA
        if not self._table.permits(self._state, "take"):
            return PAUSED
        if self._draining:
            return self._close("draining")
        size = self._buffer.line(self._longest + len(b"\r\n"))
        if size == NO_LINE_YET and self._ended:
            size = len(self._buffer)
        if size > 0:
            text = (self._buffer.take(size) or b"").removesuffix(b"\n").removesuffix(b"\r")
            if len(text) <= self._longest:
                self._state = self._table.step(self._state, "take")
                return Line(text)
            size = TOO_LONG
        if size == TOO_LONG:
            return self._close(f"a line is longer than {self._longest} bytes")
        if self._ended:
            return self._close("the peer has said all")
        return NEED_DATA

    def send(self, item: Item, now: float) -> None:
        """Queue a Line; a server may send only the one that it owes."""
        if isinstance(item, Line):
            if b"\n" in item.text:
                raise StateError("a line has no LF within")
            self._state = self._table.step(self._state, "give")
            self._heard = now
            self._out.append(item.text + b"\n")
        elif isinstance(item, Abandon):
            self._events.append(self._close(item.reason))
        elif isinstance(item, Drain):
            self._draining = True
        else:
            raise StateError(f"{type(item).__name__} has no place in this protocol")

    def room(self, stream: int = 0) -> int:
        """There is no window here."""
        return UNLIMITED

    def consumed(self, count: int, stream: int = 0) -> None:
        """There are no bodies here."""

    def backlog(self) -> int:
        """What has come and is not yet a Line."""
        return len(self._buffer)

    def outgoing(self) -> list[bytes]:
        """What is to be written."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """When silence has lasted too long; nothing while a line is owed."""
        return self._heard + self._patience if self._table.permits(self._state, "take") else None

    def tick(self, now: float) -> None:
        """Give up a peer that has been silent too long."""
        deadline = self.deadline()
        if deadline is not None and deadline <= now:
            self._events.append(self._close("the peer is silent"))

    def touched(self, now: float) -> None:
        """A shortcut answered a line."""
        self._heard = now

    def _close(self, reason: str) -> Close:
        self._state = self._table.step(self._state, "close")
        self._buffer.clear()
        return Close(reason)
