"""One UDP socket that answers: what datagram servers stand on.

A :class:`DatagramPort` asks ``answer(data, peer, local, now)`` for each datagram that arrives and sends
what it gets: bytes at once, what is awaitable when it comes, nothing for None. Each call is guarded:
an exception is counted and logged at a bounded rate, and never ends the port.

:func:`datagram_port` picks the best way the platform and the reactor have: system calls that move 64 datagrams
each (:mod:`netsuite.common.mmsg`), one system call each, or Twisted's own UDP port (for reactors
without file descriptors, and the in-memory network). All have the same face and pass the same tests.

Where many datagrams come at a time, ``fast(data, name)`` is asked first, with the sender's address as the kernel
writes it; None leaves the datagram to ``answer``. It is a shortcut for applications whose answers need no waiting and
cost less than turning addresses into text does: what it answers, ``answer`` would have answered too.

A :class:`Memo` takes the application out of the way where an answer depends on nothing but the
query's bytes after the first two (a transaction id that the answer repeats). So does ``prompt(queries, hosts)``, asked
before it for answers to such bytes, all without ids: None for what the application proper must answer, empty for
silence. ``hosts`` are the senders' addresses as the kernel writes them, 4 bytes or 16; it is empty where they are not
at hand so, and what depends on them is declined then.

Known weakness: with Twisted's own port an answer on a wildcard address leaves from the address that
the kernel picks, which need not be the one that was asked.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from ctypes import addressof, c_char
from typing import Any, Final, NamedTuple

import attrs
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorFDSet, IReadWriteDescriptor
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

__all__ = [
    "Answer",
    "DatagramLimits",
    "DatagramPort",
    "Fast",
    "Memo",
    "Place",
    "PromptAnswers",
    "bound_socket",
    "datagram_port",
]

Place = tuple[str, int]
"""``(host, port)``; the host of a link-local IPv6 address carries its zone (``fe80::1%eth0``)."""

Answer = Callable[[bytes, Place, Place, float], "bytes | Awaitable[bytes | None] | None"]
"""``answer(data, peer, local, now)``: the datagram to send back, now or later; None for silence."""

Fast = Callable[[bytes, bytes], "bytes | None"]
"""``fast(data, name)``: the datagram to send back at once, or None; ``name`` is the peer's sockaddr."""
PromptAnswers = Callable[[Sequence[bytes], Sequence[memoryview]], Sequence["bytes | None"]]
"""``prompt(queries, hosts)``: an answer to each query, all without their first two bytes; None to ask the application,
empty for silence. There may be more hosts than queries, or none."""

LARGEST: Final = 65535
_IP_PKTINFO: Final = getattr(socket, "IP_PKTINFO", 8)
_IP_MTU_DISCOVER: Final = getattr(socket, "IP_MTU_DISCOVER", 10)
_IPV6_MTU_DISCOVER: Final = getattr(socket, "IPV6_MTU_DISCOVER", 23)
_PMTUDISC_OMIT: Final = 5
_SILENCE: Final = b""
"""What prompt answers have for a query that gets none."""
_WOULD_BLOCK: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})


@attrs.frozen
class DatagramLimits:
    """What one port may use.

    ``outstanding``: answers awaited at a time (further queries that need to wait are dropped);
    ``late``: datagrams kept while the kernel takes no more; ``turn``: datagrams read before other ports
    get their turn; ``buffer``: bytes asked of the kernel for each direction.
    """

    outstanding: int = 4096
    late: int = 1024
    turn: int = 512
    buffer: int = 4 << 20


class Remembered(NamedTuple):
    """A prepared answer: where its bytes after the id lie in memory, how many, and of what kind it is."""

    address: int
    length: int
    kind: int


