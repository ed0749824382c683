"""Frames of HTTP/2: their numbers, how they are written, and what a peer may cost beyond a peer of HTTP/1.1.

Implements: RFC 9113 sections 3.4, 4.1, 6 and 7
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import attrs

__all__ = [
    "PREFACE",
    "Allowance",
    "Code",
    "Flag",
    "Framed",
    "Http2Limits",
    "Kind",
    "Setting",
    "answer_frames",
    "frame",
    "frame_head",
    "goaway",
    "header_frames",
    "settings",
]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_SIZE: Final = 16384
"""The longest payload that everybody takes, and the longest that we take."""
LARGEST_WINDOW: Final = (1 << 31) - 1

_HEAD: Final = struct.Struct(">BHBBL")


class Kind:
    """Frame types."""

    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)


class Flag:
    """Frame flags."""

    END_STREAM: Final = 1
    ACK: Final = 1
    END_HEADERS: Final = 4
    PADDED: Final = 8
    PRIORITY: Final = 32


class Setting:
    """Settings by number."""

    HEADER_TABLE_SIZE: Final = 1
    ENABLE_PUSH: Final = 2
    MAX_CONCURRENT_STREAMS: Final = 3
    INITIAL_WINDOW_SIZE: Final = 4
    MAX_FRAME_SIZE: Final = 5
    MAX_HEADER_LIST_SIZE: Final = 6
    ENABLE_CONNECT_PROTOCOL: Final = 8
    NO_RFC7540_PRIORITIES: Final = 9


class Code:
    """Error codes."""

    NO_ERROR: Final = 0
    PROTOCOL_ERROR: Final = 1
    INTERNAL_ERROR: Final = 2
    FLOW_CONTROL_ERROR: Final = 3
    STREAM_CLOSED: Final = 5
    FRAME_SIZE_ERROR: Final = 6
    REFUSED_STREAM: Final = 7
    CANCEL: Final = 8
    COMPRESSION_ERROR: Final = 9
    ENHANCE_YOUR_CALM: Final = 11


@attrs.frozen
class Http2Limits:
    """What a peer may cost beyond :class:`~netsuite.http.wire.framing.Http1Limits`: sizes in bytes, rates a second.

    ``streams`` may be open at once, each with ``stream_window`` bytes of body that nobody has read yet, all together
    with ``unread``. A client may give up ``resets`` streams in a row and ``reset_rate`` a second after that
    (CVE-2023-44487; what we reset because of its faults counts too), and send ``nuisances`` frames that bring nothing
    forward (PING, SETTINGS, PRIORITY, empty DATA, WINDOW_UPDATE beyond what the answers call for, what is unknown),
    and ``nuisance_rate`` a second after that. ``continuations`` bounds the pieces of one field block.
    """

    streams: int = 100
    stream_window: int = 256 * 1024
    unread: int = 4 << 20
    resets: int = 500
    reset_rate: float = 30.0
    nuisances: int = 1000
    nuisance_rate: float = 100.0
    continuations: int = 16


class Allowance:
    """So many in a row, and so many a second after that."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: int, rate: float, now: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = float(burst)
        self._at = now

    def spend(self, now: float) -> bool:
        """Whether one more is allowed."""
        left = self._left + (now - self._at) * self._rate
        self._at = now
        self._left = min(float(self._burst), left) - 1
        return self._left >= 0

    def earn(self, count: int) -> None:
        """So many more are called for."""
        self._left = min(float(self._burst), self._left + count)


class Framed(NamedTuple):
    """A whole answer but for the number of its stream, which belongs between ``first``, ``second`` and ``body``.

    Without a body ``second`` ends the answer.
    """

    first: bytes
    second: bytes
    body: bytes


def frame_head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload."""
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return frame_head(len(payload), kind, flags, stream) + payload


def header_frames(block: bytes, flags: int, stream: int) -> bytes:
    """HEADERS, and CONTINUATION where one frame does not hold the block."""
    if len(block) <= FRAME_SIZE:
        return frame(Kind.HEADERS, flags | Flag.END_HEADERS, stream, block)
    parts = [frame(Kind.HEADERS, flags, stream, block[:FRAME_SIZE])]
    for at in range(FRAME_SIZE, len(block), FRAME_SIZE):
        last = Flag.END_HEADERS if at + FRAME_SIZE >= len(block) else 0
        parts.append(frame(Kind.CONTINUATION, last, stream, block[at : at + FRAME_SIZE]))
    return b"".join(parts)


def answer_frames(block: bytes, body: bytes) -> Framed | None:
    """An answer in at most two frames; None if it does not fit."""
    if len(block) > FRAME_SIZE or len(body) > FRAME_SIZE:
        return None
    flags = Flag.END_HEADERS if body else Flag.END_HEADERS | Flag.END_STREAM
    first = frame_head(len(block), Kind.HEADERS, flags, 0)[:5]
    return Framed(first, block + frame_head(len(body), Kind.DATA, Flag.END_STREAM, 0)[:5] if body else block, body)


def settings(values: Sequence[tuple[int, int]]) -> bytes:
    """A SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(struct.pack(">HL", number, value) for number, value in values))


def goaway(last: int, code: int, reason: str) -> bytes:
    """A GOAWAY frame; streams after ``last`` were not looked at."""
    return frame(Kind.GOAWAY, 0, 0, struct.pack(">LL", last, code) + reason.encode("ascii", "replace")[:200])
