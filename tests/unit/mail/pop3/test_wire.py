"""The POP3 machine: the properties of every machine, then tables of commands and answers."""

from __future__ import annotations

import base64

import pytest

from netsuite.mail.pop3.wire.connection import AUTH_LINE, COMMAND_LINE, Pop3Connection, Pop3Limits
from netsuite.mail.pop3.wire.exchange import (
    Challenge,
    Done,
    Login,
    Message,
    Refusal,
    Retrieve,
    Update,
    Welcome,
)
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Abandon,
    Channel,
    Close,
    Drain,
    Finish,
    Part,
    StateError,
    TlsFacts,
    Upgrade,
)
from netsuite.sansio.sasl import Auth, AuthResponse
from netsuite.testing.connection_case import START, ConnectionCase, Owner

CHANNEL = Channel(("192.0.2.1", 110), ("192.0.2.2", 5000))
SECURED = CHANNEL._replace(tls=TlsFacts("TLSv1.3", "x"))
DROP = ((120, "1.4"), (200, "1.7"), (50, "1.9"))
NOT_THAT = b"-ERR that is not the response\r\n"
TEXT = b"Subject: a\r\n\r\n.one\r\n..two\r\n"
IN = b"USER alice\r\nPASS s e c\r\n"


def machine(channel=CHANNEL, **options):
    def fresh(secured):
        return Pop3Connection(secured, START, mechanisms=("PLAIN",), greet=False)

    return Pop3Connection(channel, START, **{"mechanisms": ("PLAIN", "LOGIN"), "fresh": fresh, **options})


def answer(message):
    """What an owner says who lets everybody in."""
    kind = type(message)
    if kind is Login:
        return [Welcome(DROP) if message.password == "s e c" else Refusal("wrong", "AUTH")]
    if kind is Auth:
        return [Welcome(DROP) if message.initial else Challenge(b"user?")]
    if kind is AuthResponse:
        return [Welcome(DROP, b"v=proof")]
    if kind is Retrieve:
        return [Message(None), Part(0, TEXT), Finish(0)]
    return [Done()]


def said(text, made=None, close=False):
    """What the machine writes, its greeting left out, and the events."""
    owner = Owner(made or machine(), answer)
    owner.open([])
    owner.written.clear()
    owner.feed(text)
    if close:
        owner.feed(b"")
    return bytes(owner.written), owner


class TestProperties(ConnectionCase):
    max_examples = 40

    def make(self):
        return machine()

    def conversations(self):
        return [
            b"CAPA\r\n" + IN + b"STAT\r\nLIST\r\nUIDL 2\r\nRETR 1\r\nTOP 2 1\r\nDELE 1\r\nNOOP\r\nQUIT\r\n",
            b"AUTH PLAIN AGEAYg==\r\nUIDL\r\nRSET\r\nLIST 3\nRETR 9\r\nstat\r\n",
            b"AUTH LOGIN\r\nYWxpY2U=\r\n\r\nSTAT\r\n",
            b"USER a\r\nPASS no\r\nXYZ\r\n\r\nQUIT\r\n",
            b"STLS\r\nUSER injected\r\n",
        ]

    def answer(self, message):
        return answer(message)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"STAT", b"+OK 3 370\r\n"),
        (b"stat", b"+OK 3 370\r\n"),
        (b"NOOP", b"+OK\r\n"),
        (b"LIST", b"+OK\r\n1 120\r\n2 200\r\n3 50\r\n.\r\n"),
        (b"LIST 2", b"+OK 2 200\r\n"),
        (b"UIDL", b"+OK\r\n1 1.4\r\n2 1.7\r\n3 1.9\r\n.\r\n"),
        (b"UIDL 3", b"+OK 3 1.9\r\n"),
        (b"RETR 1", b"+OK\r\nSubject: a\r\n\r\n..one\r\n...two\r\n.\r\n"),
        (b"DELE 2\r\nSTAT", b"+OK\r\n+OK 2 170\r\n"),
        (b"DELE 2\r\nLIST", b"+OK\r\n+OK\r\n1 120\r\n3 50\r\n.\r\n"),
        (b"DELE 2\r\nDELE 2", b"+OK\r\n-ERR no such message\r\n"),
        (b"DELE 2\r\nRETR 2", b"+OK\r\n-ERR no such message\r\n"),
        (b"DELE 2\r\nUIDL 2", b"+OK\r\n-ERR no such message\r\n"),
        (b"DELE 2\r\nRSET\r\nSTAT", b"+OK\r\n+OK\r\n+OK 3 370\r\n"),
        (b"LIST 0", b"-ERR no such message\r\n"),
        (b"LIST 4", b"-ERR no such message\r\n"),
        (b"LIST -1", b"-ERR no such message\r\n"),
        (b"RETR " + b"9" * 30, b"-ERR no such message\r\n"),
        (b"RETR", b"-ERR no such message\r\n"),
        (b"RETR \xd9\xa1", b"-ERR no such message\r\n"),
        (b"TOP 1", b"-ERR TOP message lines\r\n"),
        (b"TOP 1 x", b"-ERR TOP message lines\r\n"),
        (b"TOP 9 1", b"-ERR no such message\r\n"),
        (b"USER bob", b"-ERR you are logged in already\r\n"),
        (b"STLS", b"-ERR you are logged in already\r\n"),
        (b"XYZ", b"-ERR no such command\r\n"),
        (b"", b"-ERR no such command\r\n"),
        (b"ST\xffAT", b"-ERR commands are UTF-8\r\n"),
        (b"NOOP\rSTAT", b"-ERR a command is one line\r\n"),
        (b"QUIT", b"+OK\r\n"),
    ],
)
def test_commands_of_a_client_that_is_in(command, expected):
    written, _ = said(IN + command + b"\r\n")
    assert written == b"+OK\r\n+OK 3 messages\r\n" + expected


