"""Whatever is written as an address to listen on or an access rule is understood or refused in one line."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from netsuite.common.access import Rule, guards_private, is_internal, is_loopback
from netsuite.common.errors import StartError
from netsuite.common.listenspec import parse

ports = st.integers(0, 65535)
v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).map(str)
prefixes = ["secure:", "shared:", "unix:", "inherited:", "tcp:"]
words = [*prefixes, "[", "]", "::1", "127.0.0.1", ":", "80", "%", "\\", "=", "/x", "mode", "\0", "é"]
pieces = st.sampled_from(words)


@given(st.text() | st.lists(pieces).map("".join))
def test_any_text_is_an_address_or_refused_in_one_line(text: str) -> None:
    try:
        spec = parse(text)
    except ValueError as error:
        assert "\n" not in str(error)
        assert not isinstance(error, UnicodeError)
    else:
        assert 0 <= spec.port <= 65535
        guards_private([text])


@given(v4, ports, st.sampled_from(["", "secure:", "shared:", "secure:shared:"]))
def test_ipv4_addresses_are_kept(host: str, port: int, prefix: str) -> None:
    spec = parse(f"{prefix}{host}:{port}")
    assert (spec.form, spec.host, spec.port) == ("address", host, port)
    assert (spec.secure, spec.shared) == ("secure" in prefix, "shared" in prefix)


@given(v6, ports)
def test_ipv6_addresses_are_kept(host: str, port: int) -> None:
    spec = parse(f"[{host}]:{port}")
    assert (spec.form, spec.host, spec.port) == ("address", host, port)


@given(st.text())
def test_any_text_is_a_rule_or_refused_in_one_line(text: str) -> None:
    try:
        rule = Rule([text])
    except StartError as error:
        assert "\n" not in str(error)
    else:
        rule.permits("192.0.2.1")


@given(st.text())
def test_any_host_gets_an_answer(host: str) -> None:
    rule = Rule(["any"], ["10.0.0.0/8"])
    assert rule.permits(host) in (True, False)
    assert is_internal(host) in (True, False)
    if is_loopback(host):
        assert is_internal(host)
    with suppress(ValueError):
        ipaddress.ip_address(host)
        assert Rule(["any"]).permits(host)


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses())
def test_rules_agree_with_arithmetic(base: ipaddress.IPv4Address, length: int, host: ipaddress.IPv4Address) -> None:
    network = ipaddress.ip_network((int(base) >> (32 - length) << (32 - length), length))
    plain = getattr(host, "ipv4_mapped", None) or host
    assert Rule([str(network)]).permits(str(host)) is (plain in network)
    assert Rule(["any"], [str(network)]).permits(str(host)) is (plain not in network)


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_in_ipv6_hides_nothing(host: ipaddress.IPv4Address) -> None:
    for wrapped in (f"::ffff:{host}", str(ipaddress.IPv6Address((0x64FF9B << 96) | int(host)))):
        assert is_internal(wrapped) is is_internal(str(host))
