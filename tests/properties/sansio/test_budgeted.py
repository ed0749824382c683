"""LRU, SIEVE and GDSF against models that do what the papers say with lists; and what all four maps promise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.sansio.gdsf import Gdsf
from netsuite.sansio.lru import Lru
from netsuite.sansio.s3fifo import S3Fifo
from netsuite.sansio.sieve import Sieve

BUDGET = 60
KEYS = st.integers(0, 12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("touch"), KEYS, st.integers(1, 4)),
        st.tuples(st.just("put"), KEYS, st.integers(1, 70)),
        st.tuples(st.just("discard"), KEYS, st.just(0)),
    ),
    max_size=120,
)


class LruModel:
    """Rows from the oldest use to the youngest."""

    def __init__(self):
        self.rows, self.evicted = [], []

    def find(self, key):
        return next((row for row in self.rows if row["key"] == key), None)

    def total(self):
        return sum(row["size"] for row in self.rows)

    def touch(self, key, times):
        row = self.find(key)
        if row is not None:
            self.rows.remove(row)
            self.rows.append(row)
        return row is not None

    def put(self, key, value, size):
        self.discard(key)
        if size > BUDGET:
            return False
        while self.total() + size > BUDGET:
            self.evict()
        self.rows.append({"key": key, "value": value, "size": size})
        return True

    def evict(self):
        self.evicted.append(self.rows.pop(0)["key"])

    def discard(self, key):
        row = self.find(key)
        if row is not None:
            self.rows.remove(row)
        return row is not None


class SieveModel(LruModel):
    """Rows from the oldest to the youngest; the hand is an index, or the number of rows when it has run out."""

    def __init__(self):
        super().__init__()
        self.hand = 0

    def touch(self, key, times):
        row = self.find(key)
        if row is not None:
            row["used"] = True
        return row is not None

    def put(self, key, value, size):
        row = self.find(key)
        used = row is not None and row["used"]
        if row is not None and size <= row["size"]:
            row["value"], row["size"] = value, size
            return True
        self.discard(key)
        if size > BUDGET:
            return False
        while self.total() + size > BUDGET:
            self.evict()
        if self.hand >= len(self.rows):
            self.hand = 0  # it starts again from the oldest, not from what comes now
        self.rows.append({"key": key, "value": value, "size": size, "used": used})
        return True

    def evict(self):
        while True:
            if self.hand >= len(self.rows):
                self.hand = 0
            if not self.rows[self.hand]["used"]:
                break
            self.rows[self.hand]["used"] = False
            self.hand += 1
        self.evicted.append(self.rows.pop(self.hand)["key"])

    def discard(self, key):
        row = self.find(key)
        if row is None:
            return False
        at = self.rows.index(row)
        del self.rows[at]
        if at < self.hand:
            self.hand -= 1
        return True


class GdsfModel(LruModel):
    """Rows with a worth; the least goes, of equals the one whose worth was set first."""

    def __init__(self):
        super().__init__()
        self.age, self.order = 0.0, 0

    def value(self, row):
        self.order += 1
        row["worth"] = (self.age + row["uses"] / row["size"], self.order)

    def touch(self, key, times):
        row = self.find(key)
        if row is not None:
            row["uses"] += times
            self.value(row)
        return row is not None

    def put(self, key, value, size):
        row = self.find(key)
        self.discard(key)
        if size > BUDGET:
            return False
        while self.total() + size > BUDGET:
            least = min(self.rows, key=lambda each: each["worth"])
            self.age = least["worth"][0]
            self.rows.remove(least)
            self.evicted.append(least["key"])
        made = {"key": key, "value": value, "size": size, "uses": 1 if row is None else row["uses"]}
        self.rows.append(made)
        self.value(made)
        return True


@settings(max_examples=500, deadline=None)
@given(pair=st.sampled_from([(Lru, LruModel), (Sieve, SieveModel), (Gdsf, GdsfModel)]), steps=STEPS)
def test_does_what_the_model_does(pair, steps):
    real, model = pair
    evicted = []
    mine, theirs = real(BUDGET, lambda key, value: evicted.append(key)), model()
    for number, (do, key, amount) in enumerate(steps):
        if do == "get":
            row = theirs.find(key)
            assert mine.get(key) == (None if row is None else row["value"])
            theirs.touch(key, 1)
        elif do == "touch":
            assert mine.touch(key, amount) == theirs.touch(key, amount)
        elif do == "put":
            assert mine.put(key, number, amount) == theirs.put(key, number, amount)
        else:
            assert mine.discard(key) == theirs.discard(key)
        assert evicted == theirs.evicted
        assert (mine.bytes, len(mine), mine.evictions) == (theirs.total(), len(theirs.rows), len(evicted))
        assert all(row["key"] in mine for row in theirs.rows)


@settings(max_examples=500, deadline=None)
@given(make=st.sampled_from([Lru, Sieve, Gdsf, S3Fifo]), steps=STEPS)
def test_what_all_of_them_promise(make, steps):
    gone = []
    held, made = {}, make(BUDGET, lambda key, value: gone.append((key, held.pop(key))))
    for number, (do, key, amount) in enumerate(steps):
        if do == "put":
            before = held.pop(key, None)
            if made.put(key, number, amount):
                assert amount <= BUDGET
                held[key] = amount
            else:
                assert amount > BUDGET
            assert before is None or not any(name == key for name, _ in gone)
        elif do == "discard":
            assert made.discard(key) == (held.pop(key, None) is not None)
        elif do == "touch":
            assert made.touch(key, amount) == (key in held)
        else:
            assert (made.get(key) is not None) == (key in held)
        gone.clear()
        assert made.bytes == sum(held.values()) <= BUDGET
        assert len(made) == len(held)
        assert all(name in made for name in held)


@pytest.mark.parametrize("make", [Lru, Sieve, Gdsf, S3Fifo])
def test_a_size_is_at_least_one(make):
    with pytest.raises(ValueError, match="at least 1"):
        make(10).put("k", 1, 0)


def test_gdsf_sweeps_its_heap():
    made = Gdsf(1000)
    for number in range(10):
        made.put(number, number, 10)
    for number in range(10_000):
        made.touch(number % 10)
        made.put(number % 7, number, 10)
    assert len(made) == 10
    assert len(made._heap) <= 100
