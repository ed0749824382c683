"""Mail from end to end, by clients that no one here wrote: handed in, relayed by MX, read."""

from __future__ import annotations

import contextlib
import imaplib
import poplib
import shutil
import smtplib
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from netsuite.testing.site import RunningSite, site
from tests.system.running import NETSUITE, PATIENCE, call, environment, folder, until


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
