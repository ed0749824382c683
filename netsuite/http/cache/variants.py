"""Which of several stored responses a request selects: Vary and its secondary keys.

Two requests select the same variant if the fields that Vary names are equal after changes that
mean nothing: lines combined, white space around commas removed, and for the Accept family also
letter case, the order of the list's members, ``q=1`` and zeros at the end of a weight, and ``x-gzip`` for ``gzip``.

Implements: RFC 9111 section 4.1; RFC 9110 sections 8.4.1.3, 12.4.2, 12.5.5
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from netsuite.sansio.fields import is_token, split_list

__all__ = ["NEVER", "secondary_key", "vary_names"]

NEVER: Final = (b"*",)
"""The Vary of a response that no other request ever selects."""

_WEIGHT: Final = re.compile(rb";[qQ]=([01](?:\.[0-9]{0,3})?)\Z")

_UNORDERED: Final = frozenset({b"accept", b"accept-charset", b"accept-encoding", b"accept-language"})


def vary_names(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    """The fields that select a response, sorted, in lower case; NEVER if ``*`` is among them.

    A member that is no field name selects by something unknown, so it counts as ``*``.
    """
    names = {name.lower() for line in lines for name in split_list(line)}
    return NEVER if b"*" in names or not all(map(is_token, names)) else tuple(sorted(names))


def secondary_key(names: Sequence[bytes], fields: Mapping[bytes, Sequence[bytes]]) -> tuple[bytes | None, ...]:
    """What a request holds in the selecting fields; None for one that is absent."""
    return tuple(_normal(name, b",".join(lines)) if (lines := fields.get(name)) else None for name in names)


@lru_cache(maxsize=256)
def _normal(name: bytes, value: bytes) -> bytes:
    members = split_list(value)
    if name in _UNORDERED:
        members = sorted({_plain(name, member) for member in members})
    return b",".join(members)


def _plain(name: bytes, member: bytes) -> bytes:
    """A member of an Accept field in its shortest form."""
    head, semicolon, rest = member.partition(b";")
    rest = b"".join((semicolon + rest).split()) if b'"' not in rest else semicolon + rest
    weight = _WEIGHT.search(rest)
    if weight is not None:
        shorter = weight[1].rstrip(b"0").rstrip(b".") if b"." in weight[1] else weight[1]
        rest = rest[: weight.start()] + (b"" if shorter == b"1" else b";q=" + (shorter or b"0"))
    head = b"".join(head.lower().split())
    return (b"gzip" if head == b"x-gzip" and name == b"accept-encoding" else head) + rest
