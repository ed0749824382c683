"""Shadow caches: they count what policies and sizes would answer, of a sample, and hot hits with the rest."""

from __future__ import annotations

import random

from netsuite.http.cache.content import InMemory
from netsuite.http.cache.hits import StoredAnswer
from netsuite.http.cache.shadow import FACTORS, POLICIES, Shadows
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Response, StoredResponse
from netsuite.http.cache.uses import Uses


def stored(size=1000, now=1000.0):
    return StoredResponse(Response(200, [(b"cache-control", b"max-age=60")], now, now), InMemory(b"x" * size), ())


def asked(store, key):
    """A request as the proxy makes it: answered from the store, or fetched and stored."""
    found = store.lookup(key)
    if found:
        store.use(found[0])
    else:
        store.put(key, stored(), store.generation(key))
    return bool(found)


def rows(shadows):
    return {(row["policy"], row["factor"]): row for row in shadows.report()}


def test_the_shadow_of_the_real_policy_and_size_counts_what_really_happens():
    store, rng = Store(200_000, 50_000), random.Random(7)
    shadows = Shadows(200_000, 1)
    store.on_use = shadows.used
    hits = sum(asked(store, b"http://a/%d" % int(rng.paretovariate(0.8))) for _ in range(5000))
    found = rows(shadows)
    assert set(found) == {(policy, factor) for policy in POLICIES for factor in FACTORS}
    assert found["s3-fifo", 1.0]["requests"] == 5000
    assert found["s3-fifo", 1.0]["hits"] == hits
    assert found["s3-fifo", 1.0]["hit_bytes"] == 1000 * hits
    for policy in POLICIES:
        assert found[policy, 0.5]["hits"] < found[policy, 1.0]["hits"] < found[policy, 2.0]["hits"] < 5000


def test_a_sample_tells_about_the_whole():
    rng, whole, sample = random.Random(3), Shadows(10_000_000, 1), Shadows(10_000_000, 16)
    made = [stored() for _ in range(20_000)]
    for number, each in enumerate(made):
        each.key, each.cost = b"http://a/%d" % number, 2200
    for number in rng.choices(range(20_000), [1 / (each + 100) for each in range(20_000)], k=150_000):
        whole.used(made[number], 1)
        sample.used(made[number], 1)
    assert 0.03 < sample.requests / whole.requests < 0.1
    for key, row in rows(sample).items():
        exact = rows(whole)[key]
        assert abs(row["hits"] / row["requests"] - exact["hits"] / exact["requests"]) < 0.12, key


def test_what_is_too_large_for_the_sample_is_left_out():
    shadows, each = Shadows(1_000_000, 1), stored()
    each.key, each.cost = b"http://a/", 62_501
    shadows.used(each, 1)
    assert shadows.requests == 0
    each.cost = 62_500
    shadows.used(each, 3)
    assert (shadows.requests, rows(shadows)["lru", 0.5]["hits"]) == (3, 2)


def test_figures_and_metrics():
    shadows, each = Shadows(1_000_000, 1), stored()
    assert list(shadows.figures()) == []
    each.key, each.cost = b"http://a/", 2000
    shadows.used(each, 4)
    assert ("shadow lru, hits in per cent", 75.0) in shadows.figures()
    assert shadows.requests_by_policy()["gdsf", "0.5", "hit"] == 3
    assert shadows.requests_by_policy()["gdsf", "0.5", "miss"] == 1
    assert shadows.bytes_by_policy()["sieve", "2", "hit"] == 3000


# -- the hits of the hot path


def test_hits_are_told_in_batches_and_none_is_lost():
    told = []
    uses = Uses(lambda stored, times: told.append((stored.key, times)))
    answers = [StoredAnswer(stored()) for _ in range(3)]
    for number, answer in enumerate(answers):
        answer.stored.key = b"%d" % number
    for number in (0, 1, 0, 0, 2, 1):
        uses.count(answers[number])
    assert told == []
    uses.settle()
    assert told == [(b"0", 3), (b"1", 2), (b"2", 1)]
    uses.settle()
    assert len(told) == 3
    uses.count(answers[1])
    uses.settle()
    assert told[3] == (b"1", 1)


def test_batches_are_bounded():
    told = []
    uses = Uses(lambda stored, times: told.append(times))
    for _ in range(3000):
        uses.count(StoredAnswer(stored()))
    assert len(told) == 2048


def test_the_store_asks_for_them_before_it_evicts():
    store = Store(100_000, 50_000)
    uses = Uses(store.use)
    store.before_put = uses.settle
    kept = stored()
    store.put(b"http://a/", kept, 0)
    answer = StoredAnswer(kept)
    uses.count(answer)
    uses.count(answer)
    for number in range(300):
        store.put(b"http://b/%d" % number, stored(), 0)
    assert kept.alive
