"""Structured Fields: HTTP fields that are items, lists or dictionaries of typed values, read strictly and written.

Types in Python: Integer ``int``, Decimal :class:`decimal.Decimal`, String ``str``, Token :class:`Token`, Byte Sequence
``bytes``, Boolean ``bool``, Date :class:`Date`, Display String :class:`DisplayString`. An item has parameters, and
dictionaries and parameters keep their order. A field of several lines is to be joined by commas first.

The readers answer None for whatever is malformed, as a whole, which is what the RFC asks for: nothing is guessed.
The writers raise ValueError for what cannot be written.

Implements: RFC 9651 sections 3, 4
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

__all__ = [
    "NO_PARAMETERS",
    "Bare",
    "Date",
    "DisplayString",
    "InnerList",
    "Item",
    "Member",
    "Token",
    "item",
    "parse_dictionary",
    "parse_item",
    "parse_list",
    "serialise_dictionary",
    "serialise_item",
    "serialise_list",
]


class Token(str):
    """A short word that is not quoted."""

    __slots__ = ()


class DisplayString(str):
    """Text for people: any Unicode."""

    __slots__ = ()


class Date(int):
    """A moment, in seconds since the epoch."""

    __slots__ = ()


Bare = int | Decimal | str | bytes
"""A value without its parameters; bool, Token, DisplayString and Date are among these."""

Parameters = Mapping[str, Bare]

NO_PARAMETERS: Final[Parameters] = {}


class Item(NamedTuple):
    """A value and its parameters."""

    value: Bare
    parameters: Parameters = NO_PARAMETERS


class InnerList(NamedTuple):
    """A list within a list or dictionary."""

    items: tuple[Item, ...]
    parameters: Parameters = NO_PARAMETERS


Member = Item | InnerList


def item(value: Bare, **parameters: Bare) -> Item:
    """An item; underscores in the names of parameters stand for hyphens."""
    return Item(value, {name.replace("_", "-"): content for name, content in parameters.items()})


_KEY: Final = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]*))?")
_STRING: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):")
_DISPLAY: Final = re.compile(r'%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"')
_PLAIN_MEMBER: Final = re.compile(
    r"([a-z*][a-z0-9_\-.*]*)"
    r"(?:=(?:(-?[0-9]{1,15})|([A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*)))?"
    r"[ \t]*(?:(,)[ \t]*|\Z)"
)
"""A member of a dictionary as most are: a key alone, or with an integer or a token; with the comma behind it."""

_SPACES: Final = re.compile(r" *")
_WHITE: Final = re.compile(r"[ \t]*")
_LARGEST: Final = 999_999_999_999_999
_THOUSANDTH: Final = Decimal("0.001")


_TRUE: Final = Item(True)


class _Malformed(ValueError):
    """The field is to be ignored."""


class _Reader:
    """A field value and how far it is read."""

    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, white: re.Pattern[str]) -> None:
        found = white.match(self.text, self.at)
        self.at = found.end() if found is not None else self.at

    def take(self, form: re.Pattern[str]) -> re.Match[str]:
        found = form.match(self.text, self.at)
        if found is None:
            raise _Malformed
        self.at = found.end()
        return found

    def key(self) -> str:
        return self.take(_KEY)[0]

    def bare(self) -> Bare:
        first = self.peek()
        if first == '"':
            content = self.take(_STRING)[1]
            return _ESCAPED.sub(r"\1", content) if "\\" in content else content
        if first == "?":
            self.at += 2
            truth = self.text[self.at - 1 : self.at]
            if truth not in ("0", "1"):
                raise _Malformed
            return truth == "1"
        if first == ":":
            try:
                return base64.b64decode(_padded(self.take(_BYTES)[1]), validate=True)
            except binascii.Error:
                raise _Malformed from None
        if first == "@":
            self.at += 1
            moment = self.number()
            if isinstance(moment, Decimal):
                raise _Malformed
            return Date(moment)
        if first == "%":
            try:
                return DisplayString(unquote_to_bytes(self.take(_DISPLAY)[1]).decode("utf-8"))
            except UnicodeDecodeError:
                raise _Malformed from None
        if first == "-" or first.isdigit():
            return self.number()
        return Token(self.take(_TOKEN)[0])

    def number(self) -> int | Decimal:
        found = self.take(_NUMBER)
        sign, whole, fraction = found.groups()
        if fraction is None:
            if len(whole) > 15:
                raise _Malformed
            return int(sign + whole)
        if len(whole) > 12 or not 1 <= len(fraction) <= 3:
            raise _Malformed
        return Decimal(f"{sign}{whole}.{fraction}")

    def parameters(self) -> Parameters:
        if self.peek() != ";":
            return NO_PARAMETERS
        found: dict[str, Bare] = {}
        while self.peek() == ";":
            self.at += 1
            self.skip(_SPACES)
            name = self.key()
            value: Bare = True
            if self.peek() == "=":
                self.at += 1
                value = self.bare()
            found[name] = value
        return found

    def item(self) -> Item:
        value = self.bare()
        return Item(value, self.parameters())

    def member(self) -> Member:
        if self.peek() != "(":
            return self.item()
        self.at += 1
        items: list[Item] = []
        while True:
            self.skip(_SPACES)
            if self.peek() == ")":
                self.at += 1
                return InnerList(tuple(items), self.parameters())
            items.append(self.item())
            if self.peek() not in (" ", ")"):
                raise _Malformed

    def next_member(self) -> bool:
        """Pass over a comma; whether another member follows."""
        self.skip(_WHITE)
        if self.at == len(self.text):
            return False
        if self.peek() != ",":
            raise _Malformed
        self.at += 1
        self.skip(_WHITE)
        if self.at == len(self.text):
            raise _Malformed
        return True


def _list(reader: _Reader) -> list[Member]:
    found: list[Member] = []
    if reader.at < len(reader.text):
        found.append(reader.member())
        while reader.next_member():
            found.append(reader.member())
    return found


def _dictionary(reader: _Reader) -> dict[str, Member]:
    found: dict[str, Member] = {}
    text, more = reader.text, reader.at < len(reader.text)
    while more:
        plain = _PLAIN_MEMBER.match(text, reader.at)
        if plain is not None:
            name, number, token, comma = plain.groups()
            found[name] = (
                _TRUE if number is None and token is None else Item(Token(token) if number is None else int(number))
            )
            reader.at = plain.end()
            more = comma is not None
            if more and reader.at == len(text):
                raise _Malformed
            continue
        name = reader.key()
        if reader.peek() == "=":
            reader.at += 1
            value = reader.member()
        else:
            value = Item(True, reader.parameters())
        found[name] = value
        more = reader.next_member()
    return found


_Whole = TypeVar("_Whole")


def _read(value: bytes, read: Callable[[_Reader], _Whole]) -> _Whole | None:
    try:
        reader = _Reader(value.decode("ascii"))
        reader.skip(_SPACES)
        found = read(reader)
        reader.skip(_SPACES)
    except (UnicodeDecodeError, _Malformed):
        return None
    return found if reader.at == len(reader.text) else None


def parse_item(value: bytes) -> Item | None:
    """A field that is one item."""
    return _read(value, _Reader.item)


def parse_list(value: bytes) -> list[Member] | None:
    """A field that is a list; an empty field is an empty one."""
    return _read(value, _list)


def parse_dictionary(value: bytes) -> dict[str, Member] | None:
    """A field that is a dictionary; an empty field is an empty one. Of a key that repeats the last value counts."""
    return _read(value, _dictionary)


def serialise_item(found: Item) -> bytes:
    """An item as a field's value."""
    return _item(found).encode("ascii")


