"""Where other peers of a torrent may be: what to try next, what to leave alone for now, whom never to meet again."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

import attrs

from netsuite.common.access import is_loopback

__all__ = ["Addresses", "Place"]

Place = tuple[str, int]

_MOST: Final = 2000
_MOST_BANNED: Final = 10_000
_FAILURES: Final = 6
"""So often an address may fail one after the other before it is forgotten."""


@attrs.define
class _Known:
    after: float = 0.0
    failures: int = 0
    seed: bool = False


class Addresses:
    """Addresses by what is known of them; at most 2,000, of which those that failed most go first.

    An address is ``busy`` while it is tried or linked. A ban counts for a whole host and for a peer id; where everybody
    is the same host (loopback), for the id and the address alone.
    """

    def __init__(self, rng: random.Random, reconnect: float) -> None:
        self._rng = rng
        self._reconnect = reconnect
        self._known: dict[Place, _Known] = {}
        self._busy: set[Place] = set()
        self._own: set[Place] = set()
        self._banned: dict[object, None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def found(self, places: Iterable[Place]) -> None:
        """A tracker or a peer named these."""
        for place in places:
            if not 0 < place[1] < 65536 or place in self._own or self.banned(place):
                continue
            known = self._known.get(place)
            if known is None:
                if len(self._known) >= _MOST and not self._forget():
                    return
                self._known[place] = _Known()

    def next(self, now: float, *, seeds: bool = True) -> Place | None:
        """One to try now, at random among the due ones, which is then busy; without seeds if we need none."""
        due = [
            place
            for place, known in self._known.items()
            if known.after <= now and place not in self._busy and (seeds or not known.seed)
        ]
        if not due:
            return None
        place = due[self._rng.randrange(len(due))]
        self._busy.add(place)
        return place

    def busy(self, place: Place) -> None:
        """There is a link to where this address leads."""
        self._busy.add(place)

    def worked(self, place: Place) -> None:
        """Somebody of this torrent answered there."""
        known = self._known.get(place)
        if known is not None:
            known.failures = 0

    def seeds(self, place: Place) -> None:
        """A seed is there."""
        known = self._known.get(place)
        if known is not None:
            known.seed = True

    def over(self, place: Place, now: float, *, failed: bool) -> None:
        """A try failed or a link ended: try again later, each time later, and after many failures never."""
        self._busy.discard(place)
        known = self._known.get(place)
        if known is None:
            return
        if failed:
            known.failures += 1
            if known.failures >= _FAILURES:
                del self._known[place]
                return
        known.after = now + self._reconnect * 2**known.failures * self._rng.uniform(0.75, 1.25)

    def own(self, place: Place) -> None:
        """It is ourselves."""
        self._own.add(place)
        self._busy.discard(place)
        self._known.pop(place, None)

    def ban(self, place: Place, peer_id: bytes) -> None:
        """Whoever is there sends rubbish."""
        while len(self._banned) >= _MOST_BANNED:
            del self._banned[next(iter(self._banned))]
        self._banned[peer_id] = None
        self._banned[place if is_loopback(place[0]) else place[0]] = None
        for known in [known for known in self._known if self.banned(known)]:
            del self._known[known]

    def banned(self, place: Place, peer_id: bytes = b"") -> bool:
        """Whether to have nothing to do with it."""
        return place[0] in self._banned or place in self._banned or peer_id in self._banned

    def _forget(self) -> bool:
        """Make room; False if all that is known is better than what is not."""
        idle = [place for place in self._known if place not in self._busy]
        worst = max(idle, key=lambda place: self._known[place].failures, default=None)
        if worst is None or not self._known[worst].failures:
            return False
        del self._known[worst]
        return True
