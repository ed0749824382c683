"""When the origin's own answer cannot be had: what to tell the client, and by which words of RFC 9209.

Implements: RFC 9209 sections 2.1, 2.2 and 2.3; RFC 9110 sections 15.6.3 to 15.6.5
"""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple

from twisted.internet import error

from netsuite.common.adapter import ConnectFailed
from netsuite.http.cache.status import NAME, printable
from netsuite.http.cache.stored import Field
from netsuite.http.client import FetchFailed
from netsuite.interfaces import LookupFailed
from netsuite.sansio.structured import Bare, Item, Token, serialise_item

__all__ = ["Forbidden", "Trouble", "proxy_status", "trouble"]


class Forbidden(Exception):
    """The target lies where requests of others must not lead."""


class Trouble(NamedTuple):
    """A status, the error type of Proxy-Status, a sentence, and the rcode of a name server where one is known.

    Without an error type the origin answered, with this status.
    """

    status: int
    error: str
    detail: str
    rcode: str = ""


_KINDS: Final = {
    "connect": (502, "destination_unavailable"),
    "connect-timeout": (504, "connection_timeout"),
    "tls": (502, "tls_protocol_error"),
    "timeout": (504, "http_response_timeout"),
    "busy": (503, "connection_limit_reached"),
    "closed": (502, "connection_terminated"),
    "unavailable": (503, "destination_unavailable"),
}
_CAUSES: Final[tuple[tuple[type[BaseException], int, str], ...]] = (
    (error.ConnectionRefusedError, 502, "connection_refused"),
    (error.NoRouteError, 502, "destination_ip_unroutable"),
    (error.TimeoutError, 504, "connection_timeout"),
    (ssl.SSLCertVerificationError, 502, "tls_certificate_error"),
)
_RCODES: Final = ("NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP")


def trouble(problem: BaseException) -> Trouble | None:
    """What a failed fetch means for the client; None for what is a fault of ours."""
    if isinstance(problem, Forbidden):
        return Trouble(403, "destination_ip_prohibited", str(problem))
    if isinstance(problem, LookupFailed):
        return _unresolved(str(problem))
    if isinstance(problem, FetchFailed):
        return _unfetched(problem)
    return None


def _unresolved(text: str) -> Trouble:
    if "in time" in text or "timed out" in text:
        return Trouble(504, "dns_timeout", text)
    return Trouble(502, "dns_error", text, next((rcode for rcode in _RCODES if rcode in text), ""))


def _unfetched(problem: FetchFailed) -> Trouble:
    status, kind = _KINDS[problem.kind]
    text = str(problem)
    below = problem.__cause__
    if isinstance(below, ConnectFailed):
        below = below.__cause__
    for cause, its_status, its_kind in _CAUSES:
        if isinstance(below, cause):
            status, kind = its_status, its_kind
    if problem.malformed:
        status, kind = 502, "http_protocol_error"
    elif problem.kind == "closed" and "middle" in text:
        kind = "http_response_incomplete"
    if problem.kind == "tls" and "certificate" in text:
        kind = "tls_certificate_error"
    return Trouble(status, kind, text)


def proxy_status(failed: Trouble | None, *, next_hop: str = "", received: int | None = None) -> Field:
    """The proxy's own member of Proxy-Status.

    ``failed`` is why the answer is the proxy's own; ``received`` the status that the origin sent where that is not the
    one that is passed on; ``next_hop`` where the request went, if clients may know.
    """
    parameters: dict[str, Bare] = {}
    if failed is not None and failed.error:
        parameters["error"] = Token(failed.error)
        if failed.rcode:
            parameters["rcode"] = failed.rcode
    if next_hop:
        parameters["next-hop"] = next_hop
    if received is not None:
        parameters["received-status"] = received
    if failed is not None and failed.detail:
        parameters["details"] = printable(failed.detail)
    return (b"proxy-status", serialise_item(Item(Token(NAME.decode("ascii")), parameters)))
