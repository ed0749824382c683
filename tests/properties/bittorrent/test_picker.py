"""The picker against a plain model: sets of blocks, availabilities counted anew each time, nothing done cleverly."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.peer.picker import Picker
from netsuite.bittorrent.peer.rates import BLOCK

PEERS = st.integers(0, 4)
COUNTS = st.integers(1, 9)


class Swarm(RuleBasedStateMachine):
    """A torrent of a few pieces, up to five neighbours, and everything that can happen to them."""

    @initialize(
        pieces=st.integers(1, 9),
        blocks=st.integers(1, 4),
        rest=st.integers(0, BLOCK * 5 // 2),
        have=st.sets(st.integers(0, 8)),
        random_first=st.integers(0, 3),
        seed=st.integers(0, 1000),
    )
    def begin(self, pieces, blocks, rest, have, random_first, seed):
        self.pieces = pieces
        self.piece_length = blocks * BLOCK
        self.length = pieces * self.piece_length - min(rest, self.piece_length - 1)
        self.random_first = random_first
        having = Bitfield.of(pieces, {piece for piece in have if piece < pieces})
        self.picker = Picker(self.length, self.piece_length, having, random.Random(seed), random_first=random_first)
        self.passed = set(having)
        self.came = {}  # (piece, begin): who sent it
        self.asked = {}  # (piece, begin): those who are asked for it
        self.people = {}  # who: pieces
        self.at = {}  # who: the piece that it was asked for last

    # -- the model

    def blocks_of(self, piece):
        size = min(self.piece_length, self.length - piece * self.piece_length)
        return {(piece, begin): min(BLOCK, size - begin) for begin in range(0, size, BLOCK)}

    def is_started(self, piece):
        return any(self.asked.get(block) or block in self.came for block in self.blocks_of(piece))

    def free(self, piece):
        return [each for each in self.blocks_of(piece) if not self.asked.get(each) and each not in self.came]

    def copies(self, piece):
        return sum(piece in has for has in self.people.values())

    def forget_what_is_not_started(self):
        self.at = {who: piece for who, piece in self.at.items() if self.is_started(piece)}

    def missing(self):
        return [piece for piece in range(self.pieces) if piece not in self.passed]

    def filled(self):
        return [piece for piece in self.missing() if set(self.blocks_of(piece)) <= set(self.came)]

    # -- what happens

    @rule(who=PEERS, pieces=st.sets(st.integers(0, 8)), everything=st.booleans())
    def someone_comes(self, who, pieces, everything):
        if who not in self.people:
            has = set(range(self.pieces)) if everything else {piece for piece in pieces if piece < self.pieces}
            self.people[who] = has
            self.picker.appeared(Bitfield.of(self.pieces, has))

    @rule(who=PEERS)
    def someone_leaves(self, who):
        if who in self.people:
            self.someone_chokes(who)
            self.picker.disappeared(Bitfield.of(self.pieces, self.people.pop(who)))

    @rule(who=PEERS)
    def someone_chokes(self, who):
        self.picker.dropped(who)
        for askers in self.asked.values():
            askers.discard(who)
        self.at.pop(who, None)
        self.forget_what_is_not_started()

    @rule(who=PEERS, piece=st.integers(0, 8))
    def someone_has_more(self, who, piece):
        if piece < self.pieces and piece not in self.people.get(who, {piece}):
            self.people[who].add(piece)
            self.picker.has(piece)

    @rule(who=PEERS, count=COUNTS, common=st.booleans())
    def someone_is_asked(self, who, count, common):
        has = self.people.get(who)
        if has is None:
            return
        blocks = self.picker.take(who, Bitfield.of(self.pieces, has), count, common=common)
        assert len(blocks) <= count
        for piece, begin, length in blocks:
            block = piece, begin
            assert piece in has
            assert piece not in self.passed
            assert block not in self.came
            assert self.blocks_of(piece)[block] == length
            askers = self.asked.setdefault(block, set())
            assert who not in askers
            if askers:
                self.check_endgame(has)
            else:
                self.check_choice(who, piece, has, common)
                self.at[who] = piece
            askers.add(who)
        if len(blocks) < count:
            assert not any(self.free(piece) for piece in self.missing() if piece in has), "there was more"

    def check_endgame(self, has):
        """No block may be asked of two while another one can be had."""
        reachable = set().union(*self.people.values())
        assert not any(self.free(piece) for piece in self.missing() if piece in reachable)

    def check_choice(self, who, piece, has, common):
        """What it is at, else what is started, else another; of several the rarest, but for the first few."""
        useful = [each for each in self.missing() if each in has and self.free(each)]
        started = [each for each in useful if self.is_started(each)]
        best = max if common else min
        if self.at.get(who) in started:
            assert piece == self.at[who]
        elif started:
            assert piece in started
            assert self.copies(piece) == best(map(self.copies, started))
        elif len(self.passed) >= self.random_first:
            assert self.copies(piece) == best(map(self.copies, useful))

    @precondition(lambda self: any(self.asked.values()))
    @rule(data=st.data())
    def a_block_comes(self, data):
        block = data.draw(st.sampled_from(sorted(block for block, askers in self.asked.items() if askers)))
        who = data.draw(st.sampled_from(sorted(self.asked[block])))
        others = self.picker.received(who, *block)
        assert sorted(others) == sorted(self.asked.pop(block) - {who})
        self.came[block] = who

    @rule(who=PEERS, piece=st.integers(-1, 9), begin=st.integers(-1, 4), shift=st.sampled_from([0, 0, 0, 1]))
    def a_block_comes_unasked(self, who, piece, begin, shift):
        block = piece, begin * BLOCK + shift
        others = self.picker.received(who, *block)
        if piece in self.missing() and block in self.blocks_of(piece) and block not in self.came:
            assert sorted(others) == sorted(self.asked.pop(block, set()) - {who})
            self.came[block] = who
        else:
            assert others is None

    @rule(who=PEERS, piece=st.integers(0, 8), begin=st.integers(0, 3))
    def someone_rejects(self, who, piece, begin):
        if piece < self.pieces:
            self.picker.rejected(who, piece, begin * BLOCK)
            self.asked.get((piece, begin * BLOCK), set()).discard(who)
            self.forget_what_is_not_started()

    @precondition(lambda self: self.filled())
    @rule(data=st.data(), right=st.booleans())
    def a_piece_is_hashed(self, data, right):
        piece = data.draw(st.sampled_from(self.filled()))
        assert self.picker.filled(piece)
        blocks = self.blocks_of(piece)
        if right:
            self.picker.passed(piece)
            self.passed.add(piece)
        else:
            assert self.picker.failed(piece) == [self.came[block] for block in blocks]
        for block in blocks:
            del self.came[block]
        self.forget_what_is_not_started()

    @precondition(lambda self: self.passed)
    @rule(data=st.data())
    def a_piece_is_lost(self, data):
        piece = data.draw(st.sampled_from(sorted(self.passed)))
        self.picker.lost(piece)
        self.passed.remove(piece)

    @precondition(lambda self: self.people)
    @rule()
    def everything_comes(self):
        """Whatever happened so far: asked long enough, every piece that anyone has is finished."""
        reachable = set().union(*self.people.values())
        for _ in range(200):
            for who, has in self.people.items():
                for piece, begin, _ in self.picker.take(who, Bitfield.of(self.pieces, has), 4):
                    self.picker.received(who, piece, begin)
            for who in range(5):
                self.picker.dropped(who)
            for piece in self.missing():
                if self.picker.filled(piece):
                    self.picker.passed(piece)
                    self.passed.add(piece)
        assert reachable <= self.passed
        self.asked.clear()
        self.at.clear()
        self.came = {block: who for block, who in self.came.items() if block[0] not in self.passed}

    @invariant()
    def they_agree(self):
        if not hasattr(self, "picker"):
            return
        assert self.picker.done is (len(self.passed) == self.pieces)
        assert [piece for piece in self.missing() if self.picker.filled(piece)] == self.filled()
        for piece in range(self.pieces):
            assert self.picker.availability(piece) == self.copies(piece)
        for who in range(5):
            assert self.picker.outstanding(who) == sum(who in askers for askers in self.asked.values())
        for has in self.people.values():
            assert self.picker.wants(Bitfield.of(self.pieces, has)) is any(piece in has for piece in self.missing())


TestSwarm = Swarm.TestCase
TestSwarm.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
