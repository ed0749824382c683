"""Master files: the text form of a zone, read in blocks, and within them line by line.

A plain line is an owner, what lies between, and one last word: what lies between is the same in thousands of lines
and looked up, owner and last word are made. Lines with quotes, parentheses, comments or escapes are split into
words, and what their data mean is asked of :mod:`netsuite.dns.authoritative.presentation`, else of dnspython.
``$INCLUDE`` paths are taken from the including file's folder.

Errors are ZoneError, one line each: file, line, reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from netsuite.dns.authoritative.presentation import (
    Unknown,
    fields,
    last_word,
    rdata_from_text,
    type_number,
    whole,
)
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, from_text

__all__ = ["Batch", "Entry", "Sources", "ZoneError", "read", "version"]

_INCLUDES: Final = 16
_GENERATED: Final = 1 << 20
_BLOCK: Final = 1 << 20
_FORMS: Final = 4096
_NAMES: Final = 65536
_TTL: Final = re.compile(r"(?:\d+[smhdw]?)+", re.IGNORECASE | re.ASCII)
_TTL_PART: Final = re.compile(r"(\d+)([smhdw]?)", re.IGNORECASE | re.ASCII)
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CLASSES: Final = frozenset({"IN", "CH", "HS", "CS"})
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[();]|\s+|[^\s"();\\]+|.', re.DOTALL)
_SPECIAL: Final = re.compile(rb'["();\\$@\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]')
_LOOSE: Final = re.compile(rb"[ \r]+$", re.MULTILINE)
_TABS: Final = bytes.maketrans(b"\t", b" ")
_RANGE: Final = re.compile(r"(\d+)-(\d+)(?:/(\d+))?")
_PLACE: Final = re.compile(r"\\.|\$\$|\$\{([+-]?\d+)(?:,(\d+)(?:,([doxXnN]))?)?\}|\$", re.DOTALL)
_LENGTH: Final = [bytes((size,)) for size in range(64)]


class ZoneError(Exception):
    """A zone that cannot be served; its text is one line that names file, line and reason."""


Entry = tuple[bytes, int, int, bytes, int]
"""A record as read: owner in lower case, type, TTL, data (both in wire form, names uncompressed), line."""


class Batch(NamedTuple):
    """Records of one file, in order."""

    path: Path
    entries: list[Entry]


Sources = dict[Path, tuple[int, int, int]]
"""Files that were read, each with what tells a later version of it from this one."""


def read(path: Path, origin: bytes, sources: Sources | None = None) -> Iterator[Batch]:
    """The records of a master file in order; raises ZoneError. Files are noted in ``sources`` as they are read."""
    return _File(path, origin, 0, {} if sources is None else sources).batches()


def version(path: Path) -> tuple[int, int, int]:
    """What changes when a file does; OSError if it is not there."""
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def is_current(sources: Sources) -> bool:
    """Whether files are still as they were when they were read."""
    try:
        return all(version(path) == seen for path, seen in sources.items())
    except OSError:
        return False


class _Line(NamedTuple):
    """A logical line: its number, whether it begins with a blank, and its words as written."""

    number: int
    blank: bool
    words: list[str]


class _Form(NamedTuple):
    """What lies between an owner and the last word: TTL if it is there, type, fields of the data, the rest's maker."""

    ttl: int | None
    rdtype: int
    prefix: bytes
    make: Callable[[bytes, Callable[[bytes], bytes]], bytes]


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
        self._splitter = _Splitter()
        self._forms: dict[bytes, _Form | None] = {}
        self._names: dict[bytes, bytes] = {}
        self._line = 0

    def batches(self) -> Iterator[Batch]:
        """What the file and those it includes hold, in order."""
        try:
            self.sources[self.path] = version(self.path)
            with self.path.open("rb") as file:
                yield from self._blocks(file)
        except OSError as error:
            raise ZoneError(f"{self.path}: cannot be read: {error.strerror}") from error
        except (_Fault, BadName) as fault:
            number = getattr(fault, "line", 0) or self._line
            raise ZoneError(f"{self.path}:{number}: {fault}") from None

    def _blocks(self, file: IO[bytes]) -> Iterator[Batch]:
        rest = b""
        while data := file.read(_BLOCK):
            cut = data.rfind(b"\n") + 1
            block, rest = rest + data[:cut], data[cut:] if cut else rest + data
            if cut:
                yield from self._block(block[:-1])
        if rest:
            yield from self._block(rest)
        if self._splitter.pending is not None:
            raise _Fault("a parenthesis that is never closed", self._splitter.start)

    def _block(self, block: bytes) -> Iterator[Batch]:
        """The records of whole lines."""
        mixed = _SPECIAL.search(block) is not None
        if not mixed:
            block = _tidy(block)
        number = self._line
        entries: list[Entry] = []
        find, make_name, owner, origin = self._forms.get, self._name, self.owner, self.origin
        for line in block.split(b"\n"):
            number += 1
            written = line
            if not mixed or (self._splitter.pending is None and not _SPECIAL.search(line)):
                if mixed:
                    line = _tidy(line)
                text, _, rest = line.partition(b" ")
                before, _, word = rest.rpartition(b" ")
                try:
                    form = find(before, _NEW)
                    if form is _NEW:
                        form = self._form(before)
                    if form is not None:
                        ttl, rdtype, prefix, make = form
                        if ttl is not None:
                            self.last_ttl = ttl
                        elif self.default_ttl is not None:
                            ttl = self.default_ttl
                        else:
                            ttl = self.last_ttl
                        if text:
                            if b"." in text:
                                owner = make_name(text).lower()
                            else:
                                owner = (_LENGTH[len(text)] + text + origin).lower()
                        if ttl is not None and owner is not None and len(owner) < 256:
                            entries.append((owner, rdtype, ttl, prefix + make(word, make_name), number))
                            continue
                except (OSError, ValueError, IndexError):
                    # What is wrong with the line is said by the careful way.
                    pass
            self._line, self.owner = number, owner
            logical = self._splitter.feed(number, written)
            if logical is None:
                continue
            if logical.words[0][0] == "$" and not logical.blank:
                yield Batch(self.path, entries)
                entries = []
                yield from self._directive(logical.words[0].upper(), logical.words[1:])
                self._line = number
            else:
                entries.append(self._record(logical))
            owner, origin = self.owner, self.origin
        self._line, self.owner = number, owner
        yield Batch(self.path, entries)

    def _form(self, before: bytes) -> _Form | None:
        """What words between owner and last word mean; None for what the careful way reads."""
        if len(self._forms) >= _FORMS:
            self._forms.clear()
        form = None
        words = before.split()
        ttl, at = self._lead([word.decode("ascii") for word in words], 0)
        if at < len(words):
            rdtype = type_number(words[at].decode("ascii"))
            make = last_word(rdtype)
            prefix = fields(rdtype, words[at + 1 :], self._name) if make is not None else None
            if make is not None and prefix is not None:
                form = _Form(ttl, rdtype, prefix, make)
        self._forms[before] = form
        return form

    def _name(self, text: bytes) -> bytes:
        """The wire form of a name without escapes; raises BadName or IndexError."""
        first, dot, rest = text.partition(b".")
        known = self.origin
        if dot:
            found = self._names.get(rest)
            if found is None:
                if len(self._names) >= _NAMES:
                    self._names.clear()
                found = from_text(rest.decode("ascii"), self.origin) if rest else b"\0"
                self._names[rest] = found
            known = found
        wire = _LENGTH[len(first)] + first + known
        if not first or len(wire) > 255:
            if text == b".":
                return b"\0"
            raise BadName(f"{text.decode('ascii')!r} has an empty label or is longer than 255 bytes")
        return wire

    def _directive(self, name: str, words: list[str]) -> Iterator[Batch]:
        if not words:
            raise _Fault(f"{name} says nothing")
        if name == "$ORIGIN":
            self.origin = from_text(words[0], self.origin)
            self._names.clear()
            self._forms.clear()
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

    def _include(self, words: list[str]) -> Iterator[Batch]:
        if self.depth >= _INCLUDES:
            raise _Fault(f"$INCLUDE goes deeper than {_INCLUDES} files")
        path = self.path.parent / words[0].strip('"')
        origin = from_text(words[1], self.origin) if len(words) > 1 else self.origin
        inner = _File(path, origin, self.depth + 1, self.sources)
        inner.owner, inner.default_ttl, inner.last_ttl = self.owner, self.default_ttl, self.last_ttl
        if not path.is_file():
            raise _Fault(f"$INCLUDE {path}: no such file")
        yield from inner.batches()
        self.last_ttl = inner.last_ttl

    def _generate(self, words: list[str]) -> Iterator[Batch]:
        match = _RANGE.fullmatch(words[0])
        if match is None or len(words) < 4:
            raise _Fault("$GENERATE wants START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA")
        start, stop, step = int(match[1]), int(match[2]), int(match[3] or 1)
        if step < 1 or stop < start or (stop - start) // step >= _GENERATED:
            raise _Fault(f"$GENERATE {words[0]} is no range of 1 to {_GENERATED} numbers")
        for first in range(start, stop + 1, step * 1024):
            numbers = range(first, min(stop + 1, first + step * 1024), step)
            lines = (_Line(self._line, False, [_numbered(word, number) for word in words[1:]]) for number in numbers)
            yield Batch(self.path, [self._record(line) for line in lines])

    def _lead(self, words: list[str], at: int) -> tuple[int | None, int]:
        """TTL and class, in either order, each at most once: the TTL, and where the type comes."""
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
        return ttl, at

    def _record(self, line: _Line) -> Entry:
        words = line.words
        if not line.blank:
            self.owner = from_text(words[0], self.origin).lower()
        if self.owner is None:
            raise _Fault("a record without a name, and none before it")
        ttl, at = self._lead(words, 0 if line.blank else 1)
        if at == len(words):
            raise _Fault("a record without a type")
        try:
            rdtype = type_number(words[at])
        except Unknown as unknown:
            raise _Fault(str(unknown)) from None
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
        return self.owner, rdtype, ttl, rdata, line.number

    def _rdata(self, rdtype: int, written: str, words: list[str]) -> bytes:
        try:
            made = whole(rdtype, words, lambda word: from_text(word.decode("utf-8"), self.origin))
        except BadName:
            raise
        except (OSError, ValueError):
            if rdtype in (codes.A, codes.AAAA):
                raise _Fault(f"{words[-1]!r} is no address for {written}") from None
            made = None
        if made is not None:
            return made
        try:
            return rdata_from_text(rdtype, " ".join(words), self.origin)
        except Exception as error:  # what bad text makes of dnspython's parsers is not one family
            reason = " ".join(str(error).split()) or type(error).__name__
            raise _Fault(f"{written} data {' '.join(words)[:80]!r}: {reason}") from None


