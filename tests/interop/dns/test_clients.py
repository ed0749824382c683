"""Clients that no one here wrote ask our server: dig, kdig, dnsperf."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons
from tests.unit.dns.zones import SITE


class ClientTests(TestCase):
    """Each client once by UDP and once by TCP."""

    timeout = 30

    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        (self.folder / "zone").write_text(SITE)
        many = "".join(f"n{number} A 192.0.2.{number % 256}\n" for number in range(100))
        (self.folder / "zone").write_text(SITE + "".join(f"many A 192.0.2.{n}\n" for n in range(100)) + many)
        table = {"listen": ["127.0.0.1:0"], "zone": [{"name": "example.test", "file": str(self.folder / "zone")}]}
        self.service = build(DnsSettings.model_validate(table), make_commons(self.folder / "data", reactor))
        self.service.check()
        self.service.open()
        self.service.startService()
        self.addCleanup(lambda: self.service.drain(reactor.seconds() + 0.2))
        self.port = str(self.service.addresses()[0].port)

    async def run_client(self, program, *words):
        path = shutil.which(program)
        if path is None:
            raise SkipTest(f"{program} is not installed")
        out, err, status = await getProcessOutputAndValue(path, words)
        self.assertEqual(status, 0, err)
        return out.decode()

    async def ask(self, program, *words):
        return await self.run_client(program, "@127.0.0.1", "-p", self.port, *words)

    async def test_dig(self):
        out = await self.ask("dig", "www.example.test", "A", "+norecurse")
        self.assertIn("status: NOERROR", out)
        self.assertIn("flags: qr aa;", out)
        self.assertRegex(out, r"www\.example\.test\.\s+300\s+IN\s+CNAME\s+web\.example\.test\.")
        self.assertNotIn("Warning", out)

    async def test_dig_falls_back_to_tcp(self):
        out = await self.ask("dig", "many.example.test", "A", "+bufsize=512")
        self.assertIn("Truncated, retrying in TCP mode", out)
        self.assertIn("ANSWER: 100", out)

    async def test_dig_negotiates_edns(self):
        out = await self.ask("dig", "web.example.test", "+edns=7", "+noednsnegotiation")
        self.assertIn("status: BADVERS", out)
        out = await self.ask("dig", "web.example.test", "+edns=7", "+ednsnegotiation", "+ednsopt=65001:aa", "+cookie")
        self.assertIn("status: NOERROR", out)

    async def test_dig_keeps_a_connection(self):
        out = await self.ask("dig", "+tcp", "+keepopen", "web.example.test", "A", "mail.example.test", "A", "+short")
        self.assertEqual(sorted(out.split()), ["192.0.2.2", "192.0.2.3", "192.0.2.4"])

    async def test_kdig(self):
        out = await self.ask("kdig", "example.test", "ANY", "+tcp")
        self.assertIn("status: NOERROR", out)
        self.assertIn("ANSWER: 5", out)
        out = await self.ask("kdig", "x.sub.example.test", "A", "+norec")
        self.assertIn("AUTHORITY: 4", out)

    async def test_dnsperf(self):
        queries = self.folder / "queries"
        queries.write_text("".join(f"n{number}.example.test A\n" for number in range(120)))
        for mode in ("udp", "tcp"):
            out = await self.run_client(
                "dnsperf", "-s", "127.0.0.1", "-p", self.port, "-d", str(queries), "-n", "5", "-m", mode, "-c", "3"
            )
            self.assertRegex(out, r"Queries completed:\s+600 \(100.00%\)")
            self.assertRegex(out, r"NOERROR 500 .*, NXDOMAIN 100 ")
