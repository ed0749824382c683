"""A torrent's pieces in its files: what blocks, to be done in threads. Nothing here is remembered between calls."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.folder import PASSING, Buffer, Facts, FolderLayer, Names
from netsuite.bittorrent.peer.layout import PAD, Layout
from netsuite.bittorrent.peer.resume import Claim

__all__ = ["Disk", "Survey"]

_AT_ONCE: Final = 1 << 20


class Survey(NamedTuple):
    """What is there at a start: pieces that need no check, pieces that do, and what is known of each file."""

    trusted: Bitfield
    doubtful: list[int]
    facts: list[Facts | None]


class Disk:
    """Reads, writes and hashes pieces; raises OSError."""

    def __init__(self, metainfo: Metainfo, folder: FolderLayer) -> None:
        self._folder = folder
        self.layout = Layout(metainfo)
        self._metainfo = metainfo
        self._paths: list[tuple[Names, int]] = [(file.path, file.length) for file in metainfo.files]
        self._real = [index for index, file in enumerate(metainfo.files) if not file.pad]

    @property
    def place(self) -> str:
        """Where the files are."""
        return self._folder.place

    def files_of(self, pieces: Iterable[int]) -> set[int]:
        """The files that pieces have bytes in."""
        layout = self.layout
        return {span.file for piece in pieces for span in layout.spans(piece, 0, layout.size(piece))} - {PAD}

    def survey(self, claim: Claim | None) -> Survey:
        """Look at all files, and at what is claimed: the pieces of files that are not what they were are doubtful."""
        metainfo, layout = self._metainfo, self.layout
        facts: list[Facts | None] = [None] * len(self._paths)
        for index in self._real:
            facts[index] = self._folder.look(self._paths[index][0])
        trusted = Bitfield(metainfo.piece_count)
        before: Sequence[Facts | None] = ()
        if claim is not None and claim.place == self._folder.place and len(claim.facts) == len(facts):
            try:
                trusted = Bitfield.from_bytes(claim.have, metainfo.piece_count)
                before = claim.facts
            except ValueError:
                pass  # of a torrent with other pieces
        doubtful = Bitfield(metainfo.piece_count)
        for index in self._real:
            found = facts[index]
            if before and found == before[index]:
                continue
            for piece in layout.pieces(index):
                trusted.clear(piece)
                if found is not None and found.size:
                    doubtful.set(piece)
        for index, file in enumerate(metainfo.files):
            if file.pad:
                for piece in layout.pieces(index):
                    if not trusted[piece] and not self.files_of((piece,)):
                        doubtful.set(piece)
        return Survey(trusted, list(doubtful), facts)

    def check(self, pieces: Iterable[int], given_up: Callable[[], bool]) -> list[int]:
        """Those of some pieces whose bytes are right; fewer if it is given up. Raises OSError if it cannot tell."""
        right = []
        for piece in pieces:
            if given_up():
                break
            if self._is_right(piece):
                right.append(piece)
        return right

    def read(self, piece: int, begin: int, length: int) -> bytes:
        """A part of a piece. Raises OSError if a file has become shorter, too."""
        found = []
        for file, offset, size in self.layout.spans(piece, begin, length):
            if file == PAD:
                found.append(bytes(size))
                continue
            data = self._folder.read(self._paths[file][0], offset, size)
            if len(data) < size:
                raise OSError(errno.ENODATA, "has become shorter", "/".join(self._paths[file][0]))
            found.append(data)
        return found[0] if len(found) == 1 else b"".join(found)

    def peek(self, piece: int, begin: int, length: int) -> Buffer | None:
        """A part of a piece if it can be had without waiting for the disk."""
        spans = self.layout.spans(piece, begin, length)
        if len(spans) == 1 and spans[0].file != PAD:
            file, offset, size = spans[0]
            return self._folder.peek(self._paths[file][0], offset, size)
        found: list[Buffer] = []
        for file, offset, size in spans:
            data = bytes(size) if file == PAD else self._folder.peek(self._paths[file][0], offset, size)
            if data is None:
                return None
            found.append(data)
        return b"".join(found)

    def is_hash_of(self, piece: int, blocks: Iterable[Buffer]) -> bool:
        """Whether bytes are those of a piece."""
        digest = hashlib.sha1(usedforsecurity=False)
        for block in blocks:
            digest.update(block)
        return digest.digest() == self._metainfo.piece_hash(piece)

    def write(self, piece: int, blocks: Sequence[Buffer]) -> None:
        """Put a whole piece into its files."""
        spans = self.layout.spans(piece, 0, self.layout.size(piece))
        if len(spans) == 1 and spans[0].file != PAD:
            names, size = self._paths[spans[0].file]
            self._folder.write(names, size, spans[0].offset, blocks)
            return
        whole = memoryview(b"".join(blocks))
        at = 0
        for file, offset, length in spans:
            if file != PAD:
                names, size = self._paths[file]
                self._folder.write(names, size, offset, [whole[at : at + length]])
            at += length

    def write_again(self, pieces: Iterable[int]) -> list[int]:
        """Write pieces that are in memory but perhaps not on the disk, after a failed sync; those that are lost.

        After such a failure the system may take bytes for written that are not, so that another sync would say nothing.
        """
        lost = []
        for piece in pieces:
            try:
                data = self.read(piece, 0, self.layout.size(piece))
            except OSError as problem:
                if problem.errno in PASSING:
                    raise
                lost.append(piece)
                continue
            if self.is_hash_of(piece, [data]):
                self.write(piece, [data])
            else:
                lost.append(piece)
        return lost

    def make_empty(self, facts: Sequence[Facts | None]) -> set[int]:
        """Make the files without bytes that are not there; which ones."""
        made = set()
        for index in self._real:
            names, size = self._paths[index]
            if not size and facts[index] is None:
                self._folder.make(names, 0)
                made.add(index)
        return made

    def sync(self, files: Iterable[int]) -> dict[int, Facts]:
        """Make files durable; what is known of each."""
        return {index: self._folder.sync(self._paths[index][0]) for index in sorted(files)}

    def _is_right(self, piece: int) -> bool:
        size = self.layout.size(piece)
        try:
            if self._is_hollow(piece, size):
                return _hash_of_zeros(size) == self._metainfo.piece_hash(piece)
            return self.is_hash_of(
                piece, (self.read(piece, at, min(_AT_ONCE, size - at)) for at in range(0, size, _AT_ONCE))
            )
        except OSError as problem:
            if problem.errno in PASSING:
                raise
            return False

    def _is_hollow(self, piece: int, size: int) -> bool:
        """Whether nothing was ever written where a piece is: most of a download that has just begun."""
        return all(
            file == PAD or self._folder.hollow(self._paths[file][0], offset, length)
            for file, offset, length in self.layout.spans(piece, 0, size)
        )


@lru_cache(maxsize=16)
def _hash_of_zeros(size: int) -> bytes:
    return hashlib.sha1(bytes(size), usedforsecurity=False).digest()
