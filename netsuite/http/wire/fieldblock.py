"""Field blocks of HTTP/2: read with hpack and remembered, written without a table.

What is written depends on nothing that was written before (indexed names of the static table, literal values, no
dynamic table, no Huffman code), so a block that was made once can be sent on every connection. What is read does
depend on it; but a client that repeats a request repeats its bytes, and as long as neither block changed the table
they mean the same.

Implements: RFC 7541 sections 2.3, 3, 4.2, 5.1, 6.1 and 6.2; RFC 9113 sections 4.3 and 8.2
"""

from __future__ import annotations

from typing import Final

from hpack import Decoder, HeaderTuple, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from netsuite.http.wire.messages import Fields
from netsuite.sansio.connection import StateError
from netsuite.sansio.fields import is_field_value, is_token

__all__ = ["NO_TABLE", "BadBlock", "BlockReader", "ListTooLong", "field_lines", "status_field"]

NO_TABLE: Final = b"\x20"
"""Begins the first block on a connection: our encoder's table has size 0 (RFC 7541 section 6.3)."""

_STATIC: Final = {
    name: index for index, (name, _) in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1))) if name[:1] != b":"
}
_STATUSES: Final = {
    int(value): bytes([0x80 | index])
    for index, (name, value) in enumerate(HeaderTable.STATIC_TABLE, 1)
    if name == b":status"
}
_MOST_NAMES: Final = 4096
_SHORT: Final = [bytes([size]) for size in range(127)]


class BadBlock(Exception):
    """A block that cannot be read: the table is lost, and with it the connection."""


class ListTooLong(BadBlock):
    """A block that unfolds to more than it may."""


def _integer(value: int, bits: int, first: int = 0) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Names(dict[bytes, bytes]):
    """``b"etag"`` to what begins its field line, for names that are lower-case tokens; bounded."""

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        if not is_token(name):
            raise StateError(f"{name!r} is no field name")
        index = _STATIC.get(lower)
        begun = _integer(index, 4) if index is not None else b"\0" + _integer(len(lower), 7) + lower
        if len(self) < _MOST_NAMES:
            self[name] = begun
        return begun


_names: Final = _Names()


def field_lines(fields: Fields) -> bytes:
    """Fields as literals without indexing; StateError for what is no name or no value."""
    parts: list[bytes] = []
    for name, value in fields:
        if not is_field_value(value):
            value = value.strip(b" \t")
            if not is_field_value(value):
                raise StateError(f"the value of {name!r} holds a line break or a NUL")
        size = len(value)
        parts += (_names[name], _SHORT[size] if size < 127 else _integer(size, 7), value)
    return b"".join(parts)


def status_field(status: int) -> bytes:
    """The pseudo-field of a response, indexed where the static table has it."""
    known = _STATUSES.get(status)
    if known is not None:
        return known
    if not 100 <= status <= 999:
        raise StateError(f"{status} is no status")
    return b"\x08\x03%d" % status


class _Table(HeaderTable):
    """hpack's table, which tells that it changed."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = False

    def add(self, name: bytes, value: bytes) -> None:
        empty = not self.dynamic_entries
        super().add(name, value)
        # a table without room takes nothing, whatever its peer asks
        if not empty or self.dynamic_entries:
            self.changed = True


class BlockReader:
    """Reads the blocks of one connection in order. ``longest`` bounds what one may unfold to (RFC 9113 section 6.5.2).

    :meth:`known` answers what a caller remembered for the same bytes, while they still mean the same.
    """

    __slots__ = ("_decoder", "_held", "_known", "_table")

    _MOST_KNOWN: Final = 64 * 1024
    """Bytes of blocks that are remembered."""
    _LONGEST_KNOWN: Final = 2048

    def __init__(self, longest: int) -> None:
        self._decoder = Decoder(longest)
        self._table = self._decoder.header_table = _Table()
        self._known: dict[bytes, tuple[Fields, bytes]] = {}
        self._held = 0

    def read(self, block: bytes) -> Fields:
        """The fields of a block; raises BadBlock or ListTooLong."""
        table = self._table
        table.changed = False
        if block[:1] and block[0] & 0xE0 == 0x20:
            table.changed = True
        try:
            found: list[HeaderTuple] = list(self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise ListTooLong(str(error)) from None
        except (HPACKError, IndexError, UnicodeDecodeError) as error:
            raise BadBlock(f"the field block cannot be read: {error}"[:200]) from None
        if table.changed:
            self._known.clear()
            self._held = 0
        return [(bytes(name), bytes(value)) for name, value in found]

    def known(self, block: bytes) -> tuple[Fields, bytes] | None:
        """What was remembered of these bytes."""
        return self._known.get(block)

    def remember(self, block: bytes, fields: Fields, head: bytes) -> None:
        """Keep what a block meant that was just read, unless it changed the table."""
        if self._table.changed or len(block) > self._LONGEST_KNOWN:
            return
        self._held += len(block)
        if self._held > self._MOST_KNOWN:
            self._known.clear()
            self._held = len(block)
        self._known[block] = (fields, head)
