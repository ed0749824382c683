"""Pieces in the making: blocks gathered until a piece is whole, and who is to blame when it is wrong.

A wrong piece tells little where several peers sent blocks of it. So what each of them sent is remembered as a hash a
block, and compared when the piece is right at last: who sent something else is found out, and nobody is banned for
another's fault. Who sent all of a wrong piece is found out at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

from netsuite.bittorrent.wire.messages import BLOCK, Buffer

__all__ = ["Assembly"]

P = TypeVar("P", bound=Hashable)

_MOST_SUSPECTED: Final = 64
"""Pieces whose wrong blocks are remembered."""


class Assembly(Generic[P]):
    """The blocks of one torrent's unfinished pieces; ``P`` stands for a peer, also after it has left."""

    def __init__(self, length: int, piece_length: int) -> None:
        self._length = length
        self._piece_length = piece_length
        self._blocks: dict[int, list[Buffer]] = {}
        self._suspects: dict[int, list[list[tuple[P, bytes]]]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def add(self, piece: int, begin: int, data: Buffer) -> None:
        """A block that was needed."""
        blocks = self._blocks.get(piece)
        if blocks is None:
            size = min(self._piece_length, self._length - piece * self._piece_length)
            blocks = self._blocks[piece] = [b""] * -(-size // BLOCK)
        blocks[begin // BLOCK] = data

    def take(self, piece: int) -> list[Buffer]:
        """All blocks of a piece that is whole, in order."""
        return self._blocks.pop(piece)

    def failed(self, piece: int, blocks: Sequence[Buffer], senders: Sequence[P | None]) -> P | None:
        """The piece is wrong: who sent it, if it was one alone; else the blocks are remembered."""
        first = senders[0]
        if all(sender == first for sender in senders):
            return first
        if piece not in self._suspects and len(self._suspects) >= _MOST_SUSPECTED:
            del self._suspects[next(iter(self._suspects))]
        tries = self._suspects.setdefault(piece, [[] for _ in blocks])
        for each, block, sender in zip(tries, blocks, senders, strict=True):
            if sender is not None:
                each.append((sender, _digest(block)))
        return None

    def passed(self, piece: int, blocks: Sequence[Buffer]) -> list[P]:
        """The piece is right: who had sent something else before."""
        tries = self._suspects.pop(piece, None)
        if tries is None:
            return []
        found: dict[P, None] = {}
        for each, block in zip(tries, blocks, strict=True):
            right = _digest(block)
            found.update((sender, None) for sender, digest in each if digest != right)
        return list(found)


def _digest(block: Buffer) -> bytes:
    return hashlib.sha256(block).digest()
