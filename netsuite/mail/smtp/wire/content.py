"""The content of a message as DATA carries it: dots doubled at line starts, ended by a dot alone.

Work is done on whole chunks by searches in C, never line by line. Line ends are CR LF and nothing else: a
CR or LF alone is what smuggles a second message past those who read it differently.

Implements: RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ContentReader", "ContentWriter"]

_END: Final = b"\r\n.\r\n"
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


class ContentReader:
    """Takes what follows a 354, gives the content.

    ``done`` is true once the end was seen; ``bare`` once a CR or LF stood alone; ``size`` counts content bytes.
    """

    __slots__ = ("_held", "bare", "done", "size")

    def __init__(self) -> None:
        # a dot at the very start stands at a line start too: pretend that a line just ended
        self._held = b"\r\n"
        self.done = False
        self.bare = False
        self.size = -2

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The content that is sure, and what follows the end (of a later command); nothing follows before it."""
        text = self._held + data
        end = text.find(_END)
        if end >= 0:
            self.done = True
            self._held = b""
            return self._unstuffed(text[: end + 2]), text[end + len(_END) :]
        # what could be a part of the end, or of a doubled dot, waits for more
        keep = _pending(text)
        self._held = text[len(text) - keep :]
        return self._unstuffed(text[: len(text) - keep]), b""

    def _unstuffed(self, text: bytes) -> bytes:
        if not text:
            return text
        if _has_bare(text):
            self.bare = True
        if b"\r\n." in text:
            text = text.replace(b"\r\n.", b"\r\n")
        if self.size < 0:
            text = text[2:]
            self.size = 0
        self.size += len(text)
        return text


def _has_bare(text: bytes) -> bool:
    """Whether a CR or LF stands alone; counting is forty times as fast as the pattern."""
    ends = text.count(b"\r\n")
    return text.count(b"\n") != ends or text.count(b"\r") != ends


def _pending(text: bytes) -> int:
    """How many bytes at the end may belong to ``CR LF . CR LF`` or to a doubled dot."""
    for length in (4, 3, 2, 1):
        if text.endswith(_END[:length]):
            return length
    return 0


class ContentWriter:
    """Takes content, gives what DATA sends: dots doubled, the end added. A CR or LF alone becomes CR LF."""

    __slots__ = ("_cr", "_line_start")

    def __init__(self) -> None:
        self._cr = False
        self._line_start = True

    def feed(self, data: bytes) -> bytes:
        """What to send for some content."""
        if self._cr:
            data = b"\r" + data
        self._cr = data.endswith(b"\r")
        if self._cr:
            # whether it stands alone, only the next byte tells
            data = data[:-1]
        if not data:
            return b""
        if _has_bare(data):
            data = _BARE.sub(b"\r\n", data)
        out = data.replace(b"\r\n.", b"\r\n..")
        if self._line_start and data.startswith(b"."):
            out = b"." + out
        self._line_start = data.endswith(b"\n")
        return out

    def finish(self) -> bytes:
        """The end: a line end if the last line has none, and the dot."""
        return b".\r\n" if self._line_start and not self._cr else b"\r\n.\r\n"
