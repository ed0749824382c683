"""When the origin's own answer cannot be had: what to tell the client, and by which words of RFC 9209.

Implements: RFC 9209 sections 2.1.1 and 2.3; RFC 9110 sections 15.6.3 to 15.6.5
"""

from __future__ import annotations

from typing import Final, NamedTuple

from netsuite.http.client import FetchFailed
from netsuite.interfaces import LookupFailed

__all__ = ["Forbidden", "Trouble", "trouble"]


class Forbidden(Exception):
    """The target lies where requests of others must not lead."""


class Trouble(NamedTuple):
    """A status, the error type of Proxy-Status, and a sentence."""

    status: int
    error: str
    detail: str


_KINDS: Final = {
    "connect": (502, "destination_unavailable"),
    "connect-timeout": (504, "connection_timeout"),
    "tls": (502, "tls_certificate_error"),
    "timeout": (504, "http_response_timeout"),
    "busy": (503, "connection_limit_reached"),
    "closed": (502, "connection_terminated"),
    "unavailable": (503, "destination_unavailable"),
}


def trouble(problem: BaseException) -> Trouble | None:
    """What a failed fetch means for the client; None for what is a fault of ours."""
    if isinstance(problem, Forbidden):
        return Trouble(403, "destination_ip_prohibited", str(problem))
    if isinstance(problem, LookupFailed):
        return Trouble(502, "dns_error", str(problem))
    if isinstance(problem, FetchFailed):
        status, error = (502, "http_protocol_error") if problem.malformed else _KINDS[problem.kind]
        return Trouble(status, error, str(problem))
    return None
