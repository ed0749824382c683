"""Swarms by info-hash: who is in them, and what an announce changes and gets.

A peer is known by the address from which it announced and its port; who announces from another address can neither
remove nor change it. Behind one address (NAT) the owner of an entry is told by peer id and key: only the owner's
``stopped`` takes it away, while another announce for the same port takes it over, since one port has one listener.

Peers are seeds, partial seeds (BEP 21) or downloaders, of IPv4 or IPv6. Downloaders are given all three sorts in the
proportion in which they are there; who does not download is given downloaders alone.

Nobody has a timer: each announce writes down the present *generation*, a number that grows eight times in a peer's
lifetime, and a walk over all swarms, a little at a time, drops who was not heard of for eight of them.

What the store may hold is bounded. Where a new peer has no room, swarms of a single peer are dropped, the longest
standing first, looking at a few at a time; if there is none, the newcomer is refused or, in a swarm that is known,
served without being remembered.
"""

from __future__ import annotations

import random as dice
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from netsuite.bittorrent.tracker.group import FACTS, IDENT, Group
from netsuite.bittorrent.wire.announce import Tally

__all__ = ["DOWNLOADER", "LEAVING", "PARTIAL", "PEER_COST", "SEED", "SWARM_COST", "WIDTHS", "Swarm", "Swarms"]

DOWNLOADER, SEED, PARTIAL, LEAVING = range(4)
"""What a peer is; LEAVING is one that says good-bye."""

WIDTHS: Final = (6, 18)
"""Bytes of an entry by family: 0 is IPv4, 1 is IPv6."""

SWARM_COST: Final = 720
PEER_COST: Final = 160
"""Bytes of memory that a swarm and a peer take, measured generously."""

GENERATIONS: Final = 8
"""A peer's lifetime in generations."""
_LOOKED_AT: Final = 16
_WALKED: Final = 2000
"""Peers that a step of the walk looks at."""


