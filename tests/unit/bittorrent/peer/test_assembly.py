"""Pieces in the making, and who is to blame for wrong ones."""

from __future__ import annotations

from netsuite.bittorrent.peer.assembly import Assembly

GOOD = [b"a" * 16384, b"b" * 16384, b"c" * 100]
LENGTH = 2 * 16384 + 100


def test_blocks_are_handed_over_in_order():
    assembly = Assembly(LENGTH, 65536)
    for number in (2, 0, 1):
        assembly.add(0, number * 16384, GOOD[number])
    assert len(assembly) == 1
    assert assembly.take(0) == GOOD
    assert len(assembly) == 0


def test_who_sent_a_wrong_piece_alone_is_guilty():
    assembly = Assembly(LENGTH, 65536)
    assert assembly.failed(0, GOOD, ["liar", "liar", "liar"]) == "liar"
    assert assembly.passed(0, GOOD) == []


def test_one_of_several_is_found_out_when_the_piece_is_right():
    assembly = Assembly(LENGTH, 65536)
    assert assembly.failed(0, [GOOD[0], b"x" * 16384, GOOD[2]], ["one", "liar", "other"]) is None
    assert assembly.passed(0, GOOD) == ["liar"]
    assert assembly.passed(0, GOOD) == []


def test_several_tries_are_remembered():
    assembly = Assembly(LENGTH, 65536)
    assert assembly.failed(0, [GOOD[0], b"x" * 16384, GOOD[2]], ["one", "liar", "other"]) is None
    assert assembly.failed(0, [b"y" * 16384, GOOD[1], GOOD[2]], ["second liar", "one", "other"]) is None
    assert assembly.passed(0, GOOD) == ["second liar", "liar"]


def test_what_is_remembered_is_bounded():
    assembly = Assembly(100 * 65536, 65536)
    wrong = [b"x" * 16384] * 4
    for piece in range(100):
        assembly.failed(piece, wrong, ["one", "other", "one", "other"])
    right = [b"a" * 16384] * 4
    assert [piece for piece in range(100) if assembly.passed(piece, right)] == list(range(36, 100))
