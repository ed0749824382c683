"""Structured Fields under made-up input: nothing raises, what is written reads back, and http-sfv agrees."""

from __future__ import annotations

import re
from decimal import Decimal

import http_sfv
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from netsuite.sansio import structured as sf

_PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
_TOKENS = st.from_regex(r"\A[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]{0,8}\Z").map(sf.Token)
_KEYS = st.from_regex(r"\A[a-z*][a-z0-9_\-.*]{0,6}\Z")
_WHOLE = st.integers(-999_999_999_999_999, 999_999_999_999_999)
_DECIMALS = st.integers(-(10**15) + 1, 10**15 - 1).map(lambda number: Decimal(number) / 1000)
_BARE = st.one_of(
    _WHOLE,
    _DECIMALS,
    st.booleans(),
    _PRINTABLE,
    _TOKENS,
    st.binary(max_size=12),
    _WHOLE.map(sf.Date),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(sf.DisplayString),
)
_PARAMETERS = st.dictionaries(_KEYS, _BARE, max_size=3)
_ITEMS = st.builds(sf.Item, _BARE, _PARAMETERS)
_MEMBERS = _ITEMS | st.builds(sf.InnerList, st.lists(_ITEMS, max_size=3).map(tuple), _PARAMETERS)
_PIECES = [*'ab1-.;=,()"\\?:@%* \t/', "?1", '"x"', "k=", "%c3", "1.5"]
_SOUP = st.lists(st.sampled_from(_PIECES), max_size=16).map(lambda parts: "".join(parts).encode())


@given(st.binary(max_size=60) | _SOUP)
def test_nothing_upsets_the_readers(value):
    for read in (sf.parse_item, sf.parse_list, sf.parse_dictionary):
        read(value)


@given(_ITEMS)
def test_items_read_back(made):
    assert sf.parse_item(sf.serialise_item(made)) == made


@given(st.lists(_MEMBERS, max_size=4))
def test_lists_read_back(made):
    assert sf.parse_list(sf.serialise_list(made)) == made


@given(st.dictionaries(_KEYS, _MEMBERS, max_size=4))
def test_dictionaries_read_back(made):
    assert sf.parse_dictionary(sf.serialise_dictionary(made)) == made


_DISPUTED = re.compile(rb"\A *\Z|[0-9]\.(?![0-9])|:(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{1,3}:")
"""An empty field (an empty list), a number that ends in its point (malformed), Base64 without its padding (taken)."""


def _theirs(kind, value):
    field = kind()
    try:
        field.parse(value)
    except ValueError:
        return None
    return str(field).encode()


@pytest.mark.parametrize(
    ("kind", "read", "write"),
    [
        (http_sfv.Item, sf.parse_item, sf.serialise_item),
        (http_sfv.List, sf.parse_list, sf.serialise_list),
        (http_sfv.Dictionary, sf.parse_dictionary, sf.serialise_dictionary),
    ],
    ids=["item", "list", "dictionary"],
)
def test_http_sfv_agrees(kind, read, write):
    @given(_SOUP)
    @example(b"a;b;c=1, d=(1 2);e")
    def agree(value):
        assume(not _DISPUTED.search(value))
        ours = read(value)
        theirs = _theirs(kind, value)
        assert (None if ours is None else write(ours)) == theirs

    agree()
