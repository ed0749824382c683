"""What was read from the disk lately, shared by all torrents of a peer."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["ReadCache"]

_Key = tuple[object, int]


class ReadCache:
    """At most ``limit`` bytes of extents (parts of pieces); the one that was used least lately goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._extents: OrderedDict[_Key, memoryview] = OrderedDict()
        self.size = 0

    def get(self, key: _Key) -> memoryview | None:
        """An extent, if it is here."""
        found = self._extents.get(key)
        if found is not None:
            self._extents.move_to_end(key)
        return found

    def put(self, key: _Key, extent: memoryview) -> None:
        """Keep an extent, unless it alone is more than all may be."""
        self.drop(key)
        if len(extent) > self._limit:
            return
        self._extents[key] = extent
        self.size += len(extent)
        while self.size > self._limit:
            _, oldest = self._extents.popitem(last=False)
            self.size -= len(oldest)

    def drop(self, key: _Key) -> None:
        """Forget an extent."""
        found = self._extents.pop(key, None)
        if found is not None:
            self.size -= len(found)

    def forget(self, owner: object) -> None:
        """Forget all extents of one store."""
        for key in [key for key in self._extents if key[0] is owner]:
            self.drop(key)
