"""The upper-case protocol in bytes: a line goes in, the same line comes back in upper case.

Over TCP a line ends with LF (a CR before it is kept out); a last line without LF counts when the peer ends its
side. Over UDP a datagram is a line. ASCII letters are raised; all other bytes stay as they are.

Implements: the socket programming example of the application-layer chapter.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from netsuite.sansio.connection import NEED_DATA, PAUSED, UNLIMITED, Abandon, Close, Drain, Event, Item, StateError

__all__ = ["Line", "LineConnection", "raised"]

IDLE: Final = 300.0
LONGEST: Final = 8192


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
        self._answers = answers
        self._longest = longest
        self._patience = idle
        self._heard = now
        self._buffer = bytearray()
        self._events: deque[Event] = deque()
        self._out: list[bytes] = []
        self._owed = False
        self._ended = False
        self._draining = False
        self._closed = False

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return not (self._buffer or self._owed or self._events or self._closed)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes; ``b""`` ends the input."""
        if self._closed:
            return
        if not self._buffer:
            # a line that comes byte by byte has no more time than one that never comes
            self._heard = now
        self._buffer += data
        self._ended = self._ended or not data

    def next_event(self) -> Event:
        """A Line, Close, NEED_DATA, or PAUSED while a line is owed."""
        if self._events:
            return self._events.popleft()
        if self._closed:
            return NEED_DATA
        if self._owed:
            return PAUSED
        if self._draining:
            return self._close("draining")
        end = self._buffer.find(b"\n", 0, self._longest + 2)
        if end < 0 and self._ended:
            end = len(self._buffer)
        text = bytes(self._buffer[: max(end, 0)]).removesuffix(b"\r")
        if len(text) > self._longest or (end < 0 and len(self._buffer) > self._longest + 1):
            return self._close(f"a line is longer than {self._longest} bytes")
        if end >= 0 and self._buffer:
            del self._buffer[: end + 1]
            self._owed = self._answers
            return Line(text)
        if self._ended:
            return self._close("the peer has said all")
        return NEED_DATA

    def send(self, item: Item, now: float) -> None:
        """Queue a Line; a server may send only the one that it owes."""
        if isinstance(item, Line):
            if self._closed or (self._answers and not self._owed):
                raise StateError("no line is owed")
            if b"\n" in item.text:
                raise StateError("a line has no LF within")
            self._heard = now
            self._owed = False
            self._out.append(item.text + b"\n")
        elif isinstance(item, Abandon):
            self._owed = False
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
        return None if self._owed or self._closed else self._heard + self._patience

    def tick(self, now: float) -> None:
        """Give up a peer that has been silent too long."""
        deadline = self.deadline()
        if deadline is not None and deadline <= now:
            self._events.append(self._close("the peer is silent"))

    def touched(self, now: float) -> None:
        """A shortcut answered a line."""
        self._heard = now

    def _close(self, reason: str) -> Close:
        self._closed = True
        self._buffer.clear()
        return Close(reason)
