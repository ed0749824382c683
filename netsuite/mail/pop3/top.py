"""What TOP shows of a message: its header, the empty line, and so many lines of its body.

Implements: RFC 1939 section 7 (TOP).
"""

from __future__ import annotations

from typing import Final

__all__ = ["Top"]

_HEADER_END: Final = b"\r\n\r\n"


class Top:
    """Takes a message piece by piece, gives what belongs to its top; ``done`` once all of that was given."""

    __slots__ = ("_in_body", "_left", "_tail", "done")

    def __init__(self, lines: int) -> None:
        self._left = lines
        # an empty line at the very start ends an empty header
        self._tail = b"\r\n"
        self._in_body = False
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """What to show of some more of the message."""
        if self.done:
            return b""
        start = 0
        if not self._in_body:
            text = self._tail + data
            at = text.find(_HEADER_END)
            if at < 0:
                self._tail = text[-3:]
                return data
            start = at + len(_HEADER_END) - len(self._tail)
            self._in_body = True
        while self._left:
            end = data.find(b"\n", start)
            if end < 0:
                return data
            start = end + 1
            self._left -= 1
        self.done = True
        return data[:start]
