"""Making room on disk: the oldest segment goes as a whole, what was used since it was written is written anew.

One unlink frees a segment, however many responses were in it. Up to a quarter of a segment is saved, the rest is
forgotten (FIFO with reinsertion); a large body in a file of its own that was used goes once more to the end of the
queue, which costs nothing. The index is swept in small slices between the reactor's other work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred

from netsuite.common.errors import Overloaded
from netsuite.common.job import run
from netsuite.common.threads import Threads
from netsuite.http.disk.index import Place, Row
from netsuite.http.disk.log import Entry, Log
from netsuite.http.disk.record import Head, read_head
from netsuite.http.disk.segments import Segment
from netsuite.http.reading import read_waiting

__all__ = ["Eviction"]

_SLICE: Final = 256
_SAVED: Final = 0.25
_AT_ONCE: Final = 4 << 20


class Eviction:
    """Evicts until there is room; ``done`` is called once at the end."""

    def __init__(self, log: Log, threads: Threads, call_later: Callable[..., Any], done: Callable[[], object]) -> None:
        self._log = log
        self._threads = threads
        self._call_later = call_later
        self._done = done
        self._job: Any = None

    def start(self) -> None:
        """Begin in the reactor's next turn."""
        self._call_later(0, self._begin)

    def _begin(self) -> None:
        if self._job is None:
            self._job = run(self._work(), self._over, self._fell)

    def stop(self) -> None:
        """Give it up; what is done stays done."""
        job, self._job = self._job, self
        if job is not None:
            job.cancel()

    def _over(self, _: object) -> None:
        self._done()

    def _fell(self, problem: BaseException) -> None:
        if not isinstance(problem, CancelledError):
            self._log.trouble(str(problem))
        self._done()

    async def _work(self) -> None:
        log = self._log
        while log.crowded:
            segment = next((each for each in log.segments.values() if each is not log.active), None)
            if segment is None:
                return
            if segment.own:
                self._leave_own(segment)
                await self._turn()
            else:
                await self._leave(segment)

    def _leave_own(self, segment: Segment) -> None:
        log = self._log
        row = log.index.get(segment.name)
        if row is not None and row.uses:
            log.index.put(row.name, row.place, verified=row.verified)
            log.segments.move_to_end(segment.number)
            log.reinsertions += 1
            return
        if row is not None:
            log.index.remove(segment.name)
            log.evictions += 1
        log.remove(segment)

    async def _leave(self, segment: Segment) -> None:
        log = self._log
        try:
            footer = await self._threads.run(segment.footer)
        except (OSError, Overloaded):
            footer = []
        allowance = segment.size * _SAVED
        for at in range(0, len(footer), _SLICE):
            saved: list[Row] = []
            size = 0
            for name, place in footer[at : at + _SLICE]:
                row = log.index.get(name)
                if row is None or (Place.unpacked(row.place).segment != segment.number and not row.uses):
                    continue
                length = Place.unpacked(place).length
                if row.uses and allowance >= length and size + length <= _AT_ONCE:
                    allowance -= length
                    size += length
                    saved.append(row)
                elif row.place == place:
                    log.index.remove(name)
                    log.evictions += 1
            if saved:
                try:
                    entries = await self._threads.run(_copies, log, saved, segment)
                except (OSError, Overloaded):
                    entries = []
                for entry in entries:
                    log.again(entry)
                await log.settled()
            await self._turn()
        log.remove(segment)

    def _turn(self) -> Deferred[None]:
        """The reactor's next turn."""
        turn: Deferred[None] = Deferred()
        self._call_later(0, lambda: None if turn.called else turn.callback(None))
        return turn


def _copies(log: Log, rows: list[Row], leaving: Segment) -> list[Entry]:
    """In a thread: the records that would be lost with a segment, as they are written anew."""
    found = []
    for row in rows:
        place = Place.unpacked(row.place)
        holder = log.segments.get(place.segment)
        if holder is None:
            continue
        data = read_waiting(holder.descriptor, place.offset, place.offset + place.length)
        head = read_head(data)
        if head is None or head.name != row.name:
            continue
        if head.segment == leaving.number:
            body = read_waiting(leaving.descriptor, head.offset, head.offset + head.size)
        elif head.segment or place.segment != leaving.number:
            continue
        else:
            body = data[head.length : head.length + head.size]
        if len(body) != head.size:
            continue
        found.append(_copy(head, body, row))
    return found


def _copy(head: Head, body: bytes, row: Row) -> Entry:
    # the checksum goes along as it is: a body that was damaged before stays known to be
    entry = Entry(head._replace(segment=0, offset=0), body, None)
    entry.unless = row.place
    return entry
