"""The syntax of header fields: tokens, quoted strings, lists, parameters, directives, entity tags.

Everything is bytes, and nothing raises: what is malformed is read in the way that hides least, so that no stray quote
makes a ``no-store`` behind it invisible. All of it is linear in the length of the value.

Implements: RFC 9110 sections 5.5, 5.6.1-5.6.6, 8.8.3; RFC 9111 section 5.2
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["directives", "entity_tags", "is_field_value", "is_token", "parameters", "quote", "split_list", "unquote"]

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_QUOTED: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_UNQUOTED_COMMA: Final = re.compile(rb'[",]')
_UNQUOTED_SEMICOLON: Final = re.compile(rb'[";]')
_ENTITY_TAG: Final = re.compile(rb'[\t ,]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[\t ]*(?=,|\Z)')
_WHITE: Final = b"\t "


def is_token(value: bytes) -> bool:
    """Whether this is a token: a method, a field name ..."""
    return _TOKEN.fullmatch(value) is not None


def is_field_value(value: bytes) -> bool:
    """Whether this may be written as a field's value: no line breaks, no controls, no white space around it."""
    return _FIELD_VALUE.fullmatch(value) is not None


def quote(value: bytes) -> bytes:
    """A quoted string with this content."""
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def unquote(value: bytes) -> bytes:
    """The content of a quoted string; anything else as it is."""
    if len(value) >= 2 and value[:1] == b'"' and _QUOTED.fullmatch(value):
        value = value[1:-1]
        return _ESCAPED.sub(rb"\1", value) if b"\\" in value else value
    return value


def split_list(value: bytes) -> list[bytes]:
    """The elements of a comma-separated list, white space and empty elements removed; quoted commas do not split."""
    return [element for part in _split(value, b",", _UNQUOTED_COMMA) if (element := part.strip(_WHITE))]


def parameters(value: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """What stands before the first semicolon, and the parameters after it: names in lower case, values unquoted.

    Parameters without a name or an equals sign are dropped; ``charset = x``, with spaces, is illegal and dropped too.
    """
    head, *rest = _split(value, b";", _UNQUOTED_SEMICOLON)
    found = [
        (name.lower(), unquote(content))
        for name, equals, content in (part.strip(_WHITE).partition(b"=") for part in rest)
        if equals and is_token(name)
    ]
    return head.strip(_WHITE), found


def directives(value: bytes) -> list[tuple[bytes, bytes | None]]:
    """Cache-Control and its like: names in lower case, values unquoted or None; elements without a name are dropped.

    A value that is neither a token nor a quoted string is kept as it is, for the caller to find fault with.
    """
    found: list[tuple[bytes, bytes | None]] = []
    for element in split_list(value):
        name, equals, content = element.partition(b"=")
        name = name.rstrip(_WHITE)
        if is_token(name):
            found.append((name.lower(), unquote(content) if equals else None))
    return found


def entity_tags(value: bytes) -> list[bytes] | None:
    """The entity tags of If-Match and If-None-Match, as written (``W/`` included); None if the value is malformed.

    A backslash in an entity tag is an ordinary character, so :func:`split_list` would not do. ``*`` is malformed here.
    """
    found: list[bytes] = []
    at = 0
    while match := _ENTITY_TAG.match(value, at):
        found.append(match[1])
        at = match.end()
    if not found or value[at:].strip(b"\t ,"):
        return None
    return found


def _split(value: bytes, separator: bytes, special: re.Pattern[bytes]) -> Iterable[bytes]:
    """Cut at separators outside quoted strings; from a quote that is never closed on, at every separator."""
    if b'"' not in value:
        return value.split(separator)
    parts: list[bytes] = []
    start = at = 0
    while found := special.search(value, at):
        if found[0] == separator:
            parts.append(value[start : found.start()])
            start = at = found.end()
        elif quoted := _QUOTED.match(value, found.start()):
            at = quoted.end()
        else:
            parts.extend(value[start:].split(separator))
            return parts
    parts.append(value[start:])
    return parts
