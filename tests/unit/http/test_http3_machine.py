"""The machine of HTTP/3 without sockets, on a clock of its own: who drips, who does not read, who half asks."""

from __future__ import annotations

import ssl

import pytest
from aioquic.h3.connection import H3Connection
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from netsuite.common.quic import QuicLimits, configuration
from netsuite.http.http3 import ALPN, Http3Connection
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.messages import Request, Response
from netsuite.sansio.connection import NEED_DATA, Data, Failed, Part
from netsuite.testing.commons import make_commons

LIMITS = Http1Limits(head_time=10.0, body_time=20.0, body_progress=1024)
HERE, THERE = ("192.0.2.1", 443), ("192.0.2.2", 5000)


class Pair:
    """A client of aioquic and our machine, joined without delay; both see the time that is set."""

    def __init__(self, tmp_path):
        commons = make_commons(tmp_path)
        self.now = 1000.0
        leaf = commons.certificates.choose(None)
        asked = QuicConfiguration(alpn_protocols=[ALPN], server_name="localhost", idle_timeout=10_000.0)
        asked.verify_mode = ssl.CERT_NONE  # it would compare with the real time
        self.client = QuicConnection(configuration=asked)
        self.h3 = H3Connection(self.client)
        self.client.connect(HERE, self.now)
        self.heard = []
        self.reading = True
        first = self.client.datagrams_to_send(self.now)
        settings = configuration(ALPN, leaf, QuicLimits(idle=10_000.0))
        server = QuicConnection(
            configuration=settings, original_destination_connection_id=self.client.original_destination_connection_id
        )
        self.machine = Http3Connection(server, lambda: self.now, LIMITS)
        self.machine.peer = THERE
        self.events = []
        for data, _ in first:
            self.machine.receive(data, self.now)
        self.settle()
        assert self.machine.established

    def settle(self):
        """Carry datagrams, a millisecond each, until nobody has said anything for a while; collect what both tell."""
        quiet = 0
        while quiet < 40:
            self.now += 0.001
            quiet = 0 if self.turn() else quiet + 1

    def turn(self):
        """One exchange; whether anything was said."""
        due = self.client.get_timer()
        if due is not None and due <= self.now:
            self.client.handle_timer(self.now)
        deadline = self.machine.deadline()
        if deadline is not None and deadline <= self.now:
            self.machine.tick(self.now)
        out = self.machine.outgoing()
        if self.reading:
            for data in out:
                self.client.receive_datagram(data, HERE, self.now)
        while (event := self.client.next_event()) is not None:
            self.heard += self.h3.handle_event(event)
            if isinstance(event, events.StreamReset):
                self.heard.append(event)
        back = self.client.datagrams_to_send(self.now)
        for data, _ in back:
            self.machine.receive(data, self.now)
        while (event := self.machine.next_event()) is not NEED_DATA:
            self.events.append(event)
        return bool(out or back)

    def pass_time(self, seconds, do=lambda: None):
        for _ in range(seconds):
            self.now += 0.95
            do()
            for _ in range(50):
                self.now += 0.001
                self.turn()

    def ask(self, method=b"GET", end=True):
        stream = self.client.get_next_available_stream_id()
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/")]
        self.h3.send_headers(stream, head, end_stream=end)
        self.settle()
        return stream

    def statuses(self):
        return [dict(event.headers).get(b":status") for event in self.heard if hasattr(event, "headers")]


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def failures(pair):
    return [event for event in pair.events if isinstance(event, Failed)]


def test_a_request_is_handed_over(pair):
    stream = pair.ask()
    (request,) = pair.events
    assert isinstance(request, Request)
    assert (request.stream, request.version, request.scheme, request.has_body) == (stream, (3, 0), "https", False)
    pair.machine.send(Response(200, [], b"hello", stream=stream), pair.now)
    pair.settle()
    assert pair.statuses() == [b"200"]
    assert pair.machine.idle


def test_a_body_that_drips_is_given_up(pair):
    """A byte every second is no progress, however long it goes on."""
    stream = pair.ask(b"POST", end=False)

    def drip():
        if stream in pair.machine._exchanges:
            pair.h3.send_data(stream, b"x", False)
            pair.machine.consumed(1, stream)

    pair.pass_time(19, do=drip)
    assert not failures(pair)
    pair.pass_time(3, do=drip)
    assert [event.reason for event in failures(pair)] == ["the client was waited for too long"]
    assert pair.statuses() == [b"408"]


def test_a_body_that_makes_progress_may_take_its_time(pair):
    stream = pair.ask(b"POST", end=False)

    def send():
        pair.h3.send_data(stream, bytes(200), False)
        pair.machine.consumed(200, stream)

    pair.pass_time(60, do=send)
    assert not failures(pair)
    assert sum(len(event.data) for event in pair.events if isinstance(event, Data)) == 12_000


def test_a_client_that_does_not_read_is_given_up(pair):
    stream = pair.ask()
    pair.machine.send(Response(200, [], stream=stream, source=object()), pair.now)
    pair.reading = False
    pair.machine.send(Part(stream, bytes(200_000)), pair.now)
    pair.settle()
    assert pair.machine.room(stream) == 0
    pair.pass_time(19)
    assert not failures(pair)
    pair.pass_time(3)
    assert failures(pair)


def test_half_a_head_is_given_up(pair):
    stream = pair.client.get_next_available_stream_id()
    pair.client.send_stream_data(stream, b"\x01\x40", False)
    pair.settle()
    pair.pass_time(9)
    assert stream in pair.machine._heads
    pair.pass_time(2)
    assert stream not in pair.machine._heads
    assert any(isinstance(event, events.StreamReset) and event.stream_id == stream for event in pair.heard)


def test_uploads_wait_for_the_application(pair):
    """No more than a stream's window comes before anything of it was taken."""
    stream = pair.ask(b"POST", end=False)
    pair.h3.send_data(stream, bytes(2_000_000), False)
    pair.settle()
    came = sum(len(event.data) for event in pair.events if isinstance(event, Data))
    assert 200_000 < came <= 256 * 1024
    pair.machine.consumed(came, stream)
    pair.settle()
    assert sum(len(event.data) for event in pair.events if isinstance(event, Data)) > came
