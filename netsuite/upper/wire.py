"""The upper-case protocol in bytes: a line goes in, the same line comes back in upper case.

Over TCP a line ends with LF (a CR before it is kept out); a last line without LF counts when the peer ends its
side. Over UDP a datagram is a line. ASCII letters are raised; all other bytes stay as they are.

Implements: the socket programming example of the application-layer chapter.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from netsuite.sansio.connection import NEED_DATA, PAUSED, Abandon, Drain, Event, Item, StateError
from netsuite.sansio.machine import Machine
from netsuite.sansio.state import StateTable

__all__ = ["Line", "LineConnection", "raised"]

IDLE: Final = 300.0
LONGEST: Final = 8192

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


class LineConnection(Machine):
    """Either side of the TCP pair: a :class:`~netsuite.sansio.connection.Connection` of :class:`Line`.

    A server (``answers=True``) owes one line for each that it takes, and takes the next when that is sent; a client
    takes whatever comes. A line longer than ``longest`` bytes, or one that is not there after ``idle`` seconds,
    ends the connection.
    """

    def __init__(self, now: float, *, answers: bool, longest: int = LONGEST, idle: float = IDLE) -> None:
        super().__init__(now)
        self._table = SERVER if answers else CLIENT
        self._state = self._table.start
        self._longest = longest
        self._idle_time = idle

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return super().idle and self._state == self._table.start

    def step(self) -> Event | None:
        """A Line, NEED_DATA, or PAUSED while a line is owed."""
        if not self._table.permits(self._state, "take"):
            return PAUSED
        if self._draining:
            return self.close("draining")
        line = self.line(self._longest + len(b"\r\n"))
        if line is NEED_DATA and self._ended:
            line = self._buffer.take_all() or NEED_DATA
        if line is NEED_DATA:
            return self.close("the peer has said all") if self._ended else NEED_DATA
        text = line.removesuffix(b"\r") if isinstance(line, bytes) else None
        if text is None or len(text) > self._longest:
            return self.close(f"a line is longer than {self._longest} bytes")
        self._state = self._table.step(self._state, "take")
        return Line(text)

    def send(self, item: Item, now: float) -> None:
        """Queue a Line; a server may send only the one that it owes."""
        if isinstance(item, Line):
            if b"\n" in item.text:
                raise StateError("a line has no LF within")
            self._state = self._table.step(self._state, "give")
            self._heard = now
            self._out.append(item.text + b"\n")
        elif isinstance(item, Abandon):
            self.close(item.reason)
        elif isinstance(item, Drain):
            self._draining = True
        else:
            raise StateError(f"{type(item).__name__} has no place in this protocol")

    def patience(self) -> float | None:
        """How long a line is waited for; without end while one is owed."""
        return self._idle_time if self._table.permits(self._state, "take") else None

    def close(self, reason: str, *, linger: bool = False) -> Event | None:
        """Nothing is taken or given any more."""
        self._state = self._table.step(self._state, "close")
        return super().close(reason, linger=linger)
