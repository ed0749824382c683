"""SEARCH: a tree of keys becomes a test of one message, cheap keys first.

Texts are compared without regard to case, headers by their decoded words, bodies by their decoded text parts
(RFC 3501 section 6.4.4). Only a key about texts reads messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from netsuite.mail.imap.view import View
from netsuite.mail.imap.wire.searching import Key
from netsuite.mail.mime import Part, scan
from netsuite.mail.mime.header import first, unfolded
from netsuite.mail.mime.words import body_texts, decoded_words, folded
from netsuite.mail.store import Entry, NoSuchMessage

__all__ = ["Search", "modseq_asked"]

STRIDE: Final = 1024
"""Messages that are judged by their entries alone before others may have their turn."""
_TEXTUAL: Final = frozenset(("header", "body", "text", "sentbefore", "senton", "sentsince"))


class _Text(NamedTuple):
    """A message that has been read."""

    data: bytes
    root: Part


def modseq_asked(key: Key) -> bool:
    """Whether a key is about modseqs (RFC 7162 section 3.1.5)."""
    return key[0] == "modseq" or any(modseq_asked(each) for each in _inner(key))


def _inner(key: Key) -> Sequence[Key]:
    if key[0] == "and":
        inner: Sequence[Key] = key[1]
        return inner
    return key[1:] if key[0] in ("or", "not") else ()


def _textual(key: Key) -> bool:
    return key[0] in _TEXTUAL or any(_textual(each) for each in _inner(key))


class Search:
    """One search in one view; ``charset`` decodes its texts. Raises NoSuchNumber, UnicodeDecodeError."""

    def __init__(self, view: View, key: Key, charset: str) -> None:
        self._view = view
        self._charset = charset
        self._key = self._prepared(key)

    async def run(self, breathe: Callable[[], Awaitable[None] | None]) -> list[tuple[int, Entry]]:
        """The messages that match, in order."""
        view = self._view
        found = []
        for number, entry in view.entries(range(len(view.uids))):
            if not number % STRIDE:
                wait = breathe()
                if wait is not None:
                    await wait
            verdict = self._judge(self._key, number, entry, None)
            if verdict is None:
                try:
                    data = await view.mailbox.read(entry.uid)
                    text = _Text(data, await view.mailbox.parsed(entry.uid, scan))
                except NoSuchMessage:
                    continue
                verdict = self._judge(self._key, number, entry, text)
                wait = breathe()
                if wait is not None:
                    await wait
            if verdict:
                found.append((number, entry))
        return found

    def _prepared(self, key: Key) -> Key:
        """The key with its sets resolved, texts decoded, and what is cheap first."""
        kind = key[0]
        if kind == "and":
            return ("and", tuple(sorted((self._prepared(each) for each in key[1]), key=_textual)))
        if kind in ("or", "not"):
            return (kind, *(self._prepared(each) for each in key[1:]))
        if kind in ("set", "uid"):
            return ("places", frozenset(self._view.resolve(key[1], uid=kind == "uid")))
        if kind == "header":
            return ("header", key[1], folded(key[2].decode(self._charset)))
        if kind in ("body", "text"):
            return (kind, folded(key[1].decode(self._charset)))
        if kind == "flag" and key[1].startswith("\\"):
            return ("flag", key[1])
        return key

    def _judge(self, key: Key, number: int, entry: Entry, text: _Text | None) -> bool | None:
        """Whether a message matches; None if that cannot be said without its text."""
        kind = key[0]
        if kind == "and":
            unsure = False
            for each in key[1]:
                verdict = self._judge(each, number, entry, text)
                if verdict is False:
                    return False
                unsure = unsure or verdict is None
            return None if unsure else True
        if kind == "or":
            one = self._judge(key[1], number, entry, text)
            if one:
                return True
            other = self._judge(key[2], number, entry, text)
            return True if other else None if one is None or other is None else False
        if kind == "not":
            verdict = self._judge(key[1], number, entry, text)
            return None if verdict is None else not verdict
        if kind in _TEXTUAL:
            return None if text is None else _matches(key, text)
        return self._simple(key, number, entry)

    def _simple(self, key: Key, number: int, entry: Entry) -> bool:
        kind: str = key[0]
        value: Any = key[1] if len(key) > 1 else None
        if kind == "flag":
            return value in entry.flags
        if kind == "places":
            return number - 1 in value
        if kind == "all":
            return True
        if kind == "recent":
            return entry.uid in self._view.recent
        if kind == "larger":
            return bool(entry.size > value)
        if kind == "smaller":
            return bool(entry.size < value)
        if kind == "modseq":
            return bool(entry.modseq >= value)
        return _compared(kind, entry.internaldate // 86400, value)


def _compared(kind: str, day: int, wanted: int) -> bool:
    if kind.endswith("before"):
        return day < wanted
    return day >= wanted if kind.endswith("since") else day == wanted


def _matches(key: Key, text: _Text) -> bool:
    data, root = text
    kind = key[0]
    if kind == "header":
        _, name, wanted = key
        return any(
            wanted in folded(decoded_words(unfolded(data, field))) for field in root.fields if field.name == name
        )
    if kind.startswith("sent"):
        day = _sent(data, root)
        return day is not None and _compared(kind, day, key[1])
    wanted = key[1]
    if kind == "text" and any(
        wanted in folded(f"{field.name.decode()}: {decoded_words(unfolded(data, field))}") for field in root.fields
    ):
        return True
    return any(wanted in folded(each) for each in body_texts(data, root))


def _sent(data: bytes, root: Part) -> int | None:
    """The day of the Date field as written, without regard to its time zone; None if there is none."""
    value = first(data, root.fields, b"date")
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value.decode("latin-1"))
        return int(moment.replace(tzinfo=UTC).timestamp()) // 86400
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
