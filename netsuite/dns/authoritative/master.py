"""Master files: the text form of a zone, read one record at a time.

Plain lines are split and their commonest types made here; whatever has quotes, parentheses or a rarer type goes
through dnspython. ``$INCLUDE`` paths are taken from the including file's folder.

Errors are ZoneError, one line each: file, line, reason.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype

from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, from_text

__all__ = ["Record", "Sources", "ZoneError", "read", "version"]

_INCLUDES: Final = 16
_GENERATED: Final = 1 << 20
_TTL: Final = re.compile(r"(?:\d+[smhdw]?)+", re.IGNORECASE | re.ASCII)
_TTL_PART: Final = re.compile(r"(\d+)([smhdw]?)", re.IGNORECASE | re.ASCII)
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CLASSES: Final = frozenset({"IN", "CH", "HS", "CS"})
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[();]|\s+|[^\s"();\\]+|.', re.DOTALL)
_SPECIAL: Final = re.compile(r'["();\\]')
_RANGE: Final = re.compile(r"(\d+)-(\d+)(?:/(\d+))?")
_PLACE: Final = re.compile(r"\\.|\$\$|\$\{([+-]?\d+)(?:,(\d+)(?:,([doxXnN]))?)?\}|\$", re.DOTALL)


class ZoneError(Exception):
    """A zone that cannot be served; its text is one line that names file, line and reason."""


class Record(NamedTuple):
    """One record: where it stands, its owner and data in wire form, names uncompressed."""

    where: str
    owner: bytes
    ttl: int
    type: int
    rdata: bytes


Sources = dict[Path, tuple[int, int, int]]
"""Files that were read, each with what tells a later version of it from this one."""


def read(path: Path, origin: bytes, sources: Sources | None = None) -> Iterator[Record]:
    """The records of a master file in order; raises ZoneError. Files are noted in ``sources`` as they are read."""
    return _File(path, origin, 0, {} if sources is None else sources).records()


def version(path: Path) -> tuple[int, int, int]:
    """What changes when a file does; OSError if it is not there."""
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


class _Line(NamedTuple):
    """A logical line: its number, whether it begins with a blank, and its words as written."""

    number: int
    blank: bool
    words: list[str]


class _File:
    """One file being read: what ``$`` directives and earlier lines have set."""

    def __init__(self, path: Path, origin: bytes, depth: int, sources: Sources) -> None:
        self.path = path
        self.sources = sources
        self.origin = origin
        self.depth = depth
        self.owner: bytes | None = None
        self.default_ttl: int | None = None
        self.last_ttl: int | None = None
        self._line = 0
        self._names: dict[bytes, dns.name.Name] = {}

    def records(self) -> Iterator[Record]:
        """What the file and those it includes hold, in order."""
        try:
            self.sources[self.path] = version(self.path)
            text = self.path.read_text("utf-8")
        except OSError as error:
            raise ZoneError(f"{self.path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ZoneError(f"{self.path}: is no text in UTF-8") from None
        try:
            for line in _lines(text):
                self._line = line.number
                first = line.words[0]
                if first[0] == "$" and not line.blank:
                    yield from self._directive(first.upper(), line.words[1:])
                else:
                    yield self._record(line)
        except (_Fault, BadName) as fault:
            number = getattr(fault, "line", 0) or self._line
            raise ZoneError(f"{self.path}:{number}: {fault}") from None

    def _directive(self, name: str, words: list[str]) -> Iterator[Record]:
        if not words:
            raise _Fault(f"{name} says nothing")
        if name == "$ORIGIN":
            self.origin = from_text(words[0], self.origin)
        elif name == "$TTL":
            self.default_ttl = _ttl(words[0])
            if self.default_ttl is None:
                raise _Fault(f"{words[0]!r} is no TTL")
        elif name == "$INCLUDE":
            yield from self._include(words)
        elif name == "$GENERATE":
            yield from self._generate(words)
        else:
            raise _Fault(f"{name} is no directive: there are $ORIGIN, $TTL, $INCLUDE, $GENERATE")

    def _include(self, words: list[str]) -> Iterator[Record]:
        if self.depth >= _INCLUDES:
            raise _Fault(f"$INCLUDE goes deeper than {_INCLUDES} files")
        path = self.path.parent / words[0].strip('"')
        origin = from_text(words[1], self.origin) if len(words) > 1 else self.origin
        inner = _File(path, origin, self.depth + 1, self.sources)
        inner.owner, inner.default_ttl, inner.last_ttl = self.owner, self.default_ttl, self.last_ttl
        if not path.is_file():
            raise _Fault(f"$INCLUDE {path}: no such file")
        yield from inner.records()
        self.last_ttl = inner.last_ttl

    def _generate(self, words: list[str]) -> Iterator[Record]:
        match = _RANGE.fullmatch(words[0])
        if match is None or len(words) < 4:
            raise _Fault("$GENERATE wants START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA")
        start, stop, step = int(match[1]), int(match[2]), int(match[3] or 1)
        if step < 1 or stop < start or (stop - start) // step >= _GENERATED:
            raise _Fault(f"$GENERATE {words[0]} is no range of 1 to {_GENERATED} numbers")
        for number in range(start, stop + 1, step):
            yield self._record(_Line(self._line, False, [_numbered(word, number) for word in words[1:]]))

    def _record(self, line: _Line) -> Record:
        words = line.words
        at = 0
        if not line.blank:
            self.owner = from_text(words[0], self.origin)
            at = 1
        if self.owner is None:
            raise _Fault("a record without a name, and none before it")
        ttl: int | None = None
        named = False
        while at < len(words):
            word = words[at]
            if ttl is None and word[0].isdigit() and (found := _ttl(word)) is not None:
                ttl = found
            elif not named and word.upper() in _CLASSES:
                if word.upper() != "IN":
                    raise _Fault(f"class {word} is not served, only IN")
                named = True
            else:
                break
            at += 1
        if at == len(words):
            raise _Fault("a record without a type")
        rdtype = _type(words[at])
        rdata = self._rdata(rdtype, words[at], words[at + 1 :])
        if ttl is not None:
            self.last_ttl = ttl
        elif self.default_ttl is not None:
            ttl = self.default_ttl
        elif self.last_ttl is not None:
            ttl = self.last_ttl
        elif rdtype == codes.SOA:
            ttl = self.last_ttl = int.from_bytes(rdata[-4:], "big")
        else:
            raise _Fault("no TTL: write one, or $TTL before it")
        return Record(f"{self.path}:{line.number}", self.owner, ttl, rdtype, rdata)

    def _rdata(self, rdtype: int, written: str, words: list[str]) -> bytes:
        if len(words) == 1 and words[0] != "\\#":
            make = _SIMPLE.get(rdtype)
            if make is not None:
                try:
                    return make(words[0], self.origin)
                except BadName:
                    raise
                except (OSError, ValueError):
                    raise _Fault(f"{words[0]!r} is no address for {written}") from None
        origin = self._names.get(self.origin)
        if origin is None:
            origin = self._names[self.origin] = dns.name.from_wire(self.origin, 0)[0]
        try:
            made = dns.rdata.from_text("IN", dns.rdatatype.RdataType.make(rdtype), " ".join(words), origin, False)
            return bytes(made.to_wire() or b"")
        except Exception as error:  # what bad text makes of dnspython's parsers is not one family
            reason = " ".join(str(error).split()) or type(error).__name__
            raise _Fault(f"{written} data {' '.join(words)[:80]!r}: {reason}") from None


class _Fault(Exception):
    """Why a line cannot be; ``line`` where it is not the one being read."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


