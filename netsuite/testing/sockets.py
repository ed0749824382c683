"""Sockets of the in-memory network: what Twisted's own transports read from and write to there.

They behave as non-blocking sockets of Linux do, as far as servers can tell: bytes arrive in order and late, what was
sent counts as in flight until it is *read*, at most ``Link.window`` bytes may be in flight, a FIN follows the last
byte, and closing with unread input (or with SO_LINGER 0) resets. A reset throws away what the other side has not read
yet. Known weakness: no congestion control, and a stream waits for ever on a partition (the kernel gives up after
minutes).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from netsuite.testing.network import Host

__all__ = ["DatagramSocket", "Flow", "StreamSocket"]

Place = tuple[str, int]

_ESTABLISHED: Final = 1
_CLOSED: Final = 7
_BYTES_ACKED: Final = 120  # where Linux's tcp_info has tcpi_bytes_acked
_SYN_WAITS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_LARGEST_DATAGRAM: Final = 65507
_DATAGRAMS_KEPT: Final = 512


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Flow:
    """What one direction of a stream remembers of its link: order, and how long it is busy."""

    __slots__ = ("busy_until", "last_arrival", "travelling")

    def __init__(self) -> None:
        self.busy_until = self.last_arrival = 0.0
        self.travelling: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()


class _Socket:
    """What both kinds share; ``reader`` and ``writer`` are the transports that wait for it."""

    def __init__(self, host: Host, family: int) -> None:
        self.host = host
        self.family = family
        self.local: Place | None = None
        self.remote: Place | None = None
        self.reader: Any = None
        self.writer: Any = None
        self.closed = False
        self._error = 0

    def setblocking(self, flag: bool) -> None:
        """They never block."""

    def fileno(self) -> int:
        """No descriptor of the real world."""
        return -1

    def getsockname(self) -> tuple[Any, ...]:
        """Where it is bound."""
        return self._written(self.local or ("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0))

    def getpeername(self) -> tuple[Any, ...]:
        """Whom it is connected to."""
        if self.remote is None:
            raise _error(errno.ENOTCONN)
        return self._written(self.remote)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Options make no difference, but for SO_LINGER."""

    def _written(self, place: Place) -> tuple[Any, ...]:
        return (*place, 0, 0) if self.family == socket.AF_INET6 else place


