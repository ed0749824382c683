"""The client's machine: its properties, and conversations with servers good and bad."""

from __future__ import annotations

import pytest

from netsuite.mail.smtp.wire.client import SmtpClientConnection
from netsuite.mail.smtp.wire.commands import Content, Envelope
from netsuite.mail.smtp.wire.sending import (
    GoAhead,
    Outcome,
    Patience,
    Quit,
    Ready,
    Refused,
    Transaction,
)
from netsuite.mail.smtp.wire.server import SmtpServerConnection
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
    Upgrade,
)
from netsuite.testing.connection_case import START, ConnectionCase, Owner
from tests.unit.mail.smtp.test_server_wire import judged

CHANNEL = Channel(("127.0.0.1", 4000), ("127.0.0.1", 25))
ENVELOPE = Envelope("a@a.test", ["b@b.test", "c@b.test"])
EHLO = b"220 mx.test hello\r\n250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n"
PLAIN = b"220 mx.test hello\r\n250 mx.test\r\n"


def make(**options):
    return SmtpClientConnection(CHANNEL, "client.test", START, **options)


def carries(message, envelope=ENVELOPE, text=b"Subject: x\r\n\r\n.dots\r\n"):
    if type(message) is Ready:
        return [Transaction(envelope, len(text))]
    if type(message) is GoAhead:
        return [Content(message.envelope), Part(0, text), Finish(0)]
    if type(message) is Outcome and not message.last:
        return [Quit()]
    return []


class TestClient(ConnectionCase):
    max_examples = 60

    def make(self):
        return make(fresh=lambda channel: make(greeted=True))

    def conversations(self):
        return [
            EHLO + b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n250 2.0.0 taken\r\n221 bye\r\n",
            PLAIN + b"250-ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n451 later\r\n221 bye\r\n",
            b"220 hello\r\n500 what\r\n250 helo\r\n550 no\r\n250 reset\r\n221 bye\r\n",
            EHLO + b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n554 nobody\r\n221 bye\r\n",
            b"220 hello\r\n250-mx.test\r\n250 STARTTLS\r\n220 begin\r\n",
            b"554 go away\r\n",
        ]

    def answer(self, message):
        return carries(message)


def talk(machine, data, answer=carries):
    """Feed all and answer everything; the events, and what was said."""
    events, said = [], b""
    machine.receive(data, START)
    while True:
        event = machine.next_event()
        said += b"".join(machine.outgoing())
        if event is NEED_DATA or event is PAUSED:
            return events, said
        events.append(event)
        for item in answer(event):
            machine.send(item, START)


def codes(events):
    return [reply.code for event in events if type(event) is Outcome for reply in event.replies]


