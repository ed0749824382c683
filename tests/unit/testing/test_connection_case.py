"""ConnectionCase passes a machine that is right, and finds each way to be wrong."""

from __future__ import annotations

import unittest

import pytest

from netsuite.testing.connection_case import ConnectionCase, Conversation

from .lines import Line, Lines


class TestLines(ConnectionCase):
    faults = ()
    max_examples = 50
    backlog_limit = 16 * 1024
    patience = 60.0

    def make(self):
        return Lines(*self.faults)

    def make_peer(self):
        return Lines("takes all")

    def conversations(self):
        return [b"hello\n", Conversation(b"abc\nbcd\n\nwhat is this\n"), b"a line of more than thirty bytes\nab\nBYE\n"]

    def answer(self, message):
        return [Line(message.stream, message.text.upper())]

    def check_read_back(self, sent, received):
        texts = [item.text for item in sent if isinstance(item, Line)]
        assert texts[:1] == [event.text for event in received[:1]]


class TestLinesUnderUnittest(TestLines, unittest.TestCase):
    max_examples = 5


@pytest.mark.parametrize(
    ("fault", "found_by"),
    [
        ("always idle", "a_half_read_message_is_not_idle"),
        ("raises", "no_input_raises"),
        ("forgets", "any_split_gives_the_same"),
        ("no patience", "a_dribbling_peer_is_given_up"),
        ("says close twice", "the_end_of_input_closes"),
        ("loud", "no_input_raises"),
        ("takes all", "a_flood_is_held_back"),
        ("any length", "what_never_ends_is_refused"),
        ("waits", "the_end_of_input_closes"),
        ("silent", "an_abandoned_answer_is_said_or_closes"),
        ("unreadable", "what_is_written_parses_back"),
        ("no deadline", "a_stalled_peer_is_given_up"),
        ("eternal", "a_stalled_peer_is_given_up"),
        ("hasty", "a_tick_before_the_deadline_changes_nothing"),
        ("hangs on", "a_drain_ends_in_close"),
        ("hides", "a_flood_is_held_back"),
    ],
)
def test_each_fault_is_found(fault, found_by):
    case = TestLines()
    case.faults = (fault,)
    with pytest.raises((AssertionError, ValueError)):
        getattr(case, f"test_{found_by}")()
