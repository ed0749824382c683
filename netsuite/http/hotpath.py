"""Answers kept ready for requests that came before, byte for byte: the shortcut of our HTTP servers.

The key is the raw head of the request (in HTTP/2 its field list), so whatever a client sends is part of it, and nothing
unkeyed can change an answer. What is kept is a complete response; what changes with time in it (Date, Age) is filled in
once a second, and at the same moment whoever made the answer is asked whether it still stands. So a hit costs
a look-up and a comparison, and an answer outlives its truth by one second at most.

The map is bounded in bytes and forgets what is least asked for (:mod:`netsuite.sansio.s3fifo`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

from netsuite.http.wire.fieldblock import field_lines, status_field
from netsuite.http.wire.http2frames import Framed, answer_frames
from netsuite.http.wire.lines import prefixes, status_line
from netsuite.http.wire.messages import Fields, Request
from netsuite.sansio.connection import Channel
from netsuite.sansio.dates import format_date
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["HotPath", "Prepared", "StandingAnswer", "teachable"]

_ENTRY_COST: Final = 600
_LONGEST_HEAD: Final = 4096
_ONE_PIECE: Final = 16 * 1024
"""Bodies up to this size are sent in one piece with their head; longer ones are never copied."""


class Prepared(Protocol):
    """An answer that can be given again; ``status`` and ``size`` (of its body) are for the log.

    ``cost`` is the bytes that are kept for nothing else. It is not given from ``until`` on (clock time).
    """

    status: int
    size: int
    cost: int
    until: float

    def render(self, now: float) -> bytes | tuple[bytes, ...] | None:
        """The whole response as it is to be sent in this second, or None if it does not stand any more."""

    def frames(self, now: float) -> Framed | None:
        """The same for HTTP/2; None also if it is too large for this."""


class StandingAnswer:
    """A response that changes in nothing but its Date, for as long as ``valid`` says so.

    ``headers`` are complete but for Date, which comes first, and Content-Length, which comes last where ``length``
    is not None; ``body`` is what is sent, nothing for HEAD and 304. One answer is for one version of HTTP.
    """

    __slots__ = ("_after", "_before", "_body", "_headers", "_length", "_valid", "cost", "size", "status")

    until: float = math.inf

    def __init__(
        self, status: int, headers: Fields, body: bytes, length: int | None, valid: Callable[[], bool]
    ) -> None:
        self.status = status
        self.size = self.cost = len(body)
        self._headers: Fields | None = headers
        self._body = body
        self._length = length
        self._valid = valid
        self._before = self._after = b""

    def render(self, now: float) -> bytes | tuple[bytes, ...] | None:
        """The response with this second's Date."""
        if not self._valid():
            return None
        if self._headers is not None:
            # not before it is asked for: most answers that are taught never are
            self._compose(self._headers)
        head = self._before + format_date(now) + self._after
        return (head, self._body) if self._body else head

    def frames(self, now: float) -> Framed | None:
        """The response with this second's Date, for HTTP/2."""
        if not self._valid():
            return None
        if self._headers is not None:
            headers, self._headers = self._headers, None
            if self._length is not None:
                headers = [*headers, (b"content-length", b"%d" % self._length)]
            self._before, self._after = status_field(self.status), field_lines(headers)
        return answer_frames(self._before + field_lines([(b"date", format_date(now))]) + self._after, self._body)

    def _compose(self, headers: Fields) -> None:
        self._headers = None
        self._before = status_line(self.status) + prefixes[b"date"]
        lines = [b"", *(prefixes[name] + value for name, value in headers)]
        if self._length is not None:
            lines.append(b"Content-Length: %d" % self._length)
        self._after = b"\r\n".join(lines) + b"\r\n\r\n"
        if len(self._body) <= _ONE_PIECE:
            self._after += self._body
            self._body = b""


