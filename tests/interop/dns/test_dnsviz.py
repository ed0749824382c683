"""Zones that we sign, as DNSViz judges them: every answer is secure, every denial proven, nothing is complained of."""

from __future__ import annotations

import json
import os
import shutil

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.interop.dns.test_signed import SigningCase

DNSVIZ = ("/usr/bin/dnsviz", shutil.which("dnsviz"))


class VizTests(SigningCase):
    """One zone after another, probed as its parent's servers would delegate it."""

    def setUp(self):
        super().setUp()
        self.dnsviz = next((path for path in DNSVIZ if path is not None and os.path.exists(path)), None)
        if self.dnsviz is None:
            raise SkipTest("dnsviz is not installed")

    async def run_viz(self, *words):
        out, err, status = await getProcessOutputAndValue(self.dnsviz, words, env={"PATH": "/usr/bin:/bin"})
        self.assertEqual(status, 0, err.decode()[-2000:])
        return out

    async def judged(self):
        """What DNSViz finds wrong: errors, warnings, and whatever is not valid, wherever it stands."""
        probed = self.folder / "probe.json"
        await self.run_viz(
            "probe", "-d", "1", "-A", "-4", "-p", "-x", f"example.test+:ns.example.test=127.0.0.1:{self.port}",
            "-R", "A,AAAA,NS,SOA,DNSKEY,CDS,CDNSKEY", "-o", str(probed),
            "example.test", "www.example.test", "x.w.example.test", "none.example.test",
        )  # fmt: skip
        out = await self.run_viz("grok", "-l", "info", "-r", str(probed))
        found, valid = [], []

        def look(what, where):
            if isinstance(what, dict):
                for key, value in what.items():
                    if key in ("errors", "warnings"):
                        found.extend((where, key, each) for each in value)
                    if key == "status" and value in ("VALID", "INVALID", "BOGUS", "EXPIRED", "INDETERMINATE"):
                        (valid if value == "VALID" else found).append((where, value))
                    look(value, f"{where}/{key}")
            elif isinstance(what, list):
                for each in what:
                    look(each, where)

        look(json.loads(out or b"{}"), "")
        (self.folder / "judged").write_bytes(out)
        places = [where for where, _ in valid]
        self.assertGreater(sum("rrsig" in where for where in places), 10)
        self.assertTrue([where for where in places if "proof" in where])
        return found

    async def sound(self, chain, algorithm="ecdsap256sha256"):
        await self.sign(chain, algorithm)
        self.assertEqual(await self.judged(), [])
        await self.update("update add new.example.test 60 A 192.0.2.9", "update delete www.example.test AAAA")
        self.assertEqual(await self.judged(), [])

    async def test_nsec(self):
        await self.sound("nsec")

    async def test_nsec3(self):
        await self.sound("nsec3", "ed25519")

    async def test_compact(self):
        await self.sound("compact")
