"""Signed zones on their way: what dnspython and a copy of ours get by AXFR and IXFR, after updates and restarts too.

Every signature has the TTL of what it covers, although names have several TTLs (RFC 4034 section 3).
"""

from __future__ import annotations

from pathlib import Path

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.update
import dns.zone
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons
from tests.dnssignatures import MANY_TTLS
from tests.unit.dns.uriarpa import URI_ARPA


class SignatureTests(TestCase):
    """A server, a copy of it, and dnspython, which keeps up by IXFR."""

    timeout = 30

    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.running = []

        async def stop():
            while self.running:
                await self.stop_site()

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))

    def run_site(self, name, data="data", **zone):
        table = {"listen": ["127.0.0.1:0"], "zone": [{"name": name, "transfer": ["loopback"], **zone}]}
        commons = make_commons(self.folder / data, reactor)
        service = build(DnsSettings.model_validate(table, context={"base": self.folder}), commons)
        service.check()
        service.open()
        self.running.append(service)
        service.startService()
        return service.addresses()[0].port

    async def stop_site(self, number=-1):
        await self.running.pop(number).drain(reactor.seconds() + 0.2)

    async def transferred(self, port, zone):
        """A zone brought up to date from a server, by IXFR if it has anything already."""
        await deferToThread(dns.query.inbound_xfr, "127.0.0.1", zone, port=port, timeout=5)
        return sorted(zone.to_text(relativize=False).splitlines())

    async def steps(self, name, port, soa):
        """What goes and what comes since a version, of all that IXFR tells."""
        query = dns.message.make_query(name, "IXFR")
        query.authority.append(dns.rrset.from_rdata(name, 0, soa))
        answer = await deferToThread(dns.query.tcp, query, "127.0.0.1", 5, port, one_rr_per_rrset=True)
        gone, come, part = set(), set(), set()
        for rrset in answer.answer[1:-1]:
            if rrset.rdtype == dns.rdatatype.SOA:
                part = gone if part is not gone else come
            part.add(rrset.to_text())
        return gone, come

    async def update(self, name, port, *changes):
        update = dns.update.UpdateMessage(name)
        for act, *words in changes:
            getattr(update, act)(*words)
        answer = await deferToThread(dns.query.udp, update, "127.0.0.1", 5, port)
        self.assertEqual(answer.rcode(), dns.rcode.NOERROR)

    async def until(self, test):
        for _ in range(400):
            if await test():
                return
            await deferLater(reactor, 0.02)
        self.fail("it did not come about")

    def check(self, zone, least):
        """Each signature lives as long as what it covers, and as long as its signer said."""
        count = 0
        for name, node in zone.items():
            for rdataset in node:
                if rdataset.rdtype == dns.rdatatype.RRSIG:
                    covered = node.get_rdataset(rdataset.rdclass, rdataset.covers)
                    self.assertEqual(rdataset.ttl, covered.ttl, (name, rdataset.covers))
                    count += len(rdataset)
        self.assertGreaterEqual(count, least)
        self.assertGreater(len({rdataset.ttl for rdataset in zone.get_node(zone.origin)}), 1)

    def verify(self, zone):
        """The signatures hold by the zone's own keys."""
        keys = {zone.origin: zone.get_rdataset(zone.origin, "DNSKEY")}
        for name, node in zone.items():
            for rdataset in node:
                if rdataset.rdtype != dns.rdatatype.RRSIG:
                    continue
                covered = node.get_rdataset(rdataset.rdclass, rdataset.covers)
                for signature in rdataset:
                    self.assertEqual(signature.original_ttl, covered.ttl)
                    dns.dnssec.validate_rrsig((name, covered), signature, keys, zone.origin, reactor.seconds())

    async def follow(self, name, port, change, least):
        """dnspython and a copy of ours through a change and restarts: all have the same, and it is right."""

        def fresh():
            return dns.zone.Zone(name, relativize=False)

        async def is_copied():
            query = dns.message.make_query(name, "SOA")
            answers = [await deferToThread(dns.query.udp, query, "127.0.0.1", 5, each) for each in (port, copy)]
            return answers[0].answer == answers[1].answer

        kept, kept_of_copy = fresh(), fresh()
        copy = self.run_site(name, "copy", primary=[f"127.0.0.1:{port}"])
        await self.until(is_copied)
        said = await self.transferred(port, kept)
        soa = kept.get_soa()
        self.check(kept, least)
        self.assertEqual(await self.transferred(copy, kept_of_copy), said)
        await change(port)
        self.running[-1]._tended[0].refresh()
        await self.until(is_copied)
        changed = await self.transferred(port, kept)
        for server in (port, copy):
            gone, come = await self.steps(name, server, soa)
            self.assertLess(gone, set(said))
            self.assertEqual(set(said) - gone | come, set(changed))
        self.check(kept, least)
        for server, zone in ((port, fresh()), (copy, kept_of_copy), (copy, fresh())):
            self.assertEqual(await self.transferred(server, zone), changed)
        await self.stop_site()
        copy = self.run_site(name, "copy", primary=["127.0.0.1:9"])
        self.assertEqual(await self.transferred(copy, fresh()), changed)
        return kept

    async def test_a_zone_that_came_signed(self):
        (self.folder / "zone").write_text(URI_ARPA)
        options = {"file": "zone", "update": [{"allow": ["loopback"]}]}
        port = self.run_site("uri.arpa", **options)
        zone = dns.zone.Zone("uri.arpa.", relativize=False)
        said = await self.transferred(port, zone)
        theirs = dns.zone.from_text(URI_ARPA, "uri.arpa.", relativize=False)
        self.assertEqual(said, sorted(theirs.to_text(relativize=False).splitlines()))
        zone.verify_digest()

        async def change(port):
            """A TTL changes, an RRset comes with its signature, one goes with it."""
            naptr = theirs.get_rdataset("ftp.uri.arpa.", "NAPTR")[0].to_text()
            soon = theirs.get_rdataset("urn.uri.arpa.", "RRSIG", "NAPTR")[0].to_text().replace("NAPTR", "TXT")
            await self.update(
                "uri.arpa.",
                port,
                ("add", "ftp.uri.arpa.", 5, "NAPTR", naptr),
                ("add", "urn.uri.arpa.", 7, "TXT", "new"),
                ("add", "urn.uri.arpa.", 9999, "RRSIG", soon),
                ("delete", "uri.arpa.", "MX"),
                ("delete", "uri.arpa.", "RRSIG", theirs.get_rdataset("uri.arpa.", "RRSIG", "MX")[0].to_text()),
            )

        kept = await self.follow("uri.arpa.", port, change, 15)
        for name, covers, ttl in (("ftp", "NAPTR", 5), ("urn", "TXT", 7), ("urn", "NSEC", 3600)):
            self.assertEqual(kept.get_rdataset(f"{name}.uri.arpa.", "RRSIG", covers).ttl, ttl)
        await self.stop_site(0)
        port = self.run_site("uri.arpa", **options)
        again = await self.transferred(port, dns.zone.Zone("uri.arpa.", relativize=False))
        self.assertEqual(again, sorted(kept.to_text(relativize=False).splitlines()))

    async def signed_here(self, chain, least):
        (self.folder / "zone").write_text(MANY_TTLS)
        options = {"file": "zone", "dnssec": chain, "update": [{"allow": ["loopback"]}]}
        port = self.run_site("example.test", **options)

        async def change(port):
            await self.update(
                "example.test.",
                port,
                ("add", "www.example.test.", 7, "A", "192.0.2.1"),
                ("delete", "www.example.test.", "TXT"),
                ("add", "new.example.test.", 50, "AAAA", "2001:db8::1"),
                ("add", "new.example.test.", 40, "A", "192.0.2.9"),
            )

        kept = await self.follow("example.test.", port, change, least)
        self.verify(kept)
        self.assertEqual(kept.get_rdataset("www.example.test.", "RRSIG", "A").ttl, 7)
        query = dns.message.make_query("new.example.test.", "RRSIG")
        answer = await deferToThread(dns.query.tcp, query, "127.0.0.1", 5, port)
        found = {dns.rdatatype.to_text(rrset.covers): rrset.ttl for rrset in answer.answer}
        self.assertEqual(found, {"A": 40, "AAAA": 50} | ({"NSEC": 30} if chain == "nsec" else {}))
        await self.stop_site(0)
        port = self.run_site("example.test", **options)
        again = await self.transferred(port, dns.zone.Zone("example.test.", relativize=False))
        self.assertEqual(again, sorted(kept.to_text(relativize=False).splitlines()))

    async def test_a_zone_that_is_signed_here(self):
        await self.signed_here("nsec", 15)

    async def test_with_hashed_names(self):
        await self.signed_here("nsec3", 15)

    async def test_without_a_chain(self):
        await self.signed_here("compact", 10)
