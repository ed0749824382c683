"""What a POP3 client may do with its maildrop, which is the INBOX.

The maildrop is what lay in it at log-in: later mail waits for the next session. What another client has expunged
meanwhile is refused; it is as gone as if it were deleted here. Deletions, and the mark that a message was read, are
made at QUIT and only then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from netsuite.common.errors import Unavailable
from netsuite.common.identity import Accepted, Authentication, Identity, Throttled
from netsuite.common.identity import Challenge as SaslChallenge
from netsuite.mail.pop3.top import Top
from netsuite.mail.pop3.wire.exchange import (
    Challenge,
    Done,
    Login,
    Message,
    Refusal,
    Retrieve,
    Update,
    Welcome,
)
from netsuite.mail.store import Entry, JournalBroken, Mailbox, MailStore, NoSuchMessage, Refused, StorageFull
from netsuite.sansio.connection import Channel
from netsuite.sansio.sasl import Auth, AuthResponse

__all__ = ["Maildrops", "Session"]

PIECE: Final = 256 * 1024
"""Bytes that are read of a message at a time."""
_WRONG: Final = Refusal("name or password is wrong", "AUTH")


class Maildrops:
    """The maildrops of a store, each held by one session at most (RFC 1939 section 4).

    ``logins``, ``retrieved`` and ``deleted`` count.
    """

    def __init__(self, store: MailStore) -> None:
        self._store = store
        self._holders: dict[str, Session] = {}
        self.logins = self.retrieved = self.deleted = 0

    def enter(self, user: str, session: Session) -> Mailbox | None:
        """A user's INBOX for a session alone; None while another has it."""
        if self._holders.setdefault(user, session) is not session:
            return None
        self.logins += 1
        return self._store.account(user).mailbox("INBOX")

    def leave(self, user: str, session: Session) -> None:
        """The session is over."""
        if self._holders.get(user) is session:
            del self._holders[user]


class Session:
    """One client on one channel."""

    def __init__(self, identity: Identity, maildrops: Maildrops, channel: Channel) -> None:
        self._identity = identity
        self._maildrops = maildrops
        self._channel = channel
        self._authentication: Authentication | None = None
        self._user: str | None = None
        self._mailbox: Mailbox | None = None
        self._entries: Sequence[Entry] = ()
        self._over = False

    def answer(self, message: Any) -> Any:
        """What to say to a command of the machine, as a coroutine."""
        kind = type(message)
        if kind is Retrieve:
            return self._retrieve(message)
        if kind is Update:
            return self._update(message)
        if kind is Login:
            return self._login(message)
        return self._auth(message)

    def leave(self) -> None:
        """The client is gone."""
        self._over = True
        if self._user is not None:
            self._maildrops.leave(self._user, self)

    async def _login(self, login: Login) -> Welcome | Refusal:
        try:
            user = await self._identity.verify(login.name, login.password, self._channel.peer[0])
        except Throttled as error:
            return Refusal(str(error), "SYS/TEMP")
        except Unavailable:
            return Refusal("log-ins cannot be checked now", "SYS/TEMP")
        return _WRONG if user is None else self._enter(user, b"")

    async def _auth(self, message: Auth | AuthResponse) -> Welcome | Challenge | Refusal:
        if isinstance(message, Auth):
            self._authentication = self._identity.begin(message.mechanism, self._channel)
        if self._authentication is None:
            return Refusal("that mechanism is not offered here")
        outcome = await self._authentication.respond(message.initial if isinstance(message, Auth) else message.data)
        if isinstance(outcome, SaslChallenge):
            return Challenge(outcome.data)
        self._authentication = None
        if isinstance(outcome, Accepted):
            return self._enter(outcome.user, outcome.data)
        return Refusal(outcome.reason, "SYS/TEMP") if outcome.temporary else _WRONG

    def _enter(self, user: str, data: bytes) -> Welcome | Refusal:
        mailbox = None if self._over else self._maildrops.enter(user, self)
        if mailbox is None:
            return Refusal("another session has this maildrop", "IN-USE")
        self._user, self._mailbox = user, mailbox
        self._entries = tuple(mailbox.messages)
        validity = mailbox.uidvalidity
        return Welcome([(entry.size, f"{validity}.{entry.uid}") for entry in self._entries], data)

    async def _retrieve(self, message: Retrieve) -> Message | Refusal:
        assert self._mailbox is not None
        entry = self._entries[message.at]
        try:
            first = await self._mailbox.read(entry.uid, 0, PIECE)
        except NoSuchMessage:
            return Refusal("another client has deleted it")
        if message.lines is None:
            self._maildrops.retrieved += 1
            return Message(_whole(self._mailbox, entry, first))
        return Message(_top(_whole(self._mailbox, entry, first), message.lines))

    async def _update(self, message: Update) -> Done | Refusal:
        assert self._mailbox is not None
        entries = self._entries
        deleted = [entries[at].uid for at in message.deleted]
        read = [entries[at].uid for at in message.read if "\\Seen" not in entries[at].flags]
        try:
            if deleted:
                self._maildrops.deleted += len(await self._mailbox.expunge(deleted))
            if read:
                await self._mailbox.change_flags(read, "add", ("\\Seen",))
        except (StorageFull, JournalBroken, Refused) as error:
            return Refusal(f"some messages were not deleted: {error}", "SYS/TEMP")
        finally:
            self.leave()
        return Done()


async def _whole(mailbox: Mailbox, entry: Entry, first: bytes) -> AsyncIterator[bytes]:
    """A message from its first piece on."""
    yield first
    at = len(first)
    while at < entry.size:
        piece = await mailbox.read(entry.uid, at, PIECE)
        if not piece:
            raise NoSuchMessage("the message ended too early")
        yield piece
        at += len(piece)


async def _top(pieces: AsyncIterator[bytes], lines: int) -> AsyncIterator[bytes]:
    """The top of a message."""
    top = Top(lines)
    async for piece in pieces:
        shown = top.feed(piece)
        if shown:
            yield shown
        if top.done:
            break
