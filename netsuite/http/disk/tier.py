"""The disk tier under the memory store: finds, keeps and forgets stored responses in segment files.

What is stored is also written, in batches, by a thread; what the thread cannot keep up with is not, and on a full disk
what is new is not (:class:`~netsuite.http.disk.doorkeeper.Doorkeeper`). So memory may lose what it likes, and a restart
finds what was there, hot or not. Lookups ask the
:class:`~netsuite.http.disk.index.Index` and read one span of a file; what they find is checked before it is believed.

```
 put ----> queue --batch--> open segment --full--> sealed ... oldest --room wanted--> used since? written anew
 purge --> index, mark log                                                            else forgotten, file unlinked
```
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netsuite.common.errors import Overloaded
from netsuite.common.threads import Threads
from netsuite.http.cache.content import Content, InMemory
from netsuite.http.cache.purges import Purge
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import StoredResponse
from netsuite.http.cache.tags import tags_of
from netsuite.http.disk.content import Held, OnDisk, readable
from netsuite.http.disk.doorkeeper import Doorkeeper
from netsuite.http.disk.eviction import Eviction
from netsuite.http.disk.index import Index, Place, Row, name_of, target_of
from netsuite.http.disk.log import Log
from netsuite.http.disk.marks import TARGET, VARIANT, Mark
from netsuite.http.disk.record import Head, checks_of, head_of, read_head
from netsuite.http.disk.segments import Segment
from netsuite.http.reading import read_now, read_waiting

__all__ = ["DiskTier"]

PURGE: Final = 16
"""The kind of mark that holds a purge by prefix or tag, or a soft one."""

_STANDING_AT_MOST: Final = 256

_REFER_FROM: Final = 4096
"""Bodies from this size on are not written again for a new head."""


class _Read(NamedTuple):
    """What a row led to: ``verdict`` is empty if it is a whole record of the key."""

    verdict: str
    head: Head | None = None
    segment: Segment | None = None
    body: bytes | None = None


class DiskTier:
    """Stored responses on disk; see the module's docstring and :class:`netsuite.http.cache.store.LowerTier`.

    ``judges`` say, for each kind of standing mark, whether a payload speaks of a stored response that is older than
    the mark. ``targets`` are the fields that may rule a response in place of Cache-Control. ``keep_in_memory`` makes a
    content of a body that was read. ``reads``, ``failures`` (I/O errors) and ``damaged`` (records that were not whole)
    count.
    """

    _log = Logger()

    def __init__(self, log: Log, readers: Threads, call_later: Callable[..., Any]) -> None:
        self.log = log
        self.log.written = self._written
        self.log.wanted = self._make_room
        self.readers = readers
        self.keep_in_memory: Callable[[bytes], Content] = InMemory
        self.judges: dict[int, Callable[[bytes, StoredResponse], bool]] = {PURGE: _purged}
        self.targets: tuple[bytes, ...] = ()
        self.reads = self.failures = self.damaged = 0
        self._doorkeeper = Doorkeeper()
        self._call_later = call_later
        self._eviction: Eviction | None = None
        self._closing = False

    @property
    def index(self) -> Index:
        """What is where."""
        return self.log.index

    # -- what the store asks

    def find(self, key: Key, present: Sequence[StoredResponse]) -> list[StoredResponse]:
        """The variants of a target that lie here and are not among those present, waiting for the disk if need be."""
        found = []
        for row in self._absent(key, present):
            done = self._taken(key, row, self._read(key, row, wait=True))
            if done is not None:
                found.append(done)
        return found

    def fetch(
        self, key: Key, present: Sequence[StoredResponse], adopt: Callable[[StoredResponse], object]
    ) -> Deferred[Any] | None:
        """Hand over what lies here and is not among those present; None if all could be had at once."""
        rows = self._absent(key, present)
        if not rows:
            return None
        waiting: list[Row] = []
        for row in rows:
            read = self._read(key, row, wait=False)
            if read is None:
                waiting.append(row)
            elif (stored := self._taken(key, row, read)) is not None:
                adopt(stored)
        if not waiting:
            return None
        try:
            reading = self.readers.run(lambda: [self._read(key, row, wait=True) for row in waiting])
        except Overloaded:
            return None

        def came(reads: list[_Read | None]) -> None:
            for row, read in zip(waiting, reads, strict=True):
                # it may have been purged or replaced meanwhile
                known = self.index.get(row.name)
                if known is None or known.place != row.place:
                    continue
                if (stored := self._taken(key, row, read)) is not None:
                    adopt(stored)

        return reading.addCallback(came)

    def keep(self, key: Key, stored: StoredResponse) -> None:
        """Write a stored response, in place of what has the same name; it may be dropped if the disk is behind."""
        name = name_of(key, stored.vary, stored.selection, self.log.secret)
        stored.filed = name
        had = self.log.cancel(name) | self.index.remove(name)
        content: Content = stored.content
        head = head_of(key, stored, name, self.log.next_sequence())
        kept = False
        if isinstance(content, OnDisk):
            content.broken = lambda why: self._broken(name, why)
            kept = self.log.refer(head._replace(checks=content.checks), content, stored)
        elif isinstance(content, Held) and content.size >= _REFER_FROM and content.segment.number in self.log.segments:
            kept = self.log.refer(head._replace(checks=content.checks), content, stored)
        elif (body := readable(content)) is not None and (had or not self.log.full or self._doorkeeper.knows(name)):
            kept = self.log.append(head, body, stored)
        if had and not kept:
            self._mark(VARIANT, name)

    def drop(self, stored: StoredResponse) -> None:
        """Forget one variant."""
        name = stored.filed
        if name and (self.log.cancel(name) | self.index.remove(name)):
            self._mark(VARIANT, name)

    def purge(self, key: Key) -> int:
        """Forget every variant of a target; how many there were that were written."""
        target = target_of(key, self.log.secret)
        rows = self.index.variants(target)
        for row in rows:
            self.index.remove(row.name)
        cancelled = self.log.cancel_target(target)
        if rows or cancelled:
            self._mark(TARGET, target)
        return len(rows)

    def purged(self, purge: Purge) -> None:
        """Forget, or make stale, what a purge by prefix or tag covers: as it is read, by a standing mark.

        Every read looks at the marks that are younger than its record, so there are only so many: of more, the older
        half becomes one that covers everything older.
        """
        standing = self.log.standing
        if len(standing) >= _STANDING_AT_MOST:
            half = len(standing) // 2
            everything = Mark(standing[half - 1].sequence, PURGE, Purge(prefix=b"").dump())
            standing[:half] = [everything]
            self.log.mark(everything)
        self.mark(PURGE, purge.dump())

    def use(self, stored: StoredResponse) -> None:
        """Count a use."""
        if stored.filed:
            self.index.use(stored.filed)

    def clear(self) -> None:
        """Forget everything."""
        self.log.clear()

    def mark(self, kind: int, payload: bytes) -> None:
        """Write a standing mark: from now on the judge of its kind is asked about everything older."""
        mark = Mark(self.log.next_sequence(), kind, payload)
        self.log.standing.append(mark)
        self.log.mark(mark)

    # -- reading

    def _absent(self, key: Key, present: Sequence[StoredResponse]) -> list[Row]:
        rows = self.index.variants(target_of(key, self.log.secret))
        if rows and present:
            names = {stored.filed for stored in present}
            rows = [row for row in rows if row.name not in names]
        return rows

    def _read(self, key: Key, row: Row, *, wait: bool) -> _Read | None:
        """What a row leads to; None if that has to be waited for. In the reactor or in a thread; changes nothing."""
        place = Place.unpacked(row.place)
        segment = self.log.segments.get(place.segment)
        if segment is None:
            return _Read("gone")
        try:
            data = self._span(segment, place.offset, place.offset + place.length, wait)
            if data is None:
                return None
            head = read_head(data)
            if head is None or head.name != row.name:
                return _Read("no such record")
            if head.key != key:
                return _Read("another target")
            holder: Segment | None = segment
            start = place.offset + head.length
            if head.segment:
                holder, start = self.log.segments.get(head.segment), head.offset
                if holder is None:
                    return _Read("gone")
            head = head._replace(offset=start)
            if head.size > self.log.own_from:
                return _Read("", head, holder)
            if not head.segment and len(data) >= head.length + head.size:
                body: bytes | None = data[head.length : head.length + head.size]
            else:
                assert holder is not None
                body = self._span(holder, start, start + head.size, wait)
                if body is None:
                    return None
        except OSError as problem:
            return _Read(f"unreadable: {problem}")
        if len(body or b"") != head.size or not (row.verified or checks_of(body or b"") == head.checks):
            return _Read("the body is not whole")
        return _Read("", head, holder, body)

    @staticmethod
    def _span(segment: Segment, start: int, stop: int, wait: bool) -> bytes | None:
        data = read_now(segment.descriptor, start, stop)
        return read_waiting(segment.descriptor, start, stop) if data is None and wait else data

    def _taken(self, key: Key, row: Row, read: _Read | None) -> StoredResponse | None:
        """The stored response that was read, unless it is not whole, or a mark speaks of it."""
        if read is None:
            return None
        head, segment = read.head, read.segment
        if head is None or segment is None:
            self._unusable(row, read.verdict)
            return None
        content: Content
        if read.body is not None:
            content = Held(self.keep_in_memory(read.body), segment, head.offset, head.checks)
            if not row.verified:
                self.index.verify(row.name)
        else:
            content = OnDisk(
                self.readers, segment, head.offset, head.size, head.checks, lambda why: self._broken(row.name, why)
            )
        stored = head.stored(content, self.targets)
        for mark in self.log.standing:
            judge = self.judges.get(mark.kind)
            if mark.sequence > head.sequence and judge is not None and judge(mark.payload, stored):
                self.index.remove(row.name)
                return None
        self.reads += 1
        self.index.use(row.name)
        return stored

    def _unusable(self, row: Row, verdict: str) -> None:
        """Forget a row that leads to nothing, unless it has been replaced."""
        if verdict == "another target":
            return
        known = self.index.get(row.name)
        if known is not None and known.place == row.place:
            self.index.remove(row.name)
        if verdict.startswith("unreadable"):
            self.failures += 1
            self.log.trouble(verdict.removeprefix("unreadable: "))
        elif verdict != "gone":
            self.damaged += 1

    def _broken(self, name: bytes, why: str) -> None:
        """A body turned out to be damaged while it was sent: nobody else shall get it."""
        row = self.index.get(name)
        if row is not None:
            self._unusable(row, why)

    # -- writing

    def _written(self, name: bytes, place: int, good: bool, stored: StoredResponse | None, held: Held | None) -> None:
        self.index.put(name, place, verified=good)
        if stored is not None and held is not None and stored.alive:
            stored.content = held

    def _mark(self, kind: int, payload: bytes) -> None:
        self.log.mark(Mark(self.log.next_sequence(), kind, payload))

    def _make_room(self) -> None:
        if self._eviction is None and not self._closing:
            self._eviction = Eviction(self.log, self.readers, self._call_later, self._evicted)
            self._eviction.start()

    def _evicted(self) -> None:
        self._eviction = None

    async def close(self) -> None:
        """Write what waits, and a checkpoint."""
        self._closing = True
        if self._eviction is not None:
            self._eviction.stop()
        await self.log.close()


def _purged(payload: bytes, stored: StoredResponse) -> bool:
    """Whether a purge takes a response that was just read; a soft one ends its freshness."""
    purge = Purge.load(payload)
    if not purge.covers(stored.key, tags_of(stored.fields)):
        return False
    if purge.soft_at is None:
        return True
    stale = stored.stale_from(purge.soft_at)
    if stale is not None:
        stored.lifetime = stale.lifetime
    return False
