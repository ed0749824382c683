"""The files of a torrent on a disk: read and written at any offset, by several threads at once, never outside a folder.

:class:`Folder` is the real one. Its twin in :mod:`netsuite.testing.folders` keeps everything in memory, fails and
tears where a test says so, and at a crash loses what was not synced.

A path is a tuple of plain names (a :class:`~netsuite.bittorrent.metainfo.File`'s ``path``). Each of them is opened in
the folder before it, without following symbolic links, so that no link inside the folder leads out of it; the folder
itself may be reached through links.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

__all__ = ["Facts", "FolderLayer", "Names"]

Names = tuple[str, ...]


class Facts(NamedTuple):
    """What tells whether a file is still what it was: its size in bytes and when it was last written to."""

    size: int
    written: int


class FolderLayer(Protocol):
    """A folder as the piece store sees it; all calls block, may come from any thread and may raise OSError."""

    @property
    def place(self) -> str:
        """Where it is, for people and for telling one folder from another."""

    def look(self, names: Names) -> Facts | None:
        """What is known of a file; None if there is none."""

    def read(self, names: Names, offset: int, length: int) -> bytes:
        """A part of a file, shorter only at its end. FileNotFoundError if there is none."""

    def peek(self, names: Names, offset: int, length: int) -> bytes | None:
        """A part of a file if it can be had without waiting for a disk, else None."""

    def write(self, names: Names, size: int, offset: int, buffers: Sequence[bytes | bytearray | memoryview]) -> None:
        """Put bytes into a file, which is made (sparse, ``size`` bytes long, with its folders) if it is not there."""

    def make(self, names: Names, size: int) -> None:
        """Make a file (sparse) and its folders; one that is there gets the size if it has another."""

    def sync(self, names: Names) -> Facts:
        """Make a file's bytes and its name durable; what is known of it from before that on."""

    def close(self) -> None:
        """Close what is open."""
