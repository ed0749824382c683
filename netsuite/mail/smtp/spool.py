"""Where the content of messages is: small ones in memory (and in the journal), big ones in files of their own.

A :class:`Draft` collects what a client sends, in memory up to 64 KiB, then in a file that is complete and durable
before the journal speaks of it. :class:`Spool` finds the content of what waits: small messages as far as they fit into
its memory, else in the journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Lock
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netsuite.common.storage.files import AppendFile, FileLayer
from netsuite.common.storage.journal import StorageFull

__all__ = ["SMALL", "Draft", "Spool"]

_log = Logger()

SMALL: Final = 64 * 1024
"""Bytes up to which a message lives in the journal."""
_MEMORY: Final = 64 << 20
_CHUNK: Final = 256 * 1024
_WRITE: Final = 512 * 1024

Placed = tuple[int, int, int]
"""A file of the journal, an offset in it and a length."""
Defer = Callable[..., Deferred[Any]]


class Draft:
    """A message that is being received: ``head`` goes before it, made from its beginning when that is known."""

    def __init__(self, spool: Spool, ident: str, head: Callable[[bytes], bytes]) -> None:
        self.id = ident
        self.size = 0
        self._spool = spool
        self._make_head = head
        self._headed = False
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._file: AppendFile | None = None
        self.spooled = False
        """Whether it has a file."""
        # a client may go while a thread writes what it said
        self._lock = Lock()
        self._discarded = False

    def add(self, chunk: bytes) -> bool:
        """Take a chunk; true if :meth:`write` should be awaited before the next."""
        self._chunks.append(chunk)
        self.size += len(chunk)
        self._waiting += len(chunk)
        return self._waiting > (SMALL if self._file is None else _WRITE)

    async def write(self) -> None:
        """Move what has come to the file. Raises StorageFull."""
        self._settle_head()
        chunks, self._chunks, self._waiting = self._chunks, [], 0
        self.spooled = True
        await self._spool.run(self._append, chunks)

    async def finish(self) -> bytes:
        """All has come: the content if it is small, else empty, and the file is durable. Raises StorageFull."""
        self._settle_head()
        if not self.spooled:
            return b"".join(self._chunks)
        chunks, self._chunks = self._chunks, []
        await self._spool.run(self._append, chunks, last=True)
        return b""

    def discard(self) -> None:
        """It will not be taken; nobody need wait for its file to go."""
        self._chunks = []
        if self.spooled:
            self._spool.later(self._remove)

    def _settle_head(self) -> None:
        if not self._headed:
            self._headed = True
            head = self._make_head(b"".join(self._chunks))
            self._chunks.insert(0, head)
            self.size += len(head)

    def _append(self, chunks: list[bytes], last: bool = False) -> None:
        """In a thread."""
        files, path = self._spool.files, self._spool.path(self.id)
        try:
            with self._lock:
                if self._discarded:
                    return
                if self._file is None:
                    self._file = files.create(path)
                size = sum(map(len, chunks))
                if size and self._file.append(chunks) < size:
                    raise StorageFull(f"{path}: a write was cut short")
                if last:
                    file, self._file = self._file, None
                    file.sync()
                    file.close()
                    files.sync_folder(path.parent)
        except OSError as problem:
            raise StorageFull(f"{path}: {problem.strerror or problem}") from problem

    def _remove(self) -> None:
        """In a thread."""
        with self._lock:
            self._discarded = True
            file, self._file = self._file, None
            if file is not None:
                file.close()
            self._spool.files.remove(self._spool.path(self.id))


class Spool:
    """The content of what waits; ``run`` runs functions in a thread. ``memory`` is what small messages may take.

    ``journal`` tells where the journal's files are.
    """

    def __init__(
        self, folder: Path, run: Defer, files: FileLayer, journal: Callable[[int], Path], memory: int = _MEMORY
    ) -> None:
        self.folder = folder
        self._journal = journal
        self.files = files
        self._defer = run
        self._room = memory
        self._small: dict[str, bytes] = {}
        self._placed: dict[str, Placed] = {}
        self._filed: set[str] = set()

    async def run(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run something that blocks."""
        return await self._defer(lambda: function(*arguments, **named))

    def later(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run something that blocks and that nobody waits for; a file that stays goes at the next start."""
        self._defer(function, *arguments).addErrback(lambda failure: _log.warn("{failure}", failure=failure.value))

    def path(self, ident: str) -> Path:
        """A message's file."""
        return self.folder / ident

    def open(self) -> set[str]:
        """Make the folder; the messages that have a file."""
        self.files.make_folder(self.folder)
        return set(self.files.names(self.folder))

    def keep(self, ident: str, content: bytes, placed: Placed) -> None:
        """Hold the content of a small message, or remember where the journal has it."""
        if len(content) > self._room:
            self._placed[ident] = placed
            return
        self._room -= len(content)
        self._small[ident] = content

    def move(self, ident: str, placed: Placed) -> None:
        """The journal has written it anew."""
        if ident in self._placed:
            self._placed[ident] = placed

    def adopt(self, ident: str) -> None:
        """A message has a file already."""
        self._filed.add(ident)

    def small(self, ident: str) -> bytes | None:
        """The content, if it is in memory."""
        return self._small.get(ident)

    async def read(self, ident: str) -> bytes:
        """All of the content."""
        found = self._small.get(ident)
        if found is not None:
            return found
        placed = self._placed.get(ident)
        content: bytes
        if placed is None:
            content = await self.run(self.files.read, self.path(ident))
        else:
            file, offset, length = placed
            content = await self.run(self.files.part, self._journal(file), offset, length)
        return content

    async def chunks(self, ident: str) -> AsyncIterator[bytes]:
        """The content, piece by piece."""
        content = await self.read(ident)
        for at in range(0, len(content), _CHUNK):
            yield content[at : at + _CHUNK]

    def forget(self, ident: str) -> None:
        """The message is over."""
        found = self._small.pop(ident, None)
        if found is not None:
            self._room += len(found)
        elif self._placed.pop(ident, None) is not None:
            return
        elif ident in self._filed:
            self._filed.discard(ident)
            self.later(self.files.remove, self.path(ident))
