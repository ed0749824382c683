from __future__ import annotations

import random
from collections import Counter

import pytest

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.peer.picker import Block, Picker
from netsuite.bittorrent.peer.rates import BLOCK

FOUR = 4 * BLOCK


def picker(pieces: int = 16, *, seed: int = 1, rest: int = 0, random_first: int = 0, have: int = 0) -> Picker[str]:
    """Pieces of four blocks, the last one less by ``rest`` bytes."""
    having = Bitfield.of(pieces, range(have))
    return Picker(pieces * FOUR - rest, FOUR, having, random.Random(seed), random_first=random_first)


def finish(torrent: Picker[str], peer: str, blocks: list[Block]) -> None:
    """All these blocks come, and are right."""
    for piece, begin, _ in blocks:
        torrent.received(peer, piece, begin)
        if torrent.filled(piece):
            torrent.passed(piece)


def test_blocks_of_a_piece_come_in_order_and_the_last_one_is_short() -> None:
    torrent = picker(2, rest=BLOCK + 84)
    last = Bitfield.of(2, [1])
    assert torrent.take("a", last, 10) == [(1, 0, BLOCK), (1, BLOCK, BLOCK), (1, 2 * BLOCK, BLOCK - 84)]
    assert torrent.take("a", Bitfield.of(2, [0]), 2) == [(0, 0, BLOCK), (0, BLOCK, BLOCK)]
    assert torrent.outstanding("a") == 5


def test_the_bitfield_must_fit() -> None:
    with pytest.raises(ValueError, match="65537 bytes in pieces of 65536 are not 1 pieces"):
        Picker(FOUR + 1, FOUR, Bitfield(1), random.Random(1))


def test_a_started_piece_comes_before_all_others() -> None:
    torrent = picker()
    seed = Bitfield.complete(16)
    torrent.appeared(seed)
    (first,) = torrent.take("a", seed, 1)
    for peer in ("b", "a", "c"):
        (block,) = torrent.take(peer, seed, 1)
        assert block[0] == first[0]
    assert torrent.take("b", seed, 1)[0][0] != first[0]


def test_rarest_first() -> None:
    torrent = picker(4)
    fields = [Bitfield.of(4, pieces) for pieces in ([0, 1, 2, 3], [0, 1, 2], [0, 1], [0])]
    for field in fields:
        torrent.appeared(field)
    assert [torrent.availability(piece) for piece in range(4)] == [4, 3, 2, 1]
    assert [piece for piece, begin, _ in torrent.take("a", fields[0], 16) if not begin] == [3, 2, 1, 0]


def test_the_most_common_first_for_who_is_slow() -> None:
    torrent = picker(4)
    fields = [Bitfield.of(4, pieces) for pieces in ([0, 1, 2, 3], [0, 1, 2], [0, 1], [0])]
    for field in fields:
        torrent.appeared(field)
    blocks = torrent.take("a", fields[0], 16, common=True)
    assert [piece for piece, begin, _ in blocks if not begin] == [0, 1, 2, 3]


def test_haves_and_departures_change_what_is_rare() -> None:
    torrent = picker(3)
    seed, poor = Bitfield.complete(3), Bitfield.of(3, [1])
    torrent.appeared(seed)
    torrent.appeared(poor)
    torrent.has(2)
    torrent.has(2)
    assert [torrent.availability(piece) for piece in range(3)] == [1, 2, 3]
    torrent.disappeared(seed)
    torrent.disappeared(poor)
    assert [torrent.availability(piece) for piece in range(3)] == [0, 0, 2]


def test_the_first_pieces_are_any_at_all_and_then_the_rarest_is_next() -> None:
    firsts = Counter[int]()
    seed = Bitfield.complete(16)
    common = seed.copy()
    common.clear(7)
    for number in range(300):
        torrent = picker(seed=number, random_first=4)
        torrent.appeared(seed)
        torrent.appeared(common)
        taken = []
        for _ in range(4):
            blocks = torrent.take("a", seed, 4)
            taken.append(blocks[0][0])
            finish(torrent, "a", blocks)
        firsts.update(taken)
        if 7 not in taken:
            assert torrent.take("a", seed, 1)[0][0] == 7
    assert all(firsts[piece] == pytest.approx(300 * 4 / 16, abs=35) for piece in range(16))


