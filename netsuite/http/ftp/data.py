"""Data connections: one for each transfer, with nobody but the client of the control connection.

Passive ones wait on a port for one connection from the client's own address; active ones go to that address only, so
that nobody is ever attacked by way of this server (RFC 2577 section 3). Under PROT P they are behind TLS, and we are
its server whoever connects (RFC 4217 section 7).

Implements: RFC 959 sections 3.2, 3.3; RFC 2428; RFC 2577 sections 3, 4; RFC 4217 sections 7, 9
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IProtocolFactory, IReadDescriptor
from zope.interface import implementer

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.sharing import open_socket
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.common.tls import TlsFilter
from netsuite.http.wire.tunnel import Outflow, RawConnection
from netsuite.sansio.connection import Channel

__all__ = ["OVER", "DataConnection", "DataFailed", "Once"]


T = TypeVar("T")

OVER: Final = "the transfer is over"


class DataFailed(Exception):
    """There is no data connection, or it broke off."""


class DataConnection:
    """One data connection, not yet there: :meth:`listen` or :meth:`connect` first, then one transfer.

    ``patience`` is how many seconds it may take to be there, or to bring nothing; ``context`` is for TLS.
    """

    def __init__(self, commons: Commons, peer: str, context: ssl.SSLContext | None, patience: float) -> None:
        self._commons = commons
        self._peer = peer
        self._context = context
        self._patience = patience
        self._ready: Once[tuple[Body, StreamAdapter] | str] = Once()
        self._gone: Once[str] = Once()
        self._adapter: StreamAdapter | None = None
        self._door: _Door | None = None
        self._connecting: Any = None
        self.factory = StreamFactory(
            commons,
            "ftp data",
            self._machine,
            self._opened,
            rule=Rule([peer]) if peer and peer[0] != "/" else None,
            concurrency=ConcurrencyLimit(1),
            gone=self._closed,
        )

    @property
    def there(self) -> bool:
        """Whether the client has come."""
        return isinstance(self._ready.value, tuple)

    def listen(self, host: str, ports: list[int]) -> int:
        """Wait for the client on the first of these ports that is free; answers which. Raises DataFailed."""
        factory: Any = self.factory if self._context is None else self.factory.secured(self._context)
        for port in ports:
            try:
                self._door = _Door(self._commons.reactor, open_socket("tcp", host, port), factory)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise DataFailed(str(error)) from error
            else:
                return self._door.port
        raise DataFailed("all ports for data connections are in use")

    def connect(self, host: str, port: int) -> None:
        """Go to the client; how that ended shows at the transfer."""
        tls = TlsFilter(self._context, server=True) if self._context is not None else None
        endpoint_class = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        endpoint = endpoint_class(self._commons.reactor, host, port, timeout=round(self._patience))
        self._connecting = endpoint.connect(_One(self.factory, tls))
        self._connecting.addErrback(lambda failure: self._fail(failure.getErrorMessage()))

    async def send(self, source: AsyncIterator[bytes]) -> None:
        """Send a body to its end, and wait until the client has it all; raises DataFailed, and what the source does."""
        flow = _Flow(source)
        try:
            _, adapter = await self._there()
        except BaseException:
            await flow.aclose()
            raise
        adapter.send(Outflow(flow))
        reason = await self._gone.get()
        if flow.problem is not None:
            raise flow.problem
        if not flow.whole or reason != "the connection is closed":
            raise DataFailed(reason)

    async def receive(self) -> Body:
        """The body that the client sends; raises DataFailed."""
        return (await self._there())[0]

    def close(self, reason: str = OVER) -> None:
        """End it, in whatever state it is."""
        self._stop_listening()
        if self._connecting is not None:
            self._connecting.cancel()
        for adapter in list(self.factory.adapters):
            if reason == OVER:
                adapter.close(reason)
            else:
                adapter.abort(reason)
        self._fail(reason)

    async def _there(self) -> tuple[Body, StreamAdapter]:
        late = self._commons.clock.callLater(self._patience, self._fail, "nobody came for the data")
        try:
            found = await self._ready.get()
        finally:
            if late.active():
                late.cancel()
        if isinstance(found, str):
            raise DataFailed(found)
        return found

    def _machine(self, channel: Channel) -> RawConnection:
        return RawConnection(now=self._commons.clock.seconds(), idle_time=self._patience)

    def _opened(self, message: Any, body: Body, adapter: StreamAdapter) -> None:
        self._stop_listening()
        self._adapter = adapter
        self._ready.set((body, adapter))
        if isinstance(self._ready.value, str):
            adapter.abort("nobody waits for this")

    def _closed(self, adapter: StreamAdapter, reason: str) -> None:
        if adapter is self._adapter:
            self._gone.set(reason)
        else:
            self._fail(reason)

    def _stop_listening(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            door.close()

    def _fail(self, reason: str) -> None:
        self._ready.set(reason)


@implementer(IReadDescriptor)
class _Door:
    """A listening socket for one connection: Twisted's ports would log each time that one opens and closes."""

    def __init__(self, reactor: Any, bound: socket.socket, factory: Any) -> None:
        self._reactor = reactor
        self._socket = bound
        self._factory = factory
        self.port: int = bound.getsockname()[1]
        reactor.addReader(self)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls it."""
        return "ftp data"

    def doRead(self) -> None:
        """Somebody comes; the factory looks who."""
        try:
            accepted, _ = self._socket.accept()
        except OSError:
            return
        with accepted:
            accepted.setblocking(False)
            self._reactor.adoptStreamConnection(accepted.fileno(), accepted.family, self._factory)

    def connectionLost(self, reason: Any) -> None:
        """The reactor stops."""
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._reactor.removeReader(self)
        self._socket.close()


class Once(Generic[T]):
    """A value that comes once, and who waits for it."""

    def __init__(self) -> None:
        self.value: T | None = None
        self._waiter: Deferred[None] | None = None

    def set(self, value: T) -> None:
        """It is there; later ones do not count."""
        if self.value is None:
            self.value = value
            if self._waiter is not None and not self._waiter.called:
                self._waiter.callback(None)

    async def get(self) -> T:
        """Wait for it."""
        if self.value is None:
            self._waiter = Deferred()
            await self._waiter
        assert self.value is not None
        return self.value


class _Flow:
    """A source that remembers how it ended."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self.whole = False
        self.problem: Exception | None = None

    def __aiter__(self) -> _Flow:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._source.__anext__()
        except StopAsyncIteration:
            self.whole = True
            raise
        except Exception as problem:
            self.problem = problem
            raise

    async def aclose(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


@implementer(IProtocolFactory)
class _One:
    """Makes the one adapter of an active connection."""

    noisy = False

    def __init__(self, factory: StreamFactory, tls: TlsFilter | None) -> None:
        self._factory = factory
        self._tls = tls

    def doStart(self) -> None:
        """A connector uses this."""

    def doStop(self) -> None:
        """A connector stopped using this."""

    def buildProtocol(self, addr: Any) -> StreamAdapter | None:
        return self._factory.adapter(addr, self._tls)