class Memo:
    """Prepared answers, found by all that a query says after its first two bytes.

    The bytes lie in memory that never moves, so that the kernel can take them from there. When the
    memory or the count is full, everything is forgotten at once: what is asked often is back within
    one answer each. Two halves take turns, so that what a batch is about to send is never overwritten
    by what the same batch makes. ``tally`` counts answers given from here by kind (0 to 15; DNS puts
    its response code).
    """

    __slots__ = ("_base", "_block", "_end", "_half", "_used", "count", "entries", "get", "longest", "tally")

    def __init__(self, count: int = 65536, size: int = 32 << 20, longest: int = 320) -> None:
        if count < 64 or size < 1 << 20:
            raise ValueError("a memo holds at least one batch: 64 answers and 1 MiB")
        self.count = count
        self.longest = longest
        self._half = self._end = size // 2
        self._block = mmap.mmap(-1, size)
        self._base = addressof(c_char.from_buffer(self._block))
        self._used = 0
        self.entries: dict[bytes, Remembered] = {}
        self.get = self.entries.get
        self.tally = [0] * 16

    def put(self, query: bytes, answer: bytes, kind: int = 0) -> None:
        """Remember an answer to a query (both whole, id included), unless either is too long."""
        length = len(answer) - 2
        if not 2 < len(query) <= self.longest or not 0 < length <= 4096:
            return
        if self._used + length > self._end or len(self.entries) >= self.count:
            self.clear()
        used = self._used
        self._block[used : used + length] = answer[2:]
        self.entries[query[2:]] = Remembered(self._base + used, length, kind)
        self._used = used + length

    def find(self, query: bytes) -> bytes | None:
        """The answer to a query, counted; None if it is not known."""
        hit = self.get(query[2:])
        if hit is None:
            return None
        self.tally[hit.kind] += 1
        at = hit.address - self._base
        return query[:2] + self._block[at : at + hit.length]

    def clear(self) -> None:
        """Forget everything (what answers are made of has changed)."""
        self.entries.clear()
        self._used = self._half if self._end == self._half else 0
        self._end = self._used + self._half


def bound_socket(host: str, port: int, *, share: bool = False) -> socket.socket:
    """A UDP socket on a literal address, not blocking; OSError if it cannot be had.

    ``share`` lets other processes bind the same port and divides what arrives among them. An IPv6
    wildcard takes IPv6 only, so that ``0.0.0.0`` and ``::`` can both be listened on.
    """
    family, kind, protocol, _, place = socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind(place)
    except OSError:
        sock.close()
        raise
    return sock


