"""Packed groups: against a plain model, and that every peer has the same chance."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from netsuite.bittorrent.tracker.group import FACTS, Group

FACT = bytes(FACTS)


def entry(number, width=6):
    return number.to_bytes(width, "big")


def group_of(count, width=6, seed=1):
    group = Group(width)
    rng = random.Random(seed).random
    for number in range(count):
        group.add(entry(number, width), FACT, rng)
    return group


def split(packed, width=6):
    return [int.from_bytes(packed[at : at + width], "big") for at in range(0, len(packed), width)]


@pytest.mark.parametrize("width", [6, 18])
def test_it_holds_what_a_set_would(width):
    rng = random.Random(5)
    group, model = Group(width), set()
    for _ in range(4000):
        number = rng.randrange(150)
        place = group.place(entry(number, width))
        assert (place >= 0) == (number in model)
        if place >= 0 and rng.random() < 0.5:
            group.remove(place)
            model.discard(number)
        elif place < 0:
            group.add(entry(number, width), bytes([number]) * FACTS, rng.random)
            model.add(number)
        assert len(group) == len(model)
    assert sorted(split(group.entries, width)) == sorted(model)
    for place, number in enumerate(split(group.entries, width)):
        assert group.facts[place * FACTS] == number
        assert group.place(entry(number, width)) == place


def test_bytes_of_two_neighbours_are_not_a_third():
    group = Group(6)
    for each in (b"\0\0\0\1\0\2", b"\0\3\0\0\0\1"):
        group.add(each, FACT, lambda: 0.999)
    assert group.place(b"\0\1\0\2\0\3") == -1
    assert group.place(b"\0\2\0\3\0\0") == -1


@pytest.mark.parametrize("own", [-1, 0, 7, 19])
@pytest.mark.parametrize("count", [0, 1, 5, 18, 19, 20, 50])
def test_a_sample_has_as_many_as_there_are_and_nobody_twice(own, count):
    group = group_of(20)
    rng = random.Random(3)
    own_entry = split(group.entries)[own] if own >= 0 else None
    for _ in range(200):
        found = split(group.sample(count, own, rng.random))
        assert len(found) == min(count, 20 - (own >= 0))
        assert len(set(found)) == len(found)
        assert own_entry not in found


def chi_squared(observed, expected):
    return sum((each - expected) ** 2 / expected for each in observed)


@pytest.mark.parametrize("own", [-1, 11])
def test_everybody_is_given_as_often(own):
    count, draws, most = 60, 60_000, 7
    group = group_of(count)
    rng = random.Random(9)
    seen = Counter()
    for _ in range(draws):
        seen.update(split(group.sample(most, own, rng.random)))
    others = count - (own >= 0)
    assert len(seen) == others
    expected = draws * most / others
    # runs of neighbours make the counts vary less independently than single draws: twice the degrees of freedom
    # is far beyond the 99.99th percentile either way
    assert chi_squared(seen.values(), expected) < 2 * others * most


def test_any_two_are_given_together_as_often_whenever_they_came():
    """A run is a uniform sample because the order is a random permutation, made anew here for each draw."""
    count, draws, most = 10, 20_000, 3
    rng = random.Random(4)
    pairs = Counter()
    for _ in range(draws):
        group = Group(6)
        for number in range(count):
            group.add(entry(number), FACT, rng.random)
        # leaving and coming keep the order random
        group.remove(group.place(entry(0)))
        group.add(entry(0), FACT, rng.random)
        pairs.update(itertools.combinations(sorted(split(group.sample(most, -1, rng.random))), 2))
    expected = draws * (most * (most - 1) / 2) / 45
    assert len(pairs) == 45
    # 44 degrees of freedom: 87.7 is the 99.99th percentile
    assert chi_squared(pairs.values(), expected) < 87.7


def test_the_stale_are_told_last_first():
    group = Group(6)
    for number in range(6):
        group.add(entry(number), bytes(FACTS - 1) + bytes([number % 2]), lambda: 0.9999)
    assert group.stale(bytes([0, 1]) + bytes(254)) == [5, 3, 1]
    assert group.stale(bytes(256)) == []
