"""LIST's patterns: ``*`` stands for anything, ``%`` for anything within one level (RFC 3501 section 6.3.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["LONGEST", "matcher"]

LONGEST: Final = 1024


def matcher(pattern: str) -> Callable[[str], bool]:
    """What tells whether a name matches; its time is the product of both lengths at most."""
    if pattern[:6].upper() == "INBOX/" or pattern.upper() == "INBOX":
        pattern = "INBOX" + pattern[5:]

    def matches(name: str) -> bool:
        here = {0}
        for sign in pattern:
            if sign == "*":
                here = set(range(min(here), len(name) + 1))
            elif sign == "%":
                reached: set[int] = set()
                for at in sorted(here):
                    if at not in reached:
                        end = name.find("/", at)
                        reached.update(range(at, (end if end >= 0 else len(name)) + 1))
                here = reached
            else:
                here = {at + 1 for at in here if name[at : at + 1] == sign}
            if not here:
                return False
        return len(name) in here

    return matches
