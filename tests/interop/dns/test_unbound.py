"""Unbound validates what we sign: answers, denials and delegations, in each way of denying."""

from __future__ import annotations

import shutil
import subprocess
import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests.interop.dns.test_peers import free_port
from tests.interop.dns.test_signed import SigningCase

QUESTIONS = (
    ("www", "A", "NOERROR"),
    ("www", "TXT", "NOERROR"),
    ("x.w", "A", "NOERROR"),
    ("alias", "A", "NOERROR"),
    ("b.c", "A", "NOERROR"),
    ("none", "A", "NXDOMAIN"),
    ("safe", "DS", "NOERROR"),
)


class UnboundTests(SigningCase):
    """One zone after another, and a resolver that trusts its key."""

    def setUp(self):
        super().setUp()
        if shutil.which("unbound") is None:
            raise SkipTest("unbound is not installed")

    def resolver(self):
        port = free_port()
        anchors = "".join(
            f'  trust-anchor: "{line}"\n' for line in self.tended.key_lines() if line.startswith("example.test. DS")
        )
        (self.folder / "unbound.conf").write_text(
            f'server:\n  interface: 127.0.0.1@{port}\n  do-daemonize: no\n  username: ""\n  chroot: ""\n'
            f'  directory: "{self.folder}"\n  pidfile: "{self.folder}/unbound.pid"\n  use-syslog: no\n'
            '  do-not-query-localhost: no\n  local-zone: "test." nodefault\n  module-config: "validator iterator"\n'
            f"{anchors}remote-control:\n  control-enable: no\n"
            f"stub-zone:\n  name: example.test\n  stub-addr: 127.0.0.1@{self.port}\n"
        )
        command = ["unbound", "-d", "-c", str(self.folder / "unbound.conf")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def stop():
            process.terminate()
            process.wait(10)

        self.addCleanup(stop)
        return port

    async def asked(self, port, name, rdtype):
        query = dns.message.make_query(f"{name}.example.test.", rdtype, want_dnssec=True)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                return await deferToThread(dns.query.udp, query, "127.0.0.1", 3, port)
            except (OSError, dns.exception.DNSException):
                await deferLater(reactor, 0.1)
        raise AssertionError("unbound does not answer")

    async def secure(self, chain, algorithm):
        await self.sign(chain, algorithm)
        port = self.resolver()
        for name, rdtype, rcode in QUESTIONS:
            response = await self.asked(port, name, rdtype)
            if chain == "compact" and rcode == "NXDOMAIN":
                rcode = "NOERROR"  # RFC 9824: a name that has nothing
            self.assertEqual(dns.rcode.to_text(response.rcode()), rcode, (name, rdtype))
            self.assertTrue(response.flags & dns.flags.AD, (name, rdtype))
        # a delegation without DS is proven to be insecure, not secure
        response = await self.asked(port, "sub", "DS")
        self.assertEqual((response.rcode(), response.answer), (dns.rcode.NOERROR, []))

    async def test_nsec(self):
        await self.secure("nsec", "ecdsap256sha256")

    async def test_nsec3(self):
        await self.secure("nsec3", "ed25519")

    async def test_compact(self):
        await self.secure("compact", "rsasha256")
