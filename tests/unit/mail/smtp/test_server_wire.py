"""The server's machine: its properties, and conversations as a client sees them."""

from __future__ import annotations

import pytest

from netsuite.mail.smtp.wire.commands import Content, Data, Mail, Rcpt, Reset
from netsuite.mail.smtp.wire.replies import Reply
from netsuite.mail.smtp.wire.server import SmtpLimits, SmtpServerConnection
from netsuite.sansio.connection import NEED_DATA, PAUSED, Channel, Close, Drain, End, Failed, StateError, Upgrade
from netsuite.sansio.connection import Data as BodyData
from netsuite.sansio.sasl import Auth, AuthResponse
from netsuite.testing.connection_case import START, ConnectionCase

CHANNEL = Channel(("127.0.0.1", 25), ("127.0.0.1", 4000))
HELLO = b"EHLO client.test\r\n"
OPEN = HELLO + b"MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\n"


def make(**options):
    options.setdefault("mechanisms", ("PLAIN",))
    return SmtpServerConnection(
        CHANNEL,
        "mx.test",
        START,
        tls=True,
        fresh=lambda channel: SmtpServerConnection(channel, "mx.test", START, greet=False),
        **options,
    )


def judged(message):
    if type(message) is Auth:
        return [Reply(235, "welcome", "2.7.0", user="alice")]
    if type(message) is Data:
        return [Reply(354, "go on")]
    if type(message) in (Mail, Rcpt, Content, AuthResponse):
        return [Reply(250, "fine", "2.0.0")]
    return []


class TestServer(ConnectionCase):
    max_examples = 60
    patience = 3000.0  # five minutes for each command that the machine answers by itself

    def make(self):
        return make()

    def conversations(self):
        return [
            OPEN + b"DATA\r\nSubject: x\r\n\r\n..dots\r\nend\r\n.\r\nQUIT\r\n",
            b"HELO c\r\nNOOP\r\nRSET\r\nVRFY x\r\nHELP\r\nNONSENSE\r\n" + OPEN + b"RSET\r\n",
            HELLO + b"AUTH PLAIN AGEAYg==\r\nMAIL FROM:<> SIZE=100 BODY=8BITMIME\r\n",
            HELLO + b"STARTTLS\r\n",
        ]

    def answer(self, message):
        return judged(message)


def talk(machine, data, judge=judged):
    """Feed all, answer everything; the events, and what was said."""
    events, said = [], b""
    machine.receive(data, START)
    while True:
        event = machine.next_event()
        said += b"".join(machine.outgoing())
        if event is NEED_DATA or event is PAUSED:
            return events, said.decode()
        events.append(event)
        if type(event) in (Close, Upgrade):
            return events, said.decode()
        if type(event) is Content and event.has_body:
            continue
        message = (
            events[-1] if type(event) not in (End, Failed) else next(e for e in events[::-1] if type(e) is Content)
        )
        for item in judge(message) if type(event) is not BodyData else []:
            machine.send(item, START)


def pulled(machine):
    """The events that there are, none answered."""
    return list(iter(lambda: None if (event := machine.next_event()) in (NEED_DATA, PAUSED) else event, None))


def codes(said):
    return [int(line[:3]) for line in said.splitlines() if line[3:4] == " "]


def test_a_message_is_taken():
    events, said = talk(make(), OPEN + b"DATA\r\n..hidden dot\r\n.\r\nQUIT\r\n")
    assert codes(said) == [220, 250, 250, 250, 354, 250, 221]
    content = next(e for e in events if type(e) is Content)
    assert content.data == b".hidden dot\r\n"
    assert content.envelope.sender == "a@a.test"
    assert content.envelope.recipients == ["b@b.test"]
    assert content.envelope.hello.name == "client.test"


def test_a_big_message_comes_in_pieces():
    machine = make()
    line = b"x" * 998 + b"\r\n"
    events, _ = talk(machine, OPEN + b"DATA\r\n" + line * 60)
    assert not [e for e in events if type(e) in (Content, BodyData)]
    assert 59_990 < machine.backlog() <= 60_000, "what is held counts"
    events, _ = talk(machine, line * 60 + b".\r\nQUIT\r\n")
    assert [type(e) for e in events[:2]] == [Content, BodyData]
    assert events[0].has_body
    assert b"".join(e.data for e in events if type(e) is BodyData) == line * 120


