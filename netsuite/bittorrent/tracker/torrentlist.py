"""Which torrents a tracker serves: files of info-hashes, one a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from netsuite.common.errors import StartError

__all__ = ["TorrentList", "read_hashes"]

_LINE: Final = re.compile(rb"[ \t]*(?:([0-9A-Fa-f]{40})(?![0-9A-Za-z])[^\n]*|#[^\n]*)?\r?")


def read_hashes(path: Path, setting: str) -> frozenset[bytes]:
    """The info-hashes in a file; what follows one on its line, and lines that begin with #, are remarks.

    Raises StartError with the line that is none.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StartError(f"{setting}: {path} cannot be read ({error.strerror}); mend it, or unset {setting}") from None
    found = set()
    for number, line in enumerate(text.split(b"\n"), 1):
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise StartError(f"{setting}: {path}:{number}: this is no info-hash; write 40 hexadecimal digits a line")
        if parts[1]:
            found.add(bytes.fromhex(parts[1].decode()))
    return frozenset(found)


class TorrentList:
    """The two lists: served is what is in ``allow`` (None: everything) and not in ``deny``."""

    __slots__ = ("_allow", "_allow_file", "_deny", "_deny_file")

    def __init__(self, allow: Path | None, deny: Path | None) -> None:
        self._allow_file = allow
        self._deny_file = deny
        self._allow: frozenset[bytes] | None = None if allow is None else frozenset()
        self._deny: frozenset[bytes] = frozenset()

    def serves(self, info_hash: bytes) -> bool:
        """Whether a torrent is served."""
        return (self._allow is None or info_hash in self._allow) and info_hash not in self._deny

    def fresh(self) -> TorrentList:
        """The lists as their files are now; raises StartError."""
        lists = TorrentList(self._allow_file, self._deny_file)
        if self._allow_file is not None:
            lists._allow = read_hashes(self._allow_file, "tracker.allow_torrents")
        if self._deny_file is not None:
            lists._deny = read_hashes(self._deny_file, "tracker.deny_torrents")
        return lists

    def __str__(self) -> str:
        if self._allow_file is None and self._deny_file is None:
            return "every torrent is served"
        allowed = "every torrent is" if self._allow is None else f"{len(self._allow)} torrents are"
        return f"{allowed} served, {len(self._deny)} are not"
