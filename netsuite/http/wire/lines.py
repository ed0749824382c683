"""Start lines and field lines, written: nothing that an application says can split a message.

Names go out in the customary case (``Content-Length``, ``ETag``), which costs nothing, since a name's
prefix is looked up where it would have to be checked anyway.

Implements: RFC 9110 sections 5.1 and 5.5; RFC 9112 sections 3, 4 and 5
"""

from __future__ import annotations

import re
from typing import Final

from netsuite.http.wire.messages import REASONS
from netsuite.sansio.connection import StateError
from netsuite.sansio.fields import is_token

__all__ = ["field_block", "prefixes", "request_line", "status_line"]

_UNUSUAL: Final = {
    b"dnt": b"DNT",
    b"etag": b"ETag",
    b"te": b"TE",
    b"www-authenticate": b"WWW-Authenticate",
    b"cdn-cache-control": b"CDN-Cache-Control",
    b"cdn-loop": b"CDN-Loop",
    b"x-xss-protection": b"X-XSS-Protection",
}
_MOST_NAMES: Final = 4096
_TARGET: Final = re.compile(rb"[\x21-\x7e\x80-\xff]+")
_REASON: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class _Prefixes(dict[bytes, bytes]):
    """``b"etag"`` to ``b"ETag: "``, for names that are tokens; bounded."""

    def __missing__(self, name: bytes) -> bytes:
        if not is_token(name):
            raise StateError(f"{name!r} is no field name")
        lower = name.lower()
        prefix = _UNUSUAL.get(lower) or b"-".join(word[:1].upper() + word[1:] for word in lower.split(b"-"))
        prefix += b": "
        if len(self) < _MOST_NAMES:
            self[name] = prefix
        return prefix


prefixes: Final = _Prefixes()
"""What a field line begins with, by the field's name; StateError for what is no name."""

_status_lines: Final[dict[int, bytes]] = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in REASONS.items()
}


def status_line(status: int, reason: bytes | None = None) -> bytes:
    """The first line of a response, line end included."""
    if reason is None:
        line = _status_lines.get(status)
        if line is not None:
            return line
        reason = b""
    if not 100 <= status <= 999 or not _REASON.fullmatch(reason):
        raise StateError(f"{status} {reason!r} is no status")
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)


def request_line(method: bytes, target: bytes) -> bytes:
    """The first line of a request, line end included."""
    if not is_token(method) or not _TARGET.fullmatch(target):
        raise StateError(f"{method!r} {target!r} is no request")
    return b"%b %b HTTP/1.1\r\n" % (method, target)


def field_block(lines: list[bytes]) -> bytes:
    """Field lines (each without its end), joined and ended by the empty line; StateError if a value breaks its line."""
    lines.append(b"\r\n")
    block = b"\r\n".join(lines)
    breaks = len(lines)
    if block.count(b"\n") != breaks or block.count(b"\r") != breaks or b"\0" in block:
        raise StateError("a field's value holds a line break or a NUL")
    return block
