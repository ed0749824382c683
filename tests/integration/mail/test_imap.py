"""The IMAP server on real sockets, spoken to by imaplib in threads."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.listen import StreamListener
from netsuite.mail.imap.server import ImapServer
from netsuite.mail.store import MemoryStore
from netsuite.testing.commons import make_commons

MESSAGE = (
    b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: =?utf-8?q?caf=C3=A9?= %d\r\n"
    b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <%d@example.test>\r\n\r\nHello number %d.\r\n"
)


class ImapCase(TestCase):
    timeout = 60

    def setUp(self):
        self.commons = make_commons(Path(self.mktemp()), reactor)
        self.store = MemoryStore(reactor)
        self.server = ImapServer(self.commons, self.store)
        listener = StreamListener("127.0.0.1:0", self.server.factory, self.commons, "mail.imap")
        listener.open()
        listener.accept()
        self.port = listener.port

        async def stop():
            await listener.close()
            await self.server.factory.drain(reactor.seconds() + 1)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        self.addCleanup(lambda: self.assertEqual(self.server.factory.errors, 0))
        return Deferred.fromCoroutine(self.commons.identity.add("bob", "secret"))

    @property
    def inbox(self):
        return self.store.account("bob@example.test").mailbox("INBOX")

    async def fill(self, count):
        for number in range(count):
            await self.inbox.append(MESSAGE % (number, number, number))

    def client(self):
        made = imaplib.IMAP4("127.0.0.1", self.port, timeout=20)
        made.login("bob", "secret")
        return made

    def in_thread(self, work):
        return deferToThread(work)


class Imaplib(ImapCase):
    async def test_login_select_fetch(self):
        await self.fill(3)

        def work():
            client = self.client()
            assert client.select() == ("OK", [b"3"]), client.untagged_responses
            typ, data = client.fetch("1:*", "(FLAGS UID RFC822.SIZE)")
            assert typ == "OK" and len(data) == 3, data
            typ, data = client.fetch("2", "(BODY.PEEK[HEADER.FIELDS (Subject)] ENVELOPE)")
            assert b"Subject: =?utf-8?q?caf=C3=A9?= 1\r\n\r\n" in data[0][1], data
            typ, data = client.fetch("3", "(RFC822)")
            assert data[0][1] == MESSAGE % (2, 2, 2)
            assert client.search(None, "UNSEEN") == ("OK", [b"1 2"])
            assert client.search("UTF-8", "SUBJECT", '"2"') == ("OK", [b"3"])
            client.literal = "café".encode()
            assert client.search("UTF-8", "SUBJECT") == ("OK", [b"1 2 3"])
            assert client.logout()[0] == "BYE"

        await self.in_thread(work)

    async def test_append_store_copy_expunge(self):
        def work():
            client = self.client()
            client.select()
            for number in range(4):
                typ, data = client.append(
                    "INBOX", r"(\Flagged $Label)", '"17-Jul-1996 02:44:25 -0700"', MESSAGE % ((number,) * 3)
                )
                assert typ == "OK" and re.search(rb"APPENDUID \d+ %d" % (number + 1), data[0]), data
            assert client.noop()[0] == "OK"
            assert client.fetch("1", "(INTERNALDATE FLAGS)")[1] == [
                b'1 (INTERNALDATE "17-Jul-1996 09:44:25 +0000" FLAGS ($Label \\Flagged \\Recent))'
            ]
            assert client.copy("1:2", "Archive")[0] == "OK"
            assert client.store("2,4", "+FLAGS", r"(\Deleted)")[0] == "OK"
            assert client.expunge() == ("OK", [b"4", b"2"])
            assert client.uid("SEARCH", "ALL") == ("OK", [b"1 3"])
            assert client.uid("MOVE", "3", "Trash")[0] == "OK"
            assert client.status("Trash", "(MESSAGES UIDNEXT UNSEEN)")[1] == [b"Trash (MESSAGES 1 UIDNEXT 2 UNSEEN 1)"]
            assert client.append("Nowhere", None, None, b"x")[0] == "NO"
            assert client.create("R&AOk-sum&AOk-/2026")[0] == "OK"
            names = [line.rpartition(b'"/" ')[2] for line in client.list()[1]]
            assert names[0] == b"INBOX" and b"R&AOk-sum&AOk-/2026" in names and b"R&AOk-sum&AOk-" in names, names
            assert client.rename("R&AOk-sum&AOk-", "cv")[0] == "OK"
            assert client.delete("cv/2026")[0] == "OK"
            assert client.delete("INBOX")[0] == "NO"
            assert client.close()[0] == "OK"
            client.logout()

        await self.in_thread(work)

    async def test_starttls(self):
        self.commons.certificates.server_context()

        def work():
            context = ssl.create_default_context(cafile=str(self.commons.certificates.ca_path))
            context.check_hostname = False
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=20)
            assert "STARTTLS" in client.capabilities
            assert client.starttls(context)[0] == "OK"
            assert "STARTTLS" not in client.capabilities
            assert client.login("bob@example.test", "secret")[0] == "OK"
            assert client.select()[0] == "OK"
            client.logout()

        await self.in_thread(work)

    async def test_sasl_and_wrong_passwords(self):
        def work():
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=20)
            try:
                client.login("bob", "wrong")
            except imaplib.IMAP4.error as error:
                assert "AUTHENTICATIONFAILED" in str(error)
            assert client.authenticate("PLAIN", lambda challenge: b"\0bob\0secret")[0] == "OK"
            client.logout()

        await self.in_thread(work)

    async def test_idle_tells_at_once(self):
        def work():
            idler, other = self.client(), self.client()
            idler.select()
            other.select()
            idler.send(b"x IDLE\r\n")
            assert idler.readline().startswith(b"+")
            other.append("INBOX", None, None, MESSAGE % (1, 1, 1))
            assert idler.readline() == b"* 1 EXISTS\r\n"
            idler.readline()
            other.store("1", "+FLAGS", r"(\Seen \Deleted)")
            assert b"\\Deleted \\" in idler.readline()
            other.expunge()
            assert idler.readline() == b"* 1 EXPUNGE\r\n"
            idler.send(b"DONE\r\n")
            assert idler.readline().startswith(b"x OK")
            idler.logout()
            other.logout()

        await self.in_thread(work)

    async def test_a_slow_reader_costs_one_batch(self):
        big = b"Subject: big\r\n\r\n" + b"x" * 998 * 500 + b"\r\n"
        for _ in range(60):
            await self.inbox.append(big)

        def work():
            with socket.create_connection(("127.0.0.1", self.port), 10) as client:
                client.sendall(b"a LOGIN bob secret\r\nb SELECT INBOX\r\nc FETCH 1:* BODY.PEEK[]\r\n")
                got = 0
                while True:
                    chunk = client.recv(1 << 20)
                    got += len(chunk)
                    if chunk.endswith(b"c OK fetched\r\n") or not chunk:
                        return got

        self.assertGreater(await self.in_thread(work), 60 * len(big))
