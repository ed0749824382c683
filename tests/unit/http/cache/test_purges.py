"""Purges: what they take from the store, at once and in slices, softly, and from what is being fetched."""

from __future__ import annotations

import pytest

from netsuite.http.cache.cache import Cache
from netsuite.http.cache.content import InMemory
from netsuite.http.cache.decision import Action, Failure, decide, may_serve_stale
from netsuite.http.cache.purges import Purge, PurgeLog
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Request, Response, StoredResponse
from netsuite.http.cache.tags import TAGS_AT_MOST

NOW = 1000.0
GET = Request(b"GET", [])


def stored(*tags, body=b"x", vary=b"", selection=(), control=b"max-age=60"):
    lines = [(b"cache-control", control), (b"etag", b'"1"')]
    lines += [(b"vary", vary)] if vary else []
    lines += [(b"cache-tag", b",".join(tags))] if tags else []
    return StoredResponse(Response(200, lines, NOW, NOW), InMemory(body), selection)


@pytest.fixture
def store():
    return Store(64 << 20, 1 << 16)


def put(store, path, *tags, **more):
    key = path if path.startswith(b"http") else b"http://a" + path
    made = stored(*tags, **more)
    assert store.put(key, made, store.generation(key))
    return made


def paths(store):
    return {key.removeprefix(b"http://a") for key in store.targets() if store.lookup(key)}


def swept(store, targets=256):
    slices = 1
    while store.sweep(targets):
        slices += 1
    return slices


def test_a_tag_takes_what_its_origin_gave_it(store):
    for path, tags in ((b"/1", (b"x",)), (b"/2", (b"y", b"x")), (b"/3", (b"y",)), (b"/4", ())):
        put(store, path, *tags)
    put(store, b"http://b/1", b"x")
    assert store.purge_tags(b"http://a", [b"x"]) == 2
    assert paths(store) == {b"/3", b"/4", b"http://b/1"}
    assert store.purge_tags(b"http://a", [b"x"]) == 0
    assert store.purge_tags(None, [b"x", b"y"]) == 2
    assert paths(store) == {b"/4"}
    assert store.tags == 0


def test_groups_are_tags(store):
    lines = [(b"cache-control", b"max-age=60"), (b"cache-groups", b'"x", "y"')]
    store.put(b"http://a/1", StoredResponse(Response(200, lines, NOW, NOW), InMemory(b""), ()), 0)
    assert store.purge_groups(b"http://b", [b"x"]) == 0
    assert store.purge_groups(b"http://a", [b"y"]) == 1


def test_what_has_too_many_tags_goes_with_any_of_its_origin(store):
    put(store, b"/1", *(b"%d" % each for each in range(TAGS_AT_MOST + 1)))
    put(store, b"http://b/1", b"x")
    assert store.tags == 2
    assert store.purge_tags(b"http://a", [b"anything"]) == 1
    assert store.purge_tags(b"http://b", [b"anything"]) == 0


def test_tags_are_paid_for_from_the_budget():
    store, tags = Store(100_000, 50_000), [b"%d" % each for each in range(100)]
    for number in range(10):
        store.put(b"http://a/%d" % number, stored(*tags), 0)
        assert store.size <= 100_000
    assert len(store) < 3
    assert store.evictions > 7
    assert store.tags <= 100


def test_replaced_and_evicted_responses_leave_the_index(store):
    put(store, b"/1", b"x")
    put(store, b"/1", b"y")
    assert store.purge_tags(b"http://a", [b"x"]) == 0
    assert store.purge_tags(b"http://a", [b"y"]) == 1


def test_a_prefix_holds_before_it_is_swept(store):
    ended = []
    store.on_end = ended.append
    for number in range(1000):
        put(store, b"/in/%d" % number)
    put(store, b"/other")
    sweep = store.purge_prefix(b"http://a/in/")
    assert store.lookup(b"http://a/in/7") == ()
    assert len(store.lookup(b"http://a/other")) == 1
    new = put(store, b"/in/7")
    assert list(store.lookup(b"http://a/in/7")) == [new]
    assert not sweep.done
    assert swept(store, 100) == 11
    assert (sweep.done, sweep.gone, len(ended)) == (True, 1000, 1000)
    assert paths(store) == {b"/in/7", b"/other"}


def test_sweeps_that_come_meanwhile_have_a_walk_of_their_own(store):
    for number in range(300):
        put(store, b"/%d" % number)
    first = store.purge_prefix(b"http://a/1")
    store.sweep(100)
    second = store.purge_prefix(b"http://a/2")
    assert store.lookup(b"http://a/2") == ()
    swept(store, 100)
    assert (first.gone, second.gone) == (111, 111)
    assert len(paths(store)) == 300 - 222


def test_everything_is_the_empty_prefix(store):
    for number in range(10):
        put(store, b"/%d" % number)
    sweep = store.purge_prefix(b"")
    assert [store.lookup(key) for key in store.targets()] == [()] * 10
    swept(store)
    assert sweep.gone == 10
    assert (len(store), store.size) == (0, 0)


def test_sweeps_are_bounded(store):
    put(store, b"/x")
    assert all(store.purge_prefix(b"http://a/%d" % number) for number in range(64))
    assert store.purge_prefix(b"http://a/x") is None
    assert len(store.lookup(b"http://a/x")) == 1
    swept(store)
    assert store.purge_prefix(b"http://a/x") is not None


def test_a_tag_of_very_many_is_swept_too(store):
    for number in range(1500):
        put(store, b"/%d" % number, b"all")
    put(store, b"/other")
    assert store.purge_tags(b"http://a", [b"all"]) == 1500
    assert len(store) == 1501
    assert store.lookup(b"http://a/7") == ()
    new = put(store, b"/8", b"all")
    swept(store, 100)
    assert (len(store), list(store.lookup(b"http://a/8"))) == (2, [new])


