"""A stored variant that a request prefers to all others, though no request like it came before.

RFC 9111 section 4.1 lets a cache take two values of a selecting field for equal that mean the same. What an Accept
field means to a resource is which representation it selects; so a stored representation answers a request that likes
exactly its language, coding or type better than everything else it names: no other answer of the origin could please
more. This is done for one value that is named in full and outweighs all others; a tie, a wildcard, or a range that only
contains the stored value, are the origin's to settle.

Implements: RFC 9111 section 4.1; RFC 9110 sections 12.4.2, 12.5.1, 12.5.3, 12.5.4
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from netsuite.http.cache.stored import Request, StoredResponse
from netsuite.http.cache.variants import secondary_key
from netsuite.sansio.fields import split_list

__all__ = ["favourite", "preferred"]

_CONTENT: Final = {
    b"accept": b"content-type",
    b"accept-encoding": b"content-encoding",
    b"accept-language": b"content-language",
}
_MEMBER: Final = re.compile(rb"([^;,\s\"]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")


@lru_cache(maxsize=512)
def favourite(value: bytes) -> bytes | None:
    """What an Accept field likes best, in lower case; None if several weigh the same, or it is no plain value."""
    best: bytes | None = None
    weight = 0.0
    for member in split_list(value):
        found = _MEMBER.fullmatch(member)
        own = float(found[2] or 1) if found is not None else 1.0
        plain = found[1].lower() if found is not None else None
        if own > weight:
            best, weight = plain, own
        elif own == weight and plain != best:
            best = None
    return None if best is None or b"*" in best else best


def preferred(stored: Sequence[StoredResponse], request: Request) -> StoredResponse | None:
    """The most recent of the stored variants that suit a request better than anything else could."""
    best: StoredResponse | None = None
    for candidate in stored:
        if candidate.vary and candidate.status == 200 and _suits(candidate, request):
            best = candidate if best is None or candidate.date >= best.date else best
    return best


def _suits(candidate: StoredResponse, request: Request) -> bool:
    fields = request.fields
    for name, own, asked in zip(
        candidate.vary, candidate.selection, secondary_key(candidate.vary, fields), strict=True
    ):
        if own == asked:
            continue
        described = _CONTENT.get(name)
        if described is None or asked is None:
            return False
        wanted = favourite(b",".join(fields[name]))
        if wanted is None or wanted != _described(candidate, described):
            return False
    return True


def _described(candidate: StoredResponse, name: bytes) -> bytes | None:
    """The language, coding or type of a stored response, in lower case."""
    values = [value for field, value in candidate.fields if field == name]
    if not values:
        return b"identity" if name == b"content-encoding" else None
    value = values[0].partition(b";")[0].strip(b" \t").lower()
    return value if len(values) == 1 and b"," not in value else None
