"""How an HTTP/2 server reads: frames, field blocks, and what a client may not do.

Implements: RFC 9113 sections 3.4, 4.1, 4.3, 5.1, 5.4, 5.5, 6, 8.1 and 10.5
"""

from __future__ import annotations

import struct
from typing import Final

from netsuite.http.wire.fieldblock import BadBlock, ListTooLong
from netsuite.http.wire.heads import Refused
from netsuite.http.wire.http2frames import (
    FRAME_SIZE,
    LARGEST_WINDOW,
    PREFACE,
    Code,
    Flag,
    Kind,
    Setting,
    frame,
)
from netsuite.http.wire.http2request import Malformed, read_request, read_trailers
from netsuite.http.wire.http2sending import Broken, Cut, Http2Sending
from netsuite.http.wire.http2stream import Stream
from netsuite.http.wire.messages import Fields
from netsuite.sansio.connection import (
    Data,
    End,
    Failed,
)

__all__ = ["Http2Reading"]

_SMALL: Final = 128
_PILED: Final = 16 * 1024
"""Chunks below the first size are a nuisance once this much of a body lies unread."""
_head_of: Final = struct.Struct(">BHBBL").unpack_from
_long: Final = struct.Struct(">L")


class Http2Reading(Http2Sending):
    """The receiving half of a connection: one frame a step."""

    __slots__ = ()

    def _step(self) -> bool:
        """Read one frame, if it has come whole; raises Broken."""
        buffer, at = self._buffer, self._at
        if not self._prefaced:
            return self._read_preface()
        if len(buffer) - at < 9:
            return False
        high, low, kind, flags, stream = _head_of(buffer, at)
        size = high << 16 | low
        if size > FRAME_SIZE:
            raise Broken(Code.FRAME_SIZE_ERROR, f"a frame is longer than {FRAME_SIZE} bytes")
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
            raise Broken(Code.PROTOCOL_ERROR, "a field block was interrupted")
        payload = buffer[start:end]
        if not self._settled and (kind != Kind.SETTINGS or flags & Flag.ACK):
            raise Broken(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        read = _READERS[kind] if kind < len(_READERS) else Http2Reading._read_unknown
        try:
            read(self, flags, stream, payload)
        except Cut as cut:
            self._cut_off(stream, cut.code, str(cut))
        return True

    def _read_preface(self) -> bool:
        buffer = self._buffer
        if not PREFACE.startswith(buffer[: len(PREFACE)]):
            raise Broken(Code.PROTOCOL_ERROR, "the preface of HTTP/2 is missing")
        if len(buffer) < len(PREFACE):
            return False
        self._at = len(PREFACE)
        self._prefaced = True
        return True

    def _at_rest(self) -> bool:
        """All that came whole was read; whether that made events."""
        if self._ended:
            for stream in [each for each in self._streams.values() if each.open or self._awaits_client(each)]:
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
            raise Broken(Code.PROTOCOL_ERROR, "DATA on no stream")
        size = len(payload)
        self._window_in -= size
        if self._window_in < 0:
            raise Broken(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window lets through")
        self._returned += size
        data = _unpadded(flags, payload)
        ended = bool(flags & Flag.END_STREAM)
        if not data and not ended:
            self._nuisance("empty DATA")
        found = self._streams.get(stream)
        if found is None:
            if stream > self._last:
                raise Broken(Code.PROTOCOL_ERROR, "DATA on an idle stream")
            if stream not in self._cut:
                self._nuisance("DATA on a closed stream")
            self._return()
            return
        if not found.open:
            raise Cut(Code.STREAM_CLOSED, "DATA after the end of the request")
        found.window_in -= size
        if found.window_in < 0:
            raise Cut(Code.FLOW_CONTROL_ERROR, "more DATA than the stream's window lets through")
        found.returned += size - len(data)
        found.size += len(data)
        found.moved += len(data)
        if found.expected >= 0:
            found.expected -= len(data)
            if found.expected < 0 or (ended and found.expected):
                raise Cut(Code.PROTOCOL_ERROR, "the body does not have the length that its content-length says")
        if found.size > self._limits.body:
            self._refuse_rest(found, 413, f"the body is longer than {self._limits.body} bytes")
            return
        if data:
            if len(data) < _SMALL and found.unread > _PILED:
                self._nuisance("tiny DATA")
            if not found.unread:
                found.held = self._now
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
            raise Broken(Code.PROTOCOL_ERROR, "HEADERS on a stream that is not the client's")
        block = _unpadded(flags, payload)
        if flags & Flag.PRIORITY:
            if len(block) < 5:
                raise Broken(Code.FRAME_SIZE_ERROR, "HEADERS are too short")
            block = block[5:]
        if flags & Flag.END_HEADERS:
            self._read_block(stream, flags, block)
        else:
            self._block = (stream, flags, bytearray(block), 0)
            self._half_since = None

    def _read_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None:
            raise Broken(Code.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block, count = self._block
        block += payload
        if count >= self._own.continuations or len(block) > self._limits.head:
            raise Broken(Code.ENHANCE_YOUR_CALM, "a field block is too long")
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
                raise Broken(Code.ENHANCE_YOUR_CALM, "a field block unfolds to too much") from None
            except BadBlock as bad:
                raise Broken(Code.COMPRESSION_ERROR, str(bad)) from None
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
            raise Broken(Code.STREAM_CLOSED, "HEADERS on a closed stream")
        self._last = stream
        if self._draining or len(self._streams) >= self._own.streams:
            raise Cut(Code.REFUSED_STREAM, "no more streams")
        limits = self._limits
        length = 0
        try:
            if sum([len(name) + len(value) + 32 for name, value in found]) > limits.head:
                raise Refused(431, f"the fields are longer than {limits.head} bytes")
            request, length = read_request(
                found,
                ended=ended,
                peer=self._channel.peer,
                most=limits.fields,
                target_limit=limits.target,
                upgrades=self._upgrades,
            )
            if length > limits.body:
                raise Refused(413, f"the body is longer than {limits.body} bytes")
        except Malformed as malformed:
            raise Cut(Code.PROTOCOL_ERROR, str(malformed)) from None
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
            raise Cut(Code.STREAM_CLOSED, "HEADERS after the end of the request")
        if not ended or stream.expected > 0 or stream.tunnel:
            raise Cut(Code.PROTOCOL_ERROR, "a second head that does not end the request, or ends it too early")
        try:
            trailers = read_trailers(found)
        except Malformed as malformed:
            raise Cut(Code.PROTOCOL_ERROR, str(malformed)) from None
        self._input_ended(stream, trailers)

    def _read_priority(self, flags: int, stream: int, payload: bytes) -> None:
        self._nuisance("PRIORITY")
        if not stream:
            raise Broken(Code.PROTOCOL_ERROR, "PRIORITY on no stream")
        if len(payload) != 5:
            raise Cut(Code.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")

    def _read_reset(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Broken(Code.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        if not stream or stream > self._last:
            raise Broken(Code.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        if not self._resets.spend(self._now):
            raise Broken(Code.ENHANCE_YOUR_CALM, "too many streams were reset")
        found = self._streams.get(stream)
        if found is not None:
            self._drop(found)
            self._events.append(Failed(stream, "the client gave the request up", over=True))

    def _read_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Broken(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(payload) % 6 or (flags & Flag.ACK and payload):
            raise Broken(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._nuisance("SETTINGS")
        if flags & Flag.ACK:
            return
        self._settled = True
        for number, value in struct.iter_unpack(">HL", payload):
            if number == Setting.INITIAL_WINDOW_SIZE:
                self._set_window(value)
            elif number == Setting.ENABLE_PUSH and value > 1:
                raise Broken(Code.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
            elif number == Setting.MAX_FRAME_SIZE and not FRAME_SIZE <= value < 1 << 24:
                raise Broken(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of its range")
        self._out.append(frame(Kind.SETTINGS, Flag.ACK, 0))

    def _set_window(self, value: int) -> None:
        if value > LARGEST_WINDOW:
            raise Broken(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is out of its range")
        grown = value - self._initial
        self._initial = value
        for stream in self._streams.values():
            stream.window += grown
            if stream.window > LARGEST_WINDOW:
                raise Broken(Code.FLOW_CONTROL_ERROR, "a window is larger than it may be")
            self._enqueue(stream)

    def _read_push(self, flags: int, stream: int, payload: bytes) -> None:
        raise Broken(Code.PROTOCOL_ERROR, "a client does not push")

    def _read_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Broken(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise Broken(Code.FRAME_SIZE_ERROR, "PING of a wrong size")
        self._nuisance("PING")
        if not flags & Flag.ACK:
            self._out.append(frame(Kind.PING, Flag.ACK, 0, payload))

    def _read_goaway(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Broken(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise Broken(Code.FRAME_SIZE_ERROR, "GOAWAY of a wrong size")
        self._draining = True

    def _read_update(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Broken(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        self._nuisance("WINDOW_UPDATE")
        count = _long.unpack(payload)[0] & 0x7FFFFFFF
        if not stream:
            self._window += count
            if not count or self._window > LARGEST_WINDOW:
                code = Code.FLOW_CONTROL_ERROR if count else Code.PROTOCOL_ERROR
                raise Broken(code, "a WINDOW_UPDATE by nothing, or by too much")
            return
        if stream > self._last:
            raise Broken(Code.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
        found = self._streams.get(stream)
        if found is None:
            return
        if not count:
            raise Cut(Code.PROTOCOL_ERROR, "a WINDOW_UPDATE by nothing")
        found.window += count
        if found.window > LARGEST_WINDOW:
            raise Cut(Code.FLOW_CONTROL_ERROR, "a window is larger than it may be")
        self._enqueue(found)

    def _read_unknown(self, flags: int, stream: int, payload: bytes) -> None:
        """RFC 9113 section 5.5: what is unknown is passed over."""
        self._nuisance("unknown frames")


_READERS: Final = (
    Http2Reading._read_data,
    Http2Reading._read_headers,
    Http2Reading._read_priority,
    Http2Reading._read_reset,
    Http2Reading._read_settings,
    Http2Reading._read_push,
    Http2Reading._read_ping,
    Http2Reading._read_goaway,
    Http2Reading._read_update,
    Http2Reading._read_continuation,
)


def _unpadded(flags: int, payload: bytes) -> bytes:
    """A payload without its padding; raises Broken."""
    if not flags & Flag.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Broken(Code.PROTOCOL_ERROR, "there is more padding than payload")
    return payload[1 : len(payload) - payload[0]]