class StreamSocket(_Socket):
    """One end of a connection, or a listening socket."""

    def __init__(self, host: Host, family: int) -> None:
        super().__init__(host, family)
        self.listening = False
        self.connected = False
        self.acknowledged = 0
        self._peer: StreamSocket | None = None
        self._flow = Flow()
        self._waiting: deque[StreamSocket] = deque()  # accepted by the kernel
        self._backlog = 0
        self._input: deque[bytes] = deque()
        self._input_ended = False
        self._output_ended = False
        self._in_flight = 0
        self._reset = False
        self._abort = False
        self._attempt: Any = None

    # -- what the reactor asks

    def readable(self) -> bool:
        """A read would not block."""
        return bool(self._input or self._input_ended or self._reset or self._waiting or self._error)

    def writable(self) -> bool:
        """A write would not block."""
        return bool(self._reset or self._error or (self.connected and self._in_flight < self._window()))

    # -- as in the socket module

    def bind(self, place: tuple[Any, ...]) -> None:
        """Take an address of the host; port 0 is any that is free."""
        self.local = self.host.bind("tcp", place[0], place[1], self)

    def listen(self, backlog: int) -> None:
        """Let the kernel accept connections, so many ahead of accept()."""
        self.listening = True
        self._backlog = backlog

    def accept(self) -> tuple[StreamSocket, tuple[Any, ...]]:
        """The first connection in the queue."""
        if not self._waiting:
            raise _error(errno.EWOULDBLOCK)
        accepted = self._waiting.popleft()
        return accepted, accepted.getpeername()

    def connect_ex(self, place: tuple[Any, ...]) -> int:
        """Begin to connect; asked again, tell how that goes."""
        if self.connected:
            return errno.EISCONN
        if self.remote is not None:
            return errno.EALREADY
        if self.local is None:
            source = self.host.source_for(place[0])
            if source is None:
                return errno.ENETUNREACH
            self.local = self.host.bind("tcp", source, 0, self)
        self.remote = (place[0], place[1])
        self._knock(0)
        return errno.EINPROGRESS

    def recv(self, count: int, flags: int = 0) -> bytes:
        """What has arrived, up to so many bytes; ``b""`` after the FIN. MSG_PEEK leaves it there."""
        if self._reset:
            raise _error(errno.ECONNRESET)
        if not self._input:
            if self._input_ended:
                return b""
            raise _error(errno.EWOULDBLOCK)
        if flags & socket.MSG_PEEK:
            return self._input[0][:count]
        taken = []
        room = count
        while room and self._input:
            chunk = self._input.popleft()
            if len(chunk) > room:
                self._input.appendleft(chunk[room:])
                chunk = chunk[:room]
            taken.append(chunk)
            room -= len(chunk)
        data = b"".join(taken)
        self._say(StreamSocket._acknowledged, len(data))
        return data

    def send(self, data: Any) -> int:
        """Put into flight what the window has room for."""
        return self.sendmsg((data,))

    def sendmsg(self, chunks: Any) -> int:
        """The same for several chunks."""
        if self._reset:
            raise _error(errno.ECONNRESET)
        if self._output_ended or self.closed or not self.connected:
            raise _error(errno.EPIPE)
        room = self._window() - self._in_flight
        if room <= 0:
            raise _error(errno.EWOULDBLOCK)
        data = b"".join(chunks)[:room]
        self._in_flight += len(data)
        network = self.host.network
        if network.tap is not None and self.local is not None and self.remote is not None:
            network.tap(network.clock.seconds(), self.local, self.remote, data)
        segment = self._link().segment
        for at in range(0, len(data), segment):
            self._say(StreamSocket._arrived, data[at : at + segment], size=min(segment, len(data) - at))
        return len(data)

    def shutdown(self, how: int) -> None:
        """End the output (1), or both (2)."""
        if not self.connected:
            raise _error(errno.ENOTCONN)
        if how in (socket.SHUT_WR, socket.SHUT_RDWR) and not self._output_ended:
            self._output_ended = True
            self._say(StreamSocket._ended)

    def close(self) -> None:
        """Let go: in order, or with a reset if input was not read or SO_LINGER is 0."""
        if self.closed:
            return
        self.closed = True
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None
        for waiting in self._waiting:
            waiting._abort = True
            waiting.close()
        if self._peer is not None and not self._reset:
            if self._abort or self._input:
                self._say(StreamSocket._was_reset)
            elif not self._output_ended:
                self._output_ended = True
                self._say(StreamSocket._ended)
        self.host.release("tcp", self)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """SO_LINGER with 0 seconds makes close() a reset."""
        if option == socket.SO_LINGER and level == socket.SOL_SOCKET:
            self._abort = struct.unpack("ii", value) == (1, 0)

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """SO_ERROR, and of TCP_INFO the state and the bytes that the peer has taken."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            number, self._error = self._error, 0
            return number
        if (level, option) == (socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", None)):
            info = bytearray(_BYTES_ACKED + 8)
            info[0] = _CLOSED if self._reset else _ESTABLISHED
            struct.pack_into("=Q", info, _BYTES_ACKED, self.acknowledged)
            return bytes(info[:size])
        return bytes(size) if size else 0

    # -- what happens over the network

    def _link(self) -> Any:
        peer = self._peer
        return self.host.network.link_between(self.host, self.host if peer is None else peer.host)

    def _window(self) -> int:
        return int(self._link().window)

    def _say(self, what: Any, *arguments: Any, size: int = 0) -> None:
        """Have something happen to the other end when it gets there."""
        peer = self._peer
        if peer is not None:
            self.host.network.carry(self.host, peer.host, what, (peer, *arguments), size=size, flow=self._flow)

    def _knock(self, number: int) -> None:
        """Send a SYN, and another one if it gets lost."""
        self._attempt = None
        if number == len(_SYN_WAITS):
            self._failed(errno.ETIMEDOUT)
            return
        self._attempt = self.host.callLater(_SYN_WAITS[number], self._knock, number + 1)
        assert self.remote is not None
        target = self.host.network.owner(self.host, self.remote[0])
        if target is not None:
            self.host.network.carry(self.host, target, _syn, (target, self), reliable=False)

    def _settled(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None

    def _established(self, peer: StreamSocket) -> None:
        if self.closed:
            self._peer = peer
            self._say(StreamSocket._was_reset)
            return
        self._peer = peer
        self.connected = True
        self.host.ready(self)

    def _failed(self, number: int) -> None:
        self._settled()
        if not self.closed:
            self._error = number
            self.host.ready(self)

    def _arrived(self, data: bytes) -> None:
        if self.closed:
            self._say(StreamSocket._was_reset)
        elif not self._reset:
            self._input.append(data)
            self.host.ready(self)

    def _ended(self) -> None:
        self._input_ended = True
        self.host.ready(self)

    def _was_reset(self) -> None:
        if not self._reset:
            self._reset = True
            self._input.clear()
            self.host.ready(self)

    def _acknowledged(self, count: int) -> None:
        self._in_flight -= count
        self.acknowledged += count
        self.host.ready(self)


def _syn(target: Host, client: StreamSocket) -> None:
    """A SYN has come to a host."""
    network = client.host.network
    if client.remote is None or client.local is None or client.closed or client._attempt is None:
        return
    listener = target.bound("tcp", client.remote)
    if not isinstance(listener, StreamSocket) or not listener.listening:
        network.carry(target, client.host, StreamSocket._failed, (client, errno.ECONNREFUSED))
        return
    if len(listener._waiting) > listener._backlog:
        return
    client._settled()
    server = StreamSocket(target, client.family)
    server.local, server.remote = client.remote, client.local
    server._peer = client
    server.connected = True
    listener._waiting.append(server)
    target.ready(listener)
    network.carry(target, client.host, StreamSocket._established, (client, server), flow=server._flow)


class DatagramSocket(_Socket):
    """A UDP socket; what does not fit into its queue is dropped."""

    def __init__(self, host: Host, family: int) -> None:
        super().__init__(host, family)
        self._input: deque[tuple[bytes, Place]] = deque()

    def readable(self) -> bool:
        """A read would not block."""
        return bool(self._input or self._error)

    def writable(self) -> bool:
        """Writes never block."""
        return True

    def bind(self, place: tuple[Any, ...]) -> None:
        """Take an address of the host; port 0 is any that is free."""
        self.local = self.host.bind("udp", place[0], place[1], self)

    def connect(self, place: tuple[Any, ...]) -> None:
        """Talk to one peer only, and hear if it is not there."""
        self.remote = (place[0], place[1])

    def recvfrom(self, count: int) -> tuple[bytes, tuple[Any, ...]]:
        """The first datagram, cut to ``count`` bytes, and who sent it."""
        if self._error:
            number, self._error = self._error, 0
            raise _error(number)
        if not self._input:
            raise _error(errno.EWOULDBLOCK)
        data, peer = self._input.popleft()
        return data[:count], self._written(peer)

    def send(self, data: bytes) -> int:
        """Send to the connected peer."""
        return self.sendto(data, self.getpeername())

    def sendto(self, data: bytes, place: tuple[Any, ...]) -> int:
        """Send one datagram; whether it arrives is up to the link."""
        if len(data) > _LARGEST_DATAGRAM:
            raise _error(errno.EMSGSIZE)
        if self.local is None:
            self.bind(("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0))
        source = self.host.source_for(place[0], self.local)
        if source is None:
            raise _error(errno.ENETUNREACH)
        target = self.host.network.owner(self.host, place[0])
        if target is not None and self.local is not None:
            origin = (source, self.local[1])
            arguments = (target, self, origin, (place[0], place[1]), bytes(data))
            self.host.network.carry(self.host, target, _datagram, arguments, size=len(data), reliable=False)
        return len(data)

    def close(self) -> None:
        """Let go of the address."""
        self.closed = True
        self.host.release("udp", self)

    def unreachable(self) -> None:
        """Nobody listens there; told only to a connected socket."""
        self._error = errno.ECONNREFUSED
        self.host.ready(self)


def _datagram(target: Host, sender: DatagramSocket, origin: Place, place: Place, data: bytes) -> None:
    """A datagram has come to a host."""
    receiver = target.bound("udp", place)
    if not isinstance(receiver, DatagramSocket):
        if sender.remote is not None and not sender.closed:
            target.network.carry(target, sender.host, DatagramSocket.unreachable, (sender,), reliable=False)
    elif receiver.remote in (None, origin) and len(receiver._input) < _DATAGRAMS_KEPT:
        receiver._input.append((data, origin))
        target.ready(receiver)
