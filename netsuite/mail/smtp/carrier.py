"""Carries one message to one destination: into the site's own mailboxes, or to the servers of a domain in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from twisted.logger import Logger

from netsuite.common.stream import ConnectFailed
from netsuite.interfaces import IMailDelivery
from netsuite.mail.smtp.client import SmtpClient
from netsuite.mail.smtp.queued import Entry
from netsuite.mail.smtp.routes import Routes, Unroutable
from netsuite.mail.smtp.spool import Spool
from netsuite.mail.smtp.wire.commands import Envelope
from netsuite.mail.smtp.wire.replies import Reply

__all__ = ["LOCAL", "Carrier", "Down"]

_log = Logger()

LOCAL: Final = "local"
"""The destination that is this site."""


class Down(Exception):
    """No server of a destination can be reached: it is useless to try others' messages now."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Carrier:
    """``delivery()`` is where mail for ``domains`` goes, or None if there is no such place."""

    def __init__(
        self,
        client: SmtpClient,
        routes: Routes,
        domains: frozenset[str],
        delivery: Callable[[], IMailDelivery | None],
    ) -> None:
        self._client = client
        self._routes = routes
        self._domains = domains
        self._delivery = delivery

    def destination(self, address: str) -> str:
        """Where an address is."""
        domain = _domain(address)
        return LOCAL if domain in self._domains else self._routes.destination(domain)

    async def carry(self, entry: Entry, recipients: Sequence[str], spool: Spool) -> tuple[Reply, ...]:
        """One reply for each recipient, all of which are at one destination. Raises Down."""
        if _domain(recipients[0]) in self._domains:
            return await self._deliver(entry, recipients, spool)
        replies: dict[str, Reply] = {}
        by_domain: dict[str, list[str]] = {}
        for recipient in recipients:
            by_domain.setdefault(_domain(recipient), []).append(recipient)
        for domain, addresses in by_domain.items():
            try:
                got = await self._relay(entry, domain, addresses, spool)
            except Unroutable as unroutable:
                got = (unroutable.reply,) * len(addresses)
            replies.update(zip(addresses, got, strict=True))
        return tuple(replies[recipient] for recipient in recipients)

    async def _deliver(self, entry: Entry, recipients: Sequence[str], spool: Spool) -> tuple[Reply, ...]:
        delivery = self._delivery()
        if delivery is None:
            return (Reply(451, "the mail store is not there", "4.3.0"),) * len(recipients)
        known = [recipient for recipient in recipients if delivery.accepts(recipient)]
        reply = Reply(250, "delivered", "2.1.5")
        if known:
            path = f"Return-Path: <{entry.sender}>\r\n".encode()
            try:
                await delivery.deliver(path + await spool.read(entry.id), entry.sender, known, entry.id)
            except Exception as problem:
                _log.failure("{ident} cannot be delivered here", ident=entry.id)
                reply = Reply(451, f"cannot be delivered now: {problem}", "4.3.0")
        unknown = Reply(550, "there is no such user here", "5.1.1")
        return tuple(reply if recipient in known else unknown for recipient in recipients)

    async def _relay(self, entry: Entry, domain: str, recipients: list[str], spool: Spool) -> tuple[Reply, ...]:
        """To the first server that can be reached and does not put all of it off."""
        trouble: Reply | None = None
        answered: tuple[Reply, ...] | None = None

        def content() -> AsyncIterator[bytes]:
            return spool.chunks(entry.id)

        for host, port in await self._routes.places(domain):
            envelope = Envelope(entry.sender, list(recipients), entry.parameters)
            try:
                replies = await self._client.send(host, port, envelope, entry.size, content)
            except ConnectFailed as failed:
                trouble = Reply(451, f"cannot connect to {failed}", "4.4.1")
                continue
            answered = tuple(reply._replace(text=f"{host} said: {reply.text}") for reply in replies)
            if any(reply.good or reply.lasting for reply in replies):
                return answered
        if answered is not None:
            return answered
        raise Down(trouble or Reply(451, f"no server of {domain} can be reached", "4.4.1"))


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower().removesuffix(".")
