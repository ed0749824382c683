"""Names that origins give to groups of their responses, and an index from these names to what is stored.

Surrogate-Key (words), Cache-Tag (a list) and Cache-Groups (a Structured Field of strings) say the same thing in three
ways, so they share one index. A name belongs to one origin: nobody can reach another's responses by it. What has no
name costs nothing here; what has more than ``TAGS_AT_MOST`` is indexed once, as having them all, so that no purge
misses it.

Implements: RFC 9875 section 2
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Generic, Protocol, TypeVar

from netsuite.http.cache.groups import groups_of

__all__ = ["EVERY_TAG", "NAMING", "TAGS_AT_MOST", "TagIndex", "Tagged", "origin_of", "tags_of"]

TAGS_AT_MOST: Final = 256
LONGEST_TAG: Final = 1024

EVERY_TAG: Final = b""
"""Stands for all the names that there could be."""

LINK_COST: Final = 320
"""Bytes that one name of one response costs here, beside the name's own length."""

NAMING: Final = frozenset((b"surrogate-key", b"cache-tag", b"cache-groups"))
"""The fields that name groups."""


def origin_of(key: bytes) -> bytes:
    """The origin (scheme and authority) of a target's key."""
    return key[: key.find(b"/", key.find(b"://") + 3)]


def tags_of(lines: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    """The names in a message's fields, each once; ``(EVERY_TAG,)`` if they are too many or too long.

    A Cache-Groups that is no list of strings counts as absent, as do its members beyond the first 128.
    """
    found: dict[bytes, None] = {}
    groups: list[bytes] = []
    for name, value in lines:
        if name not in NAMING:
            continue
        if name == b"cache-groups":
            groups.append(value)
        else:
            words = value.split() if name == b"surrogate-key" else [word.strip() for word in value.split(b",")]
            found.update((word, None) for word in words if word)
    # an empty string names nothing, and stands for something else here
    found.update((group, None) for group in groups_of(groups) if group)
    if len(found) > TAGS_AT_MOST or any(len(tag) > LONGEST_TAG for tag in found):
        return (EVERY_TAG,)
    return tuple(found)


class Tagged(Protocol):
    """What can be indexed."""

    key: bytes
    tags: tuple[bytes, ...]


T = TypeVar("T", bound=Tagged)


class TagIndex(Generic[T]):
    """Responses by origin and name."""

    def __init__(self) -> None:
        self._members: dict[tuple[bytes, bytes], set[T]] = {}
        self._origins: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._members)

    @staticmethod
    def cost(tags: Collection[bytes]) -> int:
        """What the index needs for a response with these names, in bytes: to be counted against its budget."""
        return sum(LINK_COST + len(tag) for tag in tags)

    def add(self, stored: T) -> None:
        """Index a response."""
        origin = origin_of(stored.key)
        for tag in stored.tags:
            members = self._members.get((origin, tag))
            if members is None:
                members = self._members[(origin, tag)] = set()
                self._origins[origin] = self._origins.get(origin, 0) + 1
            members.add(stored)

    def discard(self, stored: T) -> None:
        """Forget a response."""
        origin = origin_of(stored.key)
        for tag in stored.tags:
            members = self._members.get((origin, tag))
            if members is None:
                continue
            members.discard(stored)
            if not members:
                del self._members[(origin, tag)]
                left = self._origins[origin] - 1
                if left:
                    self._origins[origin] = left
                else:
                    del self._origins[origin]

    def members(self, origin: bytes | None, tags: Collection[bytes]) -> set[T]:
        """What an origin (or any, if None) gave one of these names."""
        found: set[T] = set()
        if tags:
            for each in (origin,) if origin is not None else tuple(self._origins):
                for tag in (*tags, EVERY_TAG):
                    found.update(self._members.get((each, tag), ()))
        return found
