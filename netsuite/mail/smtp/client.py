"""Sends messages to SMTP servers: one connection for several messages to the same place, TLS where the server can.

TLS is opportunistic (RFC 7435): the certificate is not checked, since without it the message would go in clear; a
server whose TLS does not work is asked again without.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from netsuite.common.body import Body
from netsuite.common.commons import Runtime
from netsuite.common.stream import ConnectFailed, StreamAdapter, StreamFactory, StreamLimits, connect_stream
from netsuite.common.tls import TlsFilter
from netsuite.mail.smtp.wire.client import SmtpClientConnection
from netsuite.mail.smtp.wire.commands import Content, Envelope
from netsuite.mail.smtp.wire.replies import Reply
from netsuite.mail.smtp.wire.sending import (
    GoAhead,
    Outcome,
    Patience,
    Ready,
    Refused,
    Transaction,
)
from netsuite.sansio.connection import Channel

__all__ = ["SmtpClient"]

Place = tuple[str, int]
Opened = Callable[[], AsyncIterator[bytes]]

_TLS_FAILED: Final = "TLS failed"


class _Session:
    """One connection, and the message that it carries now."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.adapter: StreamAdapter | None = None
        self.waiting: Deferred[tuple[Reply, ...]] | None = None
        self.envelope = Envelope()
        self.size = 0
        self.content: Opened | None = None
        self.lost = ""

    def load(self, envelope: Envelope, size: int, content: Opened) -> Deferred[tuple[Reply, ...]]:
        """What to carry; fires with the replies."""
        self.envelope, self.size, self.content = envelope, size, content
        self.waiting = Deferred()
        return self.waiting

    def done(self, replies: tuple[Reply, ...]) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(replies)


class SmtpClient:
    """``name`` is what EHLO says; ``tls`` makes the context for STARTTLS, None never asks for it.

    At most ``most_kept`` idle connections to one place are kept. ``sent`` counts messages, ``connected`` connections,
    and ``secured`` those of them under TLS.
    """

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        patience: Patience = Patience(),
        connect_time: float = 30.0,
        most_kept: int = 10,
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._patience = patience
        self._connect_time = connect_time
        self._most_kept = most_kept
        self._kept: dict[Place, list[_Session]] = {}
        self._factories = {True: self._factory(secure=True), False: self._factory(secure=False)}
        self.sent = 0
        self.connected = 0
        self.secured = 0

    async def send(self, host: str, port: int, envelope: Envelope, size: int, content: Opened) -> tuple[Reply, ...]:
        """Carry a message to an address; one reply for each recipient. Raises ConnectFailed.

        ``content`` gives the message, from its beginning each time that it is called.
        """
        place = (host, port)
        kept = self._take(place)
        if kept is not None and kept.adapter is not None:
            carried = kept.load(envelope, size, content)
            kept.adapter.send(Transaction(envelope, size))
            replies = await carried
            if not kept.lost and any(reply.code != 421 for reply in replies):
                return replies
            # it was closed since; the message never got that far, or the server does not take responsibility for it
        session = await self._attempt(place, self._tls is not None, envelope, size, content)
        if isinstance(session, _Session):
            session = await self._attempt(place, False, envelope, size, content)
        if isinstance(session, _Session):
            raise ConnectFailed(f"{host}:{port}: {session.lost}")
        return session

    def close(self) -> None:
        """Say goodbye to all that is kept."""
        for factory in self._factories.values():
            for adapter in list(factory.adapters):
                adapter.drain()

    def abort(self) -> None:
        """Cut what is still there."""
        for factory in self._factories.values():
            for adapter in list(factory.adapters):
                adapter.abort("stopping")

    async def _attempt(
        self, place: Place, secure: bool, envelope: Envelope, size: int, content: Opened
    ) -> tuple[Reply, ...] | _Session:
        """The replies; or the session, if its TLS did not work."""
        session = _Session(place)
        carried = session.load(envelope, size, content)
        adapter = await connect_stream(self._factories[secure], *place, timeout=self._connect_time)
        session.adapter = adapter
        adapter.data = session
        self.connected += 1
        replies = await carried
        return session if session.lost.startswith(_TLS_FAILED) else replies

    def _factory(self, *, secure: bool) -> StreamFactory:
        def machine(channel: Channel) -> SmtpClientConnection:
            return SmtpClientConnection(
                channel,
                self._name,
                self._runtime.clock.seconds(),
                patience=self._patience,
                fresh=encrypted if secure else None,
            )

        def encrypted(channel: Channel) -> SmtpClientConnection:
            self.secured += 1
            return SmtpClientConnection(
                channel, self._name, self._runtime.clock.seconds(), patience=self._patience, greeted=True
            )

        return StreamFactory(
            self._runtime,
            "smtp client",
            machine,
            self._told,
            gone=self._gone,
            filters={"tls": self._filter},
            limits=StreamLimits(stall=self._patience.block),
        )

    def _filter(self) -> TlsFilter:
        if self._context is None:
            assert self._tls is not None
            self._context = self._tls()
        return TlsFilter(self._context, server=False)

    def _take(self, place: Place) -> _Session | None:
        """A kept connection that still stands."""
        kept = self._kept.get(place)
        while kept:
            session = kept.pop()
            adapter = session.adapter
            connection = adapter.connection if adapter is not None and not adapter.closed else None
            if connection is not None and connection.idle:
                return session
        return None

    def _told(self, message: Any, body: Body, adapter: StreamAdapter) -> Any:
        """What the machine says."""
        session: _Session = adapter.data
        if type(message) is Ready:
            return Transaction(session.envelope, session.size)
        if type(message) is GoAhead:
            assert session.content is not None
            return Content(message.envelope, session.content())
        if type(message) is Refused:
            session.done((message.reply,) * len(session.envelope.recipients))
        elif type(message) is Outcome:
            self.sent += any(reply.good for reply in message.replies)
            session.content = None
            kept = self._kept.setdefault(session.place, [])
            if not message.last and len(kept) < self._most_kept:
                kept.append(session)
            elif not message.last:
                self._runtime.clock.callLater(0, _part, adapter)
            session.done(message.replies)
        return None

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        session: _Session | None = adapter.data
        if session is None:
            return
        session.lost = reason
        kept = self._kept.get(session.place)
        if kept is not None and session in kept:
            kept.remove(session)
        if not kept:
            self._kept.pop(session.place, None)
        lost = Reply(451, f"the connection was lost: {reason}", "4.4.2")
        session.done((lost,) * len(session.envelope.recipients))


def _part(adapter: StreamAdapter) -> None:
    """Say goodbye."""
    if not adapter.closed:
        adapter.drain()
