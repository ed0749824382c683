"""The server's side of HTTP/3: the messages of the other versions, on streams of QUIC.

Frames, QPACK and the rules of their order are aioquic's; what a request is, and which are refused, is decided by the
same code as for HTTP/2. An error in one request ends its stream and no other, but for what RFC 9114 calls an error of
the connection.

Implements: RFC 9114 sections 4.1, 4.2, 4.3, 4.4, 5.2 and 8; RFC 9110 section 15.2
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from aioquic.h3.connection import H3Connection, MessageError
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events
from aioquic.quic.connection import QuicConnection

from netsuite.common.quic import QuicLimits, QuicMachine
from netsuite.common.quiclibrary import unacknowledged
from netsuite.http.wire.framing import OWN_FIELDS, Http1Limits
from netsuite.http.wire.heads import Refused
from netsuite.http.wire.http2frames import Allowance
from netsuite.http.wire.http2request import NO_LENGTH, Malformed, read_request, read_trailers
from netsuite.http.wire.messages import Fields, Request, Response
from netsuite.sansio.connection import Abandon, End, Failed, Finish, Part, StateError
from netsuite.sansio.connection import Data as Piece

__all__ = ["ALPN", "Http3Connection"]

ALPN: Final = "h3"
_OVER: Final = 256
_RESETS: Final = 100
_RESET_RATE: Final = 10.0
"""Requests that a client may give up at once, and a second."""


class Code(enum.IntEnum):
    """RFC 9114 section 8.1."""

    NO_ERROR = 0x100
    INTERNAL_ERROR = 0x102
    EXCESSIVE_LOAD = 0x107
    REQUEST_REJECTED = 0x10B
    REQUEST_CANCELLED = 0x10C
    MESSAGE_ERROR = 0x10E


class _Exchange:
    """One request and its answer."""

    __slots__ = (
        "answered",
        "arrived",
        "continues",
        "expected",
        "moved",
        "open",
        "request",
        "since",
        "tunnel",
        "unsent",
        "waiting",
        "whole",
    )

    def __init__(self, request: Request, expected: int, now: float) -> None:
        self.request = request
        self.expected = expected
        self.arrived = 0
        self.open = request.has_body
        self.continues = request.expects_continue
        self.answered = False
        self.tunnel = False
        self.unsent: int | None = None
        self.whole = False
        self.since = now
        self.moved = 0  # bytes that came since
        self.waiting = 0  # bytes that the client had not taken then


class _Frames(H3Connection):
    """The library's reader, but a malformed request ends its stream only (RFC 9114 section 4.1.2)."""

    def __init__(self, quic: QuicConnection, malformed: Callable[[int], None]) -> None:
        super().__init__(quic)
        self._malformed = malformed

    def _receive_stream_data(self, event: events.StreamDataReceived) -> list[H3Event]:
        try:
            return super()._receive_stream_data(event)
        except MessageError:
            self._malformed(event.stream_id)
            return []


