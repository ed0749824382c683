"""The origin server as a service of the suite, and the suite's HTTP server for everyone else's applications."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, gatherResults
from zope.interface import implementer

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.commons import Commons
from netsuite.common.listen import StreamListener, stream_listener
from netsuite.common.service import NetsuiteService
from netsuite.http.doorstep import immediate
from netsuite.http.origin.mounts import Mount
from netsuite.http.origin.pages import Pages
from netsuite.http.origin.permission import Guarded, Permission
from netsuite.http.origin.settings import HttpSettings
from netsuite.http.server import HttpServer
from netsuite.http.useragent import UserAgent
from netsuite.http.versions import kind
from netsuite.http.websocket import accept
from netsuite.http.wire.framing import Http1Limits
from netsuite.interfaces import (
    Address,
    Health,
    HttpAnswer,
    IHttpApplication,
    IHttpClient,
    IHttpRequest,
    IHttpServer,
    INameResolver,
    IOffers,
    IWebSocket,
    LookupFailed,
)

if TYPE_CHECKING:
    from netsuite.common.quicport import QuicListener

__all__ = ["OriginService", "build"]


@implementer(IHttpServer)
class OriginService(NetsuiteService):
    """Files (where a root is set) and mounts on its own ports; applications on ports of theirs; a client for all."""

    workers = "any"

    def __init__(self, settings: HttpSettings, commons: Commons) -> None:
        super().__init__("http", commons)
        self.settings = settings
        uploads = any({"PUT", "put"} & set(rule.methods) for rule in settings.rule)
        self._http1 = Http1Limits(
            body=max(settings.body_limit, settings.upload_limit if uploads else 0),
            head_time=settings.head_time,
            idle_time=settings.idle_time,
        )
        self.server = HttpServer(
            commons,
            "http",
            hosts=settings.hosts and [*settings.hosts, *(host for site in settings.site for host in site.hosts)],
            http1=self._http1,
            rule=commons.access.rule(settings.allow),
            concurrency=commons.access.concurrency(settings.connections, settings.connections_per_address),
            memory=settings.memory // 2,
        )
        self._listeners = [
            stream_listener(text, self.server.factory, commons, "http.listen", quic=self.server.versions.over_quic)
            for text in settings.listen
        ]
        self._others: list[tuple[HttpServer, list[StreamListener]]] = []
        self._resolver: INameResolver | None = None
        self._agent = UserAgent(commons, self._resolved, commons.certificates.client_context)
        self._permission = Permission(commons, settings.rule)
        self.pages = Pages(settings, commons, self._permission, self.server.hot.forget)
        if self.pages.app is not None:
            self.server.mount("/", self._guarded(self.pages.app))
        self._mounts = [Mount(each, commons, settings.body_limit) for each in settings.mount]
        self._measure("http", self.server)

    # -- IHttpServer

    def mount(self, path: str, app: IHttpApplication) -> None:
        """Answer every request whose path is ``path`` or lies below it."""
        self.server.mount(path, self._guarded(app))

    def listen(
        self,
        name: str,
        addresses: Sequence[str],
        app: IHttpApplication,
        *,
        setting: str | None = None,
        rule: Rule | None = None,
        concurrency: ConcurrencyLimit | None = None,
    ) -> Callable[[], Sequence[Address]]:
        """Give an application ports of its own, opened and closed with this service."""
        server = HttpServer(
            self.commons, name, http1=self._http1, rule=rule, concurrency=concurrency, immediate=immediate(app)
        )
        server.mount("/", app)
        key = setting or f"{name}.listen"
        listeners = [StreamListener(text, server.factory, self.commons, key) for text in addresses]
        self._others.append((server, listeners))
        self._measure(name, server)
        return lambda: _addresses(listeners)

    def websocket(
        self,
        request: IHttpRequest,
        body: AsyncIterator[bytes],
        talk: Callable[[IWebSocket], Awaitable[None]],
        *,
        protocols: Sequence[str] = (),
        origins: Sequence[str] = (),
        limit: int = 1 << 20,
    ) -> HttpAnswer:
        """Answer a request by a conversation of messages."""
        return accept(self.commons, request, body, talk, protocols=protocols, origins=origins, limit=limit)

    # -- INetsuiteService

    def register(self, offers: IOffers) -> None:
        """Offer the HTTP server, and a client."""
        offers.provide(IHttpServer, self, "http")
        offers.provide(IHttpClient, self._agent, "http")

    def join(self, offers: IOffers) -> None:
        """Take the resolver, if there is one: only the client needs it."""
        self._resolver = offers.find(INameResolver)

    def check(self) -> None:
        """The roots must be folders that can be read, and applications must load."""
        self.pages.check()
        for mount in self._mounts:
            mount.load()

    def open(self) -> None:
        """Bind and listen on all addresses, those of other applications too."""
        self.check()
        if self._permission.asks_for_users:
            self.commons.identity.open()
        if not self.commons.sharing.index:
            self.pages.clean()
        for mount in self._mounts:
            self.server.mount(mount.path, self._guarded(mount.app))
        for listener in self._all():
            listener.open()
        over_quic = [listener for listener in self._listeners if listener.spec.quic]
        self.server.alternative = b", ".join(b'h3=":%d"' % listener.port for listener in over_quic)

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for listener in self._all():
            listener.accept()

    def stopService(self) -> Deferred[None] | None:
        """End the threads that read and write files, the applications, and what the client has open."""
        super().stopService()
        self._agent.close()
        self.pages.stop()
        return gatherResults([mount.stop() for mount in self._mounts]).addCallback(lambda _: None)

    def addresses(self) -> Sequence[Address]:
        """Its own addresses, each with a line to try; those of other applications are for them to tell."""
        return [
            address._replace(hint=_hint(address, self.commons.certificates.ca_path))
            if address.kind != "unix"
            else address
            for address in _addresses(self._listeners)
        ]

    def health(self) -> Health:
        """Well while it runs and its folder can be read."""
        if not self.running:
            return Health(False, "not running")
        for root in self.pages.roots:
            if not os.access(root, os.R_OK | os.X_OK):
                return Health(False, f"{root} cannot be read")
        return Health(True)

    def figures(self) -> Sequence[tuple[str, float]]:
        """What its own ports did."""
        server, factory = self.server, self.server.factory
        return (
            ("requests", server.requests + server.hot.hits),
            ("from memory", server.hot.hits),
            ("client errors", server.statuses[4]),
            ("server errors", server.statuses[5]),
            ("connections", len(factory.adapters)),
            ("bytes out", factory.bytes_out),
        )

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more; requests in flight are answered and their connections closed."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        for listener in self._all():
            await listener.close()
        servers = [self.server, *(server for server, _ in self._others)]
        await gatherResults([server.factory.drain(deadline) for server in servers])

    def _guarded(self, app: IHttpApplication) -> IHttpApplication:
        return Guarded(app, self._permission) if self._permission else app

    async def _resolved(self, host: str) -> list[str]:
        if self._resolver is None:
            raise LookupFailed(f"{host}: there is no resolver")
        return await self._resolver.addresses(host)

    def _all(self) -> list[StreamListener | QuicListener]:
        return [*self._listeners, *(listener for _, listeners in self._others for listener in listeners)]

    def _measure(self, name: str, server: HttpServer) -> None:
        """Offer a server's counters as metrics."""
        add, factory = self.commons.metrics.add, server.factory
        add(
            "netsuite_http_responses",
            "Responses, by server and hundred of their status.",
            "counter",
            lambda: {(name, f"{hundred}xx"): server.statuses[hundred] for hundred in range(1, 6)},
            labels=("server", "status"),
        )
        add(
            "netsuite_http_memory_hits",
            "Responses that were kept ready, by server.",
            "counter",
            lambda: {(name,): server.hot.hits},
            labels=("server",),
        )
        add(
            "netsuite_http_connections",
            "Open connections, by server.",
            "gauge",
            lambda: {(name,): len(factory.adapters)},
            labels=("server",),
        )
        add(
            "netsuite_http_bytes",
            "Bytes over the wire, by server and direction.",
            "counter",
            lambda: {(name, "in"): factory.bytes_in, (name, "out"): factory.bytes_out},
            labels=("server", "direction"),
        )


def _addresses(listeners: Sequence[StreamListener | QuicListener]) -> list[Address]:
    return [
        Address(
            kind(listener),
            listener.host,
            listener.port,
        )
        for listener in listeners
    ]


def _hint(address: Address, authority: Path) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    if address.kind == "h3":
        return f"curl --http3-only --cacert {authority} https://{host}:{address.port}/"
    trust = f" --cacert {authority}" if address.kind == "https" else ""
    return f"curl{trust} {address.kind}://{host}:{address.port}/"


def build(settings: HttpSettings, commons: Commons) -> OriginService:
    """The ``[http]`` table's service."""
    return OriginService(settings, commons)
