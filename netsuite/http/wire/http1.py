r"""HTTP/1.1 as two pure machines: one for the server's side of a connection, one for the client's.

Both follow :class:`netsuite.sansio.connection.Connection`. A server's events are requests, a client's are
responses (interim ones too); Data and End carry bodies. After a 2xx to CONNECT, or a 101, the same stream
becomes a tunnel: its Data is raw until End, and so is every Part until Finish, which closes.

::

    server:  head -> body -> (PAUSED while the answer is owed) -> head ...
                 \-> tunnel held until the answer -> raw -> close
    client:  request sent -> interim* -> head -> body -> idle ...

What is ambiguous is refused and the connection closed, never guessed.

Implements: RFC 9112 sections 2-9; RFC 9110 sections 6, 7.6.1, 7.8, 8.6, 9.3.2, 9.3.6, 10.1.1, 15.2 and 15.4.5
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from netsuite.http.wire.framing import Http1Limits, Http1Machine
from netsuite.http.wire.heads import BARE_LINE_END, UNTIL_CLOSE, Refused, RequestHeads, ResponseHeads
from netsuite.http.wire.lines import field_block, prefixes, request_line, status_line
from netsuite.http.wire.messages import Ready, Request, Response
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    UNLIMITED,
    Abandon,
    Channel,
    Close,
    Drain,
    End,
    Finish,
    Part,
    StateError,
)

__all__ = ["ClientConnection", "Http1Limits", "ServerConnection"]

_OWN: Final = frozenset([b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"proxy-connection"])
"""Fields that say how a message is framed: the machines write them, or check what they are given."""

_WITH_BODY: Final = frozenset([b"POST", b"PUT", b"PATCH"])


def _fault(head: bytes | None, refused: Refused) -> str:
    """What is wrong with a head: bare line ends come first, however the bytes were split."""
    return "a line does not end with CRLF" if head is not None and BARE_LINE_END.search(head) else refused.reason


class ServerConnection(Http1Machine):
    """The server's side of one connection.

    ``standing(now)`` are complete field lines (Date, Server) for the machine's own refusals; ``upgrades`` names the
    protocols that the application may switch to with a 101, in lower case.
    """

    __slots__ = (
        "_begun",
        "_close",
        "_continue",
        "_draining",
        "_heads",
        "_owed",
        "_request",
        "_standing",
        "_tunnel",
        "_upgrades",
    )

    def __init__(
        self,
        channel: Channel,
        limits: Http1Limits = Http1Limits(),
        *,
        now: float = 0.0,
        standing: Callable[[float], bytes] = lambda now: b"",
        upgrades: frozenset[bytes] = frozenset(),
    ) -> None:
        super().__init__(limits, now)
        scheme = "https" if channel.tls is not None else "http"
        self._heads = RequestHeads(scheme, channel.peer, limits.fields, limits.target)
        self._standing = standing
        self._upgrades = upgrades
        self._request: Request | None = None
        self._owed = False  # a final response to the current request has not been begun
        self._close = False  # no request follows the current one
        self._continue = False  # the client waits for 100 Continue
        self._tunnel = False
        self._draining = False
        self._begun = False  # the next head's first byte has come

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return self._request is None and not self._buffer and not self.closed

    def touched(self, now: float) -> None:
        """A shortcut answered in this machine's place."""
        self._deadline = now + self._limits.idle_time

    # -- reading

    def _arrived(self) -> None:
        if self._request is None:
            if not self._begun:
                self._begun = True
                self._deadline = self._now + self._limits.head_time
        elif self._tunnel:
            self._deadline = self._now + self._limits.tunnel_time

    def _read_head(self) -> Any:
        if not self._buffer:
            if not self._ended and not self._draining:
                return NEED_DATA
            self._shut(Close("the client is done" if self._ended else "draining"))
            return self.next_event()
        head = None
        whole = self._buffer
        try:
            head = self._take_head()
            if head is None:
                if not self._ended:
                    return NEED_DATA
                self._shut(Close("the client left in the middle of a head"))
                return self.next_event()
            request = self._heads.read(head, self._stream + 1)
        except Refused as refused:
            self._stream += 1
            reason = _fault(head, refused)
            self._refuse(refused.status if reason is refused.reason else 400, reason)
            return self.next_event()
        self._stream += 1
        # _take_head handed the received bytes over as they were
        request.alone = head is whole
        self._request = request
        self._owed = True
        self._close = not request.keep_alive
        self._deadline = None
        length = self._heads.length
        if not length and request.method != b"CONNECT" and request.upgrade is None:
            self._read = self._read_paused
            return request
        if length > self._limits.body:
            self._refuse(413, f"the body is longer than {self._limits.body} bytes")
            return self.next_event()
        if length:
            request.upgrade = None
            self._continue = request.expects_continue
            self._begin_body(length)
        elif request.method == b"CONNECT" or self._acceptable(request):
            request.has_body = True
            self._read = self._read_held
        else:
            request.upgrade = None
            self._read = self._read_paused
        return request

    def _acceptable(self, request: Request) -> bool:
        return request.upgrade is not None and request.upgrade.lower() in self._upgrades

    def _read_paused(self) -> Any:
        """The request is complete, its answer is not."""
        return PAUSED

    def _read_held(self) -> Any:
        """A tunnel is asked for: nothing of it is looked at before the answer."""
        return PAUSED

    def _body_ended(self) -> None:
        self._continue = False
        self._deadline = None
        self._read = self._read_paused
        if self._request is not None and not self._owed and self._write is None:
            self._next_request()

    def _body_broken(self, status: int, reason: str) -> None:
        self._request = None
        if self._owed and not self._ended:
            self._owed = False
            self._out.append(self._refusal(status, reason))
        self._fail("the client left" if self._ended else reason, linger=not self._ended)

    def _refuse(self, status: int, reason: str) -> None:
        """Answer in the application's place, and close."""
        self._out.append(self._refusal(status, reason))
        self._request = None
        self._owed = False
        self._shut(Close(f"{status}: {reason}", linger=True))

    def _refusal(self, status: int, reason: str) -> bytes:
        text = b"%d: %b\n" % (status, reason.encode("ascii", "replace"))
        return b"%b%bContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
            status_line(status),
            self._standing(self._now),
            len(text),
            text,
        )

    def consumed(self, count: int, stream: int = 0) -> None:
        """The application took bytes of the body, or (0) waits for them: the moment for 100 Continue."""
        if stream != self._stream:
            return
        if count:
            self._handed -= count
        elif self._continue:
            self._continue = False
            if self._owed and not self._got:
                self._out.append(b"HTTP/1.1 100 Continue\r\n\r\n")

    def tick(self, now: float) -> None:
        """A client that stalls is given up here."""
        self._now = now
        deadline = self._deadline
        if deadline is None or now < deadline or self.closed:
            return
        if self._request is None:
            if self._buffer:
                self._refuse(408, "the head took too long")
            else:
                self._shut(Close("the client was silent for too long"))
        elif self._tunnel:
            self._fail("the tunnel was silent for too long")
        elif self._handed or self._continue or self._got >= self._limits.body_progress:
            # it is not the client who is waited for, or it makes progress
            self.consumed(0, self._stream)
            self._got = 0
            self._deadline = now + self._limits.body_time
        else:
            self._body_broken(408, "the body took too long")

    # -- writing

    def send(self, item: Any, now: float) -> None:
        """A Response, Part, Finish, Abandon or Drain."""
        self._now = now
        kind = type(item)
        if kind is Drain:
            self._drain()
            return
        if self.closed or item.stream < self._stream or self._request is None:
            # the client left, or the machine itself has answered: nobody is there to take it
            if item.stream > self._stream or (kind is Response and not self.closed and item.stream == self._stream):
                raise StateError("no answer is owed on this stream")
            return
        if item.stream > self._stream:
            raise StateError("no such request has come")
        if kind is Response:
            self._send_response(item)
        elif kind is Part:
            self._send_part(item.data)
            if self._tunnel:
                self._deadline = now + self._limits.tunnel_time
        elif kind is Finish:
            self._end_body(item.trailers)
            self._answered()
        elif kind is Abandon:
            self._abandon(item.reason)
        else:
            raise StateError(f"a server does not send {item!r}")

    def _send_response(self, response: Response) -> None:
        request = self._request
        assert request is not None
        if not self._owed:
            raise StateError("this request has been answered")
        status = response.status
        if status < 200:
            if status != 101:
                self._send_interim(response)
                return
            if self._read != self._read_held or request.method == b"CONNECT":
                raise StateError("the client did not ask for this protocol")
        tunnel = status == 101 or (200 <= status < 300 and request.method == b"CONNECT")
        bodiless = request.method == b"HEAD" or status == 204 or status == 304 or tunnel
        source = response.source is not None
        newer = request.version != (1, 0)
        close = self._close or self._draining
        length: bytes | None = None
        lines = []
        for name, value in response.headers:
            if name in _OWN:
                if name == b"content-length":
                    if not value.isdigit() or (length is not None and length != value):
                        raise StateError(f"{value!r} is no Content-Length")
                    length = value
                elif name == b"connection" and value.lower() == b"close":
                    close = True
                continue
            lines.append(prefixes[name] + value)
        unsent = -1
        if tunnel:
            write = self._write_raw
            close = True
        elif bodiless:
            write = self._write_away
            if status == 204:
                length = None
            elif length is None and not source and status != 304:
                length = b"%d" % len(response.body)
        elif not source:
            if length is not None and int(length) != len(response.body):
                raise StateError("the body does not have the length that its Content-Length says")
            length = b"%d" % len(response.body)
        elif length is not None:
            write = self._write_counted
            unsent = int(length)
        elif newer:
            write = self._write_chunk
            lines.append(b"Transfer-Encoding: chunked")
        else:
            write = self._write_raw
            close = True
        if length is not None and not tunnel:
            lines.append(b"Content-Length: " + length)
        if (self._continue or (request.method == b"CONNECT")) and not tunnel:
            # whether a body (or the tunnel's bytes) still comes cannot be known
            close = True
        if status == 101:
            lines.append(b"Connection: Upgrade")
        elif close and not tunnel:
            lines.append(b"Connection: close")
        elif not newer and not tunnel:
            lines.append(b"Connection: keep-alive")
        head = status_line(status, response.reason) + field_block(lines)
        self._owed = False
        self._close = close
        if not source and not tunnel:
            if response.body and not bodiless:
                body = response.body
                if len(body) <= 16384:
                    self._out.append(head + body)
                else:
                    self._out.append(head)
                    self._out.append(body)
            else:
                self._out.append(head)
            self._answered()
            return
        self._out.append(head)
        self._write = write
        self._unsent = unsent
        if tunnel:
            self._tunnel = True
            self._begin_tunnel()
            if not source:
                self._write = None
        elif self._read == self._read_held:
            self._refuse_tunnel()

    def _send_interim(self, response: Response) -> None:
        request = self._request
        assert request is not None
        if request.version == (1, 0):
            return
        lines = [prefixes[name] + value for name, value in response.headers if name not in _OWN]
        if response.status == 100:
            self._continue = False
        self._out.append(status_line(response.status, response.reason) + field_block(lines))

    def _begin_tunnel(self) -> None:
        self._got = 0
        self._read = self._read_until_close
        self._deadline = self._now + self._limits.tunnel_time

    def _refuse_tunnel(self) -> None:
        self._events.append(End(self._stream))
        self._read = self._read_paused

    def _answered(self) -> None:
        """The current answer is complete."""
        if self._read == self._read_held:
            self._refuse_tunnel()
        if self._tunnel or (self._close and self._read == self._read_paused):
            self._finish_close("the tunnel has ended" if self._tunnel else "the last answer was sent")
        elif self._continue:
            self._fail_later("the client still waited for 100 Continue")
        elif self._read == self._read_paused:
            self._next_request()
        else:
            # the rest of the body is still to be read, by whoever reads it
            self._write = None
            self._deadline = self._now + self._limits.body_time
            if self._close:
                self._fail_later("the answer was complete before the body")

    def _fail_later(self, reason: str) -> None:
        self._request = None
        self._fail(reason, linger=True)

    def _finish_close(self, reason: str) -> None:
        self._request = None
        self._shut(Close(reason, linger=bool(self._buffer)))

    def _next_request(self) -> None:
        self._request = None
        self._tunnel = False
        self._read = self._read_head
        limits = self._limits
        self._begun = bool(self._buffer)
        self._deadline = self._now + (limits.head_time if self._begun else limits.idle_time)

    def _abandon(self, reason: str) -> None:
        if self._owed:
            self._close = self._close or self._read != self._read_paused
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            text = b"500: the server could not make an answer\n"
            self._send_response(Response(500, headers, text, stream=self._stream))
            return
        if self._write is not None:
            self._fail_later(f"the answer broke off: {reason}")

    def _drain(self) -> None:
        self._draining = True
        if self._request is None and not self._buffer and not self.closed:
            self._shut(Close("draining"))