class Swarm:
    """Who shares one torrent: six groups, by family and sort, those that are empty None.

    ``counts`` is how many there are of each sort, of both families, ``downloaded`` how many ever completed.
    """

    __slots__ = ("counts", "downloaded", "groups")

    def __init__(self) -> None:
        self.groups: list[Group | None] = [None] * 6
        self.counts = [0, 0, 0]
        self.downloaded = 0

    def __len__(self) -> int:
        return sum(self.counts)

    def tally(self) -> Tally:
        """What a scrape says."""
        downloaders, seeds, partial = self.counts
        return Tally(seeds, self.downloaded, downloaders + partial, downloaders)

    def add(self, at: int, entry: bytes, facts: bytes, random: Callable[[], float]) -> int:
        """Put a peer that is not there into a group (family * 3 + sort); answers its place."""
        group = self.groups[at]
        if group is None:
            group = self.groups[at] = Group(WIDTHS[at // 3])
        self.counts[at % 3] += 1
        return group.add(entry, facts, random)

    def remove(self, at: int, place: int) -> None:
        """Take a peer out of a group."""
        group = self.groups[at]
        if group is not None:
            group.remove(place)
            self.counts[at % 3] -= 1
            if not group.entries:
                self.groups[at] = None


class Swarms:
    """All swarms; ``memory`` bounds their bytes, ``lifetime`` (seconds) how long a peer is kept unheard of.

    ``peers`` counts them; ``refused`` who found no room, ``evicted`` swarms that made some, ``expired`` peers that were
    not heard of.
    """

    def __init__(self, *, memory: int, lifetime: float, now: float, seed: int) -> None:
        self._memory = memory
        self._period = lifetime / GENERATIONS
        self._random: Callable[[], float] = dice.Random(seed).random
        self._known: dict[bytes, Swarm] = {}
        self._mark = b"\0"
        self._generation = 0
        self._walk: Iterator[None] | None = None
        self._walked = -1
        self.find = self._known.get
        self.peers = self.refused = self.evicted = self.expired = 0
        self.turn(now)

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[bytes, Swarm]]:
        return iter(self._known.items())

    @property
    def memory(self) -> int:
        """Bytes that the store takes, about."""
        return len(self._known) * SWARM_COST + self.peers * PEER_COST

    @property
    def period(self) -> float:
        """Seconds of a generation."""
        return self._period

    # -- announces

    def announce(
        self, info_hash: bytes, family: int, entry: bytes, ident: bytes, sort: int, done: bool
    ) -> tuple[Swarm, int] | None:
        """Take in, move or let go a peer; ``done`` if it says that it has just completed.

        ``ident`` is its peer id and its owner's tag. Answers its swarm and its place there (-1: none); None if there is
        no swarm, and no room for one or nobody to say good-bye to.
        """
        swarm = self.find(info_hash)
        at = family * 3 + sort
        if swarm is None:
            if sort == LEAVING or not (self.memory + SWARM_COST + PEER_COST <= self._memory or self._evict(None)):
                self.refused += sort != LEAVING
                return None
            swarm = self._known[info_hash] = Swarm()
        elif sort != LEAVING:
            group = swarm.groups[at]
            if group is not None:
                index = group.index
                place = group.place(entry) if index is None else index.get(entry, -1)
                if place >= 0:
                    fact = place * FACTS
                    group.facts[fact : fact + FACTS] = ident + self._mark
                    return swarm, place
        known = self._take(swarm, family * 3, entry, ident if sort == LEAVING else None)
        if sort == LEAVING:
            if known and not any(swarm.counts) and not swarm.downloaded:
                del self._known[info_hash]
            return swarm, -1
        if not known:
            if self.memory + PEER_COST > self._memory and not self._evict(swarm):
                self.refused += 1
                return swarm, -1
            self.peers += 1
        if done and sort == SEED:
            swarm.downloaded += 1
        return swarm, swarm.add(at, entry, ident + self._mark, self._random)

    def _take(self, swarm: Swarm, first: int, entry: bytes, owner: bytes | None) -> bool:
        """Take a peer out of whichever group it is in; if it leaves, for its owner only."""
        for at in range(first, first + 3):
            group = swarm.groups[at]
            if group is None:
                continue
            place = group.place(entry)
            if place < 0:
                continue
            if owner is not None:
                if group.facts[place * FACTS : place * FACTS + IDENT] != owner:
                    return False
                self.peers -= 1
            swarm.remove(at, place)
            return True
        return False

    def sample(self, swarm: Swarm, family: int, sort: int, own: int, count: int) -> bytes | bytearray:
        """The packed entries of at most ``count`` peers of a family for one of a sort.

        ``own`` is its place among those of that family and sort, -1 if it is not there; it is not given to itself.
        """
        downloaders, seeds, partial = swarm.groups[3:] if family else swarm.groups[:3]
        if count <= 0 or sort == LEAVING:
            return b""
        if sort != DOWNLOADER:
            return b"" if downloaders is None else downloaders.sample(count, -1, self._random)
        if seeds is None and partial is None:
            return b"" if downloaders is None else downloaders.sample(count, own, self._random)
        width = WIDTHS[family]
        total = -(own >= 0)
        for group in (seeds, partial, downloaders):
            if group is not None:
                total += len(group.entries) // width
        found = bytearray()
        for group in (seeds, partial, downloaders):
            if group is None:
                continue
            hole = own if group is downloaders else -1
            there = len(group.entries) // width - (hole >= 0)
            # rounded at random, so that everybody's chance is the same
            share = there if total <= count else int(count * there / total + self._random())
            if share:
                found += group.sample(share, hole, self._random)
            count -= share
            total -= there
        return found

    # -- room

    def _evict(self, keep: Swarm | None) -> bool:
        """Drop a swarm of one peer, if one of those that stand longest is such; the others go to the end."""
        known = self._known
        for _ in range(min(_LOOKED_AT, len(known))):
            info_hash = next(iter(known))
            swarm = known.pop(info_hash)
            count = len(swarm)
            if count <= 1 and swarm is not keep:
                self.peers -= count
                self.evicted += 1
                return True
            known[info_hash] = swarm
        return False

    def forget(self, info_hash: bytes) -> None:
        """Drop a swarm."""
        swarm = self._known.pop(info_hash, None)
        if swarm is not None:
            self.peers -= len(swarm)

    def restore(self, info_hash: bytes, downloaded: int, groups: Sequence[tuple[bytes, bytes]], marks: bytes) -> None:
        """Put back a swarm as it was kept: entries and facts by group; ``marks`` maps generations to present ones."""
        swarm = Swarm()
        swarm.downloaded = downloaded
        for sort, (entries, facts) in enumerate(groups):
            if entries:
                swarm.groups[sort] = Group.of(WIDTHS[sort // 3], entries, facts, marks)
                swarm.counts[sort % 3] += len(entries) // WIDTHS[sort // 3]
        self.peers += len(swarm)
        self._known[info_hash] = swarm

    # -- time

    @property
    def generation(self) -> int:
        """The present generation, as it is written down (a byte)."""
        return self._generation & 0xFF

    def turn(self, now: float) -> None:
        """Have announces written down in the generation of this moment."""
        self._generation = int(now / self._period)
        self._mark = bytes((self._generation & 0xFF,))

    def step(self, now: float) -> bool:
        """Look at a few swarms more, and drop whom they lost; True when all were looked at in this generation."""
        self.turn(now)
        if self._walk is None:
            if self._walked == self._generation:
                return True
            self._walked = self._generation
            self._walk = self._sweep()
        if next(self._walk, self) is self:
            self._walk = None
            return True
        return False

    def _sweep(self) -> Iterator[None]:
        """Drop who was not heard of for a lifetime, resting after every few peers."""
        marks = bytes(((self._generation - mark) & 0xFF) > GENERATIONS for mark in range(256))
        budget = _WALKED
        for info_hash in list(self._known):
            swarm = self.find(info_hash)
            if swarm is None:
                continue
            for at, group in enumerate(swarm.groups):
                if group is None:
                    continue
                stale = group.stale(marks)
                budget -= len(stale) + (len(group) >> 5)
                for place in stale:
                    swarm.remove(at, place)
                self.peers -= len(stale)
                self.expired += len(stale)
            if not any(swarm.counts) and not swarm.downloaded:
                self._known.pop(info_hash, None)
            budget -= 1
            if budget <= 0:
                budget = _WALKED
                yield