@implementer(IListeningPort, IReadWriteDescriptor)
class DatagramPort:
    """A UDP socket, its application, and its counters; one system call a datagram.

    ``where`` is a literal ``(host, port)`` or a socket that is already bound. :meth:`bind` raises OSError;
    :meth:`startListening` binds if need be, and reads.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        where: Place | socket.socket,
        answer: Answer,
        *,
        memo: Memo | None = None,
        fast: Fast | None = None,
        prompt: PromptAnswers | None = None,
        limits: DatagramLimits = DatagramLimits(),
    ) -> None:
        self.reactor = reactor
        self.answer = answer
        self.memo = memo
        self.fast = fast
        self.prompt = prompt
        self.limits = limits
        self.received = self.sent = self.dropped = self.faults = self.outstanding = 0
        self.logstr = "DatagramPort"
        self._socket: socket.socket | None = None
        if isinstance(where, socket.socket):
            where.setblocking(False)
            self._socket = where
            self._where: Place = where.getsockname()[:2]
        else:
            self._where = where
        self._local: Place = self._where
        self._wildcard = False
        self._reading = self._bound = False
        self._late: deque[tuple[bytes, Any, list[tuple[int, int, bytes]]]] = deque()
        self._next_report = 0.0
        self._idle: list[Deferred[None]] = []

    # IListeningPort

    def bind(self) -> None:
        """Have the socket, without reading from it yet; OSError says why not."""
        if self._bound:
            return
        if self._socket is None:
            self._socket = bound_socket(*self._where)
        sock = self._socket
        self._bound = True
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, self.limits.buffer)
        # Nobody but us says how large our packets are: a forged "too big" would have them sent in fragments, which can
        # be forged too. What does not fit the link is for the application to make smaller.
        with contextlib.suppress(OSError):
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)
        self._local = _host(sock.getsockname())
        self._wildcard = self._local[0] in ("0.0.0.0", "::")
        if self._wildcard:
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def startListening(self) -> None:
        """Bind if that is still to do, and answer from now on; OSError says why not."""
        self.bind()
        self._reading = True
        self.reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Read no more, close at once; answers that are still awaited are dropped."""
        if self._socket is not None:
            self.pause()
            self.reactor.removeWriter(self)
            self._late.clear()
            self._socket.close()
            self._socket = None
        return succeed(None)

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it listens, as Twisted writes it."""
        kind = IPv6Address if ":" in self._local[0] else IPv4Address
        return kind("UDP", *self._local)

    @property
    def local(self) -> Place:
        """Where it listens, with the real port once bound."""
        return self._local

    def pause(self) -> None:
        """Read no more; answers that are awaited still leave."""
        self._reading = False
        self.reactor.removeReader(self)

    def settled(self) -> Deferred[None]:
        """Fires when no answer is awaited or waits for the kernel."""
        if not self.outstanding and not self._late:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    # IReadWriteDescriptor

    def fileno(self) -> int:
        """The socket's descriptor, or -1 once closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted's log calls this port."""
        return self.logstr

    def connectionLost(self, reason: object = None) -> None:
        """The reactor is done with this descriptor."""
        self.stopListening()

    def doRead(self) -> None:
        """Answer what has arrived, up to ``limits.turn`` datagrams."""
        now = self.reactor.seconds()
        memo = self.memo
        find = memo.find if memo is not None else _nothing
        for _ in range(self.limits.turn):
            sock = self._socket
            if sock is None or not self._reading:
                return
            try:
                if self._wildcard:
                    data, control, _, peer = sock.recvmsg(LARGEST, 64)
                else:
                    data, peer = sock.recvfrom(LARGEST)
                    control = []
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error for a datagram sent earlier: nothing that was received is lost.
                continue
            self.received += 1
            out = self.at_once(data)
            if out == _SILENCE:
                continue
            if out is None:
                out = find(data)
            if out is None:
                out = self.ask(data, peer, control, now)
            if out is not None:
                self.transmit(out, peer, control)

    def doWrite(self) -> None:
        """The kernel takes datagrams again."""
        late = self._late
        while late and self._socket is not None:
            data, peer, control = late[0]
            try:
                self._socket.sendmsg([data], control, 0, peer)
                self.sent += 1
            except OSError as error:
                if error.errno in _WOULD_BLOCK:
                    return
                self.dropped += 1
            late.popleft()
        self.reactor.removeWriter(self)
        self._settle()

    # What the ways of reading share

    def at_once(self, data: bytes) -> bytes | None:
        """The prompt answer to a datagram, if there is one; empty for silence."""
        if self.prompt is None or len(data) < 3:
            return None
        out = self.promptly([data[2:]])[0]
        return data[:2] + out if out else out

    def promptly(self, queries: list[bytes], hosts: Sequence[memoryview] = ()) -> Sequence[bytes | None]:
        """Prompt answers; should they fail, none."""
        assert self.prompt is not None
        try:
            return self.prompt(queries, hosts)
        except Exception:
            self.report("answering promptly failed", ("", 0))
            return [None] * len(queries)

    def ask(self, data: bytes, peer: Any, control: list[tuple[int, int, bytes]], now: float) -> bytes | None:
        """What the application answers at once; later answers are sent when they come."""
        try:
            out = self.answer(data, _host(peer), _asked(control, self._local) if control else self._local, now)
        except Exception:
            self.report("answering a datagram from {peer} failed", peer)
            return None
        if out is None or type(out) is bytes:
            return out
        if isinstance(out, (bytearray, memoryview)):
            return bytes(out)
        self._await(out, peer, _reply_control(control))
        return None

    def _await(self, pending: Any, peer: Any, control: list[tuple[int, int, bytes]]) -> None:
        if self.outstanding >= self.limits.outstanding:
            self.dropped += 1
            if isinstance(pending, Coroutine):
                pending.close()
            elif isinstance(pending, Deferred):
                pending.addErrback(lambda _: None)
                pending.cancel()
            return
        self.outstanding += 1
        waiting = pending if isinstance(pending, Deferred) else Deferred.fromCoroutine(_awaited(pending))

        def came(out: bytes | None) -> None:
            if out is not None:
                self.transmit(out, peer, control)

        def failed(failure: Any) -> None:
            self.report("answering a datagram from {peer} failed", peer, failure)

        def settled(_: None) -> None:
            self.outstanding -= 1
            self._settle()

        waiting.addCallback(came).addErrback(failed).addCallback(settled)

    def transmit(self, data: bytes, peer: Any, control: list[tuple[int, int, bytes]]) -> None:
        """Send one datagram to a raw address, or keep it for a while if the kernel takes no more."""
        sock = self._socket
        if sock is None:
            return
        try:
            if self._late:
                raise BlockingIOError(errno.EAGAIN, "others wait")
            if control:
                sock.sendmsg([data], _reply_control(control), 0, peer)
            else:
                sock.sendto(data, peer)
            self.sent += 1
        except OSError as error:
            if error.errno in _WOULD_BLOCK and len(self._late) < self.limits.late:
                self._late.append((data, peer, _reply_control(control)))
                self.reactor.addWriter(self)
            else:
                self.dropped += 1

    def report(self, words: str, peer: Any, failure: Any = None) -> None:
        """Count a fault of the application, and log it unless another was logged within a second."""
        self.faults += 1
        now = self.reactor.seconds()
        if now >= self._next_report:
            self._next_report = now + 1.0
            self._log.failure(words, failure, peer=_host(peer))

    def _settle(self) -> None:
        if self._idle and not self.outstanding and not self._late:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)


class ProtocolPort(DatagramPort):
    """The same on Twisted's own UDP port, for reactors that know no file descriptors."""

    def __init__(self, reactor: Any, where: Place, answer: Answer, **rest: Any) -> None:
        super().__init__(reactor, where, answer, **rest)
        self._port: Any = None

    def bind(self) -> None:
        """Listen, dropping what arrives; Twisted's CannotListenError is turned into OSError."""
        if self._port is not None:
            return
        protocol = _Datagrams(self)
        try:
            self._port = self.reactor.listenUDP(self._where[1], protocol, self._where[0], maxPacketSize=LARGEST)
        except CannotListenError as error:
            raise error.socketError if isinstance(error.socketError, OSError) else OSError(str(error)) from error
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._port.getHandle().setsockopt(socket.SOL_SOCKET, option, self.limits.buffer)
        host = self._port.getHost()
        self._local = (host.host, host.port)

    def startListening(self) -> None:
        """Answer from now on."""
        self.bind()
        self._reading = True

    def stopListening(self) -> Deferred[None]:
        """Close; answers that are still awaited are dropped."""
        port, self._port = self._port, None
        self._reading = False
        return succeed(None) if port is None else _quietly(port.stopListening())

    def pause(self) -> None:
        """Read no more; what arrives is dropped."""
        self._reading = False

    def arrived(self, data: bytes, peer: Place) -> None:
        """One datagram, from Twisted."""
        if not self._reading:
            return
        self.received += 1
        out = self.at_once(data)
        if out == _SILENCE:
            return
        if out is None and self.memo is not None:
            out = self.memo.find(data)
        if out is None:
            out = self.ask(data, peer, [], self.reactor.seconds())
        if out is not None:
            self.transmit(out, peer, [])

    def transmit(self, data: bytes, peer: Any, control: list[tuple[int, int, bytes]]) -> None:
        """Send one datagram; what the kernel does not take is dropped."""
        if self._port is None:
            return
        try:
            self._port.write(data, peer[:2])
            self.sent += 1
        except OSError:
            self.dropped += 1


