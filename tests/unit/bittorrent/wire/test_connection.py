"""The peer machine, both sides."""

from __future__ import annotations

import struct

import pytest

from netsuite.bittorrent.wire.connection import PeerConnection, PeerLimits
from netsuite.bittorrent.wire.messages import (
    LARGEST_BLOCK,
    PROTOCOL,
    AllowedFast,
    BitfieldMessage,
    Blocks,
    Cancels,
    Choke,
    Extended,
    Handshake,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    NotInterested,
    Rejects,
    Requests,
    Suggest,
    Unchoke,
)
from netsuite.sansio.connection import NEED_DATA, PAUSED, UNLIMITED, Close, Data, Drain, StateError
from netsuite.testing.connection_case import START, ConnectionCase, Conversation

HASH = bytes(range(20))
OURS = Handshake(HASH, b"-NS0000-aaaaaaaaaaaa", pieces=20)
THEIRS = Handshake(HASH, b"-XX0000-bbbbbbbbbbbb", pieces=20)
BLOCK = bytes(range(256)) * 4

EVERYTHING = [
    BitfieldMessage(b"\x80\x01\x10"),
    Extended(0, b"de"),
    Interested(),
    Unchoke(),
    Requests([(1, 0, 16384), (1, 16384, 16384), (19, 5, 1)]),
    Cancels([(1, 0, 16384)]),
    Blocks([(2, 0, BLOCK), (2, 1024, BLOCK), (3, 0, b"")]),
    Have(7),
    Blocks([(4, 0, BLOCK)]),
    Rejects([(1, 0, 16384), (1, 16384, 16384)]),
    Suggest(3),
    AllowedFast(19),
    Choke(),
    NotInterested(),
]


def encoded(*messages):
    return b"".join(bytes(chunk) for message in messages for chunk in message.encode())


def frame(kind, payload=b""):
    return struct.pack(">IB", 1 + len(payload), kind) + payload


class PeerCase(ConnectionCase):
    max_examples = 40

    def views(self, event):
        """Batches one by one: how they were cut depends on how the bytes were."""
        if isinstance(event, Blocks):
            return [(Blocks, piece, begin, bytes(data)) for piece, begin, data in event.blocks]
        if isinstance(event, Requests | Cancels | Rejects):
            return [(type(event), *span) for span in event.spans]
        return [event]


class TestCalled(PeerCase):
    """Who is connected to."""

    def make(self):
        return PeerConnection(START)

    def make_peer(self):
        return PeerConnection(START)

    def answer(self, message):
        if isinstance(message, Handshake):
            return [OURS]
        if isinstance(message, Requests):
            return [Blocks([(piece, begin, bytes(length)) for piece, begin, length in message.spans])]
        return []

    def conversations(self):
        return [
            Conversation(encoded(THEIRS, *EVERYTHING), peer=(THEIRS,)),
            Conversation(encoded(THEIRS, HaveAll(), Have(3)), peer=(THEIRS,)),
            Conversation(encoded(THEIRS, HaveNone()) + bytes(8) + frame(99, b"unknown"), peer=(THEIRS,)),
        ]


class TestCalling(TestCalled):
    """Who connects."""

    def conversations(self):
        return [each._replace(opening=(OURS,)) for each in super().conversations()]

    def answer(self, message):
        """Nothing, not even greetings: what follows a second one would be answered after the end."""
        return []


def opened(*, fast=True, extended=True, limits=PeerLimits(), ours=OURS):
    """A machine after both greetings, ours sent."""
    machine = PeerConnection(START, limits)
    machine.send(ours, START)
    machine.outgoing()
    machine.receive(encoded(Handshake(HASH, THEIRS.peer_id, fast, extended)), START)
    assert machine.next_event() == Handshake(HASH, THEIRS.peer_id, fast, extended)
    return machine


def events(machine, data, now=START):
    machine.receive(data, now)
    found = []
    while (event := machine.next_event()) is not NEED_DATA:
        assert event is not PAUSED
        found.append(event)
    return found


def test_the_greeting_in_bytes():
    assert bytes(encoded(OURS)) == (
        b"\x13BitTorrent protocol" + bytes([0, 0, 0, 0, 0, 0x10, 0, 0x04]) + HASH + b"-NS0000-aaaaaaaaaaaa"
    )


def test_every_message_both_ways():
    machine, sender = opened(), opened()
    for message in EVERYTHING:
        sender.send(message, START)
    found = events(machine, b"".join(bytes(chunk) for chunk in sender.outgoing()))
    assert found == EVERYTHING


def test_nothing_is_read_before_we_have_greeted():
    machine = PeerConnection(START)
    machine.receive(encoded(THEIRS, Interested()), START)
    assert machine.next_event() == Handshake(HASH, THEIRS.peer_id)
    assert machine.next_event() is PAUSED
    assert machine.backlog() == 5
    machine.send(OURS, START)
    assert machine.next_event() == Interested()
    assert machine.backlog() == 0


@pytest.mark.parametrize("at", range(len(PROTOCOL)))
def test_another_protocol_is_closed_at_its_first_wrong_byte(at):
    machine = PeerConnection(START)
    wrong = bytearray(PROTOCOL[: at + 1])
    wrong[at] ^= 1
    machine.receive(bytes(wrong), START)
    assert machine.next_event() == Close("this is not the BitTorrent protocol")


def test_another_torrent():
    machine = PeerConnection(START)
    machine.send(OURS, START)
    machine.receive(encoded(Handshake(bytes(20), THEIRS.peer_id)), START)
    assert machine.next_event() == Close("the peer speaks of another torrent")


