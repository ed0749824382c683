"""The server's side of HTTP/1.1: requests in, responses out, one owed at a time.

Implements: RFC 9112 sections 3, 6, 7, 8 and 9; RFC 9110 sections 7.6.1, 7.8, 8.6, 9.3.2, 9.3.6, 10.1.1 and 15.2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from netsuite.http.wire.framing import OWN_FIELDS, Http1Limits, Http1Machine
from netsuite.http.wire.heads import Refused, RequestHeads, fault_of
from netsuite.http.wire.lines import field_block, prefixes, status_line
from netsuite.http.wire.messages import Request, Response
from netsuite.http.wire.tunnel import HALF_OPEN_TIME
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Abandon,
    Channel,
    Close,
    Connection,
    Drain,
    End,
    Finish,
    HalfClose,
    Part,
    StateError,
    Upgrade,
)

__all__ = ["ServerConnection"]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\n"


class ServerConnection(Http1Machine):
    """The server's side of one connection.

    ``standing(now)`` are complete field lines (Date, Server) for the machine's own refusals; ``upgrades`` names the
    protocols that the application may switch to with a 101, in lower case. ``http2`` makes the machine that takes over
    where a client begins with the preface of HTTP/2 (RFC 9113 section 3.3).
    """

    __slots__ = (
        "_begun",
        "_close",
        "_continue",
        "_draining",
        "_heads",
        "_http2",
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
        http2: Callable[[Channel], Connection] | None = None,
    ) -> None:
        super().__init__(limits, now)
        scheme = "https" if channel.tls is not None else "http"
        self._heads = RequestHeads(scheme, channel.peer, limits.fields, limits.target)
        self._standing = standing
        self._upgrades = upgrades
        self._http2 = http2
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
            self._moved()

    def _moved(self) -> None:
        """Something passed through the tunnel."""
        most = self._limits.tunnel_time
        half = self._write is None or self._read == self._read_paused
        self._deadline = self._now + (min(most, HALF_OPEN_TIME) if half else most)

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
            if head == _PREFACE and self._http2 is not None and not self._stream:
                return self._hand_over(self._http2)
            self._stream += 1
            reason = fault_of(head, refused)
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

    def _hand_over(self, http2: Callable[[Channel], Connection]) -> Upgrade:
        """The preface of HTTP/2: another machine reads it again from its beginning."""
        tail = _PREFACE + bytes(self._buffer)
        self.closed = True
        self._read = self._read_nothing
        self._buffer = b""
        self._deadline = None
        return Upgrade(None, http2, tail)

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
        if self._tunnel:
            if self._write is None:
                self._finish_close("both sides of the tunnel have ended")
            else:
                self._moved()
            return
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
                self._moved()
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
            if name in OWN_FIELDS:
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
        lines = [prefixes[name] + value for name, value in response.headers if name not in OWN_FIELDS]
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
        if self._tunnel and self._read != self._read_paused:
            self._events.append(HalfClose())
            self._moved()
        elif self._tunnel or (self._close and self._read == self._read_paused):
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
