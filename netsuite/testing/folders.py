"""A torrent's folder in memory, which fails where a test says so, and at a crash loses what was not synced.

It is the twin of :class:`netsuite.bittorrent.peer.folder.Folder`, and counts operations and fails at them as
:class:`~netsuite.testing.faults.FaultyFiles` does. A disk without its power keeps any of the writes since the last
sync, or parts of them. A sync that fails is as bad as on Linux: another one says nothing about the writes before it.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Sequence
from threading import Lock

from netsuite.bittorrent.peer.folder import Buffer, Facts, Names

__all__ = ["MemoryFolder"]

_BLOCK = 4096


class _Undo:
    """A write that a crash may undo: where it was, what was there before, and whether no later sync covers it."""

    __slots__ = ("before", "given_up", "offset")

    def __init__(self, offset: int, before: bytes) -> None:
        self.offset = offset
        self.before = before
        self.given_up = False


class _Node:
    """A file."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.written = 0
        self.named = False
        self.synced_facts = Facts(0, 0)
        self.undo: list[_Undo] = []
        self.blocks: set[int] = set()

    def put(self, offset: int, data: bytes) -> None:
        before = bytearray(self.data[offset : offset + len(data)])
        kept = []
        for undo in self.undo:
            at = undo.offset - offset
            if at >= 0 and at + len(undo.before) <= len(data):
                before[at : at + len(undo.before)] = undo.before  # what the disk still has there
            else:
                kept.append(undo)
        self.undo = [*kept, _Undo(offset, bytes(before))]
        self.data[offset : offset + len(data)] = data

    def resize(self, size: int) -> None:
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))


class MemoryFolder:
    """See the module's docstring. ``capacity`` is how many bytes may be written to all files together.

    ``peeks`` says whether all reads are as if from memory; ``unreadable`` is what every read raises, if anything.
    ``stepped`` is called before each operation, with the lock held: let it only look.
    """

    def __init__(
        self, place: str = "/memory", *, seed: int = 0, capacity: int | None = None, peeks: bool = True
    ) -> None:
        self.rng = random.Random(seed)
        self.capacity = capacity
        self.peeks = peeks
        self.unreadable: OSError | None = None
        self.operations = 0
        self.fail_at: dict[int, OSError] = {}
        self.stepped: Callable[[], None] = _nothing
        self._place = place
        self._files: dict[Names, _Node] = {}
        self._lock = Lock()
        self._time = 0

    @property
    def place(self) -> str:
        """What it was called."""
        return self._place

    def names(self) -> list[Names]:
        """All files, sorted."""
        return sorted(self._files)

    def put(self, names: Names, data: bytes) -> None:
        """Another program writes a whole file, durably."""
        self._time += 1
        node = self._files[names] = _Node()
        node.data[:] = data
        node.written = self._time
        node.named = True
        node.blocks = set(range(-(-len(data) // _BLOCK)))
        node.synced_facts = Facts(len(data), node.written)

    def remove(self, names: Names) -> None:
        """Another program removes a file, durably."""
        del self._files[names]

    def crashed(self) -> MemoryFolder:
        """What is there after a power cut at this moment."""
        rng = self.rng
        after = MemoryFolder(self._place, seed=rng.randrange(1 << 30), capacity=self.capacity, peeks=self.peeks)
        after._time = self._time
        for names, node in self._files.items():
            if not node.named and rng.random() < 0.5:
                continue
            kept = _Node()
            kept.data[:] = node.data
            for undo in reversed(node.undo):
                low, high = sorted((rng.randrange(len(undo.before) + 1), rng.randrange(len(undo.before) + 1)))
                if rng.random() < 0.5:
                    low, high = 0, len(undo.before)
                elif rng.random() < 0.5:
                    low = high
                kept.data[undo.offset + low : undo.offset + high] = undo.before[low:high]
            facts = node.synced_facts if rng.random() < 0.5 else Facts(len(node.data), node.written)
            kept.resize(facts.size)
            kept.written = facts.written
            kept.synced_facts = facts
            kept.named = True
            kept.blocks = set(node.blocks)
            after._files[names] = kept
        return after

    def look(self, names: Names) -> Facts | None:
        """What is known of a file."""
        with self._lock:
            node = self._files.get(names)
            return None if node is None else Facts(len(node.data), node.written)

    def read(self, names: Names, offset: int, length: int) -> bytes:
        """A part of a file."""
        with self._lock:
            if self.unreadable is not None:
                raise self.unreadable
            return bytes(memoryview(self._node(names).data)[offset : offset + length])

    def peek(self, names: Names, offset: int, length: int) -> Buffer | None:
        """A part of a file."""
        with self._lock:
            if not self.peeks or names not in self._files:
                return None
            data = bytes(memoryview(self._files[names].data)[offset : offset + length])
            return data if len(data) == length else None

    def hollow(self, names: Names, offset: int, length: int) -> bool:
        """Whether nothing was ever written to a part of a file."""
        with self._lock:
            node = self._node(names)
            blocks = range(offset // _BLOCK, -(-(offset + length) // _BLOCK))
            return len(node.data) >= offset + length and node.blocks.isdisjoint(blocks)

    def write(self, names: Names, size: int, offset: int, buffers: Sequence[Buffer]) -> None:
        """Put bytes into a file."""
        with self._lock:
            node = self._make(names, size)
            data = b"".join(buffers)
            problem = self._step()
            if problem is not None:
                data = data[: self.rng.randrange(len(data) + 1)]
            elif self.capacity is not None:
                fresh = set(range(offset // _BLOCK, -(-(offset + len(data)) // _BLOCK))) - node.blocks
                room = self.capacity // _BLOCK - sum(len(one.blocks) for one in self._files.values())
                if len(fresh) > room:
                    problem = OSError(errno.ENOSPC, "No space left on device")
                    data = data[: self.rng.randrange(len(data))]
            node.blocks.update(range(offset // _BLOCK, -(-(offset + len(data)) // _BLOCK)))
            node.put(offset, data)
            self._time += 1
            node.written = self._time
            if problem is not None:
                raise problem

    def make(self, names: Names, size: int) -> None:
        """Make a file."""
        with self._lock:
            self._make(names, size)

    def sync(self, names: Names) -> Facts:
        """Make a file durable."""
        with self._lock:
            node = self._node(names)
            problem = self._step()
            if problem is not None:
                for undo in node.undo:
                    undo.given_up = True
                raise problem
            node.undo = [undo for undo in node.undo if undo.given_up]
            node.named = True
            node.synced_facts = Facts(len(node.data), node.written)
            return node.synced_facts

    def close(self) -> None:
        """Nothing is kept open."""

    def _make(self, names: Names, size: int) -> _Node:
        node = self._files.get(names)
        if node is None or len(node.data) != size:
            problem = self._step()
            if problem is not None:
                raise problem
            self._time += 1
            node = self._files.setdefault(names, _Node())
            node.resize(size)
            node.written = self._time
        return node

    def _step(self) -> OSError | None:
        self.operations += 1
        self.stepped()
        return self.fail_at.get(self.operations)

    def _node(self, names: Names) -> _Node:
        try:
            return self._files[names]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/".join(names)) from None


def _nothing() -> None:
    """Nobody looks."""
