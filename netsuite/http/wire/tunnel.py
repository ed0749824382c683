"""The far side of a tunnel: bytes as they are, both ways, on one stream.

Implements: RFC 9110 section 9.3.6
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from netsuite.sansio.connection import (
    NEED_DATA,
    UNLIMITED,
    Abandon,
    Close,
    Data,
    Drain,
    End,
    Failed,
    Finish,
    HalfClose,
    Part,
    Source,
    StateError,
)

__all__ = ["HALF_OPEN_TIME", "Opened", "Outflow", "RawConnection"]

_STREAM: Final = 1
HALF_OPEN_TIME: Final = 60.0
"""Seconds that a tunnel of which one side has ended may be silent: most peers then end theirs at once."""


class Opened(NamedTuple):
    """A RawConnection's first event: its body is what the peer sends."""

    stream: int = _STREAM
    has_body: bool = True


class Outflow(NamedTuple):
    """What is to be sent through a RawConnection."""

    source: Source
    stream: int = _STREAM


class RawConnection:
    """A machine without a protocol: one Opened, then Data until End; Parts go out as they are.

    A side that ends does not end the other (RFC 9110 section 9.3.6 lets it, TCP does not). When both have, or
    ``idle_time`` seconds pass in which nothing moves, it closes; where one has, HALF_OPEN_TIME is the most.
    """

    __slots__ = ("_buffer", "_closed", "_deadline", "_ended", "_events", "_handed", "_idle_time", "_open", "_out")

    def __init__(self, *, now: float, idle_time: float = 600.0) -> None:
        self._idle_time = idle_time
        self._deadline: float | None = now + idle_time
        self._events: deque[Any] = deque([Opened()])
        self._buffer: list[bytes] = []
        self._out: list[bytes] = []
        self._handed = 0
        self._open = True  # our own side
        self._ended = False
        self._closed = False

    @property
    def idle(self) -> bool:
        """A tunnel is never idle."""
        return False

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that arrived."""
        if self._closed or self._ended:
            return
        if data:
            self._events.append(Data(_STREAM, data))
            self._handed += len(data)
        else:
            self._ended = True
            self._events.append(End(_STREAM))
            if not self._open:
                self._close("both sides have ended")
        self._moved(now)

    def next_event(self) -> Any:
        """Opened, Data, End, Failed, HalfClose, Close or NEED_DATA."""
        return self._events.popleft() if self._events else NEED_DATA

    def send(self, item: Any, now: float) -> None:
        """An Outflow, Part, Finish, Abandon or Drain."""
        if self._closed:
            return
        kind = type(item)
        if kind is Part:
            self._out.append(item.data)
        elif kind is Finish:
            self._open = False
            if self._ended:
                self._close("both sides have ended")
            else:
                self._events.append(HalfClose())
        elif kind is Abandon:
            if not self._ended:
                self._events.append(Failed(_STREAM, item.reason))
            self._close(item.reason)
        elif kind is not Drain and kind is not Outflow:
            raise StateError(f"a tunnel does not carry {item!r}")
        self._moved(now)

    def _moved(self, now: float) -> None:
        half = self._ended or not self._open
        self._deadline = now + (min(self._idle_time, HALF_OPEN_TIME) if half else self._idle_time)

    def room(self, stream: int = _STREAM) -> int:
        """No window of its own."""
        return UNLIMITED

    def consumed(self, count: int, stream: int = _STREAM) -> None:
        """The other side took that many bytes."""
        self._handed -= count

    def backlog(self) -> int:
        """Bytes received and not yet taken by the other side."""
        return 0 if self._closed else self._handed

    def outgoing(self) -> list[bytes]:
        """Hand over, once, the chunks to write."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """When the tunnel has been silent for too long."""
        return None if self._closed else self._deadline

    def tick(self, now: float) -> None:
        """Close a tunnel in which nothing moves."""
        if not self._closed and self._deadline is not None and now >= self._deadline:
            if not self._ended:
                self._events.append(Failed(_STREAM, "the tunnel was silent for too long"))
            self._close("the tunnel was silent for too long")

    def touched(self, now: float) -> None:
        """Tunnels have no shortcut."""

    def _close(self, reason: str) -> None:
        self._closed = True
        self._events.append(Close(reason))
