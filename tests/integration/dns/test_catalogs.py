"""Catalogs between two of our servers: members come, change, move and go, with their data."""

from __future__ import annotations

import shutil
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.dns.authoritative.control import ZoneControl
from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons

ZONE = "$TTL 60\n@ SOA ns1 host 1 3600 1 604800 5\n@ NS ns1\nns1 A 127.0.0.1\nwww A 192.0.2.{}\n"
CATALOG = '$TTL 0\n@ SOA invalid. invalid. {} 3600 600 604800 0\n@ NS invalid.\nversion TXT "2"\n'


class CatalogTests(TestCase):
    """A primary with files for zones and catalogs, and a copy that has nothing but the catalogs' names."""

    timeout = 30

    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.names = [f"z{number}.test" for number in range(1, 5)]
        for number, name in enumerate(self.names, 1):
            (self.folder / name).write_text(ZONE.format(number))
        self.running = []
        self.serial = 0

        async def stop():
            while self.running:
                await self.stop_site(self.running[-1])

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))

    async def stop_site(self, service):
        self.running.remove(service)
        await service.drain(reactor.seconds() + 0.2)

    def run_site(self, data, **table):
        table = {"listen": ["127.0.0.1:0"], **table}
        commons = make_commons(self.folder / data, reactor)
        service = build(DnsSettings.model_validate(table, context={"base": self.folder}), commons)
        service.check()
        service.open()
        service.startService()
        self.running.append(service)
        return service

    def write(self, **catalogs):
        """Catalogs by name: zone -> label, or (label, further lines)."""
        self.serial += 1
        for name, zones in catalogs.items():
            text = CATALOG.format(self.serial)
            for zone, what in zones.items():
                label, *more = what if isinstance(what, tuple) else (what,)
                text += f"{label}.zones PTR {zone}.test.\n" + "".join(f"{line}\n" for line in more)
            (self.folder / name).write_text(text)

    def primary(self, *catalogs):
        zones = [{"name": name, "file": name, "transfer": ["loopback"]} for name in self.names]
        zones += [{"name": f"{name}.catalog", "file": name, "transfer": ["loopback"]} for name in catalogs]
        return self.run_site("primary", zone=zones)

    def copy(self, primary, *catalogs, **more):
        port = primary.addresses()[0].port
        zones = [
            {"name": f"{name}.catalog", "primary": [f"127.0.0.1:{port}"], "catalog": True, **more} for name in catalogs
        ]
        return self.run_site("copy", zone=zones)

    async def text(self, service, name):
        query = dns.message.make_query(f"www.{name}.test.", "A")
        response = await deferToThread(dns.query.udp, query, "127.0.0.1", 5, service.addresses()[0].port)
        return response.answer[0][0].to_text() if response.answer else dns.rcode.to_text(response.rcode())

    async def until(self, test):
        for _ in range(300):
            if await test():
                return
            await deferLater(reactor, 0.02)
        self.fail("it did not come about")

    async def serves(self, service, **said):
        async def there():
            return [await self.text(service, name) for name in said] == list(said.values())

        await self.until(there)

    async def changed(self, primary, copy):
        await primary.reload()
        for tended in list(copy._tended):
            if tended.settings.catalog:
                tended.refresh()

    def folders(self, catalog):
        there = self.folder / "copy/dns" / f"{catalog}.catalog/members"
        return sorted(path.name.partition("~")[0] for path in there.iterdir()) if there.is_dir() else []

    async def test_members_come_and_go_with_their_data(self):
        self.write(one={"z1": "a", "z2": "b"})
        primary = self.primary("one")
        copy = self.copy(primary, "one")
        await self.serves(copy, z1="192.0.2.1", z2="192.0.2.2", z3="REFUSED")
        self.assertEqual(dict(copy.figures())["zones"], 3)
        self.assertEqual(self.folders("one"), ["z1.test", "z2.test"])
        told = await ZoneControl(copy._tended).asked({"do": "list"})
        self.assertEqual([each["name"] for each in told["zones"]], ["one.catalog.", "z1.test.", "z2.test."])
        self.write(one={"z2": "b", "z3": "c"})
        await self.changed(primary, copy)
        await self.serves(copy, z1="REFUSED", z2="192.0.2.2", z3="192.0.2.3")
        await self.until(lambda: self.folders_are("one", "z2.test", "z3.test"))
        self.assertTrue(copy.health().ok, copy.health().detail)

    async def folders_are(self, catalog, *names):
        return self.folders(catalog) == list(names)

    async def test_members_are_there_without_the_primary(self):
        self.write(one={"z1": "a", "z2": "b"})
        primary = self.primary("one")
        copy = self.copy(primary, "one")
        await self.serves(copy, z1="192.0.2.1", z2="192.0.2.2")
        await self.stop_site(copy)
        await self.stop_site(primary)
        stray = self.folder / "copy/dns/one.catalog/members/gone.test~00"
        stray.mkdir()
        copy = self.run_site("copy", zone=[{"name": "one.catalog", "primary": ["127.0.0.1:9"], "catalog": True}])
        await self.serves(copy, z1="192.0.2.1", z2="192.0.2.2")
        await self.until(lambda: self.folders_are("one", "z1.test", "z2.test"))

    async def test_a_new_label_is_a_new_zone(self):
        self.write(one={"z1": "a"})
        primary = self.primary("one")
        copy = self.copy(primary, "one")
        await self.serves(copy, z1="192.0.2.1")
        old = copy._tended[1]
        (self.folder / "z1.test").write_text(ZONE.format(77))  # with the serial that it had
        await self.stop_site(primary)
        shutil.rmtree(self.folder / "primary", ignore_errors=True)
        self.write(one={"z1": "b"})
        table = copy._tended[0].settings.primary[0]
        primary = self.run_site(
            "primary",
            listen=[table],
            zone=[
                {"name": "z1.test", "file": "z1.test", "transfer": ["loopback"]},
                {"name": "one.catalog", "file": "one", "transfer": ["loopback"]},
            ],
        )
        await self.changed(primary, copy)
        await self.serves(copy, z1="192.0.2.77")
        self.assertIsNot(copy._tended[1], old)
        await self.until(lambda: self.folders_are("one", "z1.test"))

    async def test_a_broken_or_too_large_catalog_changes_nothing(self):
        self.write(one={"z1": "a"})
        primary = self.primary("one")
        copy = self.copy(primary, "one", members=2)
        await self.serves(copy, z1="192.0.2.1")
        self.write(one={"z1": "a", "z2": ("b", "version TXT 3")})
        await self.changed(primary, copy)

        async def unwell():
            return "its zones stay as they were" in copy.health().detail

        await self.until(unwell)
        await self.serves(copy, z1="192.0.2.1", z2="REFUSED")
        self.write(one={"z1": "a", "z2": "b", "z3": "c"})
        await self.changed(primary, copy)
        await self.until(lambda: self.says(copy, "more than 2"))
        await self.serves(copy, z1="192.0.2.1", z2="REFUSED")
        self.write(one={"z2": "b"})
        await self.changed(primary, copy)
        await self.serves(copy, z1="REFUSED", z2="192.0.2.2")
        self.assertTrue(copy.health().ok, copy.health().detail)

    async def says(self, service, words):
        return words in service.health().detail

    async def test_a_zone_moves_only_if_its_catalog_says_so(self):
        self.write(one={"z1": "a"}, two={"z1": "a", "z2": "b"})
        primary = self.primary("one", "two")
        copy = self.copy(primary, "one", "two")
        await self.serves(copy, z1="192.0.2.1", z2="192.0.2.2")
        held = copy._catalogs._held
        name = next(name for name in held if name.startswith(b"\x02z1"))
        first = held[name].catalog.title
        other = {"one.catalog.": "two", "two.catalog.": "one"}[first]
        self.write(**{first.partition(".")[0]: {"z1": ("a", f"coo.a.zones PTR {other}.catalog.")}})
        await self.changed(primary, copy)

        async def moved():
            return held.get(name) is not None and held[name].catalog.title == f"{other}.catalog."

        await self.until(moved)
        await self.serves(copy, z1="192.0.2.1")
        self.assertIn("z1.test", self.folders(other))
        self.assertNotIn("z1.test", self.folders(first.partition(".")[0]))
        # the same label: its versions have moved with it
        self.assertEqual(held[name].tended.history.zone.serial, 1)

    async def test_groups(self):
        self.write(one={"z1": "a", "z2": ("b", "group.b.zones TXT open")})
        primary = self.primary("one")
        group = {"name": "open", "transfer": ["loopback"]}
        copy = self.copy(primary, "one", group=[group])
        await self.serves(copy, z1="192.0.2.1", z2="192.0.2.2")

        async def copied(name):
            query = dns.message.make_query(f"{name}.test.", "AXFR")
            port = copy.addresses()[0].port
            return (await deferToThread(dns.query.tcp, query, "127.0.0.1", 5, port)).rcode()

        self.assertEqual(await copied("z1"), dns.rcode.REFUSED)
        self.assertEqual(await copied("z2"), dns.rcode.NOERROR)
        self.write(one={"z1": ("a", "group.a.zones TXT open"), "z2": "b"})
        await self.changed(primary, copy)

        async def exchanged():
            return (await copied("z1"), await copied("z2")) == (dns.rcode.NOERROR, dns.rcode.REFUSED)

        await self.until(exchanged)
        await self.serves(copy, z1="192.0.2.1", z2="192.0.2.2")

    async def test_many_members_are_copied_a_few_at_a_time(self):
        self.names = [f"m{number}.test" for number in range(200)]
        for name in self.names:
            (self.folder / name).write_text(ZONE.format(1))
        self.write(one={name.partition(".")[0]: name.partition(".")[0] for name in self.names})
        primary = self.primary("one")
        copy = self.copy(primary, "one")
        waiting = []

        async def all_there():
            waiting.append(len(copy._fetches.waiting))
            return len(copy._tended) == 201 and all(tended.zone is not None for tended in copy._tended)

        await self.until(all_there)
        self.assertGreater(max(waiting), 0)
        self.assertEqual(copy._fetches.tokens, 64)
        self.write(one={})
        await self.changed(primary, copy)
        await self.until(lambda: self.folders_are("one"))
        self.assertEqual(len(copy._tended), 1)

    async def test_what_is_here_already_is_left_alone(self):
        self.write(one={"z1": "a", "z2": "b"})
        primary = self.primary("one")
        port = primary.addresses()[0].port
        (self.folder / "mine").write_text(ZONE.format(99))
        copy = self.run_site(
            "copy",
            zone=[
                {"name": "z1.test", "file": "mine"},
                {"name": "one.catalog", "primary": [f"127.0.0.1:{port}"], "catalog": True},
            ],
        )
        await self.serves(copy, z1="192.0.2.99", z2="192.0.2.2")
        self.write(one={})
        await self.changed(primary, copy)
        await self.serves(copy, z1="192.0.2.99", z2="REFUSED")

    async def test_a_catalog_made_here(self):
        zones = [{"name": name, "file": name, "transfer": ["loopback"]} for name in self.names]

        def produce(listen, *named, **more):
            catalog = {"name": "made.catalog", "zones": list(named), "transfer": ["loopback"], **more}
            return self.run_site("primary", listen=[listen], zone=zones, catalog=[catalog])

        primary = produce("127.0.0.1:0", "z1.test", "z2.test", groups={"g": ["z2.test"]})
        copy = self.copy(primary, "made")
        await self.serves(copy, z1="192.0.2.1", z2="192.0.2.2", z3="REFUSED")
        serials = [primary._tended[-1].zone.serial]
        here = f"127.0.0.1:{primary.addresses()[0].port}"
        notify = [f"127.0.0.1:{copy.addresses()[0].port}"]
        for named in (("z2.test", "z1.test"), ("z2.test", "z3.test"), ("z2.test", "z3.test")):
            await self.stop_site(primary)
            primary = produce(here, *named, groups={"g": ["z2.test"]}, notify=notify)
            serials.append(primary._tended[-1].zone.serial)
        self.assertEqual(serials, [1, 1, 2, 2])
        await self.serves(copy, z1="REFUSED", z2="192.0.2.2", z3="192.0.2.3")
        told = await ZoneControl(primary._tended).asked({"do": "list"})
        self.assertEqual(told["zones"][-1]["from"], "settings")
        # Who has the version before gets what came and went, also from a server that was started again since.
        asked = dns.message.make_query("made.catalog.", "IXFR")
        asked.authority.append(dns.rrset.from_text("made.catalog.", 0, "IN", "SOA", ". . 1 0 0 0 0"))
        port = primary.addresses()[0].port
        told = await deferToThread(dns.query.tcp, asked, "127.0.0.1", 5, port, one_rr_per_rrset=True)
        serials = [rdata.serial for rrset in told.answer for rdata in rrset if rrset.rdtype == dns.rdatatype.SOA]
        self.assertEqual(serials, [2, 1, 2, 2])
