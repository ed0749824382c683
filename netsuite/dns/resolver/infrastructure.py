"""What is known about name servers: how fast they answer, which are silent, lame, or deaf to EDNS.

Round-trip times are estimated as TCP does it (RFC 6298); silence doubles the time-out and, when it goes on, sets a
server aside for a while. Bounded: what was learnt first is forgotten first.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from netsuite.dns.resolver.cache import Server

__all__ = ["Infrastructure"]

_UNKNOWN_RTO = 0.4
_LEAST_RTO = 0.15
_MOST_RTO = 3.0
_BAND = 0.1
"""Servers within so many seconds of the fastest are asked alike: unpredictable for a spoofer, fair to them."""
_EXPLORE = 0.05
_SILENT_AFTER = 3
_MOST_SILENCE = 60.0
_LAME_FOR = 300.0
_EDNS_REFUSALS = 3
_EDNS_MEMORY = 900.0


class _Facts:
    __slots__ = ("deaf_until", "refusals", "rto", "silent_until", "srtt", "timeouts", "variance")

    def __init__(self) -> None:
        self.srtt = -1.0
        self.variance = 0.0
        self.rto = _UNKNOWN_RTO
        self.timeouts = 0
        self.silent_until = 0.0
        self.refusals = 0
        self.deaf_until = 0.0


class Infrastructure:
    """Facts about at most ``most`` servers, and at most as many lame (server, zone) pairs."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._facts: dict[Server, _Facts] = {}
        self._lame: dict[tuple[Server, bytes], float] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def _of(self, server: Server) -> _Facts:
        facts = self._facts.get(server)
        if facts is None:
            if len(self._facts) >= self._most:
                del self._facts[next(iter(self._facts))]
            facts = self._facts[server] = _Facts()
        return facts

    def timeout(self, server: Server) -> float:
        """How long to wait for an answer, in seconds."""
        facts = self._facts.get(server)
        return _UNKNOWN_RTO if facts is None else facts.rto

    def answered(self, server: Server, elapsed: float) -> None:
        """A server answered after ``elapsed`` seconds."""
        facts = self._of(server)
        if facts.srtt < 0:
            facts.srtt, facts.variance = elapsed, elapsed / 2
        else:
            facts.variance += (abs(facts.srtt - elapsed) - facts.variance) / 4
            facts.srtt += (elapsed - facts.srtt) / 8
        facts.rto = min(_MOST_RTO, max(_LEAST_RTO, facts.srtt + 4 * facts.variance))
        facts.timeouts = 0
        facts.silent_until = 0.0

    def silent(self, server: Server, now: float) -> None:
        """A server did not answer in time, or cannot be reached."""
        facts = self._of(server)
        facts.timeouts += 1
        facts.rto = min(_MOST_RTO, facts.rto * 2)
        if facts.timeouts >= _SILENT_AFTER:
            facts.silent_until = now + min(_MOST_SILENCE, 2.0**facts.timeouts)

    def lame(self, server: Server, zone: bytes, now: float) -> None:
        """A server does not serve a zone that was delegated to it."""
        if len(self._lame) >= self._most:
            del self._lame[next(iter(self._lame))]
        self._lame[server, zone] = now + _LAME_FOR

    def is_lame(self, server: Server, zone: bytes, now: float) -> bool:
        """Whether that was found out lately."""
        until = self._lame.get((server, zone))
        if until is None:
            return False
        if until <= now:
            del self._lame[server, zone]
            return False
        return True

    def refused_edns(self, server: Server, now: float) -> None:
        """A query with EDNS failed that went well without; one such reply proves nothing, so it takes several."""
        facts = self._of(server)
        facts.refusals += 1
        if facts.refusals >= _EDNS_REFUSALS:
            facts.refusals = 0
            facts.deaf_until = now + _EDNS_MEMORY

    def speaks_edns(self, server: Server, now: float) -> bool:
        """Whether to ask with EDNS."""
        facts = self._facts.get(server)
        return facts is None or facts.deaf_until <= now

    def choose(self, servers: Sequence[Server], avoid: Collection[Server], now: float, rng: random.Random) -> Server:
        """One of these servers: mostly a fast one, now and then any of them; those of ``avoid`` and the silent last."""
        best: list[tuple[float, Server]] = []
        rank = 4
        for server in servers:
            facts = self._facts.get(server)
            mine = (server in avoid) + 2 * (facts is not None and facts.silent_until > now)
            if mine > rank:
                continue
            if mine < rank:
                rank = mine
                best = []
            # the unknown count as fast as the band is wide: tried soon, preferred to nobody that is near
            best.append((_BAND if facts is None or facts.srtt < 0 else facts.rto - _LEAST_RTO, server))
        if rng.random() >= _EXPLORE:
            limit = min(best)[0] + _BAND
            best = [pair for pair in best if pair[0] <= limit]
        return best[rng.randrange(len(best))][1]
