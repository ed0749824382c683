"""What the mail store refuses, in one line each; full and failing disks are the journal's own errors."""

from __future__ import annotations

from netsuite.common.storage.journal import JournalBroken, StorageFull

__all__ = [
    "BadName",
    "CannotChange",
    "JournalBroken",
    "LimitReached",
    "MailboxExists",
    "NoSuchMailbox",
    "NoSuchMessage",
    "Refused",
    "StorageFull",
    "UnknownRecipient",
]


class Refused(Exception):
    """The store will not do that; nothing has changed."""


class BadName(Refused):
    """What cannot be a mailbox's name, or a flag."""


class CannotChange(Refused):
    """A mailbox that may not be deleted or renamed so."""


class LimitReached(Refused):
    """Too many, too long, too deep or too big."""


class MailboxExists(Refused):
    """There is a mailbox of that name already."""


class NoSuchMailbox(Refused):
    """There is no such mailbox, or no longer."""


class NoSuchMessage(Refused):
    """There is no message of that UID, or no longer."""


class UnknownRecipient(Refused):
    """Nobody here has this address."""