def test_who_resumes_with_four_pieces_begins_with_the_rarest() -> None:
    for number in range(20):
        torrent = picker(seed=number, random_first=4, have=4)
        torrent.appeared(Bitfield.complete(16))
        torrent.appeared(Bitfield.of(16, set(range(16)) - {11}))
        assert torrent.take("a", Bitfield.complete(16), 1)[0][0] == 11


def test_among_equals_chance_decides() -> None:
    firsts = Counter(picker(seed=number).take("a", Bitfield.complete(16), 1)[0][0] for number in range(1600))
    assert all(firsts[piece] == pytest.approx(100, abs=40) for piece in range(16))


def test_nothing_for_one_that_has_nothing_we_lack() -> None:
    torrent = picker(have=8)
    old = Bitfield.of(16, range(8))
    assert not torrent.wants(old)
    assert torrent.take("a", old, 5) == []
    old.set(12)
    assert torrent.wants(old)
    assert torrent.take("a", old, 5)[0] == (12, 0, BLOCK)


def test_less_may_be_named_than_a_neighbour_has() -> None:
    torrent = picker()
    seed = Bitfield.complete(16)
    first = torrent.take("a", seed, 1)[0][0]
    allowed = Bitfield.of(16, [(first + 1) % 16])
    assert {piece for piece, _, _ in torrent.take("a", allowed, 9)} == set(allowed)


def test_a_block_that_nobody_needs() -> None:
    torrent = picker(2, rest=100)
    (block,) = torrent.take("a", Bitfield.of(2, [1]), 1)
    assert torrent.received("a", 1, 0) == ()
    for piece, begin in [(1, 0), (1, 5), (1, FOUR), (1, -BLOCK), (2, 0), (-1, 0), (0, FOUR), (0, 7), (9999, 0)]:
        assert torrent.received("a", piece, begin) is None, (piece, begin)
    finish(torrent, "a", [(1, begin, 0) for begin in range(BLOCK, FOUR, BLOCK)])
    assert torrent.received("a", *block[:2]) is None


def test_a_block_that_comes_after_its_request_was_void_is_welcome() -> None:
    torrent = picker(1)
    seed = Bitfield.complete(1)
    torrent.take("a", seed, 2)
    torrent.dropped("a")
    assert torrent.received("a", 0, 0) == (), "nothing else of the piece is asked for"
    assert torrent.take("b", seed, 9) == [(0, begin * BLOCK, BLOCK) for begin in (1, 2, 3)]
    assert torrent.received("a", 0, BLOCK) == ("b",), "which b need not send any more"
    torrent.rejected("b", 0, 2 * BLOCK)
    assert torrent.received("a", 0, 2 * BLOCK) == ()
    assert torrent.outstanding("b") == 1
    assert torrent.received("b", 0, 3 * BLOCK) == ()
    assert torrent.filled(0)


def test_what_is_dropped_or_rejected_is_asked_of_others_first() -> None:
    torrent = picker()
    seed = Bitfield.complete(16)
    blocks = torrent.take("a", seed, 4)
    torrent.received("a", *blocks[0][:2])
    torrent.rejected("a", *blocks[1][:2])
    torrent.rejected("a", *blocks[1][:2])
    torrent.rejected("b", *blocks[2][:2])
    assert torrent.outstanding("a") == 2
    assert torrent.take("b", seed, 1) == [blocks[1]]
    torrent.dropped("a")
    torrent.dropped("a")
    assert torrent.outstanding("a") == 0
    assert set(torrent.take("b", seed, 2)) == set(blocks[2:4])


def test_a_piece_of_which_nothing_came_is_not_started_any_more() -> None:
    torrent = picker()
    seed = Bitfield.complete(16)
    torrent.take("a", seed, 3)
    torrent.dropped("a")
    torrent.appeared(seed)
    torrent.appeared(Bitfield.of(16, set(range(16)) - {9}))
    assert torrent.take("b", seed, 1) == [(9, 0, BLOCK)]


