"""DNS over HTTPS: an application for any of the suite's HTTP servers over anything that answers DNS.

RFC 8484: GET with ``?dns=`` in base64url, POST of ``application/dns-message``. How long an answer may be
kept (``cache-control: max-age``) is its smallest TTL, or for a negative one what its SOA says (RFC
2308 section 5); failures are not kept.
"""

from __future__ import annotations

import binascii
import inspect
from collections.abc import AsyncIterator
from typing import Final

from zope.interface import implementer

from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, skip
from netsuite.interfaces import HttpAnswer, IDnsAnswers, IHttpApplication, IHttpRequest

__all__ = ["DnsOverHttps", "freshness"]

_TYPE: Final = b"application/dns-message"
_LONGEST: Final = 65535
_PLAIN: Final = (b"content-type", b"text/plain; charset=utf-8")
_BASE64: Final = bytes.maketrans(b"-_", b"+/")


@implementer(IHttpApplication)
class DnsOverHttps:
    """Answers queries that come by HTTP from an IDnsAnswers."""

    def __init__(self, answers: IDnsAnswers) -> None:
        self._answers = answers
        self.queries = 0

    async def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> HttpAnswer:
        """The DNS answer, or the status that says what is wrong with the request."""
        method = request.method
        if method in (b"GET", b"HEAD"):
            query = _from_target(request.query)
            if query is None:
                return _refusal(400, b"give one query as ?dns= in base64url without padding\n")
        elif method == b"POST":
            kind = request.header(b"content-type") or b""
            if kind.partition(b";")[0].strip().lower() != _TYPE:
                return _refusal(415, b"post a query as application/dns-message\n")
            parts = []
            size = 0
            async for chunk in body:
                size += len(chunk)
                if size > _LONGEST:
                    return _refusal(413, b"a query has at most 65535 bytes\n")
                parts.append(chunk)
            query = b"".join(parts)
        else:
            status, fields, text = _refusal(405, b"ask by GET or POST\n")
            return status, [*fields, (b"allow", b"GET, HEAD, POST")], text
        if len(query) < 12 or query[2] & 0x80:
            return _refusal(400, b"that is no DNS query\n")
        self.queries += 1
        found = self._answers.answer(query, request.peer, True, request.scheme == "https")
        response = await found if inspect.isawaitable(found) else found
        if response is None:
            return _refusal(400, b"that query gets no answer\n")
        keep = b"max-age=%d" % freshness(response)
        return 200, [(b"content-type", _TYPE), (b"cache-control", keep)], response


def freshness(response: bytes) -> int:
    """Seconds for which an answer may be kept (RFC 8484 section 5.1); 0 for failures and what cannot be read."""
    if response[3] & 15 not in (codes.NOERROR, codes.NXDOMAIN) or response[2] & (codes.TC >> 8):
        return 0
    questions, answers, authority = (int.from_bytes(response[at : at + 2], "big") for at in (4, 6, 8))
    lowest: int | None = None
    try:
        at = 12
        for _ in range(questions):
            at = skip(response, at) + 4
        for i in range(answers + authority):
            if i >= answers and lowest is not None:
                break
            fixed = skip(response, at)
            ttl = int.from_bytes(response[fixed + 4 : fixed + 8], "big")
            at = fixed + 10 + int.from_bytes(response[fixed + 8 : fixed + 10], "big")
            if at > len(response):
                return 0
            if i < answers:
                lowest = ttl if lowest is None else min(lowest, ttl)
            elif int.from_bytes(response[fixed : fixed + 2], "big") == codes.SOA:
                return min(ttl, int.from_bytes(response[at - 4 : at], "big"))
    except BadName:
        return 0
    # A TTL with its highest bit set counts as 0 (RFC 2181 section 8).
    return lowest if lowest is not None and lowest < 1 << 31 else 0


def _from_target(query: bytes | None) -> bytes | None:
    """The message in a target's query; None unless there is exactly one, well-formed."""
    found = [part[4:] for part in (query or b"").split(b"&") if part.startswith(b"dns=")]
    if len(found) != 1 or b"+" in found[0] or b"/" in found[0] or b"=" in found[0]:
        return None
    text = found[0].translate(_BASE64)
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return None


def _refusal(status: int, text: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return status, [_PLAIN, (b"cache-control", b"no-store")], text
