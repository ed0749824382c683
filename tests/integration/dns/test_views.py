"""Views by client address, on real sockets: answers by every way, transfers, updates, notifications, data apart."""

from __future__ import annotations

from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import dns.zone
from pydantic import ValidationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.dns.authoritative.control import ZoneControl
from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons
from tests.integration.dns.test_tended import KEY, SECRET

INSIDE, OUTSIDE, LAB = "127.0.0.2", "127.0.0.3", "127.0.1.9"
ZONE = "$TTL 60\n@ SOA ns1 host 1 3600 1 604800 5\n@ NS ns1\nns1 A 127.0.0.1\nwww A {0}\n*.any TXT {0}\n"


class ViewTests(TestCase):
    """Three kinds of clients of one server."""

    timeout = 30

    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        for number, name in enumerate(("inside", "lab", "common", "other"), 1):
            (self.folder / name).write_text(ZONE.format(f"192.0.2.{number}"))

    def table(self, **more):
        grants = [{"key": "ddns"}]
        return {
            "listen": ["127.0.0.1:0"],
            "key": [{"name": "ddns", "secret": SECRET}],
            "view": [
                {"name": "lab", "clients": ["127.0.1.0/24"]},
                {"name": "inside", "clients": ["127.0.0.2", "127.0.1.0/24"]},
            ],
            "zone": [
                {"name": "example.test", "file": "common", "transfer": ["any"], "update": grants},
                {"name": "example.test", "file": "inside", "view": ["inside"], "transfer": ["any"], "update": grants},
                {"name": "lab.test", "file": "lab", "view": ["lab", "inside"]},
                {"name": "other.test", "file": "other"},
            ],
            **more,
        }

    def run_site(self, **more):
        commons = make_commons(self.folder / "data", reactor)
        settings = DnsSettings.model_validate(self.table(**more), context={"base": self.folder})
        service = build(settings, commons)
        service.check()
        service.open()
        service.startService()
        self.port = service.addresses()[0].port
        self.control = ZoneControl(service._tended)
        self.stopped = False

        async def stop():
            if not self.stopped:
                self.stopped = True
                await service.drain(reactor.seconds() + 0.2)

        self.stop = stop
        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return service

    def ask(self, source, query, tcp=False):
        way = dns.query.tcp if tcp else dns.query.udp
        return deferToThread(way, query, "127.0.0.1", 5, self.port, source)

    async def text(self, source, name, rdtype="A", tcp=False, **more):
        response = await self.ask(source, dns.message.make_query(f"{name}.", rdtype, **more), tcp)
        if response.rcode():
            return dns.rcode.to_text(response.rcode())
        return " ".join(sorted(rdata.to_text() for rrset in response.answer for rdata in rrset))

    async def check_answers(self):
        for _ in range(3):  # asked again, they come from what was prepared
            for tcp in (False, True):
                for name, rdtype, quote in (("www", "A", ""), ("x.any", "TXT", '"')):
                    for source, said in ((INSIDE, "1"), (OUTSIDE, "3"), (LAB, "3")):
                        for edns in (-1, 0):
                            found = await self.text(source, f"{name}.example.test", rdtype, tcp, use_edns=edns)
                            self.assertEqual(found, f"{quote}192.0.2.{said}{quote}")
                self.assertEqual(await self.text(INSIDE, "www.lab.test", tcp=tcp), "192.0.2.2")
                self.assertEqual(await self.text(LAB, "www.lab.test", tcp=tcp), "192.0.2.2")
                self.assertEqual(await self.text(OUTSIDE, "www.lab.test", tcp=tcp), "REFUSED")
                for source in (INSIDE, OUTSIDE, LAB):
                    self.assertEqual(await self.text(source, "www.other.test", tcp=tcp), "192.0.2.4")
                    self.assertEqual(await self.text(source, "none.other.test", tcp=tcp), "NXDOMAIN")

    async def test_each_sees_its_own(self):
        service = self.run_site()
        await self.check_answers()
        server = service._places["127.0.0.1:0"].server
        self.assertIsNone(server.port_prompt)
        counted = dict(service.figures())
        self.assertEqual(counted["answers REFUSED"], 6)
        self.assertEqual(counted["answers NXDOMAIN"], 18)

    async def test_with_rules_limits_turns_and_the_careful_way(self):
        for more in (
            {"rate_limit": 100000, "allow": ["127.0.0.0/8"]},
            {"minimal_responses": False},
            {"rotate": "round-robin"},
        ):
            self.run_site(**more)
            await self.check_answers()
            await self.stop()

    async def test_changes_stay_in_their_view(self):
        service = self.run_site()
        update = dns.update.UpdateMessage("example.test.", keyring=KEY)
        update.add("new", 60, "A", "192.0.2.77")
        self.assertEqual((await self.ask(INSIDE, update)).rcode(), 0)
        self.assertEqual(await self.text(INSIDE, "new.example.test"), "192.0.2.77")
        self.assertEqual(await self.text(OUTSIDE, "new.example.test"), "NXDOMAIN")
        update = dns.update.UpdateMessage("lab.test.")
        update.add("new", 60, "A", "192.0.2.77")
        self.assertEqual((await self.ask(OUTSIDE, update)).rcode(), dns.rcode.NOTAUTH)
        self.assertEqual((await self.ask(LAB, update)).rcode(), dns.rcode.REFUSED)
        notify = dns.message.make_query("lab.test.", "SOA", flags=0)
        notify.set_opcode(4)
        self.assertEqual((await self.ask(OUTSIDE, notify)).rcode(), dns.rcode.NOTAUTH)
        self.assertEqual((await self.ask(INSIDE, notify)).rcode(), dns.rcode.REFUSED)
        await self.stop()
        service = self.run_site()
        self.assertEqual(await self.text(INSIDE, "new.example.test"), "192.0.2.77")
        self.assertEqual(await self.text(OUTSIDE, "new.example.test"), "NXDOMAIN")
        self.assertEqual([tended.zone.serial for tended in service._tended[:2]], [1, 2])
        told = await self.control.asked({"do": "log", "name": "example.test"})
        self.assertEqual((told["serial"], told["view"]), (1, []))
        told = await self.control.asked({"do": "log", "name": "example.test", "view": "inside"})
        self.assertEqual((told["serial"], told["name"]), (2, "example.test. (view inside)"))
        told = await self.control.asked({"do": "log", "name": "lab.test"})
        self.assertEqual(told["view"], ["lab", "inside"])
        with self.assertRaisesRegex(StartError, "no zone of view lab"):
            await self.control.asked({"do": "log", "name": "example.test", "view": "lab"})
        self.assertEqual(len((await self.control.asked({"do": "list"}))["zones"]), 4)

    async def test_transfers_are_of_the_view(self):
        self.run_site()

        def copied(source, name="example.test."):
            zone = dns.zone.Zone(name)
            query = dns.message.make_query(name, "AXFR")
            dns.query.inbound_xfr("127.0.0.1", zone, query, port=self.port, timeout=5, source=source)
            return zone.get_rdataset("www", "A")[0].to_text()

        self.assertEqual(await deferToThread(copied, INSIDE), "192.0.2.1")
        self.assertEqual(await deferToThread(copied, OUTSIDE), "192.0.2.3")
        query = dns.message.make_query("lab.test.", "AXFR")
        self.assertEqual((await self.ask(OUTSIDE, query, True)).rcode(), dns.rcode.NOTAUTH)
        self.assertEqual((await self.ask(INSIDE, query, True)).rcode(), dns.rcode.REFUSED)
        signed = dns.message.make_query("www.example.test.", "A")
        signed.use_tsig(dns.tsig.Key("ddns.", SECRET, "hmac-sha256."))
        for source, said in ((INSIDE, "192.0.2.1"), (OUTSIDE, "192.0.2.3")):
            answer = await self.ask(source, signed)
            self.assertEqual(answer.answer[0][0].to_text(), said)

    async def test_an_edited_file_changes_its_view(self):
        service = self.run_site()
        await self.check_answers()
        text = ZONE.format("192.0.2.5").replace("host 1 ", "host 2 ")
        (self.folder / "inside").write_text(text)
        await service.reload()
        self.assertEqual(await self.text(INSIDE, "www.example.test"), "192.0.2.5")
        self.assertEqual(await self.text(OUTSIDE, "www.example.test"), "192.0.2.3")
        steps = service.control.explain({"name": "www.example.test", "client": INSIDE})
        self.assertEqual([each["view"] for each in steps if each["step"] == "view"], ["inside"])
        self.assertIn("192.0.2.5", steps[-1]["message"])

    def test_what_makes_no_sense(self):
        for more, words in (
            ({"view": []}, "of which there is no"),
            ({"view": self.table()["view"] * 2}, "is there twice"),
            ({"zone": [*self.table()["zone"], self.table()["zone"][1]]}, "twice on 127.0.0.1:0 in view inside"),
        ):
            with self.assertRaisesRegex(ValidationError, words):
                DnsSettings.model_validate(self.table(**more), context={"base": self.folder})
