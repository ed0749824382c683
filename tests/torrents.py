"""Torrents for tests, made of files given by name and bytes."""

from __future__ import annotations

import hashlib
import random

from netsuite.bittorrent.metainfo import File, Metainfo

__all__ = ["content", "torrent"]


def content(seed: int, length: int) -> bytes:
    """Bytes that look like chance and are always the same."""
    return random.Random(seed).randbytes(length)


def torrent(files: dict[str, bytes | int], piece_length: int = 64) -> tuple[Metainfo, bytes]:
    """A torrent and its whole content. Names have ``/`` between components; a number is a pad of so many zeros."""
    listed, whole = [], b""
    for name, data in files.items():
        pad = isinstance(data, int)
        data = bytes(data) if isinstance(data, int) else data
        listed.append(File(tuple(name.split("/")), len(whole), len(data), pad))
        whole += data
    hashes = [
        hashlib.sha1(whole[at : at + piece_length], usedforsecurity=False).digest()
        for at in range(0, len(whole), piece_length)
    ]
    info_hash = hashlib.sha1(repr((files, piece_length)).encode(), usedforsecurity=False).digest()
    metainfo = Metainfo(
        info_hash=info_hash,
        name=listed[0].path[0],
        piece_length=piece_length,
        pieces=b"".join(hashes),
        length=len(whole),
        files=tuple(listed),
    )
    return metainfo, whole
