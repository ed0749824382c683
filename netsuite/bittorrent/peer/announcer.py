"""A torrent's word to its trackers: that we are here, how far we are, that we leave; and from them, who else is.

One tracker is asked at a time, in the order of BEP 12: tier after tier, each shuffled once, and whoever answers comes
to the front of its tier. Each tracker hears ``started`` first, ``completed`` once, and ``stopped`` if it may know of
us. Between announces lies the tracker's interval; when all fail, a wait that doubles, with jitter, so that the peers
of a tracker that comes back do not all ask at once. A tracker that says when to come again (BEP 31) is left alone
until then.

    begin -> ask the trackers in turn --one answers--> wait its interval ---------+
                  ^            `------none answers---> wait, twice as long each time
                  |                                                               |
                  +--- the wait is over, the torrent completed, or wants peers ---+

Implements: BEP 3 (announces by a peer), BEP 12, BEP 31
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from netsuite.bittorrent.wire.announce import Announce, AnnounceReply, Event
from netsuite.common.commons import Runtime

__all__ = ["AnnounceFailed", "Announcer", "Pace", "Progress", "Tracker", "TrackerState", "plain"]

_log = Logger()

_SHOWN: Final = 200

Peers = Sequence[tuple[str, int]]


class AnnounceFailed(Exception):
    """A tracker did not take an announce, and why; ``retry_in`` is when it may be asked again, in seconds.

    None leaves that to us; infinity means never.
    """

    def __init__(self, reason: str, retry_in: float | None = None) -> None:
        super().__init__(reason)
        self.retry_in = retry_in


class Tracker(Protocol):
    """A client of one tracker."""

    url: str

    async def announce(self, announce: Announce) -> AnnounceReply:
        """Its answer; raises AnnounceFailed. May be cancelled."""


class Progress(Protocol):
    """Bytes since the torrent was started, and bytes that are missing."""

    @property
    def uploaded(self) -> int:
        """To other peers."""

    @property
    def downloaded(self) -> int:
        """From other peers."""

    @property
    def left(self) -> int:
        """Not here yet."""


@attrs.frozen
class Pace:
    """Times in seconds: waits after failures, bounds for what trackers say, and what a farewell may take."""

    first_retry: float = 5.0
    longest_retry: float = 1800.0
    shortest: float = 10.0
    longest: float = 86400.0
    usual_pause: float = 60.0
    farewell: float = 5.0


@attrs.define
class _Standing:
    """How we and a tracker stand: ``told`` once it took ``started``, ``approached`` once that was sent."""

    tracker: Tracker
    approached: bool = False
    told: bool = False
    not_before: float = 0.0
    ident: bytes | None = None
    reply: AnnounceReply | None = None
    trouble: str = ""


@attrs.frozen
class TrackerState:
    """A tracker as its operator sees it: what it last said of the swarm, warned of or refused.

    ``next`` is the clock time before which it is not asked again (infinity: never), 0 if it may be asked.
    """

    url: str
    ok: bool
    seeds: int | None
    leechers: int | None
    warning: str
    trouble: str
    next: float


class Announcer:
    """Announces one torrent to its ``tiers`` of trackers.

    ``progress()`` and ``wanted()`` (how many peers) are asked at each announce; ``found`` gets the addresses that
    came. ``port`` is where we take connections; ``key`` lets a tracker know us again when our address changes.
    """

    def __init__(
        self,
        runtime: Runtime,
        tiers: Sequence[Sequence[Tracker]],
        info_hash: bytes,
        peer_id: bytes,
        port: int,
        progress: Callable[[], Progress],
        found: Callable[[Peers], None],
        *,
        wanted: Callable[[], int] = lambda: 50,
        pace: Pace = Pace(),
    ) -> None:
        self._clock = runtime.clock
        self._rng: random.Random = runtime.rng
        self._tiers = [[_Standing(tracker) for tracker in tier] for tier in tiers]
        for tier in self._tiers:
            self._rng.shuffle(tier)
        self._info_hash = info_hash
        self._peer_id = peer_id
        self._port = port
        self._progress = progress
        self._found = found
        self._wanted = wanted
        self._pace = pace
        self._key = self._rng.getrandbits(32)
        self._completed = False
        self._failures = 0
        self._earliest = 0.0  # when the tracker that answered last may be asked for more
        self._running: Deferred[None] | None = None
        self._nap: Deferred[None] | None = None
        self._hungry = False

    def start(self) -> None:
        """Announce now, and from now on."""
        if self._running is None and any(self._tiers):
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addErrback(self._broken)

    def completed(self) -> None:
        """The last missing piece has come (not: nothing was missing at the start)."""
        self._completed = True
        self._wake()

    def hurry(self) -> None:
        """More peers would be welcome: ask as soon as the tracker's ``min interval`` allows."""
        if not self._hungry:
            self._hungry = True
            self._wake()

    async def stop(self, patience: float = math.inf) -> None:
        """Announce no more, and tell whoever may know of us; within ``patience`` or ``Pace.farewell`` seconds."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        leaving = [Deferred.fromCoroutine(self._leave(each)) for each in self._standings() if each.approached]
        if not leaving:
            return
        all_left = DeferredList(leaving, consumeErrors=True)
        timer = self._clock.callLater(min(patience, self._pace.farewell), all_left.cancel)
        outcomes: list[tuple[bool, Any]] = await all_left
        for good, problem in outcomes:
            if not good and not problem.check(CancelledError):
                _log.failure("a tracker was not told that we leave", problem)
        if timer.active():
            timer.cancel()

    def states(self) -> list[TrackerState]:
        """Every tracker, in the order in which they are asked."""
        return [_state(each, self._clock.seconds()) for each in self._standings()]

    @property
    def trouble(self) -> str:
        """Why no tracker answers, or nothing."""
        if not self._failures:
            return ""
        troubled = next((each for each in self._standings() if each.trouble), None)
        return f"{troubled.tracker.url}: {troubled.trouble}" if troubled is not None else "no tracker may be asked"

    # -- inside

    def _standings(self) -> Iterator[_Standing]:
        for tier in self._tiers:
            yield from tier

    def _broken(self, failure: object) -> None:
        if self._running is not None:
            _log.failure("announces have ended", failure)  # type: ignore[arg-type]

    async def _run(self) -> None:
        while any(each.not_before < math.inf for each in self._standings()):
            try:
                wait = await self._round()
            except CancelledError:
                raise
            except Exception:
                _log.failure("an announce went wrong")
                self._failures += 1
                wait = self._pace.longest_retry
            await self._sleep(min(wait, self._pace.longest))

    async def _round(self) -> float:
        """Ask the trackers in turn until one answers; the seconds until the next time."""
        for tier in self._tiers:
            for standing in list(tier):
                if standing.not_before <= self._clock.seconds() and await self._ask(standing):
                    tier.remove(standing)
                    tier.insert(0, standing)
                    self._failures = 0
                    return self._until_next(standing)
        self._failures += 1
        pace = self._pace
        wait = min(pace.first_retry * 2.0 ** min(self._failures - 1, 20), pace.longest_retry)
        wait *= self._rng.uniform(0.75, 1.25)
        soonest = min(each.not_before for each in self._standings()) - self._clock.seconds()
        return max(wait, soonest)

    def _until_next(self, standing: _Standing) -> float:
        pace, reply = self._pace, standing.reply
        assert reply is not None
        interval = min(max(reply.interval, reply.min_interval or 0, pace.shortest), pace.longest)
        pause = min(max(reply.min_interval or min(interval, pace.usual_pause), pace.shortest), interval)
        self._earliest = self._clock.seconds() + pause
        return interval

    async def _ask(self, standing: _Standing) -> bool:
        """Whether a tracker took what is to be said now."""
        if not standing.told:
            standing.approached = True
            if not await self._say(standing, Event.STARTED):
                return False
            standing.told = True
            if not self._completed:
                return True
        if not self._completed:
            return await self._say(standing, Event.NONE)
        if await self._say(standing, Event.COMPLETED):
            self._completed = False
            return True
        return False

    async def _say(self, standing: _Standing, event: Event) -> bool:
        try:
            reply = await standing.tracker.announce(self._announce(standing, event, self._wanted()))
        except AnnounceFailed as failed:
            standing.trouble = str(failed)
            if failed.retry_in is not None:
                standing.not_before = self._clock.seconds() + failed.retry_in
            return False
        standing.trouble, standing.not_before, standing.reply = "", 0.0, reply
        if reply.tracker_id is not None:
            standing.ident = reply.tracker_id
        self._hungry = False
        if reply.peers:
            self._found(reply.peers)
        return True

    async def _leave(self, standing: _Standing) -> None:
        try:
            if standing.told and self._completed:  # it came too late to be said by itself
                self._completed = False
                await standing.tracker.announce(self._announce(standing, Event.COMPLETED, 0))
            await standing.tracker.announce(self._announce(standing, Event.STOPPED, 0))
        except AnnounceFailed as failed:
            standing.trouble = str(failed)

    def _announce(self, standing: _Standing, event: Event, wanted: int) -> Announce:
        progress = self._progress()
        return Announce(
            info_hash=self._info_hash,
            peer_id=self._peer_id,
            port=self._port,
            uploaded=progress.uploaded,
            downloaded=progress.downloaded,
            left=progress.left,
            event=event,
            numwant=wanted,
            key=self._key,
            tracker_id=standing.ident,
        )

    async def _sleep(self, seconds: float) -> None:
        """Until so many seconds have passed, or there is something to say."""
        until = self._clock.seconds() + seconds
        while (now := self._clock.seconds()) < until:
            end = until
            if not self._failures:  # where no tracker answers, even news waits
                if self._completed:
                    return
                if self._hungry:
                    end = min(until, self._earliest)
            if end <= now:
                return
            self._nap = Deferred()
            timer = self._clock.callLater(end - now, self._wake)
            try:
                await self._nap
            finally:
                self._nap = None
                if timer.active():
                    timer.cancel()

    def _wake(self) -> None:
        if self._nap is not None and not self._nap.called:
            self._nap.callback(None)


def plain(text: str) -> str:
    """What a stranger said, fit for a log and a terminal: without control characters, and short."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_SHOWN]


def _state(standing: _Standing, now: float) -> TrackerState:
    reply = standing.reply
    return TrackerState(
        url=standing.tracker.url,
        ok=reply is not None and not standing.trouble,
        seeds=reply.seeds if reply is not None else None,
        leechers=reply.leechers if reply is not None else None,
        warning=reply.warning if reply is not None else "",
        trouble=standing.trouble,
        next=standing.not_before if standing.not_before > now else 0.0,
    )
