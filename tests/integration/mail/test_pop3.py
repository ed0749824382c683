"""The POP3 server on real sockets, spoken to by poplib, curl and fetchmail."""

from __future__ import annotations

import base64
import os
import poplib
import shutil
import socket
import subprocess
from pathlib import Path
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.listen import StreamListener
from netsuite.mail.pop3.server import Pop3Server
from netsuite.mail.store import MemoryStore
from netsuite.sansio.connection import Channel
from netsuite.testing.commons import make_commons

TEXT = b"From: alice@example.test\r\nSubject: number %d\r\n\r\n.dots\r\n..\r\nend\r\n"
NAME, PASSWORD = "bob@example.test", "secret"


class Pop3Case(TestCase):
    timeout = 60

    async def setUp(self):
        self.commons = make_commons(Path(self.mktemp()), reactor)
        self.store = MemoryStore(reactor)
        self.server = Pop3Server(self.commons, self.store)
        self.port, self.secure_port = self.listen(""), self.listen("secure:")
        self.addCleanup(self.done)
        await self.commons.identity.add(NAME, PASSWORD)

    async def done(self):
        await self.server.factory.drain(reactor.seconds() + 1)
        self.assertEqual(self.server.factory.errors, 0)

    def listen(self, kind):
        listener = StreamListener(f"{kind}127.0.0.1:0", self.server.factory, self.commons, "mail.pop3")
        listener.open()
        listener.accept()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.closed(listener)))
        return listener.port

    async def closed(self, listener):
        await listener.close()

    @property
    def inbox(self):
        return self.store.account(NAME).mailbox("INBOX")

    @property
    def context(self):
        return self.commons.certificates.client_context(verify=False)

    async def fill(self, count):
        for number in range(1, count + 1):
            await self.inbox.append(TEXT % number)

    def client(self):
        made = poplib.POP3("127.0.0.1", self.port, timeout=10)
        made.user(NAME)
        made.pass_(PASSWORD)
        return made

    def run_program(self, *command, **more):
        if shutil.which(command[0]) is None:
            raise SkipTest(f"{command[0]} is not installed")
        return subprocess.run(command, capture_output=True, timeout=30, check=False, stdin=subprocess.DEVNULL, **more)


class Poplib(Pop3Case):
    async def test_a_whole_session(self):
        await self.fill(3)

        def work():
            client = self.client()
            self.assertEqual(client.stat(), (3, 3 * len(TEXT % 1)))
            self.assertEqual(client.list()[1], [b"%d %d" % (n, len(TEXT % 1)) for n in (1, 2, 3)])
            names = client.uidl()[1]
            self.assertEqual(len({line.split()[1] for line in names}), 3)
            self.assertEqual(b"\r\n".join(client.retr(2)[1]) + b"\r\n", TEXT % 2)
            self.assertEqual(client.top(3, 1)[1][-2:], [b"", b".dots"])
            client.dele(1)
            self.assertEqual(client.stat()[0], 2)
            self.assertEqual(len(self.inbox.messages), 3)
            client.quit()
            again = self.client()
            self.assertEqual([line.split()[1] for line in again.uidl()[1]], [line.split()[1] for line in names[1:]])
            again.quit()

        await deferToThread(work)
        self.assertEqual(
            [(entry.uid, sorted(entry.flags)) for entry in self.inbox.messages], [(2, ["\\Seen"]), (3, [])]
        )
        maildrops = self.server.maildrops
        self.assertEqual((maildrops.logins, maildrops.retrieved, maildrops.deleted), (2, 1, 1))

    async def test_nothing_is_deleted_without_quit(self):
        await self.fill(2)

        def work():
            client = self.client()
            client.dele(1)
            client.close()
            again = self.until_let_in()
            self.assertEqual(again.stat()[0], 2)
            again.quit()

        await deferToThread(work)

    def until_let_in(self):
        """The maildrop is free a moment after its last holder is gone."""
        for _ in range(200):
            try:
                return self.client()
            except poplib.error_proto as error:
                assert b"[IN-USE]" in error.args[0], error
        raise AssertionError("the maildrop stays locked")

    async def test_one_session_a_maildrop(self):
        def work():
            first = self.client()
            with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
                self.client()
            first.quit()
            self.client().quit()

        await deferToThread(work)

    async def test_a_wrong_password(self):
        def work():
            client = poplib.POP3("127.0.0.1", self.port, timeout=10)
            client.user(NAME)
            with self.assertRaisesRegex(poplib.error_proto, r"-ERR \[AUTH\]"):
                client.pass_("guess")
            client.user("nobody")
            with self.assertRaisesRegex(poplib.error_proto, r"-ERR \[AUTH\]"):
                client.pass_(PASSWORD)
            client.quit()

        await deferToThread(work)

    async def test_stls_and_implicit_tls(self):
        await self.fill(1)

        def work():
            client = poplib.POP3("127.0.0.1", self.port, timeout=10)
            self.assertIn("STLS", client.capa())
            client.stls(self.context)
            self.assertNotIn("STLS", client.capa())
            client.user(NAME)
            client.pass_(PASSWORD)
            self.assertEqual(client.stat()[0], 1)
            client.quit()
            secure = poplib.POP3_SSL("127.0.0.1", self.secure_port, timeout=10, context=self.context)
            secure.user(NAME)
            secure.pass_(PASSWORD)
            self.assertEqual(secure.retr(1)[1][1], b"Subject: number 1")
            secure.quit()

        await deferToThread(work)

    async def test_a_message_of_many_pieces(self):
        text = b"Subject: big\r\n\r\n" + b".0123456789abcde\r\n" * 60_000
        await self.inbox.append(text)

        def work():
            client = self.client()
            client.sock.settimeout(30)
            self.assertEqual(b"\r\n".join(client.retr(1)[1]) + b"\r\n", text)
            self.assertEqual(len(client.top(1, 50_000)[1]), 50_002)
            self.assertEqual(client.stat()[0], 1)
            client.quit()

        await deferToThread(work)

    async def test_what_another_client_deleted(self):
        await self.fill(2)

        def before():
            client = self.client()
            client.stat()
            return client

        client = await deferToThread(before)
        await self.inbox.expunge([1])

        def after():
            with self.assertRaisesRegex(poplib.error_proto, "another client has deleted it"):
                client.retr(1)
            client.dele(1)
            client.dele(2)
            client.quit()

        await deferToThread(after)
        self.assertEqual(len(self.inbox.messages), 0)

    async def test_later_mail_waits_for_the_next_session(self):
        await self.fill(1)
        client = await deferToThread(self.client)
        await self.fill(1)
        self.assertEqual((await deferToThread(client.stat))[0], 1)
        await deferToThread(client.quit)


