"""The servers behind the proxy: pools and routes made of the settings, looked after, and shown.

Changes of a server's state are logged once each; nothing is logged for a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from twisted.logger import Logger

from netsuite.common.metrics import Metrics
from netsuite.http.proxy.settings import ProxySettings
from netsuite.http.upstream.origins import OriginPool, lone_pool, make_pool
from netsuite.http.upstream.pool import Pool, Server
from netsuite.http.upstream.routes import Route, Routes

__all__ = ["Upstreams", "log_change"]

_log = Logger()


class Upstreams:
    """All pools; ``routes`` finds the one for a request, ``named`` are those that have settings of their own."""

    def __init__(self, settings: ProxySettings) -> None:
        self.named = [make_pool(pool, pass_host=settings.pass_host, changed=log_change) for pool in settings.pool]
        by_name = {each.pool.name: each for each in self.named}
        lone: dict[str, OriginPool] = {}

        def origin(url: str) -> OriginPool:
            if url not in lone:
                lone[url] = lone_pool(url, pass_host=settings.pass_host)
            return lone[url]

        routes = [
            Route(route.host, route.path, by_name[route.pool] if route.pool is not None else origin(route.origin or ""))
            for route in settings.route
        ]
        if not any(not route.host and route.path == "/" for route in settings.route):
            if settings.origin is not None:
                routes.append(Route("", "/", origin(settings.origin)))
            elif not settings.route and self.named:
                routes.append(Route("", "/", self.named[0]))
        self.routes: Routes[OriginPool] = Routes(routes)

    def figures(self) -> Sequence[tuple[str, float]]:
        """Each server of a named pool: whether it is up, and what it was asked."""
        return [
            (f"{each.pool.name} {server.name} {what}", value)
            for each in self.named
            for server in each.pool.servers
            for what, value in (
                (f"({server.state}) requests", server.requests),
                ("failures", server.failures),
                ("under way", server.under_way),
            )
        ]

    def measure(self, metrics: Metrics) -> None:
        """Offer the pools' metrics."""
        if not self.named:
            return
        sorts: tuple[tuple[str, Literal["counter", "gauge"], str, Any], ...] = (
            ("up", "gauge", "Whether a server can be asked.", lambda server: server.state == "up"),
            ("requests", "counter", "Requests that a server was asked.", lambda server: server.requests),
            ("failures", "counter", "Requests that a server failed.", lambda server: server.failures),
            ("under_way", "gauge", "Requests that a server has not answered yet.", lambda server: server.under_way),
            ("circuits_opened", "counter", "Times that a server's circuit opened.", lambda s: s.breaker.opened),
        )
        for name, kind, text, read in sorts:
            metrics.add(f"netsuite_proxy_server_{name}", text, kind, self._each(read), labels=("pool", "server"))
        metrics.add(
            "netsuite_proxy_pool_requests",
            "Requests of a pool that went to a second server, or to none.",
            "counter",
            lambda: {
                (each.pool.name, what): value
                for each in self.named
                for what, value in (("retried", each.pool.retried), ("unserved", each.pool.unserved))
            },
            labels=("pool", "what"),
        )

    def _each(self, read: Any) -> Any:
        return lambda: {
            (each.pool.name, server.name): float(read(server)) for each in self.named for server in each.pool.servers
        }


def log_change(pool: Pool, server: Server, what: str) -> None:
    """Say what became of a server."""
    _log.info("{pool}: {server} {what}", pool=pool.name, server=server.name, what=what)
