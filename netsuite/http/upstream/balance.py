"""Which of several servers is next: in turn, the least busy, or the one that a key belongs to.

Round robin is smooth: weights 5, 1 and 1 give A A B A C A A, not five A in a row. Consistent hashing is rendezvous
hashing with weights (each server has a score for a key, the highest wins, so that a server that leaves gives
away its own keys only and all others stay), with bounded loads (Mirrokni, Thorup and Zadimoghaddam): no server gets
more than ``bound`` times its fair share of the requests under way, what it cannot take goes to the next of
that key's order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Protocol

__all__ = ["Balance", "BoundedHash", "Choice", "LeastRequests", "RoundRobin"]

_MASK: Final = (1 << 64) - 1
_SPREAD: Final = 1 / (1 << 53)


class Choice(Protocol):
    """What is chosen from: ``under_way`` are the requests that it has, ``turn`` and ``seed`` the balance's own."""

    under_way: int
    turn: float
    seed: int


class Balance(Protocol):
    """A way to choose."""

    def choose(self, servers: Sequence[Choice], weights: Sequence[float], key: bytes) -> int:
        """The index of the next one; there is at least one, and no weight is 0."""


class RoundRobin:
    """In turn, as often as their weights say, spread evenly."""

    def choose(self, servers: Sequence[Choice], weights: Sequence[float], key: bytes) -> int:
        """The one whose turn is longest overdue."""
        best = 0
        total = 0.0
        for index, server in enumerate(servers):
            weight = weights[index]
            total += weight
            server.turn += weight
            if server.turn > servers[best].turn:
                best = index
        servers[best].turn -= total
        return best


class LeastRequests:
    """The one with the fewest requests under way for its weight; among equals in turn."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, servers: Sequence[Choice], weights: Sequence[float], key: bytes) -> int:
        """The least busy."""
        count = len(servers)
        self._turn = (self._turn + 1) % count
        best, least = 0, math.inf
        for step in range(count):
            index = (self._turn + step) % count
            load = (servers[index].under_way + 1) / weights[index]
            if load < least:
                best, least = index, load
        return best


class BoundedHash:
    """The one that the key belongs to, unless it has more than ``bound`` times its share to do."""

    def __init__(self, bound: float = 1.25) -> None:
        self._bound = bound

    def choose(self, servers: Sequence[Choice], weights: Sequence[float], key: bytes) -> int:
        """The first of the key's order that has room."""
        hashed = int.from_bytes(blake2b(key, digest_size=8).digest())
        under_way = 1
        total = 0.0
        for index, server in enumerate(servers):
            under_way += server.under_way
            total += weights[index]
        share = self._bound * under_way / total
        best, highest = -1, -math.inf
        for index, server in enumerate(servers):
            if server.under_way >= math.ceil(share * weights[index]):
                continue
            score = _score(hashed ^ server.seed, weights[index])
            if score > highest:
                best, highest = index, score
        return best


def _score(mixed: int, weight: float) -> float:
    """A weighted server's score for a key: an exponential variate made of the two (the finish of SplitMix64)."""
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    mixed ^= mixed >> 31
    return weight / -math.log(((mixed >> 11) + 0.5) * _SPREAD)
