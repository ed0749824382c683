"""The server's machine as conversations."""

from __future__ import annotations

import pytest

from netsuite.mail.imap.wire.connection import Answer, ImapConnection, Limits, Line, Prompt, Untagged
from netsuite.sansio.connection import NEED_DATA, PAUSED, Close, Data, End, Failed, Upgrade
from netsuite.testing.connection_case import START, ConnectionCase

GREETING = b"* OK ready\r\n"


def machine(**limits):
    made = ImapConnection(START, GREETING, lambda channel: machine(), Limits(**limits))
    made.outgoing()
    return made


def known(**limits):
    made = machine(**limits)
    made.receive(b"a LOGIN x y\r\n", START)
    made.next_event()
    made.send(Answer(b"a OK\r\n", then="known"), START)
    made.outgoing()
    return made


class TestServer(ConnectionCase):
    max_examples = 40

    def make(self):
        return ImapConnection(START, GREETING, lambda channel: self.make())

    def conversations(self):
        return [
            b'a1 LOGIN alice "se cret"\r\na2 SELECT INBOX\r\na3 FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (To)])\r\n',
            b"a LOGIN {5}\r\nalice {6+}\r\nsecret\r\n",
            b"a APPEND INBOX (\\Seen) {11+}\r\nhello\r\n\r\nyo\r\nb NOOP\r\n",
            b"x AUTHENTICATE PLAIN\r\nAGEAYg==\r\ny IDLE\r\nDONE\r\nz LOGOUT\r\n",
            b"nonsense\r\nb UID SEARCH RETURN (MIN) SINCE 1-Jan-2020 NOT DELETED\r\nc STARTTLS\r\n",
        ]

    def answer(self, message):
        if type(message) is Line:
            return [Answer(b"x OK done\r\n", then="known")]
        if message.name in ("AUTHENTICATE", "IDLE"):
            return [Prompt(b" idling")]
        then = {"LOGIN": "known", "STARTTLS": "secure", "LOGOUT": "close"}.get(message.name, "")
        return [Answer(message.tag + b" OK done\r\n", then=then)]


def test_a_message_is_asked_for_when_it_is_wanted():
    imap = known()
    imap.receive(b"b APPEND INBOX {5}\r\n", START)
    command = imap.next_event()
    assert (command.name, command.arguments, command.has_body) == ("APPEND", ("INBOX", (), None, 5), True)
    assert imap.next_event() is PAUSED and imap.outgoing() == []
    imap.consumed(0)
    assert imap.outgoing() == [b"+ go on\r\n"]
    imap.receive(b"hello\r\nc NOOP\r\n", START)
    assert [imap.next_event() for _ in range(3)] == [Data(0, b"hello"), End(0), PAUSED]
    imap.consumed(5)
    imap.send(Answer(b"b OK\r\n"), START)
    assert imap.next_event().name == "NOOP"


def test_a_message_that_is_refused_is_never_sent():
    imap = known()
    imap.receive(b"b APPEND INBOX {5000000}\r\n", START)
    imap.next_event()
    imap.send(Answer(b"b NO [TOOBIG] too big\r\n"), START)
    imap.receive(b"c NOOP\r\n", START)
    assert imap.next_event().name == "NOOP"


def test_a_mailbox_may_be_a_literal_too():
    imap = known()
    imap.receive(b"b APPEND {6}\r\n", START)
    assert imap.next_event() is NEED_DATA and imap.outgoing() == [b"+ go on\r\n"]
    imap.receive(b'A&AOQ- "17-Jul-1996 02:44:25 -0700" {3+}\r\nabc\r\n', START)
    command = imap.next_event()
    assert command.arguments == ("A\u00e4", (), 837596665, 3)


def test_what_follows_a_message_fails_it():
    imap = known()
    imap.receive(b"b APPEND INBOX {2+}\r\nab more\r\n", START)
    imap.next_event()
    assert imap.next_event() == Data(0, b"ab")
    assert type(imap.next_event()) is Failed
    assert type(imap.next_event()) is Close
    imap.send(Answer(b"b OK too late\r\n"), START)
    assert imap.outgoing() == [b"* BYE nothing may follow the message\r\n"]


def test_unsolicited_responses_go_out_during_idle():
    imap = known()
    imap.receive(b"b IDLE\r\n", START)
    imap.next_event()
    imap.send(Prompt(b" idling"), START)
    imap.send(Untagged(b"* 3 EXISTS\r\n"), START)
    assert b"".join(imap.outgoing()) == b"+ idling\r\n* 3 EXISTS\r\n"
    assert imap.deadline() == START + 1800
    imap.receive(b"DONE\r\n", START + 10)
    assert imap.next_event() == Line(b"DONE")


def test_what_comes_behind_starttls_is_dropped():
    imap = machine()
    imap.receive(b"a STARTTLS\r\nb LOGIN x y\r\n", START)
    assert imap.next_event().name == "STARTTLS"
    imap.send(Answer(b"a OK begin\r\n", then="secure"), START)
    event = imap.next_event()
    assert type(event) is Upgrade and event.filter == "tls" and event.tail == b""
    assert imap.next_event() is NEED_DATA


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"a LOGIN {9000}\r\n", b"a BAD [TOOBIG] the literal is too long\r\n"),
        (b"a LOGIN {9000+}\r\n", b"* BYE the literal is too long\r\n"),
        (b"a" * 9000, b"* BYE the line is too long\r\n"),
        (b"\r\n", b"* BAD a tag and a command expected\r\n"),
        (b"a FROB\r\n", b"a BAD no such command\r\n"),
        (b"a NOOP x\r\n", b"a BAD NOOP: too many arguments\r\n"),
    ],
)
def test_who_has_not_logged_in_is_kept_short(said, answer):
    imap = machine()
    imap.receive(said, START)
    imap.next_event()
    assert b"".join(imap.outgoing()) == answer


def test_too_many_faults_end_the_connection():
    imap = machine(faults=3)
    imap.receive(b"x\r\n" * 5, START)
    assert type(imap.next_event()) is Close


def test_the_silent_are_logged_out():
    imap = known()
    assert imap.deadline() == START + 1800
    imap.tick(START + 1800)
    assert type(imap.next_event()) is Close
    assert imap.outgoing() == [b"* BYE silent for too long\r\n"]
