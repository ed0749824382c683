"""Waits grow with failures, by peer and by name."""

from __future__ import annotations

import pytest

from netsuite.common.identity.throttle import Limits, Throttle

LIMITS = Limits(peer=3, loopback=6, name=5, first=1.0, longest=8.0, forget=100.0, keys=50)
PEER, OTHER = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(LIMITS)


def waits(throttle: Throttle, peer: str, count: int, name: str = "") -> list[float]:
    """How long a peer must wait after each of so many failures, with other names each time if none is given."""
    found = []
    for number in range(count):
        throttle.failed(peer, name or f"n{number}", 0.0)
        found.append(throttle.wait(peer, name or "someone", 0.0))
    return found


def test_the_first_failures_of_a_peer_are_free_and_waits_double_up_to_the_longest(throttle: Throttle) -> None:
    assert waits(throttle, PEER, 8) == [0, 0, 1, 2, 4, 8, 8, 8]
    assert throttle.wait(OTHER, "someone", 0.0) == 0


def test_loopback_peers_have_more_for_free(throttle: Throttle) -> None:
    assert waits(throttle, "127.0.0.1", 7) == [0, 0, 0, 0, 0, 1, 2]


def test_a_wait_ends(throttle: Throttle) -> None:
    waits(throttle, PEER, 4)
    assert throttle.wait(PEER, "someone", 1.5) == 0.5
    assert throttle.wait(PEER, "someone", 2.0) == 0
    throttle.failed(PEER, "someone", 2.0)
    assert throttle.wait(PEER, "someone", 2.0) == 4


def test_failures_are_forgotten_after_a_while(throttle: Throttle) -> None:
    waits(throttle, PEER, 8)
    throttle.failed(PEER, "someone", 101.0)
    assert throttle.wait(PEER, "someone", 101.0) == 0


def test_names_are_counted_wherever_the_failures_come_from(throttle: Throttle) -> None:
    for number in range(6):
        throttle.failed(f"192.0.2.{number}", "alice", 0.0)
    assert throttle.wait("198.51.100.1", "alice", 0.0) == 2
    assert throttle.wait("198.51.100.1", "bob", 0.0) == 0


def test_who_was_let_in_from_there_is_not_locked_out_by_others(throttle: Throttle) -> None:
    throttle.succeeded(PEER, "alice")
    for number in range(10, 20):
        throttle.failed(f"192.0.2.{number}", "alice", 0.0)
    assert throttle.wait(PEER, "alice", 0.0) == 0
    assert throttle.wait(OTHER, "alice", 0.0) > 0
    throttle.forgive("alice")
    assert throttle.wait(OTHER, "alice", 0.0) == 0


def test_one_good_account_buys_no_guesses_at_others(throttle: Throttle) -> None:
    for number in range(4):
        throttle.failed(PEER, f"n{number}", 0.0)
        throttle.succeeded(PEER, "mallory")
    assert throttle.wait(PEER, "mallory", 0.0) == 2


def test_ipv6_peers_count_by_their_network_and_mapped_ones_as_ipv4(throttle: Throttle) -> None:
    for number in range(4):
        throttle.failed(f"2001:db8::{number}", f"n{number}", 0.0)
        throttle.failed(f"::ffff:{PEER}", f"m{number}", 0.0)
    assert throttle.wait("2001:db8::ffff:1%eth0", "someone", 0.0) == 2
    assert throttle.wait("2001:db8:0:1::1", "someone", 0.0) == 0
    assert throttle.wait(PEER, "someone", 0.0) == 2


def test_a_peer_that_is_not_known_is_not_counted_but_its_names_are(throttle: Throttle) -> None:
    assert waits(throttle, "", 20) == [0] * 20
    assert waits(throttle, "/run/socket", 6, "alice")[-1] == 2


def test_the_tables_are_bounded(throttle: Throttle) -> None:
    for number in range(500):
        throttle.failed(f"10.0.{number // 250}.{number % 250}", f"n{number}", 0.0)
        throttle.succeeded(f"10.0.{number // 250}.{number % 250}", f"n{number}")
    assert len(throttle) == 2 * LIMITS.keys
