"""Responses in bytes: strings, lists and numbers as IMAP writes them.

Implements: RFC 3501 sections 4 and 7; RFC 4466 section 2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from netsuite.mail.imap.wire.utf7 import to_utf7
from netsuite.mail.mime.address import Address
from netsuite.mail.mime.structure import Lists

__all__ = ["astring", "date_time", "dump", "flag_list", "mailbox", "ranges", "string"]

_QUOTABLE: Final = re.compile(rb"[^\x00\r\n\x80-\xff\"\\]{0,1000}")
_ESCAPED: Final = re.compile(rb"([\"\\])")
_ATOM: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+")
_FIRST: Final = -62135596800  # the year 1
_LAST: Final = 253402300799  # the year 9999
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def string(text: bytes) -> bytes:
    """A quoted string, or a literal where that cannot be."""
    if _QUOTABLE.fullmatch(text):
        return b'"' + text + b'"'
    if len(text) < 1000 and not re.search(rb"[\x00\r\n\x80-\xff]", text):
        return b'"' + _ESCAPED.sub(rb"\\\1", text) + b'"'
    return b"{%d}\r\n%b" % (len(text), text)


def astring(text: bytes) -> bytes:
    """An atom where possible."""
    return text if _ATOM.fullmatch(text) and text.upper() != b"NIL" else string(text)


def mailbox(name: str) -> bytes:
    """A mailbox's name."""
    return astring(to_utf7(name))


def dump(value: Any) -> bytes:
    """None, bytes, numbers and tuples of them."""
    if value is None:
        return b"NIL"
    if isinstance(value, bytes):
        return string(value)
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, Lists):
        return b"".join([dump(each) for each in value])
    if value and isinstance(value[0], Address):  # addresses have no space between them
        return b"(" + b"".join([_row(each) for each in value]) + b")"
    return _row(value)


def _row(value: Any) -> bytes:
    return b"(" + b" ".join([dump(each) for each in value]) + b")"


def flag_list(flags: Iterable[str]) -> bytes:
    """Flags in parentheses, in order."""
    return ("(" + " ".join(sorted(flags)) + ")").encode()


def date_time(seconds: int) -> bytes:
    """A moment, in UTC and in quotes."""
    at = datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)
    return f'"{at.day:2d}-{_MONTHS[at.month - 1]}-{at.year:04d} {at:%H:%M:%S} +0000"'.encode()


def ranges(numbers: Sequence[int]) -> bytes:
    """Ascending numbers as a sequence set; neighbours that follow one another in the given order share a range."""
    made: list[str] = []
    at = 0
    while at < len(numbers):
        first = last = numbers[at]
        at += 1
        while at < len(numbers) and numbers[at] == last + 1:
            last = numbers[at]
            at += 1
        made.append(str(first) if first == last else f"{first}:{last}")
    return ",".join(made).encode()
