"""The one shape of every stream protocol: bytes and time in, events and bytes out.

A :class:`Connection` is a pure machine. It plays server, client or peer, never touches a
socket, never asks for the time, and is driven by exactly one owner: in production
:class:`netsuite.common.stream.StreamAdapter`, in tests whoever likes to.

Reading is by *pulling*: after :meth:`Connection.receive` the owner calls
:meth:`Connection.next_event` until it answers :data:`NEED_DATA` (more bytes are needed) or
:data:`PAUSED` (the next message must wait until an answer that is owed has been sent; the
``Data`` and ``End`` of the current message still come). Everything else it answers is an event:

* one of the protocol's own messages (a request, a command, an answer), which has a ``stream``
  number, and a true ``has_body`` if ``Data`` events and one ``End`` follow it on that stream;
* one of the classes below.

Writing is by :meth:`Connection.send`, which takes one of the protocol's own items, or ``Part``,
``Finish``, ``Abandon`` and ``Drain``, and never blocks: what is to be written waits in
:meth:`Connection.outgoing`. An item of the protocol has ``stream`` and ``source`` (None, or the body
that its owner pours after it as ``Part`` ... ``Finish``; the machine itself never looks at it).

Bad input never raises: it becomes an answer in the protocol's own words, and ``Close`` or
``Failed`` events. Calling :meth:`Connection.send` with an item that the protocol's state forbids
is a fault of the caller and raises :class:`StateError`.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple, Protocol

__all__ = [
    "NEED_DATA",
    "PAUSED",
    "UNLIMITED",
    "Abandon",
    "Channel",
    "Close",
    "Connection",
    "Data",
    "Drain",
    "End",
    "Failed",
    "Finish",
    "HalfClose",
    "Part",
    "Source",
    "StateError",
    "TlsFacts",
    "Upgrade",
]

UNLIMITED: Final = 1 << 62
"""What :meth:`Connection.room` answers where the protocol has no window of its own."""

Source = AsyncIterator[bytes]
"""A body to send: an asynchronous iterator of chunks that may have ``aclose``."""


class StateError(RuntimeError):
    """The caller sent an item that the protocol's state forbids (our fault, never the peer's)."""


class Pause(enum.Enum):
    """Why :meth:`Connection.next_event` has no event."""

    NEED_DATA = "more bytes are needed"
    PAUSED = "an answer is owed before the next message is read"


NEED_DATA: Final = Pause.NEED_DATA
PAUSED: Final = Pause.PAUSED


class Data(NamedTuple):
    """Some bytes of the body that arrives on a stream."""

    stream: int
    data: bytes


class End(NamedTuple):
    """The body that arrives on a stream is complete."""

    stream: int
    trailers: tuple[tuple[bytes, bytes], ...] = ()


class Failed(NamedTuple):
    """What was arriving, or was awaited, on a stream will never be complete.

    ``over`` says that nothing more can be sent on it either: whoever makes its answer may stop.
    """

    stream: int
    reason: str
    over: bool = False


class Close(NamedTuple):
    """The connection is over: write what is outgoing, then close.

    ``linger`` asks the owner to read and drop what the peer is still sending for a short while, so
    that a reset does not overtake the last words (RFC 9112 section 9.6).
    """

    reason: str
    linger: bool = False


class TlsFacts(NamedTuple):
    """What a finished TLS handshake settled."""

    version: str
    cipher: str
    server_name: str | None = None
    alpn: str | None = None
    peer_certificate: bytes | None = None


class Channel(NamedTuple):
    """Where a connection runs: both addresses and, under TLS, its facts.

    Addresses are ``(host, port)``; on a Unix socket host is the path and port 0.
    """

    local: tuple[str, int]
    peer: tuple[str, int]
    tls: TlsFacts | None = None


class HalfClose(NamedTuple):
    """Our side is complete, the peer's is not: write what is outgoing, end our side of the transport, and read on."""


class Upgrade(NamedTuple):
    """The rest of the connection speaks something else (STARTTLS, ALPN, COMPRESS ...).

    The owner flushes what is outgoing, installs the named ``filter`` (or none), and once that stands calls
    ``next(channel)`` for a *fresh* machine, so that nothing learnt before survives; ``tail`` is
    what the fresh machine is fed first and is empty for STARTTLS.
    """

    filter: str | None
    next: Callable[[Channel], Connection]
    tail: bytes = b""


class Part(NamedTuple):
    """Some bytes of the body that is sent on a stream."""

    stream: int
    data: bytes


class Finish(NamedTuple):
    """The body that is sent on a stream is complete."""

    stream: int
    trailers: tuple[tuple[bytes, bytes], ...] = ()


class Abandon(NamedTuple):
    """Whoever was to answer on a stream cannot: say so in the protocol's own words, or close."""

    stream: int
    reason: str


class Drain(NamedTuple):
    """Finish what is in flight, take no further message, say goodbye if the protocol can, then ``Close``."""

    stream: int = 0


Event = Any
Item = Any


class Connection(Protocol):
    """A protocol machine; see this module's docstring.

    ``idle`` is true while nothing is buffered, owed or half read: only then may an owner answer
    from a shortcut, and only then may it be closed without loss.
    """

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that arrived; ``b""`` is the orderly end of input (FIN, close_notify)."""

    def next_event(self) -> Event:
        """The next event, :data:`NEED_DATA` or :data:`PAUSED`."""

    def send(self, item: Item, now: float) -> None:
        """Queue an item for the peer; StateError if the protocol's state forbids it."""

    def room(self, stream: int = 0) -> int:
        """How many body bytes the protocol's own window lets through on a stream; less than 0 if that is over."""

    def consumed(self, count: int, stream: int = 0) -> None:
        """The application is done with that many body bytes (they open the peer's window).

        ``consumed(0, stream)`` says that the application waits for the body (the moment for 100 Continue).
        """

    def backlog(self) -> int:
        """Bytes received and neither parsed nor consumed, pipelined input included."""

    def outgoing(self) -> list[bytes]:
        """Hand over, once, the chunks to write; a machine that paces itself has more until it answers ``[]``."""

    def deadline(self) -> float | None:
        """When :meth:`tick` wants to be called at the latest; the clock of ``now``."""

    def tick(self, now: float) -> None:
        """Time has passed; a peer that stalled too long is given up here."""

    def touched(self, now: float) -> None:
        """A shortcut answered a message in this machine's place: keep deadlines true."""
