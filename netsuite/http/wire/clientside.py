"""The client's side of HTTP/1.1: one request out, its responses in, the connection kept while it is whole.

Implements: RFC 9112 sections 3, 4, 6, 7, 8 and 9; RFC 9110 sections 7.8, 8.6, 9.3.2, 9.3.6, 15.2 and 15.4.5
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from netsuite.http.wire.framing import OWN_FIELDS, Http1Limits, Http1Machine
from netsuite.http.wire.heads import UNTIL_CLOSE, Refused, ResponseHeads, fault_of
from netsuite.http.wire.lines import field_block, prefixes, request_line
from netsuite.http.wire.messages import Ready, Request
from netsuite.http.wire.tunnel import HALF_OPEN_TIME
from netsuite.sansio.connection import (
    NEED_DATA,
    UNLIMITED,
    Abandon,
    Close,
    Drain,
    Finish,
    HalfClose,
    Part,
    StateError,
)

__all__ = ["ClientConnection"]

_INTERIMS: Final = 256
"""Interim responses that may come before a final one."""
_WITH_BODY: Final = frozenset([b"POST", b"PUT", b"PATCH"])


class ClientConnection(Http1Machine):
    """The client's side of one connection: one request at a time.

    A request's ``stream`` is the number that :attr:`next_stream` says. ``idle`` means that another may be sent;
    ``heard`` that bytes came since the last request was sent. A body of a known length up to ``whole`` that is there
    when its head is read comes in the response's ``body``, which then has no Data and End.
    """

    __slots__ = (
        "_draining",
        "_heads",
        "_interims",
        "_keep",
        "_method",
        "_parts",
        "_tunnel",
        "_upgrade",
        "_waiting",
        "_whole",
        "heard",
    )

    def __init__(self, limits: Http1Limits = Http1Limits(), *, now: float = 0.0, whole: int = 0) -> None:
        super().__init__(limits, now)
        self._whole = whole
        self._heads = ResponseHeads(limits.fields)
        self._method = b""
        self._upgrade = False
        self._tunnel = False
        self._waiting = False  # for a response, or the rest of it
        self._keep = True
        self._parts = False  # the request's body moved since the last tick
        self.heard = False
        self._interims = 0
        self._draining = False

    @property
    def idle(self) -> bool:
        """Another request may be sent."""
        return not (self._waiting or self._write is not None or self._buffer or self.closed)

    @property
    def next_stream(self) -> int:
        """The number of the request that may be sent next."""
        return self._stream + 1

    def touched(self, now: float) -> None:
        """Clients have no shortcut."""
        self._deadline = now + self._limits.idle_time

    def room(self, stream: int = 0) -> int:
        """Nothing of a tunnel goes before its answer."""
        if self._waiting and self._write == self._write_tunnel_early:
            return 0
        return UNLIMITED

    def consumed(self, count: int, stream: int = 0) -> None:
        """The application took bytes of the body."""
        if stream == self._stream:
            self._handed -= count

    # -- reading

    def _arrived(self) -> None:
        self.heard = True
        if self._tunnel:
            self._moved()

    def _moved(self) -> None:
        """Something passed through the tunnel."""
        most = self._limits.tunnel_time
        half = self._write is None or not self._waiting
        self._deadline = self._now + (min(most, HALF_OPEN_TIME) if half else most)

    def _read_head(self) -> Any:
        if not self._waiting:
            if self._buffer:
                self._shut(Close("the server spoke unasked"))
            elif self._ended or self._draining:
                self._shut(Close("the server closed" if self._ended else "draining"))
            else:
                return NEED_DATA
            return self.next_event()
        if not self._buffer:
            return self._failed("the server closed before it answered") if self._ended else NEED_DATA
        head = None
        try:
            head = self._take_head()
            if head is None:
                return self._failed("the server closed in the middle of a head") if self._ended else NEED_DATA
            response = self._heads.read(head, self._stream)
        except Refused as refused:
            return self._failed(f"the response is malformed: {fault_of(head, refused)}")
        status = response.status
        if status < 200 and status != 101:
            self._interims += 1
            if self._interims > _INTERIMS:
                return self._failed(
                    f"the response is malformed: more than {_INTERIMS} interim responses came before it"
                )
            return response
        tunnel = (200 <= status < 300 and self._method == b"CONNECT") or status == 101
        if status == 101 and not self._upgrade:
            return self._failed("the server switched to a protocol that nobody asked for")
        self._keep = response.keep_alive and self._keep
        length = self._heads.length
        if tunnel:
            self._keep = False
            response.has_body = True
            self._got = 0
            self._read = self._read_until_close
            self._tunnel = True
            self._write = self._write_raw
            self._moved()
            return response
        if self._write == self._write_tunnel_early:
            self._write = self._write_away
        if self._method == b"HEAD" or status == 204 or status == 304 or not length:
            self._body_ended()
            return response
        if 0 < length <= self._whole and len(self._buffer) >= length and not self._upgrade:
            response.body = self._take(length)
            self._body_ended()
            return response
        response.has_body = True
        self._begin_body(length)
        if length == UNTIL_CLOSE:
            self._keep = False
        return response

    def _body_ended(self) -> None:
        self._waiting = False
        self._read = self._read_head
        if self._tunnel and self._write is not None:
            self._read = self._read_nothing
            self._moved()
        elif self._write is None and self._keep:
            self._ready()
        else:
            # a request that is still being sent cannot be taken back
            self._read = self._read_end

    def _ready(self) -> None:
        self._deadline = self._now + self._limits.idle_time
        self._events.append(Ready(self._stream))

    def _read_end(self) -> Any:
        self._shut(Close("the last response was read"))
        return self.next_event()

    def _body_broken(self, status: int, reason: str) -> None:
        self._lost("the server closed in the middle of a body" if self._ended else reason)

    def _failed(self, reason: str) -> Any:
        self._lost(reason)
        return self.next_event()

    def _lost(self, reason: str) -> None:
        self._waiting = False
        self._fail(reason)

    def tick(self, now: float) -> None:
        """A server that stalls is given up here."""
        self._now = now
        deadline = self._deadline
        if deadline is None or now < deadline or self.closed:
            return
        if self._tunnel:
            self._lost("the tunnel was silent for too long")
        elif not self._waiting:
            self._shut(Close("the connection was not used for too long"))
        elif self._read == self._read_head:
            if self._write is not None and self._parts:
                self._parts = False
                self._deadline = now + self._limits.answer_time
            else:
                self._lost("the server did not answer in time")
        elif self._handed or self._got >= self._limits.body_progress:
            self._got = 0
            self._deadline = now + self._limits.body_time
        else:
            self._lost("the response's body took too long")

    # -- writing

    def send(self, item: Any, now: float) -> None:
        """A Request, Part, Finish, Abandon or Drain."""
        self._now = now
        kind = type(item)
        if kind is Request:
            self._send_request(item)
        elif kind is Drain:
            self._draining = True
            if self.idle:
                self._shut(Close("draining"))
        elif self.closed or item.stream < self._stream:
            return
        elif item.stream > self._stream:
            raise StateError("no such request was sent")
        elif kind is Part:
            self._send_part(item.data)
            self._parts = True
            if self._tunnel:
                self._moved()
        elif kind is Finish:
            self._end_body(item.trailers)
            if self._tunnel:
                self._half_closed()
            elif self._waiting and self._read == self._read_head:
                self._deadline = now + self._limits.answer_time
        elif kind is Abandon:
            self._waiting = False
            self._fail(item.reason)
        else:
            raise StateError(f"a client does not send {item!r}")

    def _half_closed(self) -> None:
        """Nothing more is sent into the tunnel."""
        if self._waiting:
            self._events.append(HalfClose())
            self._moved()
        else:
            self._shut(Close("both sides of the tunnel have ended"))

    def _write_tunnel_early(self, data: bytes) -> None:
        raise StateError("nothing of a tunnel goes before its answer")

    def _send_request(self, request: Request) -> None:
        if not self.idle or self._draining:
            raise StateError("a request is under way on this connection, or it is closed")
        if request.stream != self._stream + 1:
            raise StateError(f"the next request's stream is {self._stream + 1}, not {request.stream}")
        method = request.method
        lines = []
        length: bytes | None = None
        host = keep = False
        upgrade = te = False
        for name, value in request.headers:
            if name in OWN_FIELDS:
                if name == b"content-length":
                    if not value.isdigit() or (length is not None and length != value):
                        raise StateError(f"{value!r} is no Content-Length")
                    length = value
                elif name == b"connection" and value.lower() == b"close":
                    keep = True
                continue
            if name == b"host":
                if host:
                    raise StateError("there is more than one Host")
                host = True
            elif name == b"upgrade":
                upgrade = True
            elif name == b"te":
                te = True
            lines.append(prefixes[name] + value)
        if not host:
            lines.insert(0, b"Host: " + request.authority)
        self._write = None
        self._unsent = -1
        write: Callable[[bytes], None] | None = None
        if request.source is None:
            body = request.body
            if length is not None and int(length) != len(body):
                raise StateError("the body does not have the length that its Content-Length says")
            if body or method in _WITH_BODY:
                lines.append(b"Content-Length: %d" % len(body))
        elif method == b"CONNECT" or (upgrade and length is None):
            body = b""
            write = self._write_tunnel_early
        elif length is not None:
            body = b""
            lines.append(b"Content-Length: " + length)
            write = self._write_counted
            self._unsent = int(length)
        else:
            body = b""
            lines.append(b"Transfer-Encoding: chunked")
            write = self._write_chunk
        if upgrade:
            lines.append(b"Connection: Upgrade")
        elif keep:
            lines.append(b"Connection: close, TE" if te else b"Connection: close")
        elif te:
            lines.append(b"Connection: TE")
        self._out.append(request_line(method, request.target) + field_block(lines))
        if body:
            self._out.append(body)
        self._write = write
        self._stream += 1
        self._method = method
        self._upgrade = upgrade
        self._keep = not keep
        self._waiting = True
        self.heard = self._parts = False
        self._interims = 0
        self._got = 0
        self._handed = 0
        self._deadline = self._now + self._limits.answer_time
