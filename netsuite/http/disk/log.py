"""The log that segments make up: what is written to it, in which order, and when the index learns of it.

One thread writes, a batch at a time; the reactor decides where each record goes, and puts it into the index once it is
written. A batch that fails costs its records, nothing else: the cache goes on in memory, and tries again later.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.process import descriptors
from netsuite.common.threads import Threads
from netsuite.http.cache.content import Content
from netsuite.http.cache.stored import StoredResponse
from netsuite.http.disk.checkpoint import Checkpoint, SegmentNote
from netsuite.http.disk.content import Held, OnDisk
from netsuite.http.disk.index import UNIT, Index, Place
from netsuite.http.disk.marks import Mark, MarkLog
from netsuite.http.disk.record import Head, aligned, checks_of
from netsuite.http.disk.segments import FIRST, FOOTER_ROW, Segment, write_all

__all__ = ["CHECKPOINT", "Entry", "Log"]

CHECKPOINT: Final = "checkpoint"

_QUEUE: Final = 32 << 20
_BATCH: Final = 8 << 20
_OWN_FROM: Final = 1 << 20
_SEGMENTS: Final = 64
_LEAST_SEGMENT: Final = 1 << 20
_LARGEST_SEGMENT: Final = 256 << 20
_CHECKPOINT_EVERY: Final = 128 << 20
_MARKS_AT_MOST: Final = 65536
_PAUSE: Final = 30.0

Written = Callable[[bytes, int, bool, "StoredResponse | None", "Held | None"], object]


class Entry:
    """A record that waits to be written: a head and its body, or a head alone.

    ``unless`` is a place: of a record that is written anew, which counts only if the index still leads there.
    """

    __slots__ = ("body", "cancelled", "content", "head", "offset", "segment", "size", "stored", "unless")

    def __init__(self, head: Head, body: bytes | memoryview, stored: StoredResponse | None) -> None:
        self.head = head
        self.body = body
        self.stored = stored
        self.content: Content | None = stored.content if stored is not None else None
        self.unless: int | None = None
        self.cancelled = False
        self.segment: Segment | None = None
        self.offset = 0
        self.size = aligned(head.length + len(body))

    def encoded(self) -> list[bytes | memoryview]:
        """In the thread: what is written, filled up to the next record."""
        if not self.head.checks:
            self.head = self.head._replace(checks=checks_of(self.body))
        parts = [self.head.encoded(), self.body]
        left = -sum(map(len, parts)) % UNIT
        return [*parts, bytes(left)] if left else parts


class Log:
    """Segments, the queue before them, and the index of what is in them.

    ``written`` is told of each record that is there, ``wanted`` that room is. ``segments`` are in the order in which
    they will be evicted, at most ``files`` of them. ``drops`` counts what was not admitted, ``writes`` and
    ``written_bytes`` what was written; ``problem`` says why nothing is written at present.
    """

    _log = Logger()

    def __init__(
        self,
        folder: DataDirectory,
        budget: int,
        threads: Threads,
        seconds: Callable[[], float],
        *,
        segment_size: int | None = None,
    ) -> None:
        size = segment_size or min(max(budget // _SEGMENTS, _LEAST_SEGMENT), _LARGEST_SEGMENT)
        self.folder = folder
        self.budget = budget
        # each is open for as long as it is there, and others need descriptors too
        self.files = descriptors() // 2
        self.capacity = aligned(size)
        self.own_from = min(_OWN_FROM, self.capacity // 4)
        self.threads = threads
        self.index = Index()
        self.secret = os.urandom(16)
        self.segments: OrderedDict[int, Segment] = OrderedDict()
        self.standing: list[Mark] = []
        self.active: Segment | None = None
        self.used = self.reserved = 0
        self.sequence = 0
        self.last_number = 0
        self.drops = self.writes = self.written_bytes = self.evictions = self.reinsertions = 0
        self.problem = ""
        self.written: Written = lambda *_: None
        self.wanted: Callable[[], object] = lambda: None
        self.marks: MarkLog
        self._seconds = seconds
        self._queue: deque[Entry] = deque()
        self._queued = 0
        self._pending: dict[bytes, Entry] = {}
        self._writing = False
        self._quiet: list[Deferred[None]] = []
        self._syncing = self._unsynced = False
        self._since_checkpoint = self._marks_since = 0
        self._not_before = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self.index)

    def next_sequence(self) -> int:
        """A number for what is enqueued or marked now."""
        self.sequence += 1
        return self.sequence

    # -- what waits

    def append(self, head: Head, body: bytes | memoryview, stored: StoredResponse | None) -> bool:
        """Write a response; False if it is not admitted."""
        return self._enqueue(Entry(head, body, stored))

    def refer(self, head: Head, content: Held | OnDisk, stored: StoredResponse) -> bool:
        """Write a new head for a body that is there; False if it is not admitted."""
        entry = Entry(head._replace(segment=content.segment.number, offset=content.offset), b"", stored)
        if content.segment.own:
            entry.segment = content.segment
        return self._enqueue(entry)

    def again(self, entry: Entry) -> None:
        """Write a record anew that would be lost with its segment."""
        self.reinsertions += 1
        self._admit(entry)

    def _enqueue(self, entry: Entry) -> bool:
        room = self.used < self.budget and self._queued + entry.size <= _QUEUE
        if self._closed or not room or entry.size > self.budget // 4 or self._seconds() < self._not_before:
            self.drops += 1
            return False
        self._pending[entry.head.name] = entry
        self._admit(entry)
        return True

    def _admit(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._queued += entry.size
        self._flush()

    def cancel(self, name: bytes) -> bool:
        """What waits under a name is not wanted any more; whether there was anything."""
        entry = self._pending.pop(name, None)
        if entry is not None:
            entry.cancelled = True
        return entry is not None

    def cancel_target(self, target: bytes) -> bool:
        """The same for all variants of a target."""
        names = [name for name in self._pending if name.startswith(target)]
        for name in names:
            self.cancel(name)
        return bool(names)

    def settled(self) -> Deferred[None]:
        """Fires when nothing waits to be written."""
        done: Deferred[None] = Deferred()
        if self._writing or self._queue:
            self._quiet.append(done)
        else:
            done.callback(None)
        return done

    # -- writing

    def _flush(self) -> None:
        if self._writing or not self._queue:
            return
        batch: list[Entry] = []
        steps: list[Callable[[], object]] = []
        run: list[Entry] = []
        size = 0
        while self._queue and size < _BATCH:
            entry = self._queue.popleft()
            self._queued -= entry.size
            if entry.cancelled:
                continue
            size += entry.size
            batch.append(entry)
            own = entry.segment is not None or entry.size > self.own_from + UNIT * 64
            if own:
                steps.append(self._own(entry))
                continue
            segment = self.active
            if segment is None or segment.end + entry.size > self.capacity:
                if segment is not None:
                    segment.size = segment.end + len(segment.rows)
                    self.used -= self.capacity - segment.size
                    steps.append(partial(_seal, segment))
                segment = self.active = self._new(b"")
                segment.size = self.capacity
                self.used += self.capacity
                steps.append(segment.create)
                run = []
            if not run or run[-1].segment is not segment:
                run = []
                steps.append(partial(_write, run))
            entry.segment, entry.offset = segment, segment.end
            run.append(entry)
            segment.end += entry.size
            segment.oldest = min(segment.oldest, entry.head.sequence)
            segment.rows += FOOTER_ROW.pack(entry.head.name, self._place(entry, segment))
        if not batch:
            self._rest()
            return
        self._writing = True
        if self.crowded:
            self.wanted()
        self.threads.run(_do, steps).addCallbacks(
            self._done, self._failed, callbackArgs=(batch,), errbackArgs=(batch,)
        ).addErrback(lambda failure: self._log.failure("the cache on disk lost its way", failure))

    def _own(self, entry: Entry) -> Callable[[], object]:
        """The step that writes a record to a file of its own."""
        segment = entry.segment
        if segment is None:
            segment = entry.segment = self._new(entry.head.name)
            segment.end = aligned(FIRST + len(entry.body))
            segment.size = segment.end
            self.used += segment.size
        segment.name = entry.head.name
        self.segments.setdefault(segment.number, segment)
        entry.offset = segment.end
        length = aligned(entry.head.length)
        segment.end += length
        segment.size += length
        self.used += length
        segment.oldest = min(segment.oldest, entry.head.sequence)
        return partial(_write_own, entry, segment)

    def _new(self, name: bytes) -> Segment:
        self.last_number += 1
        segment = Segment(self.folder.path, self.last_number, name=name)
        self.segments[segment.number] = segment
        return segment

    def spooled(self) -> Segment:
        """A file for a body that is still arriving; it counts once it is referred to."""
        self.last_number += 1
        return Segment(self.folder.path, self.last_number, name=b"?")

    @staticmethod
    def _place(entry: Entry, segment: Segment) -> int:
        length = entry.head.length + (0 if segment.own else len(entry.body))
        return Place(segment.number, entry.offset, length).packed()

    def adopt(self, segment: Segment) -> None:
        """A spooled body is complete; it counts from now on, and is found once it is referred to."""
        self.segments[segment.number] = segment
        self.used += segment.size

    def _done(self, _: object, batch: list[Entry]) -> None:
        for entry in batch:
            segment = entry.segment
            assert segment is not None
            self.writes += 1
            self.written_bytes += entry.size
            self._since_checkpoint += entry.size
            head = entry.head
            place = self._place(entry, segment)
            if self._pending.get(head.name) is entry:
                del self._pending[head.name]
            if entry.unless is not None:
                row = self.index.get(head.name)
                if row is None or row.place != entry.unless:
                    continue
            elif entry.cancelled:
                if segment.own and self.index.get(head.name) is None:
                    self.remove(segment)
                continue
            held = None
            memory = entry.content
            if memory is not None and entry.body and not segment.own:
                memory = memory.memory if isinstance(memory, Held) else memory
                held = Held(memory, segment, entry.offset + head.length, head.checks)
            # what was replaced in memory meanwhile does not lie here
            stored = entry.stored if entry.stored is not None and entry.stored.content is entry.content else None
            self.written(head.name, place, entry.unless is None, stored, held)
        if self.problem:
            self._log.info("the cache on disk works again")
            self.problem = ""
        self._writing = False
        if self._since_checkpoint >= _CHECKPOINT_EVERY or self._marks_since >= _MARKS_AT_MOST:
            self.checkpoint()
        self._rest()

    def _failed(self, failure: Failure, batch: list[Entry]) -> None:
        for entry in batch:
            self.drops += 1
            if self._pending.get(entry.head.name) is entry:
                del self._pending[entry.head.name]
            if entry.segment is not None and entry.segment.own:
                self.remove(entry.segment)
        # nobody knows how much of it was written: what is not in the index must not be found after a crash either
        try:
            if self.active is not None and self.active.descriptor >= 0:
                mine = [entry.offset for entry in batch if entry.segment is self.active]
                os.ftruncate(self.active.descriptor, min(mine, default=self.active.end))
        except OSError:
            self._disown()
        self.active = None
        for number in [number for number, each in self.segments.items() if each.descriptor < 0]:
            self.remove(self.segments[number])
        problem = failure.value
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            # the disk is smaller than was promised
            self.budget = min(self.budget, max(self.used - 2 * self.capacity, 8 * self.capacity))
        self.trouble(str(problem))
        self._writing = False
        self._rest()

    def _rest(self) -> None:
        if self._queue:
            self._flush()
        if not self._writing and not self._queue:
            quiet, self._quiet = self._quiet, []
            for waiting in quiet:
                waiting.callback(None)

    def trouble(self, why: str) -> None:
        """The disk fails us: say so once, and leave it alone for a while."""
        self._not_before = self._seconds() + _PAUSE
        if not self.problem:
            self._log.error(
                "the cache goes on in memory, for its disk fails: {why}; see to {folder}, or change proxy.disk",
                why=why,
                folder=str(self.folder.path),
            )
        self.problem = why
        if self.crowded:
            self.wanted()

    # -- room

    @property
    def crowded(self) -> bool:
        """Whether something has to go, so that the next segments find room."""
        much = self.used + self.reserved > self.budget - 2 * self.capacity
        return (much or len(self.segments) > self.files) and bool(self.segments)

    @property
    def full(self) -> bool:
        """Whether what is written pushes out something else."""
        return self.used > self.budget - 4 * self.capacity

    def remove(self, segment: Segment) -> None:
        """A segment and its space are not needed any more."""
        if self.segments.pop(segment.number, None) is not None:
            self.used -= segment.size
        segment.unlink()

    def clear(self) -> None:
        """Forget everything, whatever happens."""
        for name in list(self._pending):
            self.cancel(name)
        self.index = Index()
        self.active = None
        for segment in list(self.segments.values()):
            self.remove(segment)
        self.standing.clear()

    # -- marks and checkpoints

    def mark(self, mark: Mark) -> None:
        """Write a mark at once; where that fails, the next start begins empty instead."""
        self._marks_since += 1
        try:
            self.marks.add(mark)
        except OSError as problem:
            self.trouble(str(problem))
            self._disown()
            return
        if self._syncing:
            self._unsynced = True
            return
        self._sync()

    def _disown(self) -> None:
        """Without a checkpoint nothing is found again."""
        with contextlib.suppress(OSError):
            self.folder.at(CHECKPOINT).unlink(missing_ok=True)

    def _sync(self) -> None:
        self._syncing, self._unsynced = True, False
        self.threads.run(self.marks.sync).addErrback(lambda _: None).addCallback(self._synced)

    def _synced(self, _: object) -> None:
        self._syncing = False
        if self._unsynced and not self._closed:
            self._sync()

    def state(self) -> Checkpoint:
        """Everything as it is now; only while no batch is being written."""
        oldest = min((segment.oldest for segment in self.segments.values()), default=self.sequence)
        self.standing = [mark for mark in self.standing if mark.sequence > oldest]
        notes = [
            SegmentNote(each.number, each.size, each.end, each.oldest, each.name.hex())
            for each in self.segments.values()
        ]
        active = self.active
        opened, rows = (active.number, bytes(active.rows)) if active is not None else (0, b"")
        return Checkpoint(self.sequence, notes, self.standing, opened, rows, self.secret, self.index.dump())

    def checkpoint(self) -> Deferred[Any]:
        """Write down where everything is; afterwards the marks so far are not needed any more."""
        self._since_checkpoint = self._marks_since = 0
        try:
            before = self.marks.begin()
            state = self.state()
        except OSError as problem:
            self.trouble(str(problem))
            return self.settled()

        def save() -> None:
            self.folder.write(CHECKPOINT, state.encoded())
            self.marks.forget(before)

        def fell(failure: Failure) -> None:
            failure.trap(StartError, OSError)
            self.trouble(str(failure.value))

        return self.threads.run(save).addErrback(fell)

    async def close(self) -> None:
        """Write what waits, and a checkpoint."""
        self._closed = True
        await self.settled()
        await self.checkpoint()
        self.marks.close()


def _do(steps: list[Callable[[], object]]) -> None:
    for step in steps:
        step()


def _seal(segment: Segment) -> None:
    segment.seal()


def _write(run: list[Entry]) -> None:
    first = run[0]
    assert first.segment is not None
    write_all(first.segment.descriptor, [part for entry in run for part in entry.encoded()], first.offset)


def _write_own(entry: Entry, segment: Segment) -> None:
    """The body first, if it is not there, then its record, last what makes them count."""
    if segment.descriptor < 0:
        segment.create()
    if entry.body:
        entry.head = entry.head._replace(checks=checks_of(entry.body))
        write_all(segment.descriptor, [entry.body], FIRST)
    entry.head = entry.head._replace(segment=segment.number, offset=FIRST)
    write_all(segment.descriptor, [entry.head.encoded()], entry.offset)
    segment.describe(entry.offset)
