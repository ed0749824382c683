"""Proactive negotiation: which of what is there a client wants, by its quality values.

Implements: RFC 9110 sections 12.4.2, 12.4.3, 12.5.1, 12.5.3
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from netsuite.sansio.fields import parameters, split_list

__all__ = ["IDENTITY", "choose_coding", "qualities", "quality_of_type"]

IDENTITY: Final = b"identity"
_WEIGHT: Final = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def qualities(value: bytes) -> dict[bytes, int]:
    """The members of an Accept-like field, in lower case and without parameters, with their weights in thousandths.

    A member whose weight is malformed is left out. Of two equal members the more wanted one counts.
    """
    found: dict[bytes, int] = {}
    for member in split_list(value):
        name, more = parameters(member)
        weight = 1000
        for key, text in more:
            if key == b"q":
                weight = round(float(text) * 1000) if _WEIGHT.fullmatch(text) else -1
        if name and weight >= 0:
            name = name.lower()
            found[name] = max(weight, found.get(name, 0))
    return found


def choose_coding(accept: bytes | None, available: Sequence[tuple[bytes, int]]) -> bytes | None:
    """The content coding to send, of those ``available`` with their sizes; identity is always available.

    The most wanted one, the smallest among equals, and a coding before identity unless the client weighs identity
    higher. None if the client refuses all, identity by name or by ``*`` included (406). A field that is absent asks
    for nothing.
    """
    if accept is None:
        return IDENTITY
    wanted = qualities(accept)
    others = wanted.get(b"*")
    best, best_weight, best_size = None, 0, 0
    for name, size in available:
        weight = wanted.get(name, wanted.get(b"x-gzip", others) if name == b"gzip" else others) or 0
        if weight > best_weight or (weight and weight == best_weight and size < best_size):
            best, best_weight, best_size = name, weight, size
    plain = wanted.get(IDENTITY, others)
    if best is not None and best_weight >= (wanted.get(IDENTITY) or 0):
        return best
    if plain == 0:
        return best
    return IDENTITY


def quality_of_type(accept: bytes | None, kind: bytes) -> int:
    """How much a media type (without parameters) is wanted, in thousandths; the most specific range counts."""
    if accept is None:
        return 1000
    wanted = qualities(accept)
    for name in (kind, kind.partition(b"/")[0] + b"/*", b"*/*"):
        if name in wanted:
            return wanted[name]
    return 0
