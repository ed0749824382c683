"""The site's queue against Postfix's smtp-sink with faults, then without; we are killed in between."""

from __future__ import annotations

import os
import smtplib
import subprocess
import time
from functools import partial
from pathlib import Path

from netsuite.suite.control import ask
from tests.interop.mail.sites import ALICE, PATIENCE, MailCase, program, text
from tests.system.running import accepts, free_port, until


class Sink:
    """One smtp-sink; ``kept`` is all that it took."""

    def __init__(self, port: int, folder: Path, *faults: str) -> None:
        command = [program("smtp-sink"), *(("-u", "nobody") if not os.getuid() else ()), *faults]
        folder.chmod(0o777)
        self.file = folder / f"taken-{time.monotonic_ns()}"
        self.process = subprocess.Popen([*command, "-D", str(self.file), f"127.0.0.1:{port}", "100"], cwd=folder)
        until("smtp-sink", lambda: accepts(port))

    def kept(self) -> str:
        return self.file.read_text() if self.file.exists() else ""

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)


class Faults(MailCase):
    timeout = 60

    def setUp(self) -> None:
        program("smtp-sink")
        self.at = free_port()
        self.begin({"route": [f"*=127.0.0.1:{self.at}"], "command_time": 30.0})

    def sink(self, *faults: str) -> Sink:
        made = Sink(self.at, self.folder, *faults)
        self.addCleanup(made.end)
        return made

    def submit(self, *subjects: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=PATIENCE) as client:
            client.login(ALICE, self.passwords[ALICE])
            for subject in subjects:
                client.sendmail(ALICE, ["x@far.test"], text(subject, to="x@far.test"))

    def waiting(self) -> int:
        """How many messages the queue has."""
        found: int = ask(self.folder / "data", "queue", do="list")["count"]
        return found

    def tried(self, count: int) -> bool:
        """Whether so many messages wait, and each has been tried."""
        answer = ask(self.folder / "data", "queue", do="list")
        return answer["count"] == count and all(each["attempts"] for each in answer["messages"])

    def reports(self, count: int) -> None:
        until(f"{count} reports", lambda: len(self.inbox(ALICE)) == count)

    def test_what_is_put_off_arrives_once(self) -> None:
        subjects = []
        for number, faults in enumerate((("-r", "RCPT"), ("-r", "."), ("-q", "DATA"), ("-Q", "."), ("-q", "CONNECT"))):
            sink = self.sink(*faults)
            subjects.append(f"sub-{number}")
            self.submit(subjects[-1])
            until(f"an attempt with {faults}", partial(self.tried, len(subjects)))
            if number == 2:
                self.running.kill()
                self.again()
            sink.end()
        good = self.sink("-w", "1")
        until("all to arrive", lambda: all(f"Subject: {each}\n" in good.kept() for each in subjects))
        until("an empty queue", lambda: not self.waiting())
        for each in subjects:
            self.assertEqual(good.kept().count(f"Subject: {each}\n"), 1, each)
        self.assertEqual(self.inbox(ALICE), [])

    def test_what_is_refused_comes_back(self) -> None:
        for number, command in enumerate(("MAIL", "RCPT", "DATA", ".")):
            sink = self.sink("-f", command)
            self.submit(f"sub-{number}")
            self.reports(number + 1)
            sink.end()
        for number, report in enumerate(self.inbox(ALICE)):
            self.assertIn(b"Status: 5.", report)
            self.assertIn(f"Subject: sub-{number}\r\n".encode(), report)
