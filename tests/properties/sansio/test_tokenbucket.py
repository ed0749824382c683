"""Token buckets against the plain model: tokens, and when they were counted last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.sansio.tokenbucket import TokenBuckets

START = 1_800_000_000.0
STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(1, 4)), max_size=60)


@given(st.sampled_from([0.25, 1, 2, 8]), st.integers(1, 6), STEPS)
def test_it_is_a_token_bucket(rate, burst, steps):
    buckets = TokenBuckets(rate, burst)
    tokens, counted, now = {}, {}, START
    for key, quarters, count in steps:
        now += quarters / 4
        have = min(burst, tokens.get(key, burst) + (now - counted.get(key, now)) * rate)
        missing = max(0.0, count - have) / rate
        if count <= burst:
            assert buckets.wait(key, now, count) == pytest.approx(missing, abs=1e-5)
        assert buckets.take(key, now, count) == (have >= count)
        tokens[key], counted[key] = have - count if have >= count else have, now


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 3)), max_size=200), st.integers(1, 8))
def test_the_table_has_a_bound_and_a_burst_is_never_exceeded_at_once(steps, keys):
    buckets = TokenBuckets(1, 2, keys)
    now = START
    for key, wait in steps:
        now += wait
        buckets.take(key, now)
        assert len(buckets) <= keys
        assert not buckets.take(key, now, 3)


def test_the_emptiest_buckets_are_remembered_longest():
    buckets = TokenBuckets(1, 10, keys=4)
    for _ in range(10):
        assert buckets.take("flood", START)
    for number in range(100):
        buckets.take(number, START)
    assert not buckets.take("flood", START)


def test_full_buckets_are_forgotten_first():
    buckets = TokenBuckets(1, 2, keys=2)
    buckets.take("a", START)
    buckets.take("b", START + 5)
    buckets.take("b", START + 5)
    buckets.take("c", START + 5)
    assert len(buckets) == 2
    assert not buckets.take("b", START + 5)


def test_a_clock_that_is_set_back_locks_nobody_out():
    buckets = TokenBuckets(1, 3)
    buckets.take("a", START)
    assert not buckets.take("a", START - 1000)
    assert buckets.wait("a", START - 1000) == pytest.approx(1)
    assert buckets.take("a", START - 999)


@pytest.mark.parametrize("wrong", [(0, 1, 1), (-1, 1, 1), (1, 0.5, 1), (1, 1, 0)])
def test_impossible_buckets(wrong):
    with pytest.raises(ValueError, match="needs a rate above 0"):
        TokenBuckets(*wrong)


@given(st.floats(0.1, 1e6), st.floats(0.001, 1000), st.floats(0, 1e5))
def test_who_need_not_wait_may_take(rate, seconds, later):
    burst = max(1.0, rate * seconds)
    buckets = TokenBuckets(rate, burst)
    now = START + later
    assert buckets.wait("a", now, burst) == 0, "it begins full, whatever the clock's rounding"
    assert buckets.take("a", now, burst)
    wait = buckets.wait("a", now, burst)
    assert (wait == 0) is buckets.take("a", now, burst)
    now += wait + 1e-6
    assert buckets.wait("a", now, burst) == 0
    assert buckets.take("a", now, burst)
