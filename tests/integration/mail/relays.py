"""A mail relay with everything real but the people: sockets, threads, files, TLS."""

from __future__ import annotations

import asyncio
import shutil
import smtplib
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netsuite.interfaces import IMailDelivery, INameResolver
from netsuite.mail.smtp.service import SmtpService
from netsuite.mail.smtp.settings import SmtpSettings
from netsuite.testing.commons import make_commons
from netsuite.testing.fakes import KnownNames


async def eventually(condition, seconds=10.0):
    """Wait until a condition holds; the test fails if it never does."""
    end = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > end:
            raise AssertionError("what was waited for did not happen")
        await deferLater(reactor, 0.01, lambda: None)


@implementer(IMailDelivery)
class Mailboxes:
    """Keeps what is delivered to those whom it knows; fails as often as it is told."""

    def __init__(self, *known):
        self.known = set(known)
        self.mail = []
        self.fails = 0

    def accepts(self, address):
        return address.lower() in self.known

    def deliver(self, message, sender, recipients, token):
        if self.fails:
            self.fails -= 1
            raise OSError("the disk is on fire")
        self.mail += [(message, sender, recipient, token) for recipient in recipients]
        return succeed(None)


class Sink:
    """aiosmtpd in a thread of its own: keeps what it is sent, refuses what it is told to refuse."""

    def __init__(self):
        from aiosmtpd.controller import Controller

        self.mail = []
        self.replies = {}
        self.sessions = []
        self.controller = Controller(self, hostname="127.0.0.1", port=0)

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = self.replies.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server, session, envelope):
        reply = self.replies.get("DATA", "250 taken")
        if reply.startswith("250"):
            self.mail.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
            self.sessions.append(id(session))
        return reply

    def start(self):
        self.loop = asyncio.new_event_loop()
        self.controller.loop = self.loop
        self.controller._thread_exception = None
        self.controller.port = free_port()
        self.controller.start()
        return self.controller.port

    def stop(self):
        self.controller.stop()


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class RelayCase(TestCase):
    """Services on ephemeral ports; everything is stopped at the end of the test."""

    timeout = 60

    def relay(self, names=None, delivery=None, data=None, records=None, users=None, **settings):
        folder = data or Path(tempfile.mkdtemp(prefix="netsuite-test-"))
        if data is None:
            self.addCleanup(shutil.rmtree, folder, True)
        settings.setdefault("listen", ["127.0.0.1:0"])
        commons = make_commons(folder, reactor)
        commons.offers.provide(INameResolver, KnownNames(names, records=records), "test")
        if delivery is not None:
            commons.offers.provide(IMailDelivery, delivery, "test")
        service = SmtpService(SmtpSettings(**settings), commons)
        service.register(commons.offers)
        service.join(commons.offers)
        service.open()
        service.startService()
        self.addCleanup(self.stop, service)
        return service

    def stop(self, service):
        return Deferred.fromCoroutine(self._stop(service))

    async def _stop(self, service):
        if service.running:
            await service.drain(reactor.seconds() + 2)
            await service.stopService()
            service.commons.identity.close()

    def sink(self):
        sink = Sink()
        sink.start()
        self.addCleanup(deferToThread, sink.stop)
        return sink

    def smtp(self, use):
        """Run ``use`` in a thread."""
        return deferToThread(use)


def client(service, submission=False, **options):
    """A connected smtplib client; call it in a thread."""
    listener = (service._submissions if submission else service._listeners)[0]
    return smtplib.SMTP(listener.host, listener.port, timeout=10, **options)
