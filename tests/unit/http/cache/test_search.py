"""No-Vary-Search's index is bounded, proposes only what is equivalent in truth, and forgets the oldest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.http.cache import search
from netsuite.http.cache.search import SearchIndex, Variance, variance_of

UTM = variance_of([b'params=("utm")'])


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"params", Variance(True, None, frozenset())),
        (b"key-order", Variance(False, frozenset(), frozenset())),
        (b'key-order, params, except=("a" "b")', Variance(False, None, frozenset({"a", "b"}))),
        (b'params=("%c3%bc+x")', Variance(True, frozenset({"\xfc x"}), frozenset())),
        (b"params=()", None),
        (b"", None),
    ],
)
def test_rules(line, rule):
    assert variance_of([line]) == rule


def test_what_was_stored_is_found_by_what_matters():
    index = SearchIndex()
    index.add(b"http://a/p?x=1&utm=1", UTM)
    assert index.equivalent(b"http://a/p?utm=2&x=1") == [(b"http://a/p?x=1&utm=1", UTM)]
    assert index.equivalent(b"http://a/p?x=1&utm=1") == []
    assert index.equivalent(b"http://a/p?x=2") == []
    assert index.equivalent(b"http://b/p?x=1") == []


def test_it_is_bounded():
    index = SearchIndex(limit=100)
    for number in range(1000):
        index.add(b"http://a/%d?utm=1" % number, UTM)
    assert len(index) == 100
    assert index.equivalent(b"http://a/0?utm=2") == []
    assert index.equivalent(b"http://a/999?utm=2") == [(b"http://a/999?utm=1", UTM)]


def test_a_path_has_few_rules():
    index = SearchIndex()
    for number in range(10):
        index.add(b"http://a/p?x=%d" % number, variance_of([b'params=("p%d")' % number]))
    assert len(index.equivalent(b"http://a/p?x=9&p9=1")) == 1
    assert index.equivalent(b"http://a/p?x=0&p0=1") == []


def test_a_query_that_is_too_long_is_left_alone():
    index = SearchIndex()
    index.add(b"http://a/p?" + b"x" * 10000, UTM)
    assert len(index) == 0
    index.add(b"http://a/p?x", UTM)
    assert index.equivalent(b"http://a/p?x&utm=" + b"x" * 10000) == []


def test_a_mark_that_two_queries_share_by_accident_leads_nowhere(monkeypatch):
    monkeypatch.setattr(search, "hash", lambda value: 1, raising=False)
    index = SearchIndex()
    index.add(b"http://a/p?x=1", UTM)
    index.add(b"http://a/q?x=1", UTM)
    assert index.equivalent(b"http://a/p?x=2&utm=1") == []
    assert index.equivalent(b"http://a/p?x=1&utm=1") == [(b"http://a/p?x=1", UTM)]
    assert index.equivalent(b"http://a/q?x=1&utm=1") == [(b"http://a/q?x=1", UTM)]


_QUERIES = st.lists(st.sampled_from([b"a=1", b"a=2", b"b=1", b"b", b"c=%41", b"", b"utm=1", b"%zz=+"]), max_size=6).map(
    b"&".join
)
_RULES = st.sampled_from(
    [b"params", b"key-order", b'params=("utm")', b'params, except=("a")', b'key-order, params=("b")']
)


@given(_QUERIES, _QUERIES, _RULES)
def test_equivalence_is_one(one, two, line):
    rule = variance_of([line])
    index = SearchIndex()
    index.add(b"http://a/?" + one, rule)
    same = rule.normal(one) == rule.normal(two)
    assert bool(index.equivalent(b"http://a/?" + two)) is (same and one != two)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_nothing_upsets_it(line, query):
    rule = variance_of([line]) or UTM
    assert rule.normal(query) == rule.normal(query)
