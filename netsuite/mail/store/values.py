"""The plain values that the mail store hands out: messages' entries, folders, changes."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Appeared", "Change", "Entry", "FlagsChanged", "Folder", "Limits", "Removed", "Vanished"]


class Entry(NamedTuple):
    """A message in a mailbox. Immutable: when its flags change, another entry takes its place.

    ``internaldate`` is in seconds since the epoch; ``blob`` names the message's bytes, which copies share.
    """

    uid: int
    size: int
    internaldate: int
    flags: frozenset[str]
    modseq: int
    blob: int


class Folder(NamedTuple):
    """A name as LIST shows it; ``use`` is its SPECIAL-USE attribute (RFC 6154) or None.

    What is not ``selectable`` is there only as the parent of others.
    """

    name: str
    selectable: bool
    children: bool
    subscribed: bool
    use: str | None


class Appeared(NamedTuple):
    """New messages, in UID order."""

    entries: tuple[Entry, ...]
    modseq: int
    origin: object = None


class FlagsChanged(NamedTuple):
    """Messages with other flags than before, in UID order."""

    entries: tuple[Entry, ...]
    modseq: int
    origin: object = None


class Vanished(NamedTuple):
    """Messages that are gone for good, in UID order."""

    uids: tuple[int, ...]
    modseq: int
    origin: object = None


class Removed(NamedTuple):
    """The mailbox itself was deleted, with all that it held."""

    origin: object = None


Change = Appeared | FlagsChanged | Vanished | Removed
"""What a watcher is told. ``origin`` is what the one who asked for it passed along, so that it knows its own."""


class Limits(NamedTuple):
    """What one account may have; lengths and sizes in bytes."""

    mailboxes: int = 1_000
    name: int = 255
    depth: int = 16
    message: int = 50 << 20
    flags: int = 64
    flag: int = 100
