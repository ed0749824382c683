"""What peers say to each other, as values and as bytes.

Every class is an item to send and an event when it arrives. What comes in masses comes in batches: :class:`Blocks`,
:class:`Requests`, :class:`Cancels` and :class:`Rejects` hold all neighbours of one kind that one receive brought, and
any number of them is sent in one write. Spans are ``(piece, begin, length)``.

Implements: BEP 3 (handshake, peer messages), BEP 6 (Have All, Have None, Suggest Piece, Reject Request, Allowed Fast),
BEP 10 (the extended message and its reserved bit).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import ClassVar, Final

import attrs

__all__ = [
    "BLOCK",
    "HANDSHAKE_LENGTH",
    "LARGEST_BLOCK",
    "PROTOCOL",
    "AllowedFast",
    "BitfieldMessage",
    "Block",
    "Blocks",
    "Buffer",
    "Cancels",
    "Choke",
    "Extended",
    "Handshake",
    "Have",
    "HaveAll",
    "HaveNone",
    "Interested",
    "Message",
    "NotInterested",
    "Rejects",
    "Requests",
    "Span",
    "Suggest",
    "Unchoke",
]

Buffer = bytes | bytearray | memoryview
Span = tuple[int, int, int]
Block = tuple[int, int, Buffer]

BLOCK: Final = 16 * 1024
"""What is asked for at a time (BEP 3: larger requests close connections of strict peers)."""

LARGEST_BLOCK: Final = 128 * 1024
"""What is given at a time at the most."""

PROTOCOL: Final = b"\x13BitTorrent protocol"
HANDSHAKE_LENGTH: Final = 68
_FAST: Final = 0x04
_EXTENDED: Final = 0x10

HEADER: Final = struct.Struct(">IBII")
"""Length, kind, piece and begin: how a block starts."""

SPAN: Final = struct.Struct(">IBIII")
"""Length, kind and span: the whole of a request, a cancel and a reject."""

INDEX: Final = struct.Struct(">IBI")
"""Length, kind and piece: the whole of a have, a suggestion and an allowed fast."""

KEEPALIVE: Final = bytes(4)


class Message:
    """What all messages have for their owner: one stream, and no bodies."""

    __slots__ = ()
    stream: ClassVar[int] = 0
    has_body: ClassVar[bool] = False
    source: ClassVar[None] = None
    kind: ClassVar[int] = -1
    fast: ClassVar[bool] = False
    """Whether it belongs to the fast extension (BEP 6)."""

    def encode(self) -> list[Buffer]:
        """The bytes, in the chunks that they lie in."""
        return [struct.pack(">IB", 1, self.kind)]


@attrs.frozen
class Handshake(Message):
    """The greeting of both sides (BEP 3); ``fast`` and ``extended`` say what the sender supports (BEP 6, BEP 10).

    ``pieces`` is not on the wire: with our own greeting it tells the machine how many pieces the torrent has.
    """

    info_hash: bytes
    peer_id: bytes
    supports_fast: bool = True
    supports_extended: bool = True
    pieces: int = 0

    def encode(self) -> list[Buffer]:
        """68 bytes."""
        reserved = bytearray(8)
        reserved[5] |= _EXTENDED if self.supports_extended else 0
        reserved[7] |= _FAST if self.supports_fast else 0
        return [PROTOCOL + bytes(reserved) + self.info_hash + self.peer_id]

    @classmethod
    def decode(cls, data: bytes) -> Handshake:
        """From 68 bytes of which the first 20 were found right."""
        return cls(data[28:48], data[48:68], bool(data[27] & _FAST), bool(data[25] & _EXTENDED))


@attrs.frozen
class Choke(Message):
    """The sender will not answer requests (for pieces that it does not allow fast)."""

    kind = 0


@attrs.frozen
class Unchoke(Message):
    """The sender answers requests."""

    kind = 1


@attrs.frozen
class Interested(Message):
    """The receiver has what the sender lacks."""

    kind = 2


@attrs.frozen
class NotInterested(Message):
    """The receiver has nothing that the sender lacks."""

    kind = 3


@attrs.frozen
class _Index(Message):
    piece: int

    def encode(self) -> list[Buffer]:
        """Nine bytes."""
        return [INDEX.pack(5, self.kind, self.piece)]


@attrs.frozen
class Have(_Index):
    """The sender has got one piece more."""

    kind = 4


@attrs.frozen
class BitfieldMessage(Message):
    """The pieces that the sender has, highest bit first."""

    kind = 5
    bits: bytes

    def encode(self) -> list[Buffer]:
        """One bit a piece, spare bits zero."""
        return [struct.pack(">IB", 1 + len(self.bits), self.kind) + self.bits]


@attrs.frozen
class _Spans(Message):
    spans: Sequence[Span]

    def encode(self) -> list[Buffer]:
        """17 bytes each, joined."""
        pack, kind = SPAN.pack, self.kind
        return [b"".join([pack(13, kind, *span) for span in self.spans])]


@attrs.frozen
class Requests(_Spans):
    """Blocks that the sender wants, in this order."""

    kind = 6


@attrs.frozen
class Blocks(Message):
    """Blocks that were asked for: ``(piece, begin, data)``.

    Those that arrive may be views of what was received: whoever keeps them keeps that.
    """

    kind = 7
    blocks: Sequence[Block]

    def encode(self) -> list[Buffer]:
        """A header and the block's own buffer, one after the other."""
        pack, kind = HEADER.pack, self.kind
        chunks: list[Buffer] = []
        for piece, begin, data in self.blocks:
            chunks += (pack(9 + len(data), kind, piece, begin), data)
        return chunks


@attrs.frozen
class Cancels(_Spans):
    """Requests that are withdrawn."""

    kind = 8


@attrs.frozen
class Suggest(_Index):
    """A piece that the receiver might fetch now (BEP 6)."""

    kind = 13
    fast = True


@attrs.frozen
class HaveAll(Message):
    """The sender is a seed (BEP 6)."""

    kind = 14
    fast = True


@attrs.frozen
class HaveNone(Message):
    """The sender has nothing yet (BEP 6)."""

    kind = 15
    fast = True


@attrs.frozen
class Rejects(_Spans):
    """Requests that will not be answered (BEP 6)."""

    kind = 16
    fast = True


@attrs.frozen
class AllowedFast(_Index):
    """A piece that the sender gives even while it chokes (BEP 6)."""

    kind = 17
    fast = True


@attrs.frozen
class Extended(Message):
    """A message of an extension (BEP 10); ``number`` 0 is the extension handshake."""

    kind = 20
    number: int
    payload: bytes

    def encode(self) -> list[Buffer]:
        """Length, kind, number, payload."""
        return [struct.pack(">IBB", 2 + len(self.payload), self.kind, self.number) + self.payload]


SIGNALS: Final[dict[int, Message]] = {
    each.kind: each for each in (Choke(), Unchoke(), Interested(), NotInterested(), HaveAll(), HaveNone())
}
INDEXES: Final[dict[int, type[_Index]]] = {each.kind: each for each in (Have, Suggest, AllowedFast)}
SPANS: Final[dict[int, type[_Spans]]] = {each.kind: each for each in (Requests, Cancels, Rejects)}
