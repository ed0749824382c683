"""The admin port's HTTP application.

====================  ====================================================================
``/``                 the page for people
``/status.json``      the same as values
``/metrics``          everything measured, in Prometheus's text format
``/health``           200 while every service is well, 503 otherwise, with the reasons
====================  ====================================================================

It only ever reads: other methods than GET and HEAD are refused. So are clients that the rule does not let
in, and requests that name a host which is not ours (a web page that rebinds its own name to this
address would send that name).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from typing import Any, Final

from zope.interface import implementer

from netsuite.admin.page import POLICY, page
from netsuite.admin.status import SiteStatus, health, site_status
from netsuite.common.access import Rule
from netsuite.common.commons import Commons
from netsuite.common.metrics import CONTENT_TYPE
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest, ISite

__all__ = ["AdminApplication"]

_ALWAYS: Final = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"


def _answer(status: int, media: str, text: str | bytes, *more: tuple[bytes, bytes]) -> HttpAnswer:
    body = text.encode() if isinstance(text, str) else text
    return status, [(b"content-type", media.encode()), *_ALWAYS, *more], body


@implementer(IHttpApplication)
class AdminApplication:
    """Shows a ``site``, once it has one."""

    def __init__(self, commons: Commons, rule: Rule, hosts: Sequence[str] = ()) -> None:
        self.site: ISite | None = None
        self.requests = 0
        self.refused = 0
        self._commons = commons
        self._rule = rule
        self._hosts = frozenset(host.lower().rstrip(".") for host in ("localhost", *hosts))

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The answer, or a coroutine of it where other processes are asked."""
        self.requests += 1
        if not self._rule.permits(request.peer[0]):
            self.refused += 1
            return _answer(403, _TEXT, "Not from your address; see admin.allow.\n")
        if not self._is_ours(request.authority):
            self.refused += 1
            return _answer(421, _TEXT, "This is not the host that you named; see admin.hosts.\n")
        show = _PAGES.get(request.path)
        if show is None:
            return _answer(404, _TEXT, "There is nothing here. Try /, /status.json, /metrics or /health.\n")
        if request.method not in (b"GET", b"HEAD"):
            return _answer(405, _TEXT, "This can only be read.\n", (b"allow", b"GET, HEAD"))
        if self.site is None:
            return _answer(503, _TEXT, "The site is not up yet.\n", (b"retry-after", b"1"))
        return show(self, self.site)

    def _is_ours(self, authority: bytes) -> bool:
        """Whether a request names us: by an address, which no name server can forge, or by a name of ours."""
        text = authority.decode("ascii", "replace").lower()
        if text.startswith("["):
            host, _, rest = text[1:].partition("]")
            if rest and rest[0] != ":":
                return False
        else:
            host, _, rest = text.partition(":")
        if host.rstrip(".") in self._hosts:
            return True
        try:
            ip_address(host)
        except ValueError:
            return False
        return True

    async def _now(self, site: ISite) -> SiteStatus:
        sharing = self._commons.sharing
        return site_status(site, self._commons.clock.seconds(), await sharing.gather(), sharing.crew)

    async def _page(self, site: ISite) -> HttpAnswer:
        status = await self._now(site)
        return _answer(200, _HTML, page(status), (b"content-security-policy", POLICY.encode()))

    async def _status(self, site: ISite) -> HttpAnswer:
        status = await self._now(site)
        return _answer(200, _JSON, json.dumps(status.as_json()))

    async def _metrics(self, site: ISite) -> HttpAnswer:
        reports = await self._commons.sharing.gather()
        workers = {index: report["metrics"] for index, report in reports.items()}
        return _answer(200, CONTENT_TYPE, self._commons.metrics.exposition(workers))

    def _health(self, site: ISite) -> HttpAnswer:
        found = {str(service.name): health(service) for service in site.services()}
        crew = self._commons.sharing.crew
        if crew is not None:
            found["workers"] = crew.health()
        well = all(each.ok for each in found.values())
        services = {name: {"ok": each.ok, "detail": each.detail} for name, each in found.items()}
        return _answer(200 if well else 503, _JSON, json.dumps({"ok": well, "services": services}))


_PAGES: Final = {
    b"/": AdminApplication._page,
    b"/status.json": AdminApplication._status,
    b"/metrics": AdminApplication._metrics,
    b"/health": AdminApplication._health,
}
