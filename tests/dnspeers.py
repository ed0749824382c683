"""Other name servers to compare ours with: how each is started, what an answer means, and where they differ on purpose.

``python -m tests.dnspeers --zones 3000`` is the long form of ``tests/interop/dns/test_peers.py``: as many generated
zones and questions as there is patience for, beside every server that is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.assembly import load
from netsuite.dns.wire.name import from_text
from tests.dnszones import QUERY_TYPES, random_owner, random_zone

__all__ = ["CONFIGURATIONS", "DIFFERENCES", "Comparison", "NotStarted", "free_port", "knotd", "meaning", "named", "nsd"]

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
        f" minimal-responses yes; zero-no-soa-ttl no; max-records-per-type 0;\n"
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


CONFIGURATIONS = {"nsd": nsd, "knotd": knotd, "named": named}


def truncated(ours, theirs):
    return "TC" in ours[1] and "TC" in theirs[1] and ours[0] == theirs[0]


def aliases(meant):
    return sum(" CNAME " in line for line in meant[2])


def endless(ours, theirs):
    return aliases(ours) > 10 or (theirs[0] == "SERVFAIL" and (aliases(ours) > 7 or ours[2] == theirs[2]))


def stops_at_its_zone(ours, theirs):
    return 0 < aliases(theirs) <= aliases(ours) and set(theirs[2]) <= set(ours[2]) and theirs[0] == "NOERROR"


def more_glue(ours, theirs):
    without_room = "TC" in theirs[1] and "TC" not in ours[1] and not ours[4]
    same = ours[0] == theirs[0] and ours[2:4] == theirs[2:4]
    return same and (without_room or (ours[1] == theirs[1] and set(ours[4]) < set(theirs[4])))


DIFFERENCES = (
    (
        "addresses of a delegation's servers from a wildcard",
        ("nsd", "knotd"),
        "Below a cut the zone has glue and nothing else, and a wildcard stands for names in answers only (RFC 1034 "
        "section 4.3.2 steps 3b and 3c; RFC 4592 section 4.2). Ours and BIND add addresses that are there by name.",
        more_glue,
    ),
    (
        "what is left of a truncated answer",
        ("nsd", "knotd", "named"),
        "An answer with TC is asked again over TCP (RFC 2181 section 9). Ours holds whole RRsets only; others leave "
        "parts or nothing.",
        truncated,
    ),
    (
        "aliases without end",
        ("nsd", "knotd", "named"),
        "A chain of CNAMEs or DNAMEs that loops or does not end is given up after twelve steps, with what there is and "
        "NOERROR; BIND says SERVFAIL, NSD and Knot DNS stop after other numbers of steps.",
        endless,
    ),
    (
        "an alias into another zone of the same server",
        ("nsd", "knotd", "named"),
        "RFC 1034 section 4.3.2 step 3a goes back to step 1, which looks for the nearest zone of all that the server "
        "has: ours follows. Servers that look in the first zone only end the answer with the alias.",
        stops_at_its_zone,
    ),
)
"""Name, servers, reason, and the test of ``(ours, theirs)``, for differences that are meant."""


class NotStarted(Exception):
    """A server that did not start; its last words are the text."""


class Comparison:
    """Generated zones, questions to them, and our answers; ``explained`` counts the differences that are meant."""

    def __init__(self, folder, *, seed, zones, questions):
        self.folder = folder
        (folder / "knot").mkdir()
        rng = random.Random(seed)
        self.names = [f"z{number}.test." for number in range(zones)]
        self.texts = {name: random_zone(rng, others=self.names).replace("example.test.", name) for name in self.names}
        for name, text in self.texts.items():
            (folder / f"{name}zone").write_text(text)
        self.answers = Answers([load(from_text(name), folder / f"{name}zone") for name in self.names])
        self.queries = [self._query(rng, name) for name in self.names for _ in range(questions)]
        self.explained = Counter()

    def _query(self, rng, name):
        asked = random_owner(rng) + name
        if rng.random() < 0.2:
            asked = "".join(rng.choice((letter.upper(), letter)) for letter in asked)
        query = dns.message.make_query(asked, rng.choice(QUERY_TYPES))
        query.use_edns(rng.choice((-1, 0, 0, 0)), payload=rng.choice((512, 1232)))
        return query

    @contextlib.contextmanager
    def _running(self, program):
        port = free_port()
        command = [str(word) for word in CONFIGURATIONS[program](self.folder, port, self.names)]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.connect(("127.0.0.1", port))
                asker.settimeout(0.2)
                probe = dns.message.make_query(self.names[-1], "SOA", id=65535).to_wire()
                for _ in range(300):
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
                    raise NotStarted(f"{program} did not start: {(self.folder / 'log').read_text()[-600:]}")
                asker.settimeout(5)
                yield asker
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def differences(self, program):
        """Every question that a server answers otherwise than ours and not on purpose: question, ours, theirs, zone."""
        found = []
        with self._running(program) as asker:
            for at in range(0, len(self.queries), WINDOW):
                window = dict(enumerate(self.queries[at : at + WINDOW]))
                got = {}
                for number, query in window.items():
                    query.id = number
                    asker.send(query.to_wire())
                while len(got) < len(window):
                    response = dns.message.from_wire(asker.recv(65535))
                    if response.id in window:
                        got[response.id] = response
                for number, query in window.items():
                    wire = query.to_wire()
                    prompt = self.answers.prompts[0].answers([wire[2:]])[0]
                    response = self.answers.answer(wire) if prompt is None else wire[:2] + prompt
                    assert response[12 : 12 + len(query.question[0].name.to_wire())] == query.question[0].name.to_wire()
                    ours, theirs = meaning(dns.message.from_wire(response)), meaning(got[number])
                    if ours == theirs:
                        continue
                    for name, programs, _, explains in DIFFERENCES:
                        if program in programs and explains(ours, theirs):
                            self.explained[name] += 1
                            break
                    else:
                        zone = self.texts[".".join(query.question[0].name.to_text().lower().split(".")[-3:])]
                        found.append((query.question[0].to_text(), ours, theirs, zone))
        return found


def main():
    """Compare at length; the exit status is 1 if anything differs that should not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--zones", type=int, default=3000)
    parser.add_argument("--questions", type=int, default=40, help="asked of each zone")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for program in CONFIGURATIONS:
        if shutil.which(program) is None:
            sys.stdout.write(f"{program} is not installed\n")
            continue
        with tempfile.TemporaryDirectory(prefix="peers") as folder:
            run = Comparison(Path(folder), seed=options.seed, zones=options.zones, questions=options.questions)
            found = run.differences(program)
        explained = ", ".join(f"{count} for {name}" for name, count in run.explained.items()) or "none"
        sys.stdout.write(f"{program}: {len(run.queries)} questions, {len(found)} different; on purpose: {explained}\n")
        for question, ours, theirs, zone in found[:3]:
            sys.stdout.write(f"{question}\nours   {ours}\ntheirs {theirs}\n{zone}\n")
        failed |= bool(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
