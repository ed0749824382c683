"""Peers of one kind in one swarm, packed: what a reply wants is a slice of them.

``entries`` holds address and port of each peer as replies carry them (6 bytes, or 18), ``facts`` at the same place its
peer id, the tag of its owner and the generation in which it was last heard of. From a few dozen peers on an index
finds a peer's place; before that the bytes themselves are searched, so that a small swarm costs little more than them.

The order is always a random permutation: who comes is put at a random place, whose holder moves to the end, and who
leaves is replaced by the last. So any run of places is a uniform sample of the peers, and a run that begins at a random
place costs one or two slices, however many peers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["FACTS", "IDENT", "Group"]

IDENT: Final = 24
"""Bytes of facts that tell whose entry it is: peer id (20) and the owner's tag (4)."""
FACTS: Final = IDENT + 1
_INDEXED: Final = 48
"""Peers from which on there is an index."""

Random = Callable[[], float]


class Group:
    """Peers with entries of ``width`` bytes; ``len`` is how many."""

    __slots__ = ("entries", "facts", "index", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.entries = bytearray()
        self.facts = bytearray()
        self.index: dict[bytes, int] | None = None

    @classmethod
    def of(cls, width: int, entries: bytes, facts: bytes, marks: bytes) -> Group:
        """A group as it was kept; ``marks`` (256 bytes) maps its generations to present ones."""
        group = cls(width)
        group.entries += entries
        group.facts += facts
        group.facts[IDENT::FACTS] = group.facts[IDENT::FACTS].translate(marks)
        group._number()
        return group

    def __len__(self) -> int:
        return len(self.entries) // self.width

    def place(self, entry: bytes) -> int:
        """Where a peer is, or -1."""
        if self.index is not None:
            return self.index.get(entry, -1)
        width = self.width
        at = self.entries.find(entry)
        while at > 0 and at % width:
            # bytes of two neighbours look like a third
            at = self.entries.find(entry, at + 1)
        return at // width if at >= 0 else -1

    def add(self, entry: bytes, facts: bytes, random: Random) -> int:
        """Take in a peer that is not there; answers its place."""
        entries, width, index = self.entries, self.width, self.index
        last = len(entries) // width
        place = int(random() * (last + 1))
        if place == last:
            entries += entry
            self.facts += facts
        else:
            at, fact = place * width, place * FACTS
            moved = bytes(entries[at : at + width])
            entries += moved
            self.facts += self.facts[fact : fact + FACTS]
            entries[at : at + width] = entry
            self.facts[fact : fact + FACTS] = facts
            if index is not None:
                index[moved] = last
        if index is not None:
            index[entry] = place
        elif last + 1 >= _INDEXED:
            self._number()
        return place

    def _number(self) -> None:
        """Have an index, if there are enough."""
        entries, width = bytes(self.entries), self.width
        if len(entries) >= _INDEXED * width:
            self.index = {entries[at : at + width]: at // width for at in range(0, len(entries), width)}

    def remove(self, place: int) -> None:
        """Let the peer at a place go; the last takes its place."""
        entries, width, index = self.entries, self.width, self.index
        at, end = place * width, len(entries) - width
        if index is not None:
            del index[bytes(entries[at : at + width])]
        if at != end:
            last = bytes(entries[end:])
            entries[at : at + width] = last
            self.facts[place * FACTS : place * FACTS + FACTS] = self.facts[-FACTS:]
            if index is not None:
                index[last] = place
        del entries[end:]
        del self.facts[-FACTS:]
        if index is not None and len(index) < _INDEXED // 2:
            self.index = None

    def sample(self, count: int, own: int, random: Random) -> bytearray:
        """The entries of ``count`` peers (at most all) chosen uniformly; never that at ``own`` (-1: nobody's)."""
        entries, width = self.entries, self.width
        most = len(entries) // width
        # with nobody to leave out the hole lies behind the end
        hole = len(entries) if own < 0 else own * width
        most -= own >= 0
        if count >= most:
            return entries[:hole] + entries[hole + width :]
        start = int(random() * most)
        end = (start + count) * width
        over = end - most * width
        start *= width
        if over <= 0:
            if end <= hole:
                return entries[start:end]
            if start >= hole:
                return entries[start + width : end + width]
            return entries[start:hole] + entries[hole + width : end + width]
        return self._run(start, most * width, hole) + self._run(0, over, hole)

    def _run(self, start: int, end: int, hole: int) -> bytearray:
        """The bytes from ``start`` to ``end``, counted as if those of the entry at ``hole`` were not there."""
        width = self.width
        if start >= hole:
            return self.entries[start + width : end + width]
        if end <= hole:
            return self.entries[start:end]
        return self.entries[start:hole] + self.entries[hole + width : end + width]

    def stale(self, marks: bytes) -> list[int]:
        """The places of the peers whose generation ``marks`` (256 bytes) maps to 1, the last first."""
        found = []
        seen = self.facts[IDENT::FACTS].translate(marks)
        place = seen.rfind(1)
        while place >= 0:
            found.append(place)
            place = seen.rfind(1, 0, place)
        return found

    def peers(self) -> Iterator[tuple[bytes, bytes]]:
        """Entry and peer id of each."""
        width = self.width
        for place in range(len(self)):
            fact = place * FACTS
            yield bytes(self.entries[place * width : (place + 1) * width]), bytes(self.facts[fact : fact + 20])
