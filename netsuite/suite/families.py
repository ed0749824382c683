"""Which table is served by whom, and what it needs of others.

Names are dotted and imported when they are used, so that a table that is not there costs nothing. The order of
:data:`FAMILIES` is the order in which servers are started; they are stopped in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

import attrs

from netsuite.common.commons import Commons
from netsuite.common.settings import Table
from netsuite.interfaces import IHttpClient, IHttpServer, INameResolver, INetsuiteService

__all__ = ["FAMILIES", "Family", "family", "summaries"]


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _nothing(_: Any) -> Collection[Any]:
    return ()


def _always(*interfaces: Any) -> Callable[[Any], Collection[Any]]:
    return lambda _: interfaces


def _tracker_needs(settings: Any) -> Collection[Any]:
    return (IHttpServer,) if settings.http else ()


@attrs.frozen
class Family:
    """One table of the site file and the server behind it.

    ``needs`` says which interfaces it asks others for, with these settings; ``provides`` which of them a server of
    this table without addresses of its own gives to others. Who is needed and not there is built for it; whoever
    finds names has the system's resolver if the site has none.
    """

    table: str
    package: str
    settings_name: str
    summary: str
    needs: Callable[[Any], Collection[Any]] = _nothing
    provides: tuple[Any, ...] = ()

    def settings(self) -> type[Table]:
        """The class of its table."""
        found: type[Table] = _load(f"{self.package}.settings:{self.settings_name}")
        return found

    def build(self, settings: Table, commons: Commons) -> INetsuiteService:
        """Its server, not yet open."""
        made: INetsuiteService = _load(f"{self.package}.service:build")(settings, commons)
        return made


FAMILIES = (
    Family("dns", "netsuite.dns.authoritative", "DnsSettings", "authoritative name server"),
    Family("resolver", "netsuite.dns.resolver", "ResolverSettings", "caching, iterative name server"),
    Family(
        "http",
        "netsuite.http.origin",
        "HttpSettings",
        "HTTP server for a folder, and for everyone's applications",
        provides=(IHttpServer, IHttpClient),
    ),
    Family(
        "proxy",
        "netsuite.http.proxy",
        "ProxySettings",
        "caching HTTP proxy, forward or reverse",
        needs=_always(INameResolver),
    ),
    Family("ftp", "netsuite.http.ftp", "FtpSettings", "FTP server for a folder"),
    Family("upper", "netsuite.upper", "UpperSettings", "upper-case server of the textbook, UDP and TCP"),
    Family("mail", "netsuite.mail", "MailSettings", "mail store, read by IMAP and POP3"),
    Family(
        "smtp",
        "netsuite.mail.smtp",
        "SmtpSettings",
        "mail relay with a durable queue",
        needs=_always(INameResolver),
    ),
    Family(
        "tracker",
        "netsuite.bittorrent.tracker",
        "TrackerSettings",
        "BitTorrent tracker, over HTTP and UDP",
        needs=_tracker_needs,
    ),
    Family(
        "peer",
        "netsuite.bittorrent.peer",
        "PeerSettings",
        "BitTorrent peer: downloads torrents and serves them",
        needs=_always(IHttpClient, INameResolver),
    ),
    Family(
        "admin",
        "netsuite.admin",
        "AdminSettings",
        "metrics, health, and a page for people",
        needs=_always(IHttpServer),
    ),
)
"""Every table but ``common``, in the order of starting."""


def family(table: str) -> Family:
    """The family of a table; KeyError if there is none."""
    return _BY_TABLE[table]


def summaries() -> dict[str, str]:
    """What each table is, ``common`` first."""
    return {"common": "what all servers of a site share", **{each.table: each.summary for each in FAMILIES}}


_BY_TABLE = {each.table: each for each in FAMILIES}
