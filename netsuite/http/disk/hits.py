"""Hits from disk without the long way: from a request's bytes to the segment, and from there to the socket.

Requests of one client differ in little but their target. So what follows the target (its version and all its fields) is
learnt from a request that the proxy answered from its store in the ordinary way, if nothing in it bears on the answer;
another request with the same bytes there may be answered at once from a record that is whole, fresh, and not selected
by Vary. Whatever is not plain goes the long way, as does one in 256 of what could be answered here, so that
what is asked for often comes to lie in memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, NamedTuple, cast

from netsuite.common.filespan import FileSpan
from netsuite.http.cache.cache import target_key
from netsuite.http.disk.index import LENGTHS, UNIT
from netsuite.http.disk.record import quick_head
from netsuite.http.disk.tier import DiskTier
from netsuite.http.reading import in_memory
from netsuite.http.wire.lines import status_line
from netsuite.http.wire.messages import Request
from netsuite.sansio.connection import Channel
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["DiskHits"]

_SHAPES: Final = 1024
_LONGEST: Final = 256 * 1024
_PLAIN: Final = re.compile(rb"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,2000}")
_NO_WAIT: Final = getattr(os, "RWF_NOWAIT", 0)
_LONG_WAY: Final = 255
_ONE_PIECE: Final = 16 * 1024
_COPIED: Final = 40 * 1024
_HEAD: Final = 4096
_LONG_COST: Final = 700


class _Shape(NamedTuple):
    """What requests of the same fields have in common: the beginning of their keys, and what the log says of them."""

    origin: bytes
    referer: str
    agent: str


Record = Callable[[str, str, int, int, str, str], object]
"""Told of the client's address, request line, status, size, referer, agent."""


class _Long:
    """What was read of a long record, whose body the kernel sends: its head as it is this second, and its place."""

    __slots__ = (
        "base",
        "head",
        "line",
        "lines",
        "name",
        "packed",
        "second",
        "shape",
        "size",
        "start",
        "status",
        "until",
    )

    def __init__(
        self, name: bytes, packed: int, head: tuple[int, float, float, bytes, int, int], shape: _Shape, target: bytes
    ) -> None:
        self.name = name
        self.packed = packed
        self.status, self.until, self.base, self.lines, start, self.size = head
        self.start = (packed >> 8 & 0xFFFFFFF) * UNIT + start
        self.shape = shape
        self.line = f"GET {target.decode('ascii')} HTTP/1.1"
        self.second = -1
        self.head = b""


class DiskHits:
    """The shortcut to a disk tier. ``hits`` counts; heads of long records are kept within ``budget`` bytes."""

    __slots__ = ("_buffer", "_count", "_find", "_long", "_record", "_seconds", "_shapes", "_tier", "_view", "hits")

    def __init__(self, tier: DiskTier, seconds: Callable[[], float], record: Record, budget: int) -> None:
        self._tier = tier
        self._seconds = seconds
        self._record = record
        self._shapes: dict[bytes, _Shape] = {}
        self._buffer = bytearray(_LONGEST)
        self._view = memoryview(self._buffer)
        self._count = 0
        self._long: S3Fifo[bytes, _Long] = S3Fifo(budget)
        self._find = self._long.find
        self.hits = 0

    def teach(self, request: Request, channel: Channel, note: tuple[str, str, str]) -> None:
        """A request was answered from the store, and any other of the same fields may be."""
        head = request.head
        stop = head.find(b" ", 4)
        if request.version >= (2, 0) or head[:5] != b"GET /" or not _NO_WAIT:
            return
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        origin = target_key(request.scheme, request.authority, b"/", None)[:-1]
        rest = head[stop:] if channel.tls is None else b"s" + head[stop:]
        self._shapes[rest] = _Shape(origin, note[1], note[2])

    def shortcut(self, data: bytes, channel: Channel) -> bytes | tuple[Any, ...] | None:
        """The answer to exactly these bytes, or None; as StreamFactory wants it."""
        if channel.tls is None:
            entry = self._find(data)
            if entry is not None:
                entry.uses += 1
                known: _Long = entry.value
                packed, uses, verified = self._tier.index.peek(known.name)
                if packed == known.packed and verified:
                    return self._long_answer(known, uses, channel)
                self._long.discard(data)
        return self._sought(data, channel)

    def _sought(self, data: bytes, channel: Channel) -> bytes | tuple[Any, ...] | None:
        """The same, from what the disk has."""
        stop = data.find(b" ", 4)
        rest = data[stop:] if channel.tls is None else b"s" + data[stop:]
        shape = self._shapes.get(rest)
        if shape is None or data[:4] != b"GET ":
            return None
        target = data[4:stop]
        if _PLAIN.fullmatch(target) is None:
            return None
        key = shape.origin + target
        log = self._tier.log
        name = blake2b(key, digest_size=8, key=log.secret).digest()
        packed, uses, verified = log.index.peek(name)
        segment = log.segments.get(packed >> 36)
        length = LENGTHS[packed & 255]
        if not verified or segment is None or length > _LONGEST:
            return None
        # of a long record the head is read, and the kernel sends the rest
        wanted = length if length <= _COPIED or channel.tls is not None else _HEAD
        try:
            count = os.preadv(segment.descriptor, [self._view[:wanted]], (packed >> 8 & 0xFFFFFFF) * UNIT, _NO_WAIT)
        except OSError:
            return None
        head = quick_head(self._buffer, name, key)
        if head is None:
            return None
        status, until, base, lines, start, size = head
        if start + size > count:
            if wanted != _HEAD or start > count:
                return None
            known = _Long(name, packed, head, shape, target)
            self._long.put(data, known, len(data) + len(lines) + _LONG_COST)
            return self._long_answer(known, uses, channel)
        now = self._seconds()
        if not self._counts(now >= until, name, uses):
            return None
        line = _head(status, lines, until, base, now)
        self._record(
            channel.peer[0], f"GET {target.decode('ascii')} HTTP/1.1", status, size, shape.referer, shape.agent
        )
        body = self._view[start : start + size]
        if size <= _ONE_PIECE:
            return b"".join((line, body))
        # it is written, or what the socket does not take is copied, before anything else is read into the buffer
        return line, cast(bytes, body) if channel.tls is None else bytes(body)

    def _long_answer(self, known: _Long, uses: int, channel: Channel) -> tuple[Any, ...] | None:
        now = self._seconds()
        segment = self._tier.log.segments.get(known.packed >> 36)
        if segment is None or not self._counts(now >= known.until, known.name, uses):
            return None
        if known.second != int(now):
            if not in_memory(segment.descriptor, known.start + known.size - 1):
                return None
            known.second = int(now)
            known.head = _head(known.status, known.lines, known.until, known.base, now)
        self._record(channel.peer[0], known.line, known.status, known.size, known.shape.referer, known.shape.agent)
        return known.head, FileSpan(segment, known.start, known.start + known.size)

    def _counts(self, stale: bool, name: bytes, uses: int) -> bool:
        """Count a hit, unless it is none, or the long way's turn."""
        tier = self._tier
        if stale or tier.log.standing:
            return False
        self._count += 1
        if not self._count & _LONG_WAY:
            return False
        tier.reads += 1
        if uses < 3:
            tier.index.use(name)
        self.hits += 1
        return True


def _head(status: int, lines: bytes, until: float, base: float, now: float) -> bytes:
    """The head of an answer at a moment."""
    age = int(now - base)
    left = int(until - base + 0.001) - age
    return b"%b%b\r\nAge: %d\r\nCache-Status: netsuite; hit; ttl=%d\r\n\r\n" % (status_line(status), lines, age, left)
