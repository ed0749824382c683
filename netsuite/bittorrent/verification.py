"""Whether a folder holds what a torrent says, piece by piece, and what is wrong with which file.

Implements: BEP 3 (piece hashes), BEP 47 (pad files).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import attrs

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.content import Advanced, digests
from netsuite.bittorrent.files import File
from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.folder import FolderLayer

__all__ = ["Fault", "Verification", "verify"]


@attrs.frozen
class Fault:
    """What is wrong with a file: ``reason`` in words, and the pieces that are not right and have bytes of it."""

    file: File
    reason: str
    pieces: tuple[int, ...]


@attrs.frozen
class Verification:
    """What a folder holds of a torrent."""

    have: Bitfield
    faults: tuple[Fault, ...]

    @property
    def complete(self) -> bool:
        """All pieces are right, and all files are there and no longer than they should be."""
        return self.have.full and not self.faults


def verify(
    metainfo: Metainfo, folder: FolderLayer, *, workers: int | None = None, advanced: Advanced | None = None
) -> Verification:
    """Look at all files and hash all pieces; what cannot be read is a fault, never an error.

    ``folder`` is the one that holds the torrent's own folder, or its only file. Links (BEP 47) are not looked at: a
    peer does not make them. ``advanced`` is told of the bytes dealt with, in the caller's thread.
    """
    have = Bitfield(metainfo.piece_count)
    files = metainfo.files
    found = digests(folder, files, metainfo.piece_length, workers=workers, advanced=advanced)
    for piece, digest in enumerate(found):
        if digest == metainfo.piece_hash(piece):
            have.set(piece)
    wrong = list(Bitfield.complete(have.length).missing_from(have))
    faults = []
    for file in files:
        if file.pad or file.link is not None:
            continue
        pieces = _of(file, wrong, metainfo.piece_length)
        reason = _state(folder, file)
        if reason or pieces:
            faults.append(Fault(file, reason or "has other bytes, or shares pieces with a file that has", pieces))
    return Verification(have, tuple(faults))


def _of(file: File, wrong: Sequence[int], piece_length: int) -> tuple[int, ...]:
    """Those of the pieces that have bytes of a file."""
    if not file.length:
        return ()
    first, last = file.offset // piece_length, (file.offset + file.length - 1) // piece_length
    begin, end = bisect_right(wrong, first - 1), bisect_right(wrong, last)
    return tuple(wrong[begin:end])


def _state(folder: FolderLayer, file: File) -> str:
    """What is wrong with a file before its bytes are looked at, if anything."""
    try:
        facts = folder.look(file.path)
    except OSError as problem:
        return problem.strerror or "cannot be read"
    if facts is None:
        return "is missing"
    if facts.size != file.length:
        return f"has {facts.size} bytes instead of {file.length}"
    return ""
