"""What the queue has written down: its messages, the journal that makes them durable, and the spool of their content.

:class:`Ledger` appends, reads all back at a start, writes *notes* (what became of messages) a moment after they
happened, and compacts: once most of the journal is garbage, what still waits is written anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from netsuite.common.storage.files import FileLayer, Files
from netsuite.common.storage.journal import Journal, JournalBroken, Later, Placed, StorageFull
from netsuite.mail.smtp import queued
from netsuite.mail.smtp.queued import Entry
from netsuite.mail.smtp.spool import Defer, Spool

__all__ = ["WRITE_AGAIN", "Ledger"]

_log = Logger()

WRITE_AGAIN: Final = 10.0
"""Seconds until what found no room is written again."""
_WRITE_SOON: Final = 0.02
_COMPACT_AT_ONCE: Final = 64
_OVERHEAD: Final = 1024


class Ledger:
    """``folder``, ``commit``, ``run``, ``later``, ``files`` and ``segment`` as the queue takes them.

    ``garbage`` is how many bytes of finished messages the journal may hold; ``broken`` says why it cannot write, or
    is empty.
    """

    def __init__(
        self,
        folder: Path,
        clock: IReactorTime,
        *,
        commit: Defer,
        run: Defer,
        later: Later | None,
        files: FileLayer | None,
        segment: int,
        garbage: int,
    ) -> None:
        files = files or Files()
        self._clock = clock
        self._commit = commit
        self.garbage = garbage
        self.journal = Journal(folder, "journal", commit, later=later, files=files, segment=segment)
        self.spool = Spool(folder / "spool", run, files, self.journal.path)
        self.entries: dict[str, Entry] = {}
        self.broken = ""
        self._notes: list[bytes] = []
        self._over: list[str] = []  # their drops are among the notes
        self._writing: Any = None
        self._written = self._live = 0
        self._compacting = False

    def open(self) -> None:
        """Read the journal; blocks. Raises Damaged and OSError."""
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

    async def close(self) -> None:
        """Write down what happened, and close the journal."""
        self._write_notes()
        await self.journal.close()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    # -- messages

    def append(self, record: bytes) -> Deferred[Placed]:
        """Where a record is, once it is durable. Fails with StorageFull or JournalBroken."""
        self._written += len(record)
        return self.journal.place(record)

    def enter(self, entry: Entry, content: bytes, placed: Placed, length: int) -> None:
        """A message is durable, its content at the end of a record of some length."""
        entry.number = placed.number
        self.broken = ""
        self.entries[entry.id] = entry
        self._live += _weight(entry)
        if entry.spooled:
            self.spool.adopt(entry.id)
        else:
            self.spool.keep(entry.id, content, _tail(placed, length, len(content)))

    def remove(self, entry: Entry) -> None:
        """A message is over, and its drop is written or noted."""
        del self.entries[entry.id]
        self._live -= _weight(entry)

    def complain(self, failure: Any) -> None:
        """An append failed."""
        self.broken = failure.getErrorMessage()
        if not failure.check(StorageFull, JournalBroken):
            _log.failure("the queue's journal", failure)

    # -- notes

    def note(self, operation: Iterable[bytes], over: str | None) -> None:
        """Write an operation down soon; ``over`` is the message that it ends."""
        self._notes += operation
        if over is not None:
            self._over.append(over)
        if self._writing is None:
            self._writing = self._clock.callLater(_WRITE_SOON, self._write_notes)

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
            self.complain(failure)
            if failure.check(StorageFull):
                self._notes[:0] = notes
                self._over[:0] = over
                if self._writing is None:
                    self._writing = self._clock.callLater(WRITE_AGAIN, self._write_notes)

        def durable(_: Placed) -> None:
            self.broken = ""
            for ident in over:
                self.spool.forget(ident)
            self._compact()

        self.append(b"".join(notes)).addCallbacks(durable, refused)

    # -- compaction

    def _compact(self) -> None:
        """Write what still waits anew and remove what is before it, if most of the journal is garbage."""
        if self._compacting or self._written < 2 * self._live + self.garbage:
            return
        self._compacting = True

        def over(result: Any) -> None:
            self._compacting = False
            if hasattr(result, "getErrorMessage"):
                self.complain(result)

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
            self.append(record).addCallbacks(moved, self.complain)
            if at % _COMPACT_AT_ONCE == 0:
                await self.journal.settled()
        await self.journal.settled()
        if all(entry.number >= before for entry in self.entries.values()):
            await self._commit(self.journal.forget, before)

    def _moved(self, entry: Entry, length: int, size: int, placed: Placed) -> None:
        entry.number = placed.number
        self.spool.move(entry.id, _tail(placed, length, size))


def _tail(placed: Placed, length: int, size: int) -> tuple[int, int, int]:
    """Where the last bytes of a record of some length are."""
    return placed.file, placed.offset + length - size, size


def _weight(entry: Entry) -> int:
    """About how many bytes of the journal a message needs."""
    return _OVERHEAD + (0 if entry.spooled else entry.size)
