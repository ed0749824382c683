"""The one driver of every stream protocol: any :class:`Connection` machine on any Twisted transport.

A :class:`StreamAdapter` carries bytes between the transport (through a TLS filter where there is one) and
the machine, hands messages to the application, pours the bodies that it answers with, and keeps every limit that
all protocols share: reading stops while the machine has a backlog or the peer does not read, one
timer serves all deadlines, a reader that makes no progress is cut, a drain finishes what is in flight.

The application is ``handler(message, body, adapter)``. It answers None, an item, or a coroutine of
one; a coroutine is stepped at once and becomes a job only if it really waits. A handler that
raises becomes ``Abandon``: the machine says so in its protocol's own words.

``shortcut(data, channel)`` may answer input in place of an idle machine, with exactly the bytes that the
machine would have sent, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from netsuite.common.body import Body
from netsuite.common.exchanges import Exchanges
from netsuite.common.filespan import materialised
from netsuite.common.outlet import Outlet
from netsuite.common.tls import TlsFailed, TlsFilter
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Channel,
    Close,
    Connection,
    Data,
    Drain,
    End,
    Failed,
    HalfClose,
    Upgrade,
)

if TYPE_CHECKING:
    from netsuite.common.stream import StreamFactory

__all__ = ["ConnectFailed", "Handler", "Shortcut", "StreamAdapter", "StreamLimits"]

Shortcut = Callable[[bytes, Channel], "bytes | Sequence[bytes] | None"]
Handler = Callable[[Any, Body, "StreamAdapter"], Any]

YOUNG: Final = 1.0
"""Seconds for which a connection's timer that is further away is not set yet."""
_NEVER: Final = float("inf")
_BURST: Final = 16
"""Messages answered before what they left behind is written and the peer's reading is looked at."""


class ConnectFailed(Exception):
    """A connection could not be had; the text says to where and why."""


@attrs.frozen
class StreamLimits:
    """What one connection may cost; sizes in bytes, times in seconds.

    ``stall`` cuts a peer that takes none of what is waiting for it; ``probe`` is how often a connection
    that is not being read is looked at, since the reactor then sees neither reset nor end. ``duplex`` reads on while
    the peer does not: where both sides send much without being asked, each would else wait for the other. The
    application then sees to it that what it sends is bounded.
    """

    backlog_high: int = 256 * 1024
    backlog_low: int = 64 * 1024
    handshake: float = 10.0
    stall: float = 30.0
    probe: float = 5.0
    linger: float = 2.0
    linger_bytes: int = 1 << 20
    drop_bytes: int = 256 * 1024
    read_size: int = 64 * 1024
    duplex: bool = False


