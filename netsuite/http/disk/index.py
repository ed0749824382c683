"""Where a million stored responses lie on disk, in some twenty bytes each.

A row is the *name* of a stored response (six bytes that all variants of a target share, two that tell them apart), its
*place*, and a byte of flags. Rows lie packed in buckets, which one ``find`` in C searches; the table grows by linear
hashing, one bucket at a time, so that no insertion ever waits for a great rebuild.

The index is a hint, never the truth: whoever reads a place checks that the record there is the one that was sought.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

__all__ = ["LENGTHS", "UNIT", "Index", "Place", "Row", "name_of", "target_of"]

UNIT: Final = 64
"""Bytes of which offsets and lengths of records are multiples."""

_ROW: Final = 17
_TARGET: Final = 6
_NAME: Final = 8
_REST: Final = Struct("<QB")
_FILL: Final = 32
_FIRST_BUCKETS: Final = 64
_USES: Final = 3
_VERIFIED: Final = 128


def target_of(key: bytes, secret: bytes = b"") -> bytes:
    """What the names of all variants of a target begin with.

    The ``secret`` is the store's own: nobody outside can make up targets that fall into one bucket.
    """
    return blake2b(key, digest_size=_NAME, key=secret).digest()[:_TARGET]


def name_of(key: bytes, vary: tuple[bytes, ...], selection: tuple[bytes | None, ...], secret: bytes = b"") -> bytes:
    """The name of one variant: 64 bits."""
    own = blake2b(key, digest_size=_NAME, key=secret).digest()
    if not vary:
        return own
    mark = blake2b(repr((vary, selection)).encode(), digest_size=2).digest()
    return own[:_TARGET] + bytes((own[_TARGET] ^ mark[0], own[_TARGET + 1] ^ mark[1]))


class Place(NamedTuple):
    """A segment, an offset in it, and how many bytes are to be read there (rounded up by a sixteenth at most)."""

    segment: int
    offset: int
    length: int

    def packed(self) -> int:
        """As 64 bits: 28 for the segment, 28 for the offset, 8 for the length."""
        units = -(-self.length // UNIT)
        if units < 16:
            code = units
        else:
            shift = units.bit_length() - 5
            mantissa = -(-units >> shift) if not shift else (units + (1 << shift) - 1) >> shift
            if mantissa == 32:
                shift, mantissa = shift + 1, 16
            code = (shift + 1) << 4 | mantissa - 16
        return self.segment << 36 | self.offset // UNIT << 8 | code

    @classmethod
    def unpacked(cls, packed: int) -> Place:
        """The place that 64 bits tell."""
        return cls(packed >> 36, (packed >> 8 & 0xFFFFFFF) * UNIT, LENGTHS[packed & 255])


LENGTHS: Final = tuple((code if code < 16 else (16 + (code & 15)) << (code >> 4) - 1) * UNIT for code in range(256))
"""The length that the last eight bits of a packed place mean."""


class Row(NamedTuple):
    """One stored response: its name and packed place, and what is known of it.

    ``uses`` are those of late, 3 at most; ``verified`` says that its body was found to be whole since the start.
    """

    name: bytes
    place: int
    uses: int
    verified: bool


class Index:
    """Rows by name, and by target."""

    __slots__ = ("_buckets", "_mask", "_rows", "_split")

    def __init__(self) -> None:
        self._buckets: list[bytearray] = [bytearray() for _ in range(_FIRST_BUCKETS)]
        self._mask = _FIRST_BUCKETS - 1
        self._split = 0
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def memory(self) -> int:
        """Bytes that all of it takes."""
        return sys.getsizeof(self._buckets) + sum(map(sys.getsizeof, self._buckets))

    def __iter__(self) -> Iterator[Row]:
        for bucket in self._buckets:
            for at in range(0, len(bucket), _ROW):
                yield _row(bucket, at)

    def variants(self, target: bytes) -> list[Row]:
        """All rows whose names begin with a target's six bytes."""
        bucket = self._bucket(target)
        at = bucket.find(target)
        if at < 0:
            return []
        found = []
        while at >= 0:
            if at % _ROW:
                at += 1
            else:
                found.append(_row(bucket, at))
                at += _ROW
            at = bucket.find(target, at)
        return found

    def get(self, name: bytes) -> Row | None:
        """The row of a name."""
        bucket = self._bucket(name)
        at = _seek(bucket, name)
        return None if at < 0 else _row(bucket, at)

    def peek(self, name: bytes) -> tuple[int, int, bool]:
        """Packed place (0 if the name is not there), uses and whether it is verified, as cheaply as can be."""
        number = int.from_bytes(name[:4], "little")
        at = number & self._mask
        bucket = self._buckets[number & (self._mask << 1 | 1) if at < self._split else at]
        at = bucket.find(name)
        while at % _ROW:
            if at < 0:
                return 0, 0, False
            at = bucket.find(name, at + 1)
        place, flags = _REST.unpack_from(bucket, at + _NAME)
        return place, flags & _USES, flags >= _VERIFIED

    def put(self, name: bytes, place: int, *, uses: int = 0, verified: bool = False) -> None:
        """Hold a place under a name, in place of what was there."""
        bucket = self._bucket(name)
        rest = _REST.pack(place, min(uses, _USES) | (_VERIFIED if verified else 0))
        at = _seek(bucket, name)
        if at >= 0:
            bucket[at + _NAME : at + _ROW] = rest
            return
        bucket += name + rest
        self._rows += 1
        if self._rows > len(self._buckets) * _FILL:
            self._grow()

    def remove(self, name: bytes) -> bool:
        """Forget a name; False if it was not there."""
        bucket = self._bucket(name)
        at = _seek(bucket, name)
        if at < 0:
            return False
        last = bucket[-_ROW:]
        del bucket[-_ROW:]
        if at < len(bucket):
            bucket[at : at + _ROW] = last
        self._rows -= 1
        return True

    def use(self, name: bytes) -> None:
        """Count a use."""
        bucket = self._bucket(name)
        at = _seek(bucket, name)
        if at >= 0 and bucket[at + _ROW - 1] & _USES < _USES:
            bucket[at + _ROW - 1] += 1

    def verify(self, name: bytes) -> None:
        """Note that the body was found to be whole."""
        bucket = self._bucket(name)
        at = _seek(bucket, name)
        if at >= 0:
            bucket[at + _ROW - 1] |= _VERIFIED

    def dump(self) -> tuple[bytes, bytes]:
        """How many bytes each bucket has (32 bits each), and all rows."""
        return array("I", map(len, self._buckets)).tobytes(), b"".join(self._buckets)

    @classmethod
    def load(cls, lengths: bytes, rows: bytes) -> Index:
        """The index that was dumped, with nothing verified; ValueError if it cannot be one."""
        sizes = array("I")
        sizes.frombytes(lengths)
        if len(sizes) < _FIRST_BUCKETS or sum(sizes) != len(rows) or any(size % _ROW for size in sizes):
            raise ValueError("no dump of an index")
        made = cls()
        made._mask = (1 << len(sizes).bit_length() - 1) - 1
        made._split = len(sizes) - made._mask - 1
        made._buckets = buckets = []
        at = 0
        for size in sizes:
            bucket = bytearray(rows[at : at + size])
            at += size
            bucket[_ROW - 1 :: _ROW] = bucket[_ROW - 1 :: _ROW].translate(_UNVERIFIED)
            buckets.append(bucket)
        made._rows = len(rows) // _ROW
        return made

    def _bucket(self, name: bytes) -> bytearray:
        number = int.from_bytes(name[:4], "little")
        at = number & self._mask
        return self._buckets[number & (self._mask << 1 | 1) if at < self._split else at]

    def _grow(self) -> None:
        """Share the next bucket's rows between it and a new one."""
        old = self._buckets[self._split]
        kept, moved = bytearray(), bytearray()
        bit = self._mask + 1
        for at in range(0, len(old), _ROW):
            row = old[at : at + _ROW]
            if int.from_bytes(row[:4], "little") & bit:
                moved += row
            else:
                kept += row
        # copied, so that neither holds more memory than its rows need
        self._buckets[self._split] = bytearray(bytes(kept))
        self._buckets.append(bytearray(bytes(moved)))
        self._split += 1
        if self._split == bit:
            self._mask = self._mask << 1 | 1
            self._split = 0


_UNVERIFIED: Final = bytes(flags & ~_VERIFIED for flags in range(256))


def _seek(bucket: bytearray, name: bytes) -> int:
    at = bucket.find(name)
    while at % _ROW and at >= 0:
        at = bucket.find(name, at + 1)
    return at


def _row(bucket: bytearray, at: int) -> Row:
    place, flags = _REST.unpack_from(bucket, at + _NAME)
    return Row(bytes(bucket[at : at + _NAME]), place, flags & _USES, flags >= _VERIFIED)
