"""Names of users: what may be one, and the one way to write each.

A name without a domain is at the site's first domain. The canonical form is the whole address in lower case and
Unicode's composed form, so that ``Alice``, ``alice@Example.TEST`` and ``alice@example.test.`` are one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from netsuite.common.identity.errors import Refused

__all__ = ["canonical", "checked"]

LONGEST: Final = 254
"""Characters of an address (RFC 5321 section 4.5.3.1.3, without the brackets)."""
LONGEST_LOCAL: Final = 64

_LOCAL: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")


def canonical(name: str, domain: str) -> str:
    """The canonical form of a name, ``domain`` being meant where it has none; anything has one, users or not."""
    if not name.isascii():
        name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    name = name.strip().lower().removesuffix(".")
    return name if "@" in name else f"{name}@{domain}"


def checked(name: str, domain: str) -> str:
    """The canonical form of a name that somebody shall get; raises Refused if no user can be called that."""
    address = canonical(name, domain)
    local, _, host = address.rpartition("@")
    if len(address) > LONGEST or len(local.encode()) > LONGEST_LOCAL:
        raise Refused(f"{address[:80]!r} is too long for an address")
    if _LOCAL.fullmatch(local) is None:
        raise Refused(f"{name!r} is no name for a user: write alice, or alice@example.test")
    if not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise Refused(f"{name!r} is no name for a user: {host!r} is no domain")
    return address
