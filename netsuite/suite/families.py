"""Which table is served by whom, and what it needs of others.

Names are dotted and imported when they are used, so that a table that is not there costs nothing. The order of
:data:`FAMILIES` is the order in which servers are started; they are stopped in reverse.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import attrs

from netsuite.common.commons import Commons
from netsuite.common.settings import Table
from netsuite.interfaces import INetsuiteService

__all__ = ["FAMILIES", "Family", "family", "summaries"]


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _never(_: Any) -> bool:
    return False


def _always(_: Any) -> bool:
    return True


@attrs.frozen
class Family:
    """One table of the site file and the server behind it.

    ``serves_http`` says whether, with these settings, it shows an application on an IHttpServer; ``finds_names``
    whether it asks an INameResolver. Who is not there is then built for it.
    """

    table: str
    package: str
    settings_name: str
    summary: str
    serves_http: Callable[[Any], bool] = _never
    finds_names: Callable[[Any], bool] = _never

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
    Family("http", "netsuite.http.origin", "HttpSettings", "HTTP server for a folder, and for everyone's applications"),
    Family(
        "proxy", "netsuite.http.proxy", "ProxySettings", "caching HTTP proxy, forward or reverse", finds_names=_always
    ),
    Family("upper", "netsuite.upper", "UpperSettings", "upper-case server of the textbook, UDP and TCP"),
    Family("mail", "netsuite.mail", "MailSettings", "mail store, read by IMAP and POP3"),
    Family("smtp", "netsuite.mail.smtp", "SmtpSettings", "mail relay with a durable queue", finds_names=_always),
    Family("admin", "netsuite.admin", "AdminSettings", "metrics, health, and a page for people", serves_http=_always),
)
"""Every table but ``common``, in the order of starting."""


def family(table: str) -> Family:
    """The family of a table; KeyError if there is none."""
    return _BY_TABLE[table]


def summaries() -> dict[str, str]:
    """What each table is, ``common`` first."""
    return {"common": "what all servers of a site share", **{each.table: each.summary for each in FAMILIES}}


_BY_TABLE = {each.table: each for each in FAMILIES}