_SIMPLE: Final[dict[int, Callable[[str, bytes], bytes]]] = {
    codes.A: lambda word, _: socket.inet_pton(socket.AF_INET, word),
    codes.AAAA: lambda word, _: socket.inet_pton(socket.AF_INET6, word),
    codes.NS: from_text,
    codes.CNAME: from_text,
    codes.PTR: from_text,
    codes.DNAME: from_text,
}


def _lines(text: str) -> Iterator[_Line]:
    """Logical lines that say something: comments gone, parentheses joined."""
    pending: list[str] | None = None
    start = 0
    blank = False
    # Only these end a line; str.splitlines would end one within strange data.
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        if pending is None and _SPECIAL.search(line) is None:
            words = line.split()
            if words:
                yield _Line(number, line[0] in " \t", words)
            continue
        if pending is None:
            pending, start, blank, open_at = [], number, line[:1] in (" ", "\t"), 0
        glued = False
        for match in _TOKEN.finditer(line):
            piece = match[0]
            if piece == ";":
                break
            if piece == "(":
                open_at += 1
                glued = False
            elif piece == ")":
                open_at -= 1
                glued = False
                if open_at < 0:
                    raise _Fault("a closing parenthesis without an opening one", number)
            elif piece.isspace():
                glued = False
            elif piece == '"':
                raise _Fault("a quote that is not closed on its line", number)
            elif glued:
                pending[-1] += piece
            else:
                pending.append(piece)
                glued = True
        if not open_at:
            if pending:
                yield _Line(start, blank, pending)
            pending = None
    if pending is not None:
        raise _Fault("a parenthesis that is never closed", start)


def _ttl(word: str) -> int | None:
    """Seconds from ``3600`` or ``1h30m``; None if it is no TTL (RFC 2308 section 8: at most 2^31 - 1)."""
    if _TTL.fullmatch(word) is None:
        return None
    total = sum(int(count) * _SECONDS[unit.lower()] for count, unit in _TTL_PART.findall(word))
    if total > 0x7FFFFFFF:
        raise _Fault(f"TTL {word} is larger than 2147483647")
    return total


def _type(word: str) -> int:
    number = _TYPES.get(word)
    if number is None:
        try:
            number = int(dns.rdatatype.from_text(word))
        except (dns.exception.DNSException, ValueError):
            raise _Fault(f"{word!r} is no record type") from None
        if number == codes.OPT or 128 <= number <= 255 or number == 0:
            raise _Fault(f"{word} records have no place in a zone")
        _TYPES[word] = number
    return number


_TYPES: dict[str, int] = {}


def _numbered(template: str, number: int) -> str:
    """A $GENERATE template with its ``$`` filled in."""

    def fill(match: re.Match[str]) -> str:
        piece = match[0]
        if piece[0] == "\\":
            return piece
        if piece == "$$":
            return "$"
        value = number + int(match[1] or 0)
        width = min(int(match[2] or 0), 127)
        base = match[3] or "d"
        if base in "nN":
            digits = f"{value:x}".zfill((width + 1) // 2)[::-1]
            return ".".join(digits if base == "n" else digits.upper())
        return format(value, base).zfill(width)

    return _PLACE.sub(fill, template)
