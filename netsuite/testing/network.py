"""A network in memory, on a fake clock: hosts, streams and datagrams, with latency, loss and partitions.

Each :class:`Host` is the reactor of the services that run on it: Twisted's own TCP and UDP transports over simulated
sockets (:mod:`netsuite.testing.sockets`), so that producers, half-closes and aborts behave as in production, and so
does our immediate send. Nothing happens unless :meth:`Network.advance` (or ``result``, ``until``) lets time pass, and
with the same seed the same happens again::

    network = Network()
    server, client = network.host("192.0.2.1"), network.host("192.0.2.2")
    port = server.listenTCP(80, factory)
    protocol = network.result(TCP4ClientEndpoint(client, "192.0.2.1", 80).connect(client_factory))
"""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import attrs
from twisted.internet import error, tcp, udp
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableDescriptor,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
)
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netsuite.testing.sockets import DatagramSocket, Flow, StreamSocket
from netsuite.testing.timeline import Timeline

__all__ = ["Host", "Link", "Network"]

T = TypeVar("T")
Place = tuple[str, int]
Socket = StreamSocket | DatagramSocket

START: Final = 1_800_000_000.0
_FIRST_PORT: Final = 49152
_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})
_RETRANSMISSION: Final = 0.2
_CALLS_AN_INSTANT: Final = 500_000

_log = Logger()


