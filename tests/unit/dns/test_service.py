"""The service on the in-memory network: addresses of their own, reload, access, counts."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest
from twisted.internet.protocol import DatagramProtocol
from zope.interface.verify import verifyObject

from netsuite.common.errors import StartError
from netsuite.dns.authoritative.ratelimit import ResponseRate
from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.interfaces import IDnsAnswers, INetsuiteService
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network
from tests.unit.dns.zones import SITE

ROOT = "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.test.\ntest NS a.test.\na.test A 192.0.2.1\n"


class Asker(DatagramProtocol):
    def __init__(self):
        self.got = []

    def datagramReceived(self, data, address):
        self.got.append((data, address))


class Site:
    """A name server and a client in memory."""

    def __init__(self, folder, **table):
        self.network = Network()
        self.server = self.network.host("192.0.2.1", "192.0.2.2")
        self.client = self.network.host("192.0.2.9")
        (folder / "site.zone").write_text(SITE)
        (folder / "root.zone").write_text(ROOT)
        table = {
            "listen": ["192.0.2.1:53"],
            "zone": [
                {"name": "example.test", "file": "site.zone"},
                {"name": ".", "file": "root.zone", "listen": ["192.0.2.2:53"]},
            ],
            **table,
        }
        self.commons = make_commons(folder, self.server)
        self.service = build(DnsSettings.model_validate(table, context={"base": folder}), self.commons)
        self.service.register(self.commons.offers)
        self.service.join(self.commons.offers)
        self.service.check()
        self.service.open()
        self.service.startService()
        self.asker = Asker()
        self.port = self.client.listenUDP(0, self.asker)

    def ask(self, name, rdtype, at="192.0.2.1"):
        self.asker.got.clear()
        self.port.write(dns.message.make_query(name, rdtype).to_wire(), (at, 53))
        self.network.until(lambda: self.asker.got)
        data, peer = self.asker.got[0]
        assert peer == (at, 53)
        return dns.message.from_wire(data)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_each_address_has_its_own_zones(site):
    assert site.ask("web.example.test.", "A").rcode() == dns.rcode.NOERROR
    assert site.ask("test.", "NS").rcode() == dns.rcode.REFUSED
    assert site.ask("x.test.", "A", "192.0.2.2").authority[0].name == dns.name.from_text("test.")


def test_it_says_who_and_where_it_is(site):
    service = site.service
    verifyObject(INetsuiteService, service)
    assert [(a.kind, a.host, a.port) for a in service.addresses()] == [
        ("udp", "192.0.2.1", 53),
        ("tcp", "192.0.2.1", 53),
        ("udp", "192.0.2.2", 53),
        ("tcp", "192.0.2.2", 53),
    ]
    assert service.addresses()[1].hint == "dig @192.0.2.1 -p 53 example.test SOA +tcp"
    assert service.health().ok
    offered = site.commons.offers.find(IDnsAnswers, "dns")
    assert offered.answer(dns.message.make_query("web.example.test.", "A").to_wire(), ("192.0.2.9", 1), True)


def test_queries_are_counted(site):
    for _ in range(3):
        site.ask("web.example.test.", "A")
    site.ask("none.example.test.", "A")
    site.ask("other.", "A")
    figures = dict(site.service.figures())
    assert figures["queries over UDP"] == 5
    assert figures["answers NOERROR"] == 3
    assert figures["answers NXDOMAIN"] == 1
    assert figures["answers REFUSED"] == 1
    exposition = site.commons.metrics.exposition().decode()
    assert 'netsuite_dns_answers_total{rcode="NOERROR"} 3.0' in exposition
    assert 'netsuite_dns_queries_total{transport="udp"} 5.0' in exposition


def test_who_may_not_ask_is_refused(tmp_path):
    site = Site(tmp_path, allow=["192.0.2.128/25"])
    response = site.ask("web.example.test.", "A")
    assert response.rcode() == dns.rcode.REFUSED
    assert not response.answer


def test_a_zone_that_cannot_be_served_ends_the_start(tmp_path):
    with pytest.raises(StartError, match=r"absent: cannot be read: No such file or directory; see .*example.test"):
        Site(tmp_path, zone=[{"name": "example.test", "file": "absent"}])


def test_a_port_in_use_ends_the_start(tmp_path):
    with pytest.raises(StartError, match=r"192.0.2.1:53 is already in use; .* dns.listen"):
        Site(tmp_path, listen=["192.0.2.1:53", "shared:192.0.2.1:53"], zone=[])


def burst(site, count):
    """What comes back of so many queries at once: full answers, truncated ones."""
    site.asker.got.clear()
    for number in range(count):
        query = dns.message.make_query("web.example.test.", "A", id=number, use_edns=0)
        site.port.write(query.to_wire(), ("192.0.2.1", 53))
    site.network.advance(0.5)
    responses = [dns.message.from_wire(data) for data, _ in site.asker.got]
    cut = [response for response in responses if response.flags & dns.flags.TC]
    assert all(not response.answer and len(response.question) == 1 for response in cut)
    return len(responses) - len(cut), len(cut)


def test_answers_to_one_network_are_limited(tmp_path):
    site = Site(tmp_path, rate_limit=10)
    # Ten at once; of the others every second is cut, the rest dropped.
    assert burst(site, 30) == (10, 10)
    assert dict(site.service.figures())["answers limited by rate"] == 20
    site.network.advance(1)
    assert burst(site, 5) == (5, 0)


def test_the_rate_is_limited_by_default_except_on_loopback(tmp_path):
    # A token bucket at the epoch's magnitude is exact to about one answer.
    assert 199 <= burst(Site(tmp_path), 300)[0] <= 200
    assert burst(Site(tmp_path, rate_limit=0), 300) == (300, 0)


@pytest.mark.parametrize(
    ("one", "near", "times"),
    [
        ("192.0.2.{}", "192.0.2.{}", 32),
        ("2001:db8:0:100::{}", "2001:db8:0:100:1::{}", 2),
        ("2001:db8:0:1{:02x}::1", "2001:db8:0:1{:02x}::2", 3),
    ],
)
def test_networks_have_a_multiple_of_what_a_host_has(tmp_path, one, near, times):
    rate = ResponseRate(make_commons(tmp_path).access, 1)
    query = dns.message.make_query("a.", "A").to_wire()
    response = bytes(12) + b"all of it"
    for number in range(times):
        assert rate.shape(query, response, one.format(number)) == response
        assert rate.shape(query, response, one.format(number)) != response
    assert rate.shape(query, response, near.format(200)) != response
    assert rate.shape(query, response, "198.51.100.1") == response
    assert rate.shape(query, response, "2001:db9::1") == response
    assert rate.shape(query, response, "fe80::1%lo") == response
