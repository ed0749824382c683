"""Which blocks to ask whom for: random first pieces, then rarest first, started ones before all others, endgame.

SKELETON: the interface stands, the inside follows.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.peer.rates import BLOCK

__all__ = ["Block", "Picker"]

P = TypeVar("P", bound=Hashable)
Block = tuple[int, int, int]
"""Piece, begin, length: what a ``request`` says."""


class Picker(Generic[P]):
    """What of a torrent is missing, what is asked for, and what to ask for next.

    ``P`` is whatever stands for a neighbour (hashable; compared by identity or equality). ``have`` is copied.
    """

    def __init__(
        self, length: int, piece_length: int, have: Bitfield, rng: random.Random, *, random_first: int = 4
    ) -> None:
        raise NotImplementedError

    # -- what the neighbours have

    def appeared(self, has: Bitfield) -> None:
        """A neighbour with these pieces came (after its bitfield, have-all or have-none)."""

    def disappeared(self, has: Bitfield) -> None:
        """A neighbour left; with all pieces that it had by then (first :meth:`dropped`)."""

    def has(self, piece: int) -> None:
        """A neighbour that has appeared has one piece more (call it once a piece and neighbour)."""

    def wants(self, has: Bitfield) -> bool:
        """Whether these pieces include one that is missing: what makes us interested.

        Cheap, but not for each neighbour and piece: ask when a neighbour's bitfield or first have comes, when
        :meth:`take` gives nothing, and at each round of the choker.
        """
        raise NotImplementedError

    # -- requests

    def take(self, peer: P, has: Bitfield, count: int, *, common: bool = False) -> list[Block]:
        """Up to ``count`` blocks to ask ``peer`` for, who has these pieces; they count as requested from it.

        Fewer, or none, if there is nothing (more) for it. ``has`` may be less than what it has (allowed fast pieces
        while it chokes us). ``common``: most common pieces first, for one that is slow or snubs (no rare piece should
        hang on it).
        """
        raise NotImplementedError

    def received(self, peer: P, piece: int, begin: int) -> Sequence[P] | None:
        """A block came: the others that were asked for it too (endgame), to be sent a cancel; mostly none.

        None: nobody needs this block (we have it, or its place is wrong); throw it away.
        """
        raise NotImplementedError

    def filled(self, piece: int) -> bool:
        """All blocks of a piece are there: hash it, then tell :meth:`passed` or :meth:`failed`."""
        raise NotImplementedError

    def rejected(self, peer: P, piece: int, begin: int) -> None:
        """One request is void (BEP 6 reject, or cancelled by us)."""

    def dropped(self, peer: P) -> None:
        """All requests to a neighbour are void: it choked us, left, or let them time out."""

    # -- pieces

    def passed(self, piece: int) -> None:
        """The piece's hash is right (and it is written): it is no longer missing."""

    def failed(self, piece: int) -> list[P | None]:
        """The hash is wrong: the piece is missing again. Who sent each of its blocks, in their order."""
        raise NotImplementedError

    @property
    def done(self) -> bool:
        """Nothing is missing."""
        raise NotImplementedError

    def outstanding(self, peer: P) -> int:
        """How many requests to a neighbour are under way."""
        raise NotImplementedError
