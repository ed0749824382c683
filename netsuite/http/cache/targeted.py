"""Cache control for one sort of caches: CDN-Cache-Control and its like, which take the place of Cache-Control.

The field is a Structured Field, read strictly: one mistake, and the whole of it is ignored. A directive whose value is
of another type than its meaning has is not coerced: a restriction counts without its value, a number of seconds as 0.

Implements: RFC 9213 sections 2.1, 2.2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from netsuite.http.cache.cachecontrol import DELTA_LIMIT, CacheControl
from netsuite.sansio.fields import split_list
from netsuite.sansio.structured import InnerList, Member, parse_dictionary

__all__ = ["parse_targeted", "targeted_control"]

_SECONDS: Final = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_RESTRICTIONS: Final = frozenset({"no-store", "must-revalidate", "proxy-revalidate"})
_PERMISSIONS: Final = frozenset({"public", "must-understand"})
_QUALIFIED: Final = frozenset({"no-cache", "private"})


def targeted_control(
    fields: Mapping[bytes, Sequence[bytes]], targets: Sequence[bytes]
) -> tuple[bytes, CacheControl] | None:
    """The first field of the target list that is there, valid and not empty, and its directives."""
    for name in targets:
        lines = fields.get(name)
        if lines is not None:
            control = parse_targeted(b", ".join(lines))
            if control is not None:
                return name, control
    return None


@lru_cache(maxsize=256)
def parse_targeted(value: bytes) -> CacheControl | None:
    """The directives of a targeted field; None if it is malformed or empty."""
    members = parse_dictionary(value)
    if not members:
        return None
    found: dict[str, Any] = {}
    for name, member in members.items():
        _take(found, name, member)
    return CacheControl(**found)


def _take(found: dict[str, Any], name: str, member: Member) -> None:
    value = None if isinstance(member, InnerList) else member.value
    attribute = name.replace("-", "_")
    if name in _SECONDS:
        fits = type(value) is int and value >= 0
        found[attribute] = min(value, DELTA_LIMIT) if fits else 0  # type: ignore[type-var]
    elif value is False:
        return
    elif name in _RESTRICTIONS:
        found[attribute] = True
    elif name in _PERMISSIONS:
        if value is True:
            found[attribute] = True
    elif name in _QUALIFIED:
        names = split_list(value.encode("ascii")) if isinstance(value, str) and value.isascii() else []
        if names:
            found[attribute + "_fields"] = frozenset(each.lower() for each in names)
        else:
            found[attribute] = True
