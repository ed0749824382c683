"""Bencoding, case by case (BEP 3): what is read, what only leniently, what never, and the limits."""

from __future__ import annotations

import pytest

from netsuite.bittorrent.wire.bencode import DEEPEST, BencodeError, decode, decode_first, encode


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"4:spam", b"spam"),
        (b"0:", b""),
        (b"i3e", 3),
        (b"i-3e", -3),
        (b"i0e", 0),
        (b"i9223372036854775807e", 2**63 - 1),
        (b"i-9223372036854775808e", -(2**63)),
        (b"le", []),
        (b"l4:spami7ee", [b"spam", 7]),
        (b"de", {}),
        (b"d3:cow3:moo4:spaml1:a1:bee", {b"cow": b"moo", b"spam": [b"a", b"b"]}),
        (b"d0:de1:ai1ee", {b"": {}, b"a": 1}),
    ],
)
def test_canonical(data, value):
    assert decode(data) == value
    assert encode(value) == data


@pytest.mark.parametrize(
    ("data", "value", "reason"),
    [
        (b"i03e", 3, "shortest form"),
        (b"i-0e", 0, "shortest form"),
        (b"i-03e", -3, "shortest form"),
        (b"03:abc", b"abc", "shortest form"),
        (b"i9223372036854775808e", 2**63, "64 bits"),
        (b"i-9223372036854775809e", -(2**63) - 1, "64 bits"),
        (b"d1:bi1e1:ai2ee", {b"a": 2, b"b": 1}, "not in order"),
        (b"d1:ai1e1:ai2ee", {b"a": 1}, "there twice"),
        (b"d1:ai1e1:bi2e1:ai3ee", {b"a": 1, b"b": 2}, "there twice"),
        (b"i1ei2e", 1, "3 bytes too many from byte 3 on"),
    ],
)
def test_lenient_only(data, value, reason):
    with pytest.raises(BencodeError, match=reason):
        decode(data)
    assert decode(data, strict=False) == value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends too soon"),
        (b"x", "no value begins like byte 0"),
        (b" i1e", "no value begins like byte 0"),
        (b"e", "nothing that could end"),
        (b"i1", "has no end"),
        (b"ie", "no number at byte 1"),
        (b"i-e", "no number at byte 1"),
        (b"i--1e", "no number"),
        (b"i+1e", "no number"),
        (b"i1.5e", "no number"),
        (b"i 1e", "no number"),
        (b"i" + "٣".encode() + b"e", "no number"),
        (b"i" + b"1" * 21 + b"e", "no number"),
        (b"i" + b"1" * 100 + b"e", "has no end"),
        (b"4:spa", "longer than what is there"),
        (b"4spam", "no colon"),
        (b"-1:a", "no value"),
        (b"1", "no colon"),
        (b"9" * 18 + b":", "longer than what is there"),
        (b"9" * 5000 + b":", "no colon"),
        (b"l", "ends too soon"),
        (b"d1:a", "ends too soon"),
        (b"d1:ae", "a key has no value"),
        (b"di1ei2ee", "a key must be a string"),
        (b"dlei2ee", "a key must be a string"),
        (b"ddei2ee", "a key must be a string"),
    ],
)
def test_refused_either_way(data, reason):
    for strict in (True, False):
        with pytest.raises(BencodeError, match=reason):
            decode(data, strict=strict)


def test_depth():
    assert decode(b"l" * DEEPEST + b"e" * DEEPEST)
    with pytest.raises(BencodeError, match="deeper than 100 at byte 100"):
        decode(b"l" * (DEEPEST + 1) + b"e" * (DEEPEST + 1))
    assert decode(b"lee"[:2], deepest=1) == []
    with pytest.raises(BencodeError, match="deeper than 1"):
        decode(b"llee", deepest=1)
    with pytest.raises(BencodeError, match="deeper"):
        decode(b"d1:a" * 100_000)


def test_how_many_values():
    assert decode(b"l1:a1:be", most=4) == [b"a", b"b"]
    with pytest.raises(BencodeError, match="more than 3 values"):
        decode(b"l1:a1:be", most=3)


def test_spans():
    data = b"d4:infod1:ai1ee1:zldeee"
    read = decode(data)
    info = read[b"info"]
    assert data[info.start : info.end] == b"d1:ai1ee"
    inner = read[b"z"][0]
    assert data[inner.start : inner.end] == b"de"


def test_the_first_value_of_several():
    assert decode_first(b"d1:ai1eeTHEN") == ({b"a": 1}, 8)


def test_what_is_written():
    assert encode({"b": "é", b"a": (1, bytearray(b"x"), memoryview(b"y"))}) == b"d1:ali1e1:x1:ye1:b2:\xc3\xa9e"
    for value in (None, 1.5, True, {1: 2}, {b"a": 1, "a": 2}, [None], object()):
        with pytest.raises(TypeError):
            encode(value)
