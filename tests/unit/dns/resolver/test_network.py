"""The whole resolver against our own name servers on the in-memory network, with latency and loss."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netsuite.dns.authoritative.service import build as build_authoritative
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.resolver.service import build
from netsuite.dns.resolver.settings import ResolverSettings
from netsuite.interfaces import IDnsAnswers, IHttpApplication, IHttpServer, INameResolver, LookupFailed
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Link, Network
from tests.unit.dns.resolver import internet


def mapped(text):
    """Addresses of hosts, since 127/8 is each host's own."""
    return text.replace("127.0.0.", "198.51.100.")


class Client(DatagramProtocol):
    def __init__(self):
        self.got = []

    def datagramReceived(self, data, address):
        self.got.append(dns.message.from_wire(data))


class Internet:
    def __init__(self, folder, *, link=Link(latency=0.02), seed=0, **table):
        self.network = Network(seed=seed, link=link)
        tables = internet.write(folder)
        for path in (folder / "hints", *folder.glob("*.zone")):
            path.write_text(mapped(path.read_text()))
        self.servers = {}
        for address in dict.fromkeys(address for address, _ in tables):
            host = self.network.host(mapped(address))
            zones = [zone for at, zone in tables if at == address]
            settings = DnsSettings.model_validate(
                {"listen": [f"{mapped(address)}:53"], "zone": zones}, context={"base": folder}
            )
            self.servers[address] = (host, self.start(build_authoritative(settings, make_commons(folder, host))))
        self.host = self.network.host("192.0.2.1")
        self.client_host = self.network.host("192.0.2.9")
        # the client is near, whatever lies between the name servers
        self.network.join(self.client_host, self.host, Link(latency=0.001))
        table = {"listen": ["192.0.2.1:53"], "allow": ["any"], "root_hints": "hints", "ipv6": False, **table}
        self.commons = make_commons(folder, self.host, seed=seed)
        settings = ResolverSettings.model_validate(table, context={"base": folder})
        self.service = self.start(build(settings, self.commons))
        self.client = Client()
        self.port = self.client_host.listenUDP(0, self.client)

    @staticmethod
    def start(service):
        service.register(service.commons.offers)
        service.join(service.commons.offers)
        service.check()
        service.open()
        service.startService()
        return service

    def ask(self, name, rdtype="A", patience=20.0, **options):
        self.client.got.clear()
        query = dns.message.make_query(name, rdtype, **options)
        self.port.write(query.to_wire(), ("192.0.2.1", 53))
        self.network.until(lambda: self.client.got, patience)
        answer = self.client.got[0]
        assert answer.id == query.id
        return answer

    def stop(self):
        self.network.result(self.service.drain(self.network.clock.seconds() + 1.0))
        stopped = self.service.stopService()
        if stopped is not None:
            self.network.result(stopped)


def texts(answer):
    return [f"{rrset.name} {rdata.to_text()}" for rrset in answer.answer for rdata in rrset]


def test_names_resolve_through_root_and_tld(tmp_path):
    world = Internet(tmp_path)
    assert texts(world.ask("away.example.test")) == [
        "away.example.test. www.other.test.",
        "www.other.test. 192.0.2.81",
    ]
    assert texts(world.ask("www.moved.example.test")) == [
        "moved.example.test. other.test.",
        "www.moved.example.test. www.other.test.",
        "www.other.test. 192.0.2.81",
    ]
    assert texts(world.ask("www.sub.example.test")) == ["www.sub.example.test. 192.0.2.82"]
    missing = world.ask("nothing.example.test")
    assert (missing.rcode(), missing.authority[0][0].minimum) == (dns.rcode.NXDOMAIN, 60)
    assert world.ask("round.example.test").rcode() == dns.rcode.SERVFAIL
    assert world.ask("www.loop.test").rcode() == dns.rcode.SERVFAIL
    before = world.service.upstream.asked
    assert texts(world.ask("alias.example.test"))[-1] == "www.example.test. 192.0.2.80"
    assert world.service.upstream.asked == before + 1
    world.stop()


def test_each_server_sees_no_more_of_a_name_than_it_needs(tmp_path):
    world = Internet(tmp_path)
    world.service.recursion.trace = (steps := []).append
    world.ask("a.b.c.d.example.test")
    asked = [(step.server[0], len(step.name)) for step in steps if step.what == "ask"]
    root, tld = mapped(internet.ROOT), mapped(internet.TLD)
    assert max(length for server, length in asked if server == root) == len(b"\4test\0")
    assert max(length for server, length in asked if server == tld) == len(b"\7example\4test\0")


