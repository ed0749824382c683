"""Cache-Control as a table, and that no bytes upset its reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.http.cache.cachecontrol import ANY_AGE, DELTA_LIMIT, CacheControl, parse_cache_control


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", CacheControl()),
        (b"max-age=5, s-maxage=7", CacheControl(max_age=5, s_maxage=7)),
        (b"MAX-AGE=5", CacheControl(max_age=5)),
        (b"max-age = 5", CacheControl(max_age=5)),
        (b'max-age="5"', CacheControl(max_age=5)),
        (b"max-age=9, max-age=5", CacheControl(max_age=5)),
        (b"max-age=-1", CacheControl(max_age=0)),
        (b"max-age=4294967296", CacheControl(max_age=DELTA_LIMIT)),
        (b"no-cache", CacheControl(no_cache=True)),
        (b'no-cache="Set-Cookie, Foo"', CacheControl(no_cache_fields=frozenset({b"set-cookie", b"foo"}))),
        (b"private=foo", CacheControl(private_fields=frozenset({b"foo"}))),
        (b"max-stale", CacheControl(max_stale=ANY_AGE)),
        (b"max-stale=x", CacheControl()),
        (b"max-stale=5, max-stale", CacheControl(max_stale=5)),
        (b"min-fresh=5, min-fresh=3", CacheControl(min_fresh=5)),
        (b'foo="no-store"', CacheControl()),
        (b'foo="no-store', CacheControl(max_age=0)),
        (b'foo="x, no-store, max-age=9', CacheControl(no_store=True, max_age=0)),
    ],
)
def test_reading(value, expected):
    assert parse_cache_control(value) == expected


@given(st.binary(max_size=200))
def test_nothing_upsets_it(value):
    found = parse_cache_control(value)
    assert all(number is None or 0 <= number <= ANY_AGE for number in (found.max_age, found.s_maxage, found.max_stale))


_WORDS = st.sampled_from([b"no-store", b"max-age=5", b"private", b'x="a,b"', b"must-revalidate", b"public", b"y=1"])


@given(st.lists(_WORDS, max_size=6), st.sampled_from([b",", b", ", b" ,\t", b",,"]))
def test_restrictions_are_seen_wherever_they_stand(words, comma):
    found = parse_cache_control(comma.join(words))
    assert found.no_store is (b"no-store" in words)
    assert found.private is (b"private" in words)
    assert found.must_revalidate is (b"must-revalidate" in words)
