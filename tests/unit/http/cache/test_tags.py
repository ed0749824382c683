"""Names of groups: read from three fields, indexed by origin, bounded."""

from __future__ import annotations

import pytest

from netsuite.http.cache.tags import EVERY_TAG, TAGS_AT_MOST, TagIndex, tags_of


@pytest.mark.parametrize(
    ("lines", "tags"),
    [
        ([], ()),
        ([(b"content-type", b"text/html")], ()),
        ([(b"surrogate-key", b"one two  one")], (b"one", b"two")),
        ([(b"cache-tag", b"one, two words ,,"), (b"cache-tag", b"three")], (b"one", b"two words", b"three")),
        ([(b"cache-groups", b'"one", "t\\"wo";a=1'), (b"cache-groups", b'"three"')], (b"one", b't"wo', b"three")),
        ([(b"cache-groups", b"one, two")], ()),
        ([(b"cache-groups", b'"one", "two')], ()),
        ([(b"cache-groups", b'""')], ()),
        ([(b"surrogate-key", b"a"), (b"cache-tag", b"b"), (b"cache-groups", b'"a"')], (b"a", b"b")),
        ([(b"cache-tag", b""), (b"surrogate-key", b" ")], ()),
        ([(b"cache-tag", b",".join(b"%d" % each for each in range(TAGS_AT_MOST + 1)))], (EVERY_TAG,)),
        ([(b"cache-tag", b"x" * 1025)], (EVERY_TAG,)),
    ],
)
def test_reading(lines, tags):
    assert tags_of(lines) == tags


def test_as_many_as_may_be():
    many = [b"%d" % each for each in range(TAGS_AT_MOST)]
    assert tags_of([(b"cache-tag", b",".join(many))]) == tuple(many)


class Thing:
    def __init__(self, key, *tags):
        self.key, self.tags = key, tags


def test_the_index_holds_nothing_for_what_has_no_name_and_forgets_what_goes():
    index = TagIndex()
    bare, one, two = Thing(b"http://a/1"), Thing(b"http://a/2", b"x"), Thing(b"http://a/3", b"x", b"y")
    other = Thing(b"http://b/1", b"x")
    for each in (bare, one, two, other):
        index.add(each)
    assert len(index) == 3
    assert index.members(b"http://a", [b"x"]) == {one, two}
    assert index.members(b"http://a", [b"y", b"z"]) == {two}
    assert index.members(None, [b"x"]) == {one, two, other}
    assert index.members(b"http://a", []) == set()
    for each in (bare, one, two, other):
        index.discard(each)
    assert len(index) == 0
    assert index.members(None, [b"x"]) == set()
