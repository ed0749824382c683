"""Received bytes that are not parsed yet: put in at the end, taken from the front.

A chunk that arrives while nothing is held is kept as it is and, taken whole, handed on without a copy; many small
chunks are gathered in one bytearray. A search for a line never looks at the same byte twice, so that a peer that sends
byte by byte costs no more than one that does not.
"""

from __future__ import annotations

from typing import Final

__all__ = ["NO_LINE_YET", "TOO_LONG", "ReceiveBuffer"]

NO_LINE_YET: Final = 0
TOO_LONG: Final = -1

_SPENT: Final = 65536
"""So many bytes in front may be taken and still held, before what is left is moved."""


class ReceiveBuffer:
    """Bytes in order of arrival; :meth:`append` says when more than ``limit`` are held."""

    __slots__ = ("_data", "_searched", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._data: bytes | bytearray = b""
        self._start = 0  # bytes before it are taken
        self._searched = 0  # no line feed from _start up to here

    def __len__(self) -> int:
        return len(self._data) - self._start

    def append(self, data: bytes) -> bool:
        """Hold more; False if it is now more than ``limit`` (it is held all the same)."""
        if self._start == len(self._data):
            self._data = data
            self._start = self._searched = 0
        elif isinstance(self._data, bytearray):
            self._data += data
        else:
            self._data = bytearray(memoryview(self._data)[self._start :])
            self._data += data
            self._searched = max(0, self._searched - self._start)
            self._start = 0
        return len(self._data) - self._start <= self.limit

    def peek(self, count: int) -> bytes:
        """The first ``count`` bytes, or all if there are fewer; they stay."""
        return bytes(self._data[self._start : self._start + count])

    def take(self, count: int) -> bytes | None:
        """The first ``count`` bytes; None, and nothing is taken, if there are fewer."""
        start, end = self._start, self._start + count
        data = self._data
        if end > len(data):
            return None
        if end == len(data):
            self._data = b""
            self._start = self._searched = 0
            if not start:
                return bytes(data)  # no copy of bytes
            return bytes(memoryview(data)[start:])
        taken = bytes(memoryview(data)[start:end])
        self._start = end
        if end > _SPENT and isinstance(data, bytearray):
            del data[:end]
            self._start = 0
            self._searched = max(0, self._searched - end)
        return taken

    def take_all(self) -> bytes:
        """All there is."""
        return self.take(len(self)) or b""

    def line(self, longest: int) -> int:
        """How many bytes to take for the first line, its line feed included.

        NO_LINE_YET if no line feed has come; TOO_LONG if there is none among the first ``longest`` bytes.
        """
        start = self._start
        end = self._data.find(b"\n", max(start, self._searched), start + longest)
        if end >= 0:
            self._searched = end
            return end + 1 - start
        self._searched = min(len(self._data), start + longest)
        return TOO_LONG if len(self._data) - start >= longest else NO_LINE_YET

    def clear(self) -> None:
        """Forget what is held."""
        self._data = b""
        self._start = self._searched = 0
