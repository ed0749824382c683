"""The POP3 server: one session a client, one client a maildrop."""

from __future__ import annotations

from typing import Any

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.common.tls import TlsFilter
from netsuite.mail.pop3.session import Maildrops, Session
from netsuite.mail.pop3.wire.connection import Pop3Connection, Pop3Limits
from netsuite.mail.store import MailStore
from netsuite.sansio.connection import Channel

__all__ = ["Pop3Server"]


class Pop3Server:
    """Hands out the INBOXes of a store; ``maildrops`` counts what it does."""

    def __init__(
        self,
        commons: Commons,
        store: MailStore,
        *,
        limits: Pop3Limits = Pop3Limits(),
        rule: Rule | None = None,
        concurrency: ConcurrencyLimit | None = None,
    ) -> None:
        self._commons = commons
        self._limits = limits
        self.maildrops = Maildrops(store)
        self.factory = StreamFactory(
            commons,
            "pop3",
            self.connection,
            self.answer,
            rule=rule,
            concurrency=concurrency,
            filters={"tls": lambda: TlsFilter(commons.certificates.server_context(()), server=True)},
            gone=self._gone,
        )

    def connection(self, channel: Channel) -> Pop3Connection:
        """A fresh machine for one client."""
        return self._machine(channel, greet=True)

    def answer(self, message: Any, body: Body, adapter: StreamAdapter) -> Any:
        """The application: what a session says to a command."""
        if adapter.data is None:
            adapter.data = Session(self._commons.identity, self.maildrops, adapter.channel)
        return adapter.data.answer(message)

    def _machine(self, channel: Channel, *, greet: bool) -> Pop3Connection:
        mechanisms = self._commons.identity.mechanisms(channel)
        return Pop3Connection(
            channel,
            self._commons.clock.seconds(),
            limits=self._limits,
            mechanisms=mechanisms,
            passwords="PLAIN" in mechanisms,
            fresh=lambda secured: self._machine(secured, greet=False),
            greet=greet,
        )

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        if adapter.data is not None:
            adapter.data.leave()
