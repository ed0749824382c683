"""Cache-Status: what this cache did for a request, told as one more member of the list.

What other caches on the way said is kept, in lines before ours, which is the same list; a line that is no list would
make all of it unreadable and is dropped. Error pages of the proxy's own carry none, as section 2 asks.

Implements: RFC 9211 section 2
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from netsuite.http.cache.stored import Field
from netsuite.sansio.structured import Item, parse_list, serialise_item

__all__ = ["HIT", "NAME", "forward_field", "hit_field", "printable", "readable"]

NAME: Final = b"netsuite"
"""What this software calls itself in Cache-Status and Proxy-Status."""

_LISTS: Final = (b"cache-status", b"proxy-status")


def printable(text: str) -> str:
    """A sentence with question marks for what a Structured Field's string cannot hold."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)


@lru_cache(maxsize=256)
def _quoted(text: str) -> bytes:
    return serialise_item(Item(printable(text)))


HIT: Final = NAME + b"; hit; ttl="
"""What a hit says before its seconds."""


def hit_field(ttl: float, detail: bytes = b"") -> Field:
    """The request was satisfied from the store; ``detail`` is a token that says more."""
    told = b"%b%d" % (HIT, ttl)
    return (b"cache-status", told + b"; detail=" + detail if detail else told)


def forward_field(
    reason: str,
    status: int | None,
    *,
    ttl: float | None = None,
    stored: bool = False,
    collapsed: bool | None = None,
    detail: str = "",
) -> Field:
    """The request went on to the origin because of ``reason`` (a word of section 2.2), which answered ``status``.

    ``ttl`` is told of what can be used again; ``collapsed`` is true if another request brought the response, false if
    another was waited for in vain; ``detail`` is a sentence.
    """
    told = b"%b; fwd=%b" % (NAME, reason.encode("ascii"))
    if status is not None:
        told += b"; fwd-status=%d" % status
    if ttl is not None:
        told += b"; ttl=%d" % ttl
    if stored:
        told += b"; stored"
    if collapsed is not None:
        told += b"; collapsed" if collapsed else b"; collapsed=?0"
    return (b"cache-status", told + b"; detail=" + _quoted(detail) if detail else told)


def readable(lines: Sequence[Field]) -> list[Field]:
    """Fields without the lines of Cache-Status and Proxy-Status that are no lists."""
    return [field for field in lines if field[0] not in _LISTS or parse_list(field[1]) is not None]
