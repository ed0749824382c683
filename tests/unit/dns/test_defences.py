"""What attackers of name servers try, where no other test is nearer; docs/reference/dns-defences.md has all."""

from __future__ import annotations

import socket
import sys

import dns.message
import dns.opcode
import dns.rcode
import dns.update
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from netsuite.common.datagram import DatagramPort, bound_socket
from netsuite.dns.authoritative import denial
from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.dealings import Client
from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.authoritative.signed import ZoneSigning
from netsuite.dns.wire.edns import option, whole
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network
from tests.unit.dns.zones import SITE, make_zone

STRANGER = "198.51.100.9"
FRIEND = "192.0.2.66"


@pytest.fixture
def server(tmp_path):
    """A server whose zone one address may change, and another zone that it copies from that address."""
    (tmp_path / "site.zone").write_text(SITE)
    table = {
        "listen": ["192.0.2.1:53"],
        "zone": [
            {"name": "example.test", "file": "site.zone", "update": [{"allow": [FRIEND]}], "transfer": [FRIEND]},
            {"name": "copy.test", "primary": [FRIEND]},
        ],
    }
    network = Network()
    commons = make_commons(tmp_path, network.host("192.0.2.1"))
    service = build(DnsSettings.model_validate(table, context={"base": tmp_path}), commons)
    service.check()
    service.open()
    made = service._places["192.0.2.1:53"].server
    made.network, made.service = network, service
    return made


def rcode(server, query, host, *, stream):
    data = query if isinstance(query, bytes) else query.to_wire()
    outcome = server._answer(data, Client(host, stream))[0]
    if isinstance(outcome, Deferred):
        outcome = outcome.result
    return dns.rcode.to_text(outcome[3] & 15)


def update(zone="example.test."):
    made = dns.update.UpdateMessage(zone)
    made.present("none", "A")
    made.add("new", 60, "A", "192.0.2.99")
    return made


def test_an_address_alone_proves_nothing_over_udp(server):
    assert rcode(server, update(), FRIEND, stream=False) == "REFUSED"
    assert rcode(server, update(), STRANGER, stream=True) == "REFUSED"
    assert rcode(server, update(), FRIEND, stream=True) == "NXRRSET"


def notify(zone="copy.test."):
    made = dns.message.make_query(zone, "SOA")
    made.set_opcode(dns.opcode.NOTIFY)
    return made


@pytest.mark.parametrize("stream", [False, True])
def test_who_may_notify_and_transfer_is_asked_on_every_transport(server, stream):
    assert rcode(server, notify(), STRANGER, stream=stream) == "REFUSED"
    assert rcode(server, notify(), FRIEND, stream=stream) == "NOERROR"
    assert rcode(server, dns.message.make_query("example.test.", "AXFR"), STRANGER, stream=stream) == "REFUSED"
    assert rcode(server, dns.message.make_query("example.test.", "IXFR"), STRANGER, stream=stream) == "REFUSED"


@pytest.mark.parametrize("rdclass", [0, 3, 254, 255, 65280])
@pytest.mark.parametrize("stream", [False, True])
def test_zones_of_other_classes_are_nobody_s(server, rdclass, stream):
    """Class ANY, NONE and CHAOS in the zone section of an update or a notification, or in a transfer's question."""
    for query, refusals in (
        (update(), ("FORMERR", "NOTAUTH")),
        (notify(), ("FORMERR", "NOTAUTH")),
        (dns.message.make_query("example.test.", "AXFR"), ("REFUSED", "NOTAUTH", "FORMERR")),
    ):
        data = bytearray(query.to_wire())
        at = data.index(b"\4test\0") + 8
        data[at : at + 2] = rdclass.to_bytes(2, "big")
        assert rcode(server, bytes(data), FRIEND, stream=stream) in refusals


class Door(Protocol):
    """Closes each connection at once."""

    def connectionMade(self):
        self.factory.count += 1
        self.transport.loseConnection()


def test_notifications_do_not_make_us_ask_more_than_once_a_second(server):
    door = Factory.forProtocol(Door)
    door.count = 0
    server.network.host(FRIEND).listenTCP(53, door)
    server.service.startService()
    server.network.advance(1)
    for _ in range(100):
        server._answer(notify().to_wire(), Client(FRIEND, False))
        server.network.advance(0.1)
    assert 5 <= door.count <= 14


def test_options_are_few_and_whole():
    assert whole(option(10, b"x" * 8) * 32, 0, 12 * 32)
    assert not whole(option(10, b"x" * 8) * 33, 0, 12 * 33)
    assert not whole(option(10, b"x" * 8)[:-1], 0, 11)


@pytest.fixture
def hashing(tmp_path, monkeypatch):
    """A zone signed with NSEC3, and the names that are hashed for an answer."""
    commons = make_commons(tmp_path, Network().host("192.0.2.1"))
    zone = make_zone(tmp_path, SITE)
    signing = ZoneSigning(zone.name, commons.data, "keys", "ecdsap256sha256", "nsec3")
    signing.open(1_700_000_000)
    zone = signing.toward(zone, list(zone.records()), "increment", 1_700_000_000, "signing").applied(zone)
    names = []

    def counting(name, *rest):
        names.append(name)
        return hashed(name, *rest)

    hashed = denial.hashed
    monkeypatch.setattr(denial, "hashed", counting)
    return zone, names


@pytest.mark.parametrize("labels", [1, 100])
def test_a_name_of_many_labels_costs_no_more_hashes(hashing, labels):
    """CVE-2023-50868: the closest encloser is known, and not looked for by hashing every name above the asked one."""
    zone, names = hashing
    query = dns.message.make_query("x." * labels + "a.b.c.example.test.", "A", want_dnssec=True)
    response = dns.message.from_wire(Answers([zone]).answer(query.to_wire(), True))
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert len(names) <= 6


@pytest.mark.parametrize(("iterations", "proofs"), [(100, True), (101, False), (65535, False)])
def test_hashing_more_than_is_reasonable_is_not_done(hashing, iterations, proofs):
    zone, names = hashing
    parameters = zone.apex.rrset(51).rdatas[0]
    changed = parameters[:2] + iterations.to_bytes(2, "big") + parameters[4:]
    zone = zone.changed([(zone.name, 51, parameters)], [(zone.name, 51, 0, changed)])
    query = dns.message.make_query("none.example.test.", "A", want_dnssec=True)
    response = dns.message.from_wire(Answers([zone]).answer(query.to_wire(), True))
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert bool(names) is proofs


@pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux")
def test_nobody_else_says_how_large_our_packets_are():
    """A forged "fragmentation needed" must not have our answers sent in fragments (IP_PMTUDISC_OMIT)."""
    made = bound_socket("127.0.0.1", 0)
    port = DatagramPort(Network().host("192.0.2.1"), made, lambda *_: None)
    try:
        port.bind()
        assert made.getsockopt(socket.IPPROTO_IP, 10) == 5
    finally:
        made.close()
