"""The hashes of a torrent's pieces, as its files are on a disk now: read and hashed by several threads, in order.

Memory is bounded whatever the length of a piece. Reading and SHA-1 of large buffers both let other threads run, so
that the time is that of the disk or of all cores, whichever is longer.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeAlias

from netsuite.bittorrent.files import File
from netsuite.bittorrent.peer.folder import FolderLayer

__all__ = ["Advanced", "digests"]

Advanced: TypeAlias = Callable[[int], None]
"""Is told how many bytes have been dealt with so far."""

_AT_ONCE: Final = 1 << 20
_MOST_WORKERS: Final = 16
_ZEROS: Final = bytes(_AT_ONCE)


def digests(
    folder: FolderLayer,
    files: Sequence[File],
    piece_length: int,
    *,
    workers: int | None = None,
    advanced: Advanced | None = None,
) -> Iterator[bytes | None]:
    """Each piece's SHA-1 hash in turn, or None for one of which something is not there or cannot be read.

    ``workers`` threads work ahead (as many as there are processors, by default) until the iterator is closed.
    """
    length = files[-1].offset + files[-1].length
    starts = [file.offset for file in files]
    step = max(1, _AT_ONCE // piece_length) * piece_length
    workers = workers or min(os.cpu_count() or 1, _MOST_WORKERS)

    def hashed(begin: int, end: int) -> list[bytes | None]:
        return [
            _digest(folder, files, starts, at, min(at + piece_length, end)) for at in range(begin, end, piece_length)
        ]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="netsuite hashing")
    ahead: deque[tuple[int, Future[list[bytes | None]]]] = deque()
    try:
        for begin in range(0, length, step):
            end = min(begin + step, length)
            ahead.append((end, pool.submit(hashed, begin, end)))
            if len(ahead) > 2 * workers:
                yield from _first(ahead, advanced)
        while ahead:
            yield from _first(ahead, advanced)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _first(ahead: deque[tuple[int, Future[list[bytes | None]]]], advanced: Advanced | None) -> list[bytes | None]:
    end, future = ahead.popleft()
    done = future.result()
    if advanced is not None:
        advanced(end)
    return done


def _digest(folder: FolderLayer, files: Sequence[File], starts: Sequence[int], begin: int, end: int) -> bytes | None:
    """The hash of the bytes from ``begin`` to ``end`` of the content."""
    digest = hashlib.sha1(usedforsecurity=False)
    index = bisect_right(starts, begin) - 1
    while begin < end:
        file = files[index]
        stop = min(end, file.offset + file.length)
        while begin < stop:
            size = min(_AT_ONCE, stop - begin)
            if file.pad:
                part = _ZEROS[:size]
            else:
                try:
                    part = folder.read(file.path, begin - file.offset, size)
                except OSError:
                    return None
            if len(part) < size:
                return None
            digest.update(part)
            begin += size
        index += 1
    return digest.digest()
