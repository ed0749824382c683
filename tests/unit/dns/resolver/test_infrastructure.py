"""What is known about servers: time-outs, silence, lameness, EDNS, and whom to ask next."""

from __future__ import annotations

import random
from collections import Counter

from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.wire.name import from_text

FAST, SLOW, NEW = ("192.0.2.1", 53), ("192.0.2.2", 53), ("192.0.2.3", 53)
ZONE = from_text("example.test")


def choices(known, servers, avoid=(), now=0.0, many=400):
    rng = random.Random(5)
    return Counter(known.choose(servers, avoid, now, rng) for _ in range(many))


def test_the_wait_follows_the_round_trips():
    known = Infrastructure()
    assert known.timeout(FAST) == 0.4
    for _ in range(20):
        known.answered(FAST, 0.5)
    assert 0.5 < known.timeout(FAST) < 0.6
    for _ in range(40):
        known.answered(FAST, 0.001)
    assert known.timeout(FAST) < 0.2


def test_silence_doubles_the_wait_up_to_a_bound_and_an_answer_ends_it():
    known = Infrastructure()
    waits = []
    for _ in range(6):
        known.silent(SLOW, 0.0)
        waits.append(known.timeout(SLOW))
    assert waits == [0.8, 1.6, 3.0, 3.0, 3.0, 3.0]
    known.answered(SLOW, 0.02)
    assert known.timeout(SLOW) < 0.3


def test_the_fast_are_preferred_and_others_explored():
    known = Infrastructure()
    known.answered(FAST, 0.01)
    known.answered(SLOW, 0.9)
    found = choices(known, [FAST, SLOW])
    assert found[FAST] > 360
    assert found[SLOW] > 0


def test_equals_and_the_unknown_share():
    found = choices(Infrastructure(), [FAST, SLOW, NEW])
    assert all(count > 80 for count in found.values())
    known = Infrastructure()
    known.answered(FAST, 0.01)
    assert choices(known, [FAST, NEW])[NEW] > 100


def test_the_silent_and_those_to_avoid_come_last():
    known = Infrastructure()
    for _ in range(3):
        known.silent(SLOW, 0.0)
    assert set(choices(known, [FAST, SLOW])) == {FAST}
    assert set(choices(known, [FAST, NEW], avoid={FAST})) == {NEW}
    assert set(choices(known, [FAST, SLOW], avoid={FAST})) == {FAST}
    assert set(choices(known, [SLOW])) == {SLOW}
    assert SLOW in choices(known, [FAST, SLOW], now=100.0)


def test_lameness_is_of_a_server_and_a_zone_and_passes():
    known = Infrastructure()
    known.lame(FAST, ZONE, 0.0)
    assert known.is_lame(FAST, ZONE, 299.0)
    assert not known.is_lame(FAST, from_text("other.test"), 1.0)
    assert not known.is_lame(SLOW, ZONE, 1.0)
    assert not known.is_lame(FAST, ZONE, 300.0)


def test_it_takes_several_refusals_to_give_edns_up_and_not_for_ever():
    known = Infrastructure()
    for _ in range(2):
        known.refused_edns(FAST, 0.0)
        assert known.speaks_edns(FAST, 0.0)
    known.refused_edns(FAST, 0.0)
    assert not known.speaks_edns(FAST, 800.0)
    assert known.speaks_edns(FAST, 901.0)


def test_it_is_bounded():
    known = Infrastructure(most=100)
    for number in range(1000):
        server = (f"192.0.{number // 250}.{number % 250}", 53)
        known.answered(server, 0.1)
        known.lame(server, ZONE, 0.0)
    assert len(known) == 100
    assert sum(known.is_lame((f"192.0.{n // 250}.{n % 250}", 53), ZONE, 0.0) for n in range(1000)) == 100