def test_a_wrong_piece_is_missing_again_and_its_sources_are_named() -> None:
    torrent = picker(2)
    seed = Bitfield.of(2, [0])
    for piece, begin, _ in torrent.take("a", seed, 2):
        torrent.received("a", piece, begin)
    for piece, begin, _ in torrent.take("b", seed, 2):
        torrent.received("b", piece, begin)
    assert torrent.filled(0)
    assert torrent.take("c", seed, 1) == [], "it is being hashed"
    assert torrent.failed(0) == ["a", "a", "b", "b"]
    assert not torrent.filled(0)
    assert len(torrent.take("c", seed, 9)) == 4


def test_in_the_endgame_everyone_is_asked_and_whoever_comes_first_cancels_the_others() -> None:
    torrent = picker(1)
    seed = Bitfield.complete(1)
    for _ in range(3):
        torrent.appeared(seed)
    blocks = torrent.take("a", seed, 10)
    assert len(blocks) == 4
    assert sorted(torrent.take("b", seed, 2) + torrent.take("c", seed, 2)) == blocks, "the least asked for first"
    assert len(torrent.take("c", seed, 10)) == 2
    assert torrent.take("c", seed, 10) == [], "never twice of the same one"
    assert torrent.take("a", seed, 10) == []
    assert (torrent.outstanding("a"), torrent.outstanding("b"), torrent.outstanding("c")) == (4, 2, 4)
    shared = next(block for block in torrent.take("b", seed, 10) if block[1])
    assert torrent.received("b", *shared[:2]) == ["a", "c"]
    torrent.dropped("c")
    torrent.dropped("b")
    finish(torrent, "a", [block for block in blocks if block != shared])
    assert torrent.done


def test_no_endgame_while_a_neighbour_has_a_block_that_nobody_is_asked_for() -> None:
    torrent = picker(2)
    torrent.appeared(Bitfield.complete(2))
    torrent.appeared(Bitfield.of(2, [0]))
    torrent.take("a", Bitfield.of(2, [0]), 4)
    assert torrent.take("b", Bitfield.of(2, [0]), 4) == []
    torrent.take("a", Bitfield.of(2, [1]), 3)
    assert torrent.take("b", Bitfield.of(2, [0]), 4) == []
    torrent.take("a", Bitfield.of(2, [1]), 1)
    assert len(torrent.take("b", Bitfield.of(2, [0]), 4)) == 4


def test_the_endgame_does_not_wait_for_what_nobody_has() -> None:
    torrent = picker(3)
    fields = [Bitfield.of(3, [0]), Bitfield.of(3, [0, 1])]
    for field in fields:
        torrent.appeared(field)
    torrent.take("a", fields[0], 4)
    torrent.received("b", 1, 0)
    assert torrent.take("b", fields[0], 4) == [], "piece 1 is open, and b has it"
    torrent.disappeared(fields[1])
    assert len(torrent.take("b", fields[0], 4)) == 4


def test_a_long_endgame_looks_at_a_bounded_number_of_blocks_and_still_finds_them_all() -> None:
    torrent = picker(400)
    seed = Bitfield.complete(400)
    torrent.appeared(seed)
    torrent.appeared(seed)
    assert len(torrent.take("a", seed, 1600)) == 1600
    found: set[Block] = set()
    for _ in range(40):
        blocks = torrent.take("b", seed, 500)
        assert len(blocks) <= 256
        assert found.isdisjoint(blocks)
        found |= set(blocks)
    assert len(found) == 1600


def test_pieces_that_are_over_are_forgotten() -> None:
    torrent = picker(3000)
    seed = Bitfield.complete(3000)
    while not torrent.done:
        finish(torrent, "a", torrent.take("a", seed, 4))
    assert len(torrent._asked["a"].started) <= 64
    assert not torrent._started
    assert not torrent._open


def test_the_same_seed_makes_the_same_choices() -> None:
    def run() -> list[Block]:
        torrent = picker(64, seed=9, random_first=4)
        taken = []
        for peer in "abc" * 100:
            blocks = torrent.take(peer, Bitfield.complete(64), 3)
            finish(torrent, peer, blocks[1:])
            taken += blocks
        return taken

    assert run() == run()
