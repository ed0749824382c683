"""WebSocket frames: what a client may say, what it may not, and what we say; wsproto is the other side."""

from __future__ import annotations

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.events import Pong as PongEvent

from netsuite.http.wire.websocket import Closed, Deflate, Message, Pong, WebSocketMachine, accept_key, negotiated

MASK = b"\x12\x34\x56\x78"


def frame(first, payload=b"", *, mask=MASK, length=None):
    size = len(payload)
    if length is None:
        length = (
            bytes([size]) if size < 126
            else b"\x7e" + size.to_bytes(2, "big") if size < 65536
            else b"\x7f" + size.to_bytes(8, "big")
        )  # fmt: skip
    if mask is None:
        return bytes([first]) + length + payload
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([first, length[0] | 0x80]) + length[1:] + mask + masked


DEFLATE = Deflate(15, b"")
TEXT = "Hällo €".encode()


def packed(data):
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


GOOD = [
    ("empty text", frame(0x81), [Message("")]),
    ("text", frame(0x81, TEXT), [Message("Hällo €")]),
    ("bytes", frame(0x82, b"\0\xff"), [Message(b"\0\xff")]),
    ("125", frame(0x82, b"x" * 125), [Message(b"x" * 125)]),
    ("126", frame(0x82, b"x" * 126), [Message(b"x" * 126)]),
    ("65535", frame(0x82, b"x" * 65535), [Message(b"x" * 65535)]),
    ("65536", frame(0x82, b"x" * 65536), [Message(b"x" * 65536)]),
    ("no mask to speak of", frame(0x81, TEXT, mask=bytes(4)), [Message("Hällo €")]),
    ("fragments", frame(0x01, TEXT[:3]) + frame(0x00) + frame(0x80, TEXT[3:]), [Message("Hällo €")]),
    ("a character cut in two", frame(0x01, b"\xc3") + frame(0x80, b"\xa4"), [Message("ä")]),
    ("a ping between fragments", frame(0x01, b"a") + frame(0x89, b"p") + frame(0x80, b"b"), [Message("ab")]),
    ("a pong nobody asked for", frame(0x8A, b"x"), [Pong(b"x")]),
    ("a close without a code", frame(0x88), [Closed(1005, "")]),
    ("a close", frame(0x88, b"\x03\xe8bye"), [Closed(1000, "bye")]),
    ("a private code", frame(0x88, b"\x0b\xb8"), [Closed(3000, "")]),
    ("nothing after a close", frame(0x88, b"\x03\xe8") + frame(0x81, b"x"), [Closed(1000, "")]),
]
BAD = [
    (1002, "no mask", frame(0x81, b"x", mask=None)),
    (1002, "opcode 3", frame(0x83)),
    (1002, "opcode 11", frame(0x8B)),
    (1002, "rsv1", frame(0xC1)),
    (1002, "rsv2", frame(0xA1)),
    (1002, "rsv3", frame(0x91)),
    (1002, "a long ping", frame(0x89, b"x" * 126)),
    (1002, "a ping in fragments", frame(0x09, b"x")),
    (1002, "a close in fragments", frame(0x08, b"\x03\xe8")),
    (1002, "a continuation of nothing", frame(0x80, b"x")),
    (1002, "a second message within one", frame(0x01, b"x") + frame(0x81, b"y")),
    (1002, "a length that is too long", frame(0x82, b"xx", length=b"\x7e\0\x02")),
    (1002, "a length that is far too long", frame(0x82, b"xx", length=b"\x7f" + bytes(7) + b"\x02")),
    (1002, "a negative length", frame(0x82, b"", length=b"\x7f" + b"\xff" * 8)),
    (1002, "half a code", frame(0x88, b"\x03")),
    *(
        (1002, f"code {code}", frame(0x88, code.to_bytes(2, "big")))
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)
    ),
    (1007, "a reason that is no text", frame(0x88, b"\x03\xe8\xff")),
    (1007, "no UTF-8", frame(0x81, b"\xff")),
    (1007, "half a character", frame(0x81, b"\xc3")),
    (1007, "a surrogate", frame(0x81, b"\xed\xa0\x80")),
    (1007, "no UTF-8 in the first fragment", frame(0x01, b"\xf4\x90")),
    (1009, "too much", frame(0x82, b"x" * 70_001)),
    (1009, "too much in pieces", frame(0x02, b"x" * 60_000) + frame(0x80, b"x" * 10_001)),
]  # fmt: skip


def machine(**options):
    return WebSocketMachine(limit=70_000, **options)


