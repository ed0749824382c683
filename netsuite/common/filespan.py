"""Bytes of a file that are sent without being read: what a body may give in place of bytes.

A :class:`FileSpan` has a length and can be cut like bytes, so machines that only count and frame what they send pass
it on as it is. Where a connection is in clear the kernel takes it from the file (sendfile); where it is encrypted, or
something must look at it, ``bytes(span)`` reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, Protocol

__all__ = ["File", "FileSpan", "HeldFile", "materialised"]

_MOST_READ: Final = 1 << 30


class File(Protocol):
    """An open file; it stays open for as long as anything refers to it."""

    @property
    def descriptor(self) -> int:
        """What the system calls it."""


class HeldFile:
    """A descriptor that stays open for as long as anything refers to it."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class FileSpan:
    """``file`` from ``start`` to ``stop``, which must be there for as long as this is."""

    __slots__ = ("file", "start", "stop")

    def __init__(self, file: File, start: int, stop: int) -> None:
        self.file = file
        self.start = start
        self.stop = stop

    @property
    def view(self) -> memoryview | None:
        """The bytes where they lie, if they can be read there."""
        return None

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> FileSpan:
        first, stop, _ = part.indices(len(self))
        return FileSpan(self.file, self.start + first, self.start + max(first, stop))

    def __bytes__(self) -> bytes:
        pieces, at = [], self.start
        while at < self.stop:
            piece = os.pread(self.file.descriptor, min(self.stop - at, _MOST_READ), at)
            if not piece:
                raise OSError("the file is shorter than it was")
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)


def materialised(chunks: Iterable[bytes | FileSpan]) -> list[bytes | memoryview]:
    """The same to be read: where they lie, or a copy."""
    return [chunk.view or bytes(chunk) if isinstance(chunk, FileSpan) else chunk for chunk in chunks]
