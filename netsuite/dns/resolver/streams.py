"""Questions to name servers over TCP: a connection each, closed with its answer (RFC 7766)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from netsuite.common.commons import Runtime
from netsuite.common.stream import ConnectFailed, StreamAdapter, StreamFactory, connect_stream
from netsuite.dns.resolver.cache import Server
from netsuite.dns.wire.stream import DnsConnection, Message
from netsuite.sansio.connection import Channel

__all__ = ["StreamQueries"]


class StreamQueries:
    """Asks over TCP; how many at a time is the caller's business."""

    def __init__(self, runtime: Runtime) -> None:
        self._waiting: dict[StreamAdapter, Deferred[bytes]] = {}

        def connection(channel: Channel) -> DnsConnection:
            return DnsConnection(runtime.clock.seconds(), server=False)

        self._factory = StreamFactory(runtime, "resolver", connection, self._came, gone=self._gone)

    def ask(self, server: Server, packet: bytes, timeout: float) -> Deferred[bytes]:
        """The reply's bytes, unread; ConnectFailed if there is none. Cancelling ends the attempt."""
        return Deferred.fromCoroutine(self._ask(server, packet, timeout))

    async def _ask(self, server: Server, packet: bytes, timeout: float) -> bytes:
        adapter = await connect_stream(self._factory, server[0], server[1], timeout=timeout)
        waiting = self._waiting[adapter] = Deferred()
        try:
            adapter.send(Message(0, packet))
            return await waiting
        finally:
            self._waiting.pop(adapter, None)
            adapter.abort("answered")

    def _came(self, message: Message, body: Any, adapter: StreamAdapter) -> None:
        waiting = self._waiting.pop(adapter, None)
        if waiting is not None:
            waiting.callback(message.data)

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        waiting = self._waiting.pop(adapter, None)
        if waiting is not None:
            waiting.errback(ConnectFailed(reason))
