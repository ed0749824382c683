"""Virtual hosts: which site a request is for, by the host that it names.

Implements: RFC 9110 sections 7.2, 7.4, 15.4.2, 15.4.9, 15.5.20
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from zope.interface import implementer

from netsuite.http.hosts import HostTable
from netsuite.http.server import error_page
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest

__all__ = ["Elsewhere", "Sites"]


@implementer(IHttpApplication)
class Sites:
    """Applications by host; ``default`` is for all other hosts, which are refused where there is none."""

    def __init__(self, default: IHttpApplication | None, sites: HostTable[IHttpApplication]) -> None:
        self._default = default
        self._sites = sites

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The site's answer."""
        app = self._sites.find(request.authority) or self._default
        if app is None:
            return error_page(421, "This server does not answer for that host.")
        return app.handle(request, body)


@implementer(IHttpApplication)
class Elsewhere:
    """A site that has moved to ``base`` (a URL without a last slash), every path of it."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/").encode()

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> HttpAnswer:
        """A permanent redirect; one that keeps the method where that matters."""
        path = b"/" if request.path == b"*" else request.path
        query = b"" if request.query is None else b"?" + request.query
        status, fields, page = error_page(
            301 if request.method in (b"GET", b"HEAD") else 308, "This site has another address."
        )
        return status, [*fields, (b"location", self._base + path + query)], page
