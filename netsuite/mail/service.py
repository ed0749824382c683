"""The mail store and its readers' servers as a service of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final

from twisted.internet.defer import Deferred, gatherResults

from netsuite.common.commons import Commons
from netsuite.common.listen import StreamListener
from netsuite.common.service import NetsuiteService
from netsuite.common.stream import StreamFactory
from netsuite.interfaces import Address, Health, IMailDelivery, IOffers
from netsuite.mail.imap.server import ImapServer
from netsuite.mail.pop3.server import Pop3Server
from netsuite.mail.pop3.wire.connection import Pop3Limits
from netsuite.mail.settings import MailSettings
from netsuite.mail.store import Delivery, DiskStore, Limits

__all__ = ["MailService", "build"]

FIRST_RUN: Final = "first-run.txt"
"""Where the built-in site keeps the passwords that it made."""


class MailService(NetsuiteService):
    """Opens the store, takes mail for it, and lets its owners in by IMAP and POP3."""

    workers = "one"

    def __init__(self, settings: MailSettings, commons: Commons) -> None:
        super().__init__("mail", commons)
        self.store = DiskStore(
            commons.data,
            commons.reactor,
            commons.clock,
            Limits(message=settings.message_size, mailboxes=settings.mailboxes),
        )
        rule = commons.access.rule(settings.allow)
        most, each = settings.connections, settings.connections_per_address
        self.imap = ImapServer(
            commons, self.store, idle=settings.imap_idle, rule=rule, concurrency=commons.access.concurrency(most, each)
        )
        self.pop3 = Pop3Server(
            commons,
            self.store,
            limits=Pop3Limits(idle=settings.pop3_idle),
            rule=rule,
            concurrency=commons.access.concurrency(most, each),
        )
        self._listeners = [
            StreamListener(text, factory, commons, f"mail.{name}")
            for name, texts, factory in (
                ("imap", settings.imap, self.imap.factory),
                ("pop3", settings.pop3, self.pop3.factory),
            )
            for text in texts
        ]
        self._opened = False
        self._measure()

    def register(self, offers: IOffers) -> None:
        """Offer to take mail for the site's users."""
        offers.provide(IMailDelivery, Delivery(self.store, self.commons.identity), "mail")

    def open(self) -> None:
        """Read the store, bind and listen."""
        self.commons.identity.open()
        self.store.open()
        self._opened = True
        for listener in self._listeners:
            listener.open()

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for listener in self._listeners:
            listener.accept()

    def stopService(self) -> Deferred[None] | None:
        """Close the store."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def addresses(self) -> Sequence[Address]:
        """Where mail is read."""
        data = self.commons.data
        kept = data.at(FIRST_RUN)
        # where passwords were made for people who only look around, the line works as it is
        who = f"-u \"$(sed 's/ /:/;q' {kept})\"" if kept.exists() else f"-u alice@{self.commons.identity.domain}"
        found = []
        for listener in self._listeners:
            kind = "imap" if listener.factory is self.imap.factory else "pop3"
            scheme = f"{kind}s" if listener.secure else kind
            trust = f"--cacert {self.commons.certificates.ca_path} " if listener.secure else ""
            hint = f"curl {trust}{who} {scheme}://{listener.host}:{listener.port}/"
            found.append(Address(scheme, listener.host, listener.port, hint))
        return found

    def health(self) -> Health:
        """Well while it runs and the store can write."""
        if not self.running:
            return Health(False, "not running")
        if self.store.trouble:
            return Health(False, self.store.trouble)
        return Health(True)

    def figures(self) -> Sequence[tuple[str, float]]:
        """What is kept, and who is reading."""
        maildrops = self.pop3.maildrops
        return (
            *self.store.figures(),
            ("IMAP connections", len(self.imap.factory.adapters)),
            ("POP3 connections", len(self.pop3.factory.adapters)),
            ("POP3 log-ins", maildrops.logins),
            ("messages read by POP3", maildrops.retrieved),
            ("messages deleted by POP3", maildrops.deleted),
        )

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more; commands that have come are still answered."""
        return Deferred.fromCoroutine(self._drain(deadline))

    @property
    def _factories(self) -> dict[str, StreamFactory]:
        return {"imap": self.imap.factory, "pop3": self.pop3.factory}

    def _measure(self) -> None:
        metrics, maildrops, factories = self.commons.metrics, self.pop3.maildrops, self._factories
        metrics.add(
            "netsuite_mail_connections",
            "Clients that are connected.",
            "gauge",
            lambda: {(name,): len(factory.adapters) for name, factory in factories.items()},
            labels=("protocol",),
        )
        metrics.add(
            "netsuite_mail_accepted",
            "Clients that have connected.",
            "counter",
            lambda: {(name,): factory.accepted for name, factory in factories.items()},
            labels=("protocol",),
        )
        metrics.add(
            "netsuite_pop3_messages",
            "Messages that POP3 clients read and deleted.",
            "counter",
            lambda: {("read",): maildrops.retrieved, ("deleted",): maildrops.deleted},
            labels=("what",),
        )

    async def _drain(self, deadline: float) -> None:
        for listener in self._listeners:
            await listener.close()
        await gatherResults([factory.drain(deadline) for factory in self._factories.values()])

    async def _stop(self) -> None:
        if self._opened:
            self._opened = False
            await self.store.close()


def build(settings: MailSettings, commons: Commons) -> MailService:
    """The ``[mail]`` table's service."""
    return MailService(settings, commons)