def test_a_batch_spans_chunks_and_copies_only_what_straddles():
    block = bytes(16384)
    stream = encoded(Blocks([(1, at * 16384, block) for at in range(8)]))
    machine = opened()
    (first,) = events(machine, stream[:100_000])
    (second,) = events(machine, stream[100_000:])
    assert [begin // 16384 for _, begin, _ in (*first.blocks, *second.blocks)] == list(range(8))
    assert all(len(data) == 16384 for _, _, data in (*first.blocks, *second.blocks))


def test_a_small_block_does_not_keep_a_large_receive():
    machine = opened()
    found = events(machine, encoded(Blocks([(1, 0, b"x")])) + bytes(4) * 1000)
    assert found == [Blocks([(1, 0, b"x")])]
    assert type(found[0].blocks[0][2]) is bytes


@pytest.mark.parametrize(
    "message",
    [HaveAll(), HaveNone(), Suggest(1), Rejects([(1, 0, 16384)]), AllowedFast(1)],
    ids=lambda message: type(message).__name__,
)
def test_fast_messages_only_where_agreed(message):
    machine = opened(fast=False)
    with pytest.raises(StateError):
        machine.send(message, START)
    assert events(machine, encoded(message)) == [Close("a message of the fast extension, which was not agreed on")]


def test_extended_messages_only_where_agreed():
    machine = opened(extended=False)
    with pytest.raises(StateError):
        machine.send(Extended(0, b"de"), START)
    (closed,) = events(machine, encoded(Extended(0, b"de")))
    assert isinstance(closed, Close)


def test_a_bitfield_may_come_in_place_of_many_haves():
    """aria2 does so, when that is shorter."""
    later = [HaveNone(), Have(1), BitfieldMessage(b"\xc0\0\0"), BitfieldMessage(b"\xe0\0\0")]
    assert events(opened(), encoded(*later)) == later


@pytest.mark.parametrize(
    "data",
    [
        encoded(Have(20)),
        encoded(Suggest(20)),
        encoded(AllowedFast(1 << 31)),
        encoded(Blocks([(20, 0, b"x")])),
        frame(5, b"\x80\x01"),
        frame(5, b"\x80\x01\x00\x00"),
        frame(5, b"\x80\x01\x08"),  # a spare bit
        frame(0, b"x"),
        frame(4, b"xxx"),
        frame(6, bytes(11)),
        frame(6, bytes(13)),
        frame(7, bytes(7)),
        frame(14, b"x"),
        frame(16, bytes(4)),
        frame(20),
        encoded(HaveAll(), HaveNone()),
        encoded(Have(1), HaveAll()),
        struct.pack(">I", LARGEST_BLOCK + 1025),
        struct.pack(">I", 0xFFFFFFFF) + b"x",
    ],
)
def test_what_breaks_the_protocol_closes(data):
    machine = opened()
    assert isinstance(events(machine, data)[-1], Close)
    assert machine.backlog() == 0
    assert events(machine, encoded(Have(1))) == []


def test_what_came_before_a_breach_is_still_told():
    blocks = Blocks([(1, 0, BLOCK)])
    found = events(opened(), encoded(blocks) + frame(4, b"x"))
    assert found[0] == blocks
    assert isinstance(found[1], Close)


def test_a_large_torrent_may_have_a_large_bitfield():
    pieces = 8 * (LARGEST_BLOCK + 5000)
    machine = opened(ours=Handshake(HASH, OURS.peer_id, pieces=pieces))
    (field,) = events(machine, frame(5, bytes(pieces // 8)))
    assert len(field.bits) == pieces // 8


def test_unknown_messages_are_skipped_and_counted():
    machine = opened()
    assert events(machine, frame(9, b"\x1a\xe1") + frame(99, bytes(5000)) + encoded(Choke())) == [Choke()]
    assert machine.skipped == 2


def test_a_handshake_that_does_not_come():
    machine = PeerConnection(START)
    assert machine.deadline() == START + 20
    machine.receive(PROTOCOL, START + 19)
    assert machine.next_event() is NEED_DATA
    assert machine.deadline() == START + 20
    machine.tick(START + 20)
    assert machine.next_event() == Close("the handshake took too long")


def test_keepalives():
    machine = opened()
    machine.send(Interested(), START + 10)
    machine.outgoing()
    assert machine.deadline() == START + 110
    machine.tick(START + 110)
    assert machine.outgoing() == [bytes(4)]
    assert machine.deadline() == START + 210
    assert events(machine, bytes(4), START + 200) == []
    machine.tick(START + 210)
    assert machine.deadline() == START + 310


def test_half_a_message_is_silence():
    machine = opened()
    assert events(machine, encoded(Blocks([(1, 0, BLOCK)]))[:-1], START + 230) == []
    machine.tick(START + 240)
    assert machine.next_event() == Close("the peer is silent")


def test_a_second_greeting_is_our_fault():
    with pytest.raises(StateError):
        opened().send(OURS, START)
    with pytest.raises(StateError):
        PeerConnection(START).send(Choke(), START)
    with pytest.raises(StateError):
        PeerConnection(START).send(Handshake(b"short", OURS.peer_id), START)
    with pytest.raises(StateError):
        opened().send(Data(0, b""), START)


def test_drain_and_the_end():
    machine = opened()
    machine.send(Drain(), START)
    assert machine.next_event() == Close("draining")
    machine = opened()
    assert machine.room() == UNLIMITED
    assert events(machine, b"") == [Close("the peer has said all")]
    assert machine.deadline() is None