@pytest.mark.parametrize(("raw", "events"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_what_clients_say(raw, events, step):
    if step == 1 and len(raw) > 1000:
        step = 997
    sides = machine()
    got = [event for at in range(0, len(raw), step) for event in sides.receive(raw[at : at + step])]
    assert got == events


@pytest.mark.parametrize(("code", "raw"), [(case[0], case[2]) for case in BAD], ids=[case[1] for case in BAD])
def test_what_breaks_the_protocol(code, raw):
    sides = machine()
    *_, event = sides.receive(raw)
    assert isinstance(event, Closed)
    assert event.code == code
    assert sides.over
    written = sides.outgoing()
    assert written[0] == 0x88
    assert int.from_bytes(written[2:4], "big") == code
    assert sides.receive(frame(0x81, b"more")) == ()
    sides.send("nothing")
    assert sides.outgoing() == b""


def test_what_is_answered():
    sides = machine()
    sides.receive(frame(0x89, b"are you there"))
    assert sides.outgoing() == b"\x8a\x0dare you there"
    sides.receive(frame(0x88, b"\x0f\xa0good"))
    assert sides.outgoing() == b"\x88\x02\x0f\xa0"
    sides = machine()
    assert list(sides.receive(b"")) == [Closed(1006, "the connection ended without a close")]


def test_our_own_close():
    sides = machine()
    sides.close(1001, "ä" * 100)
    sides.close(1000)
    written = sides.outgoing()
    assert written == b"\x88\x7c\x03\xe9" + "ä".encode() * 61
    assert list(sides.receive(frame(0x81, b"late"))) == [Message("late")]
    assert list(sides.receive(frame(0x88, b"\x03\xe9"))) == [Closed(1001, "")]
    assert sides.outgoing() == b""
    for code in (0, 1005, 1006, 1015, 2000, 5000):
        with pytest.raises(ValueError, match="no code"):
            machine().close(code)


def test_packed_messages_are_unpacked_and_bounded():
    sides = machine(deflate=DEFLATE)
    whole = packed(TEXT * 100)
    assert list(sides.receive(frame(0xC1, whole))) == [Message(TEXT.decode() * 100)]
    pieces = frame(0x41, whole[:5]) + frame(0x00, whole[5:9]) + frame(0x80, whole[9:])
    assert list(sides.receive(pieces)) == [Message(TEXT.decode() * 100)]
    assert list(sides.receive(frame(0x81, b"plain"))) == [Message("plain")]
    (event,) = sides.receive(frame(0xC2, packed(bytes(10_000_000))))
    assert (event.code, sides.over) == (1009, True)
    (event,) = machine(deflate=DEFLATE).receive(frame(0xC2, b"\xff\xff\xff"))
    assert event.code == 1007
    (event,) = machine(deflate=DEFLATE).receive(frame(0x02, b"x") + frame(0xC0, b"y"))
    assert event.code == 1002


@pytest.mark.parametrize("deflate", [None, DEFLATE, Deflate(9, b"")])
def test_wsproto_understands_us(deflate):
    from wsproto.extensions import PerMessageDeflate

    extensions = []
    if deflate is not None:
        extension = PerMessageDeflate()
        extension.finalize("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
        extensions = [extension]
    client = Connection(ConnectionType.CLIENT, extensions)
    ours = machine(deflate=deflate)
    noise = os.urandom(65_000)
    for message in ("", "text", "long " * 5000, b"", b"bytes", noise):
        ours.send(message)
        client.receive_data(ours.outgoing())
        parts = [event.data for event in client.events()]
        assert (message[:0]).join(parts) == message
        event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        assert list(ours.receive(client.send(event))) == [Message(message)]
    ours.ping(b"x")
    client.receive_data(ours.outgoing())
    (event,) = client.events()
    assert isinstance(event, Ping)
    assert list(ours.receive(client.send(event.response()))) == [Pong(b"x")]
    ours.receive(client.send(Ping(b"y")))
    client.receive_data(ours.outgoing())
    assert isinstance(next(client.events()), PongEvent)
    assert list(ours.receive(client.send(CloseConnection(4000, "done")))) == [Closed(4000, "done")]
    client.receive_data(ours.outgoing())
    assert isinstance(next(client.events()), CloseConnection)


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_nothing_that_comes_raises(chunks, deflated):
    sides = WebSocketMachine(limit=100, deflate=DEFLATE if deflated else None)
    for chunk in chunks:
        sides.receive(chunk)
    sides.send("x")
    sides.outgoing()


def test_keys():
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for key in (None, b"", b"short", b"dGhlIHNhbXBsZSBub25jZQ", b"AAAA"):
        assert accept_key(key) is None


@pytest.mark.parametrize(
    ("offers", "bits"),
    [
        (None, None),
        (b"x-webkit-deflate-frame", None),
        (b"permessage-deflate", 15),
        (b"permessage-deflate; client_max_window_bits", 15),
        (b"permessage-deflate; server_max_window_bits=10; client_no_context_takeover", 10),
        (b'permessage-deflate; server_max_window_bits="12"', 12),
        (b"permessage-deflate; server_max_window_bits=8", None),
        (b"permessage-deflate; server_max_window_bits=8, permessage-deflate", 15),
        (b"permessage-deflate; server_max_window_bits", None),
        (b"permessage-deflate; client_max_window_bits=16", None),
        (b"permessage-deflate; server_no_context_takeover=1", None),
        (b"permessage-deflate; a=b", None),
        (b"permessage-deflate; client_max_window_bits; client_max_window_bits", None),
    ],
)
def test_what_is_agreed_on(offers, bits):
    agreed = negotiated(offers)
    assert (None if agreed is None else agreed.bits) == bits
    assert agreed is None or (b"server_max_window_bits=%d" % bits in agreed.answer) is (bits != 15)
