"""A name server that takes updates, as a process: killed under load, asked by ``netsuite zone``, sent SIGHUP."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time

import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import dns.zone
from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, Running, call, folder, free_port, until

ROUNDS = 4
SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
KEY = dns.tsig.Key("ddns.", SECRET, "hmac-sha256.")
SITE = """[common]
data = "./data"
[dns]
listen = ["127.0.0.1:{port}"]
[[dns.key]]
name = "ddns"
secret = "{secret}"
[[dns.zone]]
name = "com"
file = "com.zone"
transfer = ["loopback"]
dnssec = "{dnssec}"
[[dns.zone.update]]
key = "ddns"
"""
ZONE = "$TTL 60\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.1\n"


class Updater(threading.Thread):
    """Adds names until the server is gone; ``taken`` were acknowledged."""

    def __init__(self, port: int, prefix: str) -> None:
        super().__init__(daemon=True)
        self.port, self.prefix = port, prefix
        self.taken: list[str] = []

    def run(self) -> None:
        number = 0
        with contextlib.suppress(Exception):
            while True:
                number += 1
                name = f"{self.prefix}-{number}.com."
                update = dns.update.UpdateMessage("com.", keyring=KEY)
                update.add(name, 60, "A", "192.0.2.7")
                if dns.query.udp(update, "127.0.0.1", port=self.port, timeout=2).rcode() == dns.rcode.NOERROR:
                    self.taken.append(name)


class ChangeTests(TestCase):
    timeout = 180

    def setUp(self):
        stack = contextlib.ExitStack()
        self.folder = stack.enter_context(folder())
        self.addCleanup(stack.close)
        self.port = free_port()
        (self.folder / "com.zone").write_text(ZONE)
        self.write("off")

    def write(self, dnssec):
        text = SITE.format(port=self.port, secret=SECRET, dnssec=dnssec)
        (self.folder / "site.toml").write_text(text)

    def run_site(self):
        return Running("netsuite", "-c", "site.toml", cwd=self.folder)

    def names(self):
        zone = dns.zone.Zone("com.", relativize=False)
        dns.query.inbound_xfr("127.0.0.1", zone, port=self.port, timeout=10)
        return {name.to_text() for name in zone.nodes}, zone

    def text(self, name, rdtype="A"):
        answer = dns.query.udp(dns.message.make_query(name, rdtype), "127.0.0.1", port=self.port, timeout=5)
        return [rdata.to_text() for rrset in answer.answer for rdata in rrset]

    def killed_under_load(self):
        chance = random.Random(os.urandom(8))
        taken: list[str] = []
        for attempt in range(ROUNDS):
            with self.run_site() as site:
                site.ready()
                there = self.names()[0]
                self.assertEqual([name for name in taken if name not in there], [])
                updaters = [Updater(self.port, f"r{attempt}t{number}") for number in range(4)]
                for updater in updaters:
                    updater.start()
                time.sleep(0.2 + chance.random())
                site.end(signal.SIGKILL)
                for updater in updaters:
                    updater.join(10)
                    taken += updater.taken
        with self.run_site() as site:
            site.ready()
            there, zone = self.names()
            self.assertEqual([name for name in taken if name not in there], [])
            self.assertGreater(len(taken), 100)
            site.end()
        return zone

    def test_what_was_acknowledged_survives(self):
        self.killed_under_load()

    def test_a_signed_zone_too(self):
        self.write("nsec")
        zone = self.killed_under_load()
        verifier = next((path for path in ("/usr/bin/ldns-verify-zone",) if os.path.exists(path)), None)
        if verifier is not None:
            (self.folder / "signed").write_text(zone.to_text(relativize=False))
            said = subprocess.run([verifier, str(self.folder / "signed")], capture_output=True, text=True, timeout=60)
            self.assertEqual(said.returncode, 0, said.stderr)

    def zone(self, *words):
        done = call(NETSUITE, "zone", *words, "-c", "site.toml", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_operator_s_command(self):
        with self.run_site() as site:
            site.ready()
            self.assertEqual(self.zone("list"), "com.  serial 1, 4 records\n")
            said = self.zone("delegate", "networkutopia.com", "--ns", "dns1.networkutopia.com=212.212.212.1")
            self.assertEqual(said, "networkutopia.com is delegated in zone com. from serial 2 on\n")
            query = dns.message.make_query("www.networkutopia.com.", "A")
            answer = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=5)
            self.assertEqual(answer.authority[0].to_text(), "networkutopia.com. 3600 IN NS dns1.networkutopia.com.")
            self.assertIn("212.212.212.1", answer.additional[0].to_text())
            self.assertRegex(
                self.zone("log", "com"), r"(?s)^com\.  serial 2.*\+2 -0  delegation of networkutopia\.com\."
            )
            words = ("dns", "explain", "www.networkutopia.com", "--json", "-c", "site.toml")
            steps = json.loads(call(NETSUITE, *words, cwd=self.folder).stdout)
            self.assertEqual([each["step"] for each in steps[2:5]], ["zone", "closest", "cut"])
            self.assertEqual(steps[2]["serial"], 2)
            self.assertEqual(self.zone("rollback", "com", "1"), "serial 3: 0 records came, 2 went\n")
            done = call(NETSUITE, "zone", "rollback", "com", "77", "-c", "site.toml", cwd=self.folder)
            self.assertEqual((done.returncode, done.stderr), (1, "zone com. has no version 77 any more\n"))
            done = call(NETSUITE, "zone", "keys", "com", "-c", "site.toml", cwd=self.folder)
            self.assertIn("is not signed here", done.stderr)
            (self.folder / "com.zone").write_text(ZONE.replace(" 1 3600", " 9 3600") + "edited A 192.0.2.9\n")
            site.send(signal.SIGHUP)
            until("the edited file", lambda: self.text("edited.com.") == ["192.0.2.9"])
            site.end()
