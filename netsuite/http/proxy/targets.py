"""Where a request leads: the origin to ask, and what its response is stored under.

A forward proxy is told by the request (an absolute target, or CONNECT's authority), a reverse proxy by its settings.

Implements: RFC 9112 section 3.2.2; RFC 9110 sections 7.1, 7.2 and 9.3.6
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from netsuite.http.cache.cache import target_key
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field
from netsuite.http.client import Origin
from netsuite.http.upstream.origins import OriginPool
from netsuite.http.upstream.routes import Routes
from netsuite.http.wire.messages import Request

__all__ = ["Refused", "ReverseTargets", "Target", "forward_target", "split_authority", "tunnel_target"]

_PORTS: Final = {"http": 80, "https": 443}


class Target(NamedTuple):
    """Whom to ask, for what (in origin form), naming which host; and the key of what comes.

    Before a pool the server that is chosen stands in for ``origin``.
    """

    key: Key
    origin: Origin
    path: bytes
    authority: bytes
    upstream: OriginPool | None = None

    @property
    def next_hop(self) -> str:
        """Host and port of the origin."""
        host = f"[{self.origin.host}]" if ":" in self.origin.host else self.origin.host
        return f"{host}:{self.origin.port}"

    def relative(self, lines: Sequence[Field]) -> list[Field]:
        """Fields of the origin's response, where Location speaks of the origin's own URLs as paths.

        A reverse proxy's clients know these under another name, which is that of the key.
        """
        if self.upstream is not None:
            owned = self.upstream.owned
        else:
            owned = (b"%b://%b/" % (self.origin.scheme.encode(), self.authority),)
        return [(name, _relative(value, owned) if name.endswith(b"location") else value) for name, value in lines]


class Refused(NamedTuple):
    """A request that is not passed on: the status, and what to tell the client."""

    status: int
    detail: str


def split_authority(authority: bytes, default: int) -> tuple[str, int] | None:
    """Host (an IPv6 literal without brackets) and port; None if the port is none."""
    host, colon, port = authority.rpartition(b":")
    if not colon or host.endswith(b":") or b"]" in port:
        host, port = authority, b""
    number = int(port) if port else default
    if not 0 < number < 65536:
        return None
    return host.strip(b"[]").decode("ascii").lower(), number


def _path(request: Request) -> bytes:
    path = request.path or b"/"
    return path if request.query is None else path + b"?" + request.query


def forward_target(request: Request) -> Target | Refused:
    """The target that a forward proxy's client names."""
    if request.version < (2, 0) and (request.target[:1] == b"/" or request.target == b"*"):
        return Refused(400, "This is a proxy: ask it for absolute URIs, http://host/path.")
    found = split_authority(request.authority, _PORTS[request.scheme])
    if found is None:
        return Refused(400, "The target's port is none.")
    key = target_key(request.scheme, request.authority, request.path, request.query)
    return Target(key, Origin(request.scheme, *found), _path(request), request.authority)


def tunnel_target(request: Request) -> tuple[str, int] | Refused:
    """Host and port that CONNECT names."""
    return split_authority(request.authority, 0) or Refused(400, "The target's port is none.")


def _relative(value: bytes, owned: tuple[bytes, ...]) -> bytes:
    for prefix in owned:
        if value.startswith(prefix):
            return value[len(prefix) - 1 :]
    return value


class ReverseTargets:
    """The targets of a reverse proxy: for each route a pool, whose servers see their own Host or the client's."""

    def __init__(self, routes: Routes[OriginPool]) -> None:
        self._routes = routes

    def __call__(self, request: Request) -> Target | Refused:
        """The target of a request."""
        upstream = self._routes.find(request.authority, request.path)
        if upstream is None:
            return Refused(404, "Nothing stands behind this name and path.")
        own = upstream.authority
        named = request.authority or own
        # the origin is told the client's Host, if only as X-Forwarded-Host: so it is part of the key
        key = target_key(request.scheme, named, request.path, request.query)
        authority = named if upstream.pass_host else own
        origin: Origin = upstream.pool.servers[0].place.origin
        return Target(key, origin, _path(request), authority, upstream)
