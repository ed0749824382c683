"""Bencoding: byte strings, integers, lists and dictionaries as bytes and back.

A value is ``bytes``, ``int``, ``list`` or :class:`Dictionary`, nothing else. Reading is strict unless a caller asks
for the leniency that torrent files in the wild need; writing always gives the one canonical form, so what was read
strictly is written back byte for byte. A dictionary remembers which bytes it was read from, because an info-hash is
the hash of exactly those.

Implements: BEP 3 (bencoding), BEP 52 (its rule that only the canonical form is valid).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

__all__ = ["BencodeError", "Dictionary", "Value", "decode", "decode_first", "encode"]

DEEPEST: Final = 100
"""How many lists and dictionaries may stand in one another."""
MOST: Final = 3_000_000
"""How many values one text may hold, keys included: a bound on the memory that a small hostile text can cost."""

_LARGEST: Final = 2**63 - 1
_MOST_DIGITS: Final = 20
_LONGEST_NUMBER: Final = len("i-") + _MOST_DIGITS + len("e")
_NO_KEY: Final = object()

Value: TypeAlias = "bytes | int | list[Any] | dict[bytes, Any]"


class BencodeError(ValueError):
    """The bytes are no bencoding, or exceed a limit; the text says what is wrong and at which byte."""


class Dictionary(dict[bytes, Any]):
    """A dictionary that was read, and the half-open range of bytes, ``start`` to ``end``, that it was read from."""

    __slots__ = ("end", "start")

    start: int
    end: int


def decode(data: bytes, *, strict: bool = True, deepest: int = DEEPEST, most: int = MOST) -> Value:
    """The one value in ``data``; raises BencodeError.

    Strict means: keys in order and each once, numbers in their shortest form and of 64 bits, nothing behind the
    value. Otherwise the first of equal keys counts, and what follows the value is left alone.
    """
    value, end = decode_first(data, strict=strict, deepest=deepest, most=most)
    if strict and end != len(data):
        raise BencodeError(f"{len(data) - end} bytes too many from byte {end} on")
    return value


def decode_first(data: bytes, *, strict: bool = True, deepest: int = DEEPEST, most: int = MOST) -> tuple[Value, int]:
    """The value that ``data`` begins with, and where it ends: for messages that go on with something else (BEP 9)."""
    size = len(data)
    at = 0
    left = most
    root: list[Any] = []
    stack: list[Any] = [root]
    keys: list[Any] = [_NO_KEY]
    while True:
        if at >= size:
            raise BencodeError(f"the text ends too soon, at byte {size}")
        if not left:
            raise BencodeError(f"more than {most} values")
        left -= 1
        into = stack[-1]
        mark = data[at]
        value: Any
        if 0x30 <= mark <= 0x39:
            begin = data.find(b":", at, at + _LONGEST_NUMBER) + 1
            if not begin:
                raise BencodeError(f"no colon behind the length at byte {at}")
            length = _number(data, at, begin - 1, strict)
            at = begin + length
            if at > size:
                raise BencodeError(f"the string at byte {begin} is longer than what is there")
            value = data[begin:at]
            if type(into) is Dictionary and keys[-1] is _NO_KEY:
                if value in into:
                    if strict:
                        raise BencodeError(f"the key at byte {begin} is there twice")
                elif strict and into and value < next(reversed(into)):
                    raise BencodeError(f"the key at byte {begin} is not in order")
                keys[-1] = value
                continue
        elif mark == 0x65:
            if len(stack) == 1:
                raise BencodeError(f"nothing that could end stands before byte {at}")
            if keys[-1] is not _NO_KEY:
                raise BencodeError(f"a key has no value at byte {at}")
            at += 1
            value = stack.pop()
            keys.pop()
            if type(value) is Dictionary:
                value.end = at
            into = stack[-1]
        elif type(into) is Dictionary and keys[-1] is _NO_KEY:
            raise BencodeError(f"a key must be a string, at byte {at}")
        elif mark == 0x69:
            end = data.find(b"e", at, at + _LONGEST_NUMBER)
            if end < 0:
                raise BencodeError(f"the number at byte {at} has no end")
            value = _number(data, at + 1, end, strict)
            at = end + 1
        elif mark in b"ld":
            if len(stack) > deepest:
                raise BencodeError(f"nested deeper than {deepest} at byte {at}")
            if mark == 0x64:
                opened: Any = Dictionary()
                opened.start = at
            else:
                opened = []
            stack.append(opened)
            keys.append(_NO_KEY)
            at += 1
            continue
        else:
            raise BencodeError(f"no value begins like byte {at}")
        if type(into) is Dictionary:
            into.setdefault(keys[-1], value)
            keys[-1] = _NO_KEY
        else:
            into.append(value)
            if into is root:
                return value, at


def _number(data: bytes, start: int, end: int, strict: bool) -> int:
    """A decimal number of 64 bits; a length has had its first digit looked at, and so has no sign."""
    text = data[start:end]
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise BencodeError(f"no number at byte {start}")
    if strict and (digits[0] == 0x30 and len(text) > 1):
        raise BencodeError(f"the number at byte {start} is not in its shortest form")
    value = int(text)
    if strict and not -_LARGEST - 1 <= value <= _LARGEST:
        raise BencodeError(f"the number at byte {start} has more than 64 bits")
    return value


def encode(value: object) -> bytes:
    """A value's canonical form; ``str`` is written as UTF-8, tuples as lists. Raises TypeError for what has none."""
    out: list[bytes] = []
    _write(value, out)
    return b"".join(out)


def _write(value: object, out: list[bytes]) -> None:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        out += (b"%d:" % len(value), bytes(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        out.append(b"i%de" % value)
    elif isinstance(value, list | tuple):
        out.append(b"l")
        for each in value:
            _write(each, out)
        out.append(b"e")
    elif isinstance(value, Mapping):
        out.append(b"d")
        keys = {key.encode() if isinstance(key, str) else key: key for key in value}
        if len(keys) < len(value) or not all(isinstance(key, bytes) for key in keys):
            raise TypeError("the keys of a dictionary are strings, each once")
        for key in sorted(keys):
            out += (b"%d:" % len(key), key)
            _write(value[keys[key]], out)
        out.append(b"e")
    else:
        raise TypeError(f"{type(value).__name__} has no bencoding")
