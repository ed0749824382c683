"""Replies: three digits, an enhanced status code, and lines of text.

Implements: RFC 5321 sections 4.2 and 4.5.3.1.5; RFC 2034; RFC 3463 section 2.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

__all__ = ["LONGEST_REPLY", "BadReply", "Reply", "ReplyLines"]

LONGEST_REPLY: Final = 64 * 1024
"""Bytes of one reply, all its lines together, that a client reads."""

_LONGEST_LINE: Final = 4096
_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


class BadReply(Exception):
    """What came is no reply."""


class Reply(NamedTuple):
    """A reply, sent or received. ``enhanced`` is ``"5.1.1"`` or empty; ``text`` has its lines, one or more.

    A server's owner may send with it: ``user``, the name that a 235 let in; ``close``, true if the connection ends
    after it. The text of a 334 is the challenge itself, as latin-1.
    """

    code: int
    text: str = ""
    enhanced: str = ""
    user: str | None = None
    close: bool = False
    stream: int = 0
    has_body: bool = False
    source: Any = None

    @property
    def good(self) -> bool:
        """Whether the command succeeded, so far (2yz or 3yz)."""
        return 200 <= self.code < 400

    @property
    def lasting(self) -> bool:
        """Whether asking again is useless (5yz)."""
        return self.code >= 500

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text.replace("\n", " ")) if part)

    def encoded(self) -> bytes:
        """The reply on the wire; control characters in its text become ``?``, other text is UTF-8."""
        if self.text.isprintable():
            return f"{self.code} {self.enhanced}{' ' if self.enhanced else ''}{self.text}\r\n".encode()
        return _encoded(self.code, self.text, self.enhanced)


@lru_cache(256)  # nearly all are the same few
def _encoded(code: int, text: str, enhanced: str) -> bytes:
    prefix = f"{enhanced} " if enhanced else ""
    lines = [_UNPRINTABLE.sub("?", line) for line in text.split("\n")]
    said = [f"{code}-{prefix}{line}\r\n" for line in lines[:-1]]
    said.append(f"{code} {prefix}{lines[-1]}\r\n")
    return "".join(said).encode("utf-8", "replace")


class ReplyLines:
    """Puts a server's lines together to replies."""

    def __init__(self) -> None:
        self._code: int | None = None
        self._lines: list[str] = []
        self._size = 0

    @property
    def begun(self) -> bool:
        """Whether a reply is half read."""
        return self._code is not None

    def add(self, line: bytes) -> Reply | None:
        """Take a line without its end; the reply that it completes. Raises BadReply."""
        self._size += len(line)
        if len(line) > _LONGEST_LINE or self._size > LONGEST_REPLY:
            raise BadReply("the reply is too long")
        if len(line) < 3 or not line[:3].isdigit() or line[:1] not in b"12345" or line[3:4] not in (b"", b" ", b"-"):
            raise BadReply(f"{line[:40]!r} is no reply")
        code = int(line[:3])
        if self._code is not None and code != self._code:
            raise BadReply(f"a reply begins with {self._code} and goes on with {code}")
        self._lines.append(line[4:].decode("utf-8", "replace"))
        self._code = code
        if line[3:4] == b"-":
            return None
        lines, self._lines, self._code, self._size = self._lines, [], None, 0
        enhanced = _ENHANCED.match(lines[-1])
        code_found = enhanced[1] if enhanced is not None and enhanced[1][0] == str(code)[0] else ""
        if code_found:
            lines = [each[len(code_found) + 1 :] if each.startswith(code_found) else each for each in lines]
        return Reply(code, "\n".join(lines), code_found)
