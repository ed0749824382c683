"""Who is tried when, and where: messages that are due become *legs*, one for each destination.

Legs wait for their turn at a destination: at most ``per_destination`` are under way there at once. A destination whose
servers cannot be reached rests for a while, and all that waits for it is put off together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from netsuite.common.storage.journal import Later
from netsuite.mail.smtp import queued
from netsuite.mail.smtp.carrier import LOCAL, Carrier, Down
from netsuite.mail.smtp.queued import Entry
from netsuite.mail.smtp.schedule import Schedule
from netsuite.mail.smtp.spool import Spool
from netsuite.mail.smtp.wire.replies import Reply

__all__ = ["Deliveries", "QueueLimits"]

_log = Logger()

_MOST_DESTINATIONS: Final = 4096

Heard = Callable[[Entry, Sequence[int], Sequence[Reply]], None]
Concluded = Callable[[Entry, list[int]], None]


@attrs.frozen
class QueueLimits:
    """How much at once: messages in the queue, deliveries in all, at one destination, and into our own store.

    ``rest`` is how many seconds a destination that cannot be reached is left alone; ``garbage`` how many bytes of
    finished messages the journal may hold.
    """

    messages: int = 100_000
    deliveries: int = 100
    per_destination: int = 10
    local: int = 32
    rest: float = 60.0
    garbage: int = 64 << 20


class _Leg:
    """The recipients of one message at one destination, by their places in its list."""

    __slots__ = ("entry", "places")

    def __init__(self, entry: Entry, places: list[int]) -> None:
        self.entry = entry
        self.places = places


class _Destination:
    """Who waits for a destination, and whether it can be reached."""

    __slots__ = ("active", "most", "reply", "rests_until", "waiting")

    def __init__(self, most: int) -> None:
        self.most = most
        self.active = 0
        self.waiting: deque[_Leg] = deque()
        self.rests_until = 0.0
        self.reply: Reply | None = None


class Deliveries:
    """Tries the messages in ``entries`` when they are due.

    ``heard(entry, places, replies)`` is told what a leg came to, ``concluded(entry, places)`` when the last leg of an
    attempt is over; the message stays under way until :meth:`settled`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        carrier: Carrier,
        spool: Spool,
        entries: Mapping[str, Entry],
        limits: QueueLimits,
        *,
        later: Later | None,
        heard: Heard,
        concluded: Concluded,
    ) -> None:
        self._clock = clock
        self._carrier = carrier
        self._spool = spool
        self._entries = entries
        self._limits = limits
        self._later = later
        self._heard = heard
        self._concluded = concluded
        self._schedule = Schedule()
        self._destinations: dict[str, _Destination] = {}
        self._eligible: dict[str, None] = {}
        self._under_way: dict[str, tuple[int, list[int]]] = {}  # legs still to come, places that changed
        self.active = 0
        self._timer: Any = None
        self._pumping = self._again = self._pump_waits = False
        self._running = False
        self._quiet: Deferred[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._running = True
        self.pump()

    def halt(self) -> None:
        """Begin no more deliveries."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> Deferred[None]:
        """Begin no more deliveries; fires when those under way are over."""
        self.halt()
        if not self.active:
            return succeed(None)
        self._quiet = Deferred()
        return self._quiet

    def put(self, entry: Entry) -> None:
        """Try a message when it is due."""
        self._schedule.put(entry.id, entry.due)

    def flush(self, names: Sequence[str]) -> int:
        """Try these now, wherever they go; how many that are. Those under way are not counted."""
        now = self._clock.seconds()
        for destination in self._destinations.values():
            destination.rests_until = 0.0
        flushed = [name for name in names if name in self._entries and name not in self._under_way]
        for name in flushed:
            self._schedule.put(name, now)
        self.pump()
        return len(flushed)

    def under_way(self, ident: str) -> bool:
        """Whether a message is being tried now, or waits for its turn at a destination."""
        return ident in self._under_way

    def settled(self, entry: Entry, over: bool) -> None:
        """What an attempt came to is being written down, or is."""
        del self._under_way[entry.id]
        if not over:
            self.put(entry)

    def pump_soon(self) -> None:
        """Begin what is due, once for all that was accepted in this turn."""
        if self._later is None:
            self.pump()
        elif not self._pump_waits:
            self._pump_waits = True
            self._later(self.pump)

    def pump(self) -> None:
        """Begin what is due and has a place; not reentrant, so that what ends at once does not pile up."""
        self._pump_waits = False
        if self._pumping:
            self._again = True
            return
        self._pumping = True
        try:
            self._again = True
            while self._again and self._running:
                self._again = False
                now = self._clock.seconds()
                while (ident := self._schedule.take(now)) is not None:
                    self._split(self._entries[ident], now)
                while self._eligible and self.active < self._limits.deliveries:
                    name = next(iter(self._eligible))
                    del self._eligible[name]
                    destination = self._destinations[name]
                    leg = destination.waiting.popleft()
                    destination.active += 1
                    self.active += 1
                    self._heed(name)
                    Deferred.fromCoroutine(self._carry(name, destination, leg)).addErrback(
                        lambda failure: _log.failure("a delivery went wrong", failure)
                    )
        finally:
            self._pumping = False
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._schedule.next() if self._running else None
        if self._timer is not None:
            if due is not None and self._timer.getTime() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.pump()

    def _split(self, entry: Entry, now: float) -> None:
        """Make the legs of a message that is due."""
        legs: dict[str, list[int]] = {}
        for place, recipient in enumerate(entry.recipients):
            if recipient.state == queued.WAITING:
                legs.setdefault(self._carrier.destination(recipient.address), []).append(place)
        self._under_way[entry.id] = (len(legs), [])
        for name, places in legs.items():
            destination = self._destinations.get(name)
            if destination is None:
                if len(self._destinations) >= _MOST_DESTINATIONS:
                    self._forget_rested(now)
                most = self._limits.local if name == LOCAL else self._limits.per_destination
                destination = self._destinations[name] = _Destination(most)
            leg = _Leg(entry, places)
            if destination.rests_until > now and destination.reply is not None:
                self._ended(leg, (destination.reply,) * len(places))
            else:
                destination.waiting.append(leg)
                self._heed(name)

    def _forget_rested(self, now: float) -> None:
        """Destinations of which nothing is left to know."""
        for name, destination in list(self._destinations.items()):
            if not destination.active and not destination.waiting and destination.rests_until <= now:
                del self._destinations[name]

    def _heed(self, name: str) -> None:
        """Note whether a destination can take another leg; forget one that is of no interest any more."""
        destination = self._destinations[name]
        if destination.waiting and destination.active < destination.most:
            self._eligible[name] = None
        elif not destination.waiting and not destination.active and destination.rests_until <= self._clock.seconds():
            del self._destinations[name]

    async def _carry(self, name: str, destination: _Destination, leg: _Leg) -> None:
        addresses = [leg.entry.recipients[place].address for place in leg.places]
        down: Reply | None = None
        try:
            replies = await self._carrier.carry(leg.entry, addresses, self._spool)
        except Down as unreachable:
            down = unreachable.reply
            replies = (down,) * len(addresses)
        except Exception:
            _log.failure("{ident} cannot be carried", ident=leg.entry.id)
            replies = (Reply(451, "local error, to be tried again", "4.3.0"),) * len(addresses)
        destination.active -= 1
        self.active -= 1
        self._ended(leg, replies)
        if down is not None:
            destination.rests_until = self._clock.seconds() + self._limits.rest
            destination.reply = down
            waiting, destination.waiting = destination.waiting, deque()
            self._eligible.pop(name, None)
            for other in waiting:
                self._ended(other, (down,) * len(other.places))
        if self._destinations.get(name) is destination:
            self._heed(name)
        if not self.active and self._quiet is not None:
            quiet, self._quiet = self._quiet, None
            quiet.callback(None)
        self.pump()

    def _ended(self, leg: _Leg, replies: Sequence[Reply]) -> None:
        """A leg is over; the last one of a message ends its attempt."""
        entry = leg.entry
        self._heard(entry, leg.places, replies)
        legs, changed = self._under_way[entry.id]
        changed += leg.places
        if legs > 1:
            self._under_way[entry.id] = (legs - 1, changed)
            return
        self._concluded(entry, changed)
