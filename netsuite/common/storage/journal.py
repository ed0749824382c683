"""A durable journal with group commit: an append is answered when it would survive a power cut.

Records go into numbered files of one folder. Whoever appends gets a Deferred; a thread writes all that has been
appended meanwhile in one go, syncs once, and then fires all their Deferreds with the records' numbers. So the
busier the journal, the more appends share one sync. Told how (``later``), it also lets the appends of the next few
turns of the reactor join, as long as they bring some: a sync costs more than such a turn.

What can fail, and what happens then:

* The disk is full (or a write fails, or is short): the file is cut back to what is durable, the appends of that
  batch fail with :class:`StorageFull`, and the journal goes on: later appends may fit again.
* A sync fails, or the cut does: nobody knows any more what the disk holds. All appends fail with
  :class:`JournalBroken` until the journal is opened anew, which reads what is really there.

At opening, a tail that was never acknowledged is cut off; damage anywhere else is an error, never a silent gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from netsuite.common.storage.files import AppendFile, FileLayer, Files
from netsuite.common.storage.records import HEAD, LONGEST, Damaged, frame, scan

__all__ = ["Journal", "JournalBroken", "Placed", "StorageFull"]

_log = Logger()

_SEGMENT: Final = 64 << 20
_AHEAD: Final = 256 << 10
_TURNS: Final = 8
"""For how many turns of the reactor a commit waits at most, while they bring more to write."""
_BARREN: Final = 2
"""How many turns in a row that bring nothing end that."""

Defer = Callable[..., Deferred[Any]]
"""Runs a function in a thread: ``defer(function, *arguments)``."""
Later = Callable[..., object]
"""Calls a function in the reactor's next turn: ``later(function, *arguments)``."""


class Placed(NamedTuple):
    """A record's number, and where its payload is: a file of the journal (the number in its name) and an offset."""

    number: int
    file: int
    offset: int


class StorageFull(Exception):
    """These records were not written: there is no room, or the write failed. Nothing else is lost."""


class JournalBroken(Exception):
    """A sync failed: what the disk holds is not known until the journal is opened anew."""


