from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from netsuite.common.access import Access, is_internal, is_loopback
from netsuite.common.errors import StartError


@pytest.mark.parametrize(
    ("allow", "deny", "host", "permitted"),
    [
        (["any"], [], "192.0.2.1", True),
        (["any"], [], "2001:db8::1", True),
        (["any"], ["192.0.2.0/24"], "192.0.2.1", False),
        (["any"], ["192.0.2.0/24"], "192.0.3.1", True),
        (["any"], ["192.0.2.0/24"], "::ffff:192.0.2.1", False),
        (["192.0.2.1"], [], "192.0.2.1", True),
        (["192.0.2.1"], [], "192.0.2.2", False),
        (["2001:db8::/32"], [], "2001:db8::7", True),
        (["2001:db8::/32"], [], "192.0.2.1", False),
        (["fe80::/10"], [], "fe80::1%eth0", True),
        (["loopback"], [], "127.9.9.9", True),
        (["loopback"], [], "::1", True),
        (["loopback"], [], "::ffff:127.0.0.1", True),
        (["loopback"], [], "10.0.0.1", False),
        (["loopback"], [], "/run/x.sock", True),
        (["loopback"], [], "", True),
        (["private"], [], "10.0.0.1", True),
        (["private"], [], "172.31.255.255", True),
        (["private"], [], "172.32.0.0", False),
        (["private"], [], "100.64.0.1", True),
        (["private"], [], "fd00::1", True),
        (["private"], [], "127.0.0.1", False),
        ([], [], "127.0.0.1", False),
        (["any"], [], "no address", False),
    ],
)
def test_rules(allow: list[str], deny: list[str], host: str, permitted: bool) -> None:
    rule = Access(Clock()).rule(allow, deny)
    assert rule.permits(host) is permitted
    assert rule.permits(host) is permitted, "remembered"


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "::/129", "anyone"])
def test_what_is_no_rule_is_one_line(text: str) -> None:
    with pytest.raises(StartError, match="is not an access rule") as refusal:
        Access(Clock()).rule([text])
    assert "\n" not in str(refusal.value)


def test_what_is_remembered_is_bounded() -> None:
    rule = Access(Clock()).rule(["10.0.0.0/8"])
    for number in range(20_000):
        assert rule.permits(f"10.0.{number >> 8}.{number & 255}")
    assert len(rule._known) <= 8192


@pytest.mark.parametrize(
    ("host", "internal"),
    [
        ("127.0.0.1", True), ("10.1.1.1", True), ("169.254.169.254", True), ("0.0.0.0", True), ("224.0.0.1", True),
        ("::1", True), ("::", True), ("fd00::1", True), ("fe80::1", True), ("ff02::1", True), ("255.255.255.255", True),
        ("::ffff:127.0.0.1", True), ("64:ff9b::7f00:1", True), ("2002:7f00:1::", True), ("100.64.0.1", True),
        ("not an address", True), ("/run/sock", True),
        ("8.8.8.8", False), ("2606:4700::1111", False), ("64:ff9b::808:808", False), ("::ffff:8.8.8.8", False),
    ],
)  # fmt: skip
def test_internal_addresses(host: str, internal: bool) -> None:
    assert is_internal(host) is internal


def test_loopback_addresses() -> None:
    assert is_loopback("127.0.0.2")
    assert is_loopback("::1")
    assert not is_loopback("192.0.2.1")
    assert not is_loopback("localhost")


@pytest.mark.parametrize(
    ("listens", "guards"),
    [
        ([], False),
        (["10053"], False),
        (["127.0.0.1:10053", "[::1]:10053", "secure:10443", "unix:/run/x"], False),
        (["tcp:80:interface=127.0.0.1", r"tcp6:80:interface=\:\:1"], False),
        (["127.0.0.1:53", "192.0.2.1:53"], True),
        (["0.0.0.0:53"], True),
        (["tcp:80"], True),
        (["inherited:dns"], True),
        (["systemd:domain=INET:index=0"], True),
        (["proxied:127.0.0.1:80"], True),
    ],
)
def test_guards_are_up_unless_all_is_on_loopback(listens: list[str], guards: bool) -> None:
    assert Access(Clock()).guards_private(listens) is guards


def test_a_rate_limit_lets_bursts_through_and_refills() -> None:
    clock = Clock()
    limit = Access(clock).rate(2.0, burst=3)
    assert [limit.permits("a") for _ in range(4)] == [True, True, True, False]
    assert limit.permits("b")
    assert limit.wait("a") == pytest.approx(0.5)
    clock.advance(0.5)
    assert [limit.permits("a") for _ in range(2)] == [True, False]


def test_a_rate_of_nothing_is_no_limit() -> None:
    limit = Access(Clock()).rate(0)
    assert all(limit.permits("a") for _ in range(1000))
    assert limit.wait("a") == 0


def test_a_rate_limit_remembers_so_many_keys() -> None:
    limit = Access(Clock()).rate(1.0, burst=1, keys=100)
    for key in range(1000):
        assert limit.permits(key)
    assert limit._buckets is not None
    assert len(limit._buckets) <= 100


def test_concurrency_is_limited_in_all_and_by_address() -> None:
    limit = Access(Clock()).concurrency(3, per_address=2)
    assert [limit.enter("a") for _ in range(3)] == [True, True, False]
    assert [limit.enter("b") for _ in range(2)] == [True, False]
    assert limit.count == 3
    limit.leave("a")
    assert limit.enter("b")
    for host in ("a", "b", "b"):
        limit.leave(host)
    assert limit.count == 0
    assert limit._addresses == {}


def test_no_concurrency_limit() -> None:
    limit = Access(Clock()).concurrency(0)
    assert all(limit.enter("a") for _ in range(1000))
