"""The asking side: questions out, replies in, each matched as strictly as the protocol allows.

Every question over UDP has a socket, a source port and an id of its own, both from the system's random source, and the
socket is connected, so that the kernel drops what comes from elsewhere. A reply counts only if id, opcode and the
question's bytes agree; a wrong one that got this far is a near miss, and the first one ends the exchange as
``Trouble.SPOOFED`` (the question is then asked over TCP), because whoever sends it may be guessing ids.

Equal questions to one server share one exchange (a guesser gains nothing by many). Sockets are bounded; what does not
fit waits in a bounded queue. Time-outs of all exchanges are kept by one timer.

Implements: RFC 5452 section 9; RFC 7766 section 5.
"""

from __future__ import annotations

import errno
import heapq
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from netsuite.common.commons import Runtime
from netsuite.dns.resolver.cache import Server
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.iterator import Ask, Trouble
from netsuite.dns.resolver.message import MalformedMessageError, Reply, decode, query
from netsuite.dns.wire.codes import RD

__all__ = ["Upstream", "UpstreamLimits"]

Waiter = Callable[["Reply | Trouble"], None]
StreamQuery = Callable[[Server, bytes, float], "Deferred[bytes]"]
_OPCODE = 0x7800
_READ = 65535


@attrs.frozen
class UpstreamLimits:
    """``sockets`` open at a time, ``waiting`` questions for want of one, ``payload`` bytes offered by EDNS.

    ``ports`` is the range of source ports (first, last).
    """

    sockets: int = 512
    waiting: int = 4096
    payload: int = 1232
    ports: tuple[int, int] = (20000, 65535)
    randomise_case: bool = False


class Exchange:
    """One question under way to one server, and all who wait for its reply."""

    __slots__ = ("asked_at", "channel", "deadline", "key", "packet", "waiters")

    def __init__(self, key: tuple[Any, ...], packet: bytes, waiter: Waiter) -> None:
        self.key = key
        self.packet = packet
        self.waiters = [waiter]
        self.asked_at = 0.0
        self.deadline = 0.0
        self.channel: Any = None


@implementer(IReadDescriptor)
class _Socket:
    """A connected UDP socket for one exchange, on reactors that know file descriptors."""

    def __init__(self, upstream: Upstream, exchange: Exchange, sock: socket.socket) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self._socket = sock
        self._descriptor = sock.fileno()
        upstream.reactor.addReader(self)

    def fileno(self) -> int:
        """The descriptor, until closed."""
        return self._descriptor

    def logPrefix(self) -> str:
        """What Twisted's log calls it."""
        return "resolver"

    def doRead(self) -> None:
        """Take what has arrived."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            self._upstream.unreachable(self._exchange)
            return
        self._upstream.arrived(self._exchange, data)

    def connectionLost(self, reason: object = None) -> None:
        """The kernel has an error for this socket: nobody listens there (the reactor calls no doRead then)."""
        if self._descriptor >= 0:
            self._upstream.unreachable(self._exchange)

    def close(self) -> None:
        """Hear no more."""
        if self._descriptor >= 0:
            self._upstream.reactor.removeReader(self)
            self._descriptor = -1
            self._socket.close()


class _Port(DatagramProtocol):
    """The same on Twisted's UDP port, for reactors without file descriptors."""

    noisy = False

    def __init__(self, upstream: Upstream, exchange: Exchange) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self._server: Server = exchange.key[0]
        interface = "::" if ":" in self._server[0] else ""
        self._port = upstream.reactor.listenUDP(0, self, interface, 65535)
        self._port.write(exchange.packet, self._server)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if (addr[0], addr[1]) == self._server:
            self._upstream.arrived(self._exchange, datagram)

    def close(self) -> None:
        """Hear no more."""
        self._port.stopListening()


