"""Our answers beside those of NSD, Knot DNS and BIND: the same generated zones, the same questions, the same answers.

What may differ is said by :func:`meaning` (the additional section of answers that are no referrals, and, of a referral,
addresses that are not needed to follow it) and by :func:`endless` (how soon one gives up a chain without end).
"""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.assembly import load
from netsuite.dns.wire.name import from_text
from tests.dnszones import QUERY_TYPES, random_owner, random_zone

ZONES = 200
QUESTIONS = 12
WINDOW = 32


def free_port():
    """A loopback port that is free for UDP and TCP."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]


def nsd(folder, port, names):
    zones = "".join(f'zone:\n name: "{name}"\n zonefile: "{name}zone"\n' for name in names)
    (folder / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: ""\n chroot: ""\n zonesdir: "{folder}"\n'
        f' database: ""\n pidfile: "{folder}/pid"\n xfrdfile: "{folder}/xfrd"\n zonelistfile: "{folder}/list"\n'
        f" minimal-responses: yes\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n{zones}"
    )
    return ["nsd", "-d", "-c", folder / "nsd.conf"]


def knotd(folder, port, names):
    zones = "".join(f'  - domain: "{name}"\n    file: "{folder}/{name}zone"\n' for name in names)
    (folder / "knot.conf").write_text(
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n'
        f'database:\n    storage: "{folder}/knot"\nlog:\n  - target: stderr\n    any: error\nzone:\n{zones}'
    )
    return ["knotd", "-c", folder / "knot.conf"]


def named(folder, port, names):
    zones = "".join(f'zone "{name}" {{ type primary; file "{folder}/{name}zone"; }};\n' for name in names)
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
        f" pid-file none; session-keyfile none; recursion no; check-names primary ignore;\n"
        f" minimal-responses yes; zero-no-soa-ttl no;\n"
        f" check-integrity no; notify no; empty-zones-enable no; dnssec-validation no; }};\ncontrols {{ }};\n{zones}"
    )
    return ["named", "-g", "-n", "1", "-c", folder / "named.conf"]


def records(section):
    return sorted(
        f"{rrset.name.to_text().lower()} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text().lower()}"
        for rrset in section
        for rdata in rrset
    )


def meaning(response):
    """What a response says to a resolver: code, AA and TC, answer, authority, and the glue inside a delegation."""
    cuts = [rrset for rrset in response.authority if rrset.rdtype == dns.rdatatype.NS]
    inside = [
        rrset
        for rrset in response.additional
        if any(rrset.name.is_subdomain(cut.name) and any(ns.target == rrset.name for ns in cut) for cut in cuts)
    ]
    flags = response.flags & (dns.flags.AA | dns.flags.TC | dns.flags.QR | dns.flags.RA)
    return (
        dns.rcode.to_text(response.rcode()),
        dns.flags.to_text(flags),
        records(response.answer),
        records(response.authority),
        records(inside),
    )


def endless(ours, theirs):
    """Whether an answer is an alias chain without end: BIND calls it SERVFAIL, others stop after some steps."""
    if len([line for line in ours[2] if " CNAME " in line]) > 10:
        return True
    return theirs[0] == "SERVFAIL" and ours[2] == theirs[2]


class PeerTests(TestCase):
    """One test a peer; a missing one is skipped by name."""

    timeout = 60

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="peers"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "knot").mkdir()
        rng = random.Random(20261121)
        self.names = [f"z{number}.test." for number in range(ZONES)]
        self.texts = {name: random_zone(rng).replace("example.test.", name) for name in self.names}
        for name, text in self.texts.items():
            (self.folder / f"{name}zone").write_text(text)
        self.answers = Answers([load(from_text(name), self.folder / f"{name}zone") for name in self.names])
        self.queries = [
            dns.message.make_query(
                random_owner(rng) + name, rng.choice(QUERY_TYPES), use_edns=0, payload=1232, id=number
            )
            for number, name in enumerate(name for name in self.names for _ in range(QUESTIONS))
        ]

    def start(self, program, configure):
        if shutil.which(program) is None:
            raise SkipTest(f"{program} is not installed")
        port = free_port()
        command = [str(word) for word in configure(self.folder, port, self.names)]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

        def stop():
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self.addCleanup(stop)
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(asker.close)
        asker.connect(("127.0.0.1", port))
        asker.settimeout(0.2)
        probe = dns.message.make_query(self.names[-1], "SOA", id=65535).to_wire()
        for _ in range(100):
            with contextlib.suppress(OSError):
                asker.send(probe)
                if dns.message.from_wire(asker.recv(65535)).answer:
                    break
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            process.terminate()
        if process.poll() is not None:
            self.fail(f"{program} did not start: {(self.folder / 'log').read_text()[-600:]}")
        asker.settimeout(3)
        return asker

    def ask_all(self, asker):
        """The peer's answers by id; a window of questions is under way at a time."""
        got = {}
        for at in range(0, len(self.queries), WINDOW):
            window = self.queries[at : at + WINDOW]
            for query in window:
                asker.send(query.to_wire())
            while not all(query.id in got for query in window):
                response = dns.message.from_wire(asker.recv(65535))
                got[response.id] = response
        return got

    def compare(self, program, configure):
        got = self.ask_all(self.start(program, configure))
        different = []
        for query in self.queries:
            ours = meaning(dns.message.from_wire(self.answers.answer(query.to_wire())))
            theirs = meaning(got[query.id])
            if ours != theirs and not endless(ours, theirs):
                different.append((query.question[0].to_text(), ours, theirs))
        if different:
            question, ours, theirs = different[0]
            zone = question.split(" ")[0].split(".")[-3] + ".test."
            self.fail(
                f"{len(different)} of {len(self.queries)} answers differ from {program}'s, first {question}\n"
                f"ours   {ours}\ntheirs {theirs}\n{self.texts[zone]}"
            )

    def test_nsd(self):
        """Beside NSD."""
        self.compare("nsd", nsd)

    def test_knot(self):
        """Beside Knot DNS."""
        self.compare("knotd", knotd)

    def test_bind(self):
        """Beside BIND."""
        self.compare("named", named)