def test_a_large_answer_comes_over_tcp(tmp_path):
    world = Internet(tmp_path)
    assert world.ask("big.example.test", "TXT").flags & dns.flags.TC
    assert world.service.upstream.over_tcp == 1
    found = world.network.result(world.service.lookup.lookup("big.example.test", "TXT"))
    assert found.records[0].data.count('"') == 14


def test_loss_costs_time_and_not_answers(tmp_path):
    asked = 0
    for seed in range(5):
        world = Internet(tmp_path, link=Link(latency=0.03, jitter=0.02, loss=0.15, duplication=0.1), seed=seed)
        for name, expected in (("www.example.test", "192.0.2.80"), ("www.other.test", "192.0.2.81")):
            found = world.network.result(world.service.lookup.lookup(name, "A"))
            assert [record.data for record in found.records] == [expected]
        asked += world.service.upstream.asked
    assert asked > 5 * 6


def test_a_dead_zone_fails_in_bounded_time_and_is_not_asked_again_at_once(tmp_path):
    world = Internet(tmp_path)
    start = world.network.clock.seconds()
    failed = world.ask("www.dead.test", use_edns=0)
    assert failed.rcode() == dns.rcode.SERVFAIL
    assert int(failed.options[0].code) == 22
    assert world.network.clock.seconds() - start < 10
    before = world.service.upstream.asked
    assert world.ask("www.dead.test").rcode() == dns.rcode.SERVFAIL
    assert world.service.upstream.asked == before


def test_a_partition_heals(tmp_path):
    world = Internet(tmp_path)
    root = world.servers[internet.ROOT][0]
    world.network.partition(world.host, root)
    assert world.ask("www.example.test").rcode() == dns.rcode.SERVFAIL
    world.network.heal(world.host, root)
    world.network.advance(70.0)
    assert texts(world.ask("www.example.test")) == ["www.example.test. 192.0.2.80"]


def test_lifetimes_end(tmp_path):
    world = Internet(tmp_path)
    assert world.ask("short.example.test").answer[0].ttl == 2
    world.network.advance(1.2)
    before = world.service.upstream.asked
    assert world.ask("short.example.test").answer[0].ttl in (0, 1)
    assert world.service.upstream.asked == before
    world.network.advance(1.0)
    assert world.ask("short.example.test").answer[0].ttl == 2
    assert world.service.upstream.asked == before + 1


def test_many_clients_one_resolution(tmp_path):
    world = Internet(tmp_path)
    query = dns.message.make_query("www.example.test", "A")
    for number in range(50):
        query.id = number
        world.port.write(query.to_wire(), ("192.0.2.1", 53))
    world.network.until(lambda: len(world.client.got) == 50)
    assert {answer.id for answer in world.client.got} == set(range(50))
    assert world.service.upstream.asked == 4
    assert world.service.recursion.started == 1


def test_a_flood_of_names_leaves_memory_and_sockets_bounded(tmp_path):
    world = Internet(tmp_path, cache_bytes=1 << 20, sockets=20, clients=50)
    for burst in range(20):
        for number in range(100):
            query = dns.message.make_query(f"f{burst * 100 + number}.example.test", "A")
            world.port.write(query.to_wire(), ("192.0.2.1", 53))
        world.network.advance(0.5)
    assert world.service.cache.held <= 1 << 20
    assert world.service.server.waiting == 0
    assert len(world.service.upstream) == 0
    assert world.service.server.dropped > 0
    assert texts(world.ask("www.example.test")) == ["www.example.test. 192.0.2.80"]


def test_names_for_other_servers(tmp_path):
    world = Internet(tmp_path, listen=[])
    assert world.service.addresses() == []
    lookup = world.commons.offers.find(INameResolver)
    found = world.network.result(lookup.lookup("alias.example.test", "a"))
    assert (found.rcode, found.status) == ("NOERROR", "insecure")
    assert [tuple(record) for record in found.records] == [
        ("alias.example.test.", "CNAME", 300, "www.example.test."),
        ("www.example.test.", "A", 300, "192.0.2.80"),
    ]
    assert world.network.result(lookup.lookup("nothing.example.test", "A")).rcode == "NXDOMAIN"
    assert world.network.result(lookup.lookup("mail.example.test", "MX")).records == ()
    assert world.network.result(lookup.addresses("www.example.test")) == ["192.0.2.80", "2001:db8::80"]
    assert world.network.result(lookup.addresses("[2001:db8::1]")) == ["2001:db8::1"]
    assert world.network.result(lookup.addresses("192.0.2.7")) == ["192.0.2.7"]
    assert world.network.result(lookup.addresses("localhost")) == ["127.0.0.1", "::1"]
    assert world.network.result(lookup.addresses("nothing.example.test")) == []
    for name, rdtype in (
        ("www.dead.test", "A"),
        ("a..b", "A"),
        ("x" * 64, "A"),
        ("a.test", "NOPE"),
        ("a.test", "AXFR"),
    ):
        with pytest.raises(LookupFailed, match=name[:10]):
            world.network.result(lookup.lookup(name, rdtype))


