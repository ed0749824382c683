"""SEARCH's keys, as a tree of tuples.

A key is ``("and", keys)``, ``("or", key, key)``, ``("not", key)``, ``("all",)``, ``("set", ranges)``,
``("uid", ranges)``, ``("flag", flag)``, ``("recent",)``, ``("before" | "on" | "since", day)`` (by internal date),
``("sentbefore" | "senton" | "sentsince", day)``, ``("larger" | "smaller", size)``, ``("header", name, text)``,
``("body" | "text", text)``, or ``("modseq", value)``.

Implements: RFC 3501 section 6.4.4; RFC 4731 section 3.1; RFC 7162 section 3.1.5.
"""

from __future__ import annotations

from typing import Any, Final

from netsuite.mail.imap.wire.cursor import Cursor, Unparsable

__all__ = ["Key", "search"]

Key = tuple[Any, ...]

DEEPEST: Final = 100
_FLAGS: Final = {
    "ANSWERED": "\\Answered",
    "DELETED": "\\Deleted",
    "DRAFT": "\\Draft",
    "FLAGGED": "\\Flagged",
    "SEEN": "\\Seen",
}
_HEADERS: Final = {"BCC": b"bcc", "CC": b"cc", "FROM": b"from", "SUBJECT": b"subject", "TO": b"to"}
_DATES: Final = frozenset(("BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"))
_RETURNS: Final = frozenset(("MIN", "MAX", "ALL", "COUNT"))


def search(cursor: Cursor) -> tuple[tuple[str, ...] | None, bytes | None, Key]:
    """RETURN's options (None without RETURN), the charset or None, and one key for all; texts are bytes as sent."""
    returns: tuple[str, ...] | None = None
    charset = None
    if cursor.data[cursor.at : cursor.at + 8].upper() == b"RETURN (":
        cursor.at += 7
        words = cursor.words()
        if set(words) - _RETURNS:
            raise Unparsable("MIN, MAX, ALL or COUNT expected")
        returns = tuple(words) or ("ALL",)
        cursor.space()
    if cursor.data[cursor.at : cursor.at + 8].upper() == b"CHARSET ":
        cursor.at += 8
        charset = cursor.astring()
        cursor.space()
    keys = [_key(cursor, 0)]
    while cursor.left:
        cursor.space()
        keys.append(_key(cursor, 0))
    return returns, charset, keys[0] if len(keys) == 1 else ("and", tuple(keys))


def _key(cursor: Cursor, depth: int) -> Key:
    if depth > DEEPEST:
        raise Unparsable(f"keys at most {DEEPEST} deep expected")
    if cursor.skip(b"("):
        keys = [_key(cursor, depth + 1)]
        while not cursor.skip(b")"):
            cursor.space()
            keys.append(_key(cursor, depth + 1))
        return ("and", tuple(keys))
    if cursor.at_set():
        return ("set", cursor.ranges())
    word = cursor.word()
    flag = _FLAGS.get(word)
    if flag is not None:
        return ("flag", flag)
    flag = _FLAGS.get(word.removeprefix("UN"))
    if flag is not None:
        return ("not", ("flag", flag))
    simple = _SIMPLE.get(word)
    if simple is not None:
        return simple
    if word not in _WITH_ARGUMENTS:
        raise Unparsable("a search key expected")
    cursor.space()
    if word in _HEADERS:
        return ("header", _HEADERS[word], cursor.astring())
    if word in _DATES:
        return (word.lower(), cursor.date())
    if word in ("BODY", "TEXT"):
        return (word.lower(), cursor.astring())
    if word in ("LARGER", "SMALLER"):
        return (word.lower(), cursor.number())
    if word == "HEADER":
        name = cursor.astring().lower()
        cursor.space()
        return ("header", name, cursor.astring())
    if word == "KEYWORD":
        return ("flag", cursor.flag())
    if word == "UNKEYWORD":
        return ("not", ("flag", cursor.flag()))
    if word == "NOT":
        return ("not", _key(cursor, depth + 1))
    if word == "UID":
        return ("uid", cursor.ranges())
    if word == "MODSEQ":
        if cursor.peek(b'"'):
            cursor.string()
            cursor.space()
            cursor.word()
            cursor.space()
        return ("modseq", cursor.modseq())
    one = _key(cursor, depth + 1)
    cursor.space()
    return ("or", one, _key(cursor, depth + 1))


_SIMPLE: Final[dict[str, Key]] = {
    "ALL": ("all",),
    "RECENT": ("recent",),
    "OLD": ("not", ("recent",)),
    "NEW": ("and", (("recent",), ("not", ("flag", "\\Seen")))),
}
_WITH_ARGUMENTS: Final = frozenset(
    (
        *_HEADERS,
        *_DATES,
        "BODY",
        "TEXT",
        "LARGER",
        "SMALLER",
        "HEADER",
        "KEYWORD",
        "UNKEYWORD",
        "NOT",
        "UID",
        "MODSEQ",
        "OR",
    )
)
