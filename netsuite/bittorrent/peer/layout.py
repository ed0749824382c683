"""Where a torrent's pieces lie in its files: pieces run on from one file into the next (BEP 3)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from netsuite.bittorrent.metainfo import Metainfo

__all__ = ["PAD", "Layout", "Span"]

PAD: Final = -1
"""The file of a span that is in no file: zeros that only align what follows (BEP 47)."""


class Span(NamedTuple):
    """A part of a piece that lies in one file (its index, or :data:`PAD`)."""

    file: int
    offset: int
    length: int


class Layout:
    """Finds the files of any part of a torrent."""

    def __init__(self, metainfo: Metainfo) -> None:
        self._piece_length = metainfo.piece_length
        self._length = metainfo.length
        filled = [(file.offset, index) for index, file in enumerate(metainfo.files) if file.length]
        self._starts = [offset for offset, _ in filled]
        self._files = [(PAD if metainfo.files[index].pad else index) for _, index in filled]
        self._entries = {index: entry for entry, (_, index) in enumerate(filled)}
        self._ends = [*self._starts[1:], metainfo.length]
        self._single = self._files[0] if len(filled) == 1 and self._files[0] != PAD else None

    def size(self, piece: int) -> int:
        """A piece's length in bytes; the last one's may be shorter."""
        return min(self._piece_length, self._length - piece * self._piece_length)

    def spans(self, piece: int, begin: int, length: int) -> Sequence[Span]:
        """Where a part of a piece lies, in order."""
        at = piece * self._piece_length + begin
        if self._single is not None:
            return (Span(self._single, at, length),)
        found = []
        entry = bisect_right(self._starts, at) - 1
        while length:
            some = min(length, self._ends[entry] - at)
            found.append(Span(self._files[entry], at - self._starts[entry], some))
            at += some
            length -= some
            entry += 1
        return found

    def pieces(self, file: int) -> range:
        """The pieces that have bytes in a file, or in a pad."""
        entry = self._entries.get(file)
        if entry is None:
            return range(0)
        return range(self._starts[entry] // self._piece_length, (self._ends[entry] - 1) // self._piece_length + 1)
