"""The pieces of one torrent on a disk: what is there, reading them, and writing those whose hash is right.

All that waits for a disk, and all hashing, runs in threads. What :attr:`PieceStore.have` says was hashed and written;
what the record of :mod:`~netsuite.bittorrent.peer.resume` claims is durable as well, so after a crash at any moment
nothing is claimed that is not on the disk.
"""

from __future__ import annotations

import contextlib
import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, FirstError, fail, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.cache import ReadCache
from netsuite.bittorrent.peer.claims import Claims
from netsuite.bittorrent.peer.disk import Disk
from netsuite.bittorrent.peer.folder import PASSING, Buffer, FolderLayer
from netsuite.bittorrent.peer.resume import ResumeRecord
from netsuite.common.threads import Threads

__all__ = ["Buffer", "PieceStore"]

_EXTENT: Final = 1 << 20
_CACHE: Final = 16 << 20
_CHECKERS: Final = 4
_CHECKED: Final = 8 << 20
_WRITERS: Final = 2
_WRITTEN: Final = 4 << 20
_EVERY: Final = 2.0
_AGAIN: Final = 5.0


class _Write:
    """A piece on its way to the disk."""

    __slots__ = ("answer", "blocks", "piece", "size")

    def __init__(self, piece: int, blocks: Sequence[Buffer], size: int) -> None:
        self.piece = piece
        self.blocks = blocks
        self.size = size
        self.answer: Deferred[bool] = Deferred()

    def over(self, result: bool | Failure) -> None:
        """Tell who asked, unless it does not want to know any more."""
        if not self.answer.called:
            self.answer.callback(result)


