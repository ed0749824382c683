"""What the ``netsuite cache`` command asks of the running proxy: one method a verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from zope.interface import implementer

from netsuite.common.errors import StartError
from netsuite.http.cache.explain import told
from netsuite.http.proxy.inventory import counted, listed
from netsuite.http.proxy.server import ProxyServer
from netsuite.http.proxy.targets import Refused
from netsuite.http.wire.messages import Request
from netsuite.http.wire.target import split_target
from netsuite.interfaces import IControlled
from netsuite.sansio.fields import is_field_value, is_token

__all__ = ["CacheControls"]


@implementer(IControlled)
class CacheControls:
    """Answers for one proxy's cache. A verb is a method in ``_VERBS``."""

    def __init__(self, server: ProxyServer) -> None:
        self._server = server

    async def asked(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``do`` is a verb of ``_VERBS``; raises StartError with one line."""
        verb = _VERBS.get(str(request.get("do")))
        if verb is None:
            raise StartError(f"ask for {', '.join(_VERBS)}")
        return await verb(self, request)

    async def explain(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Why ``method`` on ``url`` with ``headers`` (each ``Name: value``) is answered as it is."""
        asked = _request(request)
        explanation = self._server.explained(asked)
        if isinstance(explanation, Refused):
            raise StartError(f"{explanation.status}: {explanation.detail}")
        return {"explanation": explanation, "lines": told(explanation)}

    async def purge(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Purge what the request names (see :meth:`netsuite.http.proxy.purging.Purging.everywhere`)."""
        purging = self._server.purging
        alone = request.get("alone")
        return {"purged": await (purging.here(request) if alone else purging.everywhere(request))}

    async def list(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is stored under a ``prefix``, at most ``limit`` of it, in all processes."""
        return await listed(self._server.cache.store, self._server.clock, self._server.sharing, request)

    async def stats(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the cache did, and what other policies and sizes would have done, summed over all processes."""
        return await counted(self._server, request)


def _request(asked: Mapping[str, Any]) -> Request:
    """The request that a client of the proxy would send; raises StartError."""
    url, method = str(asked.get("url", "")), str(asked.get("method", "GET")).encode("latin-1", "replace")
    found = split_target(b"GET", url.partition("#")[0].encode("latin-1", "replace"))
    if found is None or found.scheme is None or found.authority is None:
        raise StartError(f"{url!r} is no http or https URL")
    if not is_token(method) or method == b"CONNECT":
        raise StartError(f"{method.decode('latin-1')!r} is no method that a cache looks at")
    headers = [(b"host", found.authority), *map(_field, asked.get("headers") or ())]
    target = (found.path or b"/") + (b"" if found.query is None else b"?" + found.query)
    return Request(
        method,
        b"%b://%b%b" % (found.scheme.encode("ascii"), found.authority, target),
        headers,
        path=found.path,
        query=found.query,
        scheme=found.scheme,
        authority=found.authority,
        peer=("127.0.0.1", 0),
    )


def _field(line: Any) -> tuple[bytes, bytes]:
    name, colon, value = str(line).encode("latin-1", "replace").partition(b":")
    value = value.strip(b" \t")
    if not colon or not is_token(name) or not is_field_value(value):
        raise StartError(f"{line!r} is no field: write 'Name: value'")
    return name.lower(), value


_VERBS: Final[dict[str, Callable[[CacheControls, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]]] = {
    "explain": CacheControls.explain,
    "list": CacheControls.list,
    "purge": CacheControls.purge,
    "stats": CacheControls.stats,
}
