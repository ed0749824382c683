"""Cache-Groups: stored responses of one origin that go together.

Implements: RFC 9875 sections 2, 3
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from netsuite.sansio.structured import parse_list

__all__ = ["GROUPS_AT_MOST", "groups_of"]

GROUPS_AT_MOST: Final = 128
"""How many groups of one field count; the RFC asks for 32 at least."""


def groups_of(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    """The groups that Cache-Groups or Cache-Group-Invalidation names; none if it is no list of strings."""
    return _groups(b", ".join(lines)) if lines else ()


@lru_cache(maxsize=256)
def _groups(value: bytes) -> tuple[bytes, ...]:
    members = parse_list(value)
    if not members or any(type(member[0]) is not str for member in members):
        return ()
    return tuple(dict.fromkeys(str(member[0]).encode("ascii") for member in members))[:GROUPS_AT_MOST]
