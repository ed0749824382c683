"""The relay on real sockets: from smtplib by server and queue to aiosmtpd, and into mailboxes."""

from __future__ import annotations

import email
import smtplib
import ssl

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from netsuite.common.errors import StartError
from netsuite.mail.smtp.trace import MOST_HOPS
from tests.integration.mail.relays import Mailboxes, RelayCase, client, eventually

MESSAGE = "From: alice@example.test\r\nSubject: hello\r\n\r\nHow are you?\r\n.\r\n..dots\r\n"
WIRE = MESSAGE.encode()


def coroutine(function):
    """A test that is a coroutine."""

    def test(self):
        return Deferred.fromCoroutine(function(self))

    test.__name__, test.__doc__ = function.__name__, function.__doc__
    return test


def refusal(call, *arguments):
    """The code and text that smtplib is refused with."""
    try:
        call(*arguments)
    except smtplib.SMTPResponseException as error:
        return error.smtp_code, error.smtp_error.decode()
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        return code, text.decode()
    raise AssertionError("it was not refused")


class Relay(RelayCase):
    @coroutine
    async def test_from_client_by_queue_to_the_next_server(self):
        sink = self.sink()
        service = self.relay(relay_domains=["b.test"], route=[f"b.test=127.0.0.1:{sink.controller.port}"])

        def send():
            with client(service) as smtp:
                assert smtp.sendmail("alice@a.test", ["bob@b.test", "carol@b.test"], MESSAGE) == {}

        await self.smtp(send)
        await eventually(lambda: sink.mail and not service.queue.entries)
        sender, recipients, content = sink.mail[0]
        assert (sender, recipients) == ("alice@a.test", ["bob@b.test", "carol@b.test"])
        assert content.endswith(WIRE)
        received = email.message_from_bytes(content)["Received"]
        assert "by mail.example.test with ESMTP id" in received
        assert "([127.0.0.1])" in received

    @coroutine
    async def test_into_mailboxes_once(self):
        boxes = Mailboxes("bob@example.test")
        service = self.relay(delivery=boxes, domains=["example.test"])

        def send():
            with client(service) as smtp:
                smtp.sendmail("alice@a.test", ["Bob@Example.Test"], MESSAGE)
                assert refusal(smtp.sendmail, "alice@a.test", ["nobody@example.test"], MESSAGE) == (
                    550,
                    "5.1.1 no such user here",
                )

        await self.smtp(send)
        await eventually(lambda: boxes.mail and not service.queue.entries)
        ((message, sender, recipient, _),) = boxes.mail
        assert message.startswith(b"Return-Path: <alice@a.test>\r\nReceived: from ")
        assert (sender, recipient) == ("alice@a.test", "Bob@Example.Test")

    @coroutine
    async def test_postmaster_is_somebody(self):
        boxes = Mailboxes("alice@example.test")
        service = self.relay(delivery=boxes, domains=["example.test"], postmaster="alice@example.test")
        nobody = self.relay(delivery=boxes, domains=["example.test"])

        def send():
            with client(service) as smtp:
                smtp.ehlo()
                for recipient in ("Postmaster", "postmaster@Example.Test"):
                    smtp.mail("")
                    assert smtp.docmd(f"RCPT TO:<{recipient}>")[0] == 250
                    assert smtp.data(MESSAGE)[0] == 250
            with client(nobody) as smtp:
                smtp.ehlo()
                smtp.mail("")
                assert smtp.docmd("RCPT TO:<postmaster>")[0] == 550

        await self.smtp(send)
        await eventually(lambda: [each[2] for each in boxes.mail] == ["alice@example.test"] * 2)

    @coroutine
    async def test_no_open_relay_not_even_for_loopback(self):
        service = self.relay(delivery=Mailboxes("bob@example.test"), domains=["example.test"])
        tricks = [
            "x@elsewhere.test",
            "x%elsewhere.test@unknown.test",
            '"x@elsewhere.test"@unknown.test',
            "x@[127.0.0.1]",
            "@example.test:x@elsewhere.test",
            "x@example.test.elsewhere.test",
        ]

        def send():
            with client(service) as smtp:
                for trick in tricks:
                    smtp.ehlo()
                    smtp.mail("x@example.test")
                    code, text = smtp.docmd(f"RCPT TO:<{trick}>")
                    assert (code, text[:5]) == (550, b"5.7.1"), (trick, code, text)

        await self.smtp(send)

    @coroutine
    async def test_mx_in_order_with_one_that_is_down(self):
        sink = self.sink()
        records = {("b.test", "MX"): ["20 good.b.test.", "10 bad.b.test."]}
        names = {"bad.b.test": ["127.0.0.9"], "good.b.test": ["127.0.0.1"]}
        service = self.relay(
            names, records=records, relay_domains=["b.test"], relay_port=sink.controller.port, delivery=None
        )

        def send():
            with client(service) as smtp:
                smtp.sendmail("alice@a.test", ["bob@b.test"], MESSAGE)

        await self.smtp(send)
        await eventually(lambda: len(sink.mail) == 1 and not service.queue.entries)

    @coroutine
    async def test_one_connection_for_several_messages(self):
        sink = self.sink()
        service = self.relay(relay_domains=["b.test"], route=[f"b.test=127.0.0.1:{sink.controller.port}"])

        def send():
            with client(service) as smtp:
                smtp.sendmail("alice@a.test", ["bob@b.test"], MESSAGE)

        for count in range(1, 5):
            await self.smtp(send)
            await eventually(lambda count=count: len(sink.mail) == count and not service.queue.entries)
        assert service.client.connected == 1

    @coroutine
    async def test_a_refusal_comes_back_as_a_report(self):
        sink = self.sink()
        sink.replies["bad@b.test"] = "550 5.1.1 who is that"
        boxes = Mailboxes("alice@example.test")
        route = [f"b.test=127.0.0.1:{sink.controller.port}"]
        service = self.relay(delivery=boxes, domains=["example.test"], relay_domains=["b.test"], route=route)

        def send():
            with client(service) as smtp:
                smtp.sendmail("alice@example.test", ["bad@b.test", "good@b.test"], MESSAGE)

        await self.smtp(send)
        await eventually(lambda: boxes.mail and sink.mail and not service.queue.entries)
        assert sink.mail[0][1] == ["good@b.test"]
        report, sender, recipient, _ = boxes.mail[0]
        assert (sender, recipient) == ("", "alice@example.test")
        assert b"Final-Recipient: rfc822; bad@b.test" in report
        assert b"who is that" in report

    @coroutine
    async def test_what_waits_survives_a_restart_and_is_shown(self):
        sink = self.sink()
        sink.replies["DATA"] = "451 4.3.0 later"
        settings = {"relay_domains": ["b.test"], "route": [f"b.test=127.0.0.1:{sink.controller.port}"]}
        service = self.relay(**settings)

        def send(big):
            with client(service) as smtp:
                smtp.sendmail("alice@a.test", ["bob@b.test"], MESSAGE + "x" * 70 + "\r\n" + big)

        await self.smtp(lambda: send(""))
        await self.smtp(lambda: send(("y" * 70 + "\r\n") * 5000))
        await eventually(lambda: [e.attempts for e in service.queue.entries.values()] == [1, 1])
        listed = await service.asked({"do": "list"})
        assert listed["count"] == 2
        assert "451 4.3.0 127.0.0.1 said: later" in listed["messages"][0]["recipients"][0][2]
        ident = listed["messages"][1]["id"]
        shown = await service.asked({"do": "show", "id": ident})
        assert "Subject: hello" in shown["header"]
        await self._stop(service)
        sink.replies.clear()
        after = self.relay(data=service.commons.data.path, **settings)
        assert len(after.queue.entries) == 2
        assert (await after.asked({"do": "flush", "id": ident}))["count"] == 1
        await eventually(lambda: len(sink.mail) == 1)
        assert sink.mail[0][2].endswith(("y" * 70 + "\r\n").encode() * 5000)
        await after.asked({"do": "flush"})
        await eventually(lambda: len(sink.mail) == 2 and not after.queue.entries)
        await eventually(lambda: list((service.commons.data.path / "queue/spool").iterdir()) == [])
        with self.assertRaises(StartError):
            await after.asked({"do": "show", "id": "nonsense"})

    @coroutine
    async def test_limits_and_loops(self):
        service = self.relay(relay_domains=["b.test"], route=["b.test=127.0.0.1:1"], message_size=1000, recipients=2)

        def send():
            with client(service) as smtp:
                assert refusal(smtp.sendmail, "a@a.test", ["b@b.test"], "x" * 2000)[0] == 552
                hops = "Received: somewhere\r\n" * (MOST_HOPS + 1)
                with client(service) as other:
                    other.ehlo()
                    other.mail("a@a.test")
                    assert [other.rcpt(f"{n}@b.test")[0] for n in range(3)] == [250, 250, 452]
                    assert other.data(hops[:900])[0] == 250
            return hops

        await self.smtp(send)
        assert service.relay.messages == 1

    @coroutine
    async def test_a_loop_is_refused(self):
        service = self.relay(relay_domains=["b.test"], route=["b.test=127.0.0.1:1"])

        def send():
            with client(service) as smtp:
                hops = "Received: somewhere\r\n" * (MOST_HOPS + 1)
                assert refusal(smtp.sendmail, "a@a.test", ["b@b.test"], hops + MESSAGE)[0] == 554

        await self.smtp(send)
        assert not service.queue.entries

    @coroutine
    async def test_a_message_that_breaks_off_leaves_nothing(self):
        service = self.relay(relay_domains=["b.test"], route=["b.test=127.0.0.1:1"])

        def send():
            smtp = client(service)
            smtp.ehlo()
            smtp.mail("a@a.test")
            smtp.rcpt("b@b.test")
            smtp.putcmd("data")
            smtp.getreply()
            smtp.sock.sendall(b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 5000)
            smtp.sock.close()

        await self.smtp(send)
        folder = service.commons.data.path / "queue/spool"
        await eventually(lambda: not service.relay.factory.adapters and list(folder.iterdir()) == [])
        assert not service.queue.entries

    def test_own_domains_need_a_store(self):
        with self.assertRaises(StartError) as caught:
            self.relay(domains=["example.test"])
        assert "[mail]" in str(caught.exception)

    @coroutine
    async def test_a_server_that_falls_silent_or_breaks_off(self):
        class Rude(Protocol):
            def connectionMade(self):
                self.transport.write(b"220 rude\r\n")

            def dataReceived(self, data):
                if b"DATA" in data:
                    self.transport.abortConnection()
                else:
                    self.transport.write(b"250 ok\r\n")

        factory = Factory.forProtocol(Rude)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        service = self.relay(relay_domains=["b.test"], route=[f"b.test=127.0.0.1:{port.getHost().port}"])

        def send():
            with client(service) as smtp:
                smtp.sendmail("alice@a.test", ["bob@b.test"], MESSAGE)

        await self.smtp(send)
        await eventually(lambda: [e.attempts for e in service.queue.entries.values()] == [1])
        (entry,) = service.queue.entries.values()
        assert "the connection was lost" in entry.recipients[0].said


