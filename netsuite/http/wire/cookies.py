"""Cookies: what a client sends back, and what a server asks it to keep.

Reading forgives as section 5.7 and the browsers do; writing is strict, so no value can add an attribute or a field.
Names with the prefixes ``__Secure-`` and ``__Host-`` are only written with the attributes that they promise.

Implements: RFC 6265 sections 4.1, 4.2, 5.4; draft-ietf-httpbis-rfc6265bis sections 4.1.2.7, 4.1.3
"""

from __future__ import annotations

import re
from typing import Final, Literal

from netsuite.sansio.dates import format_date
from netsuite.sansio.fields import is_token

__all__ = ["LONGEST", "read_cookies", "write_cookie"]

LONGEST: Final = 4096
"""Bytes of a name and a value together that clients keep."""

_VALUE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_ATTRIBUTE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]*")


def read_cookies(value: bytes | None, limit: int = 100) -> list[tuple[bytes, bytes]]:
    """The names and values in a Cookie field, in order (a name may come twice: the more specific path first).

    Quotes around a value are part of it. What has no name, or no equals sign, is left out, and what comes after
    ``limit`` of them.
    """
    found: list[tuple[bytes, bytes]] = []
    for pair in (value or b"").split(b";", limit)[:limit]:
        name, equals, content = pair.partition(b"=")
        name = name.strip(b" \t")
        if equals and name:
            found.append((name, content.strip(b" \t")))
    return found


def write_cookie(
    name: str,
    value: str,
    *,
    path: str | None = "/",
    domain: str | None = None,
    max_age: int | None = None,
    expires: float | None = None,
    secure: bool = True,
    http_only: bool = True,
    same_site: Literal["Strict", "Lax", "None"] = "Lax",
) -> bytes:
    """The value of one Set-Cookie field; a ``max_age`` of 0 has the cookie forgotten. ValueError for what is none."""
    if not is_token(name.encode("utf-8")) or _VALUE.fullmatch(value) is None or len(name) + len(value) > LONGEST:
        raise ValueError(f"{name!r}={value!r} is no cookie")
    for attribute in (path, domain):
        if attribute is not None and (_ATTRIBUTE.fullmatch(attribute) is None or not attribute):
            raise ValueError(f"{attribute!r} is no attribute of a cookie")
    prefix = name.lower()
    if prefix.startswith(("__secure-", "__host-")) and not secure:
        raise ValueError(f"{name}: its name promises that it is secure")
    if prefix.startswith("__host-") and (domain is not None or path != "/"):
        raise ValueError(f"{name}: its name promises the path / and no domain")
    if same_site == "None" and not secure:
        raise ValueError(f"{name}: clients take SameSite=None only from secure cookies")
    parts = [f"{name}={value}"]
    if expires is not None:
        parts.append(f"Expires={format_date(expires).decode()}")
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    if domain is not None:
        parts.append(f"Domain={domain}")
    if path is not None:
        parts.append(f"Path={path}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    parts.append(f"SameSite={same_site}")
    return "; ".join(parts).encode("ascii")
