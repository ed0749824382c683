"""The store: who comes, moves, leaves, is forgotten, and what happens when it is full."""

from __future__ import annotations

from collections import Counter

import pytest

from netsuite.bittorrent.tracker.swarm import DOWNLOADER, LEAVING, PARTIAL, PEER_COST, SEED, SWARM_COST, Swarms

HASH, OTHER = b"h" * 20, b"o" * 20
IDENT, STRANGER = b"i" * 24, b"s" * 24


def store(memory=1 << 30, lifetime=3600.0, now=0.0):
    return Swarms(memory=memory, lifetime=lifetime, now=now, seed=1)


def entry(number, family=0):
    return number.to_bytes(16 if family else 4, "big") + b"\x1a\xe1"


def come(swarms, number=1, sort=DOWNLOADER, *, info_hash=HASH, family=0, ident=IDENT, done=False):
    return swarms.announce(info_hash, family, entry(number, family), ident, sort, done)


def given(swarms, sort, number, count=50, family=0):
    swarm, place = come(swarms, number, sort, family=family)
    return swarms.sample(swarm, family, sort, place, count)


def walk(swarms, now):
    while not swarms.step(now):
        pass


def test_a_peer_is_counted_once_whatever_it_becomes():
    swarms = store()
    for sort in (DOWNLOADER, PARTIAL, DOWNLOADER, SEED, SEED):
        swarm, place = come(swarms, sort=sort)
        assert place >= 0
        assert swarm.counts[sort] == len(swarm) == swarms.peers == 1


def test_downloaded_counts_who_has_just_completed_and_no_seed_twice():
    swarms = store()
    swarm, _ = come(swarms)
    come(swarms, sort=SEED, done=True)
    come(swarms, sort=SEED, done=True)
    assert swarm.tally() == (1, 1, 0, 0)
    come(swarms, 2, DOWNLOADER, done=True)
    assert swarm.downloaded == 1


def test_only_its_owner_takes_a_peer_away():
    swarms = store()
    swarm, _ = come(swarms)
    come(swarms, sort=LEAVING, ident=STRANGER)
    assert len(swarm) == 1
    come(swarms, 2, LEAVING)
    assert len(swarm) == 1
    come(swarms, sort=LEAVING)
    assert len(swarm) == len(swarms) == swarms.peers == 0


def test_who_listens_now_at_an_address_has_its_entry():
    swarms = store()
    come(swarms, ident=STRANGER)
    come(swarms, ident=IDENT)
    come(swarms, sort=LEAVING, ident=STRANGER)
    assert swarms.peers == 1
    come(swarms, sort=LEAVING, ident=IDENT)
    assert swarms.peers == 0


def test_nobody_says_good_bye_to_a_swarm_that_is_not_there():
    swarms = store()
    assert come(swarms, sort=LEAVING) is None
    assert len(swarms) == swarms.refused == 0


def test_seeds_are_given_downloaders_alone():
    swarms = store()
    for number in range(10):
        come(swarms, number, (DOWNLOADER, SEED, PARTIAL)[number % 3])
    for sort in (SEED, PARTIAL):
        found = given(swarms, sort, 99)
        assert {found[at + 3] for at in range(0, len(found), 6)} == {0, 3, 6, 9}


def test_downloaders_are_given_everybody_but_themselves():
    swarms = store()
    for number in range(10):
        come(swarms, number, (DOWNLOADER, SEED, PARTIAL)[number % 3])
    found = given(swarms, DOWNLOADER, 3)
    assert sorted(found[at + 3] for at in range(0, len(found), 6)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_every_sort_has_its_share_and_everybody_the_same_chance():
    swarms = store()
    for number in range(30):
        come(swarms, number, SEED if number < 3 else PARTIAL if number < 10 else DOWNLOADER)
    swarm, place = come(swarms, 29)
    seen = Counter()
    draws = 40_000
    for _ in range(draws):
        found = swarms.sample(swarm, 0, DOWNLOADER, place, 5)
        assert len(found) == 30
        seen.update(found[at + 3] for at in range(0, 30, 6))
    assert 29 not in seen
    expected = draws * 5 / 29
    assert all(abs(count - expected) < expected * 0.06 for count in seen.values()), seen


def test_families_do_not_mix():
    swarms = store()
    come(swarms, 1)
    come(swarms, 2, family=1)
    swarm, place = come(swarms, 3, family=1)
    assert swarms.sample(swarm, 1, DOWNLOADER, place, 50) == entry(2, 1)
    assert swarms.sample(swarm, 0, DOWNLOADER, -1, 50) == entry(1)
    assert swarm.tally() == (0, 0, 3, 3)


def test_who_is_not_heard_of_is_forgotten_and_nobody_sooner():
    swarms = store(lifetime=800.0)
    come(swarms, 1)
    for now in range(0, 801, 50):
        walk(swarms, float(now))
        if now <= 400:
            come(swarms, 2)
    assert swarms.peers == 2
    for now in range(850, 1001, 50):
        walk(swarms, float(now))
    assert (swarms.peers, swarms.expired) == (1, 1)
    walk(swarms, 1500.0)
    assert (swarms.peers, len(swarms)) == (0, 0)


def test_a_swarm_that_was_downloaded_is_remembered_without_peers():
    swarms = store(lifetime=8.0)
    come(swarms, sort=SEED, done=True)
    walk(swarms, 100.0)
    assert swarms.peers == 0
    assert swarms.find(HASH).tally() == (0, 1, 0, 0)


def test_the_walk_rests():
    swarms = store(lifetime=8.0)
    for number in range(5000):
        come(swarms, number, info_hash=number.to_bytes(20, "big"))
    steps = 1
    while not swarms.step(100.0):
        steps += 1
    assert steps > 2
    assert len(swarms) == swarms.peers == 0


def full(pairs=3, lone=0):
    """A store with room for exactly so many swarms of two peers and of one."""
    swarms = store(memory=(pairs + lone) * SWARM_COST + (2 * pairs + lone) * PEER_COST)
    for each in range(pairs):
        for number in (1, 2):
            come(swarms, number, info_hash=bytes([each]) * 20)
    for each in range(lone):
        come(swarms, info_hash=bytes([100 + each]) * 20)
    return swarms


def test_a_full_store_drops_swarms_of_one_peer_the_longest_standing_first():
    swarms = full(lone=2)
    assert come(swarms, info_hash=OTHER) is not None
    assert swarms.find(bytes([100]) * 20) is None
    assert swarms.find(bytes([101]) * 20) is not None
    assert (swarms.evicted, swarms.refused) == (1, 0)


def test_a_store_full_of_true_swarms_refuses_new_ones_and_serves_the_known():
    swarms = full()
    assert come(swarms, info_hash=OTHER) is None
    swarm, place = come(swarms, 3, info_hash=bytes(20))
    assert (len(swarm), place, swarms.refused) == (2, -1, 2)
    assert len(swarms.sample(swarm, 0, DOWNLOADER, place, 50)) == 12
    assert come(swarms, 1, SEED, info_hash=bytes(20))[1] >= 0


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_memory_never_exceeds_its_bound(count):
    swarms = store(memory=20 * SWARM_COST)
    for number in range(count):
        come(swarms, number, info_hash=(number % 97).to_bytes(20, "big"))
        assert swarms.memory <= 20 * SWARM_COST
    assert swarms.peers == sum(len(swarm) for _, swarm in swarms)
