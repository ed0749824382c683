"""DNS over a stream: messages behind their length, many in flight, answered in any order.

:class:`DnsConnection` is one machine for both roles. Events and items are :class:`Message`; its stream is a
number of the query's own, so that answers may overtake one another (RFC 7766 section 6.2.1.1). A server
gives each query the next number; a client chooses the numbers of what it sends, and an answer
comes back under the number of the query with the same id.

The answer to a zone transfer may be many messages. A server sends the first with a source of the others (Part for
each, then Finish); a client is given each as it comes, until it sends Abandon for the query's number.

Implements: RFC 1035 section 4.2.2; RFC 5936 section 4; RFC 7766 sections 6, 7, 8; RFC 9210 section 4.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

import attrs

from netsuite.dns.wire import codes
from netsuite.dns.wire.query import error
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    UNLIMITED,
    Abandon,
    Close,
    Drain,
    Failed,
    Finish,
    Part,
    Source,
    StateError,
)

__all__ = ["DnsConnection", "DnsStreamLimits", "Message"]

_HEADER: Final = 12
_QR: Final = 0x80
_TRANSFERS: Final = (codes.AXFR.to_bytes(2, "big"), codes.IXFR.to_bytes(2, "big"))


class Message(NamedTuple):
    """One DNS message, whole; ``stream`` numbers the query that it is or answers. What comes has no body.

    ``source``, for an answer to a transfer, has the messages that follow it.
    """

    stream: int
    data: bytes
    source: Source | None = None
    has_body: bool = False


@attrs.frozen
class DnsStreamLimits:
    """What one connection may cost.

    ``outstanding``: queries unanswered at a time, and ``octets`` what they may have together (further ones wait
    unread); ``idle``: seconds of silence after which a connection is closed on which no answer is owed, or
    a client stops waiting; ``message``: seconds for one message to arrive.
    """

    outstanding: int = 128
    octets: int = 256 * 1024
    idle: float = 20.0
    message: float = 10.0


class DnsConnection:
    """DNS over one stream; see the module's docstring."""

    __slots__ = (
        "_at",
        "_buffer",
        "_closed",
        "_draining",
        "_ended",
        "_idle_from",
        "_ids",
        "_last",
        "_limits",
        "_next",
        "_out",
        "_owed",
        "_owed_octets",
        "_partial_from",
        "_pouring",
        "_server",
    )

    def __init__(self, now: float, *, server: bool, limits: DnsStreamLimits = DnsStreamLimits()) -> None:
        self._server = server
        self._limits = limits
        self._buffer = bytearray()
        self._at = 0
        self._out: list[bytes] = []
        self._next = 0
        # A server's queries that are owed an answer; a client's that wait for one.
        self._owed: dict[int, bytes] = {}
        self._owed_octets = 0
        # A server's answers that have more messages to come; a client's queries that may get many.
        self._pouring: set[int] = set()
        self._ids: dict[bytes, int] = {}
        self._last: deque[Any] = deque()
        self._ended = self._draining = self._closed = False
        self._idle_from = now
        self._partial_from: float | None = None

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return not self._owed and self._at == len(self._buffer) and not self._last

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that arrived; ``b""`` is the end of input."""
        if not data:
            self._ended = True
        elif not self._closed:
            if self._at:
                del self._buffer[: self._at]
                self._at = 0
            if not self._buffer:
                self._partial_from = now
            self._buffer += data
            self._idle_from = now

    def next_event(self) -> Any:
        """A message, ``Failed``, ``Close``, NEED_DATA or PAUSED."""
        if not self._last and not self._closed:
            event = self._pull()
            if event is not None:
                return event
        return self._last.popleft() if self._last else NEED_DATA

    def _pull(self) -> Any:
        """What comes next while the connection lives; None once it is over."""
        if self._server:
            if self._draining:
                return self._finished("drained")
            if self._full():
                return PAUSED
        message = self._message()
        while message is not None:
            if len(message) < _HEADER:
                return self._end("a message shorter than a header")
            if self._server:
                stream = self._next
                self._next += 1
                self._owed[stream] = message
                self._owed_octets += len(message)
                return Message(stream, message)
            found = self._ids.get(message[:2]) if message[2] & _QR else None
            if found is not None:
                if found not in self._pouring:
                    del self._owed[found], self._ids[message[:2]]
                return Message(found, message)
            message = self._message()
        if self._ended:
            reason = "the input ended" if self._at == len(self._buffer) else "the input ended inside a message"
            return self._finished(reason) if self._server else self._end(reason)
        if self._draining:
            return self._finished("drained")
        return NEED_DATA

    def send(self, item: Any, now: float) -> None:
        """Queue a Message; Abandon answers SERVFAIL, or ends a transfer; Drain closes once nothing is owed."""
        kind = type(item)
        if kind is Drain:
            self._draining = True
            return
        if self._closed:
            raise StateError("the connection is over")
        if self._server:
            if item.stream not in self._owed:
                raise StateError(f"no query {item.stream} awaits an answer")
            if kind is Part:
                if item.stream not in self._pouring:
                    raise StateError("only a transfer has several messages")
                data = item.data
            else:
                if self._partial_from is not None and self._full():
                    self._partial_from = now
                if kind is Message and item.source is not None:
                    self._pouring.add(item.stream)
                else:
                    query = self._owed.pop(item.stream)
                    self._owed_octets -= len(query)
                if kind is Finish or (kind is Abandon and item.stream in self._pouring):
                    self._pouring.discard(item.stream)
                    self._idle_from = now
                    if kind is Abandon:
                        self._end("a transfer could not be finished")
                    return
                data = _failure(query) if kind is Abandon else item.data
        elif kind is Part or kind is Finish:
            raise StateError("a DNS query has no body to send")
        elif kind is Abandon:
            self._pouring.discard(item.stream)
            if item.stream in self._owed:
                del self._ids[self._owed.pop(item.stream)[:2]]
            return
        else:
            data = item.data
            if item.stream in self._owed or data[:2] in self._ids:
                raise StateError("a query of that number or id is already under way")
            if _is_transfer(data):
                self._pouring.add(item.stream)
            self._owed[item.stream] = data
            self._ids[data[:2]] = item.stream
        if not _HEADER <= len(data) <= 65535:
            raise StateError(f"a message of {len(data)} bytes cannot be sent")
        self._out.append(len(data).to_bytes(2, "big") + data)
        self._idle_from = now

    def room(self, stream: int = 0) -> int:
        """DNS has no window."""
        return UNLIMITED

    def consumed(self, count: int, stream: int = 0) -> None:
        """Messages have no bodies."""

    def backlog(self) -> int:
        """Bytes received and not yet parsed."""
        return len(self._buffer) - self._at

    def outgoing(self) -> list[bytes]:
        """What to write, once."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """When the half-read message or the silence has lasted too long; none while answers are owed."""
        if self._closed or self._full():
            return None
        if self._partial_from is not None:
            return self._partial_from + self._limits.message
        return None if self._server and self._owed else self._idle_from + self._limits.idle

    def tick(self, now: float) -> None:
        """Give up a peer that stalled."""
        due = self.deadline()
        if due is not None and now >= due:
            self._end("idle" if self._partial_from is None else "half a message, then silence")

    def touched(self, now: float) -> None:
        """A shortcut answered a query."""
        self._idle_from = now

    def _full(self) -> bool:
        """Whether so much is owed that further queries wait."""
        limits = self._limits
        return self._server and (len(self._owed) >= limits.outstanding or self._owed_octets >= limits.octets)

    def _message(self) -> bytes | None:
        buffer, at = self._buffer, self._at
        if len(buffer) - at >= 2:
            end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
            if end <= len(buffer):
                self._at = end
                if end == len(buffer):
                    self._partial_from = None
                else:
                    self._partial_from = self._idle_from
                return bytes(buffer[at + 2 : end])
        return None

    def _finished(self, reason: str) -> Any:
        if self._owed:
            return NEED_DATA
        return self._end(reason)

    def _end(self, reason: str) -> None:
        """The connection is over: what was awaited fails first."""
        self._closed = True
        self._buffer.clear()
        self._at = 0
        self._partial_from = None
        if not self._server:
            for stream in self._owed:
                self._last.append(Failed(stream, reason))
        self._owed.clear()
        self._ids.clear()
        self._last.append(Close(reason))


def _is_transfer(query: bytes) -> bool:
    """Whether a query of ours is for AXFR or IXFR; we send one question, uncompressed."""
    end = query.find(b"\0", 12) + 1
    return query[end : end + 2] in _TRANSFERS


def _failure(query: bytes) -> bytes:
    """SERVFAIL for a query whose answer could not be made."""
    return error(query, codes.SERVFAIL)
