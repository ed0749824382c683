"""Everybody's mail: accounts, mailboxes, messages with UIDs and flags; durable, and watched.

:class:`MailStore` on a log of one's own choice (:class:`DiskLog`), :class:`MemoryStore` for tests.
"""

from netsuite.mail.store.account import Account
from netsuite.mail.store.delivery import Delivery
from netsuite.mail.store.errors import (
    BadName,
    CannotChange,
    JournalBroken,
    LimitReached,
    MailboxExists,
    NoSuchMailbox,
    NoSuchMessage,
    Refused,
    StorageFull,
    UnknownRecipient,
)
from netsuite.mail.store.mailbox import Mailbox
from netsuite.mail.store.store import MailStore, MemoryStore
from netsuite.mail.store.values import Appeared, Change, Entry, FlagsChanged, Folder, Limits, Removed, Vanished

__all__ = [
    "Account",
    "Appeared",
    "BadName",
    "CannotChange",
    "Change",
    "Delivery",
    "Entry",
    "FlagsChanged",
    "Folder",
    "JournalBroken",
    "LimitReached",
    "Limits",
    "MailStore",
    "Mailbox",
    "MailboxExists",
    "MemoryStore",
    "NoSuchMailbox",
    "NoSuchMessage",
    "Refused",
    "Removed",
    "StorageFull",
    "UnknownRecipient",
    "Vanished",
]
