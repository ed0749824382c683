"""Who is new: a sketch of the names that were stored lately, in two megabytes.

While the disk has room everything is kept, since nothing has to go for it. Once it is full, what is stored for the
first time is only noted here, and written when it is stored again: most of what is fetched is never asked for twice,
and would push out what is. A name may be taken for another that was seen; then it is written a little early.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Doorkeeper"]

_BITS: Final = 23
_GENERATION: Final = 1 << 20


class Doorkeeper:
    """Two bit maps, of which the older is forgotten whenever the newer has taken a million names."""

    __slots__ = ("_count", "_new", "_old")

    def __init__(self) -> None:
        self._count = 0
        self._new = bytearray(1 << _BITS - 3)
        self._old = bytearray(1 << _BITS - 3)

    def knows(self, name: bytes) -> bool:
        """Whether a name was seen lately; it is from now on."""
        bit = int.from_bytes(name, "little") >> 64 - _BITS
        at, mask = bit >> 3, 1 << (bit & 7)
        known = (self._new[at] | self._old[at]) & mask
        if not self._new[at] & mask:
            self._new[at] |= mask
            self._count += 1
            if self._count >= _GENERATION:
                self._old, self._new, self._count = self._new, bytearray(1 << _BITS - 3), 0
        return bool(known)
