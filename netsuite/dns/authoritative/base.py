"""What versions of a zone share: its nodes, and orders of their names, which change only where nobody can see it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from netsuite.dns.authoritative.node import GONE, Packed, types
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import canonical

if TYPE_CHECKING:
    from netsuite.dns.authoritative.zone import Zone

__all__ = ["Base", "is_hash"]

_MARKED: Final = 8
_PLACES: Final = 128
_KEYS: Final = 4096
_STRETCH: Final = 131072
"""How much is done at a time: names found in the order, keys made, names copied."""


class Base:
    """What versions of a zone share: packed nodes by name, and how many names lie directly below each name.

    Once a zone has it, only :meth:`Zone.settle` changes it, and nothing that a version shows. ``order`` (names in
    canonical order) is made when it is first needed. ``versions`` are those that are still read, ``readers`` has an
    entry for each iteration under way, and ``redundant`` says that versions carry what the base has too.
    """

    __slots__ = (
        "_arranging",
        "_hashes",
        "_marks",
        "_moved",
        "_order",
        "children",
        "lock",
        "nodes",
        "readers",
        "redundant",
        "versions",
    )

    def __init__(self, nodes: dict[bytes, Packed], children: dict[bytes, int]) -> None:
        self.nodes = nodes
        self.children = children
        self.versions: WeakSet[Zone] = WeakSet()
        self.readers: list[None] = []
        self.redundant = False
        self.lock = Lock()
        # Names that came or went since the order was made, and the work of putting that right.
        self._moved: set[bytes] = set()
        self._arranging: Iterator[None] | None = None
        self._order: list[bytes] | None = None
        self._marks: list[bytes] | None = None
        self._hashes: list[bytes] | None = None

    def place(self, key: bytes) -> int:
        """Where a name stands, or would stand, in :attr:`order`; ``key`` is what it sorts by."""
        order = self.order
        if self._marks is None:
            # Keys cost more to make than to compare: some are kept.
            self._marks = [canonical(name) for name in order[::_MARKED]]
        end = bisect_right(self._marks, key) * _MARKED
        return bisect_left(order, key, max(0, end - _MARKED), min(end, len(order)), key=canonical)

    def hashes(self, apex: bytes) -> list[bytes]:
        """The names with NSEC3 records, in the order of their hashes."""
        if self._hashes is None:
            self._hashes = sorted(name for name, packed in self.nodes.items() if is_hash(name, packed, apex))
        return self._hashes

    def move(self, name: bytes, packed: Packed) -> None:
        """Have a node as all versions that are read have it."""
        nodes = self.nodes
        if (packed is GONE) == (name in nodes) and (self._order is not None or self._hashes is not None):
            self._moved.add(name)
        if packed is GONE:
            nodes.pop(name, None)
        else:
            nodes[name] = packed

    @property
    def is_arranged(self) -> bool:
        """Whether the orders have no names that are there no more; those that came are in overlays until they do."""
        return not self._moved and self._arranging is None

    def arrange(self, apex: bytes) -> bool:
        """Do a part of bringing the order up to date; whether that is done."""
        if self._arranging is None:
            self._arranging = self._arrange(apex)
        if next(self._arranging, self) is self:
            self._arranging = None
        return self._arranging is None

    def _arrange(self, apex: bytes) -> Iterator[None]:
        names, self._moved = self._moved, set()
        if self._order is not None and names:
            order = self._order
            fresh: list[bytes] = []
            yield from self._merged(order, sorted(names, key=canonical), lambda n: self.place(canonical(n)), fresh)
            marks: list[bytes] = []
            for start in range(0, len(fresh), _KEYS * _MARKED):
                marks += [canonical(name) for name in fresh[start : start + _KEYS * _MARKED : _MARKED]]
                yield
            self._order, self._marks = fresh, marks
        if self._hashes is not None and names:
            hashes = self._hashes
            changed = sorted(n for n in names if len(n) == len(apex) + 33 and n[0] == 32)
            fresh = []
            yield from self._merged(hashes, changed, lambda name: bisect_left(hashes, name), fresh)
            self._hashes = fresh

    def _merged(
        self, old: list[bytes], changed: list[bytes], place: Callable[[bytes], int], fresh: list[bytes]
    ) -> Iterator[None]:
        """Put together what stays of an order and what has come."""
        taken = 0
        for number, name in enumerate([*changed, None], 1):
            at = len(old) if name is None else place(name)
            while taken < at:
                end = min(at, taken + _STRETCH)
                fresh += old[taken:end]
                if end - taken == _STRETCH:
                    yield
                taken = end
            if name is not None and taken < len(old) and old[taken] == name:
                taken += 1
            if name is not None and name in self.nodes:
                fresh.append(name)
            if number % _PLACES == 0:
                yield

    @property
    def order(self) -> list[bytes]:
        """The names in canonical order; sorting a million takes seconds, once."""
        if self._order is None:
            self._order = sorted(self.nodes, key=canonical)
        return self._order


def is_hash(name: bytes, packed: Packed, apex: bytes) -> bool:
    """Whether a name stands for another one in a chain of NSEC3: 32 characters right below the zone's own name."""
    return name[0] == 32 and len(name) == len(apex) + 33 and packed is not GONE and codes.NSEC3 in types(packed)
