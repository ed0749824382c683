"""What was purged, and when: so that a fetch that began before a purge never brings back what the purge took away.

Every purge has a number, one more than the last. A fetch takes the number that stands when it begins, and what it
brings is refused if a later purge covers it. What is remembered for this is bounded; where something had to be
forgotten, fetches that are older than it count as covered: their responses are given to who asked, and not stored.

Implements: RFC 9111 section 4.4; RFC 9875 section 2.2
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from netsuite.http.cache.tags import EVERY_TAG, origin_of

__all__ = ["Purge", "PurgeLog"]

W = TypeVar("W", int, bytes)

_TARGETS: Final = 65536
_TAGS: Final = 65536
_PREFIXES: Final = 256

_ANY_ORIGIN: Final = b""


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")


class Purge(NamedTuple):
    """One purge: of a target, of all targets with a prefix (all there are, if it is empty), or of tags of an origin.

    An ``origin`` of None stands for all. ``soft_at`` is the moment from which what it covers is stale; None if it is to
    be forgotten.
    """

    key: bytes | None = None
    prefix: bytes | None = None
    tags: frozenset[bytes] = frozenset()
    origin: bytes | None = None
    soft_at: float | None = None

    def dump(self) -> bytes:
        """As bytes, for a journal."""
        tags = sorted(tag.decode("latin-1") for tag in self.tags)
        return json.dumps([_text(self.key), _text(self.prefix), tags, _text(self.origin), self.soft_at]).encode()

    @classmethod
    @lru_cache(maxsize=1024)
    def load(cls, text: bytes) -> Purge:
        """What was dumped."""
        key, prefix, tags, origin, soft_at = json.loads(text)
        named = frozenset(tag.encode("latin-1") for tag in tags)
        return cls(_bytes(key), _bytes(prefix), named, _bytes(origin), soft_at)

    def covers(self, key: bytes, tags: Collection[bytes] | None) -> bool:
        """Whether a response is meant; ``tags`` is None where nobody knows yet what it will have."""
        if self.key is not None:
            return key == self.key
        if self.prefix is not None:
            return key.startswith(self.prefix)
        if self.origin is not None and origin_of(key) != self.origin:
            return False
        return tags is None or EVERY_TAG in tags or not self.tags.isdisjoint(tags)


class PurgeLog:
    """The purges that fetches under way may have missed; ``number`` is that of the last one."""

    def __init__(self) -> None:
        self.number = 0
        # a dict that loses its first entry over and over is slow
        self._targets: OrderedDict[int, int] = OrderedDict()
        self._tags: OrderedDict[int, int] = OrderedDict()
        self._prefixes: OrderedDict[bytes, int] = OrderedDict()
        self._forgotten = 0

    def note(self, purge: Purge) -> int:
        """Remember a purge; its number."""
        self.number += 1
        if purge.key is not None:
            # hashes are kept, not keys: one that meets another's only keeps a response out of the store
            self._remember(self._targets, hash(purge.key), _TARGETS)
        elif purge.prefix == b"":
            self._forgotten = self.number
            self._targets.clear()
            self._tags.clear()
            self._prefixes.clear()
        elif purge.prefix is not None:
            self._remember(self._prefixes, purge.prefix, _PREFIXES)
        else:
            origin = _ANY_ORIGIN if purge.origin is None else purge.origin
            for tag in (*purge.tags, EVERY_TAG):
                self._remember(self._tags, hash((origin, tag)), _TAGS)
        return self.number

    def covered(self, key: bytes, tags: Collection[bytes], since: int) -> bool:
        """Whether a purge after the one with number ``since`` covers a response."""
        if since == self.number:
            return False
        if since < self._forgotten or self._targets.get(hash(key), 0) > since:
            return True
        if self._tags and tags:
            origin = origin_of(key)
            for tag in tags:
                known = self._tags.get(hash((origin, tag)), 0), self._tags.get(hash((_ANY_ORIGIN, tag)), 0)
                if max(known) > since:
                    return True
        return any(number > since and key.startswith(prefix) for prefix, number in self._prefixes.items())

    def _remember(self, known: OrderedDict[W, int], what: W, limit: int) -> None:
        known.pop(what, None)
        if len(known) >= limit:
            self._forgotten = max(self._forgotten, known.popitem(last=False)[1])
        known[what] = self.number