def test_soft_and_hard_sweeps_of_the_same_targets(store):
    put(store, b"/a/1")
    put(store, b"/b/1")
    soft, hard = store.purge_prefix(b"http://a/", NOW + 1), store.purge_prefix(b"http://a/b/")
    assert store.lookup(b"http://a/b/1") == ()
    assert len(store.lookup(b"http://a/a/1")) == 1
    swept(store)
    assert (soft.gone, hard.gone) == (1, 1)


def test_a_purge_of_a_target_does_not_hide_it_from_a_sweep(store):
    put(store, b"/1")
    store.purge_prefix(b"http://a/")
    assert store.purge(b"http://a/1", NOW) == 0
    assert store.lookup(b"http://a/1") == ()


# -- softly


def test_softly_means_stale_from_now_on(store):
    old = put(store, b"/1", b"x", control=b"max-age=60, stale-while-revalidate=10, stale-if-error=20")
    assert store.purge(b"http://a/1", NOW + 5) == 1
    assert not old.alive
    (now_stale,) = store.lookup(b"http://a/1")
    assert now_stale.content is old.content
    first = decide(GET, [now_stale], NOW + 6)
    assert (first.action, first.validators) == (Action.STALE_HIT, ((b"if-none-match", b'"1"'),))
    later = decide(GET, [now_stale], NOW + 20)
    assert (later.action, later.reason) == (Action.REVALIDATE, "stale by a soft purge")
    assert may_serve_stale(GET, now_stale, NOW + 20, Failure.ERROR)
    assert not may_serve_stale(GET, now_stale, NOW + 26, Failure.ERROR)
    assert may_serve_stale(GET, now_stale, NOW + 26, Failure.UNREACHABLE)


def test_what_is_stale_already_stays_as_it_is(store):
    put(store, b"/1")
    assert store.purge(b"http://a/1", NOW + 60) == 0
    assert store.purge(b"http://a/1", NOW + 5) == 1
    assert store.purge(b"http://a/1", NOW + 6) == 0


def test_what_was_made_stale_keeps_its_tags_and_its_size(store):
    put(store, b"/1", b"x")
    size = store.size
    assert store.purge_tags(b"http://a", [b"x"], NOW + 5) == 1
    assert store.size == size
    assert store.purge_tags(b"http://a", [b"x"]) == 1
    assert (store.size, store.tags) == (0, 0)


def test_a_304_makes_it_fresh_again(store):
    cache = Cache(store)
    put(store, b"/1")
    store.purge(b"http://a/1", NOW + 5)
    (chosen,) = store.lookup(b"http://a/1")
    lines = [(b"etag", b'"1"'), (b"cache-control", b"max-age=60")]
    answer = Response(304, lines, NOW + 6, NOW + 6)
    cache.validated(b"http://a/1", GET, chosen, answer, store.generation(b"http://a/1"))
    assert cache.decide(b"http://a/1", GET, NOW + 7).action is Action.HIT


# -- what is being fetched

COVERED = [
    (lambda store: store.purge(b"http://a/p/1"), True),
    (lambda store: store.purge(b"http://a/p/1", NOW), True),
    (lambda store: store.purge(b"http://a/p/2"), False),
    (lambda store: store.purge_prefix(b"http://a/p/"), True),
    (lambda store: store.purge_prefix(b"http://a/q/"), False),
    (lambda store: store.purge_prefix(b""), True),
    (lambda store: store.purge_tags(b"http://a", [b"x"]), True),
    (lambda store: store.purge_tags(None, [b"x"]), True),
    (lambda store: store.purge_tags(b"http://b", [b"x"]), False),
    (lambda store: store.purge_tags(b"http://a", [b"y"]), False),
    (lambda store: store.clear(), True),
]


@pytest.mark.parametrize(("purge", "covered"), COVERED)
def test_a_fetch_that_began_before_a_purge_that_covers_it_is_not_stored(store, purge, covered):
    generation = store.generation(b"http://a/p/1")
    purge(store)
    assert store.put(b"http://a/p/1", stored(b"x"), generation) is not covered
    swept(store)
    assert store.put(b"http://a/p/1", stored(b"x"), store.generation(b"http://a/p/1"))


def test_too_many_tags_in_flight_count_as_all(store):
    generation = store.generation(b"http://a/1")
    store.purge_tags(b"http://a", [b"x"])
    many = [b"%d" % each for each in range(TAGS_AT_MOST + 1)]
    assert not store.put(b"http://a/1", stored(*many), generation)


@pytest.mark.parametrize(
    "purges",
    [
        lambda number: Purge(key=b"http://b/%d" % number),
        lambda number: Purge(prefix=b"http://b/%d" % number),
        lambda number: Purge(tags=frozenset({b"%d" % number}), origin=b"http://b"),
    ],
)
def test_the_log_is_bounded_and_what_it_forgot_counts_as_covered(purges):
    log = PurgeLog()
    for number in range(70_000):
        log.note(purges(number))
    assert log.covered(b"http://a/", (), 0)
    assert not log.covered(b"http://a/", (b"x",), log.number - 100)
    assert not log.covered(b"http://a/", (), log.number)


def test_who_is_told(store):
    told = []
    store.on_purge = told.append
    store.purge(b"k")
    store.purge_prefix(b"p")
    store.purge_tags(None, [b"t"])
    assert [(purge.key, purge.prefix, set(purge.tags)) for purge in told] == [
        (b"k", None, set()),
        (None, b"p", set()),
        (None, None, {b"t"}),
    ]
    assert told[2].covers(b"http://a/", None)
    assert told[2].covers(b"http://a/", (b"t",))
    assert not told[2].covers(b"http://a/", (b"u",))
