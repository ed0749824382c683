"""The HTTP/2 machine keeps every promise of a Connection, and reads a foreign client whatever it is fed."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.http.wire import Response
from netsuite.http.wire.http2 import Http2Connection
from netsuite.http.wire.http2frames import PREFACE, frame
from netsuite.sansio.connection import NEED_DATA, Channel, Close, Finish, Part
from netsuite.testing.connection_case import START, ConnectionCase, Owner

CHANNEL = Channel(("127.0.0.1", 80), ("127.0.0.1", 40000))


async def _nothing():
    yield b""


class Client:
    """What the h2 library sends as a client, and what it makes of the answers."""

    def __init__(self):
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()

    def ask(self, method=b"GET", path=b"/", fields=(), body=None, trailers=None):
        stream = self.h2.get_next_available_stream_id()
        head = [(b":method", method), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=trailers is None)
            if trailers is not None:
                self.h2.send_headers(stream, trailers, end_stream=True)
        return stream

    def said(self):
        return self.h2.data_to_send()


def conversation(*asks):
    client = Client()
    for ask in asks:
        client.ask(**ask)
    return client.said()


GET = {}
POURED = {"path": b"/poured", "fields": [(b"accept", b"*/*"), (b"cookie", b"a=b"), (b"cookie", b"c=d")]}
COUNTED = {"path": b"/counted"}
HEAD = {"method": b"HEAD"}
POST = {"method": b"POST", "fields": [(b"content-length", b"5")], "body": b"hello"}
PUT = {"method": b"PUT", "body": b"some", "trailers": [(b"x-sum", b"4")], "fields": [(b"expect", b"100-continue")]}
CONVERSATIONS = [
    conversation(GET),
    conversation(POURED, GET, GET),
    conversation(COUNTED, HEAD),
    conversation(POST, GET),
    conversation(PUT),
]


def answer(message):
    stream = message.stream
    fields = [(b"etag", b'"1"')]
    if message.path == b"/poured":
        poured = [Part(stream, b"some "), Part(stream, b"bytes"), Finish(stream, ((b"x-sum", b"9"),))]
        return [Response(200, fields, source=_nothing(), stream=stream), *poured]
    if message.path == b"/counted":
        head = Response(200, [(b"content-length", b"5")], source=_nothing(), stream=stream)
        return [head, Part(stream, b"bytes"), Finish(stream)]
    return [Response(200, fields, b"hello\n", stream=stream)]


class TestServer(ConnectionCase):
    patience = 45.0

    def make(self):
        return Http2Connection(CHANNEL, now=START)

    def conversations(self):
        return CONVERSATIONS

    def answer(self, message):
        return answer(message)

    def test_a_flood_is_held_back(self):
        """A client's preface comes once, so the flood is of requests: beyond the limit of streams they are refused."""
        client = Client()
        owner = Owner(self.make(), self.answer, withholds=True)
        for _ in range(100):
            client.ask()
        owner.feed(client.said())
        assert owner.withheld == 100
        late = frame(1, 5, 201, bytes.fromhex("828684") + b"\x41\x06a.test")
        owner.feed(late)
        assert owner.withheld == 100
        assert frame(3, 0, 201, bytes([0, 0, 0, 7])) in owner.written
        owner.release()
        answered = {
            e.stream_id
            for e in client.h2.receive_data(bytes(owner.written).replace(frame(3, 0, 201, bytes([0, 0, 0, 7])), b""))
            if type(e) is h2.events.StreamEnded
        }
        assert answered == set(range(1, 201, 2))


@pytest.mark.parametrize("asks", [(GET,), (POURED, GET), (COUNTED, HEAD), (POST,), (PUT,)])
def test_the_h2_library_understands_what_is_written(asks):
    client = Client()
    owner = Owner(Http2Connection(CHANNEL, now=START), answer)
    streams = [client.ask(**ask) for ask in asks]
    owner.feed(client.said())
    events = client.h2.receive_data(bytes(owner.written))
    assert [e.stream_id for e in events if type(e) is h2.events.StreamEnded] == streams
    statuses = [dict(e.headers)[b":status"] for e in events if type(e) is h2.events.ResponseReceived]
    assert statuses == [b"200"] * len(asks)
    assert not [e for e in events if type(e) in (h2.events.StreamReset, h2.events.ConnectionTerminated)]


FRAMES = st.builds(
    frame,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 9, 13, 32, 37, 45]) | st.integers(0, 255),
    st.sampled_from([0, 1, 1, 3, 5, 7, 2]),
    st.sampled_from(
        [b"", bytes(4), bytes(8), bytes.fromhex("828684410161"), b"\0\0\0\x05", b"\0\4\0\0\0\0", b"\0\0\x10\0"]
    )
    | st.binary(max_size=40),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 400), max_size=4), st.floats(0, 60))
def test_no_frames_raise(frames, cuts, wait):
    owner = Owner(Http2Connection(CHANNEL, now=START), answer)
    whole = PREFACE + frame(4, 0, 0) + b"".join(frames)
    at = 0
    for cut in [*sorted(cut for cut in cuts if cut < len(whole)), len(whole)]:
        if cut > at:
            owner.feed(whole[at:cut])
            at = cut
    owner.tick(owner.now + wait)
    owner.feed(b"")
    for _ in range(20):
        if not owner.over and owner.machine.deadline() is not None:
            owner.tick(max(owner.now, owner.machine.deadline()))
    assert owner.over and type(owner.events[-1]) is Close
    assert owner.machine.next_event() is NEED_DATA


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100_000), st.integers(0, 70_000), st.lists(st.integers(1, 30_000), max_size=20))
def test_an_answer_keeps_to_its_windows_and_arrives_whole(body, initial, updates):
    client = Client()
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: initial})
    stream = client.ask()
    owner = Owner(Http2Connection(CHANNEL, now=START), lambda message: [Response(200, [], body, stream=message.stream)])
    owner.feed(client.said())
    got, ended, taken = b"", False, 0
    for update in [*updates, 1 << 20]:
        written = bytes(owner.written)
        # the library raises where a window is overrun
        for event in client.h2.receive_data(written[taken:]):
            if type(event) is h2.events.DataReceived:
                got += event.data
            ended = ended or type(event) is h2.events.StreamEnded
        taken = len(written)
        if ended:
            break
        client.h2.increment_flow_control_window(update)
        client.h2.increment_flow_control_window(update, stream)
        owner.feed(client.said())
        while chunks := owner.machine.outgoing():
            owner.written += b"".join(chunks)
    for event in client.h2.receive_data(bytes(owner.written)[taken:]):
        if type(event) is h2.events.DataReceived:
            got += event.data
    assert got == body
    assert not owner.over