class PieceStore:
    """One torrent's pieces.

    ``have`` is current from :meth:`open` on: a piece is in it when its :meth:`write` answers True, and goes out of it
    when the disk turns out not to have it any more (``lost`` is called with its number). ``trouble`` is None, or why
    nothing can be written now ("no space left on …"); ``troubled`` is called with it whenever it changes. Pieces
    that cannot be written stay in memory and are tried again every few seconds; nothing need be fetched again.
    ``queued`` is how many bytes wait to be written: ask for less while it is large.

    ``threads`` must let many wait. Several stores may share a ``cache``. ``every`` is how many seconds pass between
    two syncs while pieces come in.
    """

    def __init__(
        self,
        metainfo: Metainfo,
        folder: FolderLayer,
        threads: Threads,
        clock: IReactorTime,
        *,
        resume: ResumeRecord | None = None,
        cache: ReadCache | None = None,
        every: float = _EVERY,
    ) -> None:
        self.have = Bitfield(metainfo.piece_count)
        self.trouble: str | None = None
        self.queued = 0
        self.lost: Callable[[int], None] = _ignore
        self.troubled: Callable[[str | None], None] = _ignore
        self._disk = Disk(metainfo, folder)
        self._folder = folder
        self._threads = threads
        self._clock = clock
        self._claims = Claims(self._disk, resume, self._run, clock, every, told=self._claims_told, lost=self._are_lost)
        self._extent = min(metainfo.piece_length, _EXTENT)
        self._extents = -(-metainfo.piece_length // self._extent)
        self._cache = cache if cache is not None else ReadCache(_CACHE)
        self._reading: dict[int, list[Deferred[memoryview]]] = {}
        self._waiting: deque[_Write] = deque()
        self._writing = 0
        self._retry: IDelayedCall | None = None
        self._problem: BaseException | None = None
        self._jobs = 0
        self._quiet: Deferred[None] | None = None
        self._closing = False

    async def open(self, progress: Callable[[int, int], None] | None = None, *, check: bool = False) -> None:
        """Find out what is there: by the record, or by hashing (``check`` hashes in any case).

        ``progress(done, of)`` is called in the reactor's thread, in pieces. Raises OSError if the folder cannot be
        used, CancelledError if :meth:`close` comes first.
        """
        claim = await self._step(self._claims.load)
        found = await self._step(self._disk.survey, None if check else claim)
        self.have = found.trusted
        right = await self._check(found.doubtful, progress)
        self._claims.begin(found.trusted, found.facts, claim)  # not before: what was not checked may be there
        for piece in right:
            self.have.set(piece)
            self._claims.written(piece)
        try:
            self._claims.made(await self._step(self._disk.make_empty, found.facts))
        except OSError:
            if not self.have.full:  # who only shares need not be able to write
                raise
        self._claims.settle(now=True)

    def read(self, piece: int, begin: int, length: int) -> Buffer | Deferred[Buffer]:
        """A block of a piece that it has: at once if it is in memory, else by a Deferred.

        The Deferred fails with OSError if the disk cannot give it; the piece is then ``lost``.
        """
        size = self._extent
        number = begin // size
        low = begin - number * size
        extent = self._cache.get((self, piece * self._extents + number))
        if extent is not None and low + length <= len(extent):
            return extent[low : low + length]
        if self._closing or not self.have[piece] or length < 0 or begin + length > self._disk.layout.size(piece):
            return fail(OSError(errno.ENODATA, f"piece {piece} has no {length} bytes at {begin}"))
        if low + length > size:  # in two extents, which nobody asks for in earnest
            return self._run(self._disk.read, piece, begin, length).addErrback(self._unread, piece)
        if extent is None and piece * self._extents + number not in self._reading:
            extent = self._peek(piece, number)
            if extent is not None:
                return extent[low : low + length]
        block: Deferred[Buffer] = self._fetch(piece, number).addCallback(lambda extent: extent[low : low + length])
        self._fetch_ahead(piece, number + 1)
        return block

    def write(self, piece: int, blocks: Sequence[Buffer]) -> Deferred[bool]:
        """Hash and write a whole piece, given in order; its bytes must not change until the answer.

        True if it is right and written, False if its hash is wrong (nothing is written). Waits while there is no
        room; fails with CancelledError when the store closes, with nothing else.
        """
        if self._closing:
            return fail(CancelledError())
        if self.have[piece]:
            return succeed(True)
        write = _Write(piece, blocks, self._disk.layout.size(piece))
        self.queued += write.size
        self._waiting.append(write)
        self._write_more()
        return write.answer

    async def sync(self) -> None:
        """Make all that was written so far durable and claimed in the record. Raises OSError if that fails."""
        await self._claims.sync()

    async def close(self) -> None:
        """Give up a check and what cannot be written, sync the rest, and close the files."""
        self._closing = True
        self._claims.stop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._give_up()
        while self._jobs:
            self._quiet = Deferred()
            await self._quiet
        with contextlib.suppress(Exception):  # what cannot be synced stays unclaimed
            await self._claims.sync()
        self._cache.forget(self)
        await self._run(self._folder.close)

    async def _check(self, pieces: list[int], progress: Callable[[int, int], None] | None) -> list[int]:
        """Those of some pieces that are right, hashed in several threads."""
        at_once = max(1, _CHECKED // (self._extent * self._extents))
        runs = iter([pieces[at : at + at_once] for at in range(0, len(pieces), at_once)])
        right: list[int] = []
        checked = 0

        async def some() -> None:
            nonlocal checked
            for run in runs:
                right.extend(await self._step(self._disk.check, run, lambda: self._closing))
                checked += len(run)
                if progress is not None:
                    progress(checked, len(pieces))

        if progress is not None:
            progress(0, len(pieces))
        try:
            await gatherResults([Deferred.fromCoroutine(some()) for _ in range(_CHECKERS)], consumeErrors=True)
        except FirstError as problem:
            problem.subFailure.raiseException()
        return right

    def _size(self, piece: int, number: int) -> int:
        """How many bytes an extent of a piece has; none if there is no such extent."""
        return max(0, min(self._extent, self._disk.layout.size(piece) - number * self._extent))

    def _peek(self, piece: int, number: int) -> memoryview | None:
        """An extent, if the system has it in memory."""
        found = self._disk.peek(piece, number * self._extent, self._size(piece, number))
        if found is None:
            return None
        extent = memoryview(found)
        self._cache.put((self, piece * self._extents + number), extent)
        return extent

    def _fetch(self, piece: int, number: int) -> Deferred[memoryview]:
        """An extent, by a thread; read once however many wait for it."""
        key = piece * self._extents + number
        answer: Deferred[memoryview] = Deferred()
        if (others := self._reading.get(key)) is not None:
            others.append(answer)
            return answer
        self._reading[key] = [answer]

        def done(result: Any) -> None:
            waiting = self._reading.pop(key)
            if isinstance(result, Failure):
                self._unread(result, piece)
            else:
                result = memoryview(result)
                if self.have[piece] and not self._closing:
                    self._cache.put((self, key), result)
            for one in waiting:
                one.callback(result)

        self._run(self._disk.read, piece, number * self._extent, self._size(piece, number)).addBoth(done)
        return answer

    def _fetch_ahead(self, piece: int, number: int) -> None:
        """Read the extent that will be asked for next."""
        key = piece * self._extents + number
        known = key in self._reading or self._cache.get((self, key)) is not None
        if number < self._extents and self._size(piece, number) and not known:
            self._fetch(piece, number).addErrback(_ignore)

    def _unread(self, problem: Failure, piece: int) -> Failure:
        """A piece cannot be read: it is not there any more, unless the system was only short of something."""
        error = problem.value
        if isinstance(error, OSError) and error.errno not in PASSING and not self._closing and self.have[piece]:
            self._are_lost((piece,))
            self._claims.settle(now=True)
        return problem

    def _are_lost(self, pieces: Sequence[int]) -> None:
        for piece in pieces:
            self.have.clear(piece)
            self._claims.forget(piece)
            for number in range(self._extents):
                self._cache.drop((self, piece * self._extents + number))
            self.lost(piece)

    def _write_more(self) -> None:
        """Give what waits to threads, several small pieces at once."""
        while self._waiting and self._writing < _WRITERS and self._retry is None and not self._claims.withdrawing:
            batch = [self._waiting.popleft()]
            size = batch[0].size
            while self._waiting and size + self._waiting[0].size <= _WRITTEN:
                batch.append(self._waiting.popleft())
                size += batch[-1].size
            self._writing += 1
            self._run(self._put, [(write.piece, write.blocks) for write in batch]).addBoth(self._written, batch)

    def _put(self, pieces: list[tuple[int, Sequence[Buffer]]]) -> tuple[list[bool], OSError | None]:
        """In a thread: hash and write pieces; whether each was right, and what stopped it before the last."""
        disk = self._disk
        right: list[bool] = []
        for piece, blocks in pieces:
            good = disk.is_hash_of(piece, blocks)
            if good:
                try:
                    disk.write(piece, blocks)
                except OSError as problem:
                    return right, problem
            right.append(good)
        return right, None

    def _written(self, result: Any, batch: list[_Write]) -> None:
        self._writing -= 1
        right, problem = ([], result.value) if isinstance(result, Failure) else result
        done, left = batch[: len(right)], batch[len(right) :]
        self._waiting.extendleft(reversed(left))
        for write, good in zip(done, right, strict=True):
            self.queued -= write.size
            if good:
                self.have.set(write.piece)
                self._claims.written(write.piece)
        if problem is not None or self._retry is None:
            self._problem = problem
        if self._closing:
            self._give_up()
        elif problem is not None and self._retry is None:
            self._retry = self._clock.callLater(_AGAIN, self._try_again)
        self._claims.settle(now=self.have.full)
        self._tell()
        for write, good in zip(done, right, strict=True):
            write.over(good)
        self._write_more()

    def _try_again(self) -> None:
        self._retry = None
        self._write_more()

    def _give_up(self) -> None:
        given_up, self._waiting = self._waiting, deque()
        for write in given_up:
            self.queued -= write.size
            write.over(Failure(CancelledError()))

    def _claims_told(self) -> None:
        self._tell()
        self._write_more()

    def _tell(self) -> None:
        problem = self._problem or self._claims.trouble
        trouble = None if problem is None else _words(problem, self._disk.place)
        if trouble != self.trouble:
            self.trouble = trouble
            self.troubled(trouble)

    def _run(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Work for a thread; counted, so that the files are not closed under it."""
        self._jobs += 1
        answer: Deferred[Any] = Deferred()

        def over(result: Any) -> None:
            self._jobs -= 1
            answer.callback(result)
            if not self._jobs and self._quiet is not None:
                quiet, self._quiet = self._quiet, None
                quiet.callback(None)

        maybeDeferred(self._threads.run, work, *arguments).addBoth(over)
        return answer

    async def _step(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """A step of the start, unless the store is closed."""
        if not self._closing:
            result = await self._run(work, *arguments)
            if not self._closing:
                return result
        raise CancelledError


def _words(problem: BaseException, place: str) -> str:
    """What is wrong, for a person."""
    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on {problem.filename or place}"
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename or place}: {problem.strerror}"
    return f"{place}: {problem}"


def _ignore(_: object) -> None:
    """Nobody listens."""
