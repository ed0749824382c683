"""Pools made of their settings, and where each of their servers is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import attrs

from netsuite.http.client import Origin
from netsuite.http.upstream.balance import Balance, BoundedHash, LeastRequests, RoundRobin
from netsuite.http.upstream.breaker import NEVER_OPENS, BreakerLimits
from netsuite.http.upstream.budget import RetryBudget
from netsuite.http.upstream.health import Health
from netsuite.http.upstream.pool import Changed, Pool, Server
from netsuite.http.upstream.settings import PoolSettings
from netsuite.http.wire.messages import Request

__all__ = ["OriginPool", "Place", "lone_pool", "make_pool", "place"]

_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class Place:
    """Where a server is, the Host that it calls its own, how its absolute URLs begin, and fields for it alone."""

    origin: Origin
    authority: bytes
    prefix: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()


def place(url: str) -> Place:
    """The place that a URL without a path names."""
    parts = urlsplit(url)
    origin = Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
    authority = parts.netloc.encode("ascii")
    return Place(origin, authority, b"%b://%b/" % (parts.scheme.encode(), authority))


class OriginPool:
    """A pool of origins: the machine, and what is sent to its servers.

    ``lone`` says that it has one server and no settings: there is nothing to choose, and nothing to learn.
    """

    __slots__ = ("_key", "authority", "lone", "owned", "pass_host", "pool", "send_proxy", "settings")

    def __init__(
        self, pool: Pool, key: Callable[[Request], bytes], *, pass_host: bool, settings: PoolSettings | None = None
    ) -> None:
        self.pool = pool
        self._key = key
        self.pass_host = pass_host
        self.settings = settings
        self.lone = settings is None
        self.send_proxy = settings.send_proxy if settings is not None else None
        self.owned: tuple[bytes, ...] = tuple(server.place.prefix for server in pool.servers)
        self.authority: bytes = pool.servers[0].place.authority

    def key(self, request: Request) -> bytes:
        """What the request is told apart by, where the pool is balanced by it."""
        return self._key(request)


def _no_key(request: Request) -> bytes:
    return b""


def _keys(what: str) -> Callable[[Request], bytes]:
    if what.startswith("header:"):
        name = what[7:].lower().encode()
        return lambda request: request.header(name) or b""
    return {
        "url": lambda request: b"%b %b?%b" % (request.authority.lower(), request.path, request.query or b""),
        "path": lambda request: request.path,
        "host": lambda request: request.authority.lower(),
        "client": lambda request: request.peer[0].encode(),
    }[what]


def make_pool(settings: PoolSettings, *, pass_host: bool, changed: Changed) -> OriginPool:
    """The pool of a ``[[proxy.pool]]`` table."""
    limits = (
        BreakerLimits(failures=settings.failures, open_time=settings.open_time) if settings.failures else NEVER_OPENS
    )
    check = settings.health
    balance: Balance
    if settings.balance == "hash":
        balance = BoundedHash(settings.load_bound)
    else:
        balance = RoundRobin() if settings.balance == "round-robin" else LeastRequests()
    servers = []
    for each in settings.servers:
        where = place(each.url)
        health = Health(check.rise, check.fall) if check is not None else None
        name = f"{where.origin.scheme}://{where.authority.decode()}"
        servers.append(Server(name, where, weight=each.weight, backup=each.backup, breaker=limits, health=health))
    pool = Pool(
        settings.name,
        servers,
        balance,
        slow_start=settings.slow_start,
        retries=settings.retries,
        budget=RetryBudget(settings.retry_share),
        changed=changed,
    )
    key = _keys(settings.hash) if settings.balance == "hash" else _no_key
    own = settings.pass_host if settings.pass_host is not None else pass_host
    return OriginPool(pool, key, pass_host=own, settings=settings)


def lone_pool(url: str, *, pass_host: bool) -> OriginPool:
    """A pool of one server, which is always asked: there is no other that could be spared by asking it less."""
    where = place(url)
    server = Server(f"{where.origin.scheme}://{where.authority.decode()}", where, breaker=NEVER_OPENS)
    return OriginPool(Pool(server.name, (server,), retries=0), _no_key, pass_host=pass_host)
