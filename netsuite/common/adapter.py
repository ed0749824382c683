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

from collections.abc import Callable, Coroutine, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

import attrs
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from netsuite.common.body import EMPTY, Body, BodyFailed
from netsuite.common.job import Job, run
from netsuite.common.outlet import Outlet
from netsuite.common.tls import TlsFailed, TlsFilter
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Abandon,
    Channel,
    Close,
    Connection,
    Data,
    Drain,
    End,
    Failed,
    Finish,
    Part,
    StateError,
    Upgrade,
)

if TYPE_CHECKING:
    from netsuite.common.stream import StreamFactory

__all__ = ["ConnectFailed", "Handler", "Shortcut", "StreamAdapter", "StreamLimits"]

Shortcut = Callable[[bytes, Channel], "bytes | Sequence[bytes] | None"]
Handler = Callable[[Any, Body, "StreamAdapter"], Any]

_BURST: Final = 16
"""Messages answered before what they left behind is written and the peer's reading is looked at."""


class ConnectFailed(Exception):
    """A connection could not be had; the text says to where and why."""


@attrs.frozen
class StreamLimits:
    """What one connection may cost; sizes in bytes, times in seconds.

    ``stall`` cuts a peer that takes none of what is waiting for it; ``probe`` is how often a connection
    that is not being read is looked at, since the reactor then sees neither reset nor end.
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


class _Gone(Exception):
    """The connection ended while a job waited for it."""


@implementer(IHalfCloseableProtocol, IProtocol, IPushProducer)
class StreamAdapter:
    """One connection: see the module's docstring. Applications use ``channel``, ``send``, ``close`` and ``abort``."""

    __slots__ = (
        "_again",
        "_bodies",
        "_closing",
        "_connection",
        "_drop_left",
        "_ended",
        "_factory",
        "_filter",
        "_full",
        "_jobs",
        "_lingering",
        "_lost",
        "_next",
        "_outlet",
        "_pumping",
        "_reading",
        "_seconds",
        "_shortcut",
        "_stall_at",
        "_timer",
        "_timer_at",
        "_until",
        "_writable",
        "channel",
        "data",
        "ready",
        "transport",
    )

    def __init__(self, factory: StreamFactory, tls: TlsFilter | None, ready: Deferred[StreamAdapter] | None) -> None:
        self._factory = factory
        self._seconds = factory.commons.clock.seconds
        self._shortcut: Shortcut | None = factory.shortcut
        self._connection: Connection | None = None
        self._filter = tls
        self._next: Callable[[Channel], Connection] = factory.connection
        self._bodies: dict[int, Body] = {}
        self._jobs: set[Job] = set()
        self._writable: list[Deferred[None]] = []
        self._full = False
        self._reading = True
        self._pumping = False
        self._again = False
        self._closing = False
        self._ended = False
        self._lingering = False
        self._lost = False
        self._drop_left = factory.limits.drop_bytes
        self._until: float | None = None
        self._stall_at: float | None = None
        self._timer: Any = None
        self._timer_at = 0.0
        self._outlet: Outlet
        self.transport: Any = None
        self.channel = Channel(("", 0), ("", 0))
        self.data: Any = None
        self.ready = ready

    # -- for applications

    @property
    def connection(self) -> Connection | None:
        """The machine that stands now; None during a TLS handshake and after the end."""
        return self._connection

    @property
    def closed(self) -> bool:
        """Nothing can be sent any more."""
        return self._lost or self._closing

    def send(self, item: Any) -> None:
        """Send an item now; its source, if it has one, is poured behind it. Raises ConnectFailed once closed."""
        connection = self._connection
        if connection is None or self._closing:
            self._dispose(item)
            raise ConnectFailed("the connection is closed")
        if getattr(item, "source", None) is not None:
            self._start(self._pour(item), item.stream, EMPTY)
        else:
            connection.send(item, self._seconds())
        self._pump()

    def close(self, reason: str) -> None:
        """Write what is outgoing, then close."""
        if not self._lost and not self._closing:
            self._settle()
            self._end(Close(reason))

    def abort(self, reason: str = "aborted") -> None:
        """Close at once; what was outgoing is lost."""
        if not self._lost:
            self._closing = True
            self._release(reason)
            self._unregister()
            self.transport.abortConnection()

    def drain(self) -> None:
        """Finish what is in flight, then close."""
        if self._connection is None:
            self.abort("draining")
        elif not self._closing:
            self.send(Drain())

    # -- for bodies

    def consumed(self, count: int, stream: int) -> None:
        """A body handed over that many bytes, or (0) waits for more."""
        connection = self._connection
        if connection is not None and not self._closing:
            connection.consumed(count, stream)
            if self._pumping:
                self._again = True
            else:
                self._pump()

    def dropping(self, body: Body, waiting: int) -> None:
        """A body is not wanted any more; ``waiting`` bytes of it had already come."""
        self._dropped(body.stream, waiting)

    # -- IProtocol

    def connectionMade(self) -> None:
        """Twisted's hook; makeConnection does it all."""

    def makeConnection(self, transport: Any) -> None:
        """The transport stands: begin the handshake, or the protocol."""
        self.transport = transport
        self.channel = Channel(host_and_port(transport.getHost()), host_and_port(transport.getPeer()))
        self._factory.opened(self)
        self._outlet = Outlet(transport, self._factory.limits.read_size)
        transport.registerProducer(self, True)
        try:
            if self._filter is None:
                self._stand()
                return
            self._until = self._seconds() + self._factory.limits.handshake
            self._set_timer(self._until)
            self._filter.start()
            self._flush_filter()
        except TlsFailed as failed:
            self._refuse_tls(failed)
        except Exception as problem:
            self._broken(problem)

    def dataReceived(self, data: bytes) -> None:
        """Bytes arrived."""
        factory = self._factory
        factory.bytes_in += len(data)
        if self._closing:
            self._linger(len(data))
            return
        try:
            if self._filter is not None:
                self._decrypt(data)
                return
            connection = self._connection
            if connection is None:
                return
            shortcut = self._shortcut
            if shortcut is not None and connection.idle and not self._full:
                hit = shortcut(data, self.channel)
                if hit is not None:
                    connection.touched(self._seconds())
                    factory.shortcuts += 1
                    self._write((hit,) if isinstance(hit, bytes) else hit)
                    return
            connection.receive(data, self._seconds())
            self._pump()
        except Exception as problem:
            self._broken(problem)

    def readConnectionLost(self) -> None:
        """The peer ended its side (FIN)."""
        self._ended = True
        if self._closing:
            self._finish_close()
            return
        if self._filter is not None and not self._filter.ended:
            # without close_notify an end is a truncation, never an orderly end (RFC 8446 section 6.1)
            self._release("the peer closed without close_notify")
            self._end(Close("the peer closed without close_notify"))
            return
        self._input_ended()

    def writeConnectionLost(self) -> None:
        """Our side was ended by a lingering close."""

    def connectionLost(self, reason: Failure) -> None:
        """The transport is gone."""
        if self._lost:
            return
        self._lost = self._closing = True
        words = reason.getErrorMessage() if not reason.check(error.ConnectionDone) else "the connection is closed"
        self._release(words)
        self._connection = None
        self._filter = None
        self._factory.closed(self, words)
        if self.ready is not None:
            ready, self.ready = self.ready, None
            ready.errback(ConnectFailed(words))

    # -- IPushProducer: the transport's queue

    def pauseProducing(self) -> None:
        """The peer does not read as fast as we write."""
        self._full = True
        self._outlet.progressed()
        self._stall_at = self._seconds() + self._factory.limits.stall
        self._set_timer(self._stall_at)
        self._read_or_not()

    def resumeProducing(self) -> None:
        """The transport's queue is empty again."""
        self._full = False
        self._stall_at = None
        waiters, self._writable = self._writable, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)
        if not self._closing:
            self._pump()

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost follows."""

    # -- the machine

    def _stand(self, tail: bytes = b"") -> None:
        """A fresh machine takes over."""
        self._connection = self._next(self.channel)
        if tail:
            self._connection.receive(tail, self._seconds())
        if self.ready is not None:
            ready, self.ready = self.ready, None
            ready.callback(self)
        self._pump()

    def _pump(self) -> None:
        if self._pumping:
            self._again = True
            return
        self._pumping = True
        try:
            burst = _BURST
            while not self._full and not self._closing:
                connection = self._connection
                if connection is None:
                    break
                self._again = False
                event = connection.next_event()
                if event is NEED_DATA or event is PAUSED:
                    if self._again:
                        continue
                    break
                kind = type(event)
                if kind is Data:
                    body = self._bodies.get(event.stream)
                    if body is None or not body.feed(event.data):
                        self._dropped(event.stream, len(event.data))
                elif kind is End:
                    body = self._bodies.pop(event.stream, None)
                    if body is not None:
                        body.finish(event.trailers)
                elif kind is Failed:
                    body = self._bodies.pop(event.stream, None)
                    if body is not None:
                        body.fail(event.reason)
                    elif self._factory.failed is not None:
                        self._factory.failed(event, self)
                elif kind is Close:
                    self._flush()
                    self._end(event)
                elif kind is Upgrade:
                    self._flush()
                    self._upgrade(event)
                else:
                    self._message(event)
                    burst -= 1
                    if not burst:
                        burst = _BURST
                        self._flush()
        except Exception as problem:
            self._broken(problem)
        finally:
            self._pumping = False
        self._settle()

    def _message(self, message: Any) -> None:
        stream = message.stream
        if message.has_body:
            body = self._bodies[stream] = Body(self, stream)
        else:
            body = EMPTY
        try:
            answer = self._factory.handler(message, body, self)
        except Exception as problem:
            self._abandon(stream, body, problem)
            return
        if answer is None:
            return
        if type(answer) is CoroutineType:
            self._start(answer, stream, body)
        else:
            self._answer(answer, stream, body)

    def _start(self, coroutine: Coroutine[Any, Any, Any], stream: int, body: Body) -> None:
        job: Job | None = None

        def done(item: Any) -> None:
            if job is not None:
                self._jobs.discard(job)
            if item is not None:
                self._answer(item, stream, body)
            if job is not None:
                self._pump()

        def broken(problem: BaseException) -> None:
            if job is not None:
                self._jobs.discard(job)
            if not self._closing:
                self._abandon(stream, body, problem)
                if job is not None:
                    self._pump()

        started = run(coroutine, done, broken)
        if not started.finished:
            job = started
            self._jobs.add(job)
            if self._closing:
                job.cancel()

    def _answer(self, item: Any, stream: int, body: Body) -> None:
        connection = self._connection
        if connection is None or self._closing:
            self._dispose(item)
        elif item.source is not None:
            self._start(self._pour(item, body), stream, body)
        else:
            try:
                connection.send(item, self._seconds())
            except Exception as problem:
                self._abandon(stream, body, problem)
            else:
                body.drop()

    async def _pour(self, item: Any, body: Body = EMPTY) -> None:
        """Send an item and its body, no faster than the transport and the protocol's window take it."""
        source, stream = item.source, item.stream
        try:
            self._put(item)
            async for chunk in source:
                rest = chunk
                while rest:
                    room = 0 if self._full else self._standing().room(stream)
                    if room <= 0:
                        await self._drained()
                    elif room >= len(rest):
                        self._put(Part(stream, rest))
                        rest = b""
                    else:
                        self._put(Part(stream, rest[:room]))
                        rest = rest[room:]
            self._put(Finish(stream, getattr(source, "trailers", ())))
            body.drop()
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _put(self, item: Any) -> None:
        self._standing().send(item, self._seconds())
        if self._pumping:
            self._flush()
        else:
            self._pump()

    def _standing(self) -> Connection:
        connection = self._connection
        if connection is None or self._closing:
            raise _Gone
        return connection

    def _drained(self) -> Deferred[None]:
        self._standing()
        waiter: Deferred[None] = Deferred()
        self._writable.append(waiter)
        return waiter

    def _abandon(self, stream: int, body: Body, problem: BaseException) -> None:
        if isinstance(problem, _Gone) or self._closing:
            return
        if not isinstance(problem, BodyFailed):
            # a peer that breaks off is no fault of ours
            self._factory.broke(problem)
        connection = self._connection
        if connection is None:
            return
        try:
            connection.send(Abandon(stream, str(problem) or type(problem).__name__), self._seconds())
        except StateError:
            self._end(Close("an answer failed when nothing more could be said"))
        body.drop()

    def _dispose(self, item: Any) -> None:
        """An item with a source that will never be poured: its source is closed all the same."""
        close = getattr(getattr(item, "source", None), "aclose", None)
        if close is not None:
            run(close(), lambda _: None, self._factory.broke)

    def _dropped(self, stream: int, count: int) -> None:
        connection = self._connection
        if connection is None or self._closing:
            return
        self._drop_left -= count
        if self._drop_left < 0:
            self._flush()
            self._end(Close("more of an unwanted body came than is worth reading", linger=True))
        elif count:
            connection.consumed(count, stream)
            self._again = True

    # -- writing, reading, time

    def _settle(self) -> None:
        """After every turn: one write, reading on or off, the timer."""
        if self._closing:
            return
        self._flush()
        connection = self._connection
        if connection is None or self._closing:
            return
        if self._writable and not self._full:
            # the protocol's own window opened
            waiters, self._writable = self._writable, []
            for waiter in waiters:
                if not waiter.called:
                    waiter.callback(None)
        self._read_or_not()
        deadline = connection.deadline()
        if deadline is not None and (self._timer is None or deadline < self._timer_at):
            self._set_timer(deadline)

    def _flush(self) -> None:
        if self._connection is not None:
            chunks = self._connection.outgoing()
            if chunks:
                self._write(chunks)

    def _write(self, chunks: Sequence[bytes]) -> None:
        """To the socket at once if nothing is queued before it, the rest by the transport."""
        if self._filter is not None:
            self._filter.sent(chunks)
            chunks = (self._filter.outgoing(),)
        self._factory.bytes_out += self._outlet.write(chunks)

    def _read_or_not(self) -> None:
        if self._ended or self._lost:
            return
        if self._full and not self._closing:
            wanted = False
        elif self._connection is None or self._closing:
            wanted = True
        else:
            limits = self._factory.limits
            backlog = self._connection.backlog()
            wanted = backlog <= limits.backlog_low or (self._reading and backlog < limits.backlog_high)
        if wanted is not self._reading:
            self._reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()
                self._set_timer(self._seconds() + self._factory.limits.probe)

    def _set_timer(self, when: float) -> None:
        """Have the one timer fire at ``when`` or before."""
        if self._lost or (self._timer is not None and self._timer_at <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._factory.commons.clock.callLater(max(0.0, when - self._seconds()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._lost:
            return
        now = self._seconds()
        try:
            if self._until is not None and now >= self._until:
                if self._closing and not self._lingering and self._outlet.progressed():
                    self._until = now + self._factory.limits.stall
                else:
                    self._factory.timed_out += 1
                    self.abort("a handshake or a close took too long")
                    return
            if self._closing:
                self._rearm(now)
                return
            if self._full and self._stall_at is not None and now >= self._stall_at:
                if not self._outlet.progressed():
                    self._factory.timed_out += 1
                    self.abort("the peer reads nothing")
                    return
                self._stall_at = now + self._factory.limits.stall
            if (not self._reading or self._ended) and self._outlet.dead():
                self.abort("the peer is gone")
                return
            connection = self._connection
            if connection is not None:
                deadline = connection.deadline()
                if deadline is not None and deadline <= now:
                    connection.tick(now)
                    self._pump()
        except Exception as problem:
            self._broken(problem)
        self._rearm(now)

    def _rearm(self, now: float) -> None:
        if self._lost:
            return
        if self._until is not None:
            self._set_timer(self._until)
        if self._full and self._stall_at is not None:
            self._set_timer(self._stall_at)
        if not self._reading or self._ended:
            self._set_timer(now + self._factory.limits.probe)
        if self._connection is not None and not self._closing:
            deadline = self._connection.deadline()
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
        if self._connection is None:
            if tls.facts is None:
                return
            self._until = None
            self.channel = self.channel._replace(tls=tls.facts)
            self._stand()
        for chunk in clear:
            connection = self._connection
            if connection is None or self._closing:
                return
            if self._shortcut is not None and connection.idle and not self._full:
                hit = self._shortcut(chunk, self.channel)
                if hit is not None:
                    connection.touched(self._seconds())
                    self._factory.shortcuts += 1
                    self._write((hit,) if isinstance(hit, bytes) else hit)
                    continue
            connection.receive(chunk, self._seconds())
            self._pump()
        if tls.ended and not self._closing:
            self._input_ended()

    def _flush_filter(self) -> None:
        data = self._filter.outgoing() if self._filter is not None else b""
        if data:
            self.transport.write(data)

    def _refuse_tls(self, failed: TlsFailed) -> None:
        self._factory.tls_failed += 1
        self._flush_filter()
        if self.ready is not None:
            ready, self.ready = self.ready, None
            ready.errback(ConnectFailed(f"TLS failed: {failed}"))
        self._release(f"TLS failed: {failed}")
        self._filter = None
        self._end(Close(f"TLS failed: {failed}"))

    def _upgrade(self, event: Upgrade) -> None:
        self._next = event.next
        self._shortcut = None
        for body in self._bodies.values():
            body.fail("the connection changed its protocol")
        self._bodies.clear()
        if event.filter is None:
            self._connection = event.next(self.channel)
            if event.tail:
                self._connection.receive(event.tail, self._seconds())
            return
        self._connection = None
        self._filter = self._factory.filter(event.filter)
        self._until = self._seconds() + self._factory.limits.handshake
        self._set_timer(self._until)
        self._filter.start()
        self._flush_filter()
        if event.tail:
            self._decrypt(event.tail)

    # -- the end

    def _input_ended(self) -> None:
        connection = self._connection
        if connection is None:
            self._end(Close("the peer closed during the handshake"))
            return
        try:
            connection.receive(b"", self._seconds())
            self._pump()
        except Exception as problem:
            self._broken(problem)
        if not self._closing and not self._lost:
            self._set_timer(self._seconds() + self._factory.limits.probe)

    def _end(self, event: Close) -> None:
        """Close in order: what is queued still goes out."""
        if self._closing:
            return
        self._closing = True
        self._release(event.reason)
        self._until = self._seconds() + (self._factory.limits.linger if event.linger else self._factory.limits.stall)
        if self._filter is not None and not self._lost:
            self._filter.close()
            self._flush_filter()
        self._unregister()
        self._outlet.progressed()
        if event.linger and not self._ended:
            self._lingering = True
            self._drop_left = self._factory.limits.linger_bytes
            self._read_or_not()
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()
        self._set_timer(self._until)

    def _linger(self, count: int) -> None:
        self._drop_left -= count
        if self._drop_left < 0:
            self.abort("the peer goes on sending")

    def _finish_close(self) -> None:
        self._unregister()
        self.transport.loseConnection()

    def _release(self, reason: str) -> None:
        """Jobs, bodies and waiters end here, exactly once each; the timer too when the transport is gone."""
        for body in list(self._bodies.values()):
            body.fail(reason)
        self._bodies.clear()
        jobs, self._jobs = self._jobs, set()
        for job in jobs:
            job.cancel()
        waiters, self._writable = self._writable, []
        for waiter in waiters:
            if not waiter.called:
                waiter.errback(_Gone())
        if self._lost and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _unregister(self) -> None:
        # loseConnection waits for ever while a producer is registered
        self._full = False
        self.transport.unregisterProducer()

    def _broken(self, problem: Exception) -> None:
        """A machine or an adapter step raised: our fault; this connection ends, the server goes on."""
        self._factory.broke(problem)
        self.abort("internal error")


def host_and_port(address: Any) -> tuple[str, int]:
    """A Twisted address as a pair; a Unix socket's path and 0."""
    host = getattr(address, "host", None)
    if host is not None:
        return (host, address.port)
    name = getattr(address, "name", b"") or b""
    return (name.decode(errors="replace") if isinstance(name, bytes) else str(name), 0)
