"""An HTTP/1.1 client: kept connections to origins, one exchange at a time on each.

:meth:`HttpClient.fetch` answers a response's head and its body as soon as the head is there. Bodies stream both ways,
at the pace of the slower side. A connection that is whole afterwards is kept and used again; a request is sent a
second time only if the kept connection died before it brought a single byte, and only if the request
is idempotent and has no streamed body (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import attrs
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred

from netsuite.common.body import Body
from netsuite.common.commons import Runtime
from netsuite.common.eyeballs import by_turns, first_of
from netsuite.common.stream import ConnectFailed, StreamAdapter, StreamFactory, StreamLimits, connect_stream
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.http1 import ClientConnection
from netsuite.http.wire.messages import Ready, Request, Response
from netsuite.http.wire.tunnel import Opened, Outflow, RawConnection
from netsuite.sansio.connection import Channel, Failed, Source

__all__ = ["ClientLimits", "FetchFailed", "Fetched", "HttpClient", "Origin", "idempotent"]

_HAPPY_DELAY: Final = 0.25
"""Seconds after which the next address is tried beside the one before (RFC 8305 section 5)."""

_WHOLE: Final = 64 * 1024
"""Bytes of a body that need not be streamed if they came with their head."""

_IDEMPOTENT: Final = frozenset([b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PROPFIND", b"QUERY"])

Resolve = Callable[[str], Awaitable[list[str]]]
"""A host to the addresses that may be connected to, best first; raises for what may not."""

Interim = Callable[[Response], None]


def idempotent(request: Request) -> bool:
    """Whether a request may be sent again when nobody knows what became of it (RFC 9110 section 9.2.2)."""
    return request.source is None and request.method in _IDEMPOTENT


class Origin(NamedTuple):
    """Where a request goes; under ``https`` the certificate must be ``host``'s.

    ``prelude`` is what is sent first of all on its connections (a PROXY header), which are shared by no other.
    ``addresses``, where there are any, are those that it must be connected by, whatever the host's are now.
    """

    scheme: str
    host: str
    port: int
    prelude: bytes = b""
    addresses: tuple[str, ...] = ()


class Fetched(NamedTuple):
    """The final response to a request, and its body (an async iterator, a possible source of another message).

    ``reused`` says whether the connection was a kept one.
    """

    response: Response
    body: Body
    reused: bool


class FetchFailed(Exception):
    """No response could be had. ``kind`` says why.

    ``connect``: no connection; ``connect-timeout``: none in time; ``tls``: its certificate or TLS is not acceptable;
    ``busy``: too many are waiting; ``timeout``: no free connection or answer in time; ``closed``: the origin closed
    or broke the protocol (it is ``malformed`` then) before it answered; ``unavailable``: there is no server to ask.
    ``unsent`` says that nothing of the request has left.
    """

    def __init__(self, kind: str, reason: str, *, unsent: bool = False, malformed: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.unsent = unsent
        self.malformed = malformed


@attrs.frozen
class ClientLimits:
    """What one origin may cost; times in seconds.

    At most ``connections`` at once, of which ``kept`` stay open when idle, for ``idle_time``; at most
    ``waiting`` requests wait for one, for ``wait_time``.
    """

    connections: int = 64
    kept: int = 32
    waiting: int = 1024
    wait_time: float = 10.0
    connect_time: float = 5.0
    idle_time: float = 30.0
    answer_time: float = 60.0
    body_time: float = 30.0
    tunnel_time: float = 600.0


class _Exchange:
    """One request on one connection; ``done`` is told once that it is over both ways."""

    __slots__ = ("_done", "_over", "final", "interim")

    def __init__(self, interim: Interim | None) -> None:
        self.interim = interim
        self._done: Callable[[], None] | None = None
        self._over = False
        self.final: Deferred[tuple[Response, Body]] = Deferred()

    def told(self, done: Callable[[], None]) -> None:
        """Whom to tell; at once where it is over already."""
        if self._over:
            done()
        else:
            self._done = done

    def over(self) -> None:
        """Nothing more is exchanged."""
        self._over = True
        done, self._done = self._done, None
        if done is not None:
            done()


class _Pool:
    """The connections to one origin; ``idle`` ones are used again last in, first out."""

    __slots__ = ("adapters", "idle", "opened", "waiters")

    def __init__(self) -> None:
        self.opened = 0  # with those that are being connected
        self.adapters: list[StreamAdapter] = []
        self.idle: list[StreamAdapter] = []
        self.waiters: deque[Deferred[StreamAdapter | None]] = deque()


class _Use:
    """What an adapter of ours carries in ``data``."""

    __slots__ = ("exchange", "machine", "pool", "reused")

    def __init__(self, pool: _Pool, machine: ClientConnection) -> None:
        self.pool = pool
        self.machine = machine
        self.exchange: _Exchange | None = None
        self.reused = False

    @property
    def idle(self) -> bool:
        """Whether another request may be sent: the machine is idle, and the last response has been handed over."""
        return self.machine.idle and (self.exchange is None or self.exchange.final.called)


class HttpClient:
    """Fetches; ``resolve`` finds addresses (and refuses some), ``tls`` makes the context for https.

    ``requests``, ``connections``, ``reuses``, ``retries`` and ``failures`` count.
    """

    def __init__(
        self,
        runtime: Runtime,
        resolve: Resolve,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        limits: ClientLimits = ClientLimits(),
        stream_limits: StreamLimits = StreamLimits(),
    ) -> None:
        self._runtime = runtime
        self._resolve = resolve
        self._tls = tls
        self._limits = limits
        self._pools: dict[Origin, _Pool] = {}
        self._http1 = Http1Limits(
            idle_time=limits.idle_time,
            answer_time=limits.answer_time,
            body_time=limits.body_time,
            tunnel_time=limits.tunnel_time,
        )
        self._factory = StreamFactory(
            runtime,
            "http client",
            self._connection,
            self._event,
            limits=stream_limits,
            failed=self._stream_failed,
            gone=self._gone,
        )
        self._tunnels = StreamFactory(
            runtime, "tunnel", self._raw_connection, self._tunnel_opened, limits=stream_limits, gone=self._tunnel_gone
        )
        self.requests = self.connections = self.reuses = self.retries = self.failures = 0

    async def fetch(
        self,
        request: Request,
        origin: Origin,
        *,
        interim: Interim | None = None,
        done: Callable[[], None] | None = None,
    ) -> Fetched:
        """The response to a request; raises FetchFailed, or whatever ``resolve`` raises.

        ``request.source`` is poured as its body and closed exactly once, whatever happens. Interim responses go to
        ``interim``. Cancelling closes the connection. The body must be read to its end or closed (``aclose``).
        ``done`` is told when the exchange that was answered is over, body and all.
        """
        self.requests += 1
        again = idempotent(request)
        try:
            while True:
                adapter = self._idle(origin) or await self._connected(origin, request)
                use: _Use = adapter.data
                try:
                    response, body = await self._exchange(adapter, use, request, interim, done)
                except FetchFailed:
                    if not again or not use.reused or use.machine.heard:
                        raise
                    self.retries += 1
                else:
                    return Fetched(response, body, use.reused)
        except FetchFailed:
            self.failures += 1
            raise

    async def reach(self, origin: Origin) -> None:
        """Connect (with TLS under https) and close again; raises FetchFailed, or whatever ``resolve`` raises."""
        adapter = await self._connect(self._factory, origin)
        adapter.close("it can be reached")

    async def tunnel(self, host: str, port: int, source: Source, addresses: tuple[str, ...] = ()) -> Body:
        """A raw connection: ``source`` is poured into it, the body is what comes out of it; raises FetchFailed."""
        adapter = await self._connect(self._tunnels, Origin("tunnel", host, port, addresses=addresses))
        opened: Deferred[Body] = Deferred()
        adapter.data = opened
        adapter.send(Outflow(source))
        return await opened

    @property
    def open(self) -> int:
        """How many connections stand."""
        return len(self._factory.adapters) + len(self._tunnels.adapters)

    def close(self) -> None:
        """Close every connection."""
        for adapter in [*self._factory.adapters, *self._tunnels.adapters]:
            adapter.abort("the client is closed")

    # -- connections

    def _connection(self, channel: Channel) -> ClientConnection:
        return ClientConnection(self._http1, now=self._runtime.clock.seconds(), whole=_WHOLE)

    def _pool(self, origin: Origin) -> _Pool:
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _Pool()
        return pool

    async def _connected(self, origin: Origin, request: Request) -> StreamAdapter:
        """An adapter with a machine that is idle; if there is none, the request's source is closed."""
        try:
            return await self._taken(origin)
        except BaseException:
            close = getattr(request.source, "aclose", None)
            if close is not None:
                await close()
            raise

    def _idle(self, origin: Origin) -> StreamAdapter | None:
        """A kept connection, the one that was used last."""
        pool = self._pools.get(origin)
        if pool is None:
            return None
        idle = pool.idle
        while idle:
            adapter = idle.pop()
            use: _Use = adapter.data
            if adapter.closed or not use.idle:
                continue
            if not adapter.quiet:
                # what was said unasked must not become the answer to the next request
                adapter.abort("the server spoke unasked, or left")
                continue
            use.reused = True
            self.reuses += 1
            return adapter
        return None

    async def _taken(self, origin: Origin) -> StreamAdapter:
        pool = self._pool(origin)
        for adapter in pool.adapters:
            # whoever took the end of a response asks at once, before its connection is known to be idle
            if adapter.data.idle and not adapter.closed:
                adapter.data.reused = True
                self.reuses += 1
                return adapter
        if pool.opened >= self._limits.connections:
            waited = await self._wait(pool, origin)
            if waited is not None:
                waited.data.reused = True
                self.reuses += 1
                return waited
        else:
            pool.opened += 1
        try:
            adapter = await self._connect(self._factory, origin)
        except BaseException:
            self._vacate(pool)
            raise
        machine = adapter.connection
        if not isinstance(machine, ClientConnection):
            self._vacate(pool)
            raise FetchFailed("closed", f"{origin.host}:{origin.port} closed at once", unsent=True)
        adapter.data = _Use(pool, machine)
        pool.adapters.append(adapter)
        self.connections += 1
        return adapter

    async def _wait(self, pool: _Pool, origin: Origin) -> StreamAdapter | None:
        """An idle adapter, or None for the place of one that has gone."""
        if len(pool.waiters) >= self._limits.waiting:
            raise FetchFailed(
                "busy", f"{origin.host}:{origin.port}: too many requests wait for a connection", unsent=True
            )
        waiter: Deferred[StreamAdapter | None] = Deferred()
        pool.waiters.append(waiter)
        late = FetchFailed("timeout", f"{origin.host}:{origin.port}: no connection became free in time", unsent=True)
        timer = self._runtime.clock.callLater(self._limits.wait_time, waiter.errback, late)
        try:
            return await waiter
        finally:
            if timer.active():
                timer.cancel()
            if waiter in pool.waiters:
                pool.waiters.remove(waiter)

    async def _connect(self, factory: StreamFactory, origin: Origin) -> StreamAdapter:
        context = None
        if origin.scheme == "https":
            if self._tls is None:
                raise FetchFailed("connect", f"{origin.host}: this client has no TLS", unsent=True)
            context = self._tls()
        addresses = origin.addresses or await self._resolve(origin.host)
        if not addresses:
            raise FetchFailed("connect", f"{origin.host} has no address", unsent=True)

        def attempt(address: str) -> Awaitable[StreamAdapter]:
            return connect_stream(
                factory,
                address,
                origin.port,
                tls_context=context,
                server_hostname=origin.host if context is not None else None,
                timeout=self._limits.connect_time,
                prelude=origin.prelude,
            )

        try:
            if len(addresses) == 1:
                return await attempt(addresses[0])
            return await first_of(attempt, by_turns(addresses), self._runtime.clock, _HAPPY_DELAY)
        except ConnectFailed as failed:
            late = isinstance(failed.__cause__, error.TimeoutError)
            kind = "connect-timeout" if late else "tls" if "TLS failed" in str(failed) else "connect"
            raise FetchFailed(kind, str(failed), unsent=True) from failed

    def _release(self, adapter: StreamAdapter) -> None:
        """An exchange is complete: the connection serves who waits, or is kept."""
        use: _Use = adapter.data
        pool = use.pool
        if not use.idle:
            return  # whoever took the end of the last response has sent another request at once
        if use.exchange is not None:
            use.exchange.over()
        while pool.waiters:
            waiter = pool.waiters.popleft()
            if not waiter.called:
                waiter.callback(adapter)
                return
        idle = pool.idle
        idle.append(adapter)
        if len(idle) > self._limits.kept:
            idle.pop(0).close("enough connections are kept")

    def _vacate(self, pool: _Pool) -> None:
        """A place in the pool is free: somebody who waits may connect."""
        while pool.waiters:
            waiter = pool.waiters.popleft()
            if not waiter.called:
                waiter.callback(None)
                return
        pool.opened -= 1

    # -- exchanges

    async def _exchange(
        self,
        adapter: StreamAdapter,
        use: _Use,
        request: Request,
        interim: Interim | None,
        done: Callable[[], None] | None,
    ) -> tuple[Response, Body]:
        request.stream = use.machine.next_stream
        if use.exchange is not None:
            use.exchange.over()
        exchange = use.exchange = _Exchange(interim)
        try:
            adapter.send(request, soon=True)
            answer = await exchange.final
        except ConnectFailed as failed:
            raise FetchFailed("closed", str(failed), unsent=True) from failed
        except FetchFailed:
            raise
        except BaseException as problem:
            adapter.abort("the request was given up")
            if isinstance(problem, CancelledError):
                raise
            raise FetchFailed("closed", str(problem)) from problem
        if done is not None:
            exchange.told(done)
        return answer

    def _event(self, event: Any, body: Body, adapter: StreamAdapter) -> None:
        use: _Use = adapter.data
        exchange = use.exchange
        if type(event) is Ready:
            self._release(adapter)
        elif exchange is not None and type(event) is Response:
            if event.interim:
                if exchange.interim is not None:
                    exchange.interim(event)
            elif not exchange.final.called:
                exchange.final.callback((event, Body.of(event.body) if event.body else body))

    def _stream_failed(self, event: Failed, adapter: StreamAdapter) -> None:
        self._fail(adapter, event.reason)

    def _fail(self, adapter: StreamAdapter, reason: str) -> None:
        use = adapter.data
        exchange = use.exchange if isinstance(use, _Use) else None
        if exchange is not None and not exchange.final.called:
            kind = "timeout" if "in time" in reason else "closed"
            exchange.final.errback(FetchFailed(kind, reason, malformed="malformed" in reason))

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        use = adapter.data
        if not isinstance(use, _Use):
            return
        pool = use.pool
        pool.adapters.remove(adapter)
        if adapter in pool.idle:
            pool.idle.remove(adapter)
        self._fail(adapter, reason)
        if use.exchange is not None:
            use.exchange.over()
        self._vacate(pool)
        if not pool.opened:
            self._pools = {origin: kept for origin, kept in self._pools.items() if kept is not pool}

    # -- tunnels

    def _raw_connection(self, channel: Channel) -> RawConnection:
        return RawConnection(now=self._runtime.clock.seconds(), idle_time=self._limits.tunnel_time)

    def _tunnel_opened(self, event: Opened, body: Body, adapter: StreamAdapter) -> None:
        adapter.data.callback(body)

    def _tunnel_gone(self, adapter: StreamAdapter, reason: str) -> None:
        """Its body has failed or ended already."""
