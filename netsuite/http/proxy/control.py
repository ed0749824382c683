"""What the ``netsuite cache`` command asks of the running proxy: one method a verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from zope.interface import implementer

from netsuite.common.errors import StartError
from netsuite.http.cache.explain import explain, told
from netsuite.http.proxy.server import ProxyServer
from netsuite.http.proxy.targets import Refused
from netsuite.http.wire.messages import Request
from netsuite.interfaces import IControlled
from netsuite.sansio.fields import is_field_value, is_token

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

    async def explain(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Why ``method`` on ``url`` with ``headers`` (each ``Name: value``) is answered as it is."""
        asked = _request(request)
        explanation = self._server.explained(asked)
        if isinstance(explanation, Refused):
            raise StartError(f"{explanation.status}: {explanation.detail}")
        return {"explanation": explanation, "lines": told(explanation)}


_VERBS: Final[dict[str, Callable[[CacheControl, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]]] = {
    "explain": CacheControl.explain,
}
