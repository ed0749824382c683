"""Answers kept ready: the same bytes as the machine's, this second's Date, gone when they do not stand any more."""

from __future__ import annotations

import pytest

from netsuite.http.hotpath import HotPath, StandingAnswer, teachable
from netsuite.http.wire import Request, Response, ServerConnection
from netsuite.sansio.connection import Channel, TlsFacts
from netsuite.sansio.dates import format_date

CHANNEL = Channel(("127.0.0.1", 80), ("127.0.0.1", 40000))
HEAD = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def received(raw, *pieces):
    machine = ServerConnection(CHANNEL)
    for piece in (raw, *pieces):
        machine.receive(piece, 0.0)
    return machine, machine.next_event()


class Clock:
    now = 1_800_000_000.25

    def seconds(self):
        return self.now


@pytest.mark.parametrize("size", [0, 1024, 100_000])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_hit_is_what_the_machine_would_have_sent(size, method):
    clock, body = Clock(), b"x" * size
    fields = [(b"server", b"netsuite"), (b"etag", b'"1"'), (b"content-type", b"text/plain")]
    machine, request = received(HEAD.replace(b"GET", method))
    machine.send(Response(200, [(b"date", format_date(clock.now)), *fields], body, stream=1), clock.now)
    written = b"".join(machine.outgoing())
    hot = HotPath(clock.seconds)
    sent = b"" if method == b"HEAD" else body
    hot.teach(request, StandingAnswer(200, fields, sent, size, lambda: True), CHANNEL)
    hit = hot.shortcut(request.head, CHANNEL)
    assert (hit if isinstance(hit, bytes) else b"".join(hit)) == written
    if sent and size > 50_000:
        assert hit[1] is body
    assert hot.hits == 1


def test_the_date_moves_and_validity_is_asked_once_a_second():
    clock, asked = Clock(), []

    def valid():
        asked.append(clock.now)
        return len(asked) < 3

    _, request = received(HEAD)
    hot = HotPath(clock.seconds)
    hot.teach(request, StandingAnswer(200, [], b"x", 1, valid), CHANNEL)
    first = hot.shortcut(HEAD, CHANNEL)
    assert hot.shortcut(HEAD, CHANNEL) is first
    clock.now += 1
    assert hot.shortcut(HEAD, CHANNEL) != first
    assert len(asked) == 2
    clock.now += 1
    assert hot.shortcut(HEAD, CHANNEL) is None
    assert hot.shortcut(HEAD, CHANNEL) is None
    assert len(asked) == 3


def test_only_the_very_same_bytes_hit():
    _, request = received(HEAD)
    hot = HotPath(Clock().seconds)
    hot.teach(request, StandingAnswer(200, [], b"x", 1, lambda: True), CHANNEL)
    for other in (HEAD + HEAD, HEAD[:-1], HEAD.lower(), b"\r\n" + HEAD, b"s" + HEAD):
        assert hot.shortcut(other, CHANNEL) is None
    assert hot.shortcut(HEAD, CHANNEL._replace(tls=TlsFacts("TLSv1.3", "x"))) is None


@pytest.mark.parametrize(
    ("raw", "yes"),
    [
        ((HEAD,), True),
        ((HEAD[:5], HEAD[5:]), False),
        ((HEAD + HEAD,), False),
        ((b"\r\n" + HEAD,), False),
        ((HEAD.replace(b"GET", b"DELETE"),), False),
        ((HEAD.replace(b"1.1", b"1.0"),), False),
        ((HEAD.replace(b"Host: a", b"Host: a\r\nConnection: close"),), False),
        ((HEAD.replace(b"GET", b"POST").replace(b"Host: a", b"Host: a\r\nContent-Length: 1"), b"x"), False),
        ((HEAD.replace(b"Host: a", b"Host: a\r\nX: " + b"y" * 5000),), False),
    ],
)
def test_what_may_be_taught(raw, yes):
    _, request = received(*raw)
    assert isinstance(request, Request)
    assert teachable(request) is yes


def test_it_is_bounded():
    hot = HotPath(Clock().seconds, budget=100_000)
    for number in range(1000):
        _, request = received(HEAD.replace(b"/x", b"/%d" % number))
        hot.teach(request, StandingAnswer(200, [], b"x" * 1000, 1000, lambda: True), CHANNEL)
    assert hot._known.bytes <= 100_000
    assert 0 < len(hot._known) < 100
