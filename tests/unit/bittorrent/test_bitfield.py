from __future__ import annotations

import pytest

from netsuite.bittorrent.bitfield import Bitfield


def test_piece_0_is_the_highest_bit_of_the_first_byte() -> None:
    assert Bitfield.of(10, [0, 7, 8]).to_bytes() == b"\x81\x80"
    assert list(Bitfield.from_bytes(b"\x81\x80", 10)) == [0, 7, 8]


@pytest.mark.parametrize(
    ("data", "length", "reason"),
    [
        (b"\x80\x20", 10, "a spare bit at the end of the bitfield is set"),
        (b"\x80", 10, "a bitfield of 10 pieces has 2 bytes, not 1"),
        (b"\x80\x00\x00", 10, "a bitfield of 10 pieces has 2 bytes, not 3"),
        (b"\x00", 0, "a bitfield of 0 pieces has 0 bytes, not 1"),
    ],
)
def test_what_is_no_bitfield(data: bytes, length: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Bitfield.from_bytes(data, length)


def test_a_piece_that_does_not_exist() -> None:
    field = Bitfield(9)
    for piece in (-1, 9, 15):
        with pytest.raises(IndexError, match=f"no piece {piece} among 9"):
            field.set(piece)
        with pytest.raises(IndexError, match=f"no piece {piece} among 9"):
            field.clear(piece)
        with pytest.raises(IndexError, match=f"no piece {piece} among 9"):
            field[piece]
        assert piece not in field
    with pytest.raises(ValueError, match="no negative length"):
        Bitfield(-1)


def test_a_seed_has_everything() -> None:
    seed = Bitfield.complete(11)
    assert (seed.to_bytes(), seed.count, seed.full, list(seed)) == (b"\xff\xe0", 11, True, list(range(11)))
    assert seed.clear(10)
    assert not seed.clear(10)
    assert (seed.to_bytes(), seed.full) == (b"\xff\xc0", False)
    assert Bitfield.complete(0).full


def test_what_one_has_and_another_lacks() -> None:
    mine, theirs = Bitfield.of(20, [0, 3, 19]), Bitfield.of(20, [3, 4])
    assert theirs.offers(mine)
    assert list(theirs.missing_from(mine)) == [4]
    assert theirs.set(0)
    assert mine.set(4)
    assert not theirs.offers(mine)
    assert mine.offers(theirs)


def test_a_copy_goes_its_own_way() -> None:
    one = Bitfield.of(9, [8])
    other = one.copy()
    assert one == other
    other.set(0)
    assert one != other
    assert (list(one), list(other)) == ([8], [0, 8])
    assert one != [8]
    assert repr(other) == "<Bitfield 2/9>"
    assert not Bitfield(9)
