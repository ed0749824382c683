"""Names answered from within, settings and root hints."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from netsuite.common.errors import StartError
from netsuite.dns.resolver import hints
from netsuite.dns.resolver.local import LocalNames
from netsuite.dns.resolver.settings import ResolverSettings, server_address
from netsuite.dns.wire.name import from_text
from tests.unit.dns.resolver.script import number, records


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode", "answer"),
    [
        ("localhost", "A", 0, ["localhost. A 127.0.0.1"]),
        ("www.localhost", "AAAA", 0, ["www.localhost. AAAA ::1"]),
        ("localhost", "MX", 0, []),
        ("1.0.0.127.in-addr.arpa", "PTR", 0, ["1.0.0.127.in-addr.arpa. PTR localhost."]),
        ("2.0.0.127.in-addr.arpa", "PTR", 3, []),
        ("1" + ".0" * 31 + ".ip6.arpa", "PTR", 0, ["1" + ".0" * 31 + ".ip6.arpa. PTR localhost."]),
        ("1.2.3.10.in-addr.arpa", "PTR", 3, []),
        ("1.2.31.172.in-addr.arpa", "PTR", 3, []),
        ("1.2.127.100.in-addr.arpa", "PTR", 3, []),
        ("10.in-addr.arpa", "NS", 0, ["10.in-addr.arpa. NS 10.in-addr.arpa."]),
        ("a.invalid", "A", 3, []),
        ("a.onion", "A", 3, []),
        ("example.test", "ANY", 0, ['example.test. HINFO "RFC8482" ""']),
    ],
)
def test_local(name, rdtype, rcode, answer):
    result = LocalNames().find(from_text(name), number(rdtype), 1000.0)
    assert (result.rcode, records(result.answer)) == (rcode, answer)
    assert bool(result.authority) is not bool(answer)


@pytest.mark.parametrize(
    "name", ["example.test", "www.test", "32.172.in-addr.arpa", "1.128.100.in-addr.arpa", "com", "."]
)
def test_others_are_asked(name):
    assert LocalNames().find(from_text(name), 1, 0.0) is None


def test_a_zone_with_servers_of_its_own_is_left_to_them():
    local = LocalNames([from_text("."), from_text("2.1.10.in-addr.arpa")])
    assert local.find(from_text("3.2.1.10.in-addr.arpa"), 12, 0.0) is None
    assert local.find(from_text("1.168.192.in-addr.arpa"), 12, 0.0) is not None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
    ],
)
def test_server_addresses(text, place):
    assert server_address(text) == place


@pytest.mark.parametrize(
    "text", ["dns.example", "192.0.2.1:0", "192.0.2.1:x", "192.0.2.1:70000", "[::1]53", "", "[::1]:"]
)
def test_what_is_no_server_address(text):
    with pytest.raises(ValidationError):
        ResolverSettings(forward=[text])


def test_a_stub_needs_a_server_and_a_name():
    with pytest.raises(ValidationError):
        ResolverSettings(stubs={"example.test": []})
    with pytest.raises(ValidationError):
        ResolverSettings(stubs={"a..b": ["192.0.2.1"]})


def test_the_built_in_hints():
    assert len(hints.BUILT_IN) == 13
    assert hints.BUILT_IN[from_text("k.root-servers.net")] == ("193.0.14.129", "2001:7fd::1")


def test_hints_from_a_file(tmp_path):
    path = tmp_path / "hints"
    path.write_text(
        "; ours\n.  3600  NS  NS.ROOT.\n. NS unreachable.root.\nns.root. 3600 IN A 127.0.0.2\nns.root. AAAA ::2\n"
        "other.root. A 127.0.0.3\n"
    )
    assert hints.read(path) == {from_text("ns.root"): ("127.0.0.2", "::2")}


@pytest.mark.parametrize("text", ["", "ns.root. A 127.0.0.2", ". NS ns.root.", "this is no master file", "\xff"])
def test_what_is_no_file_of_hints(tmp_path, text):
    path = tmp_path / "hints"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StartError, match=r"resolver\.root_hints") as caught:
        hints.read(path)
    assert "\n" not in str(caught.value)


def test_no_file_of_hints_at_all(tmp_path):
    with pytest.raises(StartError, match="cannot be read"):
        hints.read(tmp_path / "nothing")