def test_a_client_that_goes_within_a_message():
    for length, told in ((5_000, []), (80_000, [Failed(0, "the client closed within the message")])):
        machine = make()
        talk(machine, OPEN + b"DATA\r\n" + b"x" * length)
        machine.receive(b"", START)
        assert pulled(machine) == [*told, Close("the client closed")]
        assert not machine.outgoing()


def test_what_ehlo_offers():
    said = talk(make(), HELLO)[1]
    for word in (
        "PIPELINING",
        "SIZE 52428800",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "STARTTLS",
        "AUTH PLAIN",
    ):
        assert word in said


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"MAIL FROM:<a@a.test>\r\n", 503),
        (b"RCPT TO:<a@a.test>\r\n", 503),
        (b"DATA\r\n", 503),
        (b"EHLO\r\n", 501),
        (b"EHLO a b\r\n", 501),
        (b"NONSENSE\r\n", 500),
        (b"EXPN list\r\n", 502),
        (b"\xff\xfe\r\n", 500),
        (b"AUTH PLAIN\r\n", 503),
        (HELLO + b"MAIL FROM:a@a.test\r\n", 501),
        (HELLO + b"MAIL FROM:<a b@a.test>\r\n", 501),
        (HELLO + b"MAIL FROM:<a@a.test> SIZE=99999999999\r\n", 552),
        (HELLO + b"MAIL FROM:<a@a.test> BODY=BINARYMIME\r\n", 501),
        (HELLO + b"MAIL FROM:<a@a.test> COLOUR=red\r\n", 555),
        (HELLO + b"MAIL FROM:<a@a.test> SIZE=1 SIZE=2\r\n", 501),
        (HELLO + "MAIL FROM:<ä@a.test>\r\n".encode(), 553),
        (HELLO + b"MAIL FROM:<a@a.test>\r\nMAIL FROM:<a@a.test>\r\n", 503),
        (HELLO + b"MAIL FROM:<a@a.test>\r\nDATA\r\n", 554),
        (HELLO + b"MAIL FROM:<a@a.test>\r\nRCPT TO:<>\r\n", 501),
        (HELLO + b"AUTH CRAM-MD5\r\n", 504),
        (HELLO + b"AUTH PLAIN !!!\r\n", 501),
        (b"HELO c\r\nMAIL FROM:<a@a.test> SIZE=1\r\n", 555),
        (b"QUIT now\r\n", 501),
    ],
)
def test_a_command_that_is_refused(line, code):
    assert codes(talk(make(), line)[1])[-1] == code


def test_an_address_beyond_ascii_with_smtputf8():
    text = HELLO + "MAIL FROM:<ä@a.test> SMTPUTF8\r\nRCPT TO:<ü@ö.test>\r\n".encode()
    events, said = talk(make(), text)
    assert codes(said) == [220, 250, 250, 250]
    assert events[1].recipient == "ü@ö.test"


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1\r\n", b"NOOP\n", b"NO\rOP\r\n", b"NO\0OP\r\n", b"x" * 3000],
    ids=lambda line: repr(line[:8]),
)
def test_what_ends_the_connection(line):
    events, said = talk(make(), line)
    assert type(events[-1]) is Close
    assert codes(said)[-1] in (421, 500)


@pytest.mark.parametrize(
    "content", [b"a\nb\r\n.\r\n", b"a\rb\r\n.\r\n", b"x\r\n.\nMAIL FROM:<evil@evil.test>\r\n.\r\n", b"\n.\n\r\n.\r\n"]
)
def test_smuggling_is_refused(content):
    events, said = talk(make(), OPEN + b"DATA\r\n" + content)
    assert codes(said)[-1] == 554
    assert not any(type(e) is End for e in events)
    assert sum(type(e) is Mail for e in events) == 1


def test_a_message_that_is_too_long():
    events, said = talk(make(limits=SmtpLimits(message=1000)), OPEN + b"DATA\r\n" + b"x" * 2000 + b"\r\n.\r\nNOOP\r\n")
    assert codes(said)[-2:] == [552, 250]
    assert type(events[-1]) is Data, "nobody need hear of what was refused before its event"


