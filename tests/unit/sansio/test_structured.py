"""Structured Fields, value by value: what is read, what is refused as a whole, what is written (RFC 9651)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from netsuite.sansio.structured import (
    Date,
    DisplayString,
    InnerList,
    Item,
    Token,
    item,
    parse_dictionary,
    parse_item,
    parse_list,
    serialise_dictionary,
    serialise_item,
    serialise_list,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"42", 42),
        (b"-0042", -42),
        (b"999999999999999", 999999999999999),
        (b"4.5", Decimal("4.5")),
        (b"-123456789012.125", Decimal("-123456789012.125")),
        (b'"a \\"b\\" \\\\"', 'a "b" \\'),
        (b'""', ""),
        (b"foo123/456:*", Token("foo123/456:*")),
        (b"*a", Token("*a")),
        (b":aGVsbG8=:", b"hello"),
        (b":aGVsbG8:", b"hello"),
        (b"::", b""),
        (b"?1", True),
        (b"?0", False),
        (b"@1659578233", Date(1659578233)),
        (b"@-1", Date(-1)),
        (b'%"This is intended for display to %c3%bcsers."', DisplayString("This is intended for display to \xfcsers.")),
        (b"  1  ", 1),
    ],
)
def test_items(text, value):
    found = parse_item(text)
    assert found == Item(value)
    assert type(found.value) is type(value)
    assert parse_item(serialise_item(found)) == found


@pytest.mark.parametrize(
    "text",
    [b"", b"1 2", b"1,2", b"-", b"1.", b".5", b"1.2345", b"1234567890123.1", b"1000000000000000", b'"open', b'"\\a"',
     b'"\x7f"', b'"\xc3\xbc"', b"'a'", b"?2", b"?", b"?true", b":a=b:", b":aGVsbG8", b":_w==:", b"@1.5", b"@", b"%x",
     b'%"%C3%BC"', b'%"%c3"', b'%"%"', b"(1)", b"a b", b"1;A=1", b"1;=2", b"1;a=", b"\t1", b"a\x00"],
)  # fmt: skip
def test_no_items(text):
    assert parse_item(text) is None


def test_parameters():
    assert parse_item(b"a; b;c=1;  d=?0;b=x") == item(Token("a"), b=Token("x"), c=1, d=False)
    assert serialise_item(item(Token("netsuite"), hit=True, ttl=-5, fwd_status=200)) == (
        b"netsuite;hit;ttl=-5;fwd-status=200"
    )


@pytest.mark.parametrize(
    ("text", "members"),
    [
        (b"", []),
        (b"a, b\t,\t c", [Item(Token("a")), Item(Token("b")), Item(Token("c"))]),
        (b'("a" "b");x, ()', [InnerList((Item("a"), Item("b")), {"x": True}), InnerList(())]),
        (b"( 1  2;y )", [InnerList((Item(1), Item(2, {"y": True})))]),
    ],
)
def test_lists(text, members):
    assert parse_list(text) == members
    assert parse_list(serialise_list(members)) == members


@pytest.mark.parametrize("text", [b",", b"a,", b"a,,b", b"(a", b"(a,b)", b"(a(b))", b'("a""b")', b"a b", b"\ta"])
def test_no_lists(text):
    assert parse_list(text) is None


def test_dictionaries():
    assert parse_dictionary(b"max-age=60, no-store;why=x, a=(1 2), max-age=30") == {
        "max-age": Item(30),
        "no-store": Item(True, {"why": Token("x")}),
        "a": InnerList((Item(1), Item(2))),
    }
    assert parse_dictionary(b"") == {}
    assert serialise_dictionary({"a": Item(True), "b": Item(False), "c": Item(1)}) == b"a, b=?0, c=1"
    assert list(parse_dictionary(b"a=1, b=2, a=3")) == ["a", "b"]


@pytest.mark.parametrize(
    "text", [b"Max-age=1", b"a =1", b"a= 1", b"a=1,", b"a=1 b=2", b"a=1,,b", b"=1", b"1=a", b"&&&"]
)
def test_no_dictionaries(text):
    assert parse_dictionary(text) is None


@pytest.mark.parametrize(
    "value",
    [10**15, Decimal(10) ** 12, Decimal("NaN"), "\xfc", "a\n", Token("a b"), Token(""), Token("1a"), 1.5, None],
)
def test_what_cannot_be_written(value):
    with pytest.raises(ValueError):
        serialise_item(Item(value))


def test_keys_that_cannot_be_written():
    with pytest.raises(ValueError):
        serialise_dictionary({"A": Item(1)})


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("1"), b"1.0"), (Decimal("0.0015"), b"0.002"), (Decimal("0.0025"), b"0.002"), (Decimal("-1.500"), b"-1.5"),
     (DisplayString('50% "\xfc"'), b'%"50%25 %22%c3%bc%22"')],
)  # fmt: skip
def test_how_it_is_written(value, text):
    assert serialise_item(Item(value)) == text
