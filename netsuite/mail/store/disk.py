"""The mail store's log on disk.

Below its folder: ``journal/log.NUMBER`` with all records, small messages inside them; ``blobs/`` with big messages,
each whole and durable before its record is written; ``index/snapshot.NUMBER``, the state after so many records.

The two newest snapshots are kept. A journal file is removed when all its records are older than the elder of them
and none of its messages is needed any more; what is still needed of a file that is mostly waste is written anew. So
whatever single file is damaged, there is another way to the same state, or a clear complaint.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.logger import Logger

from netsuite.common.errors import StartError, Unavailable
from netsuite.common.storage.files import FileLayer, Files
from netsuite.common.storage.journal import Defer, Journal, JournalBroken, Later, Placed, StorageFull
from netsuite.common.storage.records import Damaged
from netsuite.mail.store.errors import NoSuchMessage
from netsuite.mail.store.model import Model, Place
from netsuite.mail.store.snapshot import Frozen, decode, encode, freeze

__all__ = ["DiskLog"]

_log = Logger()

INLINE: Final = 64 << 10
"""A message of more bytes is a file of its own."""
SEGMENT: Final = 16 << 20
EVERY: Final = 20_000
"""Records between two snapshots, at least; of a big store as many as half its messages."""
MANY: Final = 16
"""Journal files between two snapshots at most."""
WASTE: Final = 4
"""A journal file is written anew when less than one part in so many is needed."""
BATCH: Final = 8 << 20
"""Bytes that are written anew at a time."""

_LENGTH: Final = struct.Struct(">I")
_SNAPSHOT: Final = "snapshot."


class DiskLog:
    """Keeps records and messages below a folder.

    ``commits`` runs the journal's writes, ``work`` everything else, in threads; ``later`` lets the journal gather (see
    there). ``inline``, ``segment`` and ``every``
    are the measures named above.
    """

    def __init__(
        self,
        folder: Path,
        commits: Defer,
        work: Defer,
        *,
        later: Later | None = None,
        files: FileLayer | None = None,
        inline: int = INLINE,
        segment: int = SEGMENT,
        every: int = EVERY,
    ) -> None:
        self._files: FileLayer = files or Files()
        self._folder = folder
        self._blobs = folder / "blobs"
        self._index = folder / "index"
        self._journal = Journal(folder / "journal", "log", commits, later=later, files=self._files, segment=segment)
        self._work = work
        self._inline = inline
        self._segment = segment
        self._every = every
        self._since = 0
        self._written = 0
        self._snapshots: list[int] = []
        self._dead: list[str] = []
        self._tidying: Deferred[None] | None = None

    def open(self, now: int) -> Model:
        """The state that all records make; blocks. Raises StartError."""
        try:
            for folder in (self._folder, self._blobs, self._index):
                self._files.make_folder(folder)
            model = self._newest()
            self._replay(model, now)
            self._sweep(model)
        except Damaged as damage:
            raise StartError(f"the mail store is damaged: {damage}") from damage
        except (OSError, StorageFull) as problem:
            raise StartError(f"the mail store {self._folder} cannot be opened: {problem}") from problem
        model.dropped.clear()
        return model

    def write(self, head: Sequence[Any], body: bytes = b"") -> Deferred[tuple[int, Place]]:
        """Append a record."""
        start = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
        self._written += len(start) + len(body)
        record = self._journal.place(b"".join((_LENGTH.pack(len(start)), start, body)))
        return record.addCallback(_written, _LENGTH.size + len(start))

    def put(self, data: bytes) -> Awaitable[str] | None:
        """Write a big message to a file of its own."""
        if len(data) <= self._inline:
            return None
        return cast("Awaitable[str]", self._work(self._put, data))

    def withdraw(self, name: str) -> None:
        """Remove a file whose record was not written."""
        self._dead.append(name)

    def read(self, place: Place, start: int, length: int) -> bytes | Awaitable[bytes]:
        """A piece of a message: at once if the machine has it in memory, else by a thread."""
        if isinstance(place, str):
            path, offset = self._blobs / place, start
        else:
            path, offset = self._journal.path(place[0]), place[1] + start
        if length <= self._inline:
            try:
                found = self._files.part(path, offset, length, wait=False)
            except OSError as problem:
                raise _unreadable(path, problem) from problem
            if found is not None:
                return found
        return cast("Awaitable[bytes]", self._work(self._read, path, offset, length))

    def dropped(self, blobs: Iterable[tuple[int, Place]]) -> None:
        """Remember which files may go."""
        self._dead += [place for _, place in blobs if isinstance(place, str)]

    def tidy(self, model: Model) -> None:
        """Take a snapshot when there are enough new records, and remove what nobody needs."""
        self._since += 1
        if self._tidying is None and (
            self._since >= max(self._every, len(model.blobs) // 2) or self._written >= MANY * self._segment
        ):
            self._tidy(model)

    @property
    def trouble(self) -> str | None:
        """Why nothing more can be kept, if so."""
        return self._journal.broken

    async def close(self, model: Model) -> None:
        """Let everything become durable, take a snapshot, and close."""
        await self._journal.settled()
        await self._tidied()
        if self._since:
            self._tidy(model, closing=True)
            await self._tidied()
        await self._journal.close()

    async def _tidied(self) -> None:
        if self._tidying is not None:
            await _after(self._tidying)

    def _newest(self) -> Model:
        names = self._files.names(self._index)
        numbers = [name[len(_SNAPSHOT) :] for name in names if name.startswith(_SNAPSHOT)]
        self._snapshots = sorted(int(number) for number in numbers if number.isdigit())
        for number in reversed(tuple(self._snapshots)):
            path = self._snapshot(number)
            try:
                model = decode(self._files.read(path))
                if model.applied != number:
                    raise Damaged("it belongs to another moment")
                return model
            except (Damaged, OSError) as problem:
                _log.error("{path} is passed over: {problem}", path=path, problem=problem)
                self._snapshots.remove(number)
        return Model()

    def _replay(self, model: Model, now: int) -> None:
        start = model.applied
        for placed, payload in self._journal.replay(start):
            if placed.number != model.applied + 1:
                raise Damaged(f"records {model.applied + 1} to {placed.number - 1} are missing; restore a backup")
            try:
                (length,) = _LENGTH.unpack_from(payload)
                head = json.loads(payload[_LENGTH.size : _LENGTH.size + length])
                offset = placed.offset + _LENGTH.size + length
                model.replay(placed.number, head, (placed.file, offset))
            except (struct.error, ValueError, TypeError, AttributeError, LookupError) as error:
                raise Damaged(f"record {placed.number} cannot be understood ({error!r}); restore a backup") from error
        if self._journal.next_number <= model.applied:
            raise Damaged(f"records up to {model.applied} are missing; restore a backup")
        self._since = model.applied - start
        if not model.applied:
            head = ["epoch", now]
            start_of = json.dumps(head).encode()
            placed = self._journal.place_at_once(_LENGTH.pack(len(start_of)) + start_of)
            model.replay(placed.number, head, (placed.file, placed.offset))

    def _sweep(self, model: Model) -> None:
        """Remove what no record speaks of; complain of what is missing."""
        wanted = {blob.place for blob in model.blobs.values() if isinstance(blob.place, str)}
        there = set(self._files.names(self._blobs))
        for name in sorted(there - wanted):
            self._files.remove(self._blobs / name)
        for name in self._files.names(self._index):
            if not (name.startswith(_SNAPSHOT) and name[len(_SNAPSHOT) :].isdigit()):
                self._files.remove(self._index / name)
        lost = len(wanted - there)
        gone = sorted(model.live.keys() - self._journal.files)
        if lost or gone:
            _log.error(
                "{folder}: {lost} big messages and the journal files {gone} are missing; restore them from a backup",
                folder=self._folder,
                lost=lost,
                gone=gone,
            )

    def _tidy(self, model: Model, *, closing: bool = False) -> None:
        self._since = self._written = 0
        frozen = freeze(model)
        dead, self._dead = self._dead, []
        elder = self._snapshots[-1] if self._snapshots else 0
        whole = [first for first, last in self._journal.whole() if last <= elder]
        idle = [first for first in whole if first not in model.live]
        tidying = self._tidying = maybeDeferred(self._work, self._clean, frozen, dead, idle)
        if not closing:
            self._rehouse(model, {first for first in whole if 0 < model.live.get(first, 0) < self._segment // WASTE})

        def done(result: object) -> None:
            self._tidying = None
            if result is not None:
                _log.error("{folder}: no snapshot could be taken: {result}", folder=self._folder, result=result)

        tidying.addBoth(done)

    def _clean(self, frozen: Frozen, dead: list[str], idle: list[int]) -> None:
        """In a thread: a snapshot, and away with what is not needed."""
        for name in dead:
            self._files.remove(self._blobs / name)
        if frozen.applied not in self._snapshots:
            self._take(frozen)
        self._journal.discard(idle)
        del self._snapshots[:-2]
        kept = {self._snapshot(number).name for number in self._snapshots}
        for name in self._files.names(self._index):
            if name not in kept:
                self._files.remove(self._index / name)

    def _take(self, frozen: Frozen) -> None:
        path = self._snapshot(frozen.applied)
        draft = path.with_suffix(".tmp")
        self._files.remove(draft)
        self._make(draft, encode(frozen))
        self._files.rename(draft, path)
        self._files.sync_folder(self._index)
        self._snapshots.append(frozen.applied)

    def _rehouse(self, model: Model, files: set[int]) -> None:
        """Write the messages that are still needed of these files again, as many as a batch holds."""
        budget = BATCH
        for number, blob in tuple(model.blobs.items()) if files else ():
            if isinstance(blob.place, str) or blob.place[0] not in files:
                continue
            budget -= blob.length
            if budget < 0:
                return
            ensureDeferred(self._again(model, number, blob.place, blob.length))

    async def _again(self, model: Model, number: int, place: Place, length: int) -> None:
        head = ["rehouse", number]

        def durable(written: tuple[int, Place]) -> None:
            model.replay(written[0], head, written[1])

        try:
            found = self.read(place, 0, length)
            data = found if isinstance(found, bytes) else await found
            await self.write(head, data).addCallback(durable)
        except (NoSuchMessage, StorageFull, JournalBroken, Unavailable) as problem:
            _log.error("message {number} stays where it is: {problem}", number=number, problem=problem)

    def _snapshot(self, number: int) -> Path:
        return self._index / f"{_SNAPSHOT}{number:016d}"

    def _put(self, data: bytes) -> str:
        name = token_hex(16)
        path = self._blobs / name
        try:
            self._make(path, data)
            self._files.sync_folder(self._blobs)
        except OSError as problem:
            self._dead.append(name)
            raise StorageFull(f"{self._blobs}: {problem.strerror or problem}") from problem
        return name

    def _make(self, path: Path, data: bytes) -> None:
        file = self._files.create(path)
        try:
            rest = data
            while rest:
                taken = file.append([rest])
                if not taken:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                rest = rest[taken:]
            file.sync()
        finally:
            file.close()

    def _read(self, path: Path, offset: int, length: int) -> bytes:
        try:
            found = self._files.part(path, offset, length)
        except OSError as problem:
            raise _unreadable(path, problem) from problem
        assert found is not None
        if len(found) < length:
            raise _unreadable(path, "it is too short")
        return found


def _written(placed: Placed, start: int) -> tuple[int, Place]:
    return placed.number, (placed.file, placed.offset + start)


def _unreadable(path: Path, problem: object) -> NoSuchMessage:
    _log.error("{path} cannot be read: {problem}", path=path, problem=problem)
    return NoSuchMessage(f"the message cannot be read: {path.name}")


def _after(other: Deferred[Any]) -> Deferred[None]:
    """Fires when another one has."""
    waiting: Deferred[None] = Deferred()

    def go_on(result: object) -> object:
        waiting.callback(None)
        return result

    other.addBoth(go_on)
    return waiting