class ClientConnection(Http1Machine):
    """The client's side of one connection: one request at a time.

    A request's ``stream`` is the number that :attr:`next_stream` says. ``idle`` means that another may be sent;
    ``heard`` that bytes came since the last request was sent.
    """

    __slots__ = ("_draining", "_heads", "_keep", "_method", "_parts", "_upgrade", "_waiting", "heard")

    def __init__(self, limits: Http1Limits = Http1Limits(), *, now: float = 0.0) -> None:
        super().__init__(limits, now)
        self._heads = ResponseHeads(limits.fields)
        self._method = b""
        self._upgrade = False
        self._waiting = False  # for a response, or the rest of it
        self._keep = True
        self._parts = False  # the request's body moved since the last tick
        self.heard = False
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
        if self._write == self._write_raw:
            self._deadline = self._now + self._limits.tunnel_time

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
            return self._failed(f"the response is malformed: {_fault(head, refused)}")
        status = response.status
        if status < 200 and status != 101:
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
            self._deadline = self._now + self._limits.tunnel_time
            self._write = self._write_raw
            return response
        if self._write == self._write_tunnel_early:
            self._write = self._write_away
        if self._method == b"HEAD" or status == 204 or status == 304 or not length:
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
        if self._write is None and self._keep:
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
        if not self._waiting:
            self._shut(Close("the connection was not used for too long"))
        elif self._read == self._read_head:
            if self._write is not None and self._parts:
                self._parts = False
                self._deadline = now + self._limits.answer_time
            else:
                self._lost("the server did not answer in time")
        elif self._write == self._write_raw and self._method == b"CONNECT":
            self._lost("the tunnel was silent for too long")
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
            if self._write == self._write_raw:
                self._deadline = now + self._limits.tunnel_time
        elif kind is Finish:
            tunnel = self._write == self._write_raw
            self._end_body(item.trailers)
            if tunnel:
                self._waiting = False
                self._fail("the tunnel has ended")
            elif self._waiting and self._read == self._read_head:
                self._deadline = now + self._limits.answer_time
        elif kind is Abandon:
            self._waiting = False
            self._fail(item.reason)
        else:
            raise StateError(f"a client does not send {item!r}")

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
        upgrade = False
        for name, value in request.headers:
            if name in _OWN:
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
            lines.append(b"Connection: close")
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
        self._got = 0
        self._handed = 0
        self._deadline = self._now + self._limits.answer_time
