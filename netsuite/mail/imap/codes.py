"""Why a command is refused, in IMAP's codes (RFC 5530, RFC 6154, RFC 3501 section 7.1)."""

from __future__ import annotations

from typing import Final

from netsuite.common.errors import Unavailable
from netsuite.mail.store import BadName, CannotChange, LimitReached, MailboxExists, NoSuchMailbox, NoSuchMessage
from netsuite.mail.store.errors import JournalBroken, StorageFull

__all__ = ["Refusal", "refusal"]

_CODES: Final[tuple[tuple[type[Exception], bytes], ...]] = (
    (BadName, b"CANNOT"),
    (CannotChange, b"CANNOT"),
    (LimitReached, b"LIMIT"),
    (MailboxExists, b"ALREADYEXISTS"),
    (NoSuchMailbox, b"NONEXISTENT"),
    (NoSuchMessage, b"EXPUNGEISSUED"),
    (StorageFull, b"UNAVAILABLE"),
    (JournalBroken, b"SERVERBUG"),
    (Unavailable, b"UNAVAILABLE"),
)


class Refusal(Exception):
    """A command is refused: one line for the client, and a code or none."""

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def refusal(error: Exception) -> bytes:
    """The code for what the store refused."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), b"")
