"""Spans of open files: at once where the kernel has them in memory, else by whoever can wait for a disk."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["in_memory", "read_now", "read_waiting"]

_NO_WAIT: Final = getattr(os, "RWF_NOWAIT", 0)


def read_now(descriptor: int, start: int, stop: int) -> bytes | None:
    """The bytes of a span, fewer at the file's end; None unless they can be had without waiting for a disk.

    None as well where a span lies in memory only in part.
    """
    if not _NO_WAIT:
        return None
    buffer = bytearray(stop - start)
    try:
        count = os.preadv(descriptor, [buffer], start, _NO_WAIT)
    except OSError:
        return None
    if count < stop - start and count + start < os.fstat(descriptor).st_size:
        return None
    return bytes(memoryview(buffer)[:count])


def in_memory(descriptor: int, at: int) -> bool:
    """Whether a byte of a file can be had without waiting for a disk."""
    if not _NO_WAIT:
        return False
    try:
        return os.preadv(descriptor, [bytearray(1)], at, _NO_WAIT) == 1
    except OSError:
        return False


def read_waiting(descriptor: int, start: int, stop: int) -> bytes:
    """The bytes of a span, fewer at the file's end; for threads. Raises OSError."""
    data = os.pread(descriptor, stop - start, start)
    while 0 < len(data) < stop - start:
        more = os.pread(descriptor, stop - start - len(data), start + len(data))
        if not more:
            break
        data += more
    return data
