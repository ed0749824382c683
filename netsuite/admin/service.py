"""The admin port as a service of the suite: an application on the HTTP server's ports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netsuite.admin.application import AdminApplication
from netsuite.admin.settings import AdminSettings
from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.service import NetsuiteService
from netsuite.interfaces import Address, IHttpServer, IOffers, ISite

__all__ = ["AdminService", "build"]


class AdminService(NetsuiteService):
    """Shows the site that :class:`ISite` offers; only the parent process runs it."""

    workers = "one"

    def __init__(self, settings: AdminSettings, commons: Commons) -> None:
        super().__init__("admin", commons)
        self.settings = settings
        self.application = AdminApplication(commons, commons.access.rule(settings.allow), settings.hosts)
        self._addresses: Callable[[], Sequence[Address]] = tuple
        commons.metrics.add(
            "netsuite_admin_requests", "Requests to the admin port.", "counter", lambda: self.application.requests
        )

    def join(self, offers: IOffers) -> None:
        """Take the site, and ports of the HTTP server."""
        self.application.site = offers.find(ISite)
        server = offers.find(IHttpServer)
        if server is None:
            raise StartError("admin: there is no HTTP server to serve it; add an [http] table")
        self._addresses = server.listen("admin", self.settings.listen, self.application)

    def addresses(self) -> Sequence[Address]:
        """Where the HTTP server shows it, each with a line to try."""
        return [
            address._replace(hint=f"curl {address.kind}://{_host(address)}:{address.port}/health")
            if address.kind in ("http", "https")
            else address
            for address in self._addresses()
        ]

    def figures(self) -> Sequence[tuple[str, float]]:
        """Requests so far."""
        return (("requests", self.application.requests), ("refused", self.application.refused))


def _host(address: Address) -> str:
    return f"[{address.host}]" if ":" in address.host else address.host


def build(settings: AdminSettings, commons: Commons) -> AdminService:
    """The ``[admin]`` table's service."""
    return AdminService(settings, commons)
