"""Limits that several share, and whose turn it is."""

from __future__ import annotations

from twisted.internet.task import Clock

from netsuite.bittorrent.peer.rates import Limit
from netsuite.bittorrent.peer.throttle import MESSAGE, Throttle


def run(limits, names, seconds, size=MESSAGE):
    """Who got how many messages through."""
    clock = Clock()
    throttle = Throttle(clock, limits)
    counts = dict.fromkeys(names, 0)

    def sender(name):
        def go():
            while throttle.take(go, clock.seconds(), size):
                counts[name] += 1

        return go

    for name in names:
        sender(name)()
    for _ in range(int(seconds * 100)):
        clock.advance(0.01)
    throttle.stop()
    assert not clock.getDelayedCalls()
    return counts


def test_without_limits_all_may():
    throttle = Throttle(Clock(), (Limit(None), Limit(None)))
    assert throttle.take(lambda: None, 0.0, 1 << 30)
    assert throttle.messages(lambda: None, 0.0, 500) == 500


def test_the_smaller_limit_counts():
    counts = run((Limit(10 * MESSAGE), Limit(2 * MESSAGE)), "a", 30)
    assert 60 <= counts["a"] <= 63


def test_turns():
    counts = run((Limit(10 * MESSAGE),), "abcdefg", 70)
    assert max(counts.values()) - min(counts.values()) <= 3
    assert 700 <= sum(counts.values()) <= 710


def test_a_message_larger_than_the_burst_goes_all_the_same():
    counts = run((Limit(1000),), "a", 300, size=131072)
    assert counts["a"] >= 1


def test_who_comes_later_waits_behind_those_who_wait():
    clock = Clock()
    throttle = Throttle(clock, (Limit(MESSAGE),))
    order = []

    def waits(name):
        def go():
            if throttle.take(go, clock.seconds(), MESSAGE):
                order.append(name)

        return go

    for name in "abc":
        waits(name)()
    clock.advance(0.5)
    waits("d")()
    for _ in range(40):
        clock.advance(0.1)
    assert order == list("abcd")


def test_requests_are_measured_out():
    clock = Clock()
    throttle = Throttle(clock, (Limit(100 * MESSAGE),))
    asked = []
    again = asked.append
    assert throttle.messages(lambda: again(1), 0.0, 500) == 15
    throttle.count(0.0, 20 * MESSAGE)
    assert throttle.messages(lambda: again(1), 0.0, 500) == 0
    clock.advance(0.02)
    assert asked == [1]
    assert throttle.messages(lambda: again(1), clock.seconds(), 2) >= 1