@attrs.frozen
class Link:
    """What lies between two hosts, one way.

    ``latency`` and ``jitter`` (added at random, up to so much) in seconds, ``bandwidth`` in bytes a second and stream;
    ``loss`` and ``duplication`` as shares of the datagrams. A stream pays for loss with time. ``segment`` is the most
    that arrives at a time, ``window`` the most that is in flight.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    loss: float = 0.0
    duplication: float = 0.0
    segment: int = 16384
    window: int = 65536


class Network:
    """The hosts, the links between them, and the time."""

    def __init__(self, clock: Clock | None = None, *, seed: int = 0, link: Link = Link(latency=0.01)) -> None:
        if clock is None:
            clock = Timeline()
            clock.rightNow = START
        self.clock = clock
        self._timeline = clock if isinstance(clock, Timeline) else None
        self.tap: Callable[[float, Place, Place, bytes], None] | None = None
        """If set: called with every write to a stream (time, from, to, bytes), as it is put into flight."""
        self.rng = random.Random(seed)
        self._default = link
        self._loopback = Link()
        self._owners: dict[str, Host] = {}
        self._links: dict[tuple[Host, Host], Link] = {}
        self._cut: set[tuple[Host, Host]] = set()
        self._held: list[tuple[tuple[Host, Host], Callable[..., None], tuple[Any, ...]]] = []

    # -- the shape of the network

    def host(self, *addresses: str) -> Host:
        """A new host with these IP addresses (the loopback ones it has anyway)."""
        host = Host(self, addresses)
        for address in host.addresses:
            if self._owners.setdefault(address, host) is not host:
                raise ValueError(f"{address} belongs to another host")
        return host

    def join(self, one: Host, other: Host, link: Link) -> None:
        """What lies between two hosts, both ways; the same host twice for its loopback."""
        self._links[one, other] = self._links[other, one] = link

    def partition(self, one: Host, other: Host) -> None:
        """Nothing passes between two hosts any more: datagrams are lost, streams wait."""
        self._cut |= {(one, other), (other, one)}

    def heal(self, one: Host, other: Host) -> None:
        """All passes again, first what streams have waiting."""
        self._cut -= {(one, other), (other, one)}
        held, self._held = self._held, []
        for way, what, arguments in held:
            if way in self._cut:
                self._held.append((way, what, arguments))
            else:
                what(*arguments)

    # -- time

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass, in steps from event to event; with 0, all that is due now happens."""
        self._run(self.clock.seconds() + seconds, lambda: False)

    def until(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Let time pass until a condition holds; AssertionError if that takes longer than ``timeout`` seconds."""
        if not condition() and not self._run(self.clock.seconds() + timeout, condition):
            raise AssertionError(f"nothing came of it in {timeout} seconds")

    def result(self, awaitable: Awaitable[T], timeout: float = 60.0) -> T:
        """Let time pass until a Deferred or coroutine has its result, and take that, or raise its exception."""
        waiting = awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(_await(awaitable))
        results: list[Any] = []
        waiting.addBoth(results.append)
        self.until(lambda: results, timeout)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        found: T = results[0]
        return found

    def _run(self, end: float, condition: Callable[[], object]) -> bool:
        clock = self.clock
        calls = 0
        while True:
            clock.advance(0)
            if condition():
                return True
            if self._timeline is not None:
                following = self._timeline.following()
            else:
                following = min((call.getTime() for call in clock.getDelayedCalls()), default=None)
            if following is None or following > end:
                clock.rightNow = max(end, clock.rightNow)
                return False
            calls = calls + 1 if following <= clock.rightNow else 0
            if calls > _CALLS_AN_INSTANT:
                raise AssertionError("time stands still: something calls itself for ever")
            clock.rightNow = max(following, clock.rightNow)

    # -- for sockets

    def owner(self, host: Host, address: str) -> Host | None:
        """Who has an address, as seen from a host."""
        return host if _is_loopback(address) else self._owners.get(address)

    def link_between(self, one: Host, other: Host) -> Link:
        """What lies between two hosts."""
        return self._links.get((one, other), self._loopback if one is other else self._default)

    def carry(
        self,
        source: Host,
        target: Host,
        what: Callable[..., None],
        arguments: tuple[Any, ...],
        *,
        size: int = 0,
        flow: Flow | None = None,
        reliable: bool = True,
    ) -> None:
        """Have ``what(*arguments)`` happen at the target when it has travelled there, or never if it gets lost."""
        link = self.link_between(source, target)
        now = self.clock.seconds()
        copies = 1
        travel = link.latency
        if link.loss and self.rng.random() < link.loss:
            if not reliable:
                return
            travel += _RETRANSMISSION
        if link.duplication and not reliable and self.rng.random() < link.duplication:
            copies = 2
        way = source, target
        if flow is None:
            for _ in range(copies):
                delay = travel + (self.rng.uniform(0, link.jitter) if link.jitter else 0)
                self.clock.callLater(delay, self._arrive, way, what, arguments, reliable)
            return
        arrival = now + travel + (self.rng.uniform(0, link.jitter) if link.jitter else 0)
        if link.bandwidth is not None:
            flow.busy_until = max(now, flow.busy_until) + size / link.bandwidth
            arrival += flow.busy_until - now
        flow.last_arrival = max(arrival, flow.last_arrival)
        flow.travelling.append((what, arguments))
        if self._timeline is not None:
            self._timeline.at(flow.last_arrival, self._arrive_next, (way, flow))
        else:
            self.clock.callLater(flow.last_arrival - now, self._arrive_next, way, flow)

    def _arrive(self, way: tuple[Host, Host], what: Callable[..., None], arguments: Any, reliable: bool) -> None:
        if way not in self._cut:
            what(*arguments)
        elif reliable:
            self._held.append((way, what, arguments))

    def _arrive_next(self, way: tuple[Host, Host], flow: Flow) -> None:
        self._arrive(way, *flow.travelling.popleft(), True)


@implementer(IReactorTCP, IReactorUDP, IReactorTime)
class Host:
    """A machine on the network, and the reactor of what runs there; made by :meth:`Network.host`."""

    def __init__(self, network: Network, addresses: Sequence[str]) -> None:
        self.network = network
        self.addresses = [str(ipaddress.ip_address(address)) for address in addresses]
        self._bound: dict[tuple[str, str, int], Socket] = {}
        self._next_port = _FIRST_PORT
        self._readers: dict[Any, Socket] = {}
        self._writers: dict[Any, Socket] = {}
        self._ready: dict[Socket, None] = {}
        self._turn: IDelayedCall | None = None

    # -- IReactorTime

    def seconds(self) -> float:
        """The network's time."""
        return self.network.clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - the word of the interface
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        """Call something when that much time has been let pass."""
        return self.network.clock.callLater(delay, callable, *args, **kw)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """What waits for its time, on the whole network."""
        return list(self.network.clock.getDelayedCalls())

    # -- IReactorTCP, IReactorUDP

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Listen; CannotListenError if the address is taken or not ours."""
        listening = _TcpPort(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: tuple[str, int] | None = None
    ) -> Any:
        """Connect to an IP address."""
        connector = _Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """Listen for datagrams; CannotListenError if the address is taken or not ours."""
        port_class: Any = _UdpPort
        listening = port_class(port, protocol, interface, maxPacketSize, self)
        listening.startListening()
        return listening

    def resolve(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:
        """Names are not known here: connect to addresses."""
        return fail(error.DNSLookupError(f"{name}: the in-memory network knows addresses only"))

    # -- what transports ask of their reactor; not declared as IReactorFDSet, since there are no descriptors

    def addReader(self, reader: Any) -> None:
        """Tell a transport when its socket is readable."""
        self._readers[reader] = reader.socket
        reader.socket.reader = reader
        self.ready(reader.socket)

    def addWriter(self, writer: Any) -> None:
        """Tell a transport when its socket is writable."""
        self._writers[writer] = writer.socket
        writer.socket.writer = writer
        self.ready(writer.socket)

    def removeReader(self, reader: Any) -> None:
        """Tell it no more."""
        found = self._readers.pop(reader, None)
        if found is not None:
            found.reader = None

    def removeWriter(self, writer: Any) -> None:
        """Tell it no more."""
        found = self._writers.pop(writer, None)
        if found is not None:
            found.writer = None

    # -- for sockets

    def ready(self, sock: Socket) -> None:
        """Something happened to a socket: look at it in the next turn, if anyone waits for it."""
        if (sock.reader is not None and sock.readable()) or (sock.writer is not None and sock.writable()):
            self._ready[sock] = None
            if self._turn is None:
                self._turn = self.callLater(0, self._look)

    def bind(self, kind: str, address: str, port: int, sock: Socket) -> Place:
        """Reserve an address for a socket; OSError as the kernel has it."""
        if address == "" and sock.family != socket.AF_INET6:
            address = "0.0.0.0"
        address = str(ipaddress.ip_address(address or "::"))
        if not (address in _WILDCARDS or _is_loopback(address) or address in self.addresses):
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        if not port:
            while any(taken == self._next_port for _, _, taken in self._bound):
                self._next_port += 1
            port = self._next_port
            self._next_port += 1
        rivals = [
            held for (of, held, at) in self._bound if of == kind and at == port and (":" in held) == (":" in address)
        ]
        if rivals and (address in _WILDCARDS or address in rivals or not _WILDCARDS.isdisjoint(rivals)):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self._bound[kind, address, port] = sock
        return address, port

    def release(self, kind: str, sock: Socket) -> None:
        """A socket lets go of its address."""
        if sock.local is not None and self._bound.get((kind, *sock.local)) is sock:
            del self._bound[kind, sock.local[0], sock.local[1]]

    def bound(self, kind: str, place: Place) -> Socket | None:
        """Who takes what comes to an address."""
        wildcard = "::" if ":" in place[0] else "0.0.0.0"
        return self._bound.get((kind, *place)) or self._bound.get((kind, wildcard, place[1]))

    def source_for(self, target: str, local: Place | None = None) -> str | None:
        """Which of our addresses speaks to another one; None if none can."""
        if local is not None and local[0] not in _WILDCARDS:
            return local[0]
        if _is_loopback(target):
            return "::1" if ":" in target else "127.0.0.1"
        return next((address for address in self.addresses if (":" in address) == (":" in target)), None)

    # -- one turn of the reactor

    def _look(self) -> None:
        self._turn = None
        ready, self._ready = self._ready, {}
        for sock in ready:
            if sock.reader is not None and sock.readable():
                self._do(sock.reader, True)
            if sock.writer is not None and sock.writable():
                self._do(sock.writer, False)
            self.ready(sock)

    def _do(self, transport: Any, reads: bool) -> None:
        try:
            why = transport.doRead() if reads else transport.doWrite()
        except Exception as problem:
            _log.failure("a transport of the in-memory network failed")
            why = problem
        if why:
            self._disconnect(transport, Failure(why), reads)

    def _disconnect(self, transport: Any, why: Failure, reads: bool) -> None:
        self.removeReader(transport)
        if reads and why.check(error.ConnectionDone) and IHalfCloseableDescriptor.providedBy(transport):
            transport.readConnectionLost(why)
        else:
            self.removeWriter(transport)
            transport.connectionLost(why)


class _TcpPort(tcp.Port):
    def createInternetSocket(self) -> Any:
        host: Any = self.reactor
        return StreamSocket(host, self.addressFamily)


class _TcpClient(tcp.Client):
    def createInternetSocket(self) -> Any:
        host: Any = self.connector.reactor  # its own reactor is not set yet
        return StreamSocket(host, self.addressFamily)


class _Connector(tcp.Connector):
    def _makeTransport(self) -> Any:
        client: Any = _TcpClient
        return client(self.host, self.port, self.bindAddress, self, self.reactor)


class _UdpPort(udp.Port):
    def createInternetSocket(self) -> Any:
        host: Any = self.reactor
        return DatagramSocket(host, self.addressFamily)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable
