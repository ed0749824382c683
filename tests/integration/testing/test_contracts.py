"""The contracts of interfaces, kept by the real providers and by the fakes."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from netsuite.common.resolver import SystemResolver
from netsuite.dns.resolver.service import build
from netsuite.dns.resolver.settings import ResolverSettings
from netsuite.interfaces import INameResolver, LookupFailed
from netsuite.testing.commons import make_commons
from netsuite.testing.contracts import NameResolverContract
from netsuite.testing.fakes import KnownNames


class Known(NameResolverContract, TestCase):
    def make(self):
        return KnownNames()

    async def test_the_dictionary(self):
        names = KnownNames(
            {"WWW.example.test": ["192.0.2.1", "2001:db8::1"]},
            records={("example.test", "MX"): ["10 mail.example.test."]},
            broken=["broken.test"],
        )
        self.assertEqual(await names.addresses("www.example.test."), ["192.0.2.1", "2001:db8::1"])
        self.assertEqual(await names.addresses("nobody.test"), [])
        self.assertEqual((await names.lookup("nobody.test", "A")).rcode, "NXDOMAIN")
        answer = await names.lookup("example.test", "mx")
        self.assertEqual([record.data for record in answer.records], ["10 mail.example.test."])
        self.assertEqual(await names.lookup("example.test", "TXT"), answer._replace(records=()))
        with self.assertRaises(LookupFailed):
            await names.addresses("broken.test")
        self.assertIn(("nobody.test", "AAAA"), names.asked)


class System(NameResolverContract, TestCase):
    def make(self):
        from twisted.internet import reactor

        resolver = SystemResolver(reactor)
        self.addCleanup(resolver.stop)
        return resolver


class Resolver(NameResolverContract, TestCase):
    def make(self):
        commons = make_commons(Path(self.mktemp()))
        service = build(ResolverSettings(listen=[]), commons)
        service.register(commons.offers)
        return commons.offers.find(INameResolver)
