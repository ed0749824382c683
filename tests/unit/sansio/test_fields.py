"""The syntax of header fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.sansio.fields import (
    directives,
    entity_tags,
    is_field_value,
    is_token,
    parameters,
    quote,
    split_list,
    unquote,
)

SYNTAX = st.text('"\\,;= \ta*W/', max_size=30).map(str.encode)


@pytest.mark.parametrize("value", [b"GET", b"x-!#$%&'*+-.^_`|~09azAZ"])
def test_tokens(value):
    assert is_token(value)


@pytest.mark.parametrize("value", [b"", b"a b", b"a:", b'"a"', b"a\n", b"a\x00", b"\xe4", b"a,b", b"(a)"])
def test_no_tokens(value):
    assert not is_token(value)


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\tb", b"\xe4", b'"a, b"', b"  a"[2:]])
def test_field_values(value):
    assert is_field_value(value)


@pytest.mark.parametrize(
    "value", [b" a", b"a ", b"\ta", b"a\r\nb", b"a\nb", b"a\rb", b"a\x00b", b"a\x7fb", b"a\n", b" "]
)
def test_no_field_values(value):
    assert not is_field_value(value)


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        (b"", []),
        (b" , ,\t,", []),
        (b"a", [b"a"]),
        (b"foo ,bar,charlie", [b"foo", b"bar", b"charlie"]),
        (b", foo ,, bar ,", [b"foo", b"bar"]),
        (b'a="1,2", b', [b'a="1,2"', b"b"]),
        (b'a="1\\",2", b', [b'a="1\\",2"', b"b"]),
        (b'"", "\\\\", b', [b'""', b'"\\\\"', b"b"]),
        (b'a="1, no-store', [b'a="1', b"no-store"]),  # a quote that is never closed hides nothing
        (b'"x,y", a="1\\", no-store', [b'"x,y"', b'a="1\\"', b"no-store"]),
    ],
)
def test_split_list(value, elements):
    assert split_list(value) == elements


@pytest.mark.parametrize(
    ("value", "head", "pairs"),
    [
        (b"text/html", b"text/html", []),
        (b" text/html ; Charset=UTF-8 ;; q", b"text/html", [(b"charset", b"UTF-8")]),
        (b'text/html;a="x;\\"y";b=', b"text/html", [(b"a", b'x;"y'), (b"b", b"")]),
        (b"a; b = c; d=e", b"a", [(b"d", b"e")]),
        (b"", b"", []),
    ],
)
def test_parameters(value, head, pairs):
    assert parameters(value) == (head, pairs)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"no-store", [(b"no-store", None)]),
        (b"Max-Age=60, NO-CACHE", [(b"max-age", b"60"), (b"no-cache", None)]),
        (b'private="a, b", max-age="5"', [(b"private", b"a, b"), (b"max-age", b"5")]),
        (b"max-age=", [(b"max-age", b"")]),
        (b"max-age=1 2, =3, (x), s-maxage=4", [(b"max-age", b"1 2"), (b"s-maxage", b"4")]),
        (b'max-age="60, no-store', [(b"max-age", b'"60'), (b"no-store", None)]),
        (b"max-age = 60, no-store =", [(b"max-age", b" 60"), (b"no-store", b"")]),
    ],
)
def test_directives(value, found):
    assert directives(value) == found


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b'"a"', [b'"a"']),
        (b'W/"a", "b","c,d"', [b'W/"a"', b'"b"', b'"c,d"']),
        (b'"a\\", "b"', [b'"a\\"', b'"b"']),  # a backslash escapes nothing here
        (b', "a" ,, ""', [b'"a"', b'""']),
        (b"*", None),
        (b"", None),
        (b"a", None),
        (b'w/"a"', None),
        (b'"a" "b"', None),
        (b'"a", b', None),
        (b'"a\x00"', None),
        (b'"a b"', None),
    ],
)
def test_entity_tags(value, tags):
    assert entity_tags(value) == tags


@given(st.binary())
def test_quoted_strings_read_back(value):
    assert unquote(quote(value)) == value
    assert split_list(b"x=" + quote(value)) == [b"x=" + quote(value)]


@pytest.mark.parametrize("value", [b"", b'"', b"a", b'"a', b'"a"b"', b'"a\\"'])
def test_unquote_leaves_what_is_no_quoted_string(value):
    assert unquote(value) == value


@given(SYNTAX)
def test_no_input_raises_and_no_element_is_lost(value):
    parts = split_list(value)
    assert b"".join(parts).translate(None, b", \t") == value.translate(None, b", \t")
    parameters(value)
    directives(value)
    entity_tags(value)
    unquote(value)


@pytest.mark.parametrize("value", [b'"' + b'\\"' * 50_000, b'"a' * 50_001, b"," * 100_000, b'"",' * 30_000 + b'"'])
def test_long_values_are_read_in_linear_time(value):  # quadratic would be minutes
    split_list(value)
    parameters(value)
    directives(value)
    entity_tags(value)
