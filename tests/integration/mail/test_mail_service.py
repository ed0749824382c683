"""The mail service as a site has it: doors, figures, metrics, health, locks, drain."""

from __future__ import annotations

import poplib
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.interfaces import IMailDelivery
from netsuite.mail.service import build
from netsuite.mail.settings import MailSettings
from netsuite.mail.store import UnknownRecipient
from netsuite.testing.commons import make_commons

NAME = "bob@example.test"
TEXT = b"Subject: a\r\n\r\ntext\r\n"


class MailServiceCase(TestCase):
    timeout = 30

    async def setUp(self):
        self.data = Path(self.mktemp())
        self.commons = make_commons(self.data, reactor)
        await self.commons.identity.add(NAME, "secret")

    def started(self, commons=None, **options):
        options = {"imap": ["127.0.0.1:0", "secure:127.0.0.1:0"], "pop3": ["127.0.0.1:0"], **options}
        service = build(MailSettings.model_validate(options), commons or self.commons)
        service.register(self.commons.offers)
        service.check()
        service.open()
        service.startService()
        return service

    async def stopped(self, service):
        await service.drain(reactor.seconds() + 1)
        await service.stopService()

    def read_first(self, service):
        client = poplib.POP3("127.0.0.1", service.addresses()[2].port, timeout=10)
        client.user(NAME)
        client.pass_("secret")
        lines = client.retr(1)[1]
        client.quit()
        return b"\r\n".join([*lines, b""])

    async def test_what_is_delivered_is_read_and_survives_a_restart(self):
        service = self.started()
        delivery = self.commons.offers.find(IMailDelivery)
        self.assertTrue(delivery.accepts("Bob@Example.Test"))
        self.assertFalse(delivery.accepts("nobody@example.test"))
        await delivery.deliver(TEXT, "a@else.test", [NAME], "one")
        await self.assertFailure(
            Deferred.fromCoroutine(delivery.deliver(TEXT, "", ["nobody@example.test"], "two")), UnknownRecipient
        )
        self.assertEqual(await deferToThread(self.read_first, service), TEXT)
        self.assertTrue(service.health().ok)
        self.assertEqual(dict(service.figures())["messages read by POP3"], 1)
        exposition = self.commons.metrics.exposition()
        self.assertIn(b'netsuite_pop3_messages_total{what="read"} 1.0', exposition)
        self.assertIn(b'netsuite_mail_accepted_total{protocol="pop3"} 1.0', exposition)
        await self.stopped(service)
        self.assertFalse(service.health().ok)
        again = self.started(make_commons(self.data, reactor))
        self.assertEqual([entry.size for entry in again.store.account(NAME).mailbox("INBOX").messages], [len(TEXT)])
        await self.stopped(again)

    async def test_where_it_is(self):
        service = self.started()
        self.assertEqual([each.kind for each in service.addresses()], ["imap", "imaps", "pop3"])
        self.assertIn("-u alice@example.test imap://127.0.0.1:", service.addresses()[0].hint)
        self.assertIn("--cacert", service.addresses()[1].hint)
        await self.stopped(service)

    async def test_one_process_owns_the_store(self):
        service = self.started()
        with self.assertRaisesRegex(StartError, "is in use by process"):
            self.started(make_commons(self.data, reactor))
        await self.stopped(service)

    async def test_a_drain_lets_nobody_in_and_ends_those_who_wait(self):
        service = self.started()
        port = service.addresses()[2].port
        client = await deferToThread(poplib.POP3, "127.0.0.1", port, 10)
        await service.drain(reactor.seconds() + 5)
        with self.assertRaises((poplib.error_proto, OSError)):
            await deferToThread(client.noop)
        client.close()
        with self.assertRaises(OSError):
            await deferToThread(poplib.POP3, "127.0.0.1", port, 10)
        await service.stopService()

    async def test_limits_are_kept(self):
        service = self.started(connections_per_address=1)
        port = service.addresses()[2].port
        first = await deferToThread(poplib.POP3, "127.0.0.1", port, 10)
        with self.assertRaises((poplib.error_proto, OSError)):
            await deferToThread(poplib.POP3, "127.0.0.1", port, 10)
        await deferToThread(first.quit)
        await self.stopped(service)
