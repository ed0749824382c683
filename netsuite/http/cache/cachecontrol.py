"""Reads Cache-Control, of requests and of responses, into plain values.

The parser keeps to the grammar of lists, tokens and quoted strings, so text inside another
directive's quoted string is never taken for a directive. Where a sender is careless, the more
cautious reading wins: of several values the one that keeps a response for less time, and a value
that is no number counts as 0 (RFC 9111 section 4.2.1 encourages to treat that as stale).

Implements: RFC 9111 sections 1.2.2, 4.2.1, 5.2, 5.4; RFC 5861; RFC 8246
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from netsuite.sansio.fields import directives, split_list

__all__ = ["ANY_AGE", "DELTA_LIMIT", "NO_DIRECTIVES", "CacheControl", "delta_seconds", "parse_cache_control"]

DELTA_LIMIT: Final = 1 << 31
"""What a number of seconds that is too big counts as (RFC 9111 section 1.2.2)."""

ANY_AGE: Final = 1 << 40
"""What ``max-stale`` without a number allows: any staleness."""


class CacheControl(NamedTuple):
    """The directives of one message; numbers are seconds, None where absent.

    ``no_cache_fields`` and ``private_fields`` are the lower-case names of the qualified forms,
    which leave ``no_cache`` and ``private`` false.
    """

    max_age: int | None = None
    s_maxage: int | None = None
    no_store: bool = False
    no_cache: bool = False
    no_cache_fields: frozenset[bytes] = frozenset()
    private: bool = False
    private_fields: frozenset[bytes] = frozenset()
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    only_if_cached: bool = False
    max_stale: int | None = None
    min_fresh: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None


NO_DIRECTIVES: Final = CacheControl()

_SPACED_EQUALS: Final = re.compile(rb"[ \t]*=[ \t]*")
_FLAGS: Final = {
    b"no-store": "no_store",
    b"public": "public",
    b"must-revalidate": "must_revalidate",
    b"proxy-revalidate": "proxy_revalidate",
    b"must-understand": "must_understand",
    b"only-if-cached": "only_if_cached",
}
_SHORTEST: Final = {
    b"max-age": "max_age",
    b"s-maxage": "s_maxage",
    b"stale-while-revalidate": "stale_while_revalidate",
    b"stale-if-error": "stale_if_error",
}
_QUALIFIED: Final = {b"no-cache": "no_cache", b"private": "private"}


def delta_seconds(text: bytes) -> int | None:
    """A number of seconds, cut at DELTA_LIMIT; None if it is none (RFC 9111 section 1.2.2)."""
    if not text.isdigit():
        return None
    digits = text.lstrip(b"0")
    return DELTA_LIMIT if len(digits) > 10 else min(int(digits or b"0"), DELTA_LIMIT)


@lru_cache(maxsize=2048)
def parse_cache_control(value: bytes) -> CacheControl:
    """The directives of a field value (several lines joined by commas); never fails."""
    found: dict[str, Any] = {}
    torn = False
    for name, argument in directives(_SPACED_EQUALS.sub(b"=", value)):
        torn = torn or (argument is not None and argument[:1] == b'"')
        _take(found, name, argument)
    if torn:
        # a quoted string that never closes may have hidden or invented a directive: trust no freshness from this field
        found["max_age"] = 0
        found.pop("s_maxage", None)
    return CacheControl(**found) if found else NO_DIRECTIVES


def _take(found: dict[str, Any], name: bytes, argument: bytes | None) -> None:
    if name in _FLAGS:
        found[_FLAGS[name]] = True
    elif name in _SHORTEST:
        _least(found, _SHORTEST[name], delta_seconds(argument or b"") or 0)
    elif name in _QUALIFIED:
        attribute = _QUALIFIED[name]
        names = frozenset(part.lower() for part in split_list(argument or b""))
        if names:
            found[attribute + "_fields"] = found.get(attribute + "_fields", frozenset()) | names
        else:
            found[attribute] = True
    elif name == b"max-stale":
        allowed = ANY_AGE if argument is None else delta_seconds(argument)
        if allowed is not None:
            _least(found, "max_stale", allowed)
    elif name == b"min-fresh":
        found["min_fresh"] = max(found.get("min_fresh", 0), delta_seconds(argument or b"") or 0)


def _least(found: dict[str, Any], attribute: str, number: int) -> None:
    found[attribute] = min(number, found.get(attribute, number))
