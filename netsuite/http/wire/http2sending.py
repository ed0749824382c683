"""What an HTTP/2 server's connection knows, and how it sends: answers, windows, and the ends of streams.

Implements: RFC 9113 sections 5.2, 5.4, 6.4, 6.8, 6.9, 8.1 and 8.5; RFC 8441 sections 3 and 5
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from netsuite.http.wire.fieldblock import NO_TABLE, BlockReader, field_lines, status_field
from netsuite.http.wire.framing import OWN_FIELDS, Http1Limits
from netsuite.http.wire.http2frames import (
    FRAME_SIZE,
    Allowance,
    Code,
    Flag,
    Framed,
    Http2Limits,
    Kind,
    Setting,
    frame,
    frame_head,
    goaway,
    header_frames,
    settings,
)
from netsuite.http.wire.http2stream import AWAY, COUNTED, OWED, RAW, WHOLE, Stream
from netsuite.http.wire.messages import Fields, Request, Response, sendable_trailers
from netsuite.sansio.connection import (
    Abandon,
    Channel,
    Close,
    Drain,
    Failed,
    Finish,
    Part,
    StateError,
)

__all__ = ["Broken", "Cut", "Hits", "Http2Sending", "window_update"]

Hits = Callable[[bytes, Channel], "Framed | None"]
_NOT_OURS: Final = OWN_FIELDS | {b"upgrade", b"http2-settings"}
_INITIAL_WINDOW: Final = 65535
CONNECTION_WINDOW: Final = 1 << 20
TURN: Final = 256 * 1024
"""Body bytes written before what was written has to be taken."""
_MOST_CUT: Final = 256
_long: Final = struct.Struct(">L")


class Broken(Exception):
    """A connection error: its code, and why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Cut(Exception):
    """A stream error: its code, and why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Http2Sending:
    """The state of a connection, and its sending half."""

    __slots__ = (
        "_at",
        "_block",
        "_buffer",
        "_channel",
        "_cut",
        "_deadline",
        "_draining",
        "_ended",
        "_events",
        "_got",
        "_half_since",
        "_hits",
        "_initial",
        "_last",
        "_lead",
        "_limits",
        "_now",
        "_nuisances",
        "_out",
        "_own",
        "_prefaced",
        "_quiet_since",
        "_reader",
        "_resets",
        "_returned",
        "_round",
        "_settled",
        "_standing",
        "_streams",
        "_unread",
        "_upgrades",
        "_window",
        "_window_in",
        "closed",
    )

    def __init__(
        self,
        channel: Channel,
        limits: Http1Limits = Http1Limits(),
        own: Http2Limits = Http2Limits(),
        *,
        now: float = 0.0,
        standing: Callable[[float], Fields] = lambda now: [],
        hits: Hits = lambda head, channel: None,
        upgrades: frozenset[bytes] = frozenset(),
    ) -> None:
        self._channel = channel
        self._limits = limits
        self._own = own
        self._standing = standing
        self._hits = hits
        self._upgrades = upgrades
        self._now = now
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._prefaced = False
        self._settled = False  # the client's first SETTINGS have come
        self._draining = False
        self.closed = False
        self._events: deque[Any] = deque()
        # more than one field list's limit is unfolded, so that a list that is a little too long gets an answer
        self._reader = BlockReader(2 * limits.head)
        self._block: tuple[int, int, bytearray, int] | None = None  # stream, flags, what came, in how many frames
        self._streams: dict[int, Stream] = {}
        self._cut: dict[int, None] = {}  # streams that we reset: what was on its way to them is not looked at
        self._last = 0
        self._resets = Allowance(own.resets, own.reset_rate, now)
        self._nuisances = Allowance(own.nuisances, own.nuisance_rate, now)
        self._window = self._initial = _INITIAL_WINDOW
        self._window_in = CONNECTION_WINDOW
        self._returned = 0
        self._unread = 0
        self._round: deque[Stream] = deque()  # those who have something to send, in turn
        self._lead = NO_TABLE
        self._quiet_since = now
        self._half_since: float | None = now
        self._got = 0
        self._deadline: float | None = now + limits.head_time
        self._out: list[bytes] = [
            settings(
                [
                    # without a table a field block means the same each time, and is read once
                    (Setting.HEADER_TABLE_SIZE, 0),
                    (Setting.MAX_CONCURRENT_STREAMS, own.streams),
                    (Setting.INITIAL_WINDOW_SIZE, own.stream_window),
                    (Setting.MAX_HEADER_LIST_SIZE, limits.head),
                    (Setting.NO_RFC7540_PRIORITIES, 1),
                    *([(Setting.ENABLE_CONNECT_PROTOCOL, 1)] if upgrades else []),
                ]
            )
            + window_update(0, CONNECTION_WINDOW - _INITIAL_WINDOW)
        ]

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return not (self._streams or self._at < len(self._buffer) or self._block is not None or self.closed)

    def _due(self, when: float) -> None:
        if self._deadline is None or when < self._deadline:
            self._deadline = when

    def _watch(self, stream: Stream) -> None:
        """From now on the client is waited for on this stream."""
        stream.since = self._now
        stream.moved = 0
        self._due(self._now + (self._limits.tunnel_time if stream.tunnel else self._limits.body_time))

    def _awaits_client(self, stream: Stream) -> bool:
        """Whether nothing can go on here unless the client sends, or opens a window."""
        if stream.tunnel:
            return True
        if stream.queue or stream.state == RAW or stream.state == COUNTED:
            return stream.window <= 0 or self._window <= 0
        if stream.state == OWED and _asks_for_tunnel(stream.request):
            return False
        return stream.open and not stream.unread

    def _nuisance(self, what: str) -> None:
        if not self._nuisances.spend(self._now):
            raise Broken(Code.ENHANCE_YOUR_CALM, f"too much of {what}")

    def _return(self) -> None:
        """Open the connection's window again, unless too much lies unread."""
        if self._returned * 4 >= CONNECTION_WINDOW and self._unread <= self._own.unread:
            self._out.append(window_update(0, self._returned))
            self._window_in += self._returned
            self._returned = 0

    # -- streams that end

    def _cut_off(self, stream: int, code: int, reason: str) -> None:
        """A stream error: the client's fault, counted as if it had reset the stream."""
        self._reset(stream, code)
        found = self._streams.get(stream)
        if found is not None:
            self._drop(found)
            self._events.append(Failed(stream, reason, over=True))
        if not self._resets.spend(self._now):
            raise Broken(Code.ENHANCE_YOUR_CALM, "too many streams had to be reset")

    def _reset(self, stream: int, code: int) -> None:
        self._out.append(frame(Kind.RST_STREAM, 0, stream, _long.pack(code)))
        self._cut[stream] = None
        if len(self._cut) > _MOST_CUT:
            del self._cut[next(iter(self._cut))]

    def _refuse(self, stream: int, status: int, reason: str, window: int) -> None:
        """Answer in the application's place; without a body where no window is open for one."""
        text = b"%d: %b\n" % (status, reason.encode("ascii", "replace"))
        fields = [*self._standing(self._now), (b"content-type", b"text/plain; charset=utf-8")]
        block = status_field(status) + field_lines([*fields, (b"content-length", b"%d" % len(text))])
        if len(text) > min(window, self._window):
            self._write_fields(stream, status_field(status) + field_lines(fields), Flag.END_STREAM)
            return
        self._write_fields(stream, block, 0)
        self._window -= len(text)
        self._out.append(frame(Kind.DATA, Flag.END_STREAM, stream, text))

    def _refuse_rest(self, stream: Stream, status: int, reason: str) -> None:
        """The body of a request that was handed over will not be read to its end."""
        if stream.state == OWED:
            self._refuse(stream.id, status, reason, stream.window)
            self._reset(stream.id, Code.NO_ERROR)
        else:
            self._reset(stream.id, Code.CANCEL)
        self._drop(stream)
        self._events.append(Failed(stream.id, reason, over=True))

    def _drop(self, stream: Stream) -> None:
        """A stream is over."""
        del self._streams[stream.id]
        self._unread -= stream.unread
        self._return()
        stream.state = WHOLE
        stream.queue.clear()
        if not self._streams:
            self._quiet_since = self._now
            self._due(self._now + self._limits.idle_time)

    def _done_if_whole(self, stream: Stream) -> None:
        """The answer may be complete: then so is the stream, whatever of the request is still to come."""
        if stream.state != WHOLE or stream.queue or self._streams.get(stream.id) is not stream:
            return
        if stream.tunnel and stream.open:
            return  # the client's side may go on
        self._drop(stream)
        if stream.open:
            # RFC 9113 section 8.1: the client need not send the rest
            self._reset(stream.id, Code.NO_ERROR)
            self._events.append(Failed(stream.id, "the answer was complete before the body", over=True))
        self._close_if_done()

    def _close_if_done(self) -> None:
        if (self._ended or self._draining) and not self._streams and not self.closed:
            self._shut(Close("the client is done" if self._ended else "draining"))

    def _break(self, code: int, reason: str) -> None:
        self._out.append(goaway(self._last, code, reason))
        self._shut(Close(reason, linger=not self._ended))

    def _shut(self, close: Close) -> None:
        self.closed = True
        self._streams.clear()
        self._round.clear()
        self._buffer = b""
        self._at = 0
        self._block = None
        self._deadline = None
        self._events.append(close)

    # -- writing

    def send(self, item: Any, now: float) -> None:
        """A Response, Part, Finish, Abandon or Drain."""
        self._now = now
        kind = type(item)
        if kind is Drain:
            self._drain()
            return
        stream = self._streams.get(item.stream)
        if stream is None or self.closed:
            # the stream is over: nobody is there to take it
            if item.stream > self._last and not self.closed:
                raise StateError("no such request has come")
            return
        if kind is Response:
            self._send_response(stream, item)
        elif kind is Part:
            self._send_part(stream, item.data)
        elif kind is Finish:
            self._send_finish(stream, item.trailers)
        elif kind is Abandon:
            self._abandon(stream, item.reason)
        else:
            raise StateError(f"a server does not send {item!r}")

    def _send_response(self, stream: Stream, response: Response) -> None:
        if stream.state != OWED:
            raise StateError("this request has been answered")
        status = response.status
        fields: Fields = []
        length: bytes | None = None
        for name, value in response.headers:
            if name in _NOT_OURS:
                if name == b"content-length":
                    if not value.isdigit() or (length is not None and length != value):
                        raise StateError(f"{value!r} is no Content-Length")
                    length = value
                continue
            fields.append((name, value))
        asked = stream.request
        if asked.upgrade is not None and (status == 101 or 200 <= status < 300):
            # RFC 8441 section 5: what is a 101 in HTTP/1.1 is a 2xx here, and nothing else may look like it
            if status != 101:
                raise StateError("a 2xx would say that the protocol was switched")
            status = 200
        if status < 200:
            if status == 101:
                raise StateError("HTTP/2 has no 101")
            stream.continues = stream.continues and status != 100
            self._write_fields(stream.id, status_field(status) + field_lines(fields), 0)
            return
        method = asked.method
        tunnel = status < 300 and _asks_for_tunnel(asked)
        bodiless = method == b"HEAD" or status == 204 or status == 304
        source, body = response.source is not None, response.body
        state, unsent = RAW, 0
        if tunnel:
            length = None
        elif bodiless:
            state, body = AWAY, b""
            if status == 204:
                length = None
            elif length is None and not source and status != 304:
                length = b"%d" % len(response.body)
        elif not source:
            if length is not None and int(length) != len(body):
                raise StateError("the body does not have the length that its Content-Length says")
            length = b"%d" % len(body)
        elif length is not None:
            state, unsent = COUNTED, int(length)
        if length is not None:
            fields.append((b"content-length", length))
        block = status_field(status) + field_lines(fields)
        stream.tunnel = tunnel
        stream.continues = False
        if not source and not tunnel:
            state = WHOLE
        ends = not body if state == WHOLE else state == AWAY
        self._write_fields(stream.id, block, Flag.END_STREAM if ends else 0)
        stream.state = state
        stream.unsent = unsent
        self._watch(stream)
        if state == WHOLE:
            self._put(stream, body)
            self._done_if_whole(stream)

    def _send_part(self, stream: Stream, data: bytes) -> None:
        state = stream.state
        if state == COUNTED:
            if len(data) > stream.unsent:
                raise StateError("the body is longer than its Content-Length")
            stream.unsent -= len(data)
        elif state == AWAY:
            return
        elif state != RAW:
            raise StateError("no body is being sent")
        self._put(stream, data)

    def _send_finish(self, stream: Stream, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        state = stream.state
        if state == COUNTED and stream.unsent:
            raise StateError("the body is shorter than its Content-Length")
        if state in (OWED, WHOLE):
            raise StateError("no body is being sent")
        if state != AWAY:
            if trailers and (sendable := sendable_trailers(trailers)):
                stream.trailers = field_lines(sendable)
            if not stream.queue:
                self._write_end(stream)
        stream.state = WHOLE
        self._done_if_whole(stream)

    def _abandon(self, stream: Stream, reason: str) -> None:
        if stream.state == OWED:
            self._refuse(stream.id, 500, "the server could not make an answer", stream.window)
            stream.state = WHOLE
            self._done_if_whole(stream)
        elif stream.state != WHOLE:
            self._reset(stream.id, Code.INTERNAL_ERROR)
            self._drop(stream)
            self._events.append(Failed(stream.id, f"the answer broke off: {reason}", over=True))
            self._close_if_done()

    def _drain(self) -> None:
        if not self._draining and not self.closed:
            self._draining = True
            self._out.append(goaway(self._last, Code.NO_ERROR, "draining"))
            if self.idle:
                self._close_if_done()

    def _write_fields(self, stream: int, block: bytes, flags: int) -> None:
        if self._lead:
            block, self._lead = self._lead + block, b""
        self._out.append(header_frames(block, flags, stream))

    def _put(self, stream: Stream, data: bytes) -> None:
        if not data:
            return
        if not stream.queue and min(stream.window, self._window) >= self._limits.body_progress:
            # until now it was not the client who was waited for
            self._watch(stream)
        stream.queue.append(data)
        stream.queued += len(data)
        self._enqueue(stream)
        self._write_turn()

    def _enqueue(self, stream: Stream) -> None:
        if stream.queue and not stream.waiting and stream.window > 0:
            stream.waiting = True
            self._round.append(stream)

    def _write_turn(self) -> None:
        """A frame of each stream in turn, as long as the connection's window and this turn last."""
        waiting, left = self._round, TURN
        while waiting and left > 0 and self._window > 0:
            stream = waiting.popleft()
            stream.waiting = False
            if not stream.queue:
                continue
            left -= self._write_some(stream)
            if stream.queue:
                self._enqueue(stream)
        if waiting and self._window <= 0:
            self._due(self._now + self._limits.body_time)

    def _write_some(self, stream: Stream) -> int:
        """One DATA frame; how much it holds."""
        queue, at = stream.queue, stream.at
        chunk = queue[0]
        size = min(len(chunk) - at, FRAME_SIZE, stream.window, self._window)
        if at + size == len(chunk):
            queue.popleft()
            stream.at = 0
        else:
            stream.at = at + size
        stream.queued -= size
        stream.window -= size
        self._window -= size
        stream.moved += size
        self._nuisances.earn(2)
        last = stream.state == WHOLE and not queue
        flags = Flag.END_STREAM if last and not stream.trailers else 0
        self._out.append(frame_head(size, Kind.DATA, flags, stream.id))
        self._out.append(chunk if size == len(chunk) else chunk[at : at + size])
        if last:
            if stream.trailers:
                self._write_end(stream)
            self._done_if_whole(stream)
        elif stream.window <= 0 or self._window <= 0:
            self._due(self._now + self._limits.body_time)
        return size

    def _write_end(self, stream: Stream) -> None:
        """What ends an answer whose last byte has gone."""
        if stream.trailers:
            self._write_fields(stream.id, stream.trailers, Flag.END_STREAM)
        else:
            self._out.append(frame(Kind.DATA, Flag.END_STREAM, stream.id))


def _asks_for_tunnel(request: Request) -> bool:
    return request.method == b"CONNECT" or request.upgrade is not None


def window_update(stream: int, count: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the whole connection."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, _long.pack(count))
