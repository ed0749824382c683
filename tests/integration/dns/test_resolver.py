"""The resolver on real sockets, with our own name servers on one port of several loopback addresses."""

from __future__ import annotations

import socket
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.dns.authoritative.service import build as build_authoritative
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.resolver.service import build
from netsuite.dns.resolver.settings import ResolverSettings
from netsuite.testing.commons import make_commons
from tests.unit.dns.resolver import internet


def free_port():
    """A port that is free for UDP and TCP on all addresses of the little Internet."""
    hosts = dict.fromkeys(address for address, _ in internet.ZONES)
    for _ in range(50):
        port = 0
        try:
            for host in hosts:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind((host, port))
                        port = port or probe.getsockname()[1]
        except OSError:
            continue
        return port
    raise AssertionError("no port is free on all of 127.0.0.2 to 127.0.0.5")


class Resolver(TestCase):
    timeout = 60

    def setUp(self):
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        tables = internet.write(self.folder)
        self.upstream_port = free_port()
        zones = [{**zone, "listen": [f"{address}:{self.upstream_port}"]} for address, zone in tables]
        self.authoritative = self.start(build_authoritative, DnsSettings, {"listen": [], "zone": zones})
        self.resolver = self.start(
            build,
            ResolverSettings,
            {
                "listen": ["127.0.0.1:0"],
                "root_hints": "hints",
                "upstream_port": self.upstream_port,
                "ipv6": False,
            },
        )
        self.port = self.resolver.addresses()[0].port

    def start(self, maker, settings, table):
        commons = make_commons(self.folder, reactor)
        service = maker(settings.model_validate(table, context={"base": self.folder}), commons)
        service.register(commons.offers)
        service.join(commons.offers)
        service.check()
        service.open()
        service.startService()
        self.addCleanup(service.stopService)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.drained(service)))
        return service

    @staticmethod
    async def drained(service):
        await service.drain(reactor.seconds() + 2)

    def ask(self, name, rdtype="A", *, tcp=False, **options):
        query = dns.message.make_query(name, rdtype, **options)
        way = dns.query.tcp if tcp else dns.query.udp
        return deferToThread(way, query, "127.0.0.1", timeout=15, port=self.port)

    async def test_from_the_root_to_the_answer(self):
        for tcp in (False, True, False):
            answer = await self.ask("alias.example.test", tcp=tcp)
            self.assertEqual(
                [rrset.to_text() for rrset in answer.answer],
                ["alias.example.test. 300 IN CNAME www.example.test.", "www.example.test. 300 IN A 192.0.2.80"],
            )
        self.assertEqual(self.resolver.upstream.asked, 4)  # the hints, the root, the TLD, the site

    async def test_every_kind_of_answer(self):
        answers = {}
        for name, rdtype in internet.QUESTIONS:
            answers[name, rdtype] = await self.ask(name, rdtype, tcp=True)
        self.assertEqual(answers["www.sub.example.test", "A"].answer[0][0].address, "192.0.2.82")
        self.assertEqual(answers["nothing.nowhere", "A"].rcode(), dns.rcode.NXDOMAIN)
        self.assertEqual(answers["x.wild.example.test", "TXT"].answer[0][0].strings, (b"found",))
        self.assertEqual(len(answers["gone.example.test", "A"].answer), 1)
        self.assertEqual(answers["gone.example.test", "A"].rcode(), dns.rcode.NXDOMAIN)
        asked = self.resolver.upstream.asked
        for name, rdtype in internet.QUESTIONS:
            again = await self.ask(name, rdtype, tcp=True)
            self.assertEqual(again.rcode(), answers[name, rdtype].rcode())
            self.assertEqual(
                sorted((r.name, r.rdtype, tuple(r)) for r in again.answer),
                sorted((r.name, r.rdtype, tuple(r)) for r in answers[name, rdtype].answer),
            )
        self.assertEqual(self.resolver.upstream.asked, asked)

    async def test_a_large_answer_is_cut_off_and_fetched_by_tcp(self):
        answer = await self.ask("big.example.test", "TXT")
        self.assertTrue(answer.flags & dns.flags.TC)
        whole = await self.ask("big.example.test", "TXT", tcp=True)
        self.assertEqual(len(whole.answer[0][0].strings), 7)
        self.assertEqual(self.resolver.upstream.over_tcp, 1)

    async def test_many_at_once(self):
        names = [f"h{number}.wild.example.test" for number in range(300)]
        answers = await gatherResults([self.ask(name, "TXT") for name in names])
        self.assertEqual({answer.answer[0][0].strings for answer in answers}, {(b"found",)})
        self.assertEqual(len(self.resolver.upstream), 0)

    async def test_a_dead_port_is_noticed_at_once(self):
        stubbed = self.start(
            build, ResolverSettings, {"listen": [], "stubs": {"closed.test": [f"127.0.0.1:{free_port()}"]}}
        )
        began = reactor.seconds()
        try:
            await stubbed.lookup.lookup("www.closed.test", "A")
        except Exception as error:
            self.assertIn("no server of closed.test.", str(error))
        else:
            self.fail("somebody answered")
        self.assertLess(reactor.seconds() - began, 2.0)  # the kernel's refusal is heard, no time-out awaited

    async def test_forwarding_on_real_sockets(self):
        forwarder = self.start(build, ResolverSettings, {"listen": [], "forward": [f"127.0.0.1:{self.port}"]})
        self.assertEqual(await forwarder.lookup.addresses("www.example.test"), ["192.0.2.80", "2001:db8::80"])
        self.assertEqual(forwarder.upstream.asked, 2)
