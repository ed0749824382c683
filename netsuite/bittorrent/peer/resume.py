"""What a torrent is known to have on the disk, kept in a small file that survives a crash at any moment."""

from __future__ import annotations

from pathlib import Path

from netsuite.common.storage.files import FileLayer

__all__ = ["ResumeRecord"]


class ResumeRecord:
    """The file of one torrent, by name ``DATA/peer/INFOHASH.resume``."""

    def __init__(self, path: Path, info_hash: bytes, files: FileLayer | None = None) -> None: ...
