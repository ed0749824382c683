"""The chunked coding, read strictly: exact positions, bounded overhead, nothing tolerated.

Implements: RFC 9112 section 7.1
"""

from __future__ import annotations

import re
from typing import Final

from netsuite.http.wire.messages import Fields

__all__ = ["ChunkedBody"]

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_SIZE_LINE_BEGUN: Final = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r?")
_MOST_IN_A_LINE: Final = 256
_TRAILER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)\r\n")
_NOT_IN_TRAILERS: Final = frozenset(
    b"transfer-encoding content-length host content-encoding content-type content-range trailer authorization cookie"
    b" set-cookie connection te upgrade expect".split()
)
_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)
_FREE_OVERHEAD: Final = 16 * 1024


class ChunkedBody:
    """Reads one chunked body: give it what arrived, it says what of it was body.

    ``trailers`` stands once ``complete``; ``fault`` says why this is not the chunked coding. Chunk
    extensions are ignored. What is not data may cost some 16 KiB more than the data itself, and
    trailers ``trailer_limit`` bytes.
    """

    __slots__ = ("_overhead", "_remaining", "_state", "_trailer_limit", "complete", "fault", "trailers")

    def __init__(self, trailer_limit: int) -> None:
        self._state = _SIZE
        self._remaining = 0
        self._overhead = _FREE_OVERHEAD
        self._trailer_limit = trailer_limit
        self.complete = False
        self.fault: str | None = None
        self.trailers: Fields = []

    def read(self, buffer: bytes | bytearray, at: int) -> tuple[list[bytes], int]:
        """The body's bytes in ``buffer`` from ``at``, and where what was not read begins."""
        pieces: list[bytes] = []
        size = len(buffer)
        while at < size:
            state = self._state
            if state == _DATA:
                piece = bytes(buffer[at : at + self._remaining])
                pieces.append(piece)
                at += len(piece)
                self._overhead += len(piece)
                self._remaining -= len(piece)
                if self._remaining:
                    break
                self._state = _DATA_END
                continue
            before = at
            if state == _SIZE:
                at = self._read_size(buffer, at)
            elif state == _DATA_END:
                at = self._read_data_end(buffer, at)
            else:
                at = self._read_trailer(buffer, at)
            if at == before or self.complete:
                break
        return pieces, at

    def _read_data_end(self, buffer: bytes | bytearray, at: int) -> int:
        found = buffer[at : at + 2]
        if found == b"\r\n":
            self._state = _SIZE
            return at + 2
        if found != b"\r":
            self.fault = "a chunk is longer than it said"
        return at

    def _read_size(self, buffer: bytes | bytearray, at: int) -> int:
        line = _SIZE_LINE.match(buffer, at, at + _MOST_IN_A_LINE)
        if line is not None:
            self._overhead -= line.end() - at + 2
            if self._overhead < 0:
                self.fault = "there is more chunk framing than data"
            self._remaining = int(line[1], 16)
            self._state = _DATA if self._remaining else _TRAILERS
            return line.end() if self.fault is None else at
        rest = buffer[at : at + _MOST_IN_A_LINE]
        if _SIZE_LINE_BEGUN.fullmatch(rest) is None:
            self.fault = "a chunk's first line is no size"
        elif len(rest) == _MOST_IN_A_LINE:
            self.fault = "a chunk's first line is too long"
        return at

    def _read_trailer(self, buffer: bytes | bytearray, at: int) -> int:
        """One trailer field, or the empty line that ends the body."""
        if buffer[at : at + 2] == b"\r\n":
            self.complete = True
            return at + 2
        limit = at + self._trailer_limit
        end = buffer.find(b"\r\n", at, limit)
        if end < 0:
            if buffer.find(b"\n", at, limit) >= 0:
                self.fault = "a trailer field is malformed"
            elif len(buffer) >= limit:
                self.fault = "the trailers are too long"
            return at
        line = _TRAILER.fullmatch(buffer, at, end + 2)
        if line is None:
            self.fault = "a trailer field is malformed"
            return at
        name = bytes(line[1]).lower()
        if name in _NOT_IN_TRAILERS:
            self.fault = "a trailer field belongs into the head"
            return at
        self._trailer_limit -= end + 2 - at
        self.trailers.append((name, bytes(line[2]).rstrip(b" \t")))
        return end + 2