class Upstream:
    """Asks servers; ``stream_query(server, packet, timeout)`` asks one over TCP and gives the reply's bytes."""

    def __init__(
        self,
        runtime: Runtime,
        infrastructure: Infrastructure,
        stream_query: StreamQuery,
        limits: UpstreamLimits = UpstreamLimits(),
    ) -> None:
        self.reactor = runtime.reactor
        self.asked = self.replies = self.timeouts = self.near_misses = self.over_tcp = self.shared = 0
        self._clock = runtime.clock
        self._rng = runtime.rng
        self._infrastructure = infrastructure
        self._stream_query = stream_query
        self._limits = limits
        self._descriptors = IReactorFDSet.providedBy(runtime.reactor)
        self._open = 0
        self._exchanges: dict[tuple[Any, ...], Exchange] = {}
        self._queue: deque[tuple[Exchange, float]] = deque()
        self._deadlines: list[tuple[float, int, Exchange]] = []
        self._order = 0
        self._timer: Any = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._exchanges)

    def ask(self, ask: Ask, waiter: Waiter) -> None:
        """Have a question asked, or wait with those who asked it already; ``waiter`` is called once, never at once."""
        key = (ask.server, ask.name, ask.type, ask.stream, ask.edns, ask.recursive)
        exchange = self._exchanges.get(key)
        if exchange is not None:
            self.shared += 1
            exchange.waiters.append(waiter)
            return
        name = self._cased(ask.name) if self._limits.randomise_case else ask.name
        ident = self._rng.getrandbits(16)
        payload = self._limits.payload if ask.edns else 0
        packet = query(ident, name, ask.type, flags=RD if ask.recursive else 0, payload=payload)
        exchange = self._exchanges[key] = Exchange(key, packet, waiter)
        if self._closed or len(self._queue) >= self._limits.waiting:
            self._later(exchange, Trouble.BUSY)
        elif self._open >= self._limits.sockets:
            self._queue.append((exchange, ask.timeout))
        else:
            self._send(exchange, ask.timeout)

    def close(self) -> None:
        """Give up everything that is under way."""
        self._closed = True
        self._queue.clear()
        for exchange in list(self._exchanges.values()):
            self._finish(exchange, Trouble.BUSY)

    def _cased(self, name: bytes) -> bytes:
        """The name with letters' case at random, which a reply must repeat (0x20)."""
        bits = self._rng.getrandbits(8 * len(name))
        out = bytearray(name)
        for at, byte in enumerate(out):
            if 97 <= byte <= 122 and bits >> at & 1:
                out[at] = byte - 32
        return bytes(out)

    def _send(self, exchange: Exchange, timeout: float) -> None:
        self._open += 1
        self.asked += 1
        now = self._clock.seconds()
        exchange.asked_at = now
        if exchange.key[3]:
            self.over_tcp += 1
            exchange.channel = _Stream(self, exchange, timeout)
        elif self._descriptors:
            try:
                sock = self._connected(exchange.key[0])
            except OSError:
                self._later(exchange, Trouble.UNREACHABLE)
                return
            exchange.channel = _Socket(self, exchange, sock)
            try:
                sock.send(exchange.packet)
            except OSError:
                self._later(exchange, Trouble.UNREACHABLE)
                return
        else:
            exchange.channel = _Port(self, exchange)
        if self._exchanges.get(exchange.key) is not exchange:
            return  # it failed at once
        exchange.deadline = now + timeout
        self._order += 1
        heapq.heappush(self._deadlines, (exchange.deadline, self._order, exchange))
        self._arm()

    def _connected(self, server: Server) -> socket.socket:
        """A socket on an unpredictable port that hears only this server."""
        six = ":" in server[0]
        sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            first, last = self._limits.ports
            for _ in range(16):
                try:
                    sock.bind(("::" if six else "0.0.0.0", self._rng.randrange(first, last + 1)))
                    break
                except OSError as error:
                    if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                        raise
            # where all those ports are taken, connect makes the kernel choose one
            sock.connect(server)
        except OSError:
            sock.close()
            raise
        return sock

    def arrived(self, exchange: Exchange, data: bytes) -> None:
        """Bytes came from the right address to the right port: a reply, rubbish or a guess."""
        if exchange.key not in self._exchanges:
            return
        packet = exchange.packet
        if len(data) < 12 or not data[2] & 0x80 or data[2] & 0x78:
            return  # no reply to a query at all: dropped, and the wait goes on
        stream = exchange.key[3]
        if data[:2] != packet[:2] or not self._echoes(data, packet):
            self.near_misses += 1
            if not stream:
                self._finish(exchange, Trouble.SPOOFED)
            return
        try:
            reply = decode(data)
        except MalformedMessageError:
            self._finish(exchange, Trouble.MALFORMED)
            return
        now = self._clock.seconds()
        self.replies += 1
        self._infrastructure.answered(exchange.key[0], now - exchange.asked_at)
        self._finish(exchange, reply)

    def _echoes(self, data: bytes, packet: bytes) -> bool:
        """Whether a reply repeats the question; a refusal may leave it out (RFC 1035 says nothing, servers do it)."""
        if data[4:6] == b"\0\0":
            return data[3] & 15 in (1, 4, 5) and len(data) >= 12
        end = 12 + len(self._question(packet))
        return data[4:6] == b"\0\1" and data[12:end] == packet[12:end]

    @staticmethod
    def _question(packet: bytes) -> bytes:
        at = 12
        while packet[at]:
            at += packet[at] + 1
        return packet[12 : at + 5]

    def unreachable(self, exchange: Exchange) -> None:
        """The network or the host refused the question."""
        self._infrastructure.silent(exchange.key[0], self._clock.seconds())
        self._finish(exchange, Trouble.UNREACHABLE)

    def _later(self, exchange: Exchange, trouble: Trouble) -> None:
        if exchange.asked_at:
            self._infrastructure.silent(exchange.key[0], exchange.asked_at)
        self._clock.callLater(0, self._finish, exchange, trouble)

    def _finish(self, exchange: Exchange, outcome: Reply | Trouble) -> None:
        if self._exchanges.pop(exchange.key, None) is None:
            return
        exchange.deadline = 0.0
        if exchange.channel is not None:
            exchange.channel.close()
            exchange.channel = None
        if exchange.asked_at:
            self._open -= 1
        if not self._exchanges:
            self._disarm()
        waiters, exchange.waiters = exchange.waiters, []
        for waiter in waiters:
            waiter(outcome)
        while self._queue and self._open < self._limits.sockets:
            self._send(*self._queue.popleft())

    def _arm(self) -> None:
        first = self._deadlines[0][0]
        if self._timer is None:
            self._timer = self._clock.callLater(max(0.0, first - self._clock.seconds()), self._tick)
        elif self._timer.getTime() > first:
            self._timer.cancel()
            self._timer = self._clock.callLater(max(0.0, first - self._clock.seconds()), self._tick)

    def _disarm(self) -> None:
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        due = self._deadlines
        while due and (due[0][0] <= now or not due[0][2].deadline):
            exchange = heapq.heappop(due)[2]
            if exchange.deadline:
                self.timeouts += 1
                self._infrastructure.silent(exchange.key[0], now)
                self._finish(exchange, Trouble.TIMEOUT)
        if due and not self._closed:
            self._arm()


class _Stream:
    """An exchange over TCP."""

    def __init__(self, upstream: Upstream, exchange: Exchange, timeout: float) -> None:
        self._closed = False
        self._asking = upstream._stream_query(exchange.key[0], exchange.packet, timeout)

        def came(data: bytes) -> None:
            if not self._closed:
                upstream.arrived(exchange, data)
                if not self._closed:
                    upstream._finish(exchange, Trouble.MALFORMED)

        def failed(_: object) -> None:
            if not self._closed:
                upstream.unreachable(exchange)

        self._asking.addCallbacks(came, failed)

    def close(self) -> None:
        """Hear no more."""
        if not self._closed:
            self._closed = True
            self._asking.cancel()