class Journal:
    """Records in order, in the files ``NAME.NUMBER`` of a folder.

    ``defer`` runs its commits (one at a time) in a thread, ``later`` a function in the next turn. ``segment`` is the
    size at which a new file is begun.
    ``commits`` and ``records`` count.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        defer: Defer,
        *,
        later: Later | None = None,
        files: FileLayer | None = None,
        segment: int = _SEGMENT,
    ) -> None:
        self._folder = folder
        self._name = name
        self._defer = defer
        self._later = later
        self._files: FileLayer = files or Files()
        self._segment = segment
        self._file: AppendFile | None = None
        self._firsts: list[int] = []
        self._size = 0
        self._number = 1
        self._waiting: list[tuple[bytes, Deferred[Placed]]] = []
        self._flying = 0
        self._committing: Deferred[None] | None = None  # from the first append that waits
        self._broken: str | None = None
        self._closed = True
        self.commits = 0
        self.records = 0

    @property
    def broken(self) -> str | None:
        """Why it takes nothing more, if so."""
        return self._broken

    @property
    def next_number(self) -> int:
        """The number that the next record gets."""
        return self._number + self._flying + len(self._waiting)

    def open(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Read what there is and make ready to append; blocks. The records with numbers above ``after``, in order.

        Exhaust it before anything is appended. Raises Damaged (naming file and offset) and OSError.
        """
        for placed, payload in self.replay(after):
            yield placed.number, payload

    def replay(self, after: int = 0) -> Iterator[tuple[Placed, bytes]]:
        """Open it, as :meth:`open` does, and tell of each record where it is."""
        files = self._files
        files.make_folder(self._folder)
        files.sync_folder(self._folder)
        prefix = self._name + "."
        self._firsts = sorted(
            int(name[len(prefix) :])
            for name in files.names(self._folder)
            if name.startswith(prefix) and name[len(prefix) :].isdigit()
        )
        for index, first in enumerate(self._firsts):
            last = index + 1 == len(self._firsts)
            following = None if last else self._firsts[index + 1]
            if following is not None and following <= after + 1:
                continue
            path = self.path(first)
            try:
                found = scan(files.read(path), first, last=last)
            except Damaged as damage:
                raise Damaged(f"{path}, {damage}; restore it from a backup") from None
            if following is not None and first + len(found.records) != following:
                raise Damaged(f"{path} ends before record {following}; restore it from a backup")
            at = 0
            for number, payload in found.records:
                at += HEAD
                if number > after:
                    yield Placed(number, first, at), payload
                at += len(payload)
            if last:
                self._number = first + len(found.records)
                self._size = found.size
                self._file = files.reopen(path, _AHEAD)
                if found.torn:
                    _log.info("{path}: a tail that was never acknowledged is cut at {size}", path=path, size=found.size)
                    self._file.truncate(found.size)
                self._file.sync()  # a process that died may have left what only memory holds
        if self._file is None:
            self._begin(after + 1)
        self._closed = False

    def append(self, payload: bytes) -> Deferred[int]:
        """Add a record; its number once it is durable. Fails with StorageFull or JournalBroken."""
        return self.place(payload).addCallback(_number)

    def place(self, payload: bytes) -> Deferred[Placed]:
        """Add a record, as :meth:`append` does, and tell where it is."""
        if self._broken is not None or self._closed:
            return fail(JournalBroken(self._broken or "the journal is closed"))
        if len(payload) > LONGEST:
            return fail(StorageFull(f"a record of {len(payload)} bytes is longer than {LONGEST}"))
        durable: Deferred[Placed] = Deferred()
        self._waiting.append((payload, durable))
        if self._committing is None:
            self._begin_commit()
        return durable

    def place_at_once(self, payload: bytes) -> Placed:
        """Add a record while nothing else is under way, as at a start; blocks. Raises StorageFull and OSError."""
        assert self._committing is None, "appends are under way"
        file, offset = self._write([payload])
        self._number += 1
        return Placed(self._number - 1, file, offset + HEAD)

    def settled(self) -> Deferred[None]:
        """Fires when all that was appended so far is durable or has failed."""
        done: Deferred[None] = Deferred()
        commits = 2 if self._waiting and self._flying else 1  # what waits is in the next one

        def wait(left: int) -> None:
            if left and self._committing is not None:
                self._committing.addCallback(lambda _: wait(left - 1))
            else:
                done.callback(None)

        wait(commits)
        return done

    async def close(self) -> None:
        """Take nothing more, let what was appended become durable, then close."""
        self._closed = True
        await self.settled()
        if self._file is not None:
            self._file.close()
            self._file = None

    def drop(self) -> None:
        """Close it, when nothing is under way."""
        assert self._committing is None, "appends are under way"
        self._closed = True
        if self._file is not None:
            self._file.close()
            self._file = None

    def forget(self, before: int) -> None:
        """Remove the files that hold only records with numbers below ``before``; blocks."""
        self.discard([first for first, last in self.whole() if last < before])

    def whole(self) -> list[tuple[int, int]]:
        """The files that nothing is added to any more: the numbers of their first and last records."""
        firsts = tuple(self._firsts)
        return [(first, following - 1) for first, following in pairwise(firsts)]

    @property
    def files(self) -> frozenset[int]:
        """All files, by the numbers of their first records."""
        return frozenset(self._firsts)

    def discard(self, files: Sequence[int]) -> None:
        """Remove files, by their first number; blocks. From then on only what is after them can be replayed."""
        for first in files:
            self._files.remove(self.path(first))
        if files:
            self._files.sync_folder(self._folder)
        for first in files:
            self._firsts.remove(first)

    def path(self, first: int) -> Path:
        """Where a file is."""
        return self._folder / f"{self._name}.{first:016d}"

    def _begin(self, first: int) -> None:
        """A new file, whose name is durable before its first record is."""
        path = self.path(first)
        self._files.remove(path)  # what a failed beginning may have left; it has no record yet
        file = self._files.create(path, _AHEAD)
        try:
            self._files.sync_folder(self._folder)
        except OSError:
            file.close()
            self._files.remove(path)
            raise
        if self._file is not None:
            self._file.close()
        self._file = file
        self._firsts.append(first)
        self._number = first
        self._size = 0

    def _begin_commit(self) -> None:
        settled = self._committing = Deferred()
        if self._later is None:
            self._commit(settled)
        else:
            self._later(self._gather, settled, len(self._waiting), _TURNS, _BARREN)

    def _gather(self, settled: Deferred[None], seen: int, turns: int, barren: int) -> None:
        """Commit once the turns of the reactor bring nothing more."""
        waiting = len(self._waiting)
        barren = _BARREN if waiting > seen else barren - 1
        if self._later is None or not barren or not turns:
            self._commit(settled)
        else:
            self._later(self._gather, settled, waiting, turns - 1, barren)

    def _commit(self, settled: Deferred[None]) -> None:
        """Write and sync all that waits, in the thread; then what has come meanwhile."""
        batch, self._waiting = self._waiting, []
        self._flying = len(batch)

        def done(result: Any) -> None:
            self._flying = 0
            if isinstance(result, tuple):
                file, offset = result
                number = self._number
                self._number += len(batch)
                self.commits += 1
                self.records += len(batch)
                for payload, durable in batch:
                    offset += HEAD
                    durable.callback(Placed(number, file, offset))
                    number += 1
                    offset += len(payload)
            else:
                problem = result.value
                if not isinstance(problem, StorageFull):
                    _log.failure("{folder}: the journal takes nothing more", result, folder=self._folder)
                    self._broken = f"{self._folder}: {problem}"
                    problem = JournalBroken(self._broken)
                for _, durable in batch:
                    durable.errback(problem)
            self._committing = None  # only now: what the callbacks appended belongs to one next commit
            if self._waiting:
                if self._broken is None:
                    self._begin_commit()
                else:
                    late, self._waiting = self._waiting, []
                    for _, durable in late:
                        durable.errback(JournalBroken(self._broken))
            settled.callback(None)

        self._defer(self._write, [payload for payload, _ in batch]).addBoth(done)

    def _write(self, payloads: list[bytes]) -> tuple[int, int]:
        """In the thread: one write, one sync; to which file, and where.

        StorageFull if nothing of it stays, any other error if who knows.
        """
        if self._size >= self._segment:
            try:
                self._begin(self._number)
            except OSError as problem:
                raise StorageFull(f"{self._folder}: {problem.strerror}") from problem
        file = self._file
        if file is None:
            raise JournalBroken(f"{self._folder}: no file is open")
        chunks = [part for at, payload in enumerate(payloads) for part in frame(self._number + at, payload, self._size)]
        size = sum(map(len, chunks))
        try:
            written = file.append(chunks)
            reason = "a write was cut short" if written < size else None
        except OSError as problem:
            reason = problem.strerror or str(problem)
        if reason is not None:
            file.truncate(self._size)
            raise StorageFull(f"{self._folder}: {reason}")
        file.sync()
        self._size += size
        return self._firsts[-1], self._size - size


def _number(placed: Placed) -> int:
    return placed.number
