"""The resolver with real clients, and beside Unbound: same questions, same servers behind, same answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import dns.message
import dns.query
import dns.rdatatype
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests.integration.dns.resolving import ResolverCase, free_port
from tests.unit.dns.resolver import internet


def program(name):
    """Where a program is; the test is skipped if there is none."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    if path is None:
        raise SkipTest(f"{name} is not installed")
    return path


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=40, check=True, **options).stdout


class Clients(ResolverCase):
    async def test_dig(self):
        dig = program("dig")
        at = ["@127.0.0.1", "-p", str(self.port), "+tries=1"]
        self.assertEqual(
            (await deferToThread(run, dig, *at, "+short", "alias.example.test")).split(),
            ["www.example.test.", "192.0.2.80"],
        )
        big = await deferToThread(run, dig, *at, "big.example.test", "TXT")
        self.assertIn("Truncated, retrying in TCP mode", big)
        self.assertEqual(big.count("gggg"), big.count("aaaa"))
        missing = await deferToThread(run, dig, *at, "nothing.example.test")
        self.assertIn("status: NXDOMAIN", missing)
        self.assertIn("flags: qr rd ra;", missing)
        failed = await deferToThread(run, dig, *at, "round.example.test")
        self.assertIn("status: SERVFAIL", failed)
        self.assertIn("aliases lead in a circle", failed)
        self.assertNotIn("WARNING", missing + failed)
        refused = await deferToThread(run, dig, *at, "+norecurse", "unknown.example.test")
        self.assertIn("status: REFUSED", refused)

    async def test_kdig(self):
        kdig = program("kdig")
        at = ["@127.0.0.1", "-p", str(self.port)]
        for way in ([], ["+tcp", "+keepopen"]):
            found = await deferToThread(
                run, kdig, *at, *way, "+short", "www.example.test", "A", "www.sub.example.test", "A"
            )
            self.assertEqual(found.split(), ["192.0.2.80", "192.0.2.82"])

    async def test_dnsperf(self):
        dnsperf = program("dnsperf")
        names = "".join(f"{name} {rdtype}\n" for name, rdtype in internet.QUESTIONS if name != "big.example.test")
        path = self.folder / "questions"
        path.write_text(names)
        said = await deferToThread(
            run, dnsperf, "-s", "127.0.0.1", "-p", str(self.port), "-d", str(path), "-n", "20", "-t", "10"
        )
        self.assertIn("Queries lost:         0 (0.00%)", said)
        self.assertNotIn("SERVFAIL", said)


class BesideUnbound(ResolverCase):
    async def test_the_same_answers(self):
        port = await self.unbound()
        for name, rdtype in internet.QUESTIONS:
            query = dns.message.make_query(name, rdtype)
            ours, theirs = await gatherResults(
                [deferToThread(dns.query.tcp, query, "127.0.0.1", timeout=15, port=each) for each in (self.port, port)]
            )
            self.assertEqual(facts(ours), facts(theirs), (name, rdtype))

    async def unbound(self):
        unbound = program("unbound")
        port = free_port()
        stubs = "".join(
            f'stub-zone:\n  name: "{zone}"\n  stub-addr: {address}@{self.upstream_port}\n'
            for address, zone in internet.ZONES
        )
        path = self.folder / "unbound.conf"
        path.write_text(
            f'server:\n  interface: 127.0.0.1@{port}\n  port: {port}\n  username: ""\n  chroot: ""\n'
            f'  pidfile: "{self.folder}/unbound.pid"\n  directory: "{self.folder}"\n  use-syslog: no\n'
            "  do-not-query-localhost: no\n  module-config: iterator\n  minimal-responses: yes\n  do-ip6: no\n"
            f"  local-zone: test. nodefault\nremote-control:\n  control-enable: no\n{stubs}"
        )
        process = subprocess.Popen(
            [unbound, "-d", "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def stop():
            process.terminate()
            process.wait(10)

        self.addCleanup(stop)

        def wait():
            query = dns.message.make_query("www.example.test", "A")
            for _ in range(50):
                try:
                    return dns.query.tcp(query, "127.0.0.1", timeout=2, port=port)
                except OSError:
                    time.sleep(0.1)
            raise AssertionError("Unbound does not answer")

        await deferToThread(wait)
        return port


def facts(answer):
    """What must agree: the code, the records (not how long they hold) and the proof of an absence."""
    records = [
        (str(rrset.name).lower(), int(rrset.rdtype), sorted(rdata.to_text().lower() for rdata in rrset))
        for section in (answer.answer, answer.authority)
        for rrset in section
    ]
    return int(answer.rcode()), sorted(records)
