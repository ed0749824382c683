"""The store keeps to its budget, replaces variants, purges targets whole, and says what has ended."""

from __future__ import annotations

from netsuite.http.cache.content import InMemory
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Response, StoredResponse


def stored(body=b"x", vary=b"", selection=(), now=1000.0):
    lines = [(b"cache-control", b"max-age=60")] + ([(b"vary", vary)] if vary else [])
    return StoredResponse(Response(200, lines, now, now), InMemory(body), selection)


def test_variants_stand_side_by_side_and_go_together():
    store = Store(1 << 20, 1 << 16)
    one, two = stored(vary=b"foo", selection=(b"1",)), stored(vary=b"foo", selection=(b"2",))
    assert store.put(b"k", one, store.generation(b"k"))
    assert store.put(b"k", two, store.generation(b"k"))
    assert list(store.lookup(b"k")) == [one, two]
    assert store.purge(b"k") == 2
    assert (one.alive, two.alive, list(store.lookup(b"k")), store.size) == (False, False, [], 0)


def test_a_variant_is_replaced():
    store = Store(1 << 20, 1 << 16)
    old, new = stored(b"old"), stored(b"new")
    store.put(b"k", old, 0)
    store.put(b"k", new, 0)
    assert list(store.lookup(b"k")) == [new]
    assert (old.alive, new.alive, len(store)) == (False, True, 1)


def test_what_was_fetched_before_a_purge_is_not_kept():
    store = Store(1 << 20, 1 << 16)
    generation = store.generation(b"k")
    store.purge(b"k")
    assert not store.put(b"k", stored(), generation)
    assert store.put(b"k", stored(), store.generation(b"k"))
    generation = store.generation(b"k")
    store.clear()
    assert not store.put(b"k", stored(), generation)


def test_the_budget_holds_and_what_goes_is_told():
    ended = []
    store = Store(100_000, 50_000)
    store.on_end = ended.append
    made = [stored(b"x" * 5000) for _ in range(100)]
    for number, each in enumerate(made):
        assert store.put(b"k%d" % number, each, 0)
        assert store.size <= 100_000
    assert [each for each in made if not each.alive] == ended
    assert len(ended) == store.evictions > 70
    assert not store.put(b"large", stored(b"x" * 50_001), 0)


def test_variants_of_one_target_are_bounded():
    store = Store(10 << 20, 1 << 16)
    for number in range(200):
        store.put(b"k", stored(vary=b"foo", selection=(b"%d" % number,)), 0)
    assert len(store.lookup(b"k")) == 64


def test_what_is_used_outlives_what_is_not():
    store = Store(100_000, 50_000)
    used = stored(b"x" * 1000)
    store.put(b"used", used, 0)
    for number in range(300):
        store.use(used)
        store.put(b"k%d" % number, stored(b"x" * 1000), 0)
    assert used.alive
