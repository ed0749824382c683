"""One connection between two peers, as a machine: the handshake, then messages both ways until one side leaves.

Both sides are the same machine. Who connects sends its :class:`~netsuite.bittorrent.wire.messages.Handshake` first;
who is connected to hears one, and sends its own (or closes) before anything else is read. Blocks, requests, cancels and
rejects are handed over in batches, so that what a busy connection costs does not grow with the number of messages.

The machine checks all that can be known from the number of pieces: sizes, indices, the bitfield and its place, what
belongs to the fast extension. What was asked for, offered or choked is the business of its owner
(:mod:`netsuite.bittorrent.peer.link`). Messages of unknown kinds are skipped and counted.

Implements: BEP 3 (peer protocol), BEP 6 (negotiation, and the closing that it demands), BEP 10 (negotiation).
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

import attrs

from netsuite.bittorrent.wire.messages import (
    HANDSHAKE_LENGTH,
    HEADER,
    INDEXES,
    KEEPALIVE,
    LARGEST_BLOCK,
    PROTOCOL,
    SIGNALS,
    SPANS,
    BitfieldMessage,
    Block,
    Blocks,
    Buffer,
    Extended,
    Handshake,
    Have,
    HaveAll,
    HaveNone,
    Message,
    Rejects,
    Span,
)
from netsuite.sansio.connection import NEED_DATA, PAUSED, UNLIMITED, Abandon, Close, Drain, Event, Item, StateError
from netsuite.sansio.state import StateTable

__all__ = ["PeerConnection", "PeerLimits"]

STATES: Final = StateTable(
    "peer connection",
    "fresh",
    [
        ("fresh", "greet", "greeting"),
        ("fresh", "heard", "owing"),
        ("greeting", "heard", "open"),
        ("owing", "greet", "open"),
        *((state, "close", "over") for state in ("fresh", "greeting", "owing", "open")),
    ],
)

_SPAN_BODY: Final = struct.Struct(">BIII")
_BLOCKS: Final = Blocks.kind
_BLOCK_HEAD: Final = HEADER.size - 4
_BITFIELD: Final = BitfieldMessage.kind
_EXTENDED: Final = Extended.kind
_REJECTS: Final = Rejects.kind
_FIRST: Final = (BitfieldMessage, HaveAll, HaveNone)


@attrs.frozen
class PeerLimits:
    """What one connection may cost; seconds and bytes.

    ``handshake`` is for both greetings; ``silence`` for each whole message, keepalives included; a keepalive is sent
    when nothing else was for ``keepalive`` seconds (BEP 3: generally every two minutes). ``longest`` bounds every
    message but a bitfield.
    """

    handshake: float = 20.0
    silence: float = 240.0
    keepalive: float = 100.0
    longest: int = LARGEST_BLOCK + 1024


class PeerConnection:
    """Either side of a connection: a :class:`~netsuite.sansio.connection.Connection` of peer messages.

    ``fast`` and ``extended`` say what both sides support, once both have greeted. ``skipped`` counts messages of
    unknown kinds.
    """

    __slots__ = (
        "_at",
        "_began",
        "_data",
        "_ended",
        "_events",
        "_field_length",
        "_first",
        "_head",
        "_heard",
        "_limits",
        "_longest",
        "_now",
        "_ours",
        "_out",
        "_pieces",
        "_rest",
        "_rest_at",
        "_sent",
        "_state",
        "_theirs",
        "extended",
        "fast",
        "skipped",
    )

    def __init__(self, now: float, limits: PeerLimits = PeerLimits()) -> None:
        self._limits = limits
        self._state = STATES.start
        self._began = self._heard = self._sent = self._now = now
        self._data: Buffer = b""
        self._at = 0  # bytes of _data before it are read
        self._head = bytearray()  # the first part of a message whose rest was not there
        self._rest: Buffer = b""  # what comes behind _data
        self._rest_at = 0
        self._ended = False
        self._events: deque[Event] = deque()
        self._out: list[Buffer] = []
        self._ours: Handshake | None = None
        self._theirs: Handshake | None = None
        self._pieces = 0
        self._field_length = 0
        self._longest = limits.longest
        self._first = True  # a bitfield may still come
        self.fast = False
        self.extended = False
        self.skipped = 0

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return self._state in ("fresh", "open") and not (self.backlog() or self._events)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes; ``b""`` ends the input."""
        if self._state == "over":
            return
        self._now = now
        if not data:
            self._ended = True
        elif self._at < len(self._data) or self._rest_at < len(self._rest):
            # only while our greeting is owed, or the owner does not pull
            self._rest = b"".join((memoryview(self._rest)[self._rest_at :], data))
            self._rest_at = 0
        else:
            self._data, self._at = b"", 0
            self._rest, self._rest_at = data, 0

    def next_event(self) -> Event:
        """A message, Close, NEED_DATA, or PAUSED while our greeting is owed."""
        if self._events:
            return self._events.popleft()
        state = self._state
        if state == "over":
            return NEED_DATA
        if state == "owing":
            return PAUSED
        event = None
        if self._at < len(self._data) or self._rest_at < len(self._rest):
            event = self._read() if state == "open" else self._read_greeting()
        if event is None:
            return self._close("the peer has said all") if self._ended else NEED_DATA
        return event

    def send(self, item: Item, now: float) -> None:
        """Queue a message; StateError before the greeting, or for what the peer does not support.

        What comes after the end is lost.
        """
        if self._state == "over":
            return
        if isinstance(item, Message):
            if isinstance(item, Handshake):
                self._greet(item)
            elif self._state != "open":
                raise StateError(f"{type(item).__name__} is forbidden in {self._state}")
            elif item.fast and not self.fast:
                raise StateError("the peer does not support the fast extension")
            elif item.kind == _EXTENDED and not self.extended:
                raise StateError("the peer does not support extensions")
            self._sent = now
            self._out += item.encode()
        elif isinstance(item, Abandon | Drain):
            self._events.append(self._close(item.reason if isinstance(item, Abandon) else "draining"))
        else:
            raise StateError(f"{type(item).__name__} has no place in this protocol")

    def room(self, stream: int = 0) -> int:
        """There is no window here; who serves blocks looks at the transport."""
        return UNLIMITED

    def consumed(self, count: int, stream: int = 0) -> None:
        """There are no bodies here."""

    def backlog(self) -> int:
        """What has come and is not yet a message."""
        return len(self._head) + len(self._data) - self._at + len(self._rest) - self._rest_at

    def outgoing(self) -> list[bytes]:
        """What is to be written."""
        out: list[bytes] = self._out  # type: ignore[assignment]  # buffers; transports take them as they are
        if out:
            self._out = []
        return out

    def deadline(self) -> float | None:
        """When the handshake or a message is overdue, or a keepalive due."""
        if self._state == "over":
            return None
        if self._state != "open":
            return self._began + self._limits.handshake
        return min(self._heard + self._limits.silence, self._sent + self._limits.keepalive)

    def tick(self, now: float) -> None:
        """Give up a peer that is silent, or say that we are still here."""
        if self._state == "over":
            return
        if self._state != "open":
            if now >= self._began + self._limits.handshake:
                self._events.append(self._close("the handshake took too long"))
        elif now >= self._heard + self._limits.silence:
            self._events.append(self._close("the peer is silent"))
        elif now >= self._sent + self._limits.keepalive:
            self._sent = now
            self._out.append(KEEPALIVE)

    def touched(self, now: float) -> None:
        """Shortcuts have no place in this protocol."""

    # -- the greeting

    def _greet(self, ours: Handshake) -> None:
        if len(ours.info_hash) != 20 or len(ours.peer_id) != 20:
            raise StateError("an info-hash and a peer id have 20 bytes each")
        self._state = STATES.step(self._state, "greet")
        self._ours = ours
        self._pieces = ours.pieces
        self._field_length = (ours.pieces + 7) // 8
        self._longest = max(self._limits.longest, 1 + self._field_length)
        self._negotiate()

    def _read_greeting(self) -> Event | None:
        """Their handshake, as soon as it can be judged (BEP 3: a length, the protocol's name, ...)."""
        take = HANDSHAKE_LENGTH - len(self._head)
        self._head += memoryview(self._rest)[self._rest_at : self._rest_at + take]
        self._rest_at = min(len(self._rest), self._rest_at + take)
        known = len(PROTOCOL)
        if self._head[:known] != PROTOCOL[: len(self._head)]:
            return self._close("this is not the BitTorrent protocol")
        if len(self._head) < HANDSHAKE_LENGTH:
            return None
        theirs = Handshake.decode(bytes(self._head))
        self._head = bytearray()
        if self._ours is not None and self._ours.info_hash != theirs.info_hash:
            return self._close("the peer speaks of another torrent")
        self._state = STATES.step(self._state, "heard")
        self._theirs = theirs
        self._heard = self._now
        self._negotiate()
        return theirs

    def _negotiate(self) -> None:
        """What both support (BEP 6, BEP 10)."""
        ours, theirs = self._ours, self._theirs
        if ours is not None and theirs is not None:
            self.fast = ours.supports_fast and theirs.supports_fast
            self.extended = ours.supports_extended and theirs.supports_extended

    # -- messages

    def _read(self) -> Event | None:
        """The next message or batch; None if no whole one is there."""
        blocks: list[Block] = []
        while True:
            self._gather(blocks)
            data, at = self._data, self._at
            if len(data) - at >= 4:
                size = int.from_bytes(data[at : at + 4], "big")
                end = at + 4 + size
                if size > self._longest or end <= len(data):
                    if blocks:
                        break
                    if size > self._longest:
                        return self._close(f"a message of {size} bytes")
                    self._at = end
                    event = self._message(data, at + 4, end)
                    if event is not None:
                        return event
                    continue
            if not self._advance():
                break
        return Blocks(blocks) if blocks else None

    def _gather(self, blocks: list[Block]) -> None:
        """Take the blocks that come next in this chunk; copied if keeping them would keep much else."""
        data, at = self._data, self._at
        end = len(data)
        if end - at < HEADER.size:
            return
        first, found = at, len(blocks)
        view, unpack, width = memoryview(data), HEADER.unpack_from, HEADER.size
        pieces, longest = self._pieces, self._longest
        while end - at >= width:
            size, kind, piece, begin = unpack(data, at)
            following = at + 4 + size
            if kind != _BLOCKS or following > end or size < _BLOCK_HEAD or size > longest or piece >= pieces:
                break
            blocks.append((piece, begin, view[at + width : following]))
            at = following
        if at > first:
            self._at = at
            self._heard = self._now
            if (at - first) * 2 < end:
                blocks[found:] = [(piece, begin, bytes(block)) for piece, begin, block in blocks[found:]]

    def _advance(self) -> bool:
        """Go on to what came later; False if that is no whole message.

        A message that lies in several chunks is put together by itself, so that all others stay where they are.
        """
        head = self._head
        head += memoryview(self._data)[self._at :]
        data, at = self._rest, self._rest_at
        self._rest, self._rest_at = b"", 0
        if not head:
            self._data, self._at = data, at
            return at < len(data)
        self._data, self._at = b"", 0
        if len(head) < 4:
            take = 4 - len(head)
            head += data[at : at + take]
            at += take
        if len(head) >= 4:
            size = int.from_bytes(head[:4], "big")
            take = 4 + size - len(head)
            if size <= self._longest:
                head += memoryview(data)[at : at + take]
            if take <= len(data) - at or size > self._longest:
                self._data, self._head = head, bytearray()
                self._rest, self._rest_at = data, at + take
                return True
        return False

    def _message(self, data: Buffer, at: int, end: int) -> Event | None:
        """One message between ``at`` and ``end``; None if there is nothing to tell. Reads on over its like."""
        self._heard = self._now
        if at == end:
            return None  # a keepalive
        kind = data[at]
        size = end - at
        spans = SPANS.get(kind)
        if spans is not None:
            if size != 13:
                return self._close(f"a message of kind {kind} with {size} bytes")
            if kind == _REJECTS and not self.fast:
                return self._close("a message of the fast extension, which was not agreed on")
            found = [_span(data, at)]
            self._like(kind, found)
            return spans(found)
        return self._single(kind, bytes(data[at + 1 : end]))

    def _like(self, kind: int, found: list[Span]) -> None:
        """Add the spans of the messages that follow, as long as they are of the same kind."""
        data, at = self._data, self._at
        start = bytes((0, 0, 0, 13, kind))
        while len(data) - at >= 17 and data[at : at + 5] == start:
            found.append(_span(data, at + 4))
            at += 17
        self._at = at

    def _single(self, kind: int, payload: bytes) -> Event | None:
        """One message that is never batched."""
        event: Message
        signal, index = SIGNALS.get(kind), INDEXES.get(kind)
        if signal is not None:
            expected, event = 0, signal
        elif index is not None:
            expected, event = 4, index(int.from_bytes(payload, "big"))
        elif kind == _BITFIELD:
            expected, event = self._field_length, BitfieldMessage(payload)
        elif kind == _EXTENDED:
            if not payload or not self.extended:
                return self._close("an extended message without its number, or not agreed on")
            return Extended(payload[0], payload[1:])
        elif kind == _BLOCKS:
            return self._close("a block without its head, or of a piece that does not exist")
        else:
            self.skipped += 1
            return None
        if len(payload) != expected:
            return self._close(f"a message of kind {kind} with {1 + len(payload)} bytes")
        if event.fast and not self.fast:
            return self._close("a message of the fast extension, which was not agreed on")
        if index is not None and int.from_bytes(payload, "big") >= self._pieces:
            return self._close("a piece that does not exist")
        if isinstance(event, _FIRST):
            # aria2 says with another bitfield, later, what would take more bytes as Haves
            if not self._first and kind != _BITFIELD:
                return self._close("Have All or Have None that is not the first word about pieces")
            self._first = False
            if kind == _BITFIELD and not _spare_bits_clear(payload, self._pieces):
                return self._close("a bitfield with spare bits set")
        elif isinstance(event, Have):
            self._first = False
        return event

    def _close(self, reason: str) -> Close:
        self._state = STATES.step(self._state, "close")
        self._data = self._rest = b""
        self._at = self._rest_at = 0
        self._head = bytearray()
        return Close(reason)


def _span(data: Buffer, at: int) -> Span:
    """The span of the message whose kind is at ``at``."""
    _, piece, begin, length = _SPAN_BODY.unpack_from(data, at)
    return piece, begin, length


def _spare_bits_clear(bits: bytes, pieces: int) -> bool:
    """Whether a bitfield ends as BEP 3 wants it."""
    return not bits or not bits[-1] & ((1 << -pieces % 8) - 1)
