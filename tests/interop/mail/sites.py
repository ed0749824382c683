"""A site that has mail, in a process of its own, and foreign programs that use it."""

from __future__ import annotations

import contextlib
import functools
import imaplib
import os
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, TestCase

from netsuite.common.datadir import DataDirectory
from netsuite.suite.builtin import people
from netsuite.testing.site import RunningSite, site
from tests.system.running import PATIENCE, until

ALICE, BOB = "alice@example.test", "bob@example.test"
LISTEN = {
    "smtp": {
        "listen": ["127.0.0.1:10025"],
        "submission": ["127.0.0.1:10587", "secure:127.0.0.1:10465"],
        "domains": ["example.test"],
        "retry_first": 0.5,
        "retry_longest": 0.5,
    },
    "mail": {
        "imap": ["127.0.0.1:10143", "secure:127.0.0.1:10993"],
        "pop3": ["127.0.0.1:10110", "secure:127.0.0.1:10995"],
    },
}


def program(name: str) -> str:
    """Where a foreign program is, or the test is skipped."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SkipTest(f"{name} is not installed")
    return path


@functools.cache
def _accounts() -> tuple[tempfile.TemporaryDirectory[str], dict[str, str]]:
    """A data folder with alice and bob, and their passwords; made once, since passwords are slow to hash."""
    folder = tempfile.TemporaryDirectory(prefix="netsuite-people-")
    lines = people(DataDirectory(Path(folder.name)))
    return folder, dict(line.split()[:2] for line in lines)


def text(subject: str, body: str = "How are you?", sender: str = ALICE, to: str = BOB) -> str:
    """A short message."""
    return f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x.test>\r\n\r\n{body}\r\n"


class MailCase(TestCase):
    """Tests of a site with mail; ``begin`` starts it."""

    running: RunningSite

    def begin(self, smtp: Mapping[str, Any] = {}, mail: Mapping[str, Any] = {}, **tables: Any) -> RunningSite:
        """Run a site, alice's and bob's, in ``folder``; ``passwords`` are theirs."""
        template, self.passwords = _accounts()
        self.folder = Path(tempfile.mkdtemp(prefix="netsuite-mail-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        shutil.copytree(template.name, self.folder / "data", ignore=shutil.ignore_patterns("*.lock", "*.sock"))
        wanted = {
            "common": {"domains": ["example.test"]},
            "smtp": {**LISTEN["smtp"], **smtp},
            "mail": {**LISTEN["mail"], **mail},
            **tables,
        }
        self.running = self._held(wanted)
        return self.running

    def again(self) -> RunningSite:
        """Run it once more on the same data, after its process has ended or was killed."""
        self.running = self._held(self.running.settings)
        return self.running

    def _held(self, tables: Mapping[str, Any]) -> RunningSite:
        context = site(tables, data=self.folder / "data")
        running = context.__enter__()

        def end() -> None:
            if running.process.poll() is None:
                context.__exit__(None, None, None)

        self.addCleanup(end)
        return running

    def port(self, kind: str) -> int:
        """The port of ``smtp``, ``submission(s)``, ``imap(s)`` or ``pop3(s)``."""
        return self.running.port("smtp" if kind.startswith(("smtp", "subm")) else "mail", kind)

    def call(self, name: str, *arguments: object, said: str = "", **more: str) -> str:
        """What a program writes, which must succeed."""
        done = self.attempt(name, *arguments, said=said, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def attempt(self, name: str, *arguments: object, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            [program(name), *map(str, arguments)],
            input=said,
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C", **more},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )

    def imap(self, user: str = BOB) -> imaplib.IMAP4:
        """Logged in."""
        client = imaplib.IMAP4("127.0.0.1", self.port("imap"), timeout=PATIENCE)
        self.addCleanup(quietly, client.shutdown)
        client.login(user, self.passwords[user])
        return client

    def inbox(self, user: str = BOB, mailbox: str = "INBOX") -> list[bytes]:
        """All messages of a mailbox."""
        client = self.imap(user)
        client.select(mailbox, readonly=True)
        _, rows = client.fetch("1:*", "(BODY.PEEK[])") if client.untagged_responses["EXISTS"] != [b"0"] else ("", [])
        client.logout()
        return [row[1] for row in rows if isinstance(row, tuple)]

    def arrived(self, *subjects: str, user: str = BOB) -> list[bytes]:
        """The inbox, once there is a message with each of these subjects."""

        def there() -> list[bytes]:
            found = self.inbox(user)
            good = all(any(f"Subject: {each}\r\n".encode() in message for message in found) for each in subjects)
            return found if good else []

        return until(f"{subjects} in the inbox of {user}", there)

    def send(self, *subjects: str, **fields: str) -> None:
        """Hand messages in at the relay's port."""
        with smtplib.SMTP("127.0.0.1", self.port("smtp"), timeout=PATIENCE) as client:
            for subject in subjects:
                client.sendmail("ann@else.test", [fields.get("to", BOB)], text(subject, **fields))


def quietly(function: Any, *arguments: Any) -> None:
    """Call it, whether or not it still works."""
    with contextlib.suppress(OSError):
        function(*arguments)
