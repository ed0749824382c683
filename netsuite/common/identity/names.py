"""Names of users: what may be one, and the one way to write each.

A name without a domain is at the site's first domain. The canonical form is the whole address in lower case and
Unicode's compatible composed form, as in SASL, so that ``Alice``, ``alice@Example.TEST`` and ``alice@example.test.``
are one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from netsuite.common.identity.errors import Refused
from netsuite.sansio.sasl import prepared

__all__ = ["canonical", "checked"]

LONGEST: Final = 254
"""Bytes of an address (RFC 5321 section 4.5.3.1.3, without the brackets)."""
LONGEST_LOCAL: Final = 64

_ATOM: Final = r"[a-z0-9!#$%&'*+=?^_`{|}~\x80-\U0010ffff-]+"  # RFC 5322's, but for the slash: users have folders
_LOCAL: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_\x80-\U0010ffff-]{1,63}(?<!-)")


def canonical(name: str, domain: str) -> str:
    """The canonical form of a name, ``domain`` being meant where it has none; anything has one, users or not."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).lower())
    local, at, host = name.lower().rpartition("@")
    return f"{local}@{host.rstrip('.')}" if at else f"{host}@{domain}"


def checked(name: str, domain: str) -> str:
    """The canonical form of a name that somebody shall get; raises Refused if no user can be called that."""
    address = canonical(name, domain)
    local, _, host = address.rpartition("@")
    if len(address.encode("utf-8", "replace")) > LONGEST or len(local.encode("utf-8", "replace")) > LONGEST_LOCAL:
        raise Refused(f"{address[:80]!r} is too long for an address")
    if _LOCAL.fullmatch(local) is None or not _stays(address):
        raise Refused(f"{name!r} is no name for a user: write alice, or alice@example.test")
    if not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise Refused(f"{name!r} is no name for a user: {host!r} is no domain")
    return address


def _stays(address: str) -> bool:
    """Whether SASL leaves it as it is, so that its owner can log in."""
    try:
        return prepared(address) == address
    except ValueError:
        return False
