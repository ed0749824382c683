"""The memory of what is not for sharing: of fixed size, aged, and seldom wrong."""

from __future__ import annotations

import random

from netsuite.http.cache.uncacheable import Uncacheable


def test_for_a_minute():
    known = Uncacheable()
    known.add(b"k", 1000.5)
    assert known.knows(b"k", 1000.5)
    assert known.knows(b"k", 1059.9)
    assert not known.knows(b"k", 1060.1)
    known.add(b"k", 1050)
    assert known.knows(b"k", 1100)
    assert len(known) == 1
    known.discard(b"k")
    assert not known.knows(b"k", 1050)
    assert len(known) == 0


def test_where_the_clock_wraps():
    known = Uncacheable()
    for now in (65530.0, 65536.0, 131071.0, 1_800_000_000.0):
        known.add(b"k", now)
        assert known.knows(b"k", now + 59)
        assert not known.knows(b"k", now + 61)


def test_a_bucket_forgets_what_it_would_have_forgotten_first():
    known = Uncacheable(places=4)
    for number in range(4):
        known.add(b"%d" % number, 1000 + number)
    known.add(b"new", 1004)
    assert not known.knows(b"0", 1004)
    assert all(known.knows(key, 1004) for key in (b"1", b"2", b"3", b"new"))
    known.add(b"late", 1065)
    assert known.knows(b"late", 1065)


def test_memory_is_fixed_and_errors_are_as_rare_as_it_says():
    known, rng = Uncacheable(), random.Random(1)
    assert known.size == 256 * 1024
    for _ in range(300_000):
        known.add(b"%x" % rng.getrandbits(64), 1000)
    assert known.size == 256 * 1024
    assert len(known) > 65_000
    wrong = sum(known.knows(b"other %d" % number, 1001) for number in range(200_000))
    # 4 in 65,535 are expected at the most, which is 12; six standard deviations more are never seen
    assert wrong < 34
    lately = [b"last %d" % number for number in range(1000)]
    for key in lately:
        known.add(key, 1030)
    # all are of one age or older, so a new one always finds a place that is older than the new ones beside it
    assert sum(known.knows(key, 1031) for key in lately) > 995
