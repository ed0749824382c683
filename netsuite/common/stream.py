"""Streams: the factories that put a protocol machine on a port, and the way to connect one to a server.

A :class:`StreamFactory` is a Twisted Factory that makes a :class:`~netsuite.common.adapter.StreamAdapter` a
connection; that module says what applications, shortcuts and machines owe one another.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.adapter import YOUNG, ConnectFailed, Handler, Shortcut, StreamAdapter, StreamLimits, host_and_port
from netsuite.common.commons import Runtime
from netsuite.common.door import Door
from netsuite.common.tls import TlsFilter
from netsuite.sansio.connection import Channel, Connection, Failed

__all__ = ["ConnectFailed", "StreamAdapter", "StreamFactory", "StreamLimits", "connect_stream"]

_log = Logger()


class _Quiet:
    """An IProtocolFactory that does nothing when its port starts or stops."""

    noisy = False

    def doStart(self) -> None:
        """A port uses this factory."""

    def doStop(self) -> None:
        """A port stopped using this factory."""


@implementer(IProtocolFactory)
class StreamFactory(_Quiet):
    """Makes the adapters of one listener (or of one client), and counts what they do.

    ``connection(channel)`` makes a fresh machine; ``handler``, ``shortcut`` as in the module's docstring;
    ``failed(event, adapter)`` is told of a ``Failed`` that no open body takes (a client's request that
    will not be answered); ``gone(adapter, reason)`` of every end; ``writable(adapter)`` of every time that a transport
    which was full is empty again, for those who send by themselves. ``door``, where there is one, answers clients on
    plain ports before any adapter is made (:mod:`netsuite.common.door`). ``rule`` says who may connect and
    ``concurrency`` how many may be at once. ``alpn`` names the protocols that its TLS listeners offer, best
    first, and the machine of each (which has no shortcut); None means ``connection``.
    """

    def __init__(
        self,
        commons: Runtime,
        name: str,
        connection: Callable[[Channel], Connection],
        handler: Handler,
        *,
        shortcut: Shortcut | None = None,
        limits: StreamLimits = StreamLimits(),
        rule: Rule | None = None,
        concurrency: ConcurrencyLimit | None = None,
        filters: dict[str, Callable[[], TlsFilter]] | None = None,
        failed: Callable[[Failed, StreamAdapter], None] | None = None,
        gone: Callable[[StreamAdapter, str], None] | None = None,
        writable: Callable[[StreamAdapter], None] | None = None,
        door: Door | None = None,
        alpn: Mapping[str, Callable[[Channel], Connection] | None] | None = None,
    ) -> None:
        self.commons = commons
        self.name = name
        self.connection = connection
        self.handler = handler
        self.shortcut = shortcut
        self.limits = limits
        self.rule = rule
        self.concurrency = concurrency
        self.filters = filters or {}
        self.failed = failed
        self.gone = gone
        self.writable = writable
        self.door = door
        self.alpn = alpn or {}
        self.tls: ssl.SSLContext | None = None
        self.adapters: set[StreamAdapter] = set()
        self.accepted = self.refused = self.timed_out = self.tls_failed = self.errors = self.shortcuts = 0
        self.bytes_in = self.bytes_out = 0
        self._young: list[StreamAdapter] = []
        self._due: list[StreamAdapter] = []
        self._watching: Any = None
        self._drained: Deferred[None] | None = None

    def secured(self, context: ssl.SSLContext) -> IProtocolFactory:
        """The same protocol under implicit TLS; counted in this factory."""
        return _SecureFactory(self, context)

    def filter(self, name: str) -> TlsFilter:
        """A fresh filter for an Upgrade; KeyError if this server has none of that name."""
        return self.filters[name]()

    def buildProtocol(self, addr: Any) -> StreamAdapter | None:
        """An adapter, or None for a client that may not (or not yet another time) connect."""
        return self.adapter(addr, None)

    def adapter(
        self,
        addr: Any,
        tls: TlsFilter | None,
        announced: Channel | None = None,
        *,
        connection: Callable[[Channel], Connection] | None = None,
    ) -> StreamAdapter | None:
        """An adapter behind a filter or none, for ``connection`` instead of the factory's own machine.

        ``announced`` are its addresses where they are not the transport's.
        """
        host = host_and_port(addr)[0]
        if (self.rule is not None and not self.rule.permits(host)) or (
            self.concurrency is not None and not self.concurrency.enter(host)
        ):
            self.refused += 1
            return None
        self.accepted += 1
        return StreamAdapter(self, tls, None, connection=connection, announced=announced)

    def opened(self, adapter: StreamAdapter) -> None:
        """An adapter's transport stands."""
        self.adapters.add(adapter)

    def pump_soon(self, adapter: StreamAdapter) -> None:
        """Have an adapter pumped at the end of this turn of the reactor.

        What a turn has to say on many connections then leaves together: to wake its reader anew for each
        message costs more than to send it.
        """
        if not adapter.due:
            adapter.due = True
            if not self._due:
                self.commons.reactor.callLater(0, self._pump_due)
            self._due.append(adapter)

    def _pump_due(self) -> None:
        due, self._due = self._due, []
        for adapter in due:
            if adapter.due:
                adapter.pump_alone()

    def watch(self, adapter: StreamAdapter) -> None:
        """An adapter needs its timer if it is still there a little later."""
        self._young.append(adapter)
        if self._watching is None:
            self._watching = self.commons.clock.callLater(YOUNG, self._look)

    def _look(self) -> None:
        self._watching = None
        young, self._young = self._young, []
        for adapter in young:
            adapter.watched()

    def closed(self, adapter: StreamAdapter, reason: str) -> None:
        """An adapter's transport is gone."""
        self.adapters.discard(adapter)
        if not self.adapters and self._watching is not None:
            self._watching.cancel()
            self._watching = None
            self._young.clear()
        if self.concurrency is not None:
            self.concurrency.leave(adapter.channel.peer[0])
        if self.gone is not None:
            self.gone(adapter, reason)
        if self._drained is not None and not self.adapters:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def broke(self, problem: BaseException) -> None:
        """An application or a machine raised; counted, and logged with its traceback."""
        self.errors += 1
        _log.failure("{name}: an answer failed", failure=Failure(problem), name=self.name)

    def drain(self, deadline: float) -> Deferred[None]:
        """Every connection finishes what is in flight and closes; at the deadline the rest is cut."""
        done: Deferred[None] = Deferred()
        for adapter in list(self.adapters):
            adapter.drain()
        if not self.adapters:
            done.callback(None)
            return done
        self._drained = Deferred()
        clock = self.commons.clock
        late = clock.callLater(max(0.0, deadline - clock.seconds()), self._cut)

        def ended(result: None) -> None:
            if late.active():
                late.cancel()
            done.callback(None)

        self._drained.addCallback(ended)
        return done

    def _cut(self) -> None:
        for adapter in list(self.adapters):
            adapter.abort("the drain's deadline is over")


