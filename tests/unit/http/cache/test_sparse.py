"""Parts of a body: merging, sharing, limits; and what is combined in the store."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netsuite.http.cache.content import InMemory
from netsuite.http.cache.partial import current_of, extend, keep_parts, strong_validator
from netsuite.http.cache.sparse import Sparse, merged
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Request, Response, StoredResponse
from netsuite.sansio.spans import lacking, length, union

WHOLE = bytes(range(200))
NO_LIMIT = 1 << 30
A_SPAN = st.tuples(st.integers(0, 199), st.integers(1, 60)).map(lambda p: (p[0], min(200, sum(p))))
SPANS = st.lists(A_SPAN, max_size=12)


def parts(*spans):
    return [(span, WHOLE[slice(*span)]) for span in spans]


@given(SPANS, st.integers(0, 199), st.integers(0, 60))
def test_what_came_is_there_and_nothing_else(spans, first, count):
    content = Sparse(len(WHOLE))
    for span in spans:
        content = merged(content, parts(span), NO_LIMIT)
    assert list(content.spans()) == union(spans)
    for a, b in union(spans):
        assert content.piece(a, b) == WHOLE[a:b]
    if isinstance(content, Sparse):
        assert content.cost >= length(union(spans))
        run = content.run(first, first + count)
        assert run == WHOLE[first : first + len(run)]
        assert bool(run) == (count > 0 and not lacking(spans, [(first, first + 1)]))
    else:
        assert content.body == WHOLE


def test_the_older_one_is_not_changed_and_bytes_are_shared():
    piece = bytes(1000)
    before = merged(Sparse(5000), [((0, 1000), piece)], NO_LIMIT)
    after = merged(before, [((2000, 3000), piece)], NO_LIMIT)
    assert before.spans() == ((0, 1000),)
    assert after.spans() == ((0, 1000), (2000, 3000))
    assert after.pieces[0][1] is piece
    assert after.pieces[1][1] is piece
    assert after.run(0, 5000) is piece


def test_many_bytes_are_given_without_a_copy():
    one, two = bytes(100_000), bytes(100_000)
    content = merged(Sparse(500_000), [((0, 100_000), one), ((100_000, 200_000), two)], NO_LIMIT)
    source = content.piece(0, 200_000)
    assert next_of(source) is one
    assert next_of(source) is two


def next_of(source):
    """The next chunk of a source that need not wait."""
    try:
        source.__anext__().send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def test_the_last_part_makes_it_whole():
    content = merged(merged(Sparse(200), parts((0, 120)), NO_LIMIT), parts((100, 200)), NO_LIMIT)
    assert isinstance(content, InMemory)
    assert content.body == WHOLE
    assert merged(content, parts((0, 5)), NO_LIMIT) is content


def test_touching_pieces_are_joined_when_there_are_many():
    content = Sparse(10_000)
    for at in range(1000):
        content = merged(content, [((at, at + 1), b"x")], NO_LIMIT)
        assert len(content.pieces) <= 64
    assert content.spans() == ((0, 1000),)


def test_pieces_apart_are_bounded_too():
    content = Sparse(100_000)
    for at in range(0, 2000, 2):
        content = merged(content, [((at, at + 1), b"x")], NO_LIMIT)
        assert len(content.pieces) <= 64
    content = merged(content, [((5000, 6000), bytes(1000))], NO_LIMIT)
    assert (5000, 6000) in content.spans()


def test_beyond_the_limit_what_is_farthest_goes():
    content = Sparse(100_000)
    for at in (0, 10_000, 50_000, 90_000):
        content = merged(content, [((at, at + 1000), bytes(1000))], NO_LIMIT)
    content = merged(content, [((48_000, 49_000), bytes(1000))], 3500)
    assert content.spans() == ((10_000, 11_000), (48_000, 49_000), (50_000, 51_000))
    assert content.cost <= 3500


REQUEST = Request(b"GET", [])
KEY = b"http://a/"


def response(tag=b'"one"', at=1000.0, **more):
    lines = [(b"cache-control", b"max-age=60"), (b"etag", tag)]
    return Response(200, lines + list(more.get("lines", ())), at, at)


def stored_with(tag=b'"one"', at=1000.0):
    return StoredResponse(response(tag, at), Sparse(200), ())


def test_parts_under_one_strong_tag_come_together():
    store = Store(1 << 20, 1 << 18)
    generation = store.generation(KEY)
    first = keep_parts(store, KEY, REQUEST, response(), 200, parts((0, 50)), generation)
    second = keep_parts(store, KEY, REQUEST, response(), 200, parts((40, 90)), generation)
    assert not first.alive
    assert second.content.spans() == ((0, 90),)
    assert list(store.lookup(KEY)) == [second]
    assert 90 < store.size < 3000


def test_another_length_under_one_tag_ends_both():
    store = Store(1 << 20, 1 << 18)
    keep_parts(store, KEY, REQUEST, response(), 200, parts((0, 50)), store.generation(KEY))
    assert keep_parts(store, KEY, REQUEST, response(), 201, parts((60, 90)), store.generation(KEY)) is None
    assert not store.lookup(KEY)


def test_parts_that_were_fetched_before_a_purge_are_not_stored():
    store = Store(1 << 20, 1 << 18)
    generation = store.generation(KEY)
    opened = keep_parts(store, KEY, REQUEST, response(), 200, parts((0, 50)), generation)
    store.purge(KEY)
    assert extend(store, KEY, REQUEST, opened, parts((50, 90)), generation) is None
    assert keep_parts(store, KEY, REQUEST, response(), 200, parts((50, 90)), generation) is None
    assert not store.lookup(KEY)


def test_a_late_part_does_not_replace_another_representation():
    store = Store(1 << 20, 1 << 18)
    generation = store.generation(KEY)
    old = keep_parts(store, KEY, REQUEST, response(), 200, parts((0, 50)), generation)
    new = keep_parts(store, KEY, REQUEST, response(b'"two"', 1001.0), 200, parts((0, 10)), generation)
    assert current_of(store, KEY, REQUEST, old) is None
    assert extend(store, KEY, REQUEST, old, parts((50, 90)), generation) is None
    assert list(store.lookup(KEY)) == [new]


def test_a_late_part_adds_to_what_came_meanwhile_and_keeps_the_newer_fields():
    store = Store(1 << 20, 1 << 18)
    generation = store.generation(KEY)
    old = keep_parts(store, KEY, REQUEST, response(), 200, parts((0, 50)), generation)
    newer = response(at=1005.0, lines=[(b"foo", b"new")])
    keep_parts(store, KEY, REQUEST, newer, 200, parts((100, 150)), generation)
    found = extend(store, KEY, REQUEST, old, parts((50, 60)), generation)
    assert found.content.spans() == ((0, 60), (100, 150))
    assert (b"foo", b"new") in found.fields


def test_growth_keeps_a_variants_place_in_the_queues():
    store = Store(20_000, 10_000)
    stored = keep_parts(store, KEY, REQUEST, response(), 5000, [((0, 1000), bytes(1000))], 0)
    for _ in range(3):
        store.use(stored)
    keep_parts(store, KEY, REQUEST, response(), 5000, [((1000, 2000), bytes(1000))], 0)
    for at in range(12):
        keep_parts(store, b"http://b/%d" % at, REQUEST, response(), 5000, [((0, 1000), bytes(1000))], 0)
    assert store.lookup(KEY), "what is used was forgotten because it grew"


def test_which_validators_are_strong():
    def of(*lines):
        return strong_validator(StoredResponse(Response(200, lines, 1e9, 1e9), Sparse(1), ()))

    old, date = (b"last-modified", b"Sun, 09 Sep 2001 01:46:30 GMT"), (b"date", b"Sun, 09 Sep 2001 01:46:40 GMT")
    assert of((b"etag", b'"a"'), old, date) == b'"a"'
    assert of((b"etag", b'W/"a"'), old, date) is None
    assert of(old, date) == old[1]
    assert of((b"last-modified", date[1]), date) is None
    assert of(date) is None