def test_a_message_that_turns_out_too_long():
    machine = make(limits=SmtpLimits(message=100_000))
    talk(machine, OPEN + b"DATA\r\n" + b"x" * 80_000)
    machine.receive(b"x" * 80_000 + b"\r\n.\r\nNOOP\r\n", START)
    assert pulled(machine) == [Failed(0, "messages are 100000 bytes at most")]
    assert not machine.outgoing()
    machine.send(Reply(451, "as the owner thinks"), START)
    assert pulled(machine) == []
    assert codes(b"".join(machine.outgoing()).decode()) == [552, 250]


def test_a_message_of_the_size_allowed():
    assert (
        codes(talk(make(limits=SmtpLimits(message=1000)), OPEN + b"DATA\r\n" + b"x" * 998 + b"\r\n.\r\n")[1])[-1] == 250
    )


def test_too_many_recipients():
    text = OPEN + b"RCPT TO:<c@b.test>\r\nRCPT TO:<d@b.test>\r\n"
    assert codes(talk(make(limits=SmtpLimits(recipients=2)), text)[1])[-2:] == [250, 452]


def test_too_many_errors():
    events, said = talk(make(limits=SmtpLimits(errors=3)), b"X\r\nX\r\nX\r\nX\r\n")
    assert codes(said) == [220, 500, 500, 421]
    assert type(events[-1]) is Close


def test_a_refused_recipient_is_not_in_the_envelope():
    def judge(message):
        if type(message) is Rcpt and message.recipient.startswith("no"):
            return [Reply(550, "no such user", "5.1.1")]
        return judged(message)

    events, said = talk(make(), OPEN + b"RCPT TO:<no@b.test>\r\nDATA\r\nx\r\n.\r\n", judge)
    content = next(e for e in events if type(e) is Content)
    assert content.envelope.recipients == ["b@b.test"]
    assert codes(said)[-3:] == [550, 354, 250]


def test_starttls_drops_what_came_in_clear():
    machine = make()
    events, said = talk(machine, HELLO + b"STARTTLS\r\nMAIL FROM:<evil@evil.test>\r\n")
    assert codes(said)[-1] == 220
    assert type(events[-1]) is Upgrade
    assert events[-1].tail == b""
    assert events[-1].next(CHANNEL).next_event() is NEED_DATA


def test_a_challenge_and_its_response():
    machine = make(mechanisms=("LOGIN",))

    def judge(message):
        if message == Auth("LOGIN", None):
            return [Reply(334, "Username:")]
        if message == AuthResponse(b"alice"):
            return [Reply(235, "welcome", "2.7.0", user="alice@test")]
        return judged(message)

    events, said = talk(machine, HELLO + b"AUTH LOGIN\r\nYWxpY2U=\r\nMAIL FROM:<a@a.test>\r\nAUTH LOGIN\r\n", judge)
    assert "334 VXNlcm5hbWU6\r\n" in said
    assert events[-1].user == "alice@test"
    assert codes(said)[-1] == 503


def test_the_client_gives_up_authenticating():
    machine = make(mechanisms=("LOGIN",))
    talk(machine, HELLO + b"AUTH LOGIN\r\n", lambda message: [Reply(334, "Username:")])
    events, _ = talk(machine, b"*\r\n", lambda message: [Reply(501, "as you like", "5.7.0")])
    assert events == [AuthResponse(None)]


def test_reset_forgets_the_transaction():
    events, said = talk(make(), OPEN + b"RSET\r\nRCPT TO:<b@b.test>\r\n")
    assert events[-1] == Reset()
    assert codes(said)[-2:] == [250, 503]


def test_nothing_is_said_unasked():
    with pytest.raises(StateError):
        make().send(Reply(250, "hello"), START)


def test_a_drain_lets_a_message_finish():
    machine = make()
    talk(machine, OPEN + b"DATA\r\nhalf")
    machine.send(Drain(), START)
    machine.receive(b" and half\r\n.\r\nMAIL FROM:<a@a.test>\r\n", START)
    assert machine.next_event().data == b"half and half\r\n"
    assert machine.next_event() is PAUSED
    machine.send(Reply(250, "taken"), START)
    assert type(machine.next_event()) is Close
    assert codes(b"".join(machine.outgoing()).decode()) == [250, 421]