def serialise_list(members: Sequence[Member]) -> bytes:
    """A list as a field's value; an empty one is a field that is not to be sent."""
    return ", ".join(map(_member, members)).encode("ascii")


def serialise_dictionary(members: Mapping[str, Member]) -> bytes:
    """A dictionary as a field's value; an empty one is a field that is not to be sent."""
    parts = []
    for name, found in members.items():
        if isinstance(found, Item) and found.value is True:
            parts.append(_key(name) + _parameters(found.parameters))
        else:
            parts.append(f"{_key(name)}={_member(found)}")
    return ", ".join(parts).encode("ascii")


def _member(found: Member) -> str:
    if isinstance(found, InnerList):
        return f"({' '.join(map(_item, found.items))}){_parameters(found.parameters)}"
    return _item(found)


def _item(found: Item) -> str:
    return _bare(found.value) + _parameters(found.parameters)


def _parameters(parameters: Parameters) -> str:
    return "".join(
        f";{_key(name)}" if value is True else f";{_key(name)}={_bare(value)}" for name, value in parameters.items()
    )


def _key(name: str) -> str:
    if _KEY.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no key")
    return name


def _bare(value: Bare) -> str:
    if isinstance(value, bool):
        return "?1" if value else "?0"
    if isinstance(value, int):
        if not -_LARGEST <= value <= _LARGEST:
            raise ValueError(f"{value} has more than 15 digits")
        return f"@{int(value)}" if isinstance(value, Date) else str(int(value))
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, bytes):
        return f":{base64.b64encode(value).decode('ascii')}:"
    if isinstance(value, Token):
        if _TOKEN.fullmatch(value) is None:
            raise ValueError(f"{str(value)!r} is no token")
        return str(value)
    if isinstance(value, DisplayString):
        return f'%"{"".join(map(_displayed, value.encode("utf-8")))}"'
    if isinstance(value, str):
        if not (value.isascii() and (value.isprintable() or not value)):
            raise ValueError(f"{value!r} holds more than printable ASCII")
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    raise ValueError(f"{value!r} is of no type that a field can hold")


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is no number")
    rounded = value.quantize(_THOUSANDTH, ROUND_HALF_EVEN)
    if abs(rounded) >= 10**12:
        raise ValueError(f"{value} has more than 12 digits before its point")
    text = f"{rounded:f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def _displayed(octet: int) -> str:
    return chr(octet) if 0x20 <= octet <= 0x7E and octet not in b'%"' else f"%{octet:02x}"


def _padded(encoded: str) -> str:
    """Base64 whose padding was left out is taken as well (section 4.2.7)."""
    bare = encoded.rstrip("=")
    return bare + "=" * (-len(bare) % 4)
