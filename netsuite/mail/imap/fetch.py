"""FETCH's responses, poured in batches.

The items are columns: for a batch of messages each item makes one list, and the rows are formatted at once. So a
thousand messages cost a few list comprehensions, a slow reader costs one batch, and what was parsed once stays parsed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeVar, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from netsuite.mail.imap.flags import flag_text
from netsuite.mail.imap.view import View
from netsuite.mail.imap.wire.fetching import BodyItem, Item
from netsuite.mail.imap.wire.serial import date_time, dump
from netsuite.mail.mime import Part, envelope, extract, scan, structure
from netsuite.mail.mime.header import block_end, fields
from netsuite.mail.store import Entry, Mailbox, NoSuchMessage

__all__ = ["envelope_text", "responses", "structure_texts"]

Numbered = Sequence[tuple[int, Entry]]

BATCH: Final = 512
PARSED: Final = 64
"""Messages in a batch if they must be read."""
BYTES: Final = 1 << 20
"""Bytes of messages that a batch may hold; a longer one is a batch of its own."""

T = TypeVar("T")

_date = lru_cache(8192)(date_time)


def envelope_text(data: bytes) -> bytes:
    """ENVELOPE of a message, ready to be sent."""
    return dump(envelope(data, fields(data, 0, block_end(data, 0, len(data)))))


def structure_texts(data: bytes) -> tuple[bytes, bytes]:
    """BODYSTRUCTURE and BODY of a message, ready to be sent."""
    root = scan(data)
    return dump(structure(data, root, extended=True)), dump(structure(data, root, extended=False))


async def responses(
    view: View, found: Numbered, items: Sequence[Item], breathe: Callable[[], Awaitable[None] | None]
) -> AsyncIterator[bytes]:
    """The FETCH responses for these messages; those that are gone meanwhile are left out.

    ``breathe`` is asked between batches: what it answers is waited for, so that others have their turn.
    """
    names = b" ".join(_label(item).replace(b"%", b"%%") + b" %b" for item in items)
    form = b"* %d FETCH (" + names + b")\r\n"
    for batch in _batches(found, items):
        numbers = [number for number, _ in batch]
        entries = [entry for _, entry in batch]
        try:
            columns = [await _column(view, item, entries) for item in items]
        except NoSuchMessage:
            columns = []
        if columns:
            yield b"".join([form % row for row in zip(numbers, *columns, strict=True)])
        else:
            async for piece in _one_by_one(view, batch, items, form):
                yield piece
        wait = breathe()
        if wait is not None:
            await wait


async def _one_by_one(view: View, batch: Numbered, items: Sequence[Item], form: bytes) -> AsyncIterator[bytes]:
    """A batch in which a message has gone."""
    for number, entry in batch:
        try:
            row = [(await _column(view, item, [entry]))[0] for item in items]
        except NoSuchMessage:
            continue
        yield form % (number, *row)


def _label(item: Item) -> bytes:
    return item.label if isinstance(item, BodyItem) else item.encode()


def _batches(found: Numbered, items: Sequence[Item]) -> Iterator[Numbered]:
    reads = sum(isinstance(item, BodyItem) for item in items)
    parses = reads or any(item in ("ENVELOPE", "BODY", "BODYSTRUCTURE") for item in items)
    most = PARSED if parses else BATCH
    if not reads:
        for at in range(0, len(found), most):
            yield found[at : at + most]
        return
    start = size = 0
    for at, (_, entry) in enumerate(found):
        if at > start and (size + entry.size * reads > BYTES or at - start >= most):
            yield found[start:at]
            start, size = at, 0
        size += entry.size * reads
    if start < len(found):
        yield found[start:]


async def _column(view: View, item: Item, entries: Sequence[Entry]) -> list[bytes]:
    """What an item is for each of some messages."""
    if isinstance(item, BodyItem):
        return [await _body(view.mailbox, entry, item) for entry in entries]
    if item == "FLAGS":
        recent = view.recent
        if recent:
            return [flag_text(entry.flags, entry.uid in recent) for entry in entries]
        return [flag_text(entry.flags) for entry in entries]
    if item == "UID":
        return [b"%d" % entry.uid for entry in entries]
    if item == "RFC822.SIZE":
        return [b"%d" % entry.size for entry in entries]
    if item == "INTERNALDATE":
        return [_date(entry.internaldate) for entry in entries]
    if item == "MODSEQ":
        return [b"(%d)" % entry.modseq for entry in entries]
    if item == "ENVELOPE":
        return await _parsed(view.mailbox, entries, envelope_text)
    at = 0 if item == "BODYSTRUCTURE" else 1
    return [texts[at] for texts in await _parsed(view.mailbox, entries, structure_texts)]


async def _parsed(mailbox: Mailbox, entries: Sequence[Entry], parse: Callable[[bytes], T]) -> list[T]:
    """What a function makes of messages; those that must be read are read side by side. Raises NoSuchMessage."""
    made = [mailbox.parsed_at_once(entry.uid, parse) for entry in entries]
    missing = [at for at, each in enumerate(made) if each is None]
    if missing:
        reading = [Deferred.fromCoroutine(mailbox.parsed(entries[at].uid, parse)) for at in missing]
        for at, (good, result) in zip(missing, await DeferredList(reading, consumeErrors=True), strict=True):
            if not good:
                cast("Failure", result).raiseException()
            made[at] = result
    return cast("list[T]", made)


async def _body(mailbox: Mailbox, entry: Entry, item: BodyItem) -> bytes:
    section, partial = item.section, item.partial
    if not section.path and not section.what:
        first, count = partial if partial is not None else (0, None)
        data: bytes | None = await mailbox.read(entry.uid, first, count)
    else:
        whole = await mailbox.read(entry.uid)
        root: Part = await mailbox.parsed(entry.uid, scan)
        data = extract(whole, root, section)
        if data is not None and partial is not None:
            data = data[partial[0] : partial[0] + partial[1]]
    return b"NIL" if data is None else b"{%d}\r\n%b" % (len(data), data)