@pytest.mark.parametrize("command", [b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 1 1", b"DELE 1", b"RSET", b"NOOP"])
def test_commands_of_a_stranger(command):
    assert said(command + b"\r\n")[0] == b"-ERR log in first\r\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"PASS x\r\n", b"-ERR say USER first\r\n"),
        (b"USER\r\n", b"-ERR USER name\r\n"),
        (b"USER a\r\nPASS no\r\nPASS s e c\r\n", b"+OK\r\n-ERR [AUTH] wrong\r\n-ERR say USER first\r\n"),
        (b"AUTH PLAIN AGEAYg==\r\n", b"+OK 3 messages\r\n"),
        (b"AUTH plain AGEAYg==\r\n", b"+OK 3 messages\r\n"),
        (b"AUTH PLAIN !\r\n", b"-ERR that is not base64\r\n"),
        (b"AUTH CRAM-MD5\r\n", b"-ERR that mechanism is not offered here\r\n"),
        (b"AUTH\r\n", b"-ERR that mechanism is not offered here\r\n"),
        (b"AUTH LOGIN\r\n*\r\n", b"+ dXNlcj8=\r\n-ERR given up\r\n"),
        (b"AUTH LOGIN\r\n?\r\n", b"+ dXNlcj8=\r\n-ERR that is not the response\r\n"),
        (b"AUTH LOGIN\r\nYQ==\r\n\r\n", b"+ dXNlcj8=\r\n+ dj1wcm9vZg==\r\n+OK 3 messages\r\n"),
        (
            b"AUTH LOGIN\r\nYQ==\r\nYQ==\r\nNOOP\r\n",
            b"+ dXNlcj8=\r\n+ dj1wcm9vZg==\r\n-ERR that is not the response\r\n",
        ),
        (b"QUIT\r\nCAPA\r\n", b"+OK\r\n"),
    ],
)
def test_logging_in(text, expected):
    assert said(text)[0] == expected


@pytest.mark.parametrize(
    ("made", "there", "absent"),
    [
        (machine(), {"USER", "SASL PLAIN LOGIN", "STLS"}, set()),
        (machine(SECURED), {"USER", "SASL PLAIN LOGIN"}, {"STLS"}),
        (machine(passwords=False, mechanisms=("SCRAM-SHA-256",)), {"SASL SCRAM-SHA-256", "STLS"}, {"USER"}),
        (machine(fresh=None, mechanisms=()), {"USER"}, {"STLS", "SASL "}),
    ],
)
def test_capabilities(made, there, absent):
    lines = said(b"CAPA\r\n", made)[0].decode().split("\r\n")
    assert (lines[0], lines[-2:]) == ("+OK", [".", ""])
    there |= {"TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"}
    assert there <= set(lines)
    assert not absent & set(lines)


def test_no_password_where_others_listen():
    written, owner = said(b"USER alice\r\nPASS x\r\n", machine(passwords=False))
    assert written.startswith(b"-ERR say STLS first")
    assert not owner.events


def test_what_came_in_clear_after_stls_is_dropped():
    written, owner = said(b"USER mallory\r\nSTLS\r\nPASS injected\r\nQUIT\r\n")
    assert written == b"+OK\r\n+OK begin TLS\r\n"
    (upgrade,) = owner.events
    assert (upgrade.filter, upgrade.tail) == ("tls", b"")
    after = upgrade.next(SECURED)
    assert said(b"PASS x\r\nSTLS\r\n", after)[0] == b"-ERR say USER first\r\n-ERR there is no TLS to start here\r\n"
    assert isinstance(upgrade, Upgrade)