@implementer(IHttpServer)
class Mounts:
    """An HTTP server that only takes note."""

    def __init__(self):
        self.apps = {}

    def mount(self, path, app):
        self.apps[path] = app

    def listen(self, name, addresses, app):
        raise AssertionError("the resolver has ports of its own")

    def websocket(self, request, body, talk, **rest):
        raise AssertionError("the resolver talks DNS")


def test_dns_over_https_is_mounted_where_there_is_an_http_server(tmp_path):
    world = Internet(tmp_path)
    for doh, mounted in (("/dns-query", ["/dns-query"]), ("", [])):
        commons = make_commons(tmp_path, world.host)
        mounts = Mounts()
        commons.offers.provide(IHttpServer, mounts, "http")
        service = build(ResolverSettings(listen=[], doh=doh), commons)
        service.join(commons.offers)
        assert list(mounts.apps) == mounted
        assert all(verifyObject(IHttpApplication, app) for app in mounts.apps.values())


def test_messages_for_other_servers(tmp_path):
    world = Internet(tmp_path, listen=[])
    answers = world.commons.offers.find(IDnsAnswers)
    query = dns.message.make_query("big.example.test", "TXT")
    data = world.network.result(answers.answer(query.to_wire(), ("127.0.0.1", 9), True))
    assert len(dns.message.from_wire(data).answer[0][0].strings) == 7


def test_forwarding_and_stubs(tmp_path):
    first = Internet(tmp_path)
    tables = [{"forward": ["192.0.2.1"]}, {"stubs": {"example.test": [mapped(internet.SITE)]}}]
    for number, table in enumerate(tables):
        host = first.network.host(f"192.0.2.2{number}")
        settings = ResolverSettings.model_validate({"listen": [], "ipv6": False, **table})
        service = Internet.start(build(settings, make_commons(tmp_path, host)))
        found = first.network.result(service.lookup.lookup("alias.example.test", "A"))
        assert [record.data for record in found.records] == ["www.example.test.", "192.0.2.80"]
        assert service.upstream.asked <= 2


def test_strangers_cannot_lead_it_inside(tmp_path):
    """Open to the world and on the Internet's own root it asks no private addresses; a root of one's own lifts that."""
    world = Internet(tmp_path)
    settings = ResolverSettings(listen=["192.0.2.1:5300"], allow=["any"], ipv6=False)
    service = build(settings, make_commons(tmp_path, world.host))
    assert not service.recursion.around.permits("10.0.0.1")
    assert not service.recursion.around.permits("127.0.0.1")
    assert service.recursion.around.permits("193.0.14.129")
    assert world.service.recursion.around.permits("10.0.0.1")
    inside = build(ResolverSettings(listen=["127.0.0.1:5300"]), make_commons(tmp_path, world.host))
    assert inside.recursion.around.permits("10.0.0.1")


def test_a_drain_answers_who_waits(tmp_path):
    world = Internet(tmp_path)
    world.port.write(dns.message.make_query("www.example.test", "A").to_wire(), ("192.0.2.1", 53))
    world.network.advance(0.03)
    assert world.service.server.waiting == 1
    world.stop()
    world.network.advance(0.01)
    assert texts(world.client.got[0]) == ["www.example.test. 192.0.2.80"]
    assert len(world.service.upstream) == 0


def test_figures_and_metrics(tmp_path):
    world = Internet(tmp_path)
    world.ask("www.example.test")
    world.ask("www.example.test")
    figures = dict(world.service.figures())
    assert figures["questions"] == 2
    assert figures["from the cache"] == 1
    assert figures["asked upstream"] == 4
    text = world.commons.metrics.exposition().decode()
    assert 'netsuite_resolver_answers_total{rcode="NOERROR"} 2.0' in text
    assert 'netsuite_resolver_upstream_total{what="asked"} 4.0' in text


def test_root_hints_are_read_again_on_reload(tmp_path):
    world = Internet(tmp_path)
    (tmp_path / "hints").write_text(". NS b.root.\nb.root. A 192.0.2.77\n")
    lines = world.network.result(world.service.reload())
    assert len(lines) == 1
    assert list(world.service.recursion.around.hints.values()) == [("192.0.2.77",)]