def test_a_message_is_carried_in_one_go():
    events, said = talk(make(), EHLO + b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n250 2.0.0 taken\r\n221 bye\r\n")
    assert said == (
        b"EHLO client.test\r\nMAIL FROM:<a@a.test> SIZE=21\r\nRCPT TO:<b@b.test>\r\nRCPT TO:<c@b.test>\r\nDATA\r\n"
        b"Subject: x\r\n\r\n..dots\r\n.\r\nQUIT\r\n"
    )
    assert codes(events) == [250, 550]
    assert type(events[-1]) is Close


def test_without_pipelining_each_command_waits():
    machine = make()
    heard = (b"220 x\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 ok\r\n")
    assert [talk(machine, data)[1] for data in heard] == [
        b"EHLO client.test\r\n",
        b"MAIL FROM:<a@a.test>\r\n",
        b"RCPT TO:<b@b.test>\r\n",
        b"RCPT TO:<c@b.test>\r\n",
        b"DATA\r\n",
        b"Subject: x\r\n\r\n..dots\r\n.\r\n",
        b"QUIT\r\n",
    ]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (EHLO + b"550 no\r\n503 x\r\n503 x\r\n503 x\r\n250 reset\r\n", [550, 550]),
        (PLAIN + b"550 no\r\n250 reset\r\n", [550, 550]),
        (PLAIN + b"250 ok\r\n550 no\r\n451 later\r\n250 reset\r\n", [550, 451]),
        (EHLO + b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n554 nobody\r\n", [550, 550]),
        (EHLO + b"250 ok\r\n250 ok\r\n452 many\r\n452 full\r\n250 reset\r\n", [452, 452]),
        (EHLO + b"250 ok\r\n250 ok\r\n550 no\r\n421 bye\r\n", [421, 550]),
        (EHLO + b"250 ok\r\nnonsense\r\n", [451, 451]),
        (EHLO + b"250 ok\r\n354 what\r\n", [451, 451]),
        (EHLO + b"250 ok\r\n250 ok\r\n250 ok\r\n250 what\r\n250 reset\r\n", [451, 451]),
        (EHLO + b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n354 again\r\n", [451, 451]),
        (EHLO + b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n552 too big\r\n", [552, 552]),
        (EHLO + b"250 ok\r\n" + b"x" * 5000, [451, 451]),
    ],
)
def test_each_recipient_gets_a_reply(server, expected):
    assert codes(talk(make(), server)[0]) == expected


def test_the_end_of_input_is_temporary():
    machine = make()
    talk(machine, EHLO + b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n")
    events, _ = talk(machine, b"")
    assert codes(events) == [451, 550]
    assert events[0].last
    assert type(events[1]) is Close


def test_a_final_reply_before_the_end_of_the_message():
    machine = make()
    part = {Ready: [Transaction(ENVELOPE)], GoAhead: [Content(ENVELOPE), Part(0, b"half")]}
    server = EHLO + b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n552 too big\r\n"
    events, said = talk(machine, server, lambda event: part.get(type(event), []))
    assert codes(events) == [552, 552]
    assert events[-2].last
    assert not said.endswith(b".\r\n")
    machine.send(Part(0, b"more"), START)
    machine.send(Finish(0), START)
    assert machine.outgoing() == []


def test_a_source_that_fails_never_ends_the_message():
    machine = make()
    part = {Ready: [Transaction(ENVELOPE)], GoAhead: [Content(ENVELOPE), Part(0, b"half"), Abandon(0, "disk")]}
    events, said = talk(machine, EHLO + b"250 o\r\n250 o\r\n250 o\r\n354 go\r\n", lambda e: part.get(type(e), []))
    assert codes(events) == [451, 451]
    assert said.endswith(b"half")
    assert type(events[-1]) is Close


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (b"554 no\r\n", 554),
        (b"421 busy\r\n", 421),
        (b"220 x\r\n421 no\r\n", 421),
        (b"220 x\r\n502 a\r\n550 b\r\n", 550),
    ],
)
def test_a_server_that_refuses(greeting, code):
    events, _ = talk(make(), greeting)
    assert [type(event) for event in events] == [Refused, Close]
    assert events[0].reply.code == code


def test_helo_where_ehlo_is_not_known():
    events, said = talk(make(), b"220 x\r\n500 what\r\n250 fine\r\n")
    assert said.startswith(b"EHLO client.test\r\nHELO client.test\r\nMAIL FROM:<a@a.test>\r\n")
    assert type(events[0]) is Ready


@pytest.mark.parametrize(
    ("envelope", "size", "code"),
    [(ENVELOPE, 1001, 552), (Envelope("a@a.test", ["ü@b.test"]), 1, 553), (Envelope("ä@a.test", ["b@b.test"]), 1, 553)],
)
def test_what_the_server_cannot_take(envelope, size, code):
    events, said = talk(make(), EHLO, lambda e: [Transaction(envelope, size)] if type(e) is Ready else [])
    assert set(codes(events)) == {code}
    assert said == b"EHLO client.test\r\n"


def test_parameters():
    utf8 = EHLO.replace(b"250 8BITMIME", b"250-8BITMIME\r\n250 SMTPUTF8")
    envelope = Envelope("ä@a.test", ["b@b.test"], {"BODY": "8BITMIME"})
    _, said = talk(make(), utf8, lambda e: [Transaction(envelope, 5)] if type(e) is Ready else [])
    assert "MAIL FROM:<ä@a.test> SIZE=5 BODY=8BITMIME SMTPUTF8\r\n".encode() in said


def test_several_messages_on_one_connection():
    left = [Envelope("a@a.test", ["b@b.test"]), Envelope("a@a.test", ["c@b.test"])]

    def answer(event):
        if type(event) in (Ready, Outcome):
            return [Transaction(left.pop(0))] if left else [Quit()]
        return carries(event)

    one = b"250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"
    events, said = talk(make(), EHLO + one + one + b"221 bye\r\n", answer)
    assert codes(events) == [250, 250]
    assert said.count(b"MAIL FROM") == 2


def test_starttls_forgets_everything():
    machine = make(fresh=lambda channel: make(greeted=True))
    events, _ = talk(machine, b"220 x\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n")
    assert [type(event) for event in events] == [Upgrade]
    assert events[0].tail == b""
    fresh = events[0].next(CHANNEL)
    assert fresh.outgoing() == [b"EHLO client.test\r\n"]
    assert fresh.backlog() == 0


def test_starttls_refused_goes_on_in_clear():
    machine = make(fresh=lambda channel: make(greeted=True))
    events, said = talk(machine, b"220 x\r\n250-x\r\n250 STARTTLS\r\n454 not now\r\n")
    assert type(events[0]) is Ready
    assert b"MAIL FROM" in said


@pytest.mark.parametrize(
    ("heard", "seconds"),
    [
        (b"", 300),
        (EHLO, 300),
        (EHLO + b"250 ok\r\n250 ok\r\n250 ok\r\n", 120),
        (EHLO + b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", 600),
    ],
)
def test_how_long_a_server_may_be_silent(heard, seconds):
    machine = make()
    if heard:
        talk(machine, heard)
    assert machine.deadline() == START + seconds
    machine.tick(START + seconds)
    events, _ = talk(machine, b"late")
    assert type(events[-1]) is Close
    assert not codes(events) or codes(events) == [451, 451]


def test_a_reserve_is_not_kept_forever():
    machine = make(patience=Patience(idle=5))
    talk(machine, EHLO, lambda event: [])
    machine.tick(START + 5)
    assert machine.outgoing() == [b"QUIT\r\n"]
    assert not machine.idle


def test_drain_says_goodbye():
    machine = make()
    talk(machine, EHLO, lambda event: [])
    machine.send(Drain(), START)
    assert talk(machine, b"")[1] == b"QUIT\r\n"


def test_out_of_order_is_our_fault():
    machine = make()
    for item in (Transaction(ENVELOPE), Content(ENVELOPE), Part(0, b"x"), Finish(0), Quit(), object()):
        with pytest.raises(StateError):
            machine.send(item, START)


def test_client_and_server_machines_understand_each_other():
    client, server = Owner(make(), carries), Owner(SmtpServerConnection(CHANNEL, "mx.test", START), judged)
    heard = {client: 0, server: 0}
    server.pull()
    for _ in range(10):
        for speaker, listener in ((server, client), (client, server)):
            said = bytes(speaker.written[heard[speaker] :])
            heard[speaker] = len(speaker.written)
            if said:
                listener.feed(said)
    assert [[reply.code for reply in event.replies] for event in client.events if type(event) is Outcome] == [
        [250, 250]
    ]
    assert [event.data for event in server.events if type(event) is Content] == [b"Subject: x\r\n\r\n.dots\r\n"]
    assert client.closed
    assert server.closed
