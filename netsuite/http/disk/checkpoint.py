"""The state of the disk tier at one moment, in one file that is replaced at once; what came later is replayed.

Without a checkpoint that is whole the tier begins empty, since nobody could tell what was purged: so whatever must not
come back is gone for good as soon as the checkpoint is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from netsuite.http.disk.index import Index
from netsuite.http.disk.marks import Mark

__all__ = ["Checkpoint", "SegmentNote"]

_MAGIC: Final = b"nsC1"
_FRAME: Final = Struct("<4sII")


class SegmentNote(NamedTuple):
    """What a checkpoint says of a segment, in the order of eviction."""

    number: int
    size: int
    end: int
    oldest: int
    name: str


class Checkpoint(NamedTuple):
    """Everything up to a sequence number; ``open`` is the segment that was written to (0 for none), with its rows.

    ``secret`` goes into all names.
    """

    sequence: int
    segments: Sequence[SegmentNote]
    standing: Sequence[Mark]
    open: int
    rows: bytes
    secret: bytes
    dump: tuple[bytes, bytes]

    def encoded(self) -> bytes:
        """The file's bytes."""
        lengths, rows = self.dump
        facts = {
            "sequence": self.sequence,
            "segments": self.segments,
            "standing": [[mark.sequence, mark.kind, mark.payload.hex()] for mark in self.standing],
            "open": self.open,
            "secret": self.secret.hex(),
            "sizes": [len(self.rows), len(lengths), len(rows)],
        }
        text = json.dumps(facts).encode()
        body = b"".join((text, self.rows, lengths, rows))
        return _FRAME.pack(_MAGIC, crc32(body, len(text)), len(text)) + body

    @classmethod
    def decoded(cls, data: bytes) -> Checkpoint | None:
        """The checkpoint that a file's bytes are; None if they are not whole."""
        if len(data) < _FRAME.size:
            return None
        magic, check, length = _FRAME.unpack_from(data)
        body = memoryview(data)[_FRAME.size :]
        if magic != _MAGIC or crc32(body, length) != check:
            return None
        facts = json.loads(bytes(body[:length]))
        first, second, third = facts["sizes"]
        at = length
        return cls(
            facts["sequence"],
            [SegmentNote(*note) for note in facts["segments"]],
            [Mark(sequence, kind, bytes.fromhex(payload)) for sequence, kind, payload in facts["standing"]],
            facts["open"],
            bytes(body[at : at + first]),
            bytes.fromhex(facts["secret"]),
            (bytes(body[at + first : at + first + second]), bytes(body[at + first + second :][:third])),
        )

    def loaded(self) -> Index:
        """The index."""
        return Index.load(*self.dump)
