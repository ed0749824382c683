"""What a proxy adds to a message and takes from it on its way: one hop's fields and the marks of passage.

Implements: RFC 9110 sections 7.6, 10.1.1; RFC 7239; RFC 8586
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from netsuite.http.cache.stored import Field
from netsuite.sansio.fields import is_token, quote, split_list

__all__ = ["end_to_end", "forwarded_element", "loops", "via_element"]

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NEVER_NAMED: Final = frozenset(
    {
        b"age",
        b"authorization",
        b"cache-control",
        b"cdn-loop",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"date",
        b"etag",
        b"expires",
        b"forwarded",
        b"host",
        b"last-modified",
        b"location",
        b"max-forwards",
        b"range",
        b"set-cookie",
        b"vary",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    }
)
"""End-to-end by definition: a Connection field that names one of these is wrong (RFC 9110 section 7.6.1)."""

_NODE: Final = re.compile(rb"[A-Za-z0-9._:\[\]-]+")


@lru_cache(maxsize=256)
def _named(value: bytes) -> frozenset[bytes]:
    """The fields that a Connection field names, as far as it may."""
    return frozenset(option.lower() for option in split_list(value)) - _NEVER_NAMED


def end_to_end(fields: Sequence[Field]) -> list[Field]:
    """The fields that are meant for the other end (RFC 9110 section 7.6.1)."""
    removed: frozenset[bytes] = _HOP_BY_HOP
    for name, value in fields:
        if name == b"connection":
            named = _named(value)
            if named:
                removed = removed | named
    return [field for field in fields if field[0] not in removed]


def via_element(version: tuple[int, int], pseudonym: bytes) -> bytes:
    """What this hop adds to Via: the version it received, and its own name."""
    return b"%d.%d %b" % (version[0], version[1], pseudonym)


def loops(fields: Sequence[Field], pseudonym: bytes) -> bool:
    """Whether a request has passed this proxy before: its name stands in Via or in CDN-Loop."""
    for name, value in fields:
        if name == b"via":
            for element in split_list(value):
                words = element.split()
                if len(words) >= 2 and words[1].lower() == pseudonym.lower():
                    return True
        elif name == b"cdn-loop":
            for element in split_list(value):
                if element.split(b";")[0].strip().lower() == pseudonym.lower():
                    return True
    return False


def forwarded_element(peer: str, host: bytes, scheme: str) -> bytes:
    """What this hop adds to Forwarded (RFC 7239): for whom, which host was asked, and how."""
    node = f"[{peer}]".encode() if ":" in peer else peer.encode("ascii", "replace")
    if not _NODE.fullmatch(node):
        node = b"unknown"
    parts = [b"for=" + (node if is_token(node) else quote(node))]
    if host:
        parts.append(b"host=" + (host if is_token(host) else quote(host)))
    parts.append(b"proto=" + scheme.encode())
    return b";".join(parts)
