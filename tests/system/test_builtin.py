"""The built-in site: `twistd -n netsuite` and nothing else, driven by dig and curl."""

from __future__ import annotations

import fcntl
import json
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import TextIO
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from tests.system.running import (
    NETSUITE,
    PATIENCE,
    TWISTD,
    Running,
    accepts,
    call,
    connection,
    environment,
    folder,
    until,
)

PORTS = (
    10025, 10053, 10054, 10080, 10081, 10090, 10110, 10143, 10443, 10465, 10587, 10993, 10995, 12000, 16881, 16969,
)  # fmt: skip


def run(*command: str) -> str:
    """What a foreign program writes."""
    if shutil.which(command[0]) is None:
        raise SkipTest(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.stdout + done.stderr


def dig(server: str, port: int, *question: str) -> str:
    """What dig shows."""
    return run("dig", f"@{server}", "-p", str(port), "+time=5", "+tries=1", *question)


def curl(*arguments: str) -> str:
    """What curl shows."""
    return run("curl", "-s", "-S", "-m", "10", *arguments)


def _turn() -> TextIO:
    """The site's ports are fixed, so one such test runs at a time on a machine: until the file is closed."""
    turn = (Path(tempfile.gettempdir()) / "netsuite-built-in-site.lock").open("w")
    fcntl.flock(turn, fcntl.LOCK_EX)
    until("the site's ports to be free", lambda: not any(accepts(port) for port in PORTS))
    return turn


class BuiltIn(TestCase):
    """One run of the site, on the addresses that its face promises."""

    workers = 1

    def setUp(self) -> None:
        turn = _turn()
        self.addCleanup(turn.close)
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.running = Running("netsuite", "--set", f"common.workers={self.workers}", cwd=self.folder)
        self.addCleanup(self.running.__exit__, None, None, None)
        self.running.ready()

    def test_threads(self) -> None:
        self.names()
        self.pages()
        self.cache()
        self.capitals()
        self.swarm()
        self.inside()
        self.assertEqual(self.running.end(), 0, self.running.said())
        self.assertEqual(self.running.complaint(), "")
        for port in PORTS:
            self.assertFalse(accepts(port), port)

    def names(self) -> None:
        """The zone, the referrals above it, and the walk from the root."""
        soa = dig("127.0.0.1", 10053, "example.test", "SOA")
        self.assertRegex(soa, r"flags: qr aa\b")
        self.assertIn("ANSWER: 1", dig("127.0.0.1", 10053, "+tcp", "example.test", "SOA"))
        self.assertIn("ns.test.", dig("127.0.0.2", 10053, "+norec", "www.example.test"))
        self.assertIn("ns1.example.test.", dig("127.0.0.3", 10053, "+norec", "www.example.test"))
        self.assertIn("REFUSED", dig("127.0.0.1", 10053, "elsewhere.invalid"))
        self.assertIn("NXDOMAIN", dig("127.0.0.1", 10053, "nobody.example.test"))
        self.assertEqual(dig("127.0.0.1", 10053, "+short", "x.guests.example.test").strip(), "127.0.0.1")
        for transport in ("+notcp", "+tcp"):
            answer = dig("127.0.0.1", 10054, transport, "home.example.test")
            self.assertRegex(answer, r"home\.example\.test\.\s+\d+\s+IN\s+CNAME\s+www\.example\.test\.")
            self.assertRegex(answer, r"www\.example\.test\.\s+\d+\s+IN\s+A\s+127\.0\.0\.1")
        self.assertIn("10 mail.example.test.", dig("127.0.0.1", 10054, "+short", "example.test", "MX"))
        self.assertIn("NXDOMAIN", dig("127.0.0.1", 10054, "nobody.example.test"))
        query = bytes.fromhex("000001000001000000000000") + b"\4home\7example\4test\0\0\1\0\1"
        asked = urllib.request.Request(
            "http://127.0.0.1:10080/dns-query", data=query, headers={"Content-Type": "application/dns-message"}
        )
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            self.assertIn(socket.inet_aton("127.0.0.1"), answer.read())

    def pages(self) -> None:
        """Every object of the site, over HTTP and HTTPS, whole and in parts."""
        page = curl("http://127.0.0.1:10080/")
        objects = set(re.findall(r'(?:src|href)="(/[^"]+)"', page))
        self.assertGreaterEqual(len(objects), 10)
        for name in sorted(objects):
            self.assertEqual(
                curl("-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:10080{name}"), "200", name
            )
        head = curl("-I", "http://127.0.0.1:10080/words.txt")
        tag = re.search(r"(?i)etag: (\S+)", head)
        assert tag is not None
        again = curl("-i", "-H", f"If-None-Match: {tag[1]}", "http://127.0.0.1:10080/words.txt")
        self.assertIn(" 304 ", again.splitlines()[0])
        self.assertEqual(curl("-r", "0-4", "http://127.0.0.1:10080/words.txt"), "Words")
        resolve = ("--resolve", "example.test:10443:127.0.0.1", "--cacert", str(self.folder / "netsuite-data/ca.pem"))
        self.assertIn("A small Internet", curl(*resolve, "https://example.test:10443/"))
        self.assertIn("A small Internet", curl(*resolve[2:], "https://127.0.0.1:10443/"))
        trusting = ssl.create_default_context(cafile=str(self.folder / "netsuite-data/ca.pem"))
        with urllib.request.urlopen("https://localhost:10443/", timeout=PATIENCE, context=trusting) as answer:
            self.assertEqual(answer.status, 200)

    def cache(self) -> None:
        """Through the proxy, by a name that only our resolver knows: fetched once."""
        proxied = ("-i", "-x", "http://127.0.0.1:10081", "http://www.example.test:10080/words.txt")
        answers = [curl(*proxied) for _ in range(2 if self.workers == 1 else 12)]
        for answer in answers:
            self.assertIn(" 200 ", answer.splitlines()[0])
            self.assertIn("Words of the trade", answer)
        self.assertTrue([each for each in answers if re.search(r"(?i)cache-status:.*hit", each)], answers[-1])

    def swarm(self) -> None:
        """A second peer, started by the line that the site prints, downloads what the first one shares."""
        line = next(each for each in self.running.said().splitlines() if each.startswith("  peer "))
        command = line.strip().split(maxsplit=2)[2]
        self.assertIn("twistd -n netsuite-peer --torrent ", command)
        typed = command.replace("twistd -n", f"exec {shlex.join(TWISTD)} -n --pidfile=")
        self.assertEqual(curl("http://127.0.0.1:10080/primes.torrent", "-o", str(self.folder / "fetched.torrent")), "")
        kept = self.folder / "netsuite-data/torrents/primes.torrent"
        self.assertEqual((self.folder / "fetched.torrent").read_bytes(), kept.read_bytes())
        shared = (self.folder / "netsuite-data/shared/primes.txt").read_bytes()
        copy = self.folder / "copy/primes.txt"
        with (self.folder / "second.txt").open("wb") as output:
            second = subprocess.Popen(
                ["sh", "-c", typed],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until("the copy", lambda: copy.exists() and copy.read_bytes() == shared)
        finally:
            second.terminate()
            self.assertEqual(second.wait(PATIENCE), 0, (self.folder / "second.txt").read_text())

    def capitals(self) -> None:
        """The textbook's pair."""
        with connection(12000) as tcp:
            tcp.sendall(b"hello\n")
            self.assertEqual(tcp.recv(100), b"HELLO\n")
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.settimeout(PATIENCE)
            udp.sendto(b"hello", ("127.0.0.1", 12000))
            self.assertEqual(udp.recv(100), b"HELLO")

    def inside(self) -> None:
        """The admin port, and the command that asks the control socket."""
        metrics = curl("http://127.0.0.1:10090/metrics")
        self.assertIn("# TYPE netsuite_dns_queries", metrics)
        health = json.loads(curl("http://127.0.0.1:10090/health"))
        self.assertTrue(health["ok"], health)
        self.assertIn("<html", curl("http://127.0.0.1:10090/"))
        status = call(NETSUITE, "status", cwd=self.folder)
        self.assertEqual(status.returncode, 0, status.stderr)
        for name in ("dns", "resolver", "http", "proxy", "upper", "mail", "smtp", "tracker", "peer", "admin"):
            self.assertRegex(status.stdout, rf"(?m)^{name} +well")

    def test_every_line_to_try_works(self) -> None:
        """What the start prints beside each address can be typed as it is."""
        lines = [line for line in self.running.said().splitlines() if line.startswith("  ") and ":" in line]
        tried = 0
        for line in lines:
            _, _, hint = line.strip().split(maxsplit=2)
            if hint.startswith(("dig", "curl")):
                done = subprocess.run(
                    hint, shell=True, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
                )
                self.assertEqual(done.returncode, 0, (hint, done.stdout, done.stderr))
                tried += 1
        self.assertGreaterEqual(tried, 10)

    def test_an_edited_zone_is_taken_on_hangup_and_survives_a_restart(self) -> None:
        zone = self.folder / "netsuite-data/zones/example.test.zone"
        text = zone.read_text().replace("hostmaster 1 ", "hostmaster 2 ") + "mine A 192.0.2.77\n"
        zone.write_text(text)
        self.running.send(signal.SIGHUP)
        until("the reload", lambda: "reload: done" in self.running.said())
        self.assertEqual(dig("127.0.0.1", 10053, "+short", "mine.example.test").strip(), "192.0.2.77")
        zone.write_text(text + "this is no record\n")
        self.running.send(signal.SIGHUP)
        until("the second reload", lambda: self.running.said().count("reload: done") == 2)
        self.assertIn("stays as it was", self.running.said())
        self.assertEqual(dig("127.0.0.1", 10053, "+short", "mine.example.test").strip(), "192.0.2.77")
        zone.write_text(text)
        self.assertEqual(self.running.end(), 0)
        with Running("netsuite", cwd=self.folder) as again:
            again.ready()
            self.assertEqual(dig("127.0.0.1", 10053, "+short", "mine.example.test").strip(), "192.0.2.77")
            self.assertEqual(again.end(), 0)

    def test_a_second_one_is_told_so_even_with_other_data(self) -> None:
        other = Running("netsuite", "--set", "common.data=other", cwd=self.folder)
        self.addCleanup(other.__exit__, None, None, None)
        self.assertEqual(other.ended(), 1)
        self.assertEqual(
            other.complaint(),
            "127.0.0.1:10053 is already in use; choose another address with --listen or dns.listen\n",
        )


class BuiltInForms(TestCase):
    """The built-in site from a .tac and from a .tap is the same site."""

    def setUp(self) -> None:
        turn = _turn()
        self.addCleanup(turn.close)
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)

    def serves(self, *arguments: str) -> None:
        with Running(*arguments, cwd=self.folder) as running:
            running.ready()
            for port in PORTS:
                self.assertTrue(accepts(port), port)
            status = call(NETSUITE, "status", cwd=self.folder)
            until("the sample to be shared", lambda: "1 seeding" in call(NETSUITE, "status", cwd=self.folder).stdout)
            self.assertRegex(status.stdout, r"(?m)^tracker +well")
            self.assertEqual(running.end(), 0, running.said())
            self.assertEqual(running.complaint(), "")

    def test_tac(self) -> None:
        (self.folder / "site.tac").write_text("import netsuite.suite\n\napplication = netsuite.suite.application()\n")
        self.serves("-y", "site.tac")

    def test_tap(self) -> None:
        self.assertEqual(call(NETSUITE, "freeze", "-o", "site.tap", cwd=self.folder).returncode, 0)
        self.serves("-o", "-f", "site.tap")


class BuiltInWithWorkers(BuiltIn):
    """The same by two processes that share the ports."""

    workers = 2

    def test_an_edited_zone_is_taken_on_hangup_and_survives_a_restart(self) -> None:
        zone = self.folder / "netsuite-data/zones/example.test.zone"
        zone.write_text(zone.read_text().replace("hostmaster 1 ", "hostmaster 2 ") + "mine A 192.0.2.77\n")
        until("the worker", lambda: "and 1 workers" in call(NETSUITE, "status", cwd=self.folder).stdout)
        self.running.send(signal.SIGHUP)
        until("the reload", lambda: "reload: done" in self.running.said())
        for _ in range(20):
            self.assertEqual(dig("127.0.0.1", 10053, "+short", "mine.example.test").strip(), "192.0.2.77")
        self.assertEqual(self.running.end(), 0, self.running.said())
