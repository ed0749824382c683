"""The relay as a process: killed at random moments under load, asked by ``netsuite queue``."""

from __future__ import annotations

import random
import signal
import smtplib
import subprocess
import threading
import time
from collections import Counter

from twisted.trial.unittest import TestCase

from netsuite.mail.smtp.queued import WAITING
from tests.integration.mail.relays import Sink, free_port
from tests.system.running import NETSUITE, Running, environment, folder, until


class Load(threading.Thread):
    """Sends numbered messages until told to stop, on connections that break; ``taken`` are those with a 250."""

    def __init__(self, port, first):
        super().__init__(daemon=True)
        self.port = port
        self.next = first
        self.taken = []
        self.ended = False

    def run(self):
        while not self.ended:
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=5) as smtp:
                    while not self.ended:
                        number = self.next
                        self.next += 1
                        smtp.sendmail("a@a.test", ["b@b.test"], f"Subject: {number}\r\n\r\n" + "x" * 70 + "\r\n")
                        self.taken.append(number)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.01)


class Smtp(TestCase):
    """One data directory, several lives."""

    def setUp(self):
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.sink = Sink()
        self.sink.start()
        self.addCleanup(self.sink.stop)
        self.port = free_port()
        (self.folder / "site.toml").write_text(
            f'[common]\ndata = "state"\naccess_log = "off"\n[smtp]\nlisten = ["127.0.0.1:{self.port}"]\n'
            f'relay_domains = ["b.test"]\nroute = ["b.test=127.0.0.1:{self.sink.controller.port}"]\n'
            "retry_first = 1.0\n"
        )

    def queue(self, *arguments):
        """What ``netsuite queue`` prints."""
        done = subprocess.run(
            [*NETSUITE, "queue", *arguments, "--config", "site.toml"],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run_site(self):
        return Running("netsuite", "-c", "site.toml", cwd=self.folder).ready()

    def arrived(self):
        """How often each number arrived."""
        return Counter(int(content.split(b"Subject: ")[1].split(b"\r\n")[0]) for _, _, content in self.sink.mail)

    def test_nothing_acknowledged_is_lost_when_the_process_is_killed(self):
        """Four lives, three of them cut short under load."""
        rng = random.Random(3)
        taken = []
        kills = 3
        for life in range(kills):
            with self.run_site() as site:
                loads = [Load(self.port, 1_000_000 * life + 100_000 * each) for each in range(4)]
                for load in loads:
                    load.start()
                time.sleep(rng.uniform(0.2, 1.0))
                site.send(signal.SIGKILL)
                site.ended()
                for load in loads:
                    load.ended = True
                for load in loads:
                    load.join(10)
                    taken += load.taken
        with self.run_site() as site:
            until("an empty queue", lambda: self.queue("list").strip() == "0 waiting")
            arrived = self.arrived()
            assert len(taken) > 20
            assert [number for number in taken if not arrived[number]] == []
            assert max(arrived.values()) <= 2, "more than one duplicate"
            assert site.end() == 0

    def test_the_queue_command(self):
        self.sink.replies["DATA"] = "451 4.3.0 not now"
        text = (self.folder / "site.toml").read_text().replace("retry_first = 1.0", "retry_first = 300.0")
        (self.folder / "site.toml").write_text(text)
        with self.run_site() as site:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5) as smtp:
                smtp.sendmail("a@a.test", ["b@b.test"], "Subject: 7\r\n\r\nhello\r\n")
            listed = until("a try", lambda: (found := self.queue("list")) and "not now" in found and found)
            assert f"b@b.test  {WAITING}: 451 4.3.0 127.0.0.1 said: not now" in listed
            assert listed.strip().endswith("1 waiting")
            ident = listed.split()[0]
            assert "Subject: 7" in self.queue("show", ident)
            self.sink.replies.clear()
            assert "tried now" in self.queue("flush", ident)
            until("delivery", lambda: self.arrived()[7] == 1)
            assert site.end() == 0

    def test_own_domains_without_a_store(self):
        text = (self.folder / "site.toml").read_text().replace("relay_domains", "domains")
        (self.folder / "site.toml").write_text(text)
        with Running("netsuite", "-c", "site.toml", cwd=self.folder) as site:
            assert site.ended() != 0
            assert "has nowhere to go; add a [mail] table" in site.complaint() + site.said()
