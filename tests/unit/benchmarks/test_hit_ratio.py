"""What the hit-ratio benchmark is made of: traces from seeds, and policies beside the best there can be."""

from __future__ import annotations

import itertools
import random

import pytest

from benchmarks.traces import TRACES, belady, replay, size_of
from netsuite.sansio.gdsf import Gdsf
from netsuite.sansio.lru import Lru
from netsuite.sansio.s3fifo import S3Fifo
from netsuite.sansio.sieve import Sieve


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_the_same_for_the_same_seed_and_another_for_another(name):
    first = TRACES[name](4000, 1)
    assert first == TRACES[name](4000, 1)
    assert first != TRACES[name](4000, 2)
    assert len(first) == 4000


def test_sizes_are_those_of_the_web():
    sizes = sorted(size_of(number) for number in range(2000))
    assert sizes == sorted(size_of(number) for number in range(2000))
    assert sizes[0] >= 200
    assert sizes[-1] <= 60_000
    assert 2500 < sizes[1000] < 3500


def test_wonders_come_once():
    trace = TRACES["one-hit wonders"](6000, 1)
    once = [number for number in trace if number >= 1_000_000]
    assert len(once) == len(set(once))
    assert 1800 < len(once) < 2200


def best(trace, room):
    """Hits of the best choice of all, by trying every one; objects have the size 1."""
    states = {frozenset(): 0}
    for number in trace:
        following = {}
        for held, hits in states.items():
            found = hits + (number in held)
            options = [held]
            if number not in held:
                options += [
                    frozenset({number, *kept}) for kept in itertools.combinations(held, min(len(held), room - 1))
                ]
            for option in options:
                following[option] = max(following.get(option, 0), found)
        states = following
    return max(states.values())


def test_belady_is_the_best_there_is():
    rng = random.Random(1)
    for _ in range(40):
        trace = [rng.randrange(6) for _ in range(25)]
        assert belady(trace, 3, lambda number: 1) == best(trace, 3)


@pytest.mark.parametrize("make", [Lru, Sieve, Gdsf, S3Fifo])
@pytest.mark.parametrize("name", TRACES)
def test_nobody_is_better_than_belady(make, name):
    trace = TRACES[name](4000, 1)
    assert replay(trace, make(500), lambda number: 1) <= belady(trace, 500, lambda number: 1)


def test_the_default_policy_answers_no_less_than_lru():
    for name, make in TRACES.items():
        trace = make(8000, 1)
        assert replay(trace, Gdsf(4 << 20), size_of) >= replay(trace, Lru(4 << 20), size_of), name