class Wire(Pop3Case):
    def talk(self, text, port=None):
        with socket.create_connection(("127.0.0.1", port or self.port), 10) as made:
            made.sendall(text)
            made.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: made.recv(65536), b""))

    async def test_all_commands_in_one_segment(self):
        await self.fill(2)
        said = await deferToThread(
            self.talk, b"USER bob\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nLIST\r\nQUIT\r\nNOOP\r\n"
        )
        lines = said.split(b"\r\n")
        self.assertEqual(
            lines[:4], [b"+OK netsuite POP3", b"+OK", b"+OK 2 messages", b"+OK 2 %d" % (2 * len(TEXT % 1))]
        )
        self.assertEqual(lines[-7:], [b".", b"+OK", b"+OK", b"2 %d" % len(TEXT % 1), b".", b"+OK", b""])
        self.assertEqual([entry.uid for entry in self.inbox.messages], [2])

    async def test_sasl(self):
        plain = base64.b64encode(b"\0bob\0secret")
        said = await deferToThread(self.talk, b"AUTH PLAIN " + plain + b"\r\nSTAT\r\nQUIT\r\n")
        self.assertIn(b"+OK 0 0\r\n", said)
        said = await deferToThread(self.talk, b"AUTH PLAIN\r\n" + plain + b"\r\nSTAT\r\nQUIT\r\n")
        self.assertIn(b"+ \r\n+OK 0 messages\r\n+OK 0 0\r\n", said)
        said = await deferToThread(self.talk, b"AUTH PLAIN AGEAYg==\r\nQUIT\r\n")
        self.assertIn(b"-ERR [AUTH] ", said)

    def test_no_password_from_elsewhere_without_tls(self):
        for tls, allowed in ((None, False), (object(), True)):
            machine = self.server.connection(Channel(("192.0.2.1", 110), ("192.0.2.9", 5000), tls))
            machine.outgoing()
            machine.receive(b"CAPA\r\nUSER bob\r\n", reactor.seconds())
            machine.next_event()
            said = b"".join(machine.outgoing())
            self.assertEqual(b"\r\nUSER\r\n" in said, allowed)
            self.assertEqual(b"PLAIN" in said, allowed)
            self.assertEqual(said.endswith(b"+OK\r\n"), allowed)


class Programs(Pop3Case):
    async def test_curl(self):
        await self.fill(2)
        login = ("curl", "-s", "-S", "-k", "-m", "10", "-u", f"{NAME}:{PASSWORD}")
        listed = await deferToThread(self.run_program, *login, f"pop3://127.0.0.1:{self.port}/")
        self.assertEqual(listed.stdout.split(), [b"1", b"63", b"2", b"63"], listed.stderr)
        got = await deferToThread(self.run_program, *login, "--ssl-reqd", f"pop3://127.0.0.1:{self.port}/2")
        self.assertEqual(got.stdout, TEXT % 2, got.stderr)
        got = await deferToThread(self.run_program, *login, f"pop3s://127.0.0.1:{self.secure_port}/1")
        self.assertEqual(got.stdout, TEXT % 1, got.stderr)
        scram = await deferToThread(
            self.run_program, *login, "--login-options", "AUTH=SCRAM-SHA-256", f"pop3://127.0.0.1:{self.port}/"
        )
        if b"not supported" not in scram.stderr and scram.returncode != 67:
            self.assertEqual(scram.stdout, listed.stdout, scram.stderr)

    async def test_fetchmail(self):
        await self.fill(3)
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        control = folder / "fetchmailrc"
        control.write_text(
            f'poll 127.0.0.1 service {self.port} protocol pop3 user "{NAME}" password "{PASSWORD}" '
            f'sslproto "" fetchall mda "cat >> mail.txt"\n'
        )
        control.chmod(0o600)
        environment = {**os.environ, "FETCHMAILHOME": str(folder), "HOME": str(folder)}
        done = await deferToThread(
            self.run_program, "fetchmail", "-f", control.name, "--nosyslog", cwd=folder, env=environment
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        got = (folder / "mail.txt").read_text()
        subjects = [line for line in got.splitlines() if line.startswith("Subject")]
        self.assertEqual(subjects, [f"Subject: number {number}" for number in (1, 2, 3)])
        self.assertEqual(got.count("\n.dots\n..\nend\n"), 3)
        self.assertEqual(len(self.inbox.messages), 0)
