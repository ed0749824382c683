"""How answers share out load over several addresses of one name: by turns, by chance, by weight.

Only addresses (A, AAAA) in answers are touched, and only where there is more than one. Their order is nobody's promise
(RFC 2181 section 5), nor what signatures are over (RFC 4034 section 6.3); leaving some out is another matter: a set in
a signed zone is always given whole, and its weights decide the order alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final, Literal, NamedTuple

from netsuite.dns.wire import codes
from netsuite.dns.wire.writer import RRset

__all__ = ["ADDRESS_SIZES", "Rotation", "Spread", "Weights"]

Rotation = Literal["off", "round-robin", "random"]

ADDRESS_SIZES: Final = {codes.A: 16, codes.AAAA: 28}
"""The types that are spread, and how long their records are in a packed node."""

_TURNS: Final = 65536


class Weights(NamedTuple):
    """The weights of a name's addresses (in wire form; others weigh 1), and how many are given: 0 for all."""

    of: Mapping[bytes, int]
    most: int = 0


class Spread:
    """The order of the next answer. ``weighted`` are the names with weights; ``rotate`` says what others do."""

    __slots__ = ("_rng", "_turns", "rotate", "weighted")

    def __init__(self, rotate: Rotation, weighted: Mapping[bytes, Weights], rng: Random) -> None:
        self.rotate = rotate
        self.weighted = weighted
        self._rng = rng
        # Each set has turns of its own: those that are asked for in pairs would else never turn.
        self._turns: dict[tuple[bytes, int], int] = {}

    def turn(self, name: bytes, rdtype: int, count: int) -> int:
        """Which of ``count`` records comes first in the next answer."""
        if self.rotate == "off":
            return 0
        if self.rotate == "random":
            return self._rng.randrange(count)
        turns = self._turns
        key = name, rdtype
        found = turns.get(key, 0)
        if not found and len(turns) >= _TURNS:
            turns.clear()
        turns[key] = found + 1
        return found % count

    def arranged(self, name: bytes, rrset: RRset, *, whole: bool) -> RRset | None:
        """An RRset as the next answer has it, ``whole`` or without what its weights leave out; None for as it is."""
        rdatas = rrset.rdatas
        if len(rdatas) < 2 or rrset.type not in ADDRESS_SIZES:
            return None
        weights = self.weighted.get(name)
        if weights is not None:
            return RRset(rrset.type, rrset.ttl, self._drawn(rdatas, weights, whole=whole))
        if self.rotate == "off":
            return None
        first = self.turn(name, rrset.type, len(rdatas))
        return RRset(rrset.type, rrset.ttl, rdatas[first:] + rdatas[:first])

    def _drawn(self, rdatas: list[bytes], weights: Weights, *, whole: bool) -> list[bytes]:
        """Drawn by weight, one after another: the order in which clocks of such rates would strike first."""
        draw = self._rng.expovariate
        strikes = {rdata: draw(weight) for rdata in rdatas if (weight := weights.of.get(rdata, 1))}
        order = sorted(strikes, key=strikes.__getitem__)
        if whole or not order:
            return order + [rdata for rdata in rdatas if rdata not in strikes]
        return order[: weights.most or len(order)]
