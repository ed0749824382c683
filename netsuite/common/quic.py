"""What every protocol over QUIC shares: the transport's machine, on the contract of all connections.

:class:`QuicMachine` is a :class:`~netsuite.sansio.connection.Connection` whose chunks are datagrams, in and out. QUIC
itself (packets, TLS 1.3, loss recovery, congestion control) is aioquic's, which does no I/O either; a protocol says
what its streams mean by three methods. :mod:`netsuite.common.quicport` brings the datagrams.

Implements: RFC 9000 sections 4.1, 5, 8.1 and 10; RFC 9001 sections 4.1 and 8.1
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.tls import CipherSuite
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from netsuite.common.certificates import Leaf
from netsuite.common.quiclibrary import Credentials, open_windows, takes_more
from netsuite.sansio.connection import NEED_DATA, Close, Drain, TlsFacts

__all__ = ["QuicLimits", "QuicMachine", "configuration", "credentials"]

_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n?", re.DOTALL)
_SENDING: Final = 256 * 1024
"""Bytes of one answer that wait in the transport."""

# aioquic tells what strangers do wrong as warnings, which would go to standard error
logging.getLogger("quic").addHandler(logging.NullHandler())
logging.getLogger("quic").propagate = False


@attrs.frozen
class QuicLimits:
    """What one connection may cost; sizes in bytes, times in seconds.

    ``connection_window`` and ``stream_window`` are what a peer may send before anything was taken.
    """

    handshake: float = 10.0
    idle: float = 30.0
    connection_window: int = 1 << 20
    stream_window: int = 256 * 1024


def configuration(protocol: str, leaf: Leaf, limits: QuicLimits) -> QuicConfiguration:
    """What servers of a protocol (its ALPN name) begin with."""
    made = QuicConfiguration(
        alpn_protocols=[protocol],
        is_client=False,
        idle_timeout=limits.idle,
        max_data=limits.connection_window,
        max_stream_data=limits.stream_window,
    )
    made.certificate, made.certificate_chain, made.private_key = credentials(leaf)
    return made


def credentials(leaf: Leaf) -> Credentials:
    """A certificate of the site as aioquic wants it."""
    chain = load_pem_x509_certificates(leaf.chain.read_bytes())
    found = _KEY.search(leaf.key.read_bytes())
    assert found is not None, "the certificate was loaded with its key before"
    return chain[0], chain[1:], load_pem_private_key(found[0], password=None)


class QuicMachine(ABC):
    """The server's end of a connection; see the module's docstring.

    ``peer`` is set by the owner before :meth:`receive`, and is where :meth:`outgoing` goes. ``identified(cid, here)``
    is told which connection ids are this connection's, ``secured`` what the handshake settled. Protocols implement
    :meth:`transport_event`, :meth:`send_item` and :meth:`at_rest`.
    """

    no_error = 0
    """The protocol's error code for an end in peace."""

    def __init__(self, quic: QuicConnection, seconds: Callable[[], float], limits: QuicLimits = QuicLimits()) -> None:
        self.quic = quic
        self.limits = limits
        self.peer: tuple[str, int] = ("", 0)
        self.identified: Callable[[bytes, bool], object] = lambda cid, here: None
        self.secured: Callable[[TlsFacts], object] = lambda facts: None
        self.established = False
        self.closing = False
        self.draining = False
        self.events: deque[Any] = deque()
        self._seconds = seconds
        self._began = seconds()
        self._unread: dict[int, int] = {}
        self._all_unread = 0
        open_windows(quic, lambda stream: self._unread.get(stream, 0), lambda: self._all_unread)
        self._heard = False  # without a datagram the transport has neither a timer nor anything to say

    # -- for protocols

    @abstractmethod
    def transport_event(self, event: events.QuicEvent) -> None:
        """An event of QUIC's streams, or of what ALPN settled."""

    @abstractmethod
    def send_item(self, item: Any, now: float) -> None:
        """Queue an item."""

    @abstractmethod
    def at_rest(self) -> bool:
        """Whether nothing is owed or half read."""

    def hand(self, stream: int, data: bytes, event: Any) -> None:
        """Give body bytes to the application, and count them until it took them."""
        self._unread[stream] = self._unread.get(stream, 0) + len(data)
        self._all_unread += len(data)
        self.events.append(event)

    def forget(self, stream: int) -> None:
        """A stream's body is of no interest any more."""
        self._all_unread -= self._unread.pop(stream, 0)

    def shut(self, code: int, reason: str) -> None:
        """Close the connection with the protocol's code; the peer is told, and the end comes as an event."""
        self.closing = True
        self.quic.close(error_code=code, reason_phrase=reason)

    # -- Connection

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return self.established and self.at_rest()

    def receive(self, data: bytes, now: float) -> None:
        """Take one datagram."""
        if data:
            self._heard = True
            self.quic.receive_datagram(data, self.peer, now)
            self._take()

    def next_event(self) -> Any:
        """The next event, or NEED_DATA."""
        return self.events.popleft() if self.events else NEED_DATA

    def send(self, item: Any, now: float) -> None:
        """Queue an item of the protocol, or Drain."""
        if type(item) is Drain:
            self.draining = True
        else:
            self.send_item(item, now)
        self.rest()

    def rest(self) -> None:
        """Say goodbye if that is due."""
        if self.draining and not self.closing and self.at_rest():
            self.shut(self.no_error, "draining")

    def room(self, stream: int = 0) -> int:
        """How much of a body the transport takes: what it has is sent first."""
        return _SENDING if takes_more(self.quic, stream) else 0

    def consumed(self, count: int, stream: int = 0) -> None:
        """The application took bytes of a body."""
        left = self._unread.get(stream, 0)
        if left and count:
            used = min(left, count)
            self._unread[stream] = left - used
            self._all_unread -= used

    def backlog(self) -> int:
        """Nothing: bodies are held back by their windows."""
        return 0

    def outgoing(self) -> list[bytes]:
        """The datagrams to send now, all to ``peer``."""
        if not self._heard:
            return []
        found = self.quic.datagrams_to_send(self._seconds())
        if found:
            self.peer = found[0][1][:2]
        return [data for data, _ in found]

    def deadline(self) -> float | None:
        """QUIC's own timer, or the handshake's end."""
        due = self.quic.get_timer() if self._heard else None
        if self.established:
            return due
        late = self._began + self.limits.handshake
        return late if due is None else min(due, late)

    def tick(self, now: float) -> None:
        """Acknowledge, repeat, or give up."""
        if not self.established and not self.closing and now >= self._began + self.limits.handshake:
            self.closing = True
            self.events.append(Close("the handshake took too long"))
            return
        due = self.quic.get_timer() if self._heard else None
        if due is not None and now >= due:
            self.quic.handle_timer(now)
            self._take()

    def touched(self, now: float) -> None:  # noqa: B027 - to do nothing is right for all
        """There is no shortcut here."""

    def _take(self) -> None:
        """What the transport has to tell."""
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, events.ConnectionIdIssued):
                self.identified(event.connection_id, True)
            elif isinstance(event, events.ConnectionIdRetired):
                self.identified(event.connection_id, False)
            elif isinstance(event, events.HandshakeCompleted):
                self.established = True
                self.secured(TlsFacts("TLSv1.3", _cipher(self.quic), None, event.alpn_protocol))
            elif isinstance(event, events.ConnectionTerminated):
                self.closing = True
                self.events.append(Close(event.reason_phrase or f"QUIC error {event.error_code:#x}"))
            elif not self.closing:
                self.transport_event(event)
        self.rest()


def _cipher(quic: QuicConnection) -> str:
    schedule = quic.tls.key_schedule
    return CipherSuite(schedule.cipher_suite).name if schedule is not None else ""
