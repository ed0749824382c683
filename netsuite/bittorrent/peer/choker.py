"""Whom to send pieces: tit for tat with optimistic unchokes while downloading, the seed's rotation afterwards.

SKELETON: the interface stands, the inside follows.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Candidate", "Choker"]

P = TypeVar("P", bound=Hashable)


class Candidate(NamedTuple, Generic[P]):
    """What the choker must know of a neighbour at the moment of a round."""

    peer: P
    interested: bool
    """It wants pieces of us."""
    received: float
    """Bytes a second that it sent us over the last 20 s (piece data)."""
    sent: float
    """Bytes a second that we sent it."""
    heard: float
    """When its last block came; if none came yet, when it joined."""
    queued: bool = False
    """Something that it asked for still waits to be sent."""


class Choker(Generic[P]):
    """Chooses whom to unchoke; has no clock: ``round`` is to be called at ``deadline``.

    Besides, ``again`` is to be called at once when an unchoked neighbour leaves or changes its interest, and when a
    neighbour comes while slots are free: no slot stays idle for the rest of a round.
    All times in seconds; the lab divides them all by one factor (``scale``).
    """

    def __init__(
        self,
        rng: random.Random,
        now: float,
        *,
        slots: int = 4,
        optimistic: int = 1,
        period: float = 10.0,
        rotation: int = 3,
        snub: float = 60.0,
    ) -> None:
        self.deadline = now + period

    def round(self, now: float, candidates: Iterable[Candidate[P]], *, seeding: bool = False) -> frozenset[P]:
        """Those to be unchoked from now on; all others are to be choked. Sets the next ``deadline``."""
        raise NotImplementedError

    def again(self, now: float, candidates: Iterable[Candidate[P]], *, seeding: bool = False) -> frozenset[P]:
        """The same between two rounds: fills what became free, and takes newcomers into the rotation."""
        raise NotImplementedError
