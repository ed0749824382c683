"""Mail from end to end, by clients that no one here wrote: handed in, relayed by MX, read; and kept through kill -9."""

from __future__ import annotations

import collections
import contextlib
import imaplib
import os
import poplib
import random
import re
import shutil
import signal
import smtplib
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from netsuite.testing.site import RunningSite, site
from tests.system.running import NETSUITE, PATIENCE, Running, call, connection, environment, folder, free_port, until

ROUNDS = 3
SENDERS = 4


def passwords(data: Path) -> dict[str, str]:
    """What the built-in site keeps of its first run."""
    lines = (data / "first-run.txt").read_text().splitlines()
    return {name: password for name, _, password in (line.partition(" ") for line in lines)}


def trusting(data: Path) -> ssl.SSLContext:
    """The clients' side of TLS, checked against the site's own authority."""
    return ssl.create_default_context(cafile=str(data / "ca.pem"))


def hand_in(port: int, context: ssl.SSLContext, name: str, password: str, recipient: str, subject: str) -> None:
    """Submission with STARTTLS and AUTH."""
    with smtplib.SMTP("localhost", port, timeout=PATIENCE) as client:
        client.starttls(context=context)
        client.login(name, password)
        client.sendmail(name, [recipient], f"From: {name}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nhello\r\n")


@contextlib.contextmanager
def inbox(port: int, name: str, password: str) -> Iterator[imaplib.IMAP4]:
    """A client that has selected its INBOX."""
    box = imaplib.IMAP4("127.0.0.1", port, timeout=PATIENCE)
    try:
        box.login(name, password)
        box.select("INBOX")
        yield box
    finally:
        box.logout()


def found(port: int, name: str, password: str, subject: str) -> list[bytes]:
    """The messages with a subject."""
    with inbox(port, name, password) as box:
        return box.search(None, "SUBJECT", f'"{subject}"')[1][0].split()


