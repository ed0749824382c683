"""The IMAP server: machines, sessions and the table of commands.

What all sessions share is here: the store, identity, and which messages were announced as recent to somebody.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.common.tls import TlsFilter
from netsuite.mail.imap import folders, login, messages
from netsuite.mail.imap.session import Session
from netsuite.mail.imap.wire.connection import ImapConnection, Limits
from netsuite.mail.store import Mailbox, MailStore
from netsuite.sansio.connection import Channel

__all__ = ["ImapServer"]

Call = Callable[..., Any]


class _Method(NamedTuple):
    """Where a command is allowed ("any", "stranger", "known", "selected"), and what does it."""

    state: str
    call: Call
    proceed: Call = login.proceed


METHODS: Final[dict[str, _Method]] = {
    "CAPABILITY": _Method("any", login.capability),
    "NOOP": _Method("any", messages.noop),
    "LOGOUT": _Method("any", login.logout),
    "ID": _Method("any", login.identify),
    "STARTTLS": _Method("stranger", login.starttls),
    "LOGIN": _Method("stranger", login.login),
    "AUTHENTICATE": _Method("stranger", login.authenticate),
    "SELECT": _Method("known", folders.select),
    "EXAMINE": _Method("known", folders.select),
    "CREATE": _Method("known", folders.create),
    "DELETE": _Method("known", folders.delete),
    "RENAME": _Method("known", folders.rename),
    "SUBSCRIBE": _Method("known", folders.subscribe),
    "UNSUBSCRIBE": _Method("known", folders.subscribe),
    "LIST": _Method("known", folders.listing),
    "LSUB": _Method("known", folders.lsub),
    "STATUS": _Method("known", folders.status),
    "APPEND": _Method("known", folders.append),
    "NAMESPACE": _Method("known", folders.namespace),
    "ENABLE": _Method("known", folders.enable),
    "IDLE": _Method("known", lambda session, command, body: session.idle(command)),
    "CHECK": _Method("selected", messages.noop),
    "CLOSE": _Method("selected", messages.close),
    "UNSELECT": _Method("selected", messages.unselect),
    "EXPUNGE": _Method("selected", messages.expunge),
    "SEARCH": _Method("selected", messages.search),
    "FETCH": _Method("selected", messages.fetch),
    "STORE": _Method("selected", messages.store),
    "COPY": _Method("selected", messages.copy),
    "MOVE": _Method("selected", messages.copy),
}


class ImapServer:
    """Serves a store; ``commands`` and ``logins`` count. ``factory`` goes on a port."""

    methods = METHODS

    def __init__(
        self,
        commons: Commons,
        store: MailStore,
        *,
        idle: float = 1800.0,
        rule: Rule | None = None,
        concurrency: ConcurrencyLimit | None = None,
    ) -> None:
        self.store = store
        self.commons = commons
        self._limits = Limits(logout=idle)
        self.commands = 0
        self.logins = 0
        self._recent: dict[tuple[str, int], int] = {}
        self.factory = StreamFactory(
            commons,
            "imap",
            self.connection,
            self.asked,
            rule=rule,
            concurrency=concurrency,
            filters={"tls": lambda: TlsFilter(commons.certificates.server_context(()), server=True)},
            gone=self._gone,
        )

    def mechanisms(self, channel: Channel) -> tuple[str, ...]:
        """The SASL mechanisms offered on a connection."""
        return self.commons.identity.mechanisms(channel)

    def connection(self, channel: Channel) -> ImapConnection:
        """A fresh machine, with its greeting."""
        words = login.greeting(self.mechanisms(channel), channel)
        return ImapConnection(self.commons.clock.seconds(), words, self._secured, self._limits)

    def asked(self, message: Any, body: Body, adapter: StreamAdapter) -> Any:
        """The application: a command, or a line that one waits for."""
        self.commands += 1
        session = adapter.data
        if session is None:
            session = adapter.data = Session(self, adapter)
        return session.asked(message, body)

    def recent_from(self, mailbox: Mailbox, user: str, *, take: bool) -> int:
        """From which UID on messages are recent for a session that selects; ``take`` makes them nobody else's."""
        key = (user, mailbox.uidvalidity)
        start = self._recent.get(key, 0)
        if take:
            self._recent[key] = mailbox.uidnext
        return start

    def first_seen(self, mailbox: Mailbox, user: str, uid: int) -> bool:
        """Whether a session is the first to be told of a new message."""
        key = (user, mailbox.uidvalidity)
        if uid < self._recent.get(key, 0):
            return False
        self._recent[key] = uid + 1
        return True

    def recent_count(self, mailbox: Mailbox, user: str) -> int:
        """How many messages no session has been told of."""
        start = self._recent.get((user, mailbox.uidvalidity), 0)
        return len(mailbox.messages) - bisect_left(mailbox.messages, (start,))

    def _secured(self, channel: Channel) -> ImapConnection:
        """The machine that follows STARTTLS: no greeting, and no memory of what was said in clear."""
        return ImapConnection(self.commons.clock.seconds(), b"", None, self._limits)

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        session = adapter.data
        if session is not None:
            session.gone()
