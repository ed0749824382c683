"""What a tracker decides, whichever way it is asked: who is served, what a peer is, when it shall come again."""

from __future__ import annotations

import math
import random
from typing import Final

from netsuite.bittorrent.tracker.settings import TrackerSettings
from netsuite.bittorrent.tracker.swarm import DOWNLOADER, LEAVING, PARTIAL, SEED, Swarms
from netsuite.bittorrent.tracker.torrentlist import TorrentList
from netsuite.bittorrent.wire.announce import Event, Failure
from netsuite.common.access import RateLimit, guards_private
from netsuite.common.commons import Commons

__all__ = ["NOT_SERVED", "NO_ROOM", "TOO_OFTEN", "Desk", "sort_of"]

NOT_SERVED: Final = Failure("this torrent is not served here", math.inf)
NO_ROOM: Final = Failure("the tracker is full, come again later", 1800.0)
TOO_OFTEN: Final = Failure("too many announces from this address", 300.0)
DENIED: Final = Failure("this address is not served here", math.inf)


def sort_of(left: int, event: int) -> int:
    """What an announce makes of a peer."""
    if event == Event.STOPPED:
        return LEAVING
    if left == 0:
        return SEED
    return PARTIAL if event == Event.PAUSED else DOWNLOADER


class Desk:
    """The swarms, and the rules by which announces change them; ``announces``, ``scrapes`` ... count by transport."""

    def __init__(self, settings: TrackerSettings, commons: Commons) -> None:
        self.settings = settings
        seed = commons.rng.getrandbits(64)
        self.random = random.Random(seed).random
        self.swarms = Swarms(
            memory=settings.memory,
            lifetime=settings.kept,
            now=commons.clock.seconds(),
            seed=commons.rng.getrandbits(64),
        )
        self.torrents = TorrentList(settings.allow_torrents, settings.deny_torrents)
        self.rule = commons.access.rule(settings.allow, settings.deny)
        rate = settings.rate_limit
        if rate is None:
            rate = 200 if guards_private([*settings.http, *settings.udp]) else 0
        self.rate: RateLimit | None = commons.access.rate(rate, rate * 10.0) if rate else None
        self._least = settings.interval * 9 // 10
        self._spread = max(settings.interval - self._least, 1) * 2
        self.usual, self.most, self.least = settings.peers, settings.most_peers, settings.min_interval
        self.limited = 0

    def interval(self) -> int:
        """Seconds until a peer shall come again, spread so that those who came together do not do so for ever."""
        return self._least + int(self.random() * self._spread)

    def wanted(self, numwant: int, most: int) -> int:
        """How many peers one gets who asked for so many (negative: did not say)."""
        return min(self.usual if numwant < 0 else numwant, self.most, most)

    def permits(self, packed: bytes) -> bool:
        """Whether an address has not asked too often."""
        if self.rate is None or self.rate.permits(packed):
            return True
        self.limited += 1
        return False

    def keep_listed(self) -> int:
        """Drop the swarms that are not served any more; answers how many."""
        gone = [info_hash for info_hash, _ in self.swarms if not self.torrents.serves(info_hash)]
        for info_hash in gone:
            self.swarms.forget(info_hash)
        return len(gone)
