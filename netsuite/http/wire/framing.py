"""What both roles of HTTP/1.1 share: the input buffer, heads cut out of it, bodies read and written.

Implements: RFC 9112 sections 2.2, 6, 7 and 8
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs

from netsuite.http.wire.chunked import ChunkedBody
from netsuite.http.wire.heads import BARE_LINE_END, CHUNKED, UNTIL_CLOSE, Refused
from netsuite.http.wire.lines import field_block, prefixes
from netsuite.http.wire.messages import sendable_trailers
from netsuite.sansio.connection import (
    NEED_DATA,
    UNLIMITED,
    Close,
    Data,
    End,
    Failed,
    StateError,
)

__all__ = ["OWN_FIELDS", "Http1Limits", "Http1Machine"]

OWN_FIELDS: Final = frozenset(
    [b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"proxy-connection"]
)
"""Fields that say how a message is framed: the machines write them, or check what they are given."""


@attrs.frozen
class Http1Limits:
    """What a peer may cost: sizes in bytes, times in seconds.

    ``head`` bounds the start line and all fields, ``target`` the request target, ``fields`` their number, ``body`` a
    request's body. A head must be complete ``head_time`` after its first byte; a kept connection
    may be silent for ``idle_time``; a body must bring ``body_progress`` bytes in each ``body_time`` that
    passes while nobody but the peer is waited for; a client waits ``answer_time`` for a response's head;
    a tunnel may be silent for ``tunnel_time``.
    """

    head: int = 64 * 1024
    target: int = 16 * 1024
    fields: int = 256
    body: int = 1 << 60
    head_time: float = 10.0
    idle_time: float = 75.0
    body_time: float = 20.0
    body_progress: int = 1024
    answer_time: float = 60.0
    tunnel_time: float = 600.0


_NO_LENGTH: Final = -3
_SKIPPED_LINES: Final = 8


class Http1Machine:
    """The state that a server's and a client's connection have in common.

    Reading is in the state that ``_read`` names: a bound method that answers the next event. Writing is in
    the state that ``_write`` names: what to do with a Part's bytes; ``_unsent`` counts down a known length.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_deadline",
        "_ended",
        "_events",
        "_got",
        "_handed",
        "_limits",
        "_now",
        "_out",
        "_read",
        "_remaining",
        "_scanned",
        "_skipped",
        "_stream",
        "_unsent",
        "_write",
        "closed",
    )

    def __init__(self, limits: Http1Limits, now: float) -> None:
        self._limits = limits
        self._now = now
        self._buffer: bytes | bytearray = b""
        self._scanned = 0
        self._skipped = 0
        self._ended = False
        self._events: deque[Any] = deque()
        self._out: list[bytes] = []
        self._stream = 0
        self._body: ChunkedBody | None = None
        self.closed = False
        self._remaining = 0
        self._unsent = _NO_LENGTH
        self._got = 0
        self._handed = 0
        self._deadline: float | None = now + limits.idle_time
        self._read: Callable[[], Any] = self._read_head
        self._write: Callable[[bytes], None] | None = None

    # -- Connection

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that arrived; ``b""`` is the orderly end of input."""
        self._now = now
        if not data:
            self._ended = True
            return
        if self.closed:
            return
        self._got += len(data)
        buffer = self._buffer
        if not buffer:
            self._buffer = data
        elif type(buffer) is bytearray:
            buffer += data
        else:
            self._buffer = bytearray(buffer)
            self._buffer += data
        self._arrived()

    def next_event(self) -> Any:
        """The next event, NEED_DATA or PAUSED."""
        if self._events:
            return self._events.popleft()
        return self._read()

    def room(self, stream: int = 0) -> int:
        """HTTP/1.1 has no window of its own."""
        return UNLIMITED

    def backlog(self) -> int:
        """Bytes received and neither parsed nor consumed."""
        return len(self._buffer) + self._handed

    def outgoing(self) -> list[bytes]:
        """Hand over, once, the chunks to write."""
        out = self._out
        if out:
            self._out = []
        return out

    def deadline(self) -> float | None:
        """When tick wants to be called at the latest."""
        return self._deadline

    # -- reading

    def _read_head(self) -> Any:
        raise NotImplementedError

    def _arrived(self) -> None:
        """Bytes came in: the deadline may move."""
        raise NotImplementedError

    def _body_ended(self) -> None:
        """The body of the current message has come to its end."""
        raise NotImplementedError

    def _body_broken(self, status: int, reason: str) -> None:
        """The body of the current message will never be complete."""
        raise NotImplementedError

    def _take(self, size: int) -> bytes:
        """The first bytes of the buffer."""
        buffer = self._buffer
        if size == len(buffer):
            self._buffer = b""
            return buffer if type(buffer) is bytes else bytes(buffer)
        taken = bytes(buffer[:size])
        if type(buffer) is bytearray:
            del buffer[:size]
        else:
            self._buffer = buffer[size:]
        return taken

    def _take_head(self) -> bytes | None:
        """A complete head (with its empty line), or None if more must come; raises Refused.

        What is said about a malformed head does not depend on the pieces in which it came.
        """
        buffer = self._buffer
        while buffer[0] in b"\r\n":
            begun = buffer[:2]
            if begun == b"\r":
                return None
            self._skipped += 1
            if begun != b"\r\n" or self._skipped > _SKIPPED_LINES:
                raise Refused(400, "a head does not begin with an empty line")
            self._take(2)
            buffer = self._buffer
            if not buffer:
                return None
        limit = self._limits.head
        end = buffer.find(b"\r\n\r\n", self._scanned, limit)
        if end >= 0:
            self._scanned = self._skipped = 0
            return self._take(end + 4)
        fault = BARE_LINE_END.search(buffer, max(0, self._scanned - 1), limit)
        if fault is not None and fault.end() < limit:
            raise Refused(400, "a line does not end with CRLF")
        if len(buffer) >= limit:
            if buffer.find(b"\r\n", 0, limit) < 0:
                raise Refused(414, f"the first line is longer than {limit} bytes")
            raise Refused(431, f"the head is longer than {limit} bytes")
        self._scanned = max(0, len(buffer) - 3)
        return None

    def _begin_body(self, length: int) -> None:
        """Set what reads the body of the message whose head was just read."""
        self._got = len(self._buffer)
        self._handed = 0
        if length == CHUNKED:
            self._body = ChunkedBody(self._limits.head)
            self._remaining = self._limits.body
            self._read = self._read_chunked
        elif length == UNTIL_CLOSE:
            self._read = self._read_until_close
        else:
            self._remaining = length
            self._read = self._read_length
        self._deadline = self._now + self._limits.body_time

    def _read_length(self) -> Any:
        size = len(self._buffer)
        if not size:
            return self._broken_off() if self._ended else NEED_DATA
        remaining = self._remaining
        data = self._take(size if size < remaining else remaining)
        remaining -= len(data)
        self._remaining = remaining
        self._handed += len(data)
        if not remaining:
            self._events.append(End(self._stream))
            self._body_ended()
        return Data(self._stream, data)

    def _read_chunked(self) -> Any:
        body = self._body
        assert body is not None
        if not self._buffer:
            return self._broken_off() if self._ended else NEED_DATA
        pieces, used = body.read(self._buffer, 0)
        self._take(used)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) > self._remaining:
            data = data[: self._remaining]
            self._read = self._read_too_much
        elif body.fault is not None:
            self._read = self._read_fault
        elif body.complete:
            self._events.append(End(self._stream, tuple(body.trailers)))
            self._body_ended()
        elif not data:
            return self._broken_off() if self._ended else NEED_DATA
        if not data:
            return self.next_event()
        self._handed += len(data)
        self._remaining -= len(data)
        return Data(self._stream, data)

    def _broken_off(self) -> Any:
        self._body_broken(400, "the body broke off")
        return self.next_event()

    def _read_fault(self) -> Any:
        assert self._body is not None
        self._body_broken(400, self._body.fault or "")
        return self.next_event()

    def _read_too_much(self) -> Any:
        self._body_broken(413, f"the body is longer than {self._limits.body} bytes")
        return self.next_event()

    def _read_until_close(self) -> Any:
        size = len(self._buffer)
        if size:
            self._handed += size
            return Data(self._stream, self._take(size))
        if not self._ended:
            return NEED_DATA
        self._body_ended()
        return End(self._stream)

    def _read_nothing(self) -> Any:
        return NEED_DATA

    def _shut(self, close: Close) -> None:
        """The last event; what comes after it is not looked at."""
        self.closed = True
        self._read = self._read_nothing
        self._buffer = b""
        self._deadline = None
        self._write = None
        self._events.append(close)

    def _fail(self, reason: str, linger: bool = False) -> None:
        """Failed for the current stream, then Close."""
        self._events.clear()
        self._events.append(Failed(self._stream, reason))
        self._shut(Close(reason, linger))

    # -- writing

    def _send_part(self, data: bytes) -> None:
        if self._write is None:
            raise StateError("no body is being sent")
        if data:
            self._write(data)

    def _write_raw(self, data: bytes) -> None:
        self._out.append(data)

    def _write_counted(self, data: bytes) -> None:
        self._unsent -= len(data)
        if self._unsent < 0:
            self._unsent += len(data)
            raise StateError("the body is longer than its Content-Length")
        self._out.append(data)

    def _write_chunk(self, data: bytes) -> None:
        out = self._out
        out.append(b"%x\r\n" % len(data))
        out.append(data)
        out.append(b"\r\n")

    def _write_away(self, data: bytes) -> None:
        """The answer to HEAD, a 204 or a 304 has no body, whatever its source says."""

    def _end_body(self, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        """Write what ends the body that is being sent."""
        if self._write is None:
            raise StateError("no body is being sent")
        if self._write == self._write_chunk:
            if trailers and (sendable := sendable_trailers(trailers)):
                lines = [b"0"]
                lines += [prefixes[name] + value for name, value in sendable]
                self._out.append(field_block(lines))
            else:
                self._out.append(b"0\r\n\r\n")
        elif self._write == self._write_counted and self._unsent:
            raise StateError("the body is shorter than its Content-Length")
        self._write = None
