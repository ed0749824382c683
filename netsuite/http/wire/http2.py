"""The server's side of HTTP/2: requests in on many streams, answers out as far as their windows reach.

The same messages as HTTP/1.1, on the same contract. What this version adds is per stream: a request that is malformed,
too large or given up ends its stream and no other; a body is held back by its stream's window, and an answer
waits for its client's. What only an attacker does often (resets, pings, settings, empty frames, endless field blocks)
is counted, and ends the connection.

``hits(head, channel)`` may answer a request that was read before, from its field list alone; so may nothing else: a
request with a body, or one that cannot be sent at once, takes the long way.

Implements: RFC 9113 sections 3.3, 3.4, 4, 5.1, 5.2, 5.4, 6, 7, 8.1, 8.5, 8.6 and 10.5
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from netsuite.http.wire.fieldblock import NO_TABLE, BadBlock, BlockReader, ListTooLong, field_lines, status_field
from netsuite.http.wire.framing import OWN_FIELDS, Http1Limits
from netsuite.http.wire.heads import Refused
from netsuite.http.wire.http2frames import (
    FRAME_SIZE,
    LARGEST_WINDOW,
    PREFACE,
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
from netsuite.http.wire.http2request import Malformed, read_request, read_trailers
from netsuite.http.wire.http2stream import AWAY, COUNTED, OWED, RAW, WHOLE, Stream
from netsuite.http.wire.messages import Fields, Response
from netsuite.sansio.connection import (
    NEED_DATA,
    UNLIMITED,
    Abandon,
    Channel,
    Close,
    Data,
    Drain,
    End,
    Failed,
    Finish,
    Part,
    StateError,
)

__all__ = ["Hits", "Http2Connection"]

Hits = Callable[[bytes, Channel], "Framed | None"]

_NOT_OURS: Final = OWN_FIELDS | {b"upgrade", b"http2-settings"}
_INITIAL_WINDOW: Final = 65535
_CONNECTION_WINDOW: Final = 1 << 20
_TURN: Final = 256 * 1024
"""Body bytes written before what was written has to be taken."""
_SMALL: Final = 128
_PILED: Final = 16 * 1024
"""Chunks below the first size are a nuisance once this much of a body lies unread."""
_MOST_CUT: Final = 256

_head_of: Final = struct.Struct(">BHBBL").unpack_from
_long: Final = struct.Struct(">L")


class _Broken(Exception):
    """A connection error: its code, and why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Cut(Exception):
    """A stream error: its code, and why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Http2Connection:
    """The server's side of one connection; it begins with the client's preface.

    ``standing(now)`` are fields (Date, Server) for the machine's own refusals.
    """

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
    ) -> None:
        self._channel = channel
        self._limits = limits
        self._own = own
        self._standing = standing
        self._hits = hits
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
        self._window_in = _CONNECTION_WINDOW
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
                    (Setting.MAX_CONCURRENT_STREAMS, own.streams),
                    (Setting.INITIAL_WINDOW_SIZE, own.stream_window),
                    (Setting.MAX_HEADER_LIST_SIZE, limits.head),
                    (Setting.NO_RFC7540_PRIORITIES, 1),
                ]
            )
            + _update(0, _CONNECTION_WINDOW - _INITIAL_WINDOW)
        ]

    # -- Connection

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return not (self._streams or self._at < len(self._buffer) or self._block is not None or self.closed)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that arrived; ``b""`` is the orderly end of input."""
        self._now = now
        if not data:
            self._ended = True
        elif not self.closed:
            self._got += len(data)
            self._buffer = data if self._at >= len(self._buffer) else self._buffer[self._at :] + data
            self._at = 0

    def next_event(self) -> Any:
        """The next event, or NEED_DATA."""
        events = self._events
        while not events:
            if self.closed:
                return NEED_DATA
            try:
                if self._step():
                    continue
            except _Broken as broken:
                self._break(broken.code, str(broken))
                continue
            if events:
                break
            if not self._at_rest():
                return NEED_DATA
        return events.popleft()

    def room(self, stream: int = 0) -> int:
        """How much of an answer's body its windows let through; -1 where nobody waits for it any more."""
        found = self._streams.get(stream)
        if found is None:
            return -1 if stream else max(0, self._window)
        if found.state == AWAY:
            return UNLIMITED
        return max(0, min(found.window, self._window, _TURN) - found.queued)

    def consumed(self, count: int, stream: int = 0) -> None:
        """The application took bytes of a body, or (0) waits for them: the moment for 100 Continue."""
        found = self._streams.get(stream)
        if found is None:
            return
        if not count:
            if found.continues:
                found.continues = False
                if found.state == OWED and not found.size:
                    self._write_fields(found.id, b"\x08\x03100", 0)
                self._watch(found)
            return
        found.unread -= count
        self._unread -= count
        found.returned += count
        if found.open:
            if found.returned * 2 >= self._own.stream_window:
                self._out.append(_update(found.id, found.returned))
                found.window_in += found.returned
                found.returned = 0
            if not found.unread:
                self._watch(found)
        self._return()

    def backlog(self) -> int:
        """Bytes received and not parsed; bodies are held back by their windows."""
        held = len(self._block[2]) if self._block is not None else 0
        return len(self._buffer) - self._at + held

    def outgoing(self) -> list[bytes]:
        """Hand over, once, the chunks to write: no more than a turn's worth of bodies."""
        if self._round:
            self._write_turn()
            if self._events:
                # what ended with its last byte is told at once
                self._due(self._now)
        out = self._out
        if out:
            self._out = []
        return out

    def deadline(self) -> float | None:
        """When tick wants to be called at the latest."""
        return self._deadline

    def touched(self, now: float) -> None:
        """Hits are answered by the machine itself."""

    # -- reading

    def _step(self) -> bool:
        """Read one frame, if it has come whole; raises _Broken."""
        buffer, at = self._buffer, self._at
        if not self._prefaced:
            return self._read_preface()
        if len(buffer) - at < 9:
            return False
        high, low, kind, flags, stream = _head_of(buffer, at)
        size = high << 16 | low
        if size > FRAME_SIZE:
            raise _Broken(Code.FRAME_SIZE_ERROR, f"a frame is longer than {FRAME_SIZE} bytes")
        start = at + 9
        end = start + size
        if end > len(buffer):
            return False
        self._at = end
        stream &= 0x7FFFFFFF
        if self._block is None:
            self._half_since = None
            if kind == Kind.HEADERS and flags & 13 == 5 and self._answered_at_once(buffer, start, end, flags, stream):
                return True
        elif kind != Kind.CONTINUATION or stream != self._block[0]:
            raise _Broken(Code.PROTOCOL_ERROR, "a field block was interrupted")
        payload = buffer[start:end]
        if not self._settled and (kind != Kind.SETTINGS or flags & Flag.ACK):
            raise _Broken(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        read = _READERS[kind] if kind < len(_READERS) else Http2Connection._read_unknown
        try:
            read(self, flags, stream, payload)
        except _Cut as cut:
            self._cut_off(stream, cut.code, str(cut))
        return True

    def _read_preface(self) -> bool:
        buffer = self._buffer
        if not PREFACE.startswith(buffer[: len(PREFACE)]):
            raise _Broken(Code.PROTOCOL_ERROR, "the preface of HTTP/2 is missing")
        if len(buffer) < len(PREFACE):
            return False
        self._at = len(PREFACE)
        self._prefaced = True
        return True

    def _at_rest(self) -> bool:
        """All that came whole was read; whether that made events."""
        if self._ended:
            for stream in [stream for stream in self._streams.values() if stream.open]:
                self._drop(stream)
                self._events.append(Failed(stream.id, "the client left", over=True))
        elif self._half_since is None and (self._at < len(self._buffer) or self._block is not None):
            self._half_since = self._now
            self._got = 0
            self._due(self._now + self._limits.head_time)
        self._close_if_done()
        return bool(self._events)

    def _answered_at_once(self, buffer: bytes, start: int, end: int, flags: int, stream: int) -> bool:
        """Whether a request in one frame, without a body, was read before and its answer is at hand."""
        if flags & Flag.PRIORITY:
            start += 5
        known = self._reader.known(buffer[start:end])
        if known is None or stream <= self._last or not stream & 1 or self._lead or self._draining or self._round:
            return False
        hit = self._hits(known[1], self._channel)
        if hit is None:
            return False
        first, second, body = hit
        size = len(body)
        if size > self._window or size > self._initial or len(self._streams) >= self._own.streams:
            return False
        self._last = stream
        self._quiet_since = self._now
        number = _long.pack(stream)
        if body:
            self._window -= size
            self._nuisances.earn(2)
            self._out.append(b"".join((first, number, second, number, body)))
        else:
            self._out.append(first + number + second)
        return True

    def _read_data(self, flags: int, stream: int, payload: bytes) -> None:
        if not stream:
            raise _Broken(Code.PROTOCOL_ERROR, "DATA on no stream")
        size = len(payload)
        self._window_in -= size
        if self._window_in < 0:
            raise _Broken(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window lets through")
        self._returned += size
        data = _unpadded(flags, payload)
        ended = bool(flags & Flag.END_STREAM)
        if not data and not ended:
            self._nuisance("empty DATA")
        found = self._streams.get(stream)
        if found is None:
            if stream > self._last:
                raise _Broken(Code.PROTOCOL_ERROR, "DATA on an idle stream")
            if stream not in self._cut:
                self._nuisance("DATA on a closed stream")
            self._return()
            return
        if not found.open:
            raise _Cut(Code.STREAM_CLOSED, "DATA after the end of the request")
        found.window_in -= size
        if found.window_in < 0:
            raise _Cut(Code.FLOW_CONTROL_ERROR, "more DATA than the stream's window lets through")
        found.returned += size - len(data)
        found.size += len(data)
        found.moved += len(data)
        if found.expected >= 0:
            found.expected -= len(data)
            if found.expected < 0 or (ended and found.expected):
                raise _Cut(Code.PROTOCOL_ERROR, "the body does not have the length that its content-length says")
        if found.size > self._limits.body:
            self._refuse_rest(found, 413, f"the body is longer than {self._limits.body} bytes")
            return
        if data:
            if len(data) < _SMALL and found.unread > _PILED:
                self._nuisance("tiny DATA")
            found.unread += len(data)
            self._unread += len(data)
            self._events.append(Data(stream, data))
        self._return()
        if ended:
            self._input_ended(found, ())

    def _input_ended(self, stream: Stream, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        stream.open = stream.continues = False
        self._events.append(End(stream.id, trailers))
        self._done_if_whole(stream)

    def _read_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if not stream & 1:
            raise _Broken(Code.PROTOCOL_ERROR, "HEADERS on a stream that is not the client's")
        block = _unpadded(flags, payload)
        if flags & Flag.PRIORITY:
            if len(block) < 5:
                raise _Broken(Code.FRAME_SIZE_ERROR, "HEADERS are too short")
            block = block[5:]
        if flags & Flag.END_HEADERS:
            self._read_block(stream, flags, block)
        else:
            self._block = (stream, flags, bytearray(block), 0)
            self._half_since = None

    def _read_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None:
            raise _Broken(Code.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block, count = self._block
        block += payload
        if count >= self._own.continuations or len(block) > self._limits.head:
            raise _Broken(Code.ENHANCE_YOUR_CALM, "a field block is too long")
        if flags & Flag.END_HEADERS:
            self._block = None
            self._half_since = None
            self._read_block(stream, first_flags, bytes(block))
        else:
            self._block = (stream, first_flags, block, count + 1)

    def _read_block(self, stream: int, flags: int, block: bytes) -> None:
        """A whole field block: a request, or trailers."""
        known = self._reader.known(block)
        if known is None:
            try:
                found = self._reader.read(block)
            except ListTooLong:
                raise _Broken(Code.ENHANCE_YOUR_CALM, "a field block unfolds to too much") from None
            except BadBlock as bad:
                raise _Broken(Code.COMPRESSION_ERROR, str(bad)) from None
        else:
            found = known[0]
        ended = bool(flags & Flag.END_STREAM)
        current = self._streams.get(stream)
        if current is not None:
            self._read_trailers(current, found, ended)
            return
        if stream <= self._last:
            if stream in self._cut:
                return
            raise _Broken(Code.STREAM_CLOSED, "HEADERS on a closed stream")
        self._last = stream
        if self._draining or len(self._streams) >= self._own.streams:
            raise _Cut(Code.REFUSED_STREAM, "no more streams")
        limits = self._limits
        length = 0
        try:
            if sum([len(name) + len(value) + 32 for name, value in found]) > limits.head:
                raise Refused(431, f"the fields are longer than {limits.head} bytes")
            request, length = read_request(
                found, ended=ended, peer=self._channel.peer, most=limits.fields, target_limit=limits.target
            )
            if length > limits.body:
                raise Refused(413, f"the body is longer than {limits.body} bytes")
        except Malformed as malformed:
            raise _Cut(Code.PROTOCOL_ERROR, str(malformed)) from None
        except Refused as refused:
            self._nuisance("refused requests")
            self._refuse(stream, refused.status, refused.reason, self._initial)
            if not ended:
                self._reset(stream, Code.NO_ERROR)
            return
        self._nuisances.earn(2)
        request.stream = stream
        if ended:
            # values hold no NUL: this is the list, unambiguously
            request.head = known[1] if known is not None else b"\0".join([b"", *map(b"\0".join, found)])
            request.alone = True
            if known is None:
                self._reader.remember(block, found, request.head)
        new = self._streams[stream] = Stream(request, length, self._initial, self._own.stream_window, self._now)
        if not ended:
            self._watch(new)
        self._events.append(request)

    def _read_trailers(self, stream: Stream, found: Fields, ended: bool) -> None:
        if not stream.open:
            raise _Cut(Code.STREAM_CLOSED, "HEADERS after the end of the request")
        if not ended or stream.expected > 0 or stream.tunnel:
            raise _Cut(Code.PROTOCOL_ERROR, "a second head that does not end the request, or ends it too early")
        try:
            trailers = read_trailers(found)
        except Malformed as malformed:
            raise _Cut(Code.PROTOCOL_ERROR, str(malformed)) from None
        self._input_ended(stream, trailers)

    def _read_priority(self, flags: int, stream: int, payload: bytes) -> None:
        self._nuisance("PRIORITY")
        if not stream:
            raise _Broken(Code.PROTOCOL_ERROR, "PRIORITY on no stream")
        if len(payload) != 5:
            raise _Cut(Code.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")

    def _read_reset(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Broken(Code.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        if not stream or stream > self._last:
            raise _Broken(Code.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        if not self._resets.spend(self._now):
            raise _Broken(Code.ENHANCE_YOUR_CALM, "too many streams were reset")
        found = self._streams.get(stream)
        if found is not None:
            self._drop(found)
            self._events.append(Failed(stream, "the client gave the request up", over=True))

    def _read_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise _Broken(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(payload) % 6 or (flags & Flag.ACK and payload):
            raise _Broken(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._nuisance("SETTINGS")
        if flags & Flag.ACK:
            return
        self._settled = True
        for number, value in struct.iter_unpack(">HL", payload):
            if number == Setting.INITIAL_WINDOW_SIZE:
                self._set_window(value)
            elif number == Setting.ENABLE_PUSH and value > 1:
                raise _Broken(Code.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
            elif number == Setting.MAX_FRAME_SIZE and not FRAME_SIZE <= value < 1 << 24:
                raise _Broken(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of its range")
        self._out.append(frame(Kind.SETTINGS, Flag.ACK, 0))

    def _set_window(self, value: int) -> None:
        if value > LARGEST_WINDOW:
            raise _Broken(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is out of its range")
        grown = value - self._initial
        self._initial = value
        for stream in self._streams.values():
            stream.window += grown
            if stream.window > LARGEST_WINDOW:
                raise _Broken(Code.FLOW_CONTROL_ERROR, "a window is larger than it may be")
            self._enqueue(stream)

    def _read_push(self, flags: int, stream: int, payload: bytes) -> None:
        raise _Broken(Code.PROTOCOL_ERROR, "a client does not push")

    def _read_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise _Broken(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise _Broken(Code.FRAME_SIZE_ERROR, "PING of a wrong size")
        self._nuisance("PING")
        if not flags & Flag.ACK:
            self._out.append(frame(Kind.PING, Flag.ACK, 0, payload))

    def _read_goaway(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise _Broken(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise _Broken(Code.FRAME_SIZE_ERROR, "GOAWAY of a wrong size")
        self._draining = True

    def _read_update(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Broken(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        self._nuisance("WINDOW_UPDATE")
        count = _long.unpack(payload)[0] & 0x7FFFFFFF
        if not stream:
            self._window += count
            if not count or self._window > LARGEST_WINDOW:
                code = Code.FLOW_CONTROL_ERROR if count else Code.PROTOCOL_ERROR
                raise _Broken(code, "a WINDOW_UPDATE by nothing, or by too much")
            return
        if stream > self._last:
            raise _Broken(Code.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
        found = self._streams.get(stream)
        if found is None:
            return
        if not count:
            raise _Cut(Code.PROTOCOL_ERROR, "a WINDOW_UPDATE by nothing")
        found.window += count
        if found.window > LARGEST_WINDOW:
            raise _Cut(Code.FLOW_CONTROL_ERROR, "a window is larger than it may be")
        self._enqueue(found)

    def _read_unknown(self, flags: int, stream: int, payload: bytes) -> None:
        """RFC 9113 section 5.5: what is unknown is passed over."""
        self._nuisance("unknown frames")

    def _nuisance(self, what: str) -> None:
        if not self._nuisances.spend(self._now):
            raise _Broken(Code.ENHANCE_YOUR_CALM, f"too much of {what}")

    def _return(self) -> None:
        """Open the connection's window again, unless too much lies unread."""
        if self._returned * 4 >= _CONNECTION_WINDOW and self._unread <= self._own.unread:
            self._out.append(_update(0, self._returned))
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
            raise _Broken(Code.ENHANCE_YOUR_CALM, "too many streams had to be reset")

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

    # -- time

    def _due(self, when: float) -> None:
        if self._deadline is None or when < self._deadline:
            self._deadline = when

    def _watch(self, stream: Stream) -> None:
        """From now on the client is waited for on this stream."""
        stream.since = self._now
        stream.moved = 0
        self._due(self._now + (self._limits.tunnel_time if stream.tunnel else self._limits.body_time))

    def tick(self, now: float) -> None:
        """A client that stalls is given up here: a stream of it, or all."""
        self._now = now
        if self._deadline is None or now < self._deadline or self.closed:
            return
        self._deadline = None
        limits = self._limits
        if self._half_since is not None:
            data = self._prefaced and self._block is None and self._buffer[self._at + 3 : self._at + 4] == b"\0"
            until = self._half_since + (limits.body_time if data else limits.head_time)
            if now >= until:
                if not data or self._got < limits.body_progress:
                    self._break(Code.NO_ERROR, "a frame, a field block or the preface took too long")
                    return
                self._got = 0
                self._half_since = now
                until = now + limits.body_time
            self._due(until)
        for stream in list(self._streams.values()):
            if self._awaits_client(stream):
                until = stream.since + (limits.tunnel_time if stream.tunnel else limits.body_time)
                if now >= until:
                    if stream.moved < (1 if stream.tunnel else limits.body_progress):
                        self._refuse_rest(stream, 408, "the client was waited for too long")
                        continue
                    self._watch(stream)
                else:
                    self._due(until)
        if not self._streams:
            until = self._quiet_since + limits.idle_time
            if now >= until:
                self._out.append(goaway(self._last, Code.NO_ERROR, "idle"))
                self._shut(Close("the client was silent for too long"))
            else:
                self._due(until)

    def _awaits_client(self, stream: Stream) -> bool:
        """Whether nothing can go on here unless the client sends, or opens a window."""
        if stream.tunnel:
            return True
        if stream.queue or stream.state == RAW or stream.state == COUNTED:
            return stream.window <= 0 or self._window <= 0
        if stream.state == OWED and stream.request.method == b"CONNECT":
            return False
        return stream.open and not stream.unread and not stream.continues

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
        if status < 200:
            if status == 101:
                raise StateError("HTTP/2 has no 101")
            stream.continues = stream.continues and status != 100
            self._write_fields(stream.id, status_field(status) + field_lines(fields), 0)
            return
        method = stream.request.method
        tunnel = status < 300 and method == b"CONNECT"
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
            if trailers:
                stream.trailers = field_lines(list(trailers))
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
        waiting, left = self._round, _TURN
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


_READERS: Final = (
    Http2Connection._read_data,
    Http2Connection._read_headers,
    Http2Connection._read_priority,
    Http2Connection._read_reset,
    Http2Connection._read_settings,
    Http2Connection._read_push,
    Http2Connection._read_ping,
    Http2Connection._read_goaway,
    Http2Connection._read_update,
    Http2Connection._read_continuation,
)


def _update(stream: int, count: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, _long.pack(count))


def _unpadded(flags: int, payload: bytes) -> bytes:
    """A payload without its padding; raises _Broken."""
    if not flags & Flag.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise _Broken(Code.PROTOCOL_ERROR, "there is more padding than payload")
    return payload[1 : len(payload) - payload[0]]
