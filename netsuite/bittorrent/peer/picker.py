"""Which blocks to ask whom for: random first pieces, then rarest first, started ones before all others, endgame.

A piece that is started is finished before another is begun (strict priority). Of several that a neighbour could give,
those that the fewest neighbours have come first, and among equals chance decides. The first pieces are any at all, so
that there is something to trade soon. When everything that can be had is asked for, what is outstanding is asked of
others too (the endgame); whoever comes first, the rest is cancelled. (BEP 3; Cohen, "Incentives build robustness in
BitTorrent", section 2.4.)

How it stays fast: the availabilities are kept as *planes*, integers with one bit a piece: the first one has the lowest
bit of each piece's count, and so on. A neighbour's whole bitfield is added or taken away like one binary number by
another, in a few operations on all pieces at once, and the rarest among any set of pieces is found by descending
through the planes. A block costs a few list and dict operations; only a new piece costs the descent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.peer.rates import BLOCK

if TYPE_CHECKING:
    import random

__all__ = ["Block", "Picker"]

P = TypeVar("P", bound=Hashable)

Block = tuple[int, int, int]
"""Piece, begin, length: what a ``request`` says."""

_LOOKED_AT: Final = 256
"""So many outstanding blocks are looked at, at most, when one is taken in the endgame."""

_PIECES_KEPT: Final = 64
"""From so many on, a neighbour's pieces are looked through for those that are over."""


class _Started(Generic[P]):
    """A piece of which something was asked for, until its hash is known.

    ``free`` are the begins to hand out, the next one last. ``asked`` says of whom a begin is requested: of one, or
    of a list of several. ``sources`` are those who sent the blocks, ``left`` how many have not come, ``copies`` how
    many neighbours have the piece.
    """

    __slots__ = ("asked", "copies", "free", "left", "mask", "piece", "sources", "tail", "tail_length")

    def __init__(self, piece: int, mask: int, size: int, copies: int) -> None:
        self.piece = piece
        self.mask = mask
        self.copies = copies
        self.tail = (size - 1) // BLOCK * BLOCK
        self.tail_length = size - self.tail
        self.free = list(range(self.tail, -1, -BLOCK))
        self.left = len(self.free)
        self.asked: dict[int, _Asked[P] | list[_Asked[P]]] = {}
        self.sources: list[P | None] = [None] * self.left

    def block(self, begin: int) -> Block:
        return self.piece, begin, BLOCK if begin != self.tail else self.tail_length


class _Asked(Generic[P]):
    """What a neighbour was asked for: how many blocks, of which pieces, and which one it is at."""

    __slots__ = ("at", "count", "peer", "room", "started")

    def __init__(self, peer: P) -> None:
        self.peer = peer
        self.at: _Started[P] | None = None
        self.count = 0
        self.started: dict[int, _Started[P]] = {}
        self.room = _PIECES_KEPT

    def joins(self, started: _Started[P]) -> None:
        """Something of a piece is asked for; now and then, what is over by then is forgotten."""
        self.started[started.piece] = started
        if len(self.started) > self.room:
            self.started = {piece: each for piece, each in self.started.items() if each.asked or each is started}
            self.room = max(_PIECES_KEPT, 2 * len(self.started))