class _Datagrams(DatagramProtocol):
    """Twisted's side of a ProtocolPort."""

    def __init__(self, port: ProtocolPort) -> None:
        self._port = port

    def datagramReceived(self, datagram: bytes, addr: Place) -> None:
        self._port.arrived(datagram, addr)


def datagram_port(
    reactor: Any,
    where: Place | socket.socket,
    answer: Answer,
    *,
    memo: Memo | None = None,
    fast: Fast | None = None,
    prompt: PromptAnswers | None = None,
    limits: DatagramLimits = DatagramLimits(),
) -> DatagramPort:
    """The fastest port that this platform and this reactor have."""
    if not IReactorFDSet.providedBy(reactor):
        place: Place = where.getsockname()[:2] if isinstance(where, socket.socket) else where
        return ProtocolPort(reactor, place, answer, memo=memo, fast=fast, prompt=prompt, limits=limits)
    from netsuite.common import mmsg

    kind = mmsg.BatchPort if mmsg.available() else DatagramPort
    return kind(reactor, where, answer, memo=memo, fast=fast, prompt=prompt, limits=limits)


def _nothing(_: bytes) -> None:
    return None


async def _awaited(pending: Any) -> Any:
    return await pending


def _quietly(result: Any) -> Deferred[None]:
    return result if isinstance(result, Deferred) else succeed(None)


def _host(address: Any) -> Place:
    """``(host, port)`` of an address as the socket module gives it; link-local ones keep their zone."""
    if len(address) == 4 and address[3] and "%" not in address[0]:
        try:
            return f"{address[0]}%{socket.if_indextoname(address[3])}", address[1]
        except OSError:
            pass
    return address[0], address[1]


def _asked(control: list[tuple[int, int, bytes]], bound: Place) -> Place:
    """Which of our addresses a datagram was sent to, from its packet information."""
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return socket.inet_ntop(socket.AF_INET, data[8:12]), bound[1]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return socket.inet_ntop(socket.AF_INET6, data[:16]), bound[1]
    return bound


def _reply_control(control: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Packet information that makes the answer leave from the address that was asked, by any interface.

    Link-local IPv6 keeps its interface: the address means nothing without it.
    """
    out = []
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            out.append((level, kind, bytes(4) + data[4:8] + bytes(4)))
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            out.append((level, kind, data if data[:1] == b"\xfe" else data[:16] + bytes(4)))
    return out
