"""The mail relay as a service of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from zope.interface import implementer

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.journal import Event
from netsuite.common.listen import StreamListener
from netsuite.common.service import NetsuiteService
from netsuite.common.storage.records import Damaged
from netsuite.common.threads import Threads
from netsuite.interfaces import Address, Health, IControlled, IMailDelivery, INameResolver, IOffers
from netsuite.mail.smtp.carrier import Carrier
from netsuite.mail.smtp.client import SmtpClient
from netsuite.mail.smtp.queue import MailQueue, QueueLimits
from netsuite.mail.smtp.queued import Entry
from netsuite.mail.smtp.routes import Place, Routes, parse_route
from netsuite.mail.smtp.schedule import Retries
from netsuite.mail.smtp.server import SmtpPolicy, SmtpServer
from netsuite.mail.smtp.settings import SmtpSettings
from netsuite.mail.smtp.wire.server import SmtpLimits

__all__ = ["SmtpService", "build"]

_LISTED = 1000


@implementer(IControlled)
class SmtpService(NetsuiteService):
    """Relay and submission listeners, and the queue behind them; answers ``netsuite queue``."""

    workers = "one"

    def __init__(self, settings: SmtpSettings, commons: Commons) -> None:
        super().__init__("smtp", commons)
        self.settings = settings
        self._delivery: IMailDelivery | None = None
        self._resolver: INameResolver | None = None
        name = settings.hostname or f"mail.{commons.identity.domain}"
        self._commits = Threads(commons.reactor, "queue journal", most=1, waiting=64)
        self._files = Threads(commons.reactor, "queue files", most=4, waiting=100_000)
        self._record = commons.journal.kind("mail", ("event", "id", "address", "detail"), _line)
        domains = frozenset(settings.domains)
        self.routes = Routes(
            dict(map(parse_route, settings.route)),
            self._resolve,
            commons.rng,
            name=name,
            port=settings.relay_port,
            own=self._own_places,
            guarded=commons.access.guards_private([*settings.listen, *settings.submission]),
        )
        self._domains = domains
        policy = SmtpPolicy(
            name,
            domains,
            frozenset(settings.relay_domains),
            lambda: self._delivery,
            settings.postmaster,
            SmtpLimits(
                message=settings.message_size,
                recipients=settings.recipients,
                command_time=settings.command_time,
                content_time=settings.content_time,
            ),
        )
        self.client = SmtpClient(commons, name, tls=lambda: commons.certificates.client_context(verify=False))
        self.queue = MailQueue(
            commons,
            commons.data.at("queue"),
            Carrier(self.client, self.routes, domains, lambda: self._delivery),
            name=name,
            commit=self._commits.run,
            run=self._files.run,
            later=partial(commons.reactor.callLater, 0),
            retries=Retries(settings.retry_first, settings.retry_longest, settings.give_up),
            limits=QueueLimits(
                messages=settings.queue_messages,
                deliveries=settings.deliveries,
                per_destination=settings.deliveries_per_destination,
            ),
            record=self._record,
        )
        rule = commons.access.rule(settings.allow)
        concurrency = commons.access.concurrency(settings.connections, settings.connections_per_address)
        self.relay, self.submission = (
            SmtpServer(commons, policy, self.queue, submission=submission, rule=rule, concurrency=concurrency)
            for submission in (False, True)
        )
        self._listeners = [StreamListener(text, self.relay.factory, commons, "smtp.listen") for text in settings.listen]
        self._submissions = [
            StreamListener(text, self.submission.factory, commons, "smtp.submission") for text in settings.submission
        ]
        self._measure()

    def register(self, offers: IOffers) -> None:
        """Offer the queue to the ``netsuite`` command."""
        offers.provide(IControlled, self, "queue")

    def join(self, offers: IOffers) -> None:
        """Take the store and the resolver."""
        self._delivery = offers.find(IMailDelivery)
        self._resolver = offers.find(INameResolver)

    def check(self) -> None:
        """Mail for own domains needs a place to go to."""
        if self._domains and self._delivery is None:
            raise StartError(
                f"smtp.domains: mail for {min(self._domains)} has nowhere to go; add a [mail] table, or name the "
                "domain in smtp.relay_domains and smtp.route"
            )

    def open(self) -> None:
        """Read the queue, bind and listen."""
        self.check()
        self.commons.identity.open()
        self.commons.data.folder()
        self.commons.data.lock("queue")
        try:
            self.queue.open()
        except (OSError, Damaged) as problem:
            raise StartError(f"the mail queue cannot be opened: {problem}") from problem
        for listener in (*self._listeners, *self._submissions):
            listener.open()

    def startService(self) -> None:
        """Accept, and go on with what waits."""
        super().startService()
        self.queue.start()
        for listener in (*self._listeners, *self._submissions):
            listener.accept()

    def stopService(self) -> Deferred[None] | None:
        """Close the queue."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def addresses(self) -> Sequence[Address]:
        """Where mail is taken."""
        found = []
        someone = f"alice@{min(self._domains)}" if self._domains else "postmaster@example.test"
        for listener in self._listeners:
            where = f"{listener.host}:{listener.port}"
            hint = f"swaks --server {where} --to {someone}"
            found.append(Address("smtps" if listener.secure else "smtp", listener.host, listener.port, hint))
        for listener in self._submissions:
            tls = "--tls-on-connect" if listener.secure else "--tls"
            hint = f"swaks --server {listener.host}:{listener.port} {tls} --auth-user {someone} --to {someone}"
            kind = "submissions" if listener.secure else "submission"
            found.append(Address(kind, listener.host, listener.port, hint))
        return found

    def health(self) -> Health:
        """Well while it runs and the queue can write."""
        if not self.running:
            return Health(False, "not running")
        if self.queue.broken:
            return Health(False, self.queue.broken)
        return Health(True)

    def figures(self) -> Sequence[tuple[str, float]]:
        """What came, what went, what waits."""
        queue = self.queue
        return (
            ("messages taken", self.relay.messages + self.submission.messages),
            ("delivered to recipients", queue.delivered),
            ("put off", queue.deferred),
            ("failed", queue.failed),
            ("in the queue", len(queue.entries)),
            ("connections", len(self.relay.factory.adapters) + len(self.submission.factory.adapters)),
        )

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more; messages that are coming in are taken, deliveries under way ended."""
        return Deferred.fromCoroutine(self._drain(deadline))

    # -- IControlled

    async def asked(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``netsuite queue list | show | flush``."""
        do, ident = request.get("do"), request.get("id")
        queue = self.queue
        if ident is not None and ident not in queue.entries:
            raise StartError(f"{str(ident)[:40]}: no such message waits")
        if do == "list":
            some = sorted(queue.entries.values(), key=lambda entry: entry.arrived)[:_LISTED]
            return {"count": len(queue.entries), "messages": [self._told(entry) for entry in some]}
        if do == "show" and ident is not None:
            entry = queue.entries[ident]
            header = (await queue.spool.read(ident))[:65536].partition(b"\r\n\r\n")[0]
            return {"message": self._told(entry), "header": header.decode("utf-8", "replace")}
        if do == "flush":
            return {"count": queue.flush(ident)}
        raise StartError("ask the queue to list, show or flush")

    def _told(self, entry: Entry) -> dict[str, Any]:
        return {**entry.described(), "under_way": self.queue.under_way(entry.id)}

    # -- inside

    def _resolve(self) -> INameResolver:
        if self._resolver is None:
            raise StartError("nobody finds names: add a [resolver], or set common.resolver")
        return self._resolver

    def _own_places(self) -> set[Place]:
        """Where this server takes mail from others."""
        return {(listener.host, listener.port) for listener in self._listeners}

    def _measure(self) -> None:
        queue, metrics = self.queue, self.commons.metrics
        metrics.add(
            "netsuite_smtp_messages",
            "Messages taken over.",
            "counter",
            lambda: {("relay",): self.relay.messages, ("submission",): self.submission.messages},
            labels=("listener",),
        )
        metrics.add("netsuite_smtp_queue", "Messages that wait.", "gauge", lambda: len(queue.entries))
        metrics.add(
            "netsuite_smtp_recipients",
            "What became of recipients, by outcome of each attempt.",
            "counter",
            lambda: {("delivered",): queue.delivered, ("deferred",): queue.deferred, ("failed",): queue.failed},
            labels=("outcome",),
        )

    async def _drain(self, deadline: float) -> None:
        for listener in (*self._listeners, *self._submissions):
            await listener.close()
        await gatherResults([each.factory.drain(deadline) for each in (self.relay, self.submission)])
        await self.queue.stop()

    async def _stop(self) -> None:
        self.client.abort()
        self.queue.stop()
        await self.queue.close()
        self._files.close()
        self._commits.close()
        self.commons.data.release("queue")


def _line(event: Event) -> str:
    time, what, ident, address, detail = event
    when = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    return f"{when} {what} {ident} <{address}> {detail}"


def build(settings: SmtpSettings, commons: Commons) -> SmtpService:
    """The ``[smtp]`` table's service."""
    return SmtpService(settings, commons)