def add_user(data: Path, name: str, password: str) -> None:
    """By the command, from standard input."""
    done = subprocess.run(
        [*NETSUITE, "user", "add", name, "--data", str(data)],
        input=f"{password}\n",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class BuiltInMail(TestCase):
    """The built-in site on free ports."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        context = site(data=self.folder / "built-in")
        self.site: RunningSite = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.data = self.site.data
        known = passwords(self.data)
        self.alice, self.bob = known["alice@example.test"], known["bob@example.test"]

    def arrived(self, subject: str) -> None:
        imap = self.site.port("mail", "imap")
        until(subject, lambda: found(imap, "bob@example.test", self.bob, subject))

    def test_alice_hands_in_and_bob_reads(self) -> None:
        mode = stat.S_IMODE((self.data / "first-run.txt").stat().st_mode)
        self.assertEqual(mode, 0o600)
        trusted = trusting(self.data)
        hand_in(
            self.site.port("smtp", "submission"),
            trusted,
            "alice@example.test",
            self.alice,
            "bob@example.test",
            "by STARTTLS",
        )
        with smtplib.SMTP_SSL("localhost", self.site.port("smtp", "submissions"), context=trusted, timeout=30) as tls:
            tls.login("alice@example.test", self.alice)
            tls.sendmail("alice@example.test", ["bob@example.test"], "Subject: by TLS\r\n\r\nhello\r\n")
        self.arrived("by TLS")
        self.arrived("by STARTTLS")
        box = poplib.POP3("localhost", self.site.port("mail", "pop3"), timeout=PATIENCE)
        box.stls(trusted)
        box.user("bob")
        box.pass_(self.bob)
        self.assertEqual(box.stat()[0], 2)
        text = b"\r\n".join(box.retr(1)[1])
        self.assertIn(b"\r\n\r\nhello", text)
        self.assertRegex(text, rb"(?m)^Received: ")
        box.dele(1)
        box.quit()
        secure = imaplib.IMAP4_SSL("localhost", self.site.port("mail", "imaps"), ssl_context=trusted, timeout=30)
        secure.login("bob", self.bob)
        self.assertEqual(secure.select("INBOX"), ("OK", [b"1"]))
        secure.logout()

    def test_nobody_relays_through_it(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.site.port("smtp", "smtp"), timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("a@else.test")
            self.assertGreaterEqual(client.rcpt("b@elsewhere.test")[0], 550)
            self.assertGreaterEqual(client.rcpt("nobody@example.test")[0], 550)
            self.assertEqual(client.rcpt("bob@example.test")[0], 250)

    def test_another_site_finds_the_way_by_mx(self) -> None:
        data = self.folder / "sender"
        add_user(data, "carol@sender.test", "secret")
        host, port = self.site.address("resolver", "udp")
        tables = {
            "common": {"domains": ["sender.test", "localhost"], "resolver": f"{host}:{port}"},
            "mail": {"imap": ["127.0.0.1:10143"]},
            "smtp": {
                "listen": [],
                "submission": ["127.0.0.1:10587"],
                "domains": ["sender.test"],
                "relay_port": self.site.port("smtp", "smtp"),
            },
        }
        with site(tables, data=data) as sender:
            submission = sender.port("smtp", "submission")
            # the authority comes into being with the first handshake
            trusted = ssl.create_default_context()
            trusted.check_hostname, trusted.verify_mode = False, ssl.CERT_NONE
            hand_in(submission, trusted, "carol@sender.test", "secret", "bob@example.test", "by MX")
            self.arrived("by MX")
            hand_in(submission, trusted, "carol@sender.test", "secret", "nobody@example.test", "to nobody")
            until(
                "the bounce",
                lambda: found(sender.port("mail", "imap"), "carol@sender.test", "secret", "undeliver"),
            )

    def test_swaks_and_curl(self) -> None:
        if shutil.which("swaks") is None:
            raise SkipTest("swaks is not installed")
        command = ["swaks", "--server", f"127.0.0.1:{self.site.port('smtp', 'submission')}"]
        command += ["--auth-user", "alice@example.test", "--auth-password", self.alice, "--from", "alice@example.test"]
        command += ["--to", "bob@example.test", "--header", "Subject: by swaks", "--silent", "2"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.arrived("by swaks")
        login = ["curl", "-s", "-S", "-m", "20", "-u", f"bob@example.test:{self.bob}"]
        for kind, path in (("imap", "INBOX;UID=1"), ("pop3", "1")):
            url = f"{kind}://127.0.0.1:{self.site.port('mail', kind)}/{path}"
            done = subprocess.run([*login, url], capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertIn("Subject: by swaks", done.stdout, done.stderr)

    def test_mbsync_makes_a_copy(self) -> None:
        if shutil.which("mbsync") is None:
            raise SkipTest("mbsync is not installed")
        with inbox(self.site.port("mail", "imap"), "bob@example.test", self.bob) as box:
            for number in range(5):
                box.append("INBOX", r"\Flagged", None, f"Subject: {number}\r\n\r\ntext\r\n".encode())
        copy = self.folder / "copy"
        copy.mkdir()
        control = self.folder / "mbsyncrc"
        control.write_text(
            f"IMAPStore far\nHost 127.0.0.1\nPort {self.site.port('mail', 'imap')}\nUser bob@example.test\n"
            f"Pass {self.bob}\nSSLType None\nAuthMechs LOGIN\n\n"
            f"MaildirStore near\nPath {copy}/\nInbox {copy}/inbox\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync All\nSyncState *\n"
        )
        for _ in range(2):
            done = subprocess.run(
                ["mbsync", "-c", str(control), "all"], capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len([each for each in (copy / "inbox").rglob("*,*") if each.is_file()]), 5)


class FirstRun(TestCase):
    """Who is made a user, and when."""

    def test_users_are_made_once(self) -> None:
        with folder() as data:
            with site(data=data):
                kept = (data / "first-run.txt").read_text()
            self.assertEqual(len(kept.splitlines()), 2)
            done = call(NETSUITE, "user", "remove", "bob@example.test", "--data", str(data), cwd=data)
            self.assertEqual(done.returncode, 0, done.stderr)
            with site(data=data):
                self.assertEqual((data / "first-run.txt").read_text(), kept)
            done = call(NETSUITE, "user", "list", "--data", str(data), cwd=data)
            self.assertEqual(done.stdout.split(), ["alice@example.test"])


class Killed(TestCase):
    """kill -9 at random moments, while mail comes in and is changed: what was acknowledged stays."""

    timeout = 90

    def test_nothing_acknowledged_is_lost(self) -> None:
        with folder() as data:
            add_user(data, "u@example.test", "pw")
            self.data = data
            self.smtp, self.imap = free_port(), free_port()
            (data / "site.toml").write_text(
                f'[common]\ndata = "{data}"\n[smtp]\nlisten = ["127.0.0.1:{self.smtp}"]\ndomains = ["example.test"]\n'
                f'[mail]\nimap = ["127.0.0.1:{self.imap}"]\n'
            )
            self.accepted: set[str] = set()
            self.appended: set[str] = set()
            self.flagged: set[int] = set()
            for _ in range(ROUNDS):
                self.round()
            with self.started() as running:
                self.whole()
                self.assertEqual(running.end(), 0, running.said())

    def started(self) -> Running:
        running = Running("netsuite", "-c", "site.toml", cwd=self.data)
        connection(self.smtp).close()
        connection(self.imap).close()
        return running

    def round(self) -> None:
        self.stop = threading.Event()
        with self.started() as running:
            threads = [threading.Thread(target=self.send) for _ in range(SENDERS)]
            threads += [threading.Thread(target=self.change) for _ in range(2)]
            for each in threads:
                each.start()
            time.sleep(random.uniform(0.7, 1.5))
            os.kill(running.process.pid, signal.SIGKILL)
            self.stop.set()
            for each in threads:
                each.join(PATIENCE)

    def send(self) -> None:
        """A server that brings mail until it is cut off."""
        with (
            contextlib.suppress(OSError, smtplib.SMTPException),
            smtplib.SMTP("127.0.0.1", self.smtp, timeout=5) as client,
        ):
            while not self.stop.is_set():
                mark = f"sent-{random.getrandbits(64):016x}"
                client.sendmail("a@else.test", ["u@example.test"], f"Subject: {mark}\r\n\r\n{'x' * 2000}\r\n")
                self.accepted.add(mark)

    def change(self) -> None:
        """A mail program that files messages and marks them, until it is cut off."""
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            box = imaplib.IMAP4("127.0.0.1", self.imap, timeout=5)
            box.login("u@example.test", "pw")
            box.select("Archive")
            while not self.stop.is_set():
                mark = f"kept-{random.getrandbits(64):016x}"
                status, said = box.append("Archive", None, None, f"Subject: {mark}\r\n\r\ntext\r\n".encode())
                if status != "OK":
                    return
                self.appended.add(mark)
                uid = re.search(rb"APPENDUID \d+ (\d+)", said[0])
                assert uid is not None, said
                if box.uid("STORE", uid[1].decode(), "+FLAGS", r"(\Answered)")[0] == "OK":
                    self.flagged.add(int(uid[1]))

    def whole(self) -> None:
        """All that was acknowledged is there, and next to nothing twice."""
        seen: collections.Counter[str] = collections.Counter()

        def delivered() -> bool:
            nonlocal seen
            seen = self.subjects("INBOX")
            return self.accepted <= set(seen)

        self.assertGreater(len(self.accepted), 100)
        until("the queue to be delivered", delivered, 20)
        self.assertLessEqual(sum(count - 1 for count in seen.values()), ROUNDS * SENDERS)
        self.assertGreater(len(self.appended), 20)
        self.assertEqual(self.appended - set(self.subjects("Archive")), set())
        box = imaplib.IMAP4("127.0.0.1", self.imap, timeout=PATIENCE)
        box.login("u@example.test", "pw")
        box.select("Archive", readonly=True)
        answered = {int(uid) for uid in box.uid("SEARCH", "ANSWERED")[1][0].split()}
        box.logout()
        self.assertEqual(self.flagged - answered, set())

    def subjects(self, mailbox: str) -> collections.Counter[str]:
        box = imaplib.IMAP4("127.0.0.1", self.imap, timeout=PATIENCE)
        box.login("u@example.test", "pw")
        _, count = box.select(mailbox, readonly=True)
        rows = box.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1] if int(count[0] or b"0") else []
        box.logout()
        return collections.Counter(
            mark
            for row in rows
            if isinstance(row, tuple)
            for mark in re.findall(r"(?:sent|kept)-\w{16}", row[1].decode())
        )
