"""What a torrent is known to have on the disk, kept in a small file that survives a crash at any moment.

The file is one record in the journal's frame (length and CRC-32), and is replaced as a whole: written beside, synced,
renamed, and the folder synced. It names the torrent, the folder that the files are in, and of each file its size and
when it was last written to. Whatever does not fit (torn, foreign, of another folder) counts as no record at all, and
the pieces of a file that is not what it was are hashed again: the record is a shortcut, never the truth.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import attrs

from netsuite.bittorrent.peer.folder import Facts
from netsuite.common.storage.files import FileLayer, Files
from netsuite.common.storage.records import Damaged, frame, scan

__all__ = ["Claim", "ResumeRecord"]

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">B20sIII")
_FACTS: Final = struct.Struct(">qq")
_NONE: Final = (-1, -1)


@attrs.frozen
class Claim:
    """What was durable: a bit a piece, most significant first, and the facts of each file (None: not there)."""

    place: str
    have: bytes
    facts: tuple[Facts | None, ...]


class ResumeRecord:
    """The file of one torrent, in a folder for its owner alone; :meth:`load` and :meth:`save` block."""

    def __init__(self, path: Path, info_hash: bytes, files: FileLayer | None = None) -> None:
        self._path = path
        self._info_hash = info_hash
        self._files: FileLayer = files or Files()

    def load(self) -> Claim | None:
        """What was saved last, or None if that cannot be told."""
        try:
            found = scan(self._files.read(self._path), 1, last=True)
            ((_, payload),) = found.records
            return None if found.torn else self._parse(payload)
        except (OSError, Damaged, ValueError, struct.error):
            return None

    def save(self, claim: Claim) -> None:
        """Replace the record, durably. What it claims must be durable already. Raises OSError."""
        draft = self._path.with_name(self._path.name + ".new")
        files = self._files
        files.make_folder(self._path.parent)
        files.remove(draft)
        file = files.create(draft)
        try:
            chunks = frame(1, self._format(claim), 0)
            if file.append(chunks) < sum(map(len, chunks)):
                raise OSError(f"{draft}: the write was cut short")
            file.sync()
        finally:
            file.close()
        files.rename(draft, self._path)
        files.sync_folder(self._path.parent)

    def _format(self, claim: Claim) -> bytes:
        place = claim.place.encode("utf-8", "surrogateescape")
        head = _HEAD.pack(_VERSION, self._info_hash, len(place), len(claim.have), len(claim.facts))
        facts = b"".join(_FACTS.pack(*(facts or _NONE)) for facts in claim.facts)
        return b"".join((head, place, claim.have, facts))

    def _parse(self, payload: bytes) -> Claim | None:
        version, info_hash, place_size, have_size, count = _HEAD.unpack_from(payload)
        begin = _HEAD.size + place_size + have_size
        if (version, info_hash) != (_VERSION, self._info_hash) or len(payload) != begin + count * _FACTS.size:
            return None
        place = payload[_HEAD.size : _HEAD.size + place_size].decode("utf-8", "surrogateescape")
        facts = tuple(None if pair == _NONE else Facts(*pair) for pair in _FACTS.iter_unpack(payload[begin:]))
        return Claim(place, payload[begin - have_size : begin], facts)
