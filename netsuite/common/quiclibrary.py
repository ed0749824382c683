"""What aioquic has no door for: certificates by name, windows that open as bytes are used, and what is still unsent.

All reach into its private parts, which is done here and nowhere else; the tests of DNS over QUIC and HTTP/3 fail
loudly should they change.

Implements: RFC 9000 sections 4.1 and 4.2; RFC 6066 section 3
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aioquic.quic.connection import MAX_STREAM_DATA_FRAME_CAPACITY, Limit, QuicConnection
from aioquic.quic.packet import QuicFrameType
from aioquic.tls import pull_client_hello

__all__ = ["choose_certificate", "open_windows", "takes_more", "unacknowledged"]

Credentials = tuple[Any, list[Any], Any]
"""A certificate, the rest of its chain, and its key."""


def choose_certificate(quic: QuicConnection, choose: Callable[[str | None], Credentials]) -> None:
    """Have a server show what ``choose`` answers for the name that its client asks for."""
    begin = quic._initialize

    def initialize(peer_cid: bytes) -> None:
        begin(peer_cid)
        context: Any = quic.tls
        step = context._server_handle_hello

        def hello(input_buf: Any, *outputs: Any) -> None:
            at = input_buf.tell()
            name = pull_client_hello(input_buf).server_name
            input_buf.seek(at)
            context.certificate, context.certificate_chain, context.certificate_private_key = choose(name)
            step(input_buf, *outputs)

        context._server_handle_hello = hello

    quic._initialize = initialize  # type: ignore[method-assign]


def open_windows(quic: QuicConnection, unread: Callable[[int], int], all_unread: Callable[[], int]) -> None:
    """Let a peer send as much as its windows beyond what was used, not beyond what came (which aioquic doubles).

    ``unread(stream)`` and ``all_unread()`` are the bytes that were handed over and not used yet.
    """
    settings = quic.configuration
    window, quarter = settings.max_stream_data, settings.max_stream_data // 4
    quic._local_max_data = _Window(settings.max_data, all_unread)

    def write(builder: Any, space: Any, stream: Any) -> None:
        if not stream.max_stream_data_local or stream.receiver.is_finished:
            return
        used = stream.receiver.starting_offset() - unread(stream.stream_id)
        if used + window >= stream.max_stream_data_local + quarter:
            stream.max_stream_data_local = used + window
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            frame = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=quic._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            frame.push_uint_var(stream.stream_id)
            frame.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local

    quic._write_stream_limits = write  # type: ignore[method-assign]


def takes_more(quic: QuicConnection, stream: int) -> bool:
    """Whether all that was to be sent on a stream has been sent."""
    found = quic._streams.get(stream)
    return found is None or found.sender.buffer_is_empty


def unacknowledged(quic: QuicConnection, stream: int) -> int:
    """Bytes of a stream that the peer has not acknowledged, sent or not."""
    found = quic._streams.get(stream)
    return 0 if found is None else found.sender._buffer_stop - found.sender._buffer_start


class _Window(Limit):
    """The whole connection's limit; it moves in quarters of its size, and only with what is used."""

    def __init__(self, size: int, unread: Callable[[], int]) -> None:
        self._size = size
        self._unread = unread
        self._value = size
        super().__init__(QuicFrameType.MAX_DATA, "max_data", size)

    @property
    def value(self) -> int:
        """The highest byte that the peer may send."""
        reached = self.used - self._unread() + self._size
        if reached >= self._value + self._size // 4:
            self._value = reached
        return self._value

    @value.setter
    def value(self, value: int) -> None:
        """What aioquic would make of it does not count."""
