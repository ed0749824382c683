"""Bodies that have a place on disk: held in memory as well, or read from there piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from zlib import crc32

from twisted.internet.defer import Deferred

from netsuite.common.body import BodyFailed
from netsuite.common.errors import Overloaded
from netsuite.common.filespan import FileSpan
from netsuite.common.threads import Threads
from netsuite.http.cache.content import Content
from netsuite.http.disk.record import PIECE
from netsuite.http.disk.segments import Segment
from netsuite.http.reading import in_memory, read_now, read_waiting
from netsuite.http.wire.ranges import Span

__all__ = ["Held", "OnDisk", "Pieces", "readable"]

_COST: Final = 300


class Held:
    """A body in memory that lies on disk too: a new head for it need not write it again."""

    __slots__ = ("at_hand", "body", "checks", "cost", "memory", "offset", "piece", "segment", "size", "spans")

    def __init__(self, memory: Content, segment: Segment, offset: int, checks: Sequence[int]) -> None:
        self.memory = memory
        self.body = memory.body
        self.size = memory.size
        self.cost = memory.cost
        self.spans = memory.spans
        self.piece = memory.piece
        self.at_hand = memory.at_hand
        self.segment = segment
        self.offset = offset
        self.checks = checks


def readable(content: Content) -> bytes | memoryview | None:
    """All of a content to be read at once, if it lies in memory."""
    found = content.at_hand()
    return found.view if isinstance(found, FileSpan) else found


class OnDisk:
    """A body that is read from its file whenever it is asked for; each piece is checked when it is first read.

    ``broken`` is told when a piece is not what was written.
    """

    __slots__ = ("_good", "_threads", "body", "broken", "checks", "cost", "offset", "segment", "size")

    def __init__(
        self,
        threads: Threads,
        segment: Segment,
        offset: int,
        size: int,
        checks: Sequence[int],
        broken: Callable[[str], object],
    ) -> None:
        self.body: bytes | None = None
        self.size = size
        self.cost = _COST + 37 * len(checks)
        self.segment = segment
        self.offset = offset
        self.checks = checks
        self.broken = broken
        self._threads = threads
        self._good = bytearray(len(checks))

    def spans(self) -> Sequence[Span]:
        """All of it."""
        return ((0, self.size),) if self.size else ()

    def piece(self, first: int, stop: int) -> Pieces:
        """A source of some of it."""
        return Pieces(self, first, stop)

    def at_hand(self) -> FileSpan | None:
        """All of it, if it was found whole before and lies in the kernel's memory."""
        found = self.unread(0, self.size) if self.size else None
        return found if found is not None and len(found) == self.size else None

    def ready(self, number: int) -> bytes | None:
        """A piece, if it need not be waited for; raises BodyFailed if it is not whole."""
        start = self.offset + number * PIECE
        data = read_now(self.segment.descriptor, start, min(start + PIECE, self.offset + self.size))
        return None if data is None else self._checked(number, data)

    def unread(self, first: int, stop: int) -> FileSpan | None:
        """Bytes from ``first`` on whose pieces were found whole before; None if there are none.

        They need not be read; they lie in the kernel's memory, as far as a look at the ends of each piece tells.
        """
        number = first // PIECE
        end = number
        start = self.offset
        while end * PIECE < stop and self._good[end]:
            last = min((end + 1) * PIECE, self.size)
            descriptor = self.segment.descriptor
            if not (in_memory(descriptor, start + end * PIECE) and in_memory(descriptor, start + last - 1)):
                break
            end += 1
        if end == number:
            return None
        return FileSpan(self.segment, start + first, start + min(end * PIECE, stop))

    def later(self, number: int) -> Deferred[bytes]:
        """A piece, read by a thread; fails with BodyFailed, OSError or Overloaded."""
        start = self.offset + number * PIECE
        stop = min(start + PIECE, self.offset + self.size)
        # the segment goes along, so that its file stays open until the thread is done
        return self._threads.run(_read, self.segment, start, stop).addCallback(lambda data: self._checked(number, data))

    def _checked(self, number: int, data: bytes) -> bytes:
        if len(data) != min(PIECE, self.size - number * PIECE):
            self.broken("it is cut short")
            raise BodyFailed("the stored body is cut short")
        if not self._good[number]:
            if crc32(data) != self.checks[number]:
                self.broken("its checksum is wrong")
                raise BodyFailed("the stored body is damaged")
            self._good[number] = 1
        return data


def _read(segment: Segment, start: int, stop: int) -> bytes:
    return read_waiting(segment.descriptor, start, stop)


class Pieces:
    """A source: a span of a body on disk. What must be waited for is read one piece ahead."""

    __slots__ = ("_ahead", "_at", "_content", "_stop")

    def __init__(self, content: OnDisk, first: int, stop: int) -> None:
        self._content = content
        self._at = first
        self._stop = stop
        self._ahead: Deferred[bytes] | None = None

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if self._at >= self._stop:
            raise StopAsyncIteration
        if self._ahead is None:
            span = self._content.unread(self._at, self._stop)
            if span is not None:
                self._at += len(span)
                return cast(bytes, span)  # it has a length and can be cut: all that is asked of what is sent
        number, skip = divmod(self._at, PIECE)
        ahead, self._ahead = self._ahead, None
        data = None if ahead is not None else self._content.ready(number)
        if data is None:
            try:
                data = await (ahead if ahead is not None else self._content.later(number))
            except (OSError, Overloaded) as problem:
                raise BodyFailed(f"the stored body cannot be read: {problem}") from problem
            if (number + 1) * PIECE < self._stop:
                self._read_ahead(number + 1)
        data = data[skip : min(len(data), skip + self._stop - self._at)]
        self._at += len(data)
        return data

    def _read_ahead(self, number: int) -> None:
        try:
            self._ahead = self._content.later(number)
        except Overloaded:
            return
        # it may never be waited for
        self._ahead.addErrback(self._failed)

    def _failed(self, failure: Any) -> Any:
        return failure if self._ahead is not None and self._at < self._stop else None

    async def aclose(self) -> None:
        """Read no more."""
        self._at = self._stop
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.addErrback(lambda _: None)
            ahead.cancel()
