"""Reading a command from left to right.

A command is one run of bytes, its literals in place behind their ``{n}`` CRLF. Every method takes what it names or
raises :class:`Unparsable`; nothing here guesses.

Implements: RFC 3501 section 9 (atom, astring, string, literal, sequence-set, date, date-time, flag-list); RFC 7888.
"""

from __future__ import annotations

import calendar
import re
from typing import Final

from netsuite.mail.imap.wire.utf7 import from_utf7

__all__ = ["STAR", "Cursor", "Ranges", "Unparsable"]

STAR: Final = 1 << 32
"""``*`` in a sequence set: greater than any number."""

Ranges = tuple[tuple[int, int], ...]

_ATOM: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_ASTRING: Final = re.compile(rb"[^\x00-\x20\x7f(){%*\"\\]+")
_LISTED: Final = re.compile(rb"[^\x00-\x20\x7f(){\"\\]+")
_FLAG: Final = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_QUOTED: Final = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_ESCAPE: Final = re.compile(rb"\\(.)")
_LITERAL: Final = re.compile(rb"~?\{(\d{1,10})[+-]?\}\r?\n")
_NUMBER: Final = re.compile(rb"\d{1,20}")
_SET: Final = re.compile(rb"(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?(?:,(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?)*")
_DATE: Final = re.compile(rb'"?(\d{1,2})-([A-Za-z]{3})-(\d{4})"?')
_TIME: Final = re.compile(rb'"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"')
MONTHS: Final = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")


class Unparsable(ValueError):
    """The command does not say what it should; the text is for the client."""


class Cursor:
    """Where a command is being read."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    @property
    def left(self) -> bool:
        """Whether anything is left."""
        return self.at < len(self.data)

    def peek(self, text: bytes) -> bool:
        """Whether this comes next."""
        return self.data.startswith(text, self.at)

    def skip(self, text: bytes) -> bool:
        """Take this, if it comes next."""
        if self.data.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def expect(self, text: bytes, words: str) -> None:
        """Take this."""
        if not self.skip(text):
            raise Unparsable(f"{words} expected")

    def space(self) -> None:
        """Take the space between two arguments."""
        self.expect(b" ", "an argument")

    def done(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise Unparsable("too many arguments")

    def atom(self) -> bytes:
        """An atom."""
        return self._take(_ATOM, "an atom")[0]

    def word(self) -> str:
        """An atom in upper case."""
        return self.atom().decode().upper()

    def number(self) -> int:
        """A number."""
        return int(self._take(_NUMBER, "a number")[0])

    def modseq(self) -> int:
        """A mod-sequence value (RFC 7162 section 7)."""
        value = self.number()
        if value >= 1 << 63:
            raise Unparsable("a mod-sequence value below 2^63 expected")
        return value

    def string(self) -> bytes:
        """A quoted string or a literal."""
        found = _QUOTED.match(self.data, self.at)
        if found is not None:
            self.at = found.end()
            text = found[1]
            return _ESCAPE.sub(rb"\1", text) if b"\\" in text else text
        found = self._take(_LITERAL, "a string")
        end = self.at + int(found[1])
        if end > len(self.data):
            raise Unparsable("the rest of a literal expected")
        text = self.data[self.at : end]
        self.at = end
        return text

    def astring(self) -> bytes:
        """An atom or a string."""
        found = _ASTRING.match(self.data, self.at)
        if found is None:
            return self.string()
        self.at = found.end()
        return found[0]

    def text(self) -> str:
        """An astring that is a name or a password, in UTF-8."""
        try:
            return self.astring().decode()
        except UnicodeDecodeError:
            raise Unparsable("UTF-8 expected") from None

    def mailbox(self) -> str:
        """A mailbox's name, decoded."""
        try:
            return from_utf7(self.astring())
        except ValueError:
            raise Unparsable("a mailbox name in modified UTF-7 expected") from None

    def pattern(self) -> str:
        """LIST's pattern, decoded."""
        found = _LISTED.match(self.data, self.at)
        if found is not None:
            self.at = found.end()
        try:
            return from_utf7(found[0] if found is not None else self.string())
        except ValueError:
            raise Unparsable("a pattern in modified UTF-7 expected") from None

    def flag(self) -> str:
        """A flag or a keyword."""
        return self._take(_FLAG, "a flag")[0].decode()

    def flags(self) -> tuple[str, ...]:
        """A parenthesised list of flags."""
        self.expect(b"(", "a list of flags")
        made: list[str] = []
        while not self.skip(b")"):
            if made:
                self.space()
            made.append(self.flag())
        return tuple(made)

    def words(self) -> list[str]:
        """A parenthesised list of atoms, in upper case."""
        self.expect(b"(", "a list")
        made: list[str] = []
        while not self.skip(b")"):
            if made:
                self.space()
            made.append(self.word())
        return made

    def at_set(self) -> bool:
        """Whether a sequence set comes next."""
        return self.left and self.data[self.at : self.at + 1] in b"0123456789*"

    def ranges(self) -> Ranges:
        """A sequence set, sorted where it has no ``*``."""
        text = self._take(_SET, "a sequence set")[0]
        made = []
        for piece in text.split(b","):
            low, _, high = piece.partition(b":")
            first = _bound(low)
            last = _bound(high) if high else first
            made.append((first, last) if first <= last else (last, first))
        return tuple(made)

    def date(self) -> int:
        """A date, as its day's number since 1970-01-01."""
        found = self._take(_DATE, "a date")
        return _day(found[1], found[2], found[3]) // 86400

    def time(self) -> int:
        """A date-time in quotes, in seconds since the epoch."""
        found = self._take(_TIME, "a date and time")
        hour, minute, second, zone_hours, zone_minutes = (int(found[at]) for at in (4, 5, 6, 8, 9))
        if hour > 23 or minute > 59 or second > 60:
            raise Unparsable("a date and time expected")
        offset = zone_hours * 3600 + zone_minutes * 60
        moment = _day(found[1], found[2], found[3]) + hour * 3600 + minute * 60 + second
        return moment - offset if found[7] == b"+" else moment + offset

    def _take(self, pattern: re.Pattern[bytes], words: str) -> re.Match[bytes]:
        found = pattern.match(self.data, self.at)
        if found is None:
            raise Unparsable(f"{words} expected")
        self.at = found.end()
        return found


def _bound(text: bytes) -> int:
    if text == b"*":
        return STAR
    value = int(text)
    if not 0 < value < STAR:
        raise Unparsable("numbers from 1 to 4294967295 expected")
    return value


def _day(day: bytes, month: bytes, year: bytes) -> int:
    """Seconds since the epoch at the start of a day."""
    try:
        number = MONTHS.index(month.lower()) + 1
        if not 1 <= int(day) <= calendar.monthrange(int(year), number)[1] or int(year) < 1:
            raise ValueError
    except ValueError:
        raise Unparsable("a date expected") from None
    return calendar.timegm((int(year), number, int(day), 0, 0, 0))
