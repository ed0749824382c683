"""A bitfield is a set of numbers, however it is changed, asked or sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netsuite.bittorrent.bitfield import Bitfield


@given(st.integers(1, 70), st.data())
def test_it_is_a_set(length, data):
    pieces = st.integers(0, length - 1)
    field, model = Bitfield(length), set()
    for adds, piece, peeks in data.draw(st.lists(st.tuples(st.booleans(), pieces, st.booleans()))):
        if peeks:
            assert field.bits == sum(map(field.mask, model))
        if adds:
            assert field.set(piece) is (piece not in model)
            model.add(piece)
        else:
            assert field.clear(piece) is (piece in model)
            model.discard(piece)
        assert field[piece] is (piece in model)
    assert list(field) == sorted(model)
    assert field.count == len(model)
    assert field.full is (len(model) == length)
    assert Bitfield.from_bytes(field.to_bytes(), length) == field == Bitfield.of(length, model)
    other = data.draw(st.sets(pieces))
    assert list(field.missing_from(Bitfield.of(length, other))) == sorted(model - other)
    assert field.offers(Bitfield.of(length, other)) is bool(model - other)


@given(st.binary(max_size=20), st.integers(0, 170))
def test_any_bytes_are_a_bitfield_or_refused(data, length):
    try:
        field = Bitfield.from_bytes(data, length)
    except ValueError:
        spare = int.from_bytes(data, "big") & (1 << -length % 8) - 1
        assert len(data) != (length + 7) // 8 or spare
    else:
        assert field.to_bytes() == data
        assert field.count == sum(byte.bit_count() for byte in data)