def test_the_greeting():
    assert machine().outgoing() == [b"+OK netsuite POP3\r\n"]


def test_answers_keep_the_order_of_pipelined_commands():
    made = machine()
    made.receive(IN + b"RETR 2\r\nSTAT\r\n", START)
    assert made.next_event() == Login("alice", "s e c")
    assert made.next_event() is PAUSED
    made.send(Welcome(DROP), START)
    assert made.next_event() == Retrieve(1, None)
    made.send(Message(None), START)
    made.send(Part(0, b"half"), START)
    assert made.next_event() is PAUSED
    made.send(Finish(0), START)
    assert made.next_event() is NEED_DATA
    assert b"".join(made.outgoing()).endswith(b"+OK\r\nhalf\r\n.\r\n+OK 3 370\r\n")


def test_what_quit_asks_for():
    _, owner = said(IN + b"RETR 1\r\nRETR 3\r\nTOP 2 0\r\nDELE 3\r\nDELE 2\r\nQUIT\r\n")
    assert owner.events[-2] == Update(deleted=(1, 2), read=(0,))
    assert type(owner.events[-1]) is Close


@pytest.mark.parametrize("end", [b"", None])
def test_nothing_is_deleted_without_quit(end):
    made = machine()
    owner = Owner(made, answer)
    owner.feed(IN + b"DELE 1\r\n")
    if end is None:
        owner.tick(START + 600)
    else:
        owner.feed(end)
    assert owner.closed
    assert not [event for event in owner.events if type(event) is Update]


def test_a_failed_update_is_said():
    made = machine()
    owner = Owner(made, lambda m: [Refusal("the disk is full", "SYS/TEMP")] if type(m) is Update else answer(m))
    owner.feed(IN + b"QUIT\r\n")
    assert owner.written.endswith(b"-ERR [SYS/TEMP] the disk is full\r\n")
    assert owner.closed


def test_a_message_that_breaks_off_never_seems_whole():
    made = machine()
    owner = Owner(
        made, lambda m: [Message(None), Part(0, b"ab"), Abandon(0, "x")] if type(m) is Retrieve else answer(m)
    )
    owner.feed(IN + b"RETR 1\r\nSTAT\r\n")
    assert owner.closed
    assert owner.written.endswith(b"+OK\r\nab")


@pytest.mark.parametrize(("limit", "start"), [(COMMAND_LINE, b""), (AUTH_LINE, b"AUTH LOGIN\r\n")])
def test_the_longest_line(limit, start):
    for size, over in ((limit - 1, False), (limit, True)):
        _, owner = said(start + b"A" * size + (b"" if over else b"\n"))
        assert owner.closed is over


def test_a_client_that_is_wrong_again_and_again():
    _, owner = said(b"X\r\n" * 3, machine(limits=Pop3Limits(errors=3)))
    assert owner.events == [Close("too many errors", linger=True)]


def test_a_client_that_guesses():
    guess = b"USER a\r\nPASS no\r\n"
    _, owner = said(guess * 3, machine(limits=Pop3Limits(failures=2)))
    assert [type(event) for event in owner.events] == [Login, Login, Close]


def test_a_silent_client_is_logged_out_without_a_word():
    made = machine()
    made.outgoing()
    assert made.deadline() == START + 600
    made.tick(START + 600)
    assert made.next_event() == Close("the peer is silent", linger=True)
    assert made.outgoing() == []


def test_a_drain_ends_between_commands():
    made = machine()
    made.receive(IN, START)
    made.next_event()
    made.send(Drain(), START)
    assert made.next_event() is PAUSED
    made.send(Welcome(DROP), START)
    assert type(made.next_event()) is Close


@pytest.mark.parametrize(
    ("text", "item"),
    [
        (b"", Welcome(())),
        (b"", Part(0, b"x")),
        (IN, Done()),
        (IN, Message(None)),
        (b"AUTH LOGIN\r\n", Done()),
    ],
)
def test_what_answers_nothing_is_our_fault(text, item):
    made = machine()
    if text:
        made.receive(text, START)
        made.next_event()
    with pytest.raises(StateError):
        made.send(item, START)


def test_a_long_initial_response():
    data = base64.b64encode(b"x" * 1000)
    _, owner = said(b"AUTH PLAIN " + data + b"\r\n")
    assert owner.events == [Auth("PLAIN", b"x" * 1000)]
