"""A file system in memory that fails where a test says so, and that loses what was not synced when it crashes.

It is the twin of :class:`netsuite.common.storage.files.Files`. Every call that changes something is an *operation*,
counted in ``operations``. ``fail_at`` maps an operation's number to the OSError that it raises (after doing a part of
its work, as disks do). :meth:`FaultyFiles.crashed` is the file system after a power cut at this very moment.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from pathlib import Path

__all__ = ["FaultyFiles"]


class _Node:
    """A file: all its bytes, and how many of them would survive."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced = len(data)


class _Handle:
    """An open file."""

    def __init__(self, files: FaultyFiles, node: _Node) -> None:
        self._files = files
        self._node = node

    def append(self, chunks: Sequence[bytes]) -> int:
        data = b"".join(chunks)
        problem = self._files.step()
        if problem is not None:
            self._node.data += data[: self._files.rng.randrange(len(data) + 1)]
            raise problem
        room = self._files.room(len(data))
        self._node.data += data[:room]
        if not room and data:
            raise OSError(errno.ENOSPC, "No space left on device")
        return room

    def sync(self) -> None:
        problem = self._files.step()
        if problem is not None:
            raise problem
        self._node.synced = len(self._node.data)

    def truncate(self, size: int) -> None:
        problem = self._files.step()
        if problem is not None:
            raise problem
        del self._node.data[size:]
        self._node.synced = min(self._node.synced, size)

    def close(self) -> None:
        """Nothing is kept open."""


class FaultyFiles:
    """See the module's docstring. ``capacity`` is the bytes that all files may have together."""

    def __init__(self, seed: int = 0, capacity: int | None = None) -> None:
        self.rng = random.Random(seed)
        self.capacity = capacity
        self.operations = 0
        self.fail_at: dict[int, OSError] = {}
        self._names: dict[Path, _Node] = {}
        self._durable: dict[Path, _Node] = {}

    def step(self) -> OSError | None:
        """Count an operation; the error that it shall raise, or None."""
        self.operations += 1
        return self.fail_at.get(self.operations)

    def room(self, wanted: int) -> int:
        """How many of so many bytes still fit."""
        if self.capacity is None:
            return wanted
        used = sum(len(node.data) for node in self._names.values())
        return max(0, min(wanted, self.capacity - used))

    def crashed(self) -> FaultyFiles:
        """What is there after a power cut: of unsynced bytes a random prefix, its end possibly garbage; old names."""
        after = FaultyFiles(self.rng.randrange(1 << 30), self.capacity)
        for path, node in self._durable.items():
            tail = bytes(node.data[node.synced :])
            kept = bytearray(tail[: self.rng.randrange(len(tail) + 1)])
            if kept and self.rng.random() < 0.5:
                torn = self.rng.randrange(len(kept))
                kept[torn:] = (
                    bytes(len(kept) - torn) if self.rng.random() < 0.5 else self.rng.randbytes(len(kept) - torn)
                )
            after._names[path] = _Node(bytes(node.data[: node.synced]) + bytes(kept))
        after._durable = dict(after._names)
        return after

    def create(self, path: Path, ahead: int = 0) -> _Handle:
        """A new, empty file."""
        self._act()
        if path in self._names:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        node = self._names[path] = _Node()
        return _Handle(self, node)

    def reopen(self, path: Path, ahead: int = 0) -> _Handle:
        """An existing file."""
        return _Handle(self, self._node(path))

    def read(self, path: Path) -> bytes:
        """A file's bytes."""
        return bytes(self._node(path).data)

    def part(self, path: Path, offset: int, length: int, *, wait: bool = True) -> bytes | None:
        """A piece of a file, always in memory."""
        return bytes(self._node(path).data[offset : offset + length])

    def names(self, folder: Path) -> list[str]:
        """What is in a folder, sorted."""
        return sorted(path.name for path in self._names if path.parent == folder)

    def make_folder(self, folder: Path) -> None:
        """Folders need no making."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name."""
        self._act()
        self._names[new] = self._names.pop(old)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        self._act()
        self._names.pop(path, None)

    def sync_folder(self, folder: Path) -> None:
        """Make a folder's names durable."""
        self._act()
        for path in [path for path in self._durable if path.parent == folder and path not in self._names]:
            del self._durable[path]
        self._durable.update({path: node for path, node in self._names.items() if path.parent == folder})

    def _act(self) -> None:
        problem = self.step()
        if problem is not None:
            raise problem

    def _node(self, path: Path) -> _Node:
        try:
            return self._names[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path)) from None
