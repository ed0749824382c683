"""DNS over TCP as a machine: the contract's properties, both roles, order, limits and the end."""

from __future__ import annotations

import struct

import pytest

from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.sansio.connection import NEED_DATA, PAUSED, Abandon, Close, Drain, Failed, Part, StateError
from netsuite.testing.connection_case import START, ConnectionCase, Conversation


def query(number=1, size=20):
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + bytes(size - 12)


def reply(data):
    return data[:2] + bytes([data[2] | 0x80]) + data[3:]


def framed(*messages):
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def client():
    return DnsConnection(START, server=False)


def server(**limits):
    return DnsConnection(START, server=True, limits=DnsStreamLimits(**limits))


class TestServer(ConnectionCase):
    def make(self):
        return server()

    def conversations(self):
        questions = [query(n) for n in range(5)]
        spoken = [[query()], [query(7, 12)], questions, [query(3, 65535)]]
        return [
            Conversation(framed(*said), peer=tuple(Message(n, data) for n, data in enumerate(said))) for said in spoken
        ]

    def answer(self, message):
        return [Message(message.stream, reply(message.data))]

    def make_peer(self):
        return client()

    most_owed = 128


class TestClient(ConnectionCase):
    def make(self):
        return client()

    def conversations(self):
        questions = [query(n) for n in range(5)]
        opening = tuple(Message(n, data) for n, data in enumerate(questions))
        return [Conversation(framed(*(reply(data) for data in reversed(questions))), opening=opening)]


def events(machine):
    out = []
    while (event := machine.next_event()) not in (NEED_DATA, PAUSED):
        out.append(event)
    return out


def test_answers_may_overtake_one_another():
    machine = server()
    machine.receive(framed(query(1), query(2), query(3)), START)
    asked = events(machine)
    assert [message.stream for message in asked] == [0, 1, 2]
    for message in reversed(asked):
        machine.send(Message(message.stream, reply(message.data)), START)
    assert b"".join(machine.outgoing()) == framed(*(reply(query(n)) for n in (3, 2, 1)))
    assert machine.idle


def test_a_client_finds_the_question_of_each_answer():
    machine = client()
    machine.send(Message(70, query(1)), START)
    machine.send(Message(71, query(2)), START)
    assert b"".join(machine.outgoing()) == framed(query(1), query(2))
    # An unknown id, and a query where an answer should be, are nobody's.
    machine.receive(framed(reply(query(9)), query(1), reply(query(2)), reply(query(1))), START)
    assert events(machine) == [Message(71, reply(query(2))), Message(70, reply(query(1)))]
    assert machine.idle


def test_a_client_that_gave_up_ignores_the_answer():
    machine = client()
    machine.send(Message(1, query(5)), START)
    machine.send(Abandon(1, "timed out"), START)
    machine.receive(framed(reply(query(5))), START)
    assert events(machine) == []
    machine.send(Message(2, query(5)), START)


def test_what_was_awaited_fails_when_the_server_closes():
    machine = client()
    machine.send(Message(1, query(1)), START)
    machine.send(Message(2, query(2)), START)
    machine.receive(framed(reply(query(1))) + b"\0", START)
    machine.receive(b"", START)
    assert events(machine) == [
        Message(1, reply(query(1))),
        Failed(2, "the input ended inside a message"),
        Close("the input ended inside a message"),
    ]


def test_too_many_queries_wait_unread():
    machine = server(outstanding=2)
    machine.receive(framed(query(1), query(2), query(3)), START)
    first, second = (machine.next_event() for _ in range(2))
    assert machine.next_event() is PAUSED
    assert machine.deadline() is None
    machine.tick(START + 1000)
    machine.send(Message(second.stream, reply(second.data)), START + 1000)
    # The query that waited was not the client's fault.
    machine.tick(START + 1001)
    third = machine.next_event()
    assert third.data == query(3)
    assert first.stream == 0


def test_a_client_waits_for_an_answer_no_longer_than_for_anything_else():
    machine = client()
    machine.send(Message(1, query(1)), START)
    machine.tick(machine.deadline())
    assert events(machine) == [Failed(1, "idle"), Close("idle")]


def test_abandoned_queries_get_servfail():
    machine = server()
    machine.receive(framed(query(0x4242)), START)
    machine.send(Abandon(machine.next_event().stream, "it broke"), START)
    (out,) = machine.outgoing()
    assert out[2:6] == b"\x42\x42\x81\x02"


def test_the_end_waits_for_what_is_owed():
    machine = server()
    machine.receive(framed(query()), START)
    message = machine.next_event()
    machine.receive(b"", START)
    assert machine.next_event() is NEED_DATA
    machine.send(Message(message.stream, reply(message.data)), START)
    assert events(machine) == [Close("the input ended")]


def test_drain_finishes_what_is_in_flight():
    machine = server()
    machine.receive(framed(query()), START)
    message = machine.next_event()
    machine.send(Drain(), START)
    assert machine.next_event() is NEED_DATA
    machine.send(Message(message.stream, reply(message.data)), START)
    assert events(machine) == [Close("drained")]


def test_idle_and_half_read_connections_end():
    machine = server(idle=5, message=2)
    assert machine.deadline() == START + 5
    machine.receive(framed(query())[:-1], START + 1)
    events(machine)
    assert machine.deadline() == START + 3
    machine.receive(framed(query())[-1:], START + 2)
    message = machine.next_event()
    # An answer that is owed is our affair.
    assert machine.deadline() is None
    machine.send(Message(message.stream, reply(message.data)), START + 4)
    assert machine.deadline() == START + 9
    machine.tick(START + 8)
    assert events(machine) == []
    machine.tick(START + 9)
    assert events(machine) == [Close("idle")]


@pytest.mark.parametrize("data", [b"\0\0", b"\0\x0b" + bytes(11)])
def test_a_message_shorter_than_a_header_ends_it(data):
    machine = server()
    machine.receive(data, START)
    assert events(machine) == [Close("a message shorter than a header")]


def test_faults_of_the_caller():
    machine = server()
    with pytest.raises(StateError, match="no query 3"):
        machine.send(Message(3, query()), START)
    with pytest.raises(StateError, match="no query 0"):
        machine.send(Part(0, b""), START)
    machine.receive(framed(query()), START)
    machine.next_event()
    with pytest.raises(StateError, match="several messages"):
        machine.send(Part(0, bytes(12)), START)
    with pytest.raises(StateError, match="11 bytes"):
        machine.send(Message(0, bytes(11)), START)
    asking = client()
    asking.send(Message(1, query(1)), START)
    with pytest.raises(StateError, match="under way"):
        asking.send(Message(1, query(2)), START)
    with pytest.raises(StateError, match="under way"):
        asking.send(Message(2, query(1)), START)