class Http3Connection(QuicMachine):
    """The server's end of one connection; ``standing(now)`` are fields for the machine's own refusals."""

    no_error = Code.NO_ERROR

    def __init__(
        self,
        quic: QuicConnection,
        seconds: Callable[[], float],
        limits: Http1Limits = Http1Limits(),
        transport: QuicLimits = QuicLimits(),
        *,
        standing: Callable[[float], Fields] = lambda now: [],
    ) -> None:
        super().__init__(quic, seconds, transport)
        self._limits = limits
        self._standing = standing
        self._h3: H3Connection | None = None
        self._exchanges: dict[int, _Exchange] = {}
        self._heads: dict[int, tuple[int, float]] = {}  # of those that are half read: bytes, and since when
        self._over: dict[int, None] = {}
        self._resets = Allowance(_RESETS, _RESET_RATE, seconds())

    def at_rest(self) -> bool:
        """Whether no request is open or owed an answer."""
        return not self._exchanges

    # -- from the client

    def transport_event(self, event: events.QuicEvent) -> None:
        """Something about a stream; the library reads the frames."""
        if isinstance(event, events.ProtocolNegotiated):
            self._h3 = _Frames(self.quic, self._malformed)
        if self._h3 is None or not self._bounded(event):
            return
        for heard in self._h3.handle_event(event):
            if isinstance(heard, HeadersReceived):
                self._head(heard.stream_id, heard.headers, heard.stream_ended)
            elif isinstance(heard, DataReceived):
                self._data(heard.stream_id, heard.data, heard.stream_ended)
        if isinstance(event, events.StreamReset):
            self._gone(event.stream_id, "the client gave its request up")
        elif isinstance(event, events.StopSendingReceived):
            self._gone(event.stream_id, "the client does not want the answer")

    def _bounded(self, event: events.QuicEvent) -> bool:
        """Whether a client keeps to what half-read heads, and requests given up, may cost."""
        if isinstance(event, events.StreamReset | events.StopSendingReceived):
            self._heads.pop(event.stream_id, None)
            if not self._resets.spend(self._seconds()):
                self.shut(Code.EXCESSIVE_LOAD, "too many requests were given up")
                return False
        elif isinstance(event, events.StreamDataReceived) and self._begins(event.stream_id):
            size, since = self._heads.get(event.stream_id, (0, self._seconds()))
            self._heads[event.stream_id] = (size + len(event.data), since)
            if size > 2 * self._limits.head:
                self.shut(Code.EXCESSIVE_LOAD, "the head of a request is too long")
                return False
        return True

    def _malformed(self, stream: int) -> None:
        self._heads.pop(stream, None)
        if stream in self._exchanges:
            self._drop(stream, Code.MESSAGE_ERROR, "the request is malformed")
        else:
            self._cut(stream, Code.MESSAGE_ERROR)

    def _begins(self, stream: int) -> bool:
        """Whether what comes on a stream belongs to the head of a request."""
        return not stream & 3 and stream not in self._exchanges and stream not in self._over

    def _no_more(self, stream: int) -> None:
        """What still comes on this stream is nothing to us."""
        self._over[stream] = None
        if len(self._over) > _OVER:
            del self._over[next(iter(self._over))]

    def _head(self, stream: int, found: list[tuple[bytes, bytes]], ended: bool) -> None:
        known = self._exchanges.get(stream)
        if known is not None:
            self._trailers(stream, known, found, ended)
            return
        self._heads.pop(stream, None)
        if self.draining:
            self._cut(stream, Code.REQUEST_REJECTED)
            return
        limits = self._limits
        try:
            if sum(len(name) + len(value) + 32 for name, value in found) > limits.head:
                raise Refused(431, "the fields are too long")
            request, expected = read_request(
                found, ended=ended, peer=self.peer, most=limits.fields, target_limit=limits.target
            )
            if expected > limits.body:
                raise Refused(413, "the body is too long")
        except Malformed:
            self._cut(stream, Code.MESSAGE_ERROR)
            return
        except Refused as refused:
            self._refuse(stream, refused.status, refused.reason)
            if not ended:
                self._no_more(stream)
                self.quic.stop_stream(stream, Code.NO_ERROR)
            return
        request.stream = stream
        request.version = (3, 0)
        self._exchanges[stream] = _Exchange(request, expected, self._seconds())
        self.events.append(request)

    def _trailers(self, stream: int, known: _Exchange, found: list[tuple[bytes, bytes]], ended: bool) -> None:
        try:
            trailers = read_trailers(found)
        except Malformed:
            self._drop(stream, Code.MESSAGE_ERROR, "malformed trailers")
            return
        if ended:
            self._input_ended(stream, known, trailers)

    def _data(self, stream: int, data: bytes, ended: bool) -> None:
        known = self._exchanges.get(stream)
        if known is None:
            return
        known.moved += len(data)
        if known.moved >= self._limits.body_progress or ended:
            self._moved(stream, known)
        if data:
            known.arrived += len(data)
            if known.expected != NO_LENGTH and known.arrived > known.expected and not known.tunnel:
                self._drop(stream, Code.MESSAGE_ERROR, "the body is longer than its Content-Length")
                return
            if known.arrived > self._limits.body and not known.tunnel:
                self._give_up(stream, known, 413, Code.NO_ERROR, "the body is too long")
                return
            self.hand(stream, data, Piece(stream, data))
        if ended:
            self._input_ended(stream, known, ())

    def _input_ended(self, stream: int, known: _Exchange, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        if not known.open:
            return
        if known.expected != NO_LENGTH and known.arrived < known.expected:
            self._drop(stream, Code.MESSAGE_ERROR, "the body is shorter than its Content-Length")
            return
        known.open = False
        self.events.append(End(stream, trailers))
        self._done(stream, known)

    def _gone(self, stream: int, reason: str) -> None:
        if stream in self._exchanges:
            self._drop(stream, Code.REQUEST_CANCELLED, reason)

    # -- to the client

    def send_item(self, item: Any, now: float) -> None:
        """A Response, Part, Finish or Abandon."""
        stream = item.stream
        known = self._exchanges.get(stream)
        if known is None:
            return  # given up meanwhile
        kind = type(item)
        if kind is Response:
            self._answer(stream, known, item)
        elif kind is Part:
            self._part(stream, known, item.data)
        elif kind is Finish:
            self._finish(stream, known, item.trailers)
        elif kind is Abandon:
            if known.answered:
                self._drop(stream, Code.INTERNAL_ERROR, item.reason)
            else:
                self._refuse(stream, 500, "the server could not make an answer")
                known.answered = known.whole = True
                self._done(stream, known)
        else:
            raise StateError(f"a server does not send {item!r}")

    def _answer(self, stream: int, known: _Exchange, response: Response) -> None:
        if known.answered:
            raise StateError("this request has been answered")
        status, source, body = response.status, response.source is not None, response.body
        fields: Fields = [(b":status", b"%d" % status)]
        length: bytes | None = None
        for name, value in response.headers:
            if name == b"content-length":
                length = value
            elif name not in OWN_FIELDS and name != b"upgrade":
                fields.append((name, value))
        if status < 200:
            if status == 101:
                raise StateError("HTTP/3 has no 101")
            known.continues = known.continues and status != 100
            self._headers(stream, fields, False)
            return
        method = known.request.method
        known.answered = True
        known.continues = False
        known.tunnel = status < 300 and method == b"CONNECT"
        bodiless = method == b"HEAD" or status in (204, 304)
        if known.tunnel or status == 204:
            length = None
        elif not source and status != 304:
            length = b"%d" % len(body) if length is None or not bodiless else length
        if length is not None:
            fields.append((b"content-length", length))
        if bodiless:
            body = b""
        known.unsent = int(length) if source and length is not None and not bodiless else None
        ends = bodiless or (not source and not body and not known.tunnel)
        self._headers(stream, fields, ends)
        if not source and not known.tunnel:
            if body:
                self._write(stream, body, True)
            known.whole = True
            self._done(stream, known)
        elif bodiless:
            known.unsent = -1

    def _part(self, stream: int, known: _Exchange, data: bytes) -> None:
        if known.whole or not known.answered:
            raise StateError("no body is being sent")
        if known.unsent is not None:
            if known.unsent < 0:
                return  # an answer without a body
            if len(data) > known.unsent:
                raise StateError("the body is longer than its Content-Length")
            known.unsent -= len(data)
        self._write(stream, data, False)
        self._moved(stream, known)

    def _finish(self, stream: int, known: _Exchange, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        if known.whole or not known.answered:
            raise StateError("no body is being sent")
        if known.unsent is not None and known.unsent > 0:
            raise StateError("the body is shorter than its Content-Length")
        known.whole = True
        if known.unsent != -1:
            if trailers:
                self._headers(stream, list(trailers), True)
            else:
                self._write(stream, b"", True)
        self._done(stream, known)

    def _refuse(self, stream: int, status: int, reason: str) -> None:
        text = b"%d: %b\n" % (status, reason.encode("ascii", "replace"))
        own = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        self._headers(stream, [(b":status", b"%d" % status), *self._standing(self._seconds()), *own], False)
        self._write(stream, text, True)

    def _headers(self, stream: int, fields: Fields, ended: bool) -> None:
        assert self._h3 is not None
        self._h3.send_headers(stream, fields, ended)

    def _write(self, stream: int, data: bytes, ended: bool) -> None:
        assert self._h3 is not None
        self._h3.send_data(stream, bytes(data), ended)

    # -- streams that end

    def consumed(self, count: int, stream: int = 0) -> None:
        """The application took bytes of a body, or (0) waits for them: the moment for 100 Continue."""
        known = self._exchanges.get(stream)
        if known is None:
            return
        if not count and known.continues:
            known.continues = False
            if not known.arrived and not known.answered:
                self._headers(stream, [(b":status", b"100")], False)
        if not self._unread.get(stream):
            self._moved(stream, known)  # only now is it the client who is waited for
        super().consumed(count, stream)

    def room(self, stream: int = 0) -> int:
        """How much of a body the transport takes; -1 where nobody waits for it."""
        if stream not in self._exchanges:
            return -1
        return super().room(stream)

    def _done(self, stream: int, known: _Exchange) -> None:
        """Forget an exchange whose answer is complete, whatever of the request is still to come."""
        if not known.whole:
            return
        del self._exchanges[stream]
        self.forget(stream)
        if known.open:
            self._no_more(stream)
            self.quic.stop_stream(stream, Code.NO_ERROR)
            self.events.append(Failed(stream, "the answer was complete before the body", over=True))
        self.rest()

    def _give_up(self, stream: int, known: _Exchange, status: int, code: Code, reason: str) -> None:
        """The rest of a request is not waited for: say so, if that can still be said."""
        if known.answered:
            self._drop(stream, code, reason)
            return
        self._refuse(stream, status, reason)
        self._end(stream, Code.NO_ERROR, reason)

    def _drop(self, stream: int, code: Code, reason: str) -> None:
        """A stream is over before its time, whatever was being said on it."""
        self.quic.reset_stream(stream, code)
        self._end(stream, code, reason)

    def _end(self, stream: int, code: Code, reason: str) -> None:
        known = self._exchanges.pop(stream)
        self.forget(stream)
        self._no_more(stream)
        self.events.append(Failed(stream, reason, over=True))
        if known.open:
            self.quic.stop_stream(stream, code)
        self.rest()

    def _cut(self, stream: int, code: Code) -> None:
        self._no_more(stream)
        self.quic.reset_stream(stream, code)
        self.rest()

    # -- time

    def deadline(self) -> float | None:
        """QUIC's own timer, or the moment at which a client has been waited for too long."""
        due = super().deadline()
        late = min((known.since + self._patience(known) for known in self._exchanges.values()), default=None)
        if self._heads:
            head = min(since for _, since in self._heads.values()) + self._limits.head_time
            late = head if late is None else min(late, head)
        return due if late is None else late if due is None else min(due, late)

    def tick(self, now: float) -> None:
        """QUIC's timers; requests whose bodies, and answers whose readers, make no progress."""
        super().tick(now)
        for stream, (_, since) in list(self._heads.items()):
            if now >= since + self._limits.head_time:
                del self._heads[stream]
                self.quic.stop_stream(stream, Code.REQUEST_CANCELLED)
                self._cut(stream, Code.REQUEST_CANCELLED)
        for stream, known in list(self._exchanges.items()):
            if now < known.since + self._patience(known):
                continue
            sending = known.answered and not known.whole and super().room(stream) == 0
            if sending and unacknowledged(self.quic, stream) <= known.waiting - self._limits.body_progress:
                self._moved(stream, known)
                continue
            if known.tunnel or sending or (known.open and not self._unread.get(stream)):
                self._give_up(stream, known, 408, Code.REQUEST_CANCELLED, "the client was waited for too long")
            else:
                self._moved(stream, known)  # it is not the client who is waited for

    def _moved(self, stream: int, known: _Exchange) -> None:
        """From now on the client has its time anew."""
        known.since = self._seconds()
        known.moved = 0
        known.waiting = unacknowledged(self.quic, stream)

    def _patience(self, known: _Exchange) -> float:
        return self._limits.tunnel_time if known.tunnel else self._limits.body_time
