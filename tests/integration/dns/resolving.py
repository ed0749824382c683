"""What tests of the resolver on real sockets stand on: our name servers on one port of several loopback addresses."""

from __future__ import annotations

import socket
from pathlib import Path

import dns.message
import dns.query
from twisted.internet import reactor
from twisted.internet.defer import Deferred
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


class ResolverCase(TestCase):
    """A little Internet and a resolver in this process."""

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
