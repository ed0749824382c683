r"""Mailbox names and flags, as the store keeps them.

Names are Unicode, their levels divided by ``/``; the first level ``INBOX`` is meant whatever its case
(RFC 3501 section 5.1). System flags have one spelling (RFC 3501 section 2.3.2); ``\Recent`` is never kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from netsuite.mail.store.errors import BadName, LimitReached
from netsuite.mail.store.values import Limits

__all__ = ["INBOX", "SEPARATOR", "SPECIAL", "canonical", "checked", "flagset", "parents", "proper_flags"]

INBOX: Final = "INBOX"
SEPARATOR: Final = "/"

SPECIAL: Final = {
    "Sent": "\\Sent",
    "Drafts": "\\Drafts",
    "Trash": "\\Trash",
    "Junk": "\\Junk",
    "Archive": "\\Archive",
}
"""The mailboxes that every account has besides INBOX, and their SPECIAL-USE attributes."""

_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff%*]")
_SYSTEM: Final = {flag.lower(): flag for flag in ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")}
_KEYWORD: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+")


def canonical(name: str) -> str:
    """A name as it is kept: INBOX in upper case."""
    first, separator, rest = name.partition(SEPARATOR)
    return INBOX + separator + rest if first.upper() == INBOX else name


def checked(name: str, limits: Limits) -> str:
    """The canonical form of a name for a new mailbox; a separator at its end means nothing (RFC 3501 section 6.3.3).

    Raises BadName and LimitReached.
    """
    name = canonical(name.removesuffix(SEPARATOR))
    levels = name.split(SEPARATOR)
    if not all(levels):
        raise BadName("a mailbox's name has an empty level")
    if _UNFIT.search(name):
        raise BadName("a mailbox's name has a control character, a wildcard or half a character")
    if len(name.encode()) > limits.name:
        raise LimitReached(f"a mailbox's name has more than {limits.name} bytes")
    if len(levels) > limits.depth:
        raise LimitReached(f"a mailbox's name has more than {limits.depth} levels")
    return name


def parents(name: str) -> list[str]:
    """The names above a name, the topmost first."""
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:depth]) for depth in range(1, len(levels))]


def proper_flags(flags: Iterable[str], limits: Limits) -> list[str]:
    """Flags as they are kept, sorted. Raises BadName and LimitReached."""
    kept = set()
    for flag in flags:
        if flag.startswith("\\"):
            system = _SYSTEM.get(flag.lower())
            if system is not None:
                kept.add(system)
            elif flag.lower() != "\\recent":
                raise BadName("there is no such system flag")
        elif len(flag) > limits.flag:
            raise LimitReached(f"a keyword has more than {limits.flag} characters")
        elif not _KEYWORD.fullmatch(flag):
            raise BadName("a keyword has a character that is not an atom's")
        else:
            kept.add(flag)
    if len(kept) > limits.flags:
        raise LimitReached(f"more than {limits.flags} flags")
    return sorted(kept)


@lru_cache(4096)
def flagset(flags: tuple[str, ...]) -> frozenset[str]:
    """A set of flags, one object for all messages that have it."""
    return frozenset(flags)