class _Fault(Exception):
    """Why a line cannot be; ``line`` where it is not the one being read."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


_NEW: Final = _Form(None, 0, b"", lambda word, name: word)


class _Splitter:
    """Lines put together and split into words: comments gone, parentheses joined.

    ``pending`` are the words of a logical line that has not ended, which began at line ``start``.
    """

    def __init__(self) -> None:
        self.pending: list[str] | None = None
        self.start = 0
        self._blank = False
        self._depth = 0

    def feed(self, number: int, line: bytes) -> _Line | None:
        """The logical line that ends with this one, if it says anything."""
        try:
            text = line.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError:
            raise _Fault("is no text in UTF-8", number) from None
        if self.pending is None:
            self.pending, self.start, self._blank, self._depth = [], number, text[:1] in (" ", "\t"), 0
        pending = self.pending
        glued = False
        for match in _TOKEN.finditer(text):
            piece = match[0]
            if piece == ";":
                break
            if piece in "()":
                self._depth += 1 if piece == "(" else -1
                glued = False
                if self._depth < 0:
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
        if self._depth:
            return None
        self.pending = None
        return _Line(self.start, self._blank, pending) if pending else None


def _tidy(text: bytes) -> bytes:
    """Tabs made blanks, and blanks at the end of lines gone."""
    text = text.translate(_TABS)
    if b"\r" in text or b" \n" in text or text[-1:] == b" ":
        text = _LOOSE.sub(b"", text)
    return text


def _ttl(word: str) -> int | None:
    """Seconds from ``3600`` or ``1h30m``; None if it is no TTL (RFC 2308 section 8: at most 2^31 - 1)."""
    if _TTL.fullmatch(word) is None:
        return None
    total = sum(int(count) * _SECONDS[unit.lower()] for count, unit in _TTL_PART.findall(word))
    if total > 0x7FFFFFFF:
        raise _Fault(f"TTL {word} is larger than 2147483647")
    return total


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
