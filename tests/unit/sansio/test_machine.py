"""What machines of lines inherit: lines, floods, silence, the end."""

from __future__ import annotations

from netsuite.sansio.connection import NEED_DATA, Close
from netsuite.sansio.machine import Machine


class Lines(Machine):
    """Tells every line of at most ten bytes; waits five seconds."""

    def step(self):
        line = self.line(11)
        return self.close("too long") if line is None else line

    def patience(self):
        return 5.0

    def send(self, item, now):
        raise AssertionError("nothing is said here")


def test_lines_come_without_their_end_however_they_are_cut():
    machine = Lines(0.0)
    for byte in b"one\n\ntwo\r\n":
        machine.receive(bytes([byte]), 0.0)
    assert [machine.next_event() for _ in range(4)] == [b"one", b"", b"two\r", NEED_DATA]
    assert machine.idle


def test_the_longest_line_and_one_byte_more():
    machine = Lines(0.0)
    machine.receive(b"0123456789\n0123456789", 0.0)
    assert machine.next_event() == b"0123456789"
    assert machine.next_event() is NEED_DATA
    machine.receive(b"0\n", 0.0)
    assert machine.next_event() == Close("too long")
    assert machine.next_event() is NEED_DATA
    assert not machine.backlog()


def test_more_than_may_wait():
    machine = Lines(0.0, most=4)
    machine.receive(b"a\nb\n", 0.0)
    assert not machine.over
    machine.receive(b"c", 0.0)
    assert machine.over
    assert machine.next_event() == Close("the peer sends more than can wait")


def test_silence_counts_from_the_first_byte_of_a_line():
    machine = Lines(0.0)
    assert machine.deadline() == 5.0
    machine.receive(b"a", 3.0)
    machine.receive(b"b", 7.0)
    assert machine.deadline() == 8.0
    machine.tick(7.9)
    assert not machine.over
    machine.tick(8.0)
    assert machine.next_event() == Close("the peer is silent")
    assert machine.deadline() is None
    machine.receive(b"c\n", 9.0)
    assert machine.next_event() is NEED_DATA
