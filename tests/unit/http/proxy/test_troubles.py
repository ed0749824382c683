"""What failed, in the registered words of RFC 9209, as specific as is known."""

from __future__ import annotations

import ssl

import pytest
from twisted.internet import error

from netsuite.http.client import FetchFailed
from netsuite.http.proxy.troubles import Forbidden, Trouble, proxy_status, trouble
from netsuite.interfaces import LookupFailed
from netsuite.sansio.structured import Token, parse_list


def failed(kind, text="127.0.0.1:80: it failed", cause=None):
    problem = FetchFailed(kind, text)
    problem.__cause__ = cause
    return problem


@pytest.mark.parametrize(
    ("problem", "status", "word"),
    [
        (Forbidden("inside"), 403, "destination_ip_prohibited"),
        (LookupFailed("a.test A: NXDOMAIN"), 502, "dns_error"),
        (LookupFailed("a.test: no answer in time"), 504, "dns_timeout"),
        (failed("connect"), 502, "destination_unavailable"),
        (failed("connect", cause=error.ConnectionRefusedError()), 502, "connection_refused"),
        (failed("connect", cause=error.NoRouteError()), 502, "destination_ip_unroutable"),
        (failed("timeout", cause=error.TimeoutError()), 504, "connection_timeout"),
        (failed("timeout"), 504, "http_response_timeout"),
        (failed("busy"), 503, "connection_limit_reached"),
        (failed("tls", "TLS failed: no shared cipher"), 502, "tls_protocol_error"),
        (failed("tls", "TLS failed: certificate verify failed"), 502, "tls_certificate_error"),
        (failed("tls", cause=ssl.SSLCertVerificationError()), 502, "tls_certificate_error"),
        (failed("closed", "the server closed the connection"), 502, "connection_terminated"),
        (failed("closed", "the server closed in the middle of a body"), 502, "http_response_incomplete"),
        (FetchFailed("closed", "no status", malformed=True), 502, "http_protocol_error"),
    ],
)
def test_words(problem, status, word):
    found = trouble(problem)
    assert (found.status, found.error) == (status, word)


def test_faults_of_ours_are_no_trouble_of_the_origins():
    assert trouble(ValueError("oops")) is None


def test_the_member():
    found = trouble(LookupFailed("a.test A: NXDOMAIN\n"))
    (mine,) = parse_list(proxy_status(found, next_hop="a.test:80")[1])
    assert mine.value == Token("netsuite")
    assert dict(mine.parameters) == {
        "error": Token("dns_error"),
        "rcode": "NXDOMAIN",
        "next-hop": "a.test:80",
        "details": "a.test A: NXDOMAIN?",
    }
    (mine,) = parse_list(proxy_status(Trouble(503, "", ""), received=503)[1])
    assert dict(mine.parameters) == {"received-status": 503}
