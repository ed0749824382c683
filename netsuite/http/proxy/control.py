"""What the ``netsuite cache`` command asks of the running proxy: one method a verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from zope.interface import implementer

from netsuite.common.errors import StartError
from netsuite.http.proxy.inventory import counted, listed
from netsuite.http.proxy.server import ProxyServer
from netsuite.interfaces import IControlled

__all__ = ["CacheControl"]


@implementer(IControlled)
class CacheControl:
    """Answers for one proxy's cache. A verb is a method in ``_VERBS``."""

    def __init__(self, server: ProxyServer) -> None:
        self._server = server

    async def asked(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``do`` is a verb of ``_VERBS``; raises StartError with one line."""
        verb = _VERBS.get(str(request.get("do")))
        if verb is None:
            raise StartError(f"ask for {', '.join(_VERBS)}")
        return await verb(self, request)

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


_VERBS: Final[dict[str, Callable[[CacheControl, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]]] = {
    "list": CacheControl.list,
    "purge": CacheControl.purge,
    "stats": CacheControl.stats,
}
