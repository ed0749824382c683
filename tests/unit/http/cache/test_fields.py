"""The fields that rule a cache beside Cache-Control: read without upsets, whatever comes; and what is told of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.http.cache.cachecontrol import CacheControl
from netsuite.http.cache.groups import GROUPS_AT_MOST, groups_of
from netsuite.http.cache.preference import favourite
from netsuite.http.cache.status import forward_field, hit_field, readable
from netsuite.http.cache.targeted import parse_targeted, targeted_control
from netsuite.http.cache.variants import secondary_key
from netsuite.sansio.structured import Token, parse_list

_SOUP = st.lists(st.sampled_from('a-;=,()"? \t*1.q/'), max_size=30).map(lambda parts: "".join(parts).encode())


@given(st.binary(max_size=80) | _SOUP)
def test_nothing_upsets_the_readers(value):
    parse_targeted(value)
    groups_of([value])
    favourite(value)
    secondary_key((b"accept-language", b"foo"), {b"accept-language": [value], b"foo": [value]})


def test_the_first_valid_field_of_the_target_list_rules():
    fields = {b"cdn-cache-control": [b"max-age=5"], b"mine": [b"max-age=7"], b"broken": [b"max-age=,"], b"empty": [b""]}
    assert targeted_control(fields, [b"absent", b"broken", b"empty", b"mine", b"cdn-cache-control"]) == (
        b"mine",
        CacheControl(max_age=7),
    )
    assert targeted_control(fields, [b"broken"]) is None


@pytest.mark.parametrize(
    ("value", "control"),
    [
        (b"max-age=99999999999", CacheControl(max_age=1 << 31)),
        (b"s-maxage=1, stale-if-error=2, stale-while-revalidate=3", CacheControl(
            s_maxage=1, stale_if_error=2, stale_while_revalidate=3)),
        (b'private="A, b"', CacheControl(private_fields=frozenset({b"a", b"b"}))),
        (b"private=a", CacheControl(private_fields=frozenset({b"a"}))),
        (b"public=1, must-understand=1", CacheControl()),
        (b"only-if-cached", CacheControl()),
        (b"max-age=?1", CacheControl(max_age=0)),
    ],
)  # fmt: skip
def test_targeted_directives(value, control):
    assert parse_targeted(value) == control


def test_groups_are_bounded():
    assert len(groups_of([b", ".join(b'"%d"' % number for number in range(500))])) == GROUPS_AT_MOST
    assert groups_of([b'"a"', b'"b", "a"']) == (b"a", b"b")


def test_marks_are_structured_fields():
    mine = parse_list(hit_field(-10.0)[1])[0]
    assert (mine.value, dict(mine.parameters)) == (Token("netsuite"), {"hit": True, "ttl": -10})
    value = forward_field("stale", 503, ttl=-3.7, stored=True, collapsed=False, detail='the "origin" \u2026 failed')[1]
    assert dict(parse_list(value)[0].parameters) == {
        "fwd": Token("stale"),
        "fwd-status": 503,
        "ttl": -3,
        "stored": True,
        "collapsed": False,
        "detail": 'the "origin" ? failed',
    }


def test_what_others_said_is_kept_if_it_can_be_read():
    good, other = (b"cache-status", b"Origin; hit, CDN; fwd=miss"), (b"x", b"a;;")
    assert readable([good, (b"cache-status", b"HIT from a b"), other, (b"proxy-status", b"a;")]) == [good, other]
