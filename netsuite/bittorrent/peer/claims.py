"""What may be claimed to be on the disk: first the data is made durable, then the record says so, never the other way.

A batch is what was written in the last seconds. A thread syncs its files and then replaces the record; one batch at a
time. What goes wrong is told (``trouble``) and tried again.

After a failed sync the system may take bytes for written that are not, so that a second sync would say nothing: the
batch's pieces are read, hashed and written again before it. And a piece that got lost is taken out of the record
before its place on the disk is written to (``withdrawing``), for a torn write must not be claimed either.

Known weakness: a sync that failed under an earlier process, while the machine has been running on, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.peer.disk import Disk
from netsuite.bittorrent.peer.folder import Facts
from netsuite.bittorrent.peer.resume import Claim, ResumeRecord

__all__ = ["Claims"]

_AGAIN: Final = 5.0


class Claims:
    """One torrent's.

    ``run`` runs a function in a thread. ``every`` is how many seconds are gathered in a batch. ``told`` is called when
    ``trouble`` or ``withdrawing`` may have changed, and ``lost`` with pieces that were written but are not there.
    """

    def __init__(
        self,
        disk: Disk,
        record: ResumeRecord | None,
        run: Callable[..., Deferred[Any]],
        clock: IReactorTime,
        every: float,
        *,
        told: Callable[[], None],
        lost: Callable[[Sequence[int]], None],
    ) -> None:
        self.trouble: BaseException | None = None
        self.withdrawing = False
        self._disk = disk
        self._record = record
        self._run = run
        self._clock = clock
        self._every = every
        self._told = told
        self._lost = lost
        self._durable = Bitfield(0)
        self._facts: list[Facts | None] = []
        self._batch: set[int] = set()
        self._again: set[int] = set()
        self._files: set[int] = set()
        self._forgotten: set[int] = set()
        self._unsaved = False
        self._busy = False
        self._stopped = False
        self._timer: IDelayedCall | None = None
        self._waiters: list[Deferred[None]] = []

    def load(self) -> Claim | None:
        """What the record says; blocks."""
        return None if self._record is None else self._record.load()

    def begin(self, durable: Bitfield, facts: list[Facts | None], claim: Claim | None) -> None:
        """Start from what is known to be durable, and from what the record claims, which may be more."""
        self._durable = durable.copy()
        self._facts = facts
        self._unsaved = self.withdrawing = claim is not None and claim.have != durable.to_bytes()

    def written(self, piece: int) -> None:
        """A piece is in its files."""
        self._batch.add(piece)

    def made(self, files: Iterable[int]) -> None:
        """Files came into being without any piece."""
        self._files.update(files)

    def forget(self, piece: int) -> None:
        """A piece is not in its files any more."""
        self._batch.discard(piece)
        self._again.discard(piece)
        self._forgotten.add(piece)
        self._durable.clear(piece)
        self._unsaved = self.withdrawing = True

    def settle(self, *, now: bool) -> None:
        """See to it that what was said is synced and claimed, at once or in a while."""
        if self._busy or self._stopped or not self._behind:
            return
        if now and self.trouble is None:
            self._sync()
        elif self._timer is None:
            self._timer = self._clock.callLater(_AGAIN if self.trouble is not None else self._every, self._sync)

    async def sync(self) -> None:
        """Sync and claim what was said so far. Raises what went wrong."""
        while self._busy:
            await self._over()
        if self._behind:
            synced = self._over()
            self._sync()
            await synced
            if self.trouble is not None:
                raise self.trouble

    def stop(self) -> None:
        """Do nothing any more unless asked by :meth:`sync`."""
        self._stopped = True
        self._cancel()

    @property
    def _behind(self) -> bool:
        return bool(self._batch or self._again or self._files or self._unsaved)

    def _over(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def _cancel(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _sync(self) -> None:
        self._cancel()
        self._busy = True
        batch, self._batch = self._batch, set()
        again, self._again = self._again, set()
        files, self._files = self._files, set()
        self._forgotten = set()
        self._unsaved = False
        durable, facts = self._durable.copy(), list(self._facts)

        def done(result: Any) -> None:
            self._busy = False
            if isinstance(result, Failure):
                self.trouble = result.value
                self._again = (batch | again | self._batch) - self._forgotten  # the latest may have suffered the same
                self._batch = set()
                self._files |= files
                self._unsaved = True
            else:
                self._facts, lost, self.trouble = result
                for piece in (batch | again).difference(lost, self._forgotten):
                    self._durable.set(piece)
                if self.trouble is not None:
                    self._unsaved = True
                elif not self._unsaved:
                    self.withdrawing = False
                if lost:
                    self._lost(lost)
            self._told()
            self.settle(now=False)
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)

        self._run(self._settle, batch, again, files, durable, facts).addBoth(done)

    def _settle(
        self, batch: set[int], again: set[int], files: set[int], durable: Bitfield, facts: list[Facts | None]
    ) -> tuple[list[Facts | None], list[int], OSError | None]:
        """In a thread: the data, then the record; an error of the record leaves the data durable."""
        disk = self._disk
        lost = disk.write_again(sorted(again))
        pieces = (batch | again).difference(lost)
        for index, found in disk.sync(disk.files_of(pieces) | files).items():
            facts[index] = found
        for piece in pieces:
            durable.set(piece)
        if self._record is not None:
            try:
                self._record.save(Claim(disk.place, durable.to_bytes(), tuple(facts)))
            except OSError as problem:
                return facts, lost, problem
        return facts, lost, None
