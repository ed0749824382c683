"""Batches of datagrams: rules, rates and options give what asking one by one gives, in any mixture."""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
from pathlib import Path

import dns.flags
import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.server import AuthoritativeServer
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.cookies import Cookies
from netsuite.dns.wire.edns import option
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network
from tests.properties.dns.test_prompt import WHOLE

HOSTS = ("192.0.2.9", "192.0.2.10", "198.51.100.7", "2001:db8::7")
LOCAL = ("192.0.2.1", 53)


def make_server(**table):
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    commons = make_commons(Path(folder), Network().host("192.0.2.1"))
    table = DnsSettings.model_validate(
        {"listen": ["192.0.2.1:53"], "nsid": "one", "rate_limit": 0, **table}, context={"base": Path(folder)}
    )
    made = AuthoritativeServer(table, commons, "192.0.2.1:53", Courtesy(Cookies(bytes(16)), nsid=b"one"), {})
    made.common.replace(next(iter(WHOLE.zones.values())))
    made.now = commons.clock.seconds()
    return made


def raw(host):
    return memoryview(socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host))


COOKIES = {host: Cookies(bytes(16)) for host in HOSTS}


@st.composite
def datagrams(draw):
    """A query and its sender; cookies of ours are the sender's or another's."""
    host = draw(st.sampled_from(HOSTS))
    kind = draw(st.sampled_from(("plain", "edns", "client", "ours", "another's", "nsid", "version", "broken", "junk")))
    name = draw(st.sampled_from(("a", "b.c", "c", "nothing", "x.y", "")))
    query = dns.message.make_query(
        f"{name}.example.test.".lstrip("."),
        draw(st.sampled_from(("A", "MX", "SOA", "ANY"))),
        use_edns=-1 if kind == "plain" else 0,
        payload=draw(st.sampled_from((512, 1232))),
    ).to_wire()
    whose = host if kind == "ours" else HOSTS[0]
    said = {
        "client": option(10, b"12345678"),
        "nsid": option(3) + option(65001, b"x"),
        "version": option(19),
        "broken": b"\0\x0a\0\x20",
        "junk": option(10, b"123"),
    }.get(kind, b"")
    if kind in ("ours", "another's"):
        said = COOKIES[whose].show(b"12345678", whose, make_time()).answer
    return query[:-2] + len(said).to_bytes(2, "big") + said if said else query, host


def make_time():
    return PLAIN.now


PLAIN = make_server()
RULED = make_server(allow=["192.0.2.0/24"])


@settings(max_examples=150, deadline=None)
@given(st.lists(datagrams(), max_size=12), st.sampled_from((PLAIN, RULED)))
def test_batches_answer_as_one_by_one(batch, server):
    before = sum(server.rcodes().values())
    queries, hosts = [data[2:] for data, _ in batch], [raw(host) for _, host in batch]
    made = server.port_prompt(queries, hosts)
    assert sum(server.rcodes().values()) - before == len(batch) - list(made).count(None)
    for (data, host), answer in zip(batch, made, strict=True):
        if answer is not None:
            assert data[:2] + answer == server.answer(data, (host, 5300), False)


@settings(max_examples=60, deadline=None)
@given(st.lists(datagrams(), min_size=1, max_size=8))
def test_rates_are_the_same_in_batches(batch):
    one, other = make_server(rate_limit=2), make_server(rate_limit=2)
    queries, hosts = [data[2:] for data, _ in batch], [raw(host) for _, host in batch]
    for _ in range(2):
        made = list(one.port_prompt(queries, hosts))
        for (data, host), answer in zip(batch, made, strict=True):
            other.answer_datagram(data, (host, 5300), LOCAL, 0.0)
            if answer is None:
                one.answer_datagram(data, (host, 5300), LOCAL, 0.0)
            elif answer == b"" or answer[0] & dns.flags.TC >> 8:
                assert len(answer) <= len(data)
    assert one.rate.limited == other.rate.limited


def test_what_is_kept_of_clients_is_bounded_and_does_not_outlast_its_time():
    server = make_server()
    batches = server.port_prompt.__self__
    query = dns.message.make_query("a.example.test.", "A", use_edns=0).to_wire()
    data = query[:-2] + b"\0\x0c" + option(10, b"12345678")
    first = server.port_prompt([data[2:]], [raw("192.0.2.9")])[0]
    assert server.port_prompt([data[2:]], [raw("192.0.2.9")])[0] == first
    for number in range(20000):
        server.port_prompt([data[2:]], [memoryview(b"\x0a\0" + number.to_bytes(2, "big"))])
    assert len(batches._standing) <= 16384
    shown = dns.message.from_wire(b"\0\0" + first).options[0].to_wire()
    assert Cookies(bytes(16)).show(shown, "192.0.2.9", server.now).valid
    assert Cookies(bytes(16)).show(b"12345678", "192.0.2.9", server.now).until <= server.now + 30


def test_without_addresses_what_depends_on_them_is_declined():
    query = dns.message.make_query("a.example.test.", "A", use_edns=0).to_wire()
    data = query[:-2] + b"\0\x0c" + option(10, b"12345678")
    assert PLAIN.port_prompt([data[2:], query[2:]], ())[0] is None
    assert PLAIN.port_prompt([query[2:]], ())[0] is not None
    assert RULED.port_prompt([query[2:]], ()) == [None]
