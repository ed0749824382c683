"""A user's mailboxes, as IMAP and POP3 see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netsuite.mail.store.errors import LimitReached, NoSuchMailbox
from netsuite.mail.store.mailbox import Mailbox
from netsuite.mail.store.model import AccountState
from netsuite.mail.store.names import canonical, checked, parents
from netsuite.mail.store.values import Folder

if TYPE_CHECKING:
    from netsuite.mail.store.store import MailStore

__all__ = ["Account"]


class Account:
    """One user's mail. INBOX and the mailboxes of special use are there from the beginning.

    What changes something is durable when it returns. Calls raise StorageFull, JournalBroken, or Refused.
    """

    def __init__(self, store: MailStore, user: str, state: AccountState) -> None:
        self._store = store
        self._user = user
        self._state = state

    @property
    def user(self) -> str:
        """The canonical address of its owner."""
        return self._user

    @property
    def subscriptions(self) -> Sequence[str]:
        """The names subscribed to, whether there are such mailboxes or not, in order."""
        return sorted(self._state.subscribed)

    def list(self) -> Sequence[Folder]:
        """All mailboxes and the parents that are none, by name, INBOX first."""
        boxes = self._state.boxes
        above = {parent for name in boxes for parent in parents(name)}
        subscribed = self._state.subscribed
        return [
            Folder(name, name in boxes, name in above, name in subscribed, boxes[name].use if name in boxes else None)
            for name in sorted(above.union(boxes), key=lambda name: (name != "INBOX", name.split("/")))
        ]

    def mailbox(self, name: str) -> Mailbox | None:
        """The mailbox of a name; None if there is none, or only others below it."""
        box = self._state.boxes.get(canonical(name))
        return None if box is None else Mailbox(self._store, self._user, box)

    def mailbox_for(self, use: str) -> Mailbox | None:
        """The mailbox of a special use (RFC 6154)."""
        for box in self._state.boxes.values():
            if box.use == use:
                return Mailbox(self._store, self._user, box)
        return None

    async def create(self, name: str, use: str | None = None) -> Mailbox:
        """A new mailbox; those above it need not exist. Raises BadName, LimitReached, MailboxExists."""
        store = self._store
        name = checked(name, store.limits)
        if len(self._state.boxes) >= store.limits.mailboxes:
            raise LimitReached(f"there are {store.limits.mailboxes} mailboxes already")
        uidvalidity = await store.commit(["create", self._user, name, store.now(), use])
        box = self._state.known.get(uidvalidity)
        if box is None:
            raise NoSuchMailbox(f"{name} was deleted at once")
        return Mailbox(store, self._user, box)

    async def delete(self, name: str) -> None:
        """Delete a mailbox and its messages; what is below it stays. Raises CannotChange, NoSuchMailbox."""
        await self._store.commit(["delete", self._user, canonical(name)])

    async def rename(self, old: str, new: str) -> None:
        """Rename a mailbox and what is below it; of INBOX, move the messages to a new one (RFC 3501 section 6.3.5).

        Raises BadName, LimitReached, CannotChange, NoSuchMailbox, MailboxExists.
        """
        store = self._store
        old, new = canonical(old), checked(new, store.limits)
        if old != "INBOX":
            for box in self._state.below(old):
                checked(new + box.name[len(old) :], store.limits)
        elif len(self._state.boxes) >= store.limits.mailboxes:
            raise LimitReached(f"there are {store.limits.mailboxes} mailboxes already")
        await store.commit(["rename", self._user, old, new, store.now()])

    async def subscribe(self, name: str) -> None:
        """Remember a name, whether there is such a mailbox or not. Raises BadName, LimitReached."""
        limits = self._store.limits
        name = checked(name, limits)
        if name in self._state.subscribed:
            return
        if len(self._state.subscribed) >= 2 * limits.mailboxes:
            raise LimitReached(f"there are {2 * limits.mailboxes} subscriptions already")
        await self._store.commit(["subscribe", self._user, name, True])

    async def unsubscribe(self, name: str) -> None:
        """Forget a name."""
        name = canonical(name)
        if name in self._state.subscribed:
            await self._store.commit(["subscribe", self._user, name, False])
