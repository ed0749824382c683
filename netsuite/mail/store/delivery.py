"""How mail comes into the store: the door that SMTP finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from zope.interface import implementer

from netsuite.interfaces import IMailDelivery
from netsuite.mail.store.errors import UnknownRecipient
from netsuite.mail.store.store import MailStore

__all__ = ["Delivery", "People"]


class People(Protocol):
    """Who is here: what delivery asks of :class:`netsuite.common.identity.Identity`."""

    def canonical(self, name: str) -> str:
        """The one way to write an address."""

    def exists(self, address: str) -> bool:
        """Whether somebody here has it."""


@implementer(IMailDelivery)
class Delivery:
    """Delivers to the mailboxes of a store."""

    def __init__(self, store: MailStore, people: People) -> None:
        self._store = store
        self._people = people

    def accepts(self, address: str) -> bool:
        """Whether somebody here has this address."""
        return self._people.exists(address)

    async def deliver(self, message: bytes, sender: str, recipients: Sequence[str], token: str) -> None:
        """Put a message into the recipients' INBOXes, all or none; the fields on top of it are the caller's.

        Raises UnknownRecipient before anything is done, StorageFull, JournalBroken, LimitReached.
        """
        unknown = [address for address in recipients if not self._people.exists(address)]
        if unknown:
            raise UnknownRecipient(f"nobody here is {', '.join(unknown)}")
        users = list(dict.fromkeys(self._people.canonical(address) for address in recipients))
        if users:
            await self._store.deliver(message, users, token)
