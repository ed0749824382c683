"""Everybody's mail: accounts, mailboxes, messages with UIDs and flags; durable, and watched.

:class:`DiskStore` keeps it in a data directory, :class:`MemoryStore` in memory, under the same contract.
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
from netsuite.mail.store.store import DiskStore, MailStore, MemoryStore
from netsuite.mail.store.values import Appeared, Change, Entry, FlagsChanged, Folder, Limits, Removed, Vanished

__all__ = [
    "Account",
    "Appeared",
    "BadName",
    "CannotChange",
    "Change",
    "Delivery",
    "DiskStore",
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