class Submission(RelayCase):
    def setUp(self):
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    async def ready(self, **settings):
        self.boxes = Mailboxes("alice@example.test", "bob@example.test")
        service = self.relay(
            delivery=self.boxes, domains=["example.test"], submission=["127.0.0.1:0", "secure:127.0.0.1:0"], **settings
        )
        await service.commons.identity.add("alice", "secret")
        return service

    @coroutine
    async def test_a_user_hands_in_under_starttls(self):
        service = await self.ready()

        def send():
            with client(service, submission=True) as smtp:
                assert refusal(smtp.sendmail, "alice@example.test", ["bob@example.test"], MESSAGE)[0] == 530
                smtp.starttls(context=self.context)
                smtp.login("alice", "secret")
                assert refusal(smtp.sendmail, "bob@example.test", ["bob@example.test"], MESSAGE)[0] == 553
                smtp.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)

        await self.smtp(send)
        await eventually(lambda: self.boxes.mail)
        message = email.message_from_bytes(self.boxes.mail[0][0])
        assert message["Date"]
        assert message["Message-ID"].endswith("@mail.example.test>")
        assert "with ESMTPSA" in message["Received"]

    @coroutine
    async def test_implicit_tls_and_every_mechanism(self):
        service = await self.ready()
        listener = service._submissions[1]

        def send():
            for mechanism in ("PLAIN", "LOGIN"):
                with smtplib.SMTP_SSL(listener.host, listener.port, timeout=10, context=self.context) as smtp:
                    smtp.ehlo()
                    smtp.user, smtp.password = "alice", "secret"
                    assert smtp.auth(mechanism, getattr(smtp, f"auth_{mechanism.lower()}"))[0] == 235
                    smtp.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)
            with smtplib.SMTP_SSL(listener.host, listener.port, timeout=10, context=self.context) as smtp:
                assert refusal(smtp.login, "alice", "wrong")[0] == 535

        await self.smtp(send)
        await eventually(lambda: len(self.boxes.mail) == 2)

    @coroutine
    async def test_a_user_may_relay_also_at_the_relay_port(self):
        sink = self.sink()
        service = await self.ready(route=[f"b.test=127.0.0.1:{sink.controller.port}"])

        def send():
            with client(service) as smtp:
                smtp.login("alice", "secret")
                smtp.sendmail("alice@example.test", ["x@b.test"], MESSAGE)

        await self.smtp(send)
        await eventually(lambda: sink.mail)

    @coroutine
    async def test_between_two_of_us_under_starttls(self):
        boxes = Mailboxes("bob@b.test")
        other = self.relay(delivery=boxes, domains=["b.test"], hostname="mx.b.test")
        service = await self.ready(route=[f"b.test=127.0.0.1:{other._listeners[0].port}"])

        def send():
            with client(service) as smtp:
                smtp.login("alice", "secret")
                smtp.sendmail("alice@example.test", ["bob@b.test"], MESSAGE)

        await self.smtp(send)
        await eventually(lambda: boxes.mail)
        assert service.client.secured == 1
        assert b"with ESMTPS (TLSv1.3)" in boxes.mail[0][0]
