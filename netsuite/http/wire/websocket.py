"""WebSocket at the server's side: the handshake, and frames in both directions as a pure machine.

A message is text (``str``) or bytes, complete, and at most ``limit`` bytes long when it is unpacked, so that neither
fragments nor compression get round the limit. Compression (permessage-deflate) keeps nothing between messages, which
bounds the memory of an idle connection. What breaks the protocol is answered by a Close frame with the code of section
7.4.1, and nothing after it is read.

Implements: RFC 6455 sections 1.3, 4.2, 5, 7, 8.1; RFC 7692 sections 5.1, 7
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from netsuite.sansio.fields import split_list

__all__ = ["Closed", "Deflate", "Message", "Pong", "WebSocketMachine", "accept_key", "negotiated"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_OPCODES: Final = frozenset([_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG])
_SENDABLE: Final = frozenset([1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)])
_WORTH_PACKING: Final = 128
_TAIL: Final = b"\0\0\xff\xff"


class Message(NamedTuple):
    """A whole message."""

    data: str | bytes


class Pong(NamedTuple):
    """The client is still there."""

    data: bytes


class Closed(NamedTuple):
    """The client closes (``code`` as it said, 1005 if it said none), or broke the protocol."""

    code: int
    reason: str


class Deflate(NamedTuple):
    """What was agreed on compression, and the field that tells so; ``bits`` is our window."""

    bits: int
    answer: bytes


class _Broken(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def accept_key(key: bytes | None) -> bytes | None:
    """What answers a Sec-WebSocket-Key; None if it is none."""
    try:
        raw = binascii.a2b_base64(key or b"", strict_mode=True)
    except binascii.Error:
        return None
    if key is None or len(raw) != 16:
        return None
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def negotiated(offers: bytes | None) -> Deflate | None:
    """The first offer of permessage-deflate that can be taken, or None."""
    for offer in split_list(offers or b""):
        name, *parameters = (part.strip() for part in offer.split(b";"))
        if name != b"permessage-deflate":
            continue
        bits, seen, good = 15, set(), True
        for parameter in parameters:
            key, equals, value = parameter.partition(b"=")
            value = value.strip(b'"')
            good = good and key not in seen
            seen.add(key)
            if key in (b"server_no_context_takeover", b"client_no_context_takeover"):
                good = good and not equals
            elif key == b"server_max_window_bits":
                # zlib knows no raw window of 8 bits
                good = good and value.isdigit() and len(value) < 3 and 9 <= int(value) <= 15
                bits = int(value) if good else bits
            elif key == b"client_max_window_bits":
                good = good and (not equals or (value.isdigit() and len(value) < 3 and 8 <= int(value) <= 15))
            else:
                good = False
        if good:
            answer = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            if b"server_max_window_bits" in seen:
                answer += b"; server_max_window_bits=%d" % bits
            return Deflate(bits, answer)
    return None


class WebSocketMachine:
    """One connection after its handshake; ``limit`` bounds a message, ``deflate`` is what was agreed.

    ``closing`` says that our Close was sent, ``over`` that the client's has come too, or that nothing of it counts any
    more.
    """

    def __init__(self, *, limit: int = 1 << 20, deflate: Deflate | None = None) -> None:
        self._limit = limit
        self._deflate = deflate
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._kind: int | None = None  # of the message whose fragments come
        self._parts: list[bytes] = []
        self._size = 0
        self._packed: zlib._Decompress | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._texts: list[str] = []
        self.closing = False
        self.over = False

    def receive(self, data: bytes) -> Sequence[Message | Pong | Closed]:
        """Take bytes; what they complete. ``b""`` is the end of input."""
        if self.over:
            return ()
        if not data:
            self.over = True
            return (Closed(1006, "the connection ended without a close"),)
        self._buffer += data
        events: deque[Message | Pong | Closed] = deque()
        try:
            while not self.over and (frame := self._frame()) is not None:
                event = self._taken(*frame)
                if event is not None:
                    events.append(event)
        except _Broken as broken:
            self.close(broken.code, str(broken))
            self.over = True
            self._buffer.clear()
            events.append(Closed(broken.code, str(broken)))
        return events

    def send(self, message: str | bytes) -> None:
        """Queue a message; nothing after a close."""
        if self.closing:
            return
        opcode, data = (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, bytes(message))
        if self._deflate is not None and len(data) >= _WORTH_PACKING:
            packer = zlib.compressobj(wbits=-self._deflate.bits)
            packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
            self._put(opcode | 0x40, packed.removesuffix(_TAIL))
        else:
            self._put(opcode, data)

    def ping(self, data: bytes = b"") -> None:
        """Ask whether the client is there."""
        if not self.closing:
            self._put(_PING, data[:125])

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send our Close, once; ValueError for a code that nobody may send."""
        if code not in _SENDABLE:
            raise ValueError(f"{code} is no code for a close")
        if not self.closing:
            self.closing = True
            text = reason.encode()
            while len(text) > 123:
                reason = reason[:-1]
                text = reason.encode()
            self._put(_CLOSE, code.to_bytes(2, "big") + text, last=True)

    def outgoing(self) -> bytes:
        """Hand over, once, what is to be written."""
        out, self._out = self._out, []
        return b"".join(out)

    def _put(self, first: int, data: bytes, *, last: bool = False) -> None:
        if self.closing and not last:
            return
        size = len(data)
        if size < 126:
            head = bytes((0x80 | first, size))
        elif size < 65536:
            head = bytes((0x80 | first, 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | first, 127)) + size.to_bytes(8, "big")
        self._out.append(head + data)

    def _frame(self) -> tuple[int, bytes] | None:
        """The first byte and the payload of the next frame, or None while it is not complete."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        self._check(first, second)
        size, at = second & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(buffer) < at:
                return None
            size = int.from_bytes(buffer[2:at], "big")
            if size < (126 if at == 4 else 65536) or size >> 63:
                raise _Broken(1002, "a length is not written as it must be")
        if size + (0 if first & 0x08 else self._size) > self._limit:
            raise _Broken(1009, f"messages have {self._limit} bytes at most")
        if len(buffer) < at + 4 + size:
            return None
        mask = bytes(buffer[at : at + 4])
        payload = _unmasked(bytes(buffer[at + 4 : at + 4 + size]), mask)
        del buffer[: at + 4 + size]
        return first, payload

    def _check(self, first: int, second: int) -> None:
        """What the first two bytes of a frame may not be."""
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            raise _Broken(1002, "a frame's opcode is not known")
        packs = self._deflate is not None and opcode in (_TEXT, _BINARY)
        if first & (0x30 if packs else 0x70):
            raise _Broken(1002, "a reserved bit is set")
        if not second & 0x80:
            raise _Broken(1002, "a client's frames are masked")
        if opcode >= _CLOSE and (not first & 0x80 or second & 0x7F > 125):
            raise _Broken(1002, "a control frame is whole, and has 125 bytes at most")
        if (opcode == _CONTINUATION) is (self._kind is None) and opcode < _CLOSE:
            raise _Broken(1002, "fragments are not in order")

    def _taken(self, first: int, payload: bytes) -> Message | Pong | Closed | None:
        opcode = first & 0x0F
        if opcode == _PING:
            self._put(_PONG, payload)
            return None
        if opcode == _PONG:
            return Pong(payload)
        if opcode == _CLOSE:
            return self._closed(payload)
        if opcode != _CONTINUATION:
            self._kind = opcode
            self._packed = zlib.decompressobj(wbits=-15) if first & 0x40 else None
        self._add(payload, final=bool(first & 0x80))
        if not first & 0x80:
            return None
        kind, self._kind = self._kind, None
        parts, self._parts = self._parts, []
        texts, self._texts = self._texts, []
        self._size = 0
        if kind == _TEXT:
            return Message("".join(texts))
        return Message(b"".join(parts))

    def _add(self, payload: bytes, *, final: bool) -> None:
        """One more fragment, unpacked, and decoded if it is text."""
        if self._packed is not None:
            room = self._limit - self._size + 1
            try:
                payload = self._packed.decompress(payload + (_TAIL if final else b""), room)
            except zlib.error:
                raise _Broken(1007, "a message cannot be unpacked") from None
            if len(payload) >= room or self._packed.unconsumed_tail:
                raise _Broken(1009, f"messages have {self._limit} bytes at most")
        self._size += len(payload)
        if self._kind == _TEXT:
            try:
                self._texts.append(self._decoder.decode(payload, final))
            except UnicodeDecodeError:
                raise _Broken(1007, "a text is not UTF-8") from None
        else:
            self._parts.append(payload)

    def _closed(self, payload: bytes) -> Closed:
        code, reason = 1005, ""
        if payload:
            code = int.from_bytes(payload[:2], "big")
            if len(payload) == 1 or code not in _SENDABLE:
                raise _Broken(1002, "a close has no such code")
            try:
                reason = payload[2:].decode()
            except UnicodeDecodeError:
                raise _Broken(1007, "a close's reason is not UTF-8") from None
        if not self.closing:
            self.closing = True
            self._put(_CLOSE, payload[:2], last=True)
        self.over = True
        return Closed(code, reason)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