class _Hot:
    """A prepared answer as it is this second."""

    __slots__ = ("framed", "message", "note", "prepared", "until")

    def __init__(self, prepared: Prepared, note: Any) -> None:
        self.prepared = prepared
        self.note = note
        self.until = 0.0
        self.message: bytes | tuple[bytes, ...] = b""
        self.framed: Framed | None = None


def teachable(request: Request) -> bool:
    """Whether an answer to this request may be given again to the same bytes.

    They must have come alone, ask for a safe method, have no body, and leave the connection open.
    """
    return (
        request.alone
        and request.keep_alive
        and request.version >= (1, 1)
        and (request.method == b"GET" or request.method == b"HEAD")
        and not request.has_body
        and len(request.head) <= _LONGEST_HEAD
    )


class HotPath:
    """Prepared answers by request head. ``hits`` counts; ``record(note, prepared, channel)`` is told of each."""

    __slots__ = ("_find", "_find_framed", "_framed", "_known", "_record", "_seconds", "hits")

    def __init__(
        self,
        seconds: Callable[[], float],
        budget: int = 32 << 20,
        record: Callable[[Any, Prepared, Channel], None] | None = None,
    ) -> None:
        self._seconds = seconds
        self._known: S3Fifo[bytes, _Hot] = S3Fifo(budget)
        self._find: Callable[[bytes], Any] = self._known.find
        # apart, so that no bytes of one version are ever taken for the other's key
        self._framed: S3Fifo[bytes, _Hot] = S3Fifo(budget)
        self._find_framed: Callable[[bytes], Any] = self._framed.find
        self._record = record
        self.hits = 0

    def shortcut(self, data: bytes, channel: Channel) -> bytes | tuple[bytes, ...] | None:
        """The answer to exactly these bytes, or None; as StreamFactory wants it."""
        entry = self._find(data if channel.tls is None else b"s" + data)
        if entry is None:
            return None
        hot: _Hot = entry.value
        now = self._seconds()
        if now >= hot.until and not self._refreshed(entry.key, hot, now):
            return None
        entry.uses += 1
        self.hits += 1
        if self._record is not None:
            self._record(hot.note, hot.prepared, channel)
        return hot.message

    def frames(self, head: bytes, channel: Channel) -> Framed | None:
        """The answer to an HTTP/2 request by its ``head``, or None; as Http2Connection wants it."""
        entry = self._find_framed(head if channel.tls is None else b"s" + head)
        if entry is None:
            return None
        hot: _Hot = entry.value
        now = self._seconds()
        if now >= hot.until:
            prepared = hot.prepared
            hot.framed = prepared.frames(now)
            if hot.framed is None:
                self._framed.discard(entry.key)
                return None
            hot.until = min(float(int(now) + 1), prepared.until)
        entry.uses += 1
        self.hits += 1
        if self._record is not None:
            self._record(hot.note, hot.prepared, channel)
        return hot.framed

    def teach(self, request: Request, prepared: Prepared, channel: Channel, note: Any = None) -> bytes:
        """Keep an answer for requests of the same bytes, if they are :func:`teachable`; ``note`` is for the log.

        Answers the key by which :meth:`forget` drops it.
        """
        key = request.head if channel.tls is None else b"s" + request.head
        known = self._known if request.version < (2, 0) else self._framed
        known.put(key, _Hot(prepared, note), len(key) + prepared.cost + _ENTRY_COST)
        return key

    def forget(self, key: bytes | None = None) -> None:
        """Drop one answer, or all that was learnt."""
        if key is None:
            self._known.clear()
            self._framed.clear()
        else:
            self._known.discard(key)
            self._framed.discard(key)

    def _refreshed(self, key: bytes, hot: _Hot, now: float) -> bool:
        prepared = hot.prepared
        message = prepared.render(now)
        if message is None:
            self._known.discard(key)
            return False
        hot.message = message
        hot.until = min(float(int(now) + 1), prepared.until)
        return True
