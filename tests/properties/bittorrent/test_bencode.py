"""Bencoding: what is written is read back, what is read strictly is written back, and no bytes do any harm."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netsuite.bittorrent.wire.bencode import BencodeError, Dictionary, decode, decode_first, encode

leaves = st.binary(max_size=8) | st.integers(-(2**63), 2**63 - 1)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=4), inner, max_size=4),
    max_leaves=12,
)
pieces = st.sampled_from(
    [b"d", b"l", b"i", b"e", b"1:a", b"1:b", b"0:", b"-", b"0", b"7", b":", b"i1e", b"le", b"de", b"\xff"]
)
nearly = st.lists(pieces, max_size=16).map(b"".join)


@given(values)
def test_what_is_written_is_read_back(value):
    assert decode(encode(value)) == value


@given(values, st.binary(max_size=4))
def test_what_follows_is_told(value, tail):
    data = encode(value)
    assert decode_first(data + tail) == (value, len(data))
    assert decode(data + tail, strict=False) == value
    if tail:
        with pytest.raises(BencodeError, match="too many"):
            decode(data + tail)


@given(st.binary() | nearly)
@example(b"d1:a1:b1:a1:ce")
@example(b"i-0e")
@example(b"-1:a")
def test_any_bytes_are_read_or_refused(data):
    """Strictly read means written back byte for byte; and what is read strictly is read the same leniently."""
    try:
        value = decode(data)
    except BencodeError:
        pass
    else:
        assert encode(value) == data
        assert decode(data, strict=False) == value
    try:
        decode(data, strict=False)
    except BencodeError as error:
        with pytest.raises(BencodeError):
            decode(data)
        assert "\n" not in str(error)


@given(values, st.binary(min_size=1, max_size=3), values)
def test_a_dictionary_knows_the_bytes_that_it_was_read_from(first, key, inner):
    data = encode({b"": first, key: {b"x": inner}})
    read = decode(data)
    within = read[key]
    assert isinstance(within, Dictionary)
    assert data[within.start : within.end] == encode({b"x": inner})
    assert (read.start, read.end) == (0, len(data))


@given(values)
def test_every_beginning_is_refused(value):
    data = encode(value)
    for end in range(len(data)):
        with pytest.raises(BencodeError):
            decode(data[:end])
