"""FETCH's items.

Implements: RFC 3501 section 6.4.5; RFC 7162 section 3.1.4.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from netsuite.mail.imap.wire.cursor import Cursor, Unparsable
from netsuite.mail.imap.wire.serial import astring
from netsuite.mail.mime.section import Section

__all__ = ["BodyItem", "Item", "fetch"]

_NAME: Final = re.compile(rb"[A-Za-z0-9.]+")
_PATH: Final = re.compile(rb"[1-9]\d{0,5}(?:\.[1-9]\d{0,5})*")
_PARTIAL: Final = re.compile(rb"<(\d{1,10})\.([1-9]\d{0,9})>")
_TEXTS: Final = ("HEADER.FIELDS.NOT", "HEADER.FIELDS", "HEADER", "TEXT", "MIME")
_PLAIN: Final = frozenset(
    ("FLAGS", "UID", "INTERNALDATE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "MODSEQ", "RFC822.SIZE")
)
_MACROS: Final = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
MOST: Final = 200


class BodyItem(NamedTuple):
    r"""BODY[...] and its kin: ``label`` is what the response calls it, ``peek`` leaves \Seen alone."""

    section: Section
    label: bytes
    peek: bool = False
    partial: tuple[int, int] | None = None


Item = str | BodyItem

_OLD: Final = {
    "RFC822": BodyItem(Section(), b"RFC822"),
    "RFC822.HEADER": BodyItem(Section(what="HEADER"), b"RFC822.HEADER", peek=True),
    "RFC822.TEXT": BodyItem(Section(what="TEXT"), b"RFC822.TEXT"),
}


def fetch(cursor: Cursor) -> tuple[tuple[Item, ...], int | None]:
    """The items, each once, and CHANGEDSINCE's modseq or None."""
    items: list[Item] = []
    if cursor.skip(b"("):
        while not cursor.skip(b")"):
            if items:
                cursor.space()
            items.append(_item(cursor))
            if len(items) > MOST:
                raise Unparsable(f"{MOST} items at most expected")
        if not items:
            raise Unparsable("an item expected")
    else:
        found = _NAME.match(cursor.data, cursor.at)
        macro = _MACROS.get(found[0].decode().upper()) if found is not None else None
        if found is not None and macro is not None:
            cursor.at = found.end()
            items.extend(macro)
        else:
            items.append(_item(cursor))
    since = None
    if cursor.skip(b" "):
        cursor.expect(b"(", "a list")
        if cursor.word() != "CHANGEDSINCE":
            raise Unparsable("CHANGEDSINCE expected")
        cursor.space()
        since = cursor.modseq()
        cursor.expect(b")", "the end of a list")
    return tuple(dict.fromkeys(items)), since


def _item(cursor: Cursor) -> Item:
    found = _NAME.match(cursor.data, cursor.at)
    name = found[0].decode().upper() if found is not None else ""
    cursor.at += len(name)
    if name in ("BODY", "BODY.PEEK") and cursor.skip(b"["):
        return _body(cursor, name == "BODY.PEEK")
    if name in _PLAIN:
        return name
    old = _OLD.get(name)
    if old is None:
        raise Unparsable("an item to fetch expected")
    return old


def _body(cursor: Cursor, peek: bool) -> BodyItem:
    path: tuple[int, ...] = ()
    label = b"BODY["
    found = _PATH.match(cursor.data, cursor.at)
    if found is not None:
        cursor.at = found.end()
        path = tuple(int(number) for number in found[0].split(b"."))
        label += found[0]
    what = ""
    if found is None or cursor.skip(b"."):
        rest = cursor.data[cursor.at : cursor.at + 20].upper()
        what = next((text for text in _TEXTS if rest.startswith(text.encode())), "")
        cursor.at += len(what)
        if (found is not None and not what) or (what == "MIME" and not path):
            raise Unparsable("a section expected")
        label += (b"." if path else b"") + what.encode()
    names: list[bytes] = []
    if what.startswith("HEADER.FIELDS"):
        cursor.space()
        cursor.expect(b"(", "a list of fields")
        while not cursor.skip(b")"):
            if names:
                cursor.space()
            names.append(cursor.astring())
        if not names:
            raise Unparsable("a field's name expected")
        label += b" (" + b" ".join(astring(name) for name in names) + b")"
    cursor.expect(b"]", "the end of a section")
    label += b"]"
    partial = None
    if cursor.peek(b"<"):
        found = _PARTIAL.match(cursor.data, cursor.at)
        if found is None:
            raise Unparsable("<first.count> expected")
        cursor.at = found.end()
        partial = (int(found[1]), int(found[2]))
        label += b"<%d>" % partial[0]
    return BodyItem(Section(path, what, frozenset(name.lower() for name in names)), label, peek, partial)
