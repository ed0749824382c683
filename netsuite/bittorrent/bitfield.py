"""Which pieces of a torrent somebody has, as BEP 3 writes it: a bit a piece, the first one the highest of its byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["Bitfield"]

_MASKS: Final = (128, 64, 32, 16, 8, 4, 2, 1)


class Bitfield:
    """A set of piece numbers below ``length``.

    Two forms of the same bits: ``packed``, the bytes of the wire, in which one bit is looked up and changed at a cost
    that does not grow, and ``bits``, all of them as one integer (made when it is asked for), for what concerns many
    pieces at once: ``mine.bits & ~theirs.bits``. Piece 0 is its highest bit; :meth:`mask` gives the bit of any other.
    ``count`` is how many are set. ``packed`` and ``count`` are for reading only.
    """

    __slots__ = ("_bits", "count", "length", "packed")

    def __init__(self, length: int) -> None:
        if length < 0:
            raise ValueError("a bitfield has no negative length")
        self.length = length
        self.packed = bytearray((length + 7) // 8)
        self.count = 0
        self._bits: int | None = 0

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, length: int) -> Bitfield:
        """The payload of a ``bitfield`` message; ValueError if it has another size, or a spare bit is set (BEP 3)."""
        field = cls(length)
        if len(data) != len(field.packed):
            raise ValueError(f"a bitfield of {length} pieces has {len(field.packed)} bytes, not {len(data)}")
        bits = int.from_bytes(data, "big")
        if bits & (1 << -length % 8) - 1:
            raise ValueError("a spare bit at the end of the bitfield is set")
        field.packed[:] = data
        field.count = bits.bit_count()
        field._bits = bits
        return field

    @classmethod
    def complete(cls, length: int) -> Bitfield:
        """All pieces: what a seed has."""
        field = cls(length)
        field._bits = bits = (1 << length) - 1 << -length % 8
        field.packed[:] = bits.to_bytes(len(field.packed), "big")
        field.count = length
        return field

    @classmethod
    def of(cls, length: int, pieces: Iterable[int]) -> Bitfield:
        """These pieces."""
        field = cls(length)
        for piece in pieces:
            field.set(piece)
        return field

    def to_bytes(self) -> bytes:
        """The payload of a ``bitfield`` message."""
        return bytes(self.packed)

    def copy(self) -> Bitfield:
        """The same pieces, to be changed by themselves."""
        field = Bitfield(self.length)
        field.packed[:] = self.packed
        field.count = self.count
        field._bits = self._bits
        return field

    @property
    def bits(self) -> int:
        """All of them in one integer, piece 0 in its highest bit."""
        bits = self._bits
        if bits is None:
            bits = self._bits = int.from_bytes(self.packed, "big")
        return bits

    @property
    def full(self) -> bool:
        """All pieces are there."""
        return self.count == self.length

    def mask(self, piece: int) -> int:
        """The bit that stands for a piece in ``bits``."""
        return 1 << len(self.packed) * 8 - 1 - piece

    def set(self, piece: int) -> bool:
        """Add a piece; False if it was there. IndexError if there is no such piece."""
        if not 0 <= piece < self.length:
            raise IndexError(f"there is no piece {piece} among {self.length}")
        at, mask = piece >> 3, _MASKS[piece & 7]
        if self.packed[at] & mask:
            return False
        self.packed[at] |= mask
        self.count += 1
        self._bits = None
        return True

    def clear(self, piece: int) -> bool:
        """Take a piece away; False if it was not there. IndexError if there is no such piece."""
        if not self[piece]:
            return False
        self.packed[piece >> 3] ^= _MASKS[piece & 7]
        self.count -= 1
        self._bits = None
        return True

    def offers(self, other: Bitfield) -> bool:
        """It has a piece that ``other`` lacks: whoever has ``other`` is interested."""
        return bool(self.bits & ~other.bits)

    def missing_from(self, other: Bitfield) -> Iterator[int]:
        """The pieces that it has and ``other`` lacks, in order."""
        return Bitfield.from_bytes((self.bits & ~other.bits).to_bytes(len(self.packed), "big"), self.length).__iter__()

    def __getitem__(self, piece: int) -> bool:
        if not 0 <= piece < self.length:
            raise IndexError(f"there is no piece {piece} among {self.length}")
        return bool(self.packed[piece >> 3] & _MASKS[piece & 7])

    def __contains__(self, piece: object) -> bool:
        return isinstance(piece, int) and 0 <= piece < self.length and self[piece]

    def __iter__(self) -> Iterator[int]:
        """The pieces that are there, in order."""
        for at, byte in enumerate(self.packed):
            if byte:
                for offset, mask in enumerate(_MASKS):
                    if byte & mask:
                        yield at * 8 + offset

    def __len__(self) -> int:
        return self.length

    def __bool__(self) -> bool:
        return self.count > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bitfield):
            return NotImplemented
        return self.length == other.length and self.packed == other.packed

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Bitfield {self.count}/{self.length}>"
