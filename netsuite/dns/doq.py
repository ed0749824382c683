"""DNS over QUIC: each query on a stream of its own, with the messages and the answers of DNS over TCP.

What RFC 9250 calls fatal ends the connection with DOQ_PROTOCOL_ERROR: a message id other than 0, bytes behind the
message, an end inside it, streams of one direction, edns-tcp-keepalive. 0-RTT is not offered, so nothing can be
replayed.

Implements: RFC 9250 sections 4.2, 4.3, 5.1, 5.3, 5.4 and 5.5.2
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from aioquic.quic import events
from aioquic.quic.connection import QuicConnection

from netsuite.common.quic import QuicLimits, QuicMachine
from netsuite.dns.wire import codes, edns
from netsuite.dns.wire.query import Query, error, parse
from netsuite.dns.wire.stream import DnsStreamLimits, Message
from netsuite.sansio.connection import Abandon, Failed, Finish, Part, StateError

__all__ = ["ALPN", "DoqConnection", "DoqError"]

ALPN: Final = "doq"
_HEADER: Final = 12
_LONGEST: Final = 65535


class DoqError(enum.IntEnum):
    """RFC 9250 section 4.3."""

    NO_ERROR = 0
    INTERNAL_ERROR = 1
    PROTOCOL_ERROR = 2
    REQUEST_CANCELLED = 3
    EXCESSIVE_LOAD = 4


class DoqConnection(QuicMachine):
    """The server's end of one connection; its items are those of :class:`~netsuite.dns.wire.stream.DnsConnection`."""

    no_error = DoqError.NO_ERROR

    def __init__(
        self,
        quic: QuicConnection,
        seconds: Callable[[], float],
        limits: DnsStreamLimits = DnsStreamLimits(),
        transport: QuicLimits = QuicLimits(),
    ) -> None:
        super().__init__(quic, seconds, transport)
        self._limits = limits
        self._arriving: dict[int, bytearray] = {}
        self._arrived = 0
        self._owed: dict[int, bytes] = {}
        self._pouring: set[int] = set()

    def at_rest(self) -> bool:
        """Whether nothing is owed or half read."""
        return not self._owed and not self._arriving

    def transport_event(self, event: events.QuicEvent) -> None:
        """A piece of a query, or all of it; or the client takes it back, or does not want the answer."""
        if isinstance(event, events.StreamDataReceived):
            self._piece(event.stream_id, event.data, event.end_stream)
        elif isinstance(event, events.StreamReset):
            self._forget(event.stream_id)
            self._give_up(event.stream_id)
        elif isinstance(event, events.StopSendingReceived):
            self._give_up(event.stream_id)

    def _piece(self, stream: int, data: bytes, ended: bool) -> None:
        if stream & 3:
            self._break(DoqError.PROTOCOL_ERROR, "queries come on bidirectional streams of the client")
            return
        if stream in self._owed:
            self._break(DoqError.PROTOCOL_ERROR, "bytes behind the query")
            return
        buffer = self._arriving.setdefault(stream, bytearray())
        buffer += data
        self._arrived += len(data)
        if self._arrived > self._limits.octets:
            # QUIC itself bounds how many streams there are
            self._break(DoqError.EXCESSIVE_LOAD, "too much is half asked at a time")
            return
        length = int.from_bytes(buffer[:2], "big") if len(buffer) >= 2 else _LONGEST
        if len(buffer) > length + 2 or (ended and len(buffer) < length + 2):
            self._break(DoqError.PROTOCOL_ERROR, "the stream does not hold exactly one message")
        elif ended:
            self._forget(stream)
            self._query(stream, bytes(buffer[2:]))

    def _query(self, stream: int, message: bytes) -> None:
        if len(message) < _HEADER or message[:2] != b"\0\0":
            self._break(DoqError.PROTOCOL_ERROR, "the message has no header, or an id other than 0")
            return
        query = parse(message, _LONGEST)
        if isinstance(query, Query) and query.options and edns.KEEPALIVE in edns.find(query.options):
            self._break(DoqError.PROTOCOL_ERROR, "edns-tcp-keepalive has no place in QUIC")
            return
        self._owed[stream] = message
        self.events.append(Message(stream, message))

    def send_item(self, item: Any, now: float) -> None:
        """A Message (with a source: the first of several), Part, Finish or Abandon."""
        stream, kind = item.stream, type(item)
        if stream not in self._owed:
            return  # taken back meanwhile
        if kind is Message:
            self._write(stream, item.data, ended=item.source is None)
            if item.source is not None:
                self._pouring.add(stream)
                return
        elif kind is Part:
            if stream not in self._pouring:
                raise StateError("only a transfer has several messages")
            self._write(stream, item.data, ended=False)
            return
        elif kind is Finish:
            self.quic.send_stream_data(stream, b"", end_stream=True)
        elif kind is Abandon:
            if stream in self._pouring:
                self.quic.reset_stream(stream, DoqError.INTERNAL_ERROR)
            else:
                self._write(stream, error(self._owed[stream], codes.SERVFAIL), ended=True)
        else:
            raise StateError(f"a DNS server does not send {item!r}")
        del self._owed[stream]
        self._pouring.discard(stream)

    def _write(self, stream: int, message: bytes, *, ended: bool) -> None:
        self.quic.send_stream_data(stream, len(message).to_bytes(2, "big") + message, end_stream=ended)

    def _forget(self, stream: int) -> None:
        self._arrived -= len(self._arriving.pop(stream, b""))

    def _give_up(self, stream: int) -> None:
        if self._owed.pop(stream, None) is not None:
            self._pouring.discard(stream)
            self.quic.reset_stream(stream, DoqError.REQUEST_CANCELLED)
            self.events.append(Failed(stream, "the client does not want the answer", over=True))

    def _break(self, code: DoqError, reason: str) -> None:
        self._arriving.clear()
        self._arrived = 0
        self.shut(code, reason)