class Picker(Generic[P]):
    """What of a torrent is missing, what is asked for, and what to ask for next.

    ``P`` is whatever stands for a neighbour. Pieces are ``piece_length`` bytes, the last one what is left of
    ``length``; ``have`` are those that need not come. The first ``random_first`` pieces are taken at random.

    For each piece, in this order: :meth:`take` its blocks, say what was :meth:`received`, and once it is
    :meth:`filled`, that it :meth:`passed` or :meth:`failed`. What is asked and never comes stays asked until it is
    :meth:`rejected` or the neighbour is :meth:`dropped`.
    """

    def __init__(
        self, length: int, piece_length: int, have: Bitfield, rng: random.Random, *, random_first: int = 4
    ) -> None:
        if have.length != -(-length // piece_length):
            raise ValueError(f"{length} bytes in pieces of {piece_length} are not {have.length} pieces")
        self._length = length
        self._piece_length = piece_length
        self._rng = rng
        self._random_first = random_first
        self._top = len(have.packed) * 8 - 1
        self._have = have.count
        self._missing = Bitfield.complete(have.length).bits & ~have.bits
        self._fresh = self._missing  # of these, not started
        self._started: dict[int, _Started[P]] = {}
        self._open: dict[int, _Started[P]] = {}  # of these, with free blocks
        self._planes: list[int] = []
        self._news = Bitfield(have.length)  # haves that the planes do not yet count, each piece once
        self._asked: dict[P, _Asked[P]] = {}
        self._last: list[tuple[_Started[P], int]] = []  # outstanding blocks, for the endgame

    # -- what the neighbours have

    def appeared(self, has: Bitfield) -> None:
        """A neighbour with these pieces came: after its bitfield (or have-all, or have-none), before its first have."""
        self._add(has.bits)
        for piece, started in self._started.items():
            started.copies += has[piece]

    def disappeared(self, has: Bitfield) -> None:
        """A neighbour left, with all the pieces that it had by then. Its requests are :meth:`dropped`, too."""
        borrow = has.bits
        planes = self._counted()
        for level, plane in enumerate(planes):
            if not borrow:
                break
            planes[level] = plane ^ borrow
            borrow &= ~plane
        while planes and not planes[-1]:
            planes.pop()
        for piece, started in self._started.items():
            started.copies -= has[piece]

    def has(self, piece: int) -> None:
        """A neighbour that has appeared got one piece more; to be told once for each neighbour and piece."""
        if not self._news.set(piece):
            self._counted()
            self._news.set(piece)
        started = self._started.get(piece)
        if started is not None:
            started.copies += 1

    def wants(self, has: Bitfield) -> bool:
        """Whether a piece among these is missing: what makes us interested.

        Too dear to ask of every neighbour for every piece; ask when its bitfield or a have comes, when :meth:`take`
        finds nothing, and at the choker's rounds.
        """
        return bool(has.bits & self._missing)

    def availability(self, piece: int) -> int:
        """How many neighbours have a piece."""
        mask = 1 << self._top - piece
        return sum(1 << level for level, plane in enumerate(self._counted()) if plane & mask)

    def _counted(self) -> list[int]:
        """The planes, once the latest haves are added."""
        if self._news.count:
            self._add(self._news.bits)
            self._news = Bitfield(self._news.length)
        return self._planes

    def _add(self, carry: int) -> None:
        planes = self._planes
        for level, plane in enumerate(planes):
            if not carry:
                return
            planes[level] = plane ^ carry
            carry &= plane
        if carry:
            planes.append(carry)

    # -- requests

    def take(self, peer: P, has: Bitfield, count: int, *, common: bool = False) -> list[Block]:
        """Up to ``count`` blocks to ask ``peer`` for, who has these pieces; they count as asked for.

        Fewer, or none, if there is no more for it now. ``has`` may be less than what it has (the allowed fast pieces
        of one that chokes us, BEP 6). ``common`` begins with the most common pieces instead, for a neighbour that is
        slow or snubs us: no rare piece should hang on it.
        """
        asked = self._asked.get(peer)
        if asked is None:
            asked = self._asked[peer] = _Asked(peer)
        blocks: list[Block] = []
        while (room := count - len(blocks)) > 0:
            started = asked.at
            if started is None or not started.free or not has[started.piece]:
                started = asked.at = self._next(has, common)
                if started is None:
                    blocks += self._endgame(asked, has, room)
                    break
            if started.piece not in asked.started or asked.started[started.piece] is not started:
                asked.joins(started)
            free = started.free
            who, piece, tail = started.asked, started.piece, started.tail
            for begin in free[: -room - 1 : -1]:
                who[begin] = asked
                blocks.append((piece, begin, BLOCK) if begin != tail else started.block(begin))
            del free[-room:]
            if not free:
                del self._open[piece]
        asked.count += len(blocks)
        return blocks

    def received(self, peer: P, piece: int, begin: int) -> Sequence[P] | None:
        """A block came: the others that were asked for it, who are to be sent a cancel (none but in the endgame).

        None: the block is not needed, or is none, and is to be thrown away. One that came after its request was void
        is as welcome as any.
        """
        started = self._started.get(piece)
        if started is None:
            if not self._startable(piece, begin):
                return None
            started = self._start(piece)
        who = started.asked.pop(begin, None)
        others: Sequence[P] = ()
        if type(who) is _Asked:
            who.count -= 1
            if who.peer is not peer and who.peer != peer:
                others = (who.peer,)
        elif type(who) is list:
            for each in who:
                each.count -= 1
            others = [each.peer for each in who if each.peer != peer]
        elif begin in started.free:
            started.free.remove(begin)
            if not started.free:
                del self._open[piece]
        else:
            return None
        started.sources[begin // BLOCK] = peer
        started.left -= 1
        return others

    def filled(self, piece: int) -> bool:
        """All blocks of a piece have come: hash it, then say that it :meth:`passed` or :meth:`failed`."""
        started = self._started.get(piece)
        return started is not None and not started.left

    def rejected(self, peer: P, piece: int, begin: int) -> None:
        """One request is void: the neighbour refused it (BEP 6), or we cancelled it."""
        started, asked = self._started.get(piece), self._asked.get(peer)
        if started is not None and asked is not None:
            self._release(started, begin, asked)

    def dropped(self, peer: P) -> None:
        """All requests to a neighbour are void: it choked us, left, or let them time out."""
        asked = self._asked.pop(peer, None)
        if asked is not None:
            for started in asked.started.values():
                for begin in [begin for begin, who in started.asked.items() if who is asked or type(who) is list]:
                    self._release(started, begin, asked)

    def outstanding(self, peer: P) -> int:
        """How many blocks a neighbour is asked for."""
        asked = self._asked.get(peer)
        return 0 if asked is None else asked.count

    # -- pieces

    def passed(self, piece: int) -> None:
        """The hash of a filled piece is right, and it is stored: it is no longer missing."""
        started = self._forget(piece)
        self._missing ^= started.mask
        self._have += 1

    def failed(self, piece: int) -> list[P | None]:
        """The hash of a filled piece is wrong (or it could not be stored): it is missing as before.

        Who sent each of its blocks, in their order: who sent them all is guilty.
        """
        started = self._forget(piece)
        self._fresh ^= started.mask
        return started.sources

    def lost(self, piece: int) -> None:
        """A piece that was there is missing again."""
        mask = 1 << self._top - piece
        if not self._missing & mask:
            self._missing |= mask
            self._fresh |= mask
            self._have -= 1

    @property
    def done(self) -> bool:
        """Nothing is missing."""
        return not self._missing

    # -- inside

    def _next(self, has: Bitfield, common: bool) -> _Started[P] | None:
        """The piece to take blocks of next: a started one if there is any, else a new one."""
        packed = has.packed
        started = [each for piece, each in self._open.items() if packed[piece >> 3] & 128 >> (piece & 7)]
        if len(started) == 1:
            return started[0]
        if started:
            copies = (max if common else min)([each.copies for each in started])
            started = [each for each in started if each.copies == copies]
            return started[0 if len(started) == 1 else self._rng.randrange(len(started))]
        candidates = has.bits & self._fresh
        if not candidates:
            return None
        piece = self._any(candidates) if self._have < self._random_first else self._rarest(candidates, common)
        return self._start(piece)

    def _start(self, piece: int) -> _Started[P]:
        mask = 1 << self._top - piece
        started: _Started[P] = _Started(piece, mask, self._size(piece), self.availability(piece))
        self._started[piece] = started
        self._open[piece] = started
        self._fresh ^= mask
        return started

    def _startable(self, piece: int, begin: int) -> bool:
        """Whether this is the place of a block in a piece that is missing and not started."""
        if not 0 <= piece <= self._top or begin % BLOCK or not 0 <= begin < self._size(piece):
            return False
        return bool(self._fresh & 1 << self._top - piece)

    def _size(self, piece: int) -> int:
        return min(self._piece_length, self._length - piece * self._piece_length)

    def _rarest(self, candidates: int, common: bool) -> int:
        """One of those of the candidates that the fewest (``common``: the most) neighbours have."""
        for plane in reversed(self._counted()):
            more = candidates & plane
            if more and more != candidates:
                candidates = more if common else candidates ^ more
        return self._any(candidates)

    def _any(self, candidates: int) -> int:
        """One of the candidates, each with the same chance: the n-th set bit, by halving."""
        count = candidates.bit_count()
        at = 0
        if count > 1:
            number = self._rng.randrange(count)
            width = candidates.bit_length()
            while width > 1:
                half = width >> 1
                low = candidates & (1 << half) - 1
                below = low.bit_count()
                if number < below:
                    candidates, width = low, half
                else:
                    number -= below
                    candidates >>= half
                    at += half
                    width -= half
        else:
            at = candidates.bit_length() - 1
        return self._top - at

    def _endgame(self, asked: _Asked[P], has: Bitfield, count: int) -> list[Block]:
        """Blocks that are asked of others, those with the fewest others first; none while any can be had for itself."""
        if not self._started:
            return []
        reachable = 0
        for plane in self._counted():
            reachable |= plane
        if self._fresh & reachable or any(started.mask & reachable for started in self._open.values()):
            return []
        if len(self._last) < _LOOKED_AT:
            self._last = [(started, begin) for started in self._started.values() for begin in started.asked]
            if len(self._last) > 1:
                turn = self._rng.randrange(len(self._last))
                self._last = self._last[turn:] + self._last[:turn]
        looked_at = self._last[-_LOOKED_AT:]
        del self._last[-_LOOKED_AT:]
        found: list[tuple[int, _Started[P], int]] = []
        for started, begin in looked_at:
            who = started.asked.get(begin)
            if who is None or who is asked or not has[started.piece]:
                continue
            if type(who) is not list:
                found.append((1, started, begin))
            elif asked not in who:
                found.append((len(who), started, begin))
        found.sort(key=_others)
        blocks = []
        for _, started, begin in found[:count]:
            who = started.asked[begin]
            if type(who) is list:
                who.append(asked)
            elif type(who) is _Asked:
                started.asked[begin] = [who, asked]
            asked.joins(started)
            blocks.append(started.block(begin))
        return blocks

    def _release(self, started: _Started[P], begin: int, asked: _Asked[P]) -> None:
        """Take back one request, if there is such a one; free the block if nobody else is asked for it."""
        who = started.asked.get(begin)
        if type(who) is list:
            if asked in who:
                asked.count -= 1
                who.remove(asked)
                if len(who) == 1:
                    started.asked[begin] = who[0]
            return
        if who is not asked:
            return
        asked.count -= 1
        del started.asked[begin]
        if not started.free:
            self._open[started.piece] = started
        started.free.append(begin)
        if len(started.free) == len(started.sources):
            # nothing came and nothing will: it is as if it had never been started
            self._fresh ^= started.mask
            self._forget(started.piece)
            del self._open[started.piece]

    def _forget(self, piece: int) -> _Started[P]:
        """Let go of a started piece; neighbours that are still at it find nothing there."""
        started = self._started.pop(piece)
        started.free.clear()
        return started


def _others(found: tuple[int, object, int]) -> int:
    return found[0]
