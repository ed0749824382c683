"""Which .torrent files there are, so that a peer takes up those that come and leaves those that go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Changes", "TorrentFiles"]

LARGEST: Final = 64 << 20
"""Bytes of a .torrent file that is read: some three million pieces."""

_Stamp = tuple[int, int, int]


class Changes(NamedTuple):
    """What a look found: files that are new or other than before, and files that have gone."""

    came: list[Path]
    went: list[Path]


class TorrentFiles:
    """The ``.torrent`` files of a folder, if one is given, and single files; hidden ones are passed over.

    What cannot be read is :attr:`trouble`, one line. A file that is still being written looks different at the next
    look, and so comes again.
    """

    def __init__(self, folder: Path | None, single: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._single = list(dict.fromkeys(single))
        self._known: dict[Path, _Stamp] = {}
        self.trouble = ""

    def look(self) -> Changes:
        """What has changed since the last look."""
        self.trouble = ""
        try:
            found = dict(self._found())
        except OSError as error:
            self.trouble = f"{self._folder} cannot be read: {error.strerror}"
            return Changes([], [])
        known, self._known = self._known, found
        came = [path for path, stamp in found.items() if known.get(path) != stamp]
        return Changes(came, [path for path in known if path not in found])

    def forget(self, path: Path) -> None:
        """Let a file come again at the next look."""
        self._known.pop(path, None)

    def _found(self) -> Iterator[tuple[Path, _Stamp]]:
        for path in self._single:
            try:
                yield path, _stamp(path.stat())
            except OSError as error:
                self.trouble = f"{path} cannot be read: {error.strerror}"
        if self._folder is None:
            return
        with os.scandir(self._folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if entry.name.endswith(".torrent") and not entry.name.startswith(".") and entry.is_file():
                    yield Path(entry.path), _stamp(entry.stat())


def read(path: Path) -> bytes:
    """A .torrent file's bytes; raises OSError, ValueError if it is too large."""
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    return data


def _stamp(facts: os.stat_result) -> _Stamp:
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
