"""The line machine, both roles."""

from __future__ import annotations

import pytest

from netsuite.sansio.connection import NEED_DATA, PAUSED, Close, Drain, StateError
from netsuite.sansio.machine import MOST_WAITING
from netsuite.testing.connection_case import START, ConnectionCase, Conversation
from netsuite.upper.wire import Line, LineConnection


class TestServer(ConnectionCase):
    max_examples = 30

    def make(self):
        return LineConnection(START, answers=True)

    def make_peer(self):
        return LineConnection(START, answers=False)

    def conversations(self):
        return [b"hello\n", b"a\r\n\nsecond\n", "stra\u00dfe\n".encode()]

    def answer(self, message):
        return [Line(message.text.upper())]


class TestClient(ConnectionCase):
    max_examples = 30

    def make_peer(self):
        return LineConnection(START, answers=True)

    def make(self):
        return LineConnection(START, answers=False)

    def conversations(self):
        return [Conversation(b"HELLO\n", opening=(Line(b"hello"),)), Conversation(b"A\nB\n", opening=(Line(b"a"),))]


def test_the_next_line_waits_for_the_answer():
    machine = LineConnection(START, answers=True)
    machine.receive(b"one\ntwo\n", START)
    assert machine.next_event() == Line(b"one")
    assert machine.next_event() is PAUSED
    machine.send(Line(b"ONE"), START)
    assert machine.next_event() == Line(b"two")
    assert machine.outgoing() == [b"ONE\n"]


def test_a_last_line_needs_no_line_end():
    machine = LineConnection(START, answers=True)
    machine.receive(b"end", START)
    assert machine.next_event() is NEED_DATA
    machine.receive(b"", START)
    assert machine.next_event() == Line(b"end")


@pytest.mark.parametrize("size", [100, 101])
def test_the_longest_line(size):
    machine = LineConnection(START, answers=True, longest=100)
    machine.receive(b"x" * size + b"\n", START)
    event = machine.next_event()
    assert type(event) is (Line if size == 100 else Close)


def test_nothing_may_be_sent_that_is_not_owed():
    with pytest.raises(StateError):
        LineConnection(START, answers=True).send(Line(b"HELLO"), START)


def test_a_line_carries_no_line_end_within():
    with pytest.raises(StateError):
        LineConnection(START, answers=False).send(Line(b"a\nb"), START)


def test_a_drain_answers_what_has_come():
    machine = LineConnection(START, answers=True)
    machine.receive(b"one\n", START)
    assert machine.next_event() == Line(b"one")
    machine.send(Drain(), START)
    assert machine.next_event() is PAUSED
    machine.send(Line(b"ONE"), START)
    assert type(machine.next_event()) is Close
    assert machine.outgoing() == [b"ONE\n"]


def test_more_than_can_wait_ends_the_connection():
    machine = LineConnection(START, answers=True)
    machine.receive(b"one\n", START)
    assert machine.next_event() == Line(b"one")
    machine.receive(b"x\n" * (MOST_WAITING // 2 + 1), START)
    assert machine.next_event() == Close("the peer sends more than can wait")
    assert machine.next_event() is NEED_DATA
    assert machine.backlog() == 0
