"""A mailbox, as IMAP and POP3 see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from netsuite.mail.store.box import Box, spans
from netsuite.mail.store.errors import NoSuchMessage
from netsuite.mail.store.names import proper_flags
from netsuite.mail.store.values import Change, Entry

if TYPE_CHECKING:
    from netsuite.mail.store.store import MailStore

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox:
    """A mailbox of an account; it stays the same mailbox when it is renamed.

    What changes something is durable when it returns, and every watcher of the mailboxes concerned has been told
    before. ``origin`` comes back in the changes that a call makes. Calls raise StorageFull (nothing was done; it may
    work later), JournalBroken (nothing more can be done), or Refused: NoSuchMailbox once it has been deleted,
    LimitReached, BadName. UIDs that no message has are passed over.
    """

    def __init__(self, store: MailStore, user: str, box: Box) -> None:
        self._store = store
        self._user = user
        self._box = box

    @property
    def name(self) -> str:
        """Its name at present."""
        return self._box.name

    @property
    def use(self) -> str | None:
        """Its SPECIAL-USE attribute (RFC 6154)."""
        return self._box.use

    @property
    def uidvalidity(self) -> int:
        """Never the same for another mailbox of this account."""
        return self._box.uidvalidity

    @property
    def uidnext(self) -> int:
        """The UID of the next message."""
        return self._box.uidnext

    @property
    def highestmodseq(self) -> int:
        """The modseq of the last change (RFC 7162), at least 1."""
        return self._box.modseq

    @property
    def messages(self) -> Sequence[Entry]:
        """The messages as they are now, in UID order; look, do not keep: the next change may alter it in place."""
        return self._box.messages

    @property
    def size(self) -> int:
        """The bytes of all messages together."""
        return self._box.size

    @property
    def flags(self) -> frozenset[str]:
        """The flags that its messages have, keywords included."""
        return frozenset().union(*self._box.tally)

    def count(self, flag: str) -> int:
        """How many messages have a flag."""
        return sum(count for flags, count in self._box.tally.items() if flag in flags)

    def find(self, uid: int) -> Entry | None:
        """The message of a UID, or None."""
        return self._box.find(uid)

    async def append(
        self, data: bytes, flags: Iterable[str] = (), date: int | None = None, *, origin: object = None
    ) -> int:
        """Add a message; its UID. ``date`` is the INTERNALDATE in seconds since the epoch, now if None."""
        store = self._store
        kept = proper_flags(flags, store.limits)
        when = store.now() if date is None else int(date)
        head = ["append", self._user, self.uidvalidity, kept, when]
        uid: int = await store.commit_message(head, data, origin)
        return uid

    async def change_flags(
        self,
        uids: Iterable[int],
        mode: Literal["set", "add", "remove"],
        flags: Iterable[str],
        unchangedsince: int | None = None,
        *,
        origin: object = None,
    ) -> tuple[tuple[Entry, ...], tuple[int, ...]]:
        """The entries that are different now, and the UIDs left alone as they changed after ``unchangedsince``."""
        kept = proper_flags(flags, self._store.limits)
        found: tuple[tuple[Entry, ...], tuple[int, ...]] = await self._commit(
            "flags", uids, mode, kept, unchangedsince, origin=origin
        )
        return found

    async def expunge(self, uids: Iterable[int], *, origin: object = None) -> tuple[int, ...]:
        """Remove messages for good, whatever their flags; the UIDs that were removed."""
        gone: tuple[int, ...] = await self._commit("expunge", uids, origin=origin)
        return gone

    async def copy(self, uids: Iterable[int], other: Mailbox, *, origin: object = None) -> dict[int, int]:
        """Copy messages to a mailbox of the same account: their UIDs here and there, in order."""
        return await self._transfer("copy", uids, other, origin)

    async def move(self, uids: Iterable[int], other: Mailbox, *, origin: object = None) -> dict[int, int]:
        """Move messages, all at once (RFC 6851): their UIDs here and there, in order."""
        return await self._transfer("move", uids, other, origin)

    async def read(self, uid: int, start: int = 0, length: int | None = None) -> bytes:
        """A message's bytes, or a piece of them. Raises NoSuchMessage."""
        return await self._store.read(self._entry(uid).blob, start, length)

    async def parsed(self, uid: int, parse: Callable[[bytes], T]) -> T:
        """What ``parse`` (the same function every time) makes of a message, remembered for the most recent ones."""
        return await self._store.parsed(self._entry(uid).blob, parse)

    def parsed_at_once(self, uid: int, parse: Callable[[bytes], T]) -> T | None:
        """The same if it is remembered, else None."""
        entry = self._box.find(uid)
        return None if entry is None else self._store.remembered(entry.blob, parse)

    def watch(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Tell of each change once it is durable, in order; answers what ends it."""
        return self._store.watch(self._user, self.uidvalidity, callback)

    def _entry(self, uid: int) -> Entry:
        entry = self._box.find(uid)
        if entry is None:
            raise NoSuchMessage(f"{self.name} has no message {uid}")
        return entry

    async def _transfer(self, what: str, uids: Iterable[int], other: Mailbox, origin: object) -> dict[int, int]:
        if (other._store, other._user) != (self._store, self._user):
            raise ValueError("the mailboxes belong to different accounts")
        pairs: dict[int, int] = await self._commit(what, uids, other.uidvalidity, origin=origin)
        return pairs

    async def _commit(self, what: str, uids: Iterable[int], *rest: Any, origin: object) -> Any:
        return await self._store.commit([what, self._user, self.uidvalidity, spans(uids), *rest], origin)
