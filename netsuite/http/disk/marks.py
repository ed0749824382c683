"""What was purged, written before the purge is acknowledged: a crash brings nothing back.

A mark has a sequence number, a kind and some bytes; it speaks of everything that was enqueued before it. Marks of the
kinds :data:`TARGET` and :data:`VARIANT` are spent once a checkpoint holds their effect. All other kinds *stand* until
nothing older is left on disk: whoever writes them (purges by prefix or tag) says what they mean when a record is read.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["TARGET", "VARIANT", "Mark", "MarkLog"]

TARGET: Final = 1
"""Everything under a target; its bytes are the six of :func:`netsuite.http.disk.index.target_of`."""

VARIANT: Final = 2
"""One stored response; its bytes are its name."""

_MARK: Final = Struct("<IQHH")


class Mark(NamedTuple):
    """One mark."""

    sequence: int
    kind: int
    payload: bytes


class MarkLog:
    """Files ``NUMBER.marks`` in a folder, of which the last is appended to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1
        self._number = max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.marks") if path.stem.isdigit())

    def read(self) -> list[Mark] | None:
        """All marks that are there; None if a file is not whole, so that one may be missing."""
        found = []
        for number in self._numbers():
            data = self._path(number).read_bytes()
            at = 0
            while at + _MARK.size <= len(data):
                check, sequence, kind, length = _MARK.unpack_from(data, at)
                stop = at + _MARK.size + length
                if stop > len(data) or crc32(data[at + 4 : stop]) != check:
                    return None
                found.append(Mark(sequence, kind, data[at + _MARK.size : stop]))
                at = stop
            if at != len(data):
                return None
        return found

    def begin(self) -> int:
        """Go on in a new file; the number of the one before."""
        before, self._number = self._number, self._number + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path(self._number), flags, 0o600)
        self.close()
        self._descriptor = descriptor
        return before

    def add(self, mark: Mark) -> None:
        """Write a mark: it survives the process from here on, and a power cut from :meth:`sync` on. Raises OSError."""
        line = _MARK.pack(0, mark.sequence, mark.kind, len(mark.payload))[4:] + mark.payload
        line = crc32(line).to_bytes(4, "little") + line
        if os.write(self._descriptor, line) != len(line):
            raise OSError("a mark was cut short")

    def sync(self) -> None:
        """Bring what was added to the medium; for threads."""
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)

    def forget(self, upto: int) -> None:
        """Remove the files up to a number: a checkpoint holds what they say."""
        for number in self._numbers():
            if number <= upto:
                with contextlib.suppress(FileNotFoundError):
                    self._path(number).unlink()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010d}.marks"
