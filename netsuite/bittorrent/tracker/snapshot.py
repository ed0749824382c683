"""All swarms as one file, and back: what a restart begins with.

The file is a head, the swarms one after another, and a hash (BLAKE2b) over all of it; it replaces the one before at
once and durably, so a crash leaves one or the other. What does not match its hash, or contradicts itself, is refused as
a whole: a tracker begins empty rather than with rubbish, and peers announce themselves again within an interval.

Known weakness: swarms are written one after another while announces go on, each as it is at its moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import Final

from netsuite.bittorrent.tracker.group import FACTS
from netsuite.bittorrent.tracker.swarm import GENERATIONS, WIDTHS, Swarms

__all__ = ["SnapshotBroken", "frozen", "pieces", "restore", "whole"]

_HEAD: Final = Struct(">16sddB7x")
_MAGIC: Final = b"netsuite swarms\1"
_SWARM: Final = Struct(">20sQ6I")
_HASH: Final = 32
_AT_ONCE: Final = 500


class SnapshotBroken(Exception):
    """The bytes are no snapshot, or not all of one; the text says what is wrong."""


def pieces(swarms: Swarms, now: float) -> Iterator[bytes]:
    """The bytes of a snapshot in pieces, each made of a few hundred swarms; join them, and see :func:`frozen`."""
    yield _HEAD.pack(_MAGIC, now, swarms.period, swarms.generation)
    part: list[bytes | bytearray] = []
    for info_hash in [info_hash for info_hash, _ in swarms]:
        swarm = swarms.find(info_hash)
        if swarm is None:
            continue
        groups = swarm.groups
        part.append(_SWARM.pack(info_hash, swarm.downloaded, *(0 if group is None else len(group) for group in groups)))
        for group in groups:
            if group is not None:
                part += (group.entries, group.facts)
        if len(part) >= _AT_ONCE:
            yield b"".join(part)
            part.clear()
    yield b"".join(part)


def frozen(parts: list[bytes]) -> bytes:
    """The file made of these pieces."""
    digest = blake2b(digest_size=_HASH)
    for part in parts:
        digest.update(part)
    return b"".join([*parts, digest.digest()])


def whole(swarms: Swarms, now: float) -> bytes:
    """A snapshot in one go."""
    return frozen(list(pieces(swarms, now)))


def restore(data: bytes, swarms: Swarms, now: float) -> None:
    """Put back what a snapshot holds; who was not heard of for a lifetime is left out. Raises SnapshotBroken."""
    body = memoryview(data)[:-_HASH]
    if len(data) < _HEAD.size + _HASH:
        raise SnapshotBroken("it is too short")
    if not data.startswith(_MAGIC):
        raise SnapshotBroken("it does not begin as a snapshot does")
    if blake2b(body, digest_size=_HASH).digest() != data[-_HASH:]:
        raise SnapshotBroken("its hash does not match: it was cut or changed")
    _, written, period, generation = _HEAD.unpack_from(data)
    if not (period > 0 and written >= 0):
        raise SnapshotBroken("its times are none")
    found = list(_swarms(body))
    marks = _marks(max(0.0, now - written), period, generation, swarms)
    for info_hash, downloaded, groups in found:
        swarms.restore(info_hash, downloaded, groups, marks)
    while not swarms.step(now):
        pass


def _swarms(body: memoryview) -> Iterator[tuple[bytes, int, list[tuple[bytes, bytes]]]]:
    at = _HEAD.size
    while at < len(body):
        if at + _SWARM.size > len(body):
            raise SnapshotBroken("a swarm is cut")
        info_hash, downloaded, *counts = _SWARM.unpack_from(body, at)
        at += _SWARM.size
        groups = []
        for sort, count in enumerate(counts):
            middle = at + count * WIDTHS[sort // 3]
            end = middle + count * FACTS
            if end > len(body):
                raise SnapshotBroken("a swarm is cut")
            groups.append((bytes(body[at:middle]), bytes(body[middle:end])))
            at = end
        yield info_hash, downloaded, groups


def _marks(away: float, period: float, generation: int, swarms: Swarms) -> bytes:
    """The present generation for each of those that were written down; for the dead, one that the next step drops."""
    marks = bytearray()
    for mark in range(256):
        age = int((((generation - mark) & 0xFF) * period + away) / swarms.period)
        marks.append((swarms.generation - min(age, GENERATIONS + 1)) & 0xFF)
    return bytes(marks)