@implementer(IHalfCloseableProtocol, IProtocol, IPushProducer)
class StreamAdapter:
    """One connection: see the module's docstring.

    Applications use ``channel``, ``closed`` (nothing can be sent any more), ``send``, ``close`` and ``abort``, and may
    keep what they like in ``data``. ``connection`` is the machine that stands now: None during a TLS handshake and
    after the end.
    ``prelude`` is written first; ``announced`` stands in place of the transport's own addresses.
    The other public names are for :class:`~netsuite.common.exchanges.Exchanges`.
    """

    __slots__ = (
        "_announced",
        "_ended",
        "_exchanges",
        "_filter",
        "_linger_left",
        "_lingering",
        "_lost",
        "_next",
        "_outlet",
        "_prelude",
        "_reading",
        "_shortcut",
        "_stall_at",
        "_timer",
        "_timer_at",
        "_until",
        "again",
        "channel",
        "closed",
        "connection",
        "data",
        "due",
        "factory",
        "full",
        "pumping",
        "ready",
        "seconds",
        "transport",
    )

    def __init__(
        self,
        factory: StreamFactory,
        tls: TlsFilter | None,
        ready: Deferred[StreamAdapter] | None,
        *,
        connection: Callable[[Channel], Connection] | None = None,
        prelude: bytes = b"",
        announced: Channel | None = None,
    ) -> None:
        self.factory = factory
        self._prelude = prelude
        self._announced = announced
        self.seconds = factory.commons.clock.seconds
        self._shortcut: Shortcut | None = factory.shortcut if connection is None else None
        self.connection: Connection | None = None
        self._filter = tls
        self._next: Callable[[Channel], Connection] = connection or factory.connection
        self._exchanges = Exchanges(self)
        self.full = False
        self._reading = True
        self.pumping = False
        self.again = False
        self.due = False  # to be pumped at the end of this turn
        self.closed = False
        self._ended = False
        self._lingering = False
        self._linger_left = 0
        self._lost = False
        self._until: float | None = None
        self._stall_at: float | None = None
        self._timer: Any = None
        self._timer_at = _NEVER
        self._outlet: Outlet
        self.transport: Any = None
        self.channel = Channel(("", 0), ("", 0))
        self.data: Any = None
        self.ready = ready

    # -- for applications

    def send(self, item: Any, *, soon: bool = False) -> None:
        """Send an item; its source, if it has one, is poured behind it. Raises ConnectFailed once closed.

        It leaves now, or with all else that this turn of the reactor has to say that may leave ``soon``.
        """
        connection = self.connection
        if connection is None or self.closed:
            self._exchanges.dispose(item)
            raise ConnectFailed("the connection is closed")
        if getattr(item, "source", None) is not None:
            self._exchanges.pour(item)
        else:
            connection.send(item, self.seconds())
        if soon:
            self.factory.pump_soon(self)
        else:
            self.pump()

    def close(self, reason: str) -> None:
        """Write what is outgoing, then close."""
        if not self._lost and not self.closed:
            self._settle()
            self.end(Close(reason))

    def abort(self, reason: str = "aborted") -> None:
        """Close at once; what was outgoing is lost."""
        if not self._lost:
            self.closed = True
            self._release(reason)
            self._unregister()
            self.transport.abortConnection()

    @property
    def quiet(self) -> bool:
        """Whether the peer has neither said anything that was not looked at yet, nor left."""
        return not self._ended and self._outlet.quiet()

    def drain(self) -> None:
        """Finish what is in flight, then close."""
        if self.connection is None:
            self.abort("draining")
        elif not self.closed:
            if self.connection.idle and self._outlet.unread():
                # a request that lies in the kernel came before the drain
                self.transport.doRead()
            if not self.closed:
                self.send(Drain())

    # -- for bodies

    @property
    def encrypted(self) -> bool:
        """Whether what is sent goes through a filter."""
        return self._filter is not None

    def consumed(self, count: int, stream: int) -> None:
        """A body handed over that many bytes, or (0) waits for more."""
        connection = self.connection
        if connection is not None and not self.closed:
            connection.consumed(count, stream)
            if self.pumping:
                self.again = True
            else:
                self.pump()

    def dropping(self, body: Body, waiting: int) -> None:
        """A body is not wanted any more; ``waiting`` bytes of it had already come."""
        self._exchanges.drop(body.stream, waiting)

    # -- IProtocol

    def connectionMade(self) -> None:
        """Twisted's hook; makeConnection does it all."""

    def makeConnection(self, transport: Any) -> None:
        """The transport stands: begin the handshake, or the protocol."""
        self.transport = transport
        self.channel = Channel(host_and_port(transport.getHost()), host_and_port(transport.getPeer()))
        unix = not (self.channel.local[1] or self.channel.peer[1])
        if self._announced is not None:
            self.channel = self._announced
        self.factory.opened(self)
        self._outlet = Outlet(transport, self.factory.limits.read_size, unix=unix)
        transport.registerProducer(self, True)
        if self._prelude:
            self._outlet.write((self._prelude,))
        try:
            if self._filter is None:
                self._stand()
                return
            self._until = self.seconds() + self.factory.limits.handshake
            self._set_timer(self._until)
            self._filter.start()
            self._flush_filter()
        except TlsFailed as failed:
            self._refuse_tls(failed)
        except Exception as problem:
            self._broken(problem)

    def dataReceived(self, data: bytes) -> None:
        """Bytes arrived."""
        factory = self.factory
        factory.bytes_in += len(data)
        if self.closed:
            self._linger(len(data))
            return
        try:
            if self._filter is not None:
                self._decrypt(data)
                return
            connection = self.connection
            if connection is None:
                return
            shortcut = self._shortcut
            if shortcut is not None and connection.idle and not self.full and not self.due:
                hit = shortcut(data, self.channel)
                if hit is not None:
                    connection.touched(self.seconds())
                    factory.shortcuts += 1
                    factory.bytes_out += self._outlet.write((hit,) if type(hit) is bytes else hit)
                    return
            connection.receive(data, self.seconds())
            self.pump()
        except Exception as problem:
            self._broken(problem)

    def readConnectionLost(self) -> None:
        """The peer ended its side (FIN)."""
        self._ended = True
        if self.closed:
            self._finish_close()
            return
        if self._filter is not None and not self._filter.ended:
            # without close_notify an end is a truncation, never an orderly end (RFC 8446 section 6.1)
            self._release("the peer closed without close_notify")
            self.end(Close("the peer closed without close_notify"))
            return
        self._input_ended()

    def writeConnectionLost(self) -> None:
        """Our side was ended by a lingering close."""

    def connectionLost(self, reason: Failure) -> None:
        """The transport is gone."""
        if self._lost:
            return
        self._lost = self.closed = True
        words = reason.getErrorMessage() if not reason.check(error.ConnectionDone) else "the connection is closed"
        self._release(words)
        self.connection = None
        self._filter = None
        self.factory.closed(self, words)
        if self.ready is not None:
            ready, self.ready = self.ready, None
            ready.errback(ConnectFailed(words))

    # -- IPushProducer: the transport's queue

    def pauseProducing(self) -> None:
        """The peer does not read as fast as we write."""
        self.full = True
        self._outlet.progressed()
        self._stall_at = self.seconds() + self.factory.limits.stall
        self._set_timer(self._stall_at)
        self._read_or_not()

    def resumeProducing(self) -> None:
        """The transport's queue is empty again."""
        if not self._outlet.resume():
            return
        self.full = False
        self._stall_at = None
        self._exchanges.wake()
        if self.closed:
            return
        if self.factory.writable is not None:
            try:
                self.factory.writable(self)
            except Exception as problem:
                self._broken(problem)
        self.pump()

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost follows."""

    # -- the machine

    def _stand(self, tail: bytes = b"") -> None:
        """A fresh machine takes over: the one that ALPN chose, where it chose one."""
        tls = self.channel.tls
        if tls is not None and tls.alpn is not None:
            chosen = self.factory.alpn.get(tls.alpn)
            if chosen is not None:
                self._next = chosen
                self._shortcut = None
        self.connection = self._next(self.channel)
        if tail:
            self.connection.receive(tail, self.seconds())
        if self.ready is not None:
            ready, self.ready = self.ready, None
            ready.callback(self)
        self.pump()

    def pump(self) -> None:
        """Take all events that the machine has; a call from within has the loop go round once more."""
        if self.pumping:
            self.again = True
            return
        self.pumping = True
        self.due = False
        try:
            burst = _BURST
            exchanges = self._exchanges
            duplex = self.factory.limits.duplex
            while (duplex or not self.full) and not self.closed:
                connection = self.connection
                if connection is None:
                    break
                self.again = False
                event = connection.next_event()
                if event is NEED_DATA or event is PAUSED:
                    if self.again:
                        continue
                    break
                kind = type(event)
                if kind is Data or kind is End or kind is Failed:
                    exchanges.arrived(event)
                elif kind is Close:
                    self.flush()
                    self.end(event)
                elif kind is Upgrade:
                    self.flush()
                    self._upgrade(event)
                elif kind is HalfClose:
                    self.flush()
                    self._half_close()
                else:
                    exchanges.begin(event)
                    burst -= 1
                    if not burst:
                        burst = _BURST
                        self.flush()
        except Exception as problem:
            self._broken(problem)
        finally:
            self.pumping = False
        self._settle()

    def pump_alone(self) -> None:
        """Pump this one of many: what goes wrong with it is no matter of the others'."""
        try:
            self.pump()
        except Exception as problem:
            self._broken(problem)

    # -- writing, reading, time

    def _settle(self) -> None:
        """After every turn: one write, reading on or off, the timer."""
        if self.closed:
            return
        self.flush()
        connection = self.connection
        if connection is None or self.closed:
            return
        if not self.full:
            # the protocol's own window may have opened
            self._exchanges.wake()
        self._read_or_not()
        deadline = connection.deadline()
        if deadline is not None and deadline < self._timer_at:
            self._set_timer(deadline)

    def flush(self) -> None:
        """Write what the machine has to say."""
        connection = self.connection
        if connection is not None:
            while chunks := connection.outgoing():
                self._write(chunks)
                if self.full:
                    break

    def _write(self, chunks: Sequence[bytes]) -> None:
        """To the socket at once if nothing is queued before it, the rest by the transport."""
        if self._filter is not None:
            self._filter.sent(materialised(chunks))
            chunks = (self._filter.outgoing(),)
        self.factory.bytes_out += self._outlet.write(chunks)

    def _read_or_not(self) -> None:
        if self._ended or self._lost:
            return
        if self.full and not self.closed and not self.factory.limits.duplex:
            wanted = False
        elif self.connection is None or self.closed:
            wanted = True
        else:
            limits = self.factory.limits
            backlog = self.connection.backlog()
            wanted = backlog <= limits.backlog_low or (self._reading and backlog < limits.backlog_high)
        if wanted is not self._reading:
            self._reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()
                self._set_timer(self.seconds() + self.factory.limits.probe)

    def _set_timer(self, when: float) -> None:
        """Have the one timer fire at ``when`` or before."""
        if self._lost or self._timer_at <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = when
        left = when - self.seconds()
        if left > YOUNG:
            # most connections that end soon never need it
            self.factory.watch(self)
        else:
            self._timer = self.factory.commons.clock.callLater(max(0.0, left), self._tick)

    def watched(self) -> None:
        """The factory: this connection has lived for a while and needs its timer now."""
        if self._timer is None and self._timer_at != _NEVER and not self._lost:
            left = self._timer_at - self.seconds()
            self._timer = self.factory.commons.clock.callLater(max(0.0, left), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._timer_at = _NEVER
        if self._lost:
            return
        now = self.seconds()
        try:
            if self._until is not None and now >= self._until:
                if self.closed and not self._lingering and self._outlet.progressed():
                    self._until = now + self.factory.limits.stall
                else:
                    self.factory.timed_out += 1
                    self.abort("a handshake or a close took too long")
                    return
            if self.closed:
                self._rearm(now)
                return
            if self.full and self._stall_at is not None and now >= self._stall_at:
                if not self._outlet.progressed():
                    self.factory.timed_out += 1
                    self.abort("the peer reads nothing")
                    return
                self._stall_at = now + self.factory.limits.stall
            if (not self._reading or self._ended) and self._outlet.dead():
                self.abort("the peer is gone")
                return
            connection = self.connection
            if connection is not None:
                deadline = connection.deadline()
                if deadline is not None and deadline <= now:
                    connection.tick(now)
                    self.pump()
        except Exception as problem:
            self._broken(problem)
        self._rearm(now)

    def _rearm(self, now: float) -> None:
        if self._lost:
            return
        if self._until is not None:
            self._set_timer(self._until)
        if self.full and self._stall_at is not None:
            self._set_timer(self._stall_at)
        if not self._reading or self._ended:
            self._set_timer(now + self.factory.limits.probe)
        if self.connection is not None and not self.closed:
            deadline = self.connection.deadline()
            if deadline is not None:
                self._set_timer(max(deadline, now + 0.001))

    # -- TLS

    def _decrypt(self, data: bytes) -> None:
        tls = self._filter
        if tls is None:
            return
        try:
            clear = tls.received(data)
        except TlsFailed as failed:
            self._refuse_tls(failed)
            return
        self._flush_filter()
        if self.connection is None:
            if tls.facts is None:
                return
            self._until = None
            self.channel = self.channel._replace(tls=tls.facts)
            self._stand()
        for chunk in clear:
            connection = self.connection
            if connection is None or self.closed:
                return
            if self._shortcut is not None and connection.idle and not self.full and not self.due:
                hit = self._shortcut(chunk, self.channel)
                if hit is not None:
                    connection.touched(self.seconds())
                    self.factory.shortcuts += 1
                    self._write((hit,) if isinstance(hit, bytes) else hit)
                    continue
            connection.receive(chunk, self.seconds())
            self.pump()
        if tls.ended and not self.closed:
            self._input_ended()

    def _flush_filter(self) -> None:
        data = self._filter.outgoing() if self._filter is not None else b""
        if data:
            self.transport.write(data)

    def _refuse_tls(self, failed: TlsFailed) -> None:
        self.factory.tls_failed += 1
        self._flush_filter()
        if self.ready is not None:
            ready, self.ready = self.ready, None
            ready.errback(ConnectFailed(f"TLS failed: {failed}"))
        self._release(f"TLS failed: {failed}")
        self._filter = None
        self.end(Close(f"TLS failed: {failed}"))

    def _upgrade(self, event: Upgrade) -> None:
        self._next = event.next
        self._shortcut = None
        self._exchanges.fail_bodies("the connection changed its protocol")
        if event.filter is None:
            self.connection = event.next(self.channel)
            if event.tail:
                self.connection.receive(event.tail, self.seconds())
            return
        self.connection = None
        self._filter = self.factory.filter(event.filter)
        self._until = self.seconds() + self.factory.limits.handshake
        self._set_timer(self._until)
        self._filter.start()
        self._flush_filter()
        if event.tail:
            self._decrypt(event.tail)

    # -- the end

    def _input_ended(self) -> None:
        connection = self.connection
        if connection is None:
            self.end(Close("the peer closed during the handshake"))
            return
        try:
            connection.receive(b"", self.seconds())
            self.pump()
        except Exception as problem:
            self._broken(problem)
        if not self.closed and not self._lost:
            self._set_timer(self.seconds() + self.factory.limits.probe)

    def end(self, event: Close) -> None:
        """Close in order: what is queued still goes out."""
        if self.closed:
            return
        self.closed = True
        self._release(event.reason)
        self._until = self.seconds() + (self.factory.limits.linger if event.linger else self.factory.limits.stall)
        if self._filter is not None and not self._lost:
            self._filter.close()
            self._flush_filter()
        self._outlet.settle()
        self._unregister()
        self._outlet.progressed()
        if event.linger and not self._ended:
            self._lingering = True
            self._linger_left = self.factory.limits.linger_bytes
            self._read_or_not()
            self._outlet.half_close()
        else:
            self.transport.loseConnection()
        self._set_timer(self._until)

    def _half_close(self) -> None:
        """End our side once what is queued has gone out; the peer's is read on."""
        if self._filter is not None:
            self._filter.close()
            self._flush_filter()
        self._unregister()
        self._outlet.half_close()

    def _linger(self, count: int) -> None:
        self._linger_left -= count
        if self._linger_left < 0:
            self.abort("the peer goes on sending")

    def _finish_close(self) -> None:
        self._unregister()
        self.transport.loseConnection()

    def _release(self, reason: str) -> None:
        """Everything that waits for this connection ends; the timer too when the transport is gone."""
        self._exchanges.release(reason)
        if self._lost and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _unregister(self) -> None:
        # loseConnection waits for ever while a producer is registered
        self.full = False
        self.transport.unregisterProducer()

    def _broken(self, problem: Exception) -> None:
        """A machine or an adapter step raised: our fault; this connection ends, the server goes on."""
        self.factory.broke(problem)
        self.abort("internal error")


def host_and_port(address: Any) -> tuple[str, int]:
    """A Twisted address as a pair; a Unix socket's path and 0."""
    host = getattr(address, "host", None)
    if host is not None:
        return (host, address.port)
    name = getattr(address, "name", b"") or b""
    return (name.decode(errors="replace") if isinstance(name, bytes) else str(name), 0)
