"""The queue: what was accepted is delivered or sent back, whatever happens meanwhile.

One journal holds every message with the state of each recipient. :meth:`MailQueue.accept` returns once its record is
durable; all that are accepted at the same time share one sync. What becomes of a message is written down a
moment after it happened, so a crash in between repeats an attempt: a remote server may get a message twice, our own
store recognises the queue id.

A message that is due is split into *legs*, one for each destination, which wait for their turn there: at most
``per_destination`` at once. A destination whose servers cannot be reached rests for a while, and all that waits for it
is put off together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from netsuite.common.commons import Runtime
from netsuite.common.storage.files import FileLayer, Files
from netsuite.common.storage.journal import Journal, JournalBroken, Later, Placed, StorageFull
from netsuite.mail.smtp import queued
from netsuite.mail.smtp.carrier import LOCAL, Carrier, Down
from netsuite.mail.smtp.queued import DELIVERED, FAILED, Entry, Recipient
from netsuite.mail.smtp.report import bounce
from netsuite.mail.smtp.schedule import Retries, Schedule
from netsuite.mail.smtp.spool import Defer, Spool
from netsuite.mail.smtp.trace import header_of
from netsuite.mail.smtp.wire.commands import Parameters
from netsuite.mail.smtp.wire.replies import Reply

__all__ = ["MailQueue", "QueueLimits"]

_log = Logger()

_WRITE_SOON: Final = 0.02
_WRITE_AGAIN: Final = 10.0
_COMPACT_AT_ONCE: Final = 64
_MOST_DESTINATIONS: Final = 4096
_OVERHEAD: Final = 1024
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


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


class MailQueue:
    """``folder`` is its own; ``commit`` runs the journal's writes and ``run`` other blocking work, in threads.

    ``later`` lets the journal gather (see there). ``name`` is the server's; ``record(event, ident, who, detail)`` is
    told what happens.
    """

    def __init__(
        self,
        runtime: Runtime,
        folder: Path,
        carrier: Carrier,
        *,
        name: str,
        commit: Defer,
        run: Defer,
        later: Later | None = None,
        files: FileLayer | None = None,
        retries: Retries = Retries(),
        limits: QueueLimits = QueueLimits(),
        record: Callable[[str, str, str, str], None] = lambda *_: None,
        segment: int = 64 << 20,
    ) -> None:
        files = files or Files()
        self._clock: IReactorTime = runtime.clock
        self._rng = runtime.rng
        self._carrier = carrier
        self._name = name
        self._commit = commit
        self._later = later
        self._retries = retries
        self._limits = limits
        self._record = record
        self.journal = Journal(folder, "journal", commit, later=later, files=files, segment=segment)
        self.spool = Spool(folder / "spool", run, files, self.journal.path)
        self.entries: dict[str, Entry] = {}
        self._schedule = Schedule()
        self._destinations: dict[str, _Destination] = {}
        self._eligible: dict[str, None] = {}
        self._under_way: dict[str, tuple[int, list[int]]] = {}  # legs still to come, places that changed
        self._active = 0
        self._notes: list[bytes] = []
        self._over: list[str] = []  # their drops are among the notes
        self._writing: Any = None
        self._timer: Any = None
        self._pumping = self._again = self._pump_waits = False
        self._running = False
        self._quiet: Deferred[None] | None = None
        self._written = self._live = 0
        self._compacting = False
        self._prefix = ""
        self._counter = 0
        self.broken = ""
        self.accepted = self.delivered = self.deferred = self.failed = self.bounced = 0

    # -- opening and closing

    def open(self) -> None:
        """Read the journal; blocks. Raises Damaged and OSError."""
        self._prefix = "".join(self._rng.choice(_ALPHABET) for _ in range(8))
        files = self.spool.open()
        small: dict[str, tuple[bytes, tuple[int, int, int]]] = {}
        for (number, file, offset), record in self.journal.replay():
            self._written += len(record)
            for operation in queued.operations(record):
                if operation.kind == "take":
                    entry = operation.entry()
                    entry.number = number
                    self.entries[entry.id] = entry
                    place = (file, offset + operation.at, len(operation.content))
                    small[entry.id] = operation.content, place
                elif operation.kind == "drop":
                    self.entries.pop(operation.facts["id"], None)
                    small.pop(operation.facts["id"], None)
                elif (noted := self.entries.get(operation.facts["id"])) is not None:
                    operation.amend(noted)
        for ident in files:
            known = self.entries.get(ident)
            if known is None or not known.spooled:
                self.spool.files.remove(self.spool.path(ident))
        for ident, entry in self.entries.items():
            if entry.spooled:
                self.spool.adopt(ident)
            else:
                self.spool.keep(ident, *small[ident])
            self._live += _weight(entry)
            self._schedule.put(ident, entry.due)

    def start(self) -> None:
        """Begin to deliver."""
        self._running = True
        self._pump()

    def stop(self) -> Deferred[None]:
        """Begin no more deliveries; fires when those under way are over."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._active:
            return succeed(None)
        self._quiet = Deferred()
        return self._quiet

    async def close(self) -> None:
        """Write down what happened, and close the journal."""
        self._running = False
        self._write_notes()
        await self.journal.close()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    # -- accepting

    def new_id(self) -> str:
        """A name for a message, never used before."""
        self._counter += 1
        return f"{self._prefix}{self._counter:06x}"

    @property
    def full(self) -> bool:
        """Whether it should take nothing more for now."""
        return len(self.entries) >= self._limits.messages

    def accept(
        self,
        ident: str,
        sender: str,
        recipients: Sequence[str],
        content: bytes,
        *,
        size: int,
        spooled: bool = False,
        parameters: Parameters | None = None,
        user: str | None = None,
    ) -> Deferred[None]:
        """Take a message over: fires when it is durable. Fails with StorageFull or JournalBroken.

        ``content`` is all of it, or empty if it is ``spooled``: then its file is durable already. Cancelling only
        means that nobody waits any more.
        """
        entry = Entry(
            ident,
            sender,
            [Recipient(address) for address in dict.fromkeys(recipients)],
            arrived=self._clock.seconds(),
            size=size,
            spooled=spooled,
            parameters=parameters,
            user=user,
        )
        record = b"".join(queued.take(entry, content))
        told: Deferred[None] = Deferred(_nobody_waits)

        def refused(failure: Any) -> None:
            self._complain(failure)
            if not told.called:
                told.errback(failure)

        def durable(placed: Placed) -> None:
            self._enter(entry, content, placed, len(record))
            if not told.called:
                told.callback(None)
            self._pump_soon()

        self._append(record).addCallbacks(durable, refused)
        return told

    # -- for the operator

    def flush(self, ident: str | None = None) -> int:
        """Try one message, or all, now; how many that are. Those under way are not counted."""
        now = self._clock.seconds()
        for destination in self._destinations.values():
            destination.rests_until = 0.0
        names = [ident] if ident is not None else list(self.entries)
        flushed = [name for name in names if name in self.entries and name not in self._under_way]
        for name in flushed:
            self._schedule.put(name, now)
        self._pump()
        return len(flushed)

    def under_way(self, ident: str) -> bool:
        """Whether a message is being tried now, or waits for its turn at a destination."""
        return ident in self._under_way

    @property
    def active(self) -> int:
        """Deliveries under way."""
        return self._active

    # -- delivering

    def _pump_soon(self) -> None:
        """Once for all that was accepted in this turn."""
        if self._later is None:
            self._pump()
        elif not self._pump_waits:
            self._pump_waits = True
            self._later(self._pump)

    def _pump(self) -> None:
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
                    self._split(self.entries[ident], now)
                while self._eligible and self._active < self._limits.deliveries:
                    name = next(iter(self._eligible))
                    del self._eligible[name]
                    destination = self._destinations[name]
                    leg = destination.waiting.popleft()
                    destination.active += 1
                    self._active += 1
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
        self._pump()

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
            replies = await self._carrier.carry(leg.entry, addresses, self.spool)
        except Down as unreachable:
            down = unreachable.reply
            replies = (down,) * len(addresses)
        except Exception:
            _log.failure("{ident} cannot be carried", ident=leg.entry.id)
            replies = (Reply(451, "local error, to be tried again", "4.3.0"),) * len(addresses)
        destination.active -= 1
        self._active -= 1
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
        if not self._active and self._quiet is not None:
            quiet, self._quiet = self._quiet, None
            quiet.callback(None)
        self._pump()

    def _ended(self, leg: _Leg, replies: Sequence[Reply]) -> None:
        """A leg is over; the last one of a message ends its attempt."""
        entry = leg.entry
        for place, reply in zip(leg.places, replies, strict=True):
            recipient = entry.recipients[place]
            recipient.hear(reply)
            self._record(_EVENTS[recipient.state], entry.id, recipient.address, recipient.said)
            if recipient.state == DELIVERED:
                self.delivered += 1
            elif recipient.state != FAILED:
                self.deferred += 1
        legs, changed = self._under_way[entry.id]
        changed += leg.places
        if legs > 1:
            self._under_way[entry.id] = (legs - 1, changed)
            return
        self._conclude(entry, changed)

    def _conclude(self, entry: Entry, changed: list[int]) -> None:
        """An attempt is over: what of it is written down."""
        now = self._clock.seconds()
        entry.attempts += 1
        due = self._retries.next(entry.arrived, entry.attempts, now)
        if due is not None:
            entry.due = due
        else:
            for recipient in entry.waiting():
                recipient.state = FAILED
                recipient.said = f"the message is too old; last: {recipient.said}"
                self._record("expire", entry.id, recipient.address, recipient.said)
        failed = [entry.recipients[place] for place in changed if entry.recipients[place].state == FAILED]
        self.failed += len(failed)
        over = not entry.waiting()
        operation = queued.drop(entry.id) if over else queued.note(entry, changed)
        if failed and entry.sender:
            Deferred.fromCoroutine(self._send_back(entry, failed, operation, over)).addErrback(
                lambda failure: _log.failure("a report could not be made", failure)
            )
            return
        self._notes += operation
        if over:
            self._over.append(entry.id)
        self._settled(entry, over)
        if self._writing is None:
            self._writing = self._clock.callLater(_WRITE_SOON, self._write_notes)

    def _settled(self, entry: Entry, over: bool) -> None:
        """What an attempt came to is being written down, or is."""
        del self._under_way[entry.id]
        if over:
            del self.entries[entry.id]
            self._live -= _weight(entry)
        else:
            self._schedule.put(entry.id, entry.due)

    async def _send_back(self, entry: Entry, failed: list[Recipient], operation: Iterable[bytes], over: bool) -> None:
        """Report to the sender: the report and what it is about become true together."""
        header = b""
        try:
            async for chunk in self.spool.chunks(entry.id):
                header = header_of(chunk)
                break
        except OSError:
            _log.failure("{ident}: its content cannot be read for a report", ident=entry.id)
        now = self._clock.seconds()
        ident = self.new_id()
        content = bounce(entry, failed, header, self._name, ident, now)
        parameters: Parameters = {"BODY": "8BITMIME"}
        if not header.isascii() or not entry.sender.isascii():
            parameters["SMTPUTF8"] = None
        report = Entry(ident, "", [Recipient(entry.sender)], arrived=now, size=len(content), parameters=parameters)
        while True:
            try:
                record = b"".join((*operation, *queued.take(report, content)))
                placed = await self._append(record)
                break
            except StorageFull as full:
                self.broken = str(full)
                wait: Deferred[None] = Deferred()
                self._clock.callLater(_WRITE_AGAIN, wait.callback, None)
                await wait
            except JournalBroken as broken:
                self.broken = str(broken)
                return
        self.bounced += 1
        self._record("bounce", entry.id, entry.sender, ident)
        self._settled(entry, over)
        if over:
            self.spool.forget(entry.id)
        self._enter(report, content, placed, len(record))
        self._pump()

    # -- the journal

    def _enter(self, entry: Entry, content: bytes, placed: Placed, length: int) -> None:
        entry.number = placed.number
        self.broken = ""
        self.accepted += 1
        self.entries[entry.id] = entry
        self._live += _weight(entry)
        if entry.spooled:
            self.spool.adopt(entry.id)
        else:
            self.spool.keep(entry.id, content, _tail(placed, length, len(content)))
        self._record("accept", entry.id, entry.sender, str(entry.size))
        self._schedule.put(entry.id, entry.due)

    def _append(self, record: bytes) -> Deferred[Placed]:
        self._written += len(record)
        return self.journal.place(record)

    def _write_notes(self) -> None:
        """Write down what happened since the last time; again later if the disk is full."""
        if self._writing is not None and self._writing.active():
            self._writing.cancel()
        self._writing = None
        if not self._notes:
            return
        notes, self._notes = self._notes, []
        over, self._over = self._over, []

        def refused(failure: Any) -> None:
            self._complain(failure)
            if failure.check(StorageFull):
                self._notes[:0] = notes
                self._over[:0] = over
                if self._writing is None:
                    self._writing = self._clock.callLater(_WRITE_AGAIN, self._write_notes)

        def durable(_: Placed) -> None:
            self.broken = ""
            for ident in over:
                self.spool.forget(ident)
            self._compact()

        self._append(b"".join(notes)).addCallbacks(durable, refused)

    def _complain(self, failure: Any) -> None:
        self.broken = failure.getErrorMessage()
        if not failure.check(StorageFull, JournalBroken):
            _log.failure("the queue's journal", failure)

    def _compact(self) -> None:
        """Write what still waits anew and remove what is before it, if most of the journal is garbage."""
        if self._compacting or self._written < 2 * self._live + self._limits.garbage:
            return
        self._compacting = True

        def over(result: Any) -> None:
            self._compacting = False
            if hasattr(result, "getErrorMessage"):
                self._complain(result)

        Deferred.fromCoroutine(self._rewrite()).addBoth(over)

    async def _rewrite(self) -> None:
        before = self.journal.next_number
        self._written = 0
        for at, ident in enumerate(list(self.entries)):
            entry = self.entries.get(ident)
            if entry is None or entry.number >= before:
                continue
            content = b"" if entry.spooled else await self.spool.read(ident)
            if ident not in self.entries:
                continue
            # what is noted and not yet written is part of the state that is written now
            record = b"".join(queued.take(entry, content))
            moved = partial(self._moved, entry, len(record), len(content))
            self._append(record).addCallbacks(moved, self._complain)
            if at % _COMPACT_AT_ONCE == 0:
                await self.journal.settled()
        await self.journal.settled()
        if all(entry.number >= before for entry in self.entries.values()):
            await self._commit(self.journal.forget, before)

    def _moved(self, entry: Entry, length: int, size: int, placed: Placed) -> None:
        entry.number = placed.number
        self.spool.move(entry.id, _tail(placed, length, size))


_EVENTS: Final = {queued.WAITING: "defer", DELIVERED: "deliver", FAILED: "fail"}


def _tail(placed: Placed, length: int, size: int) -> tuple[int, int, int]:
    """Where the last bytes of a record of some length are."""
    return placed.file, placed.offset + length - size, size


def _nobody_waits(_: object) -> None:
    """What a canceller does about something that happens all the same."""


def _weight(entry: Entry) -> int:
    """About how many bytes of the journal a message needs."""
    return _OVERHEAD + (0 if entry.spooled else entry.size)
