"""Address lists as ENVELOPE shows them, from whatever a From or To field says.

Tolerant: every input yields addresses, and text that is none becomes a mailbox without host.

Implements: RFC 5322 sections 3.2 and 3.4, 4.4 (obsolete routes); RFC 3501 section 7.4.2 (ENVELOPE's addresses).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Address", "addresses", "without_comments"]

LONGEST: Final = 1 << 16
"""Bytes of a field that are looked at."""
_LITERAL: Final = re.compile(
    rb"\"((?:[^\"\\]|\\.)*)(?:\"|\Z)|(\[[^\]]*\]?)|([^\s\"()<>\[\]:;@\\,.]+)|([\s]+)|(.)", re.S
)
_QUOTED: Final = re.compile(rb"\\(.)", re.S)
_UNUSUAL: Final = re.compile(rb"[()\\:;\[\]]")
_USUAL: Final = re.compile(rb"(?:\"([^\"]*)\"\s*|([^<>@\"]*))<([^<>@\s\"]+)@([^<>@\s\"]+)>|([^<>@\s\"]+)@([^<>@\s\"]+)")
_COMMENT: Final = re.compile(rb"[()\"\\]")


class Address(NamedTuple):
    """Display name, route, mailbox and host; a group starts with host None and ends with mailbox None as well."""

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


class _Token(NamedTuple):
    kind: str  # "word", "quoted", "comment" or the special itself
    text: bytes
    spaced: bool  # white space stood before it


def _tokens(value: bytes) -> list[_Token]:
    made: list[_Token] = []
    at, spaced = 0, False
    while at < len(value):
        if value[at] == 0x28:
            end = _comment_end(value, at)
            text = value[at + 1 : end].removesuffix(b")")
            made.append(_Token("comment", _QUOTED.sub(rb"\1", text).strip(), spaced))
            at, spaced = end, True
            continue
        found = _LITERAL.match(value, at)
        if found is None:
            break
        at = found.end()
        if found[4] is not None:
            spaced = True
            continue
        if found[1] is not None:
            made.append(_Token("quoted", _QUOTED.sub(rb"\1", found[1]), spaced))
        elif found[2] is not None or found[3] is not None:
            made.append(_Token("word", found[0], spaced))
        else:
            made.append(_Token(found[0].decode("latin-1"), found[0], spaced))
        spaced = False
    return made


def _comment_end(value: bytes, at: int) -> int:
    """Behind the comment that starts at an offset, comments within it included; the end if it never closes."""
    depth, at = 1, at + 1
    while depth:
        found = _COMMENT.search(value, at)
        if found is None:
            return len(value)
        at = found.end()
        sign = found[0]
        if sign == b"\\":
            at += 1
        elif sign == b"(":
            depth += 1
        elif sign == b")":
            depth -= 1
    return at


def without_comments(value: bytes) -> bytes:
    """The value with its comments cut out; quoted strings stay."""
    if b"(" not in value:
        return value
    kept: list[bytes] = []
    at = start = 0
    quoted = False
    while found := _COMMENT.search(value, at):
        at = found.end()
        if found[0] == b"\\":
            at += 1
        elif found[0] == b'"':
            quoted = not quoted
        elif found[0] == b"(" and not quoted:
            kept.append(value[start : at - 1])
            at = start = _comment_end(value, at - 1)
    kept.append(value[start:])
    return b" ".join(kept)


def addresses(value: bytes) -> tuple[Address, ...]:
    """All addresses of a list, groups marked as ENVELOPE marks them."""
    value = value[:LONGEST]
    return _usual(value) or _parsed(value)


def _usual(value: bytes) -> tuple[Address, ...] | None:
    """The addresses of a list in which nothing is unusual, quickly; None for any other."""
    if _UNUSUAL.search(value) is not None:
        return None
    made: list[Address] = []
    for piece in value.split(b","):
        found = _USUAL.fullmatch(piece.strip())
        if found is None:
            return None
        quoted, words, local, host, bare, bare_host = found.groups()
        name = quoted or (b" ".join(words.split()) if words else None)
        made.append(Address(name or None, None, local or bare, host or bare_host))
    return tuple(made)


def _parsed(value: bytes) -> tuple[Address, ...]:
    made: list[Address] = []
    waiting: list[_Token] = []
    tokens = _tokens(value)
    group = False
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token.kind == ",":
            _bare(waiting, made)
        elif token.kind == ";":
            _bare(waiting, made)
            if group:
                made.append(Address(None, None, None, None))
            group = False
        elif token.kind == ":" and not group:
            made.append(Address(None, None, _phrase(waiting) or b"", None))
            waiting = []
            group = True
        elif token.kind == "<":
            close = next((i for i in range(at, len(tokens)) if tokens[i].kind == ">"), len(tokens))
            made.append(_angled(waiting, tokens[at:close]))
            at = close + 1
            waiting = []
            while at < len(tokens) and tokens[at].kind not in (",", ";"):
                if tokens[at].kind == "comment" and made[-1].name is None:
                    made[-1] = made[-1]._replace(name=tokens[at].text)
                at += 1
        else:
            waiting.append(token)
    _bare(waiting, made)
    if group:
        made.append(Address(None, None, None, None))
    return tuple(made)


def _phrase(tokens: list[_Token]) -> bytes | None:
    """Words with one space where there was white space between them."""
    made: list[bytes] = []
    for token in tokens:
        if token.kind != "comment":
            made += (b" ", token.text) if made and token.spaced else (token.text,)
    return b"".join(made) or None


def _joined(tokens: list[_Token]) -> bytes:
    return b"".join(token.text for token in tokens if token.kind != "comment")


def _split(tokens: list[_Token]) -> tuple[bytes, bytes]:
    """Local part and host; the last ``@`` counts."""
    for at in range(len(tokens) - 1, -1, -1):
        if tokens[at].kind == "@":
            return _joined(tokens[:at]), _joined(tokens[at + 1 :])
    return _joined(tokens), b""


def _angled(before: list[_Token], inside: list[_Token]) -> Address:
    name = _phrase(before)
    if name is None:
        name = next((token.text for token in before if token.kind == "comment"), None)
    route = None
    if inside and inside[0].kind == "@":
        colon = next((i for i, token in enumerate(inside) if token.kind == ":"), None)
        if colon is not None:
            route, inside = _joined(inside[:colon]), inside[colon + 1 :]
    return Address(name, route, *_split(inside))


def _bare(waiting: list[_Token], made: list[Address]) -> None:
    """An address without angle brackets; a comment beside it is its name."""
    if any(token.kind != "comment" for token in waiting):
        name = next((token.text for token in waiting if token.kind == "comment"), None)
        if any(token.kind == "@" for token in waiting):
            made.append(Address(name, None, *_split(waiting)))
        else:
            made.append(Address(name, None, _phrase(waiting), b""))
    waiting.clear()
