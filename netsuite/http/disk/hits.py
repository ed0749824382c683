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
from typing import Final, NamedTuple, cast

from netsuite.http.cache.cache import target_key
from netsuite.http.disk.index import LENGTHS, UNIT
from netsuite.http.disk.record import quick_head
from netsuite.http.disk.tier import DiskTier
from netsuite.http.wire.lines import status_line
from netsuite.http.wire.messages import Request
from netsuite.sansio.connection import Channel

__all__ = ["DiskHits"]

_SHAPES: Final = 1024
_LONGEST: Final = 256 * 1024
_PLAIN: Final = re.compile(rb"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,2000}")
_NO_WAIT: Final = getattr(os, "RWF_NOWAIT", 0)
_LONG_WAY: Final = 255
_ONE_PIECE: Final = 16 * 1024


class _Shape(NamedTuple):
    """What requests of the same fields have in common: the beginning of their keys, and what the log says of them."""

    origin: bytes
    referer: str
    agent: str


Record = Callable[[str, str, int, int, str, str], object]
"""Told of the client's address, request line, status, size, referer, agent."""


class DiskHits:
    """The shortcut to a disk tier. ``hits`` counts."""

    __slots__ = ("_buffer", "_count", "_record", "_seconds", "_shapes", "_tier", "_view", "hits")

    def __init__(self, tier: DiskTier, seconds: Callable[[], float], record: Record) -> None:
        self._tier = tier
        self._seconds = seconds
        self._record = record
        self._shapes: dict[bytes, _Shape] = {}
        self._buffer = bytearray(_LONGEST)
        self._view = memoryview(self._buffer)
        self._count = 0
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

    def shortcut(self, data: bytes, channel: Channel) -> bytes | tuple[bytes, ...] | None:
        """The answer to exactly these bytes, or None; as StreamFactory wants it."""
        stop = data.find(b" ", 4)
        rest = data[stop:] if channel.tls is None else b"s" + data[stop:]
        shape = self._shapes.get(rest)
        if shape is None or data[:4] != b"GET ":
            return None
        target = data[4:stop]
        if _PLAIN.fullmatch(target) is None:
            return None
        key = shape.origin + target
        tier = self._tier
        log = tier.log
        name = blake2b(key, digest_size=8, key=log.secret).digest()
        packed, uses, verified = log.index.peek(name)
        if not verified or log.standing:
            return None
        self._count += 1
        if not self._count & _LONG_WAY:
            return None
        segment = log.segments.get(packed >> 36)
        length = LENGTHS[packed & 255]
        if segment is None or length > _LONGEST:
            return None
        try:
            count = os.preadv(segment.descriptor, [self._view[:length]], (packed >> 8 & 0xFFFFFFF) * UNIT, _NO_WAIT)
        except OSError:
            return None
        head = quick_head(self._buffer, name, key)
        if head is None:
            return None
        status, until, base, lines, start, size = head
        now = self._seconds()
        if now >= until or start + size > count:
            return None
        age = int(now - base)
        line = b"%b%b\r\nAge: %d\r\nCache-Status: netsuite; hit; ttl=%d\r\n\r\n" % (
            status_line(status),
            lines,
            age,
            int(until - base + 0.001) - age,
        )
        tier.reads += 1
        if uses < 3:
            log.index.use(name)
        self.hits += 1
        self._record(
            channel.peer[0], f"GET {target.decode('ascii')} HTTP/1.1", status, size, shape.referer, shape.agent
        )
        body = self._view[start : start + size]
        if size <= _ONE_PIECE:
            return b"".join((line, body))
        # it is written, or what the socket does not take is copied, before anything else is read into the buffer
        return line, cast(bytes, body) if channel.tls is None else bytes(body)
