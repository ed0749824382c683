"""Zones that change, on real files: updates that survive, edited files, roll-backs, delegations, expiry, refusals."""

from __future__ import annotations

from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.dns.authoritative.control import ZoneControl
from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
KEY = dns.tsig.Key("ddns.", SECRET, "hmac-sha256.")
ZONE = "$TTL 60\n@ SOA ns1 host {} 3600 1 {} 5\n@ NS ns1\nns1 A 127.0.0.1\nwww A 192.0.2.1\n"


class TendedTests(TestCase):
    """One site after another in one folder."""

    timeout = 30

    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.running = []
        self.write(1)

        async def stop():
            while self.running:
                await self.running.pop().drain(reactor.seconds() + 0.2)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))

    def write(self, serial, more="", expire=604800):
        (self.folder / "zone").write_text(ZONE.format(serial, expire) + more)

    def run_site(self, data="data", **zone):
        zone = zone or {"file": "zone", "update": [{"key": "ddns"}], "transfer": ["loopback"]}
        table = {
            "listen": ["127.0.0.1:0"],
            "key": [{"name": "ddns", "secret": SECRET}],
            "zone": [{"name": "example.test", **zone}],
        }
        commons = make_commons(self.folder / data, reactor)
        service = build(DnsSettings.model_validate(table, context={"base": self.folder}), commons)
        service.check()
        service.open()
        self.running.append(service)
        service.startService()
        self.control = ZoneControl(service._tended)
        return service

    async def stop_site(self):
        await self.running.pop().drain(reactor.seconds() + 0.2)

    def ask(self, service, query):
        port = service.addresses()[0].port
        return deferToThread(dns.query.udp, query, "127.0.0.1", 5, port)

    async def text(self, service, name, rdtype="A"):
        response = await self.ask(service, dns.message.make_query(f"{name}.example.test.", rdtype))
        if response.rcode():
            return dns.rcode.to_text(response.rcode())
        return sorted(rdata.to_text() for rrset in response.answer for rdata in rrset)

    async def update(self, service, *changes, key=KEY):
        update = dns.update.UpdateMessage("example.test.", keyring=key)
        for act, *words in changes:
            getattr(update, act)(*words)
        return dns.rcode.to_text((await self.ask(service, update)).rcode())

    async def until(self, test):
        for _ in range(200):
            if await test():
                return
            await deferLater(reactor, 0.02)
        self.fail("it did not come about")

    async def test_updates_are_there_after_a_start(self):
        site = self.run_site()
        for number in range(5):
            added = ("add", f"n{number}.example.test.", 60, "A", f"192.0.2.{number}")
            self.assertEqual(await self.update(site, added), "NOERROR")
        await self.stop_site()
        site = self.run_site()
        self.assertEqual(await self.text(site, "n4"), ["192.0.2.4"])
        self.assertEqual(site._tended[0].zone.serial, 6)
        self.assertEqual(len(site._tended[0].versions()), 5)

    async def test_an_edited_file_is_one_more_version(self):
        site = self.run_site()
        await self.update(site, ("add", "n.example.test.", 60, "A", "192.0.2.7"))
        self.write(2, "edited A 192.0.2.99\n")
        (line,) = await site.reload()
        self.assertIn("its serial 2 is not later than 2", line)
        self.assertIn("its serial 2", site.health().detail)
        self.assertEqual(await self.text(site, "n"), ["192.0.2.7"])
        self.write(10, "edited A 192.0.2.99\n")
        (line,) = await site.reload()
        self.assertEqual(line, "zone example.test. serial 10, 5 records")
        self.assertTrue(site.health().ok)
        self.assertEqual(await self.text(site, "n"), "NXDOMAIN")
        self.assertEqual(await self.text(site, "edited"), ["192.0.2.99"])
        await self.control.asked({"do": "rollback", "name": "example.test", "serial": 2})
        self.assertEqual(await self.text(site, "n"), ["192.0.2.7"])
        self.assertEqual(await self.text(site, "edited"), "NXDOMAIN")
        await self.stop_site()
        # The file is as it was taken into account last: what was made of it since stays.
        site = self.run_site()
        self.assertEqual(site._tended[0].zone.serial, 11)
        self.assertEqual(await self.text(site, "n"), ["192.0.2.7"])
        await self.stop_site()
        self.write(20, "away A 192.0.2.50\n")
        site = self.run_site()
        self.assertEqual(await self.text(site, "away"), ["192.0.2.50"])
        told = await self.control.asked({"do": "log", "name": "example.test."})
        self.assertEqual([each["serial"] for each in told["versions"]], [20, 11, 10, 2])

    async def test_a_file_that_only_its_owner_changes(self):
        site = self.run_site(file="zone")
        self.assertEqual(await site.reload(), [])
        self.write(2, "a A 192.0.2.5\n")
        await site.reload()
        await self.stop_site()
        site = self.run_site(file="zone")
        told = await self.control.asked({"do": "log", "name": "example.test"})
        self.assertEqual([each["serial"] for each in told["versions"]], [2])
        self.write(2, "b A 192.0.2.5\n")
        (line,) = await site.reload()
        self.assertIn("not later than 2", line)
        self.assertEqual(await self.text(site, "b"), ["192.0.2.5"])
        await self.stop_site()
        self.write(3, "c A 192.0.2.5\n")
        site = self.run_site(file="zone")
        self.assertEqual(await self.text(site, "c"), ["192.0.2.5"])

    async def test_a_delegation_by_the_operator(self):
        site = self.run_site()
        answer = await self.control.asked(
            {"do": "delegate", "name": "shop.example.test", "servers": ["dns1.shop.example.test=212.212.212.1"]}
        )
        self.assertEqual(answer, {"zone": "example.test.", "serial": 2})
        response = await self.ask(site, dns.message.make_query("www.shop.example.test.", "A"))
        self.assertEqual(response.authority[0].to_text(), "shop.example.test. 3600 IN NS dns1.shop.example.test.")
        self.assertEqual(response.additional[0].to_text(), "dns1.shop.example.test. 3600 IN A 212.212.212.1")
        for servers, words in (
            (["dns1.shop.example.test"], "nobody finds it"),
            (["ns.other.test=192.0.2.1"], "outside zone"),
            (["x=y"], "give NAME=ADDRESS"),
            ([], "--ns"),
        ):
            with self.assertRaisesRegex(StartError, words):
                await self.control.asked({"do": "delegate", "name": "shop.example.test", "servers": servers})
        with self.assertRaisesRegex(StartError, "no zone of this site is above"):
            await self.control.asked({"do": "delegate", "name": "other.test", "servers": ["a.b=192.0.2.1"]})

    async def test_who_may_not(self):
        site = self.run_site()
        added = ("add", "n.example.test.", 60, "A", "192.0.2.7")
        self.assertEqual(await self.update(site, added, key=None), "REFUSED")
        other = dns.tsig.Key("other.", SECRET, "hmac-sha256.")
        with self.assertRaises(dns.tsig.PeerBadKey):
            await self.update(site, added, key=other)
        wrong = dns.tsig.Key("ddns.", "AAAA" + SECRET[4:], "hmac-sha256.")
        with self.assertRaises(dns.tsig.PeerBadSignature):
            await self.update(site, added, key=wrong)
        self.assertEqual(site._tended[0].zone.serial, 1)
        query = dns.message.make_query("example.test.", "SOA")
        query.set_opcode(4)
        self.assertEqual((await self.ask(site, query)).rcode(), dns.rcode.REFUSED)
        for do in ("log", "rollback", "refresh"):
            with self.assertRaisesRegex(StartError, "no zone of this site"):
                await self.control.asked({"do": do, "name": "none.test"})
        with self.assertRaisesRegex(StartError, "no version 99"):
            await self.control.asked({"do": "rollback", "name": "example.test", "serial": 99})

    async def test_refusals_do_not_flood_the_log(self):
        site = self.run_site()
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        added = ("add", "n.example.test.", 60, "A", "192.0.2.7")
        for _ in range(60):
            self.assertEqual(await self.update(site, added, key=None), "REFUSED")
        said = [each for each in events if "may not update" in (each.get("log_format") or "")]
        self.assertTrue(20 <= len(said) <= 25, len(said))

    async def test_a_copy_expires_and_comes_back(self):
        self.write(1, expire=2)
        site = self.run_site()
        port = site.addresses()[0].port
        copy = self.run_site("copy", primary=[f"127.0.0.1:{port}"])

        async def served():
            return await self.text(copy, "www") == ["192.0.2.1"]

        async def gone():
            return await self.text(copy, "www") == "SERVFAIL"

        await self.until(served)
        self.running.remove(site)
        await site.drain(reactor.seconds() + 0.2)
        copy._tended[0].refresh()
        await self.until(gone)
        self.assertFalse(copy.health().ok)
        self.assertIn("example.test", copy.health().detail)

    async def test_a_copy_is_there_without_its_primary(self):
        site = self.run_site()
        copy = self.run_site("copy", primary=[f"127.0.0.1:{site.addresses()[0].port}"])

        async def served():
            return await self.text(copy, "www") == ["192.0.2.1"]

        await self.until(served)
        self.running.remove(site)
        await site.drain(reactor.seconds() + 0.2)
        await self.stop_site()
        copy = self.run_site("copy", primary=["127.0.0.1:9"])
        self.assertTrue(await served())
        self.assertEqual((await self.ask(copy, dns.message.make_query("example.test.", "SOA"))).flags & 0x400, 0x400)

    async def test_a_copy_expires_while_nothing_runs(self):
        site = self.run_site()
        port = site.addresses()[0].port
        copy = self.run_site("copy", primary=[f"127.0.0.1:{port}"])

        async def served():
            return await self.text(copy, "www") == ["192.0.2.1"]

        async def noted():
            return heard.exists()

        heard = self.folder / "copy" / "dns" / "example.test" / "heard"
        await self.until(served)
        await self.until(noted)
        self.assertLess(abs(int(heard.read_text()) - reactor.seconds()), 30)
        await self.stop_site()
        heard.write_text(str(int(reactor.seconds()) - 604801))
        copy = self.run_site("copy", primary=["127.0.0.1:9"])
        self.assertEqual(await self.text(copy, "www"), "SERVFAIL")
        self.assertFalse(copy.health().ok)
        await self.stop_site()
        # It is served again as soon as a primary says that it is what there is.
        copy = self.run_site("copy", primary=[f"127.0.0.1:{port}"])
        await self.until(served)

    async def test_what_an_update_may_bring_to_a_name_is_bounded(self):
        site = self.run_site(file="zone", update=[{"key": "ddns"}], most_at_a_name=3)
        for number in range(3):
            added = ("add", "n.example.test.", 60, "A", f"192.0.2.{number}")
            self.assertEqual(await self.update(site, added), "NOERROR")
        self.assertEqual(await self.update(site, ("add", "n.example.test.", 60, "A", "192.0.2.9")), "REFUSED")
        self.assertEqual(len(await self.text(site, "n")), 3)
