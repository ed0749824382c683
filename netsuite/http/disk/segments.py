"""The files of the disk tier: fixed-size segments that are only appended to, and files of one large body each.

A *shared* segment holds records one after the other; when it is full a footer lists what is in it. An *own* file holds
one large body and, behind it, the record that describes it. Both begin with a block that says what they are; that of
an own file is written last, so without it the file is not whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from struct import Struct, error
from typing import Final
from zlib import crc32

from netsuite.http.disk.index import UNIT, Place
from netsuite.http.disk.record import Head, aligned, read_head, skim
from netsuite.http.reading import read_waiting

__all__ = ["FIRST", "FOOTER_ROW", "Found", "Segment", "numbered", "write_all"]

Found = tuple[bytes, int, int]
"""The name of a record, its sequence number, its packed place."""

FIRST: Final = UNIT
"""Where the first record, or the body of an own file, begins."""

FOOTER_ROW: Final = Struct("<8sQ")
"""The name and packed place of one record in a footer."""

_LEAD: Final = Struct("<4sIIIQ40x")
_LEAD_MAGIC: Final = b"nsS1"
_END: Final = Struct("<4sIQQ")
_END_MAGIC: Final = b"nsF1"
_BUFFERS: Final = 512
_SCAN: Final = 4 << 20


def write_all(descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> None:
    """Write buffers one after the other; raises OSError unless all of it was taken."""
    for at in range(0, len(buffers), _BUFFERS):
        some = buffers[at : at + _BUFFERS]
        size = sum(map(len, some))
        done = os.pwritev(descriptor, some, offset)
        if done < size:
            view = memoryview(b"".join(some))
            while done < size:
                count = os.pwrite(descriptor, view[done:], offset + done)
                if not count:
                    raise OSError("nothing more was written")
                done += count
        offset += size


def numbered(folder: Path) -> dict[int, Path]:
    """The segment files in a folder, by their numbers."""
    return {int(path.stem): path for path in folder.glob("*.seg") if path.stem.isdigit()}


class Segment:
    """One file; closed when nobody refers to it any more, so those who read from it may finish when it is gone.

    ``end`` is where the next record goes, ``size`` what it takes of the budget, ``oldest`` the least sequence number in
    it. ``rows`` are the footer while it grows. ``name`` is that of the one response in an own file.
    """

    __slots__ = ("__weakref__", "descriptor", "end", "name", "number", "oldest", "path", "rows", "size")

    def __init__(self, folder: Path, number: int, *, name: bytes = b"") -> None:
        self.path = folder / f"{number:010d}.seg"
        self.number = number
        self.name = name
        self.descriptor = -1
        self.end = FIRST
        self.size = 0
        self.oldest = 1 << 62
        self.rows = bytearray()

    @property
    def own(self) -> bool:
        """Whether it holds one body alone."""
        return bool(self.name)

    def create(self) -> None:
        """Make the file; raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self.descriptor = os.open(self.path, flags, 0o600)
        if not self.own:
            self.describe(0)

    def open(self) -> None:
        """Open the file as it is; raises OSError, ValueError if it is none of ours."""
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self._lead()

    def describe(self, record: int) -> None:
        """Write the first block; ``record`` is where the record of an own file is."""
        block = _LEAD.pack(_LEAD_MAGIC, 0, self.number, self.own, record)
        write_all(self.descriptor, [block[:4] + crc32(block[8:]).to_bytes(4, "little") + block[8:]], 0)

    def _lead(self) -> int:
        block = os.pread(self.descriptor, FIRST, 0)
        try:
            magic, check, number, _, record = _LEAD.unpack(block)
        except error:
            raise ValueError(f"{self.path} is not whole") from None
        if magic != _LEAD_MAGIC or check != crc32(block[8:]) or number != self.number:
            raise ValueError(f"{self.path} is not whole")
        return int(record)

    def only_head(self) -> tuple[int, Head]:
        """The record of an own file, and its offset; raises ValueError if it is not whole."""
        offset = self._lead()
        if offset < FIRST:
            raise ValueError(f"{self.path} holds no body of its own")
        head = read_head(read_waiting(self.descriptor, offset, os.fstat(self.descriptor).st_size))
        if head is None:
            raise ValueError(f"{self.path} is not whole")
        return offset, head

    def scan(self, offset: int) -> list[Found]:
        """The records from an offset on, up to the first that is not whole; ``end`` is there then.

        Bodies are not checked.
        """
        found: list[Found] = []
        limit = os.fstat(self.descriptor).st_size
        base, window = offset, memoryview(b"")
        while offset < limit:
            seen = skim(window, offset - base)
            if seen is None and (base != offset or not window):
                base, window = offset, memoryview(read_waiting(self.descriptor, offset, min(offset + _SCAN, limit)))
                seen = skim(window, 0)
            if seen is None:
                break
            name, sequence, length = seen
            if offset + length > limit:
                break
            found.append((name, sequence, Place(self.number, offset, length).packed()))
            offset += aligned(length)
        self.end = offset
        return found

    def seal(self) -> None:
        """Write the footer; raises OSError."""
        at = self.end
        trailer = _END.pack(_END_MAGIC, crc32(self.rows), at, len(self.rows))
        write_all(self.descriptor, [bytes(self.rows), trailer], at)

    def footer(self) -> list[tuple[bytes, int]]:
        """Name and packed place of everything in a sealed segment; what is found by a scan if the footer is not whole.

        For threads; raises OSError.
        """
        size = os.fstat(self.descriptor).st_size
        try:
            magic, check, at, length = _END.unpack(read_waiting(self.descriptor, size - _END.size, size))
            rows = read_waiting(self.descriptor, at, at + length) if magic == _END_MAGIC else b""
            if magic == _END_MAGIC and len(rows) == length and crc32(rows) == check:
                return list(FOOTER_ROW.iter_unpack(rows))
        except error:
            pass
        end = self.end
        found = self.scan(FIRST)
        self.end = end
        return [(name, place) for name, _, place in found]

    def unlink(self) -> None:
        """Give the file's space back once nobody reads it any more."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