@implementer(IProtocolFactory)
class _SecureFactory(_Quiet):
    """A StreamFactory's protocol behind TLS."""

    def __init__(self, clear: StreamFactory, context: ssl.SSLContext) -> None:
        self.clear = clear
        self.context = context

    def buildProtocol(self, addr: Any) -> StreamAdapter | None:
        return self.clear.adapter(addr, TlsFilter(self.context, server=True))


@implementer(IProtocolFactory)
class _ClientFactory(_Quiet):
    """Makes the one adapter of a client's connection."""

    def __init__(self, adapter: StreamAdapter) -> None:
        self.adapter = adapter

    def buildProtocol(self, addr: Any) -> StreamAdapter:
        return self.adapter


def connect_stream(
    factory: StreamFactory,
    host: str,
    port: int,
    *,
    tls_context: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    timeout: float = 10.0,
    local: str | None = None,
    prelude: bytes = b"",
) -> Awaitable[StreamAdapter]:
    """A client's connection to an IP address: its adapter once the machine stands (after TLS, where asked for).

    ``prelude`` is written before anything else, in clear.

    Raises ConnectFailed, naming the address and the reason. Cancelling the Deferred gives the attempt up.
    """
    return _connect(factory, host, port, tls_context, server_hostname, timeout, local, prelude)


async def _connect(
    factory: StreamFactory,
    host: str,
    port: int,
    tls_context: ssl.SSLContext | None,
    server_hostname: str | None,
    timeout: float,
    local: str | None,
    prelude: bytes,
) -> StreamAdapter:
    ready: Deferred[StreamAdapter] = Deferred()
    tls = TlsFilter(tls_context, server=False, server_hostname=server_hostname) if tls_context is not None else None
    adapter = StreamAdapter(factory, tls, ready, prelude=prelude)
    endpoint_class = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
    bind = (local, 0) if local is not None else None
    endpoint = endpoint_class(factory.commons.reactor, host, port, timeout=timeout, bindAddress=bind)
    connecting = endpoint.connect(_ClientFactory(adapter))
    # ready fires within the connection's making, so that its owner has the adapter before the first event comes
    connecting.addErrback(lambda failure: None if ready.called else ready.errback(failure))
    try:
        await ready
        # the endpoint's own protocol, which would only pass everything on, is done
        adapter.transport.protocol = adapter
        return adapter
    except Exception as problem:
        connecting.cancel()
        if adapter.transport is not None:
            adapter.abort("given up")
        if isinstance(problem, CancelledError):
            raise
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise ConnectFailed(f"{where}: {problem}") from (problem if not isinstance(problem, ConnectFailed) else None)
