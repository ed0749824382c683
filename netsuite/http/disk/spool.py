"""A large body that goes to disk while it arrives: who joins late reads it from there, memory holds only a window."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from netsuite.common.errors import Overloaded
from netsuite.common.threads import Threads
from netsuite.http.disk.content import OnDisk
from netsuite.http.disk.log import Log
from netsuite.http.disk.record import PIECE, aligned
from netsuite.http.disk.segments import FIRST, Segment, write_all
from netsuite.http.reading import read_now, read_waiting

__all__ = ["Spool"]

_GUESS: Final = 64 << 20
"""Room that is reserved for a body of unknown length."""


class Spool:
    """The file of one body.

    ``written`` bytes of it may be read; ``failed`` is true when it takes no more. ``progressed`` is called
    whenever one of the two changes. Exactly one of :meth:`finish` and :meth:`discard` ends it; who writes here is then
    let go, and need not wait for the collector with all that arrived.
    """

    __slots__ = ("_buffer", "_busy", "_checks", "_finished", "_log", "_reserved", "_segment", "_size", "_threads",
                 "failed", "limit", "progressed", "written")  # fmt: skip

    def __init__(self, log: Log, threads: Threads, reserved: int, limit: int) -> None:
        self._log = log
        self._threads = threads
        self._segment: Segment = log.spooled()
        self._segment.create()
        self._reserved = reserved
        self._buffer: list[bytes] = []
        self._checks: list[int] = []
        self._size = 0
        self._busy = False
        self._finished: Deferred[OnDisk | None] | None = None
        self.failed = False
        self.written = 0
        self.limit = limit
        self.progressed = _nothing
        log.reserved += reserved
        if log.crowded:
            log.wanted()

    @classmethod
    def begun(cls, log: Log, threads: Threads, length: int | None, limit: int) -> Spool | None:
        """A new file, with room for a body of this length made; None if it cannot be had."""
        reserved = min(limit, _GUESS) if length is None else length
        if log.problem or log.used + log.reserved > log.budget + log.budget // 4:
            return None
        try:
            return cls(log, threads, reserved, limit)
        except OSError as problem:
            log.trouble(str(problem))
            return None

    def add(self, chunk: bytes) -> None:
        """More of the body arrived."""
        if self.failed:
            return
        self._buffer.append(chunk)
        self._size += len(chunk)
        if not self._busy and self._size - self.written >= PIECE:
            self._write()

    def _write(self) -> None:
        """Write all whole pieces, at the end the rest as well."""
        data = b"".join(self._buffer)
        whole = len(data) if self._finished is not None else len(data) // PIECE * PIECE
        self._buffer = [data[whole:]] if whole < len(data) else []
        self._busy = True
        try:
            writing = self._threads.run(_write, self._segment, memoryview(data)[:whole], FIRST + self.written)
        except Overloaded as problem:
            self._fell(Failure(problem))
            return
        writing.addCallbacks(self._wrote, self._fell, callbackArgs=(whole,))

    def _wrote(self, checks: list[int], count: int) -> None:
        self._busy = False
        self._checks += checks
        self.written += count
        left = self._size - self.written
        if not self.failed and (left >= PIECE or (left and self._finished is not None)):
            self._write()
        else:
            self._settle()
        self.progressed()

    def _fell(self, failure: Failure) -> None:
        self._busy = False
        self.failed = True
        self._buffer.clear()
        self._log.trouble(str(failure.value))
        self._settle()
        self.progressed()

    def _settle(self) -> None:
        done = self._finished
        if done is None or done.called or self._busy:
            return
        if self.failed:
            done.callback(None)
            return
        content = OnDisk(
            self._threads, self._segment, FIRST, self.written, self._checks or [crc32(b"")], lambda why: None
        )
        done.callback(content)

    def read(self, offset: int, stop: int) -> bytes | Deferred[bytes]:
        """Bytes that are written; may fail with OSError or Overloaded."""
        stop = min(stop, self.written, offset + PIECE)
        ready = read_now(self._segment.descriptor, FIRST + offset, FIRST + stop)
        if ready is not None and len(ready) == stop - offset:
            return ready
        return self._threads.run(read_waiting, self._segment.descriptor, FIRST + offset, FIRST + stop)

    async def finish(self) -> OnDisk | None:
        """The whole body as it lies there, for the store; None if it could not be written."""
        finished: Deferred[OnDisk | None] = Deferred()
        self._finished = finished
        if not self._busy:
            if self._size > self.written and not self.failed:
                self._write()
            else:
                self._settle()
        content = await finished
        if content is None:
            self.discard()
            return None
        self.progressed = _nothing
        self._release()
        self._segment.end = aligned(FIRST + self.written)
        self._segment.size = self._segment.end
        self._log.adopt(self._segment)
        return content

    def stop(self) -> None:
        """Take no more; what is written can still be read."""
        self.failed = True
        self._buffer.clear()

    def discard(self) -> None:
        """The body is not wanted; whoever still reads it may go on."""
        self.stop()
        self.progressed = _nothing
        self._release()
        self._log.remove(self._segment)

    def _release(self) -> None:
        self._log.reserved -= self._reserved
        self._reserved = 0


def _nothing() -> None:
    pass


def _write(segment: Segment, data: memoryview, offset: int) -> list[int]:
    """In a thread: the checksums of the pieces that were written."""
    write_all(segment.descriptor, [data], offset)
    return [crc32(data[at : at + PIECE]) for at in range(0, len(data), PIECE)]
