"""The server's side of HTTP/2, told as conversations: what is refused, what is counted, what is held back."""

from __future__ import annotations

import struct

import pytest
from hpack import Encoder

from netsuite.http.wire import Http1Limits, Response
from netsuite.http.wire.http2 import Http2Connection
from netsuite.http.wire.http2frames import PREFACE, Http2Limits, answer_frames, frame, settings
from netsuite.sansio.connection import (
    NEED_DATA,
    Abandon,
    Channel,
    Close,
    Data,
    Drain,
    End,
    Failed,
    Finish,
    Part,
    StateError,
)

CHANNEL = Channel(("127.0.0.1", 80), ("127.0.0.1", 40000))
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]
CONNECT = [(b":method", b"CONNECT"), (b":authority", b"a.test:443")]
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = range(10)
PROTOCOL, INTERNAL, FLOW, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION, CALM = 1, 2, 3, 5, 6, 7, 8, 9, 11


async def nothing():
    yield b""


def block(fields):
    return Encoder().encode([(name, value) for name, value in fields], huffman=False)


def plain(fields):
    """Literals without indexing, so that hpack's own rules do not get in the way."""
    return b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in fields)


def ask(stream, fields=GET, flags=5):
    return frame(HEADERS, flags, stream, plain(fields))


def long(value):
    return struct.pack(">L", value)


class Talk:
    """A machine, and the frames that it writes."""

    def __init__(self, limits=Http1Limits(), own=Http2Limits(), *, opened=True, **options):
        self.machine = Http2Connection(CHANNEL, limits, own, **options)
        self.now = 0.0
        if opened:
            assert self.hear(PREFACE + settings([])) == []
            assert [kind for kind, *_ in self.frames()] == [SETTINGS, UPDATE, SETTINGS]

    def hear(self, *data):
        self.machine.receive(b"".join(data), self.now)
        return self.events()

    def events(self):
        found = []
        while (event := self.machine.next_event()) is not NEED_DATA:
            found.append(event)
        return found

    def say(self, *items):
        for item in items:
            self.machine.send(item, self.now)
        return self.frames()

    def frames(self):
        """(type, flags, stream, payload) of all that is written."""
        written = b""
        while chunks := self.machine.outgoing():
            written += b"".join(chunks)
        found, at = [], 0
        while at < len(written):
            high, low, kind, flags, stream = struct.unpack_from(">BHBBL", written, at)
            size = high << 16 | low
            found.append((kind, flags, stream, written[at + 9 : at + 9 + size]))
            at += 9 + size
        return found

    def wait(self, seconds):
        self.now += seconds
        self.machine.tick(self.now)
        return self.events()

    def resets(self):
        return [(stream, int.from_bytes(payload, "big")) for kind, _, stream, payload in self.frames() if kind == RESET]

    def broken(self, *data):
        """The code of the GOAWAY that these bytes bring about."""
        events = self.hear(*data)
        assert type(events[-1]) is Close, events
        last = self.frames()[-1]
        assert last[0] == GOAWAY
        return int.from_bytes(last[3][4:8], "big")


# -- requests


def test_a_request_says_what_it_would_say_in_http_1():
    crumbs = [(b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d")]
    fields = [*GET[:3], (b":path", b"/p?q=1"), *crumbs]
    (request,) = Talk().hear(ask(1, fields))
    assert (request.method, request.target, request.path, request.query) == (b"GET", b"/p?q=1", b"/p", b"q=1")
    assert (request.authority, request.scheme, request.version) == (b"a.test", "http", (2, 0))
    assert request.headers == [(b"host", b"a.test"), (b"cookie", b"a=b; c=d"), (b"x", b"y")]
    assert not request.has_body and request.alone and request.keep_alive


MALFORMED = [
    [*GET, (b"X-Upper", b"a")],
    [*GET, (b"x y", b"a")],
    [*GET, (b"", b"a")],
    [*GET, (b"x", b"a\r\nhost: b")],
    [*GET, (b"x", b"a\nb")],
    [*GET, (b"x", b"a\0b")],
    [*GET, (b"x", b" a")],
    [*GET, (b"x", b"a\t")],
    [*GET, (b"connection", b"close")],
    [*GET, (b"proxy-connection", b"close")],
    [*GET, (b"keep-alive", b"1")],
    [*GET, (b"transfer-encoding", b"chunked")],
    [*GET, (b"upgrade", b"websocket")],
    [*GET, (b"te", b"gzip")],
    [*GET, (b"content_length", b"1")],
    [*GET, (b"transfer_encoding", b"chunked")],
    [*GET, (b"host", b"b.test")],
    [*GET, (b"host", b"a.test"), (b"host", b"a.test")],
    [*GET, (b":path", b"/")],
    [*GET, (b":status", b"200")],
    [*GET, (b":protocol", b"websocket")],
    [*GET[:3], (b"x", b"y"), GET[3]],
    GET[1:],
    [GET[0], *GET[2:]],
    GET[:3],
    [GET[0], GET[1], GET[3]],
    [*GET[:3], (b":path", b"")],
    [*GET[:3], (b":path", b"index.html")],
    [*GET[:3], (b":path", b"http://b.test/")],
    [*GET[:3], (b":path", b"*")],
    [*GET[:3], (b":path", b"/a b")],
    [*GET[:3], (b":path", b"/a\r\n")],
    [*GET[:3], (b":path", b"/#f")],
    [(b":method", b"G T"), *GET[1:]],
    [(b":method", b"GET\r\n"), *GET[1:]],
    [GET[0], (b":scheme", b"ftp"), *GET[2:]],
    [*GET[:2], (b":authority", b"u@a.test"), GET[3]],
    [*GET[:2], (b":authority", b"a.test\r\n"), GET[3]],
    [*CONNECT, (b":path", b"/")],
    [(b":method", b"CONNECT"), (b":authority", b"a.test")],
    [*CONNECT, (b"content-length", b"3")],
    [*POST, (b"content-length", b"3")],
    [*POST, (b"content-length", b"+3")],
    [*POST, (b"content-length", b"0"), (b"content-length", b"0")],
]


@pytest.mark.parametrize("fields", MALFORMED)
def test_what_is_malformed_ends_its_stream_and_no_other(fields):
    talk = Talk()
    assert talk.hear(ask(1, fields)) == []
    assert talk.resets() == [(1, PROTOCOL)]
    (request,) = talk.hear(ask(3))
    assert request.stream == 3


REFUSALS = [
    ([(b":method", b"FROB"), *GET[1:]], 5, 501),
    ([(b":method", b"TRACE"), *GET[1:]], 5, 501),
    (GET, 4, 400),
    ([*GET[:3], (b":path", b"/" + b"a" * 100)], 5, 414),
    ([*POST, (b"expect", b"more")], 4, 417),
    ([*POST, (b"content-length", b"1001")], 4, 413),
    ([*GET, *[(b"x", b"y")] * 20], 5, 431),
    ([*GET, *[(b"x" * 100, b"y" * 120)] * 8], 5, 431),
]


@pytest.mark.parametrize(("fields", "flags", "status"), REFUSALS)
def test_what_is_refused_is_answered(fields, flags, status):
    talk = Talk(Http1Limits(target=100, body=1000, fields=20, head=2000))
    assert talk.hear(ask(1, fields, flags)) == []
    head, body, *rest = talk.frames()
    assert b"%d" % status in head[3] or status == 400
    assert body[:3] == (DATA, 1, 1) and body[3].startswith(b"%d: " % status)
    assert [item[0] for item in rest] == ([] if flags & 1 else [RESET])
    assert len(talk.hear(ask(3))) == 1


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ([(b"ab", 0), (b"cd", 1)], True),
        ([(b"abc", 0), (b"", 1)], False),
        ([(b"abc", 1)], False),
        ([(b"ab", 1)], True),
        ([(b"abcd", 0)], True),
    ],
)
def test_the_body_has_the_length_that_is_announced(parts, fault):
    talk = Talk()
    talk.hear(ask(1, [*POST, (b"content-length", b"3")], 4))
    events = talk.hear(*(frame(DATA, flags, 1, data) for data, flags in parts))
    assert (type(events[-1]) is Failed) is fault
    assert talk.resets() == ([(1, PROTOCOL)] if fault else [])


def test_trailers_and_a_length_that_they_cut_short():
    talk = Talk()
    trailer = frame(HEADERS, 5, 1, plain([(b"x-sum", b"1")]))
    events = talk.hear(ask(1, POST, 4), frame(DATA, 0, 1, b"a"), trailer)
    assert events[1:] == [Data(1, b"a"), End(1, ((b"x-sum", b"1"),))]
    talk.hear(ask(3, [*POST, (b"content-length", b"2")], 4), frame(DATA, 0, 3, b"a"))
    assert talk.hear(frame(HEADERS, 5, 3, plain([(b"x", b"y")])))[0].over
    assert talk.resets() == [(3, PROTOCOL)]


@pytest.mark.parametrize(
    "fields", [[(b":path", b"/")], [(b"content-length", b"1")], [(b"x", b"a\r\nb")], [(b"X", b"y")]]
)
def test_trailers_that_are_none(fields):
    talk = Talk()
    talk.hear(ask(1, POST, 4))
    assert type(talk.hear(frame(HEADERS, 5, 1, plain(fields)))[0]) is Failed
    assert talk.resets() == [(1, PROTOCOL)]


def test_a_body_that_is_too_long_is_413():
    talk = Talk(Http1Limits(body=10))
    talk.hear(ask(1, POST, 4))
    (failed,) = talk.hear(frame(DATA, 0, 1, b"a" * 11))
    assert failed.over
    frames = talk.frames()
    assert frames[1][3].startswith(b"413") and frames[-1][0] == RESET


# -- answers


def test_an_answer_and_what_becomes_of_fields_of_the_connection():
    talk = Talk()
    talk.hear(ask(1))
    fields = [
        (b"Connection", b"close"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"etag", b'"a"'),
    ]
    head, body = talk.say(Response(200, fields[1:], b"hello", stream=1))
    assert head == (HEADERS, 4, 1, b'\x20\x88\x0f\x13\x03"a"\x0f\x0d\x015')
    assert body == (DATA, 1, 1, b"hello")
    assert talk.machine.idle


@pytest.mark.parametrize("value", [b"a\r\nb", b"a\0b", b"a\nb"])
def test_no_value_breaks_its_line(value):
    talk = Talk()
    talk.hear(ask(1))
    with pytest.raises(StateError):
        talk.machine.send(Response(200, [(b"x", value)], stream=1), 0.0)
    head, _ = talk.say(Abandon(1, "that"))
    assert head[3].startswith(b"\x20\x8e")


def test_interim_answers_head_and_204():
    talk = Talk()
    talk.hear(ask(1), ask(3, [(b":method", b"HEAD"), *GET[1:]]), ask(5))
    early = talk.say(Response(103, [(b"link", b"</a>")], stream=1), Response(200, [], b"x", stream=1))
    assert [(kind, flags) for kind, flags, *_ in early] == [(HEADERS, 4), (HEADERS, 4), (DATA, 1)]
    assert [(k, f) for k, f, *_ in talk.say(Response(200, [], b"hello", stream=3))] == [(HEADERS, 5)]
    assert [(k, f, p) for k, f, _, p in talk.say(Response(204, [], stream=5))] == [(HEADERS, 5, b"\x89")]
    with pytest.raises(StateError):
        talk.hear(ask(7)) and talk.machine.send(Response(101, [], stream=7), 0.0)


def test_100_continue_goes_when_the_body_is_waited_for():
    talk = Talk()
    (request,) = talk.hear(ask(1, [*POST, (b"expect", b"100-continue")], 4))
    assert request.expects_continue and talk.frames() == []
    talk.machine.consumed(0, 1)
    assert talk.frames() == [(HEADERS, 4, 1, b"\x20\x08\x03100")]
    talk.machine.consumed(0, 1)
    assert talk.frames() == []


def test_an_answer_before_the_end_of_the_body_stops_the_client():
    talk = Talk()
    talk.hear(ask(1, POST, 4))
    frames = talk.say(Response(200, [], b"x", stream=1))
    assert frames[-1] == (RESET, 0, 1, long(0))
    assert talk.events() == [Failed(1, "the answer was complete before the body", over=True)]
    assert talk.hear(frame(DATA, 0, 1, b"late"), frame(HEADERS, 5, 1, plain([(b"x", b"y")]))) == []
    assert talk.machine.idle


def test_a_tunnel():
    talk = Talk()
    (request,) = talk.hear(ask(1, CONNECT, 4), frame(DATA, 0, 1, b"early"))[:1]
    assert (request.method, request.target, request.has_body) == (b"CONNECT", b"a.test:443", True)
    frames = talk.say(Response(200, [], source=nothing(), stream=1), Part(1, b"in"), Finish(1))
    assert [(kind, flags) for kind, flags, *_ in frames] == [(HEADERS, 4), (DATA, 0), (DATA, 1)]
    assert [event.data for event in talk.hear(frame(DATA, 1, 1, b"still here")) if type(event) is Data] == [
        b"still here"
    ]
    assert talk.machine.idle


EXTENDED = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]


def test_an_extended_connect_is_a_request_with_an_upgrade():
    talk = Talk(upgrades=frozenset([b"websocket"]))
    (request,) = talk.hear(ask(1, EXTENDED, 4))
    assert (request.method, request.path, request.upgrade, request.has_body) == (b"GET", b"/", b"websocket", True)
    with pytest.raises(StateError):
        talk.say(Response(200, [], b"no", stream=1))
    frames = talk.say(Response(101, [(b"upgrade", b"websocket")], source=nothing(), stream=1), Part(1, b"in"))
    assert [(kind, flags) for kind, flags, *_ in frames] == [(HEADERS, 4), (DATA, 0)]
    assert talk.hear(frame(DATA, 0, 1, b"out")) == [Data(1, b"out")]


def test_an_extended_connect_that_is_refused():
    talk = Talk(upgrades=frozenset([b"websocket"]))
    talk.hear(ask(1, EXTENDED, 4))
    assert talk.say(Response(403, [], b"no", stream=1))[-1] == (RESET, 0, 1, long(0))
    assert talk.events()[0].over
    assert talk.hear(ask(3, [(b":method", b"CONNECT"), (b":protocol", b"h2c"), *GET[1:]], 4)) == []
    assert any(b"501: that protocol" in payload for *_, payload in talk.frames())
    for fields in ([GET[0], (b":protocol", b"websocket"), *GET[1:]], [*EXTENDED, (b"content-length", b"3")]):
        talk = Talk(upgrades=frozenset([b"websocket"]))
        assert talk.hear(ask(1, fields, 4)) == []
        assert talk.resets() == [(1, PROTOCOL)]
    talk = Talk()
    assert talk.hear(ask(1, EXTENDED, 4)) == []
    assert talk.resets() == [(1, PROTOCOL)]


def test_a_tunnel_that_is_being_opened_is_not_late():
    talk = Talk(Http1Limits(body_time=5, tunnel_time=50))
    talk.hear(ask(1, CONNECT, 4))
    assert talk.wait(30) == []
    talk.say(Response(200, [], source=nothing(), stream=1))
    assert talk.wait(20) == [] and talk.wait(31)[0].over


def test_an_abandoned_answer():
    talk = Talk()
    talk.hear(ask(1), ask(3))
    assert talk.say(Abandon(1, "oops"))[1][3].startswith(b"500")
    talk.say(Response(200, [], source=nothing(), stream=3), Part(3, b"a"))
    assert talk.say(Abandon(3, "oops"))[-1] == (RESET, 0, 3, long(INTERNAL))


# -- windows


def test_a_body_waits_for_its_window_and_others_do_not():
    talk = Talk()
    talk.hear(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 10)))
    talk.hear(ask(1), ask(3))
    frames = talk.say(Response(200, [], b"x" * 25, stream=1), Response(200, [], b"y" * 8, stream=3))
    assert [(kind, stream, len(p)) for kind, _, stream, p in frames if kind == DATA] == [(DATA, 1, 10), (DATA, 3, 8)]
    talk.hear(frame(UPDATE, 0, 1, long(10)))
    assert [len(p) for *_, p in talk.frames()] == [10]
    talk.hear(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 100)))
    assert [(f, len(p)) for kind, f, _, p in talk.frames() if kind == DATA] == [(1, 5)]
    assert talk.machine.idle


def test_room_is_what_both_windows_let_through():
    talk = Talk()
    talk.hear(ask(1), ask(3))
    talk.say(Response(200, [], source=nothing(), stream=1), Response(200, [], source=nothing(), stream=3))
    assert talk.machine.room(1) == 65535
    talk.say(Part(1, b"x" * 65000))
    assert talk.machine.room(1) == talk.machine.room(3) == 535
    talk.hear(frame(UPDATE, 0, 0, long(10_000)))
    assert (talk.machine.room(1), talk.machine.room(3)) == (535, 10_535)
    talk.hear(frame(RESET, 0, 1, long(CANCEL)))
    assert talk.machine.room(1) == -1


def test_what_is_not_read_holds_its_client_back():
    talk = Talk(own=Http2Limits(stream_window=1000))
    talk.hear(ask(1, POST, 4), frame(DATA, 0, 1, b"x" * 1000))
    assert talk.frames() == []
    talk.machine.consumed(600, 1)
    assert talk.frames() == [(UPDATE, 0, 1, long(600))]
    assert talk.hear(frame(DATA, 0, 1, b"x" * 600))[0] == Data(1, b"x" * 600)
    assert talk.hear(frame(DATA, 0, 1, b"x"))[0].over
    assert talk.resets() == [(1, FLOW)]


def test_all_unread_bodies_together_are_bounded():
    talk = Talk(own=Http2Limits(stream_window=1 << 20, unread=300_000))
    talk.hear(ask(1, POST, 4), *(frame(DATA, 0, 1, b"x" * 16000) for _ in range(17)))
    assert [stream for kind, _, stream, _ in talk.frames() if kind == UPDATE] == [0]
    talk.hear(*(frame(DATA, 0, 1, b"x" * 16000) for _ in range(30)))
    assert talk.frames() == []
    talk.machine.consumed(47 * 16000, 1)
    assert {stream for kind, _, stream, _ in talk.frames() if kind == UPDATE} == {0, 1}


def test_large_bodies_are_handed_over_by_turns():
    talk = Talk()
    talk.hear(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 30)), frame(UPDATE, 0, 0, long(1 << 30)), ask(1))
    talk.machine.send(Response(200, [], b"x" * (1 << 20), stream=1), 0.0)
    assert sum(map(len, talk.machine.outgoing())) < 600_000
    assert sum(len(p) for _, _, _, p in talk.frames()) > 400_000
    assert talk.machine.idle


# -- limits


def test_more_streams_than_allowed_are_refused():
    talk = Talk(own=Http2Limits(streams=2))
    assert len(talk.hear(ask(1), ask(3), ask(5))) == 2
    assert talk.resets() == [(5, REFUSED)]
    talk.say(Response(200, [], stream=1))
    assert len(talk.hear(ask(7))) == 1


def test_rapid_reset_ends_the_connection():
    talk = Talk(own=Http2Limits(resets=10, reset_rate=1))
    pairs = [ask(n, flags=5) + frame(RESET, 0, n, long(CANCEL)) for n in range(1, 41, 2)]
    events = talk.hear(*pairs[:10])
    assert sum(type(event) is Failed and event.over for event in events) == 10
    assert talk.broken(*pairs[10:]) == CALM


def test_resets_that_the_client_brings_about_count_too():
    talk = Talk(own=Http2Limits(resets=10, reset_rate=1))
    flood = b"".join(ask(n) + frame(UPDATE, 0, n, long(0)) for n in range(1, 41, 2))
    assert talk.broken(flood) == CALM


def test_resets_now_and_then_are_fine():
    talk = Talk(own=Http2Limits(resets=10, reset_rate=1))
    for number in range(1, 101, 2):
        talk.now += 2
        assert type(talk.hear(ask(number), frame(RESET, 0, number, long(CANCEL)))[-1]) is Failed


FLOODS = [
    frame(PING, 0, 0, bytes(8)),
    frame(SETTINGS, 0, 0),
    frame(SETTINGS, 1, 0),
    frame(PRIORITY, 0, 1, bytes(5)),
    frame(PRIORITY, 0, 9, bytes(5)),
    frame(DATA, 0, 1),
    frame(DATA, 8, 1, b"\x05" + bytes(5)),
    frame(UPDATE, 0, 0, long(1)),
    frame(UPDATE, 0, 1, long(1)),
    frame(99, 0, 1, b"x"),
]


@pytest.mark.parametrize("nuisance", FLOODS)
def test_floods_of_what_brings_nothing_forward(nuisance):
    talk = Talk(own=Http2Limits(nuisances=50, nuisance_rate=10))
    talk.hear(ask(1, POST, 4))
    assert not talk.machine.closed
    assert talk.hear(nuisance * 30) == []
    talk.now += 10
    assert talk.broken(nuisance * 60) == CALM


def test_tiny_pieces_that_nobody_reads():
    talk = Talk(own=Http2Limits(nuisances=50))
    talk.hear(ask(1, POST, 4), *(frame(DATA, 0, 1, b"x" * 10_000) for _ in range(2)))
    assert talk.broken(frame(DATA, 0, 1, b"x") * 100) == CALM


def test_a_continuation_flood():
    begun = frame(HEADERS, 1, 1, plain(GET))
    assert Talk(own=Http2Limits(continuations=4)).broken(begun, frame(CONTINUATION, 0, 1) * 5) == CALM
    assert Talk(Http1Limits(head=1000)).broken(begun, frame(CONTINUATION, 0, 1, bytes(1000))) == CALM


def test_a_block_in_pieces_that_never_ends_is_given_up():
    talk = Talk(Http1Limits(head_time=10))
    talk.hear(frame(HEADERS, 1, 1, plain(GET)))
    talk.now = 8
    talk.hear(frame(CONTINUATION, 0, 1, b""))
    assert type(talk.wait(3)[-1]) is Close


def test_a_block_in_pieces():
    whole = plain([*GET, (b"x", b"y")])
    (request,) = Talk().hear(
        frame(HEADERS, 1, 1, whole[:7]), frame(CONTINUATION, 0, 1, whole[7:9]), frame(CONTINUATION, 4, 1, whole[9:])
    )
    assert request.header(b"x") == b"y"


def test_an_hpack_bomb():
    indexed = block([*GET, (b"x", b"a" * 3000)]) + b"\xbe" * 4000
    assert Talk().broken(frame(HEADERS, 5, 1, indexed)) == CALM


@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x40", b"\xc6", b"\x3f\xe2\x1f"]
)
def test_what_hpack_cannot_read(garbage):
    assert Talk().broken(frame(HEADERS, 5, 1, garbage)) == COMPRESSION


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(DATA, 0, 0, b"x"), PROTOCOL),
        (frame(DATA, 0, 1, b"x"), PROTOCOL),
        (frame(HEADERS, 5, 2, plain(GET)), PROTOCOL),
        (frame(HEADERS, 5, 0, plain(GET)), PROTOCOL),
        (frame(HEADERS, 13, 1, b"\x09" + plain(GET)[:8]), PROTOCOL),
        (frame(HEADERS, 37, 1, b"abcd"), SIZE),
        (ask(3) + ask(1), CLOSED),
        (frame(HEADERS, 1, 1, plain(GET)) + frame(PING, 0, 0, bytes(8)), PROTOCOL),
        (frame(HEADERS, 1, 1, plain(GET)) + frame(CONTINUATION, 4, 3), PROTOCOL),
        (frame(CONTINUATION, 4, 1), PROTOCOL),
        (frame(RESET, 0, 1, long(8)), PROTOCOL),
        (frame(RESET, 0, 0, long(8)), PROTOCOL),
        (frame(RESET, 0, 1, b"x"), SIZE),
        (frame(SETTINGS, 0, 1), PROTOCOL),
        (frame(SETTINGS, 0, 0, b"x"), SIZE),
        (frame(SETTINGS, 1, 0, bytes(6)), SIZE),
        (frame(SETTINGS, 0, 0, struct.pack(">HL", 2, 2)), PROTOCOL),
        (frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 31)), FLOW),
        (frame(SETTINGS, 0, 0, struct.pack(">HL", 5, 100)), PROTOCOL),
        (frame(PUSH, 4, 1, bytes(4)), PROTOCOL),
        (frame(PING, 0, 0, b"x"), SIZE),
        (frame(PING, 0, 1, bytes(8)), PROTOCOL),
        (frame(GOAWAY, 0, 0, b"x"), SIZE),
        (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
        (frame(UPDATE, 0, 0, long(0)), PROTOCOL),
        (frame(UPDATE, 0, 0, long((1 << 31) - 1)), FLOW),
        (frame(UPDATE, 0, 1, long(1)), PROTOCOL),
        (frame(UPDATE, 0, 0, b"x"), SIZE),
        (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
        (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", SIZE),
    ],
)
def test_connection_errors(data, code):
    assert Talk().broken(data) == code


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", PREFACE + frame(PING, 0, 0, bytes(8)), b"PRI * HTTP/2.0\r\nX"]
)
def test_another_beginning(data):
    assert Talk(opened=False).broken(data) == PROTOCOL


def test_stream_errors_after_the_end_of_a_request():
    talk = Talk()
    talk.hear(ask(1), ask(3), ask(5))
    talk.hear(
        frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 3, plain([(b"x", b"y")])), frame(UPDATE, 0, 5, long((1 << 31) - 1))
    )
    assert talk.resets() == [(1, CLOSED), (3, CLOSED), (5, FLOW)]


# -- time


def test_a_window_that_is_never_opened_costs_its_stream():
    talk = Talk(Http1Limits(body_time=20, idle_time=75))
    talk.hear(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 0)), ask(1), ask(3))
    talk.say(Response(200, [], b"hello", stream=1), Response(200, [], source=nothing(), stream=3))
    assert [event.over for event in talk.wait(21)] == [True, True]
    assert talk.resets() == [(1, CANCEL), (3, CANCEL)]
    assert type(talk.wait(80)[-1]) is Close


def test_a_window_that_opens_by_drops_costs_its_stream_too():
    talk = Talk(Http1Limits(body_time=20, body_progress=1024))
    talk.hear(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 0)), ask(1))
    talk.say(Response(200, [], source=nothing(), stream=1))
    for _ in range(12):
        talk.hear(frame(UPDATE, 0, 1, long(10)))
        talk.say(Part(1, b"x" * max(0, talk.machine.room(1))))
        if talk.wait(4):
            break
    assert talk.resets() == [(1, CANCEL)]


def test_a_slow_answer_is_not_the_clients_fault():
    talk = Talk(Http1Limits(body_time=20, idle_time=75))
    talk.hear(ask(1))
    assert talk.wait(500) == []
    talk.say(Response(200, [], source=nothing(), stream=1), Part(1, b"x"))
    assert talk.wait(500) == []
    talk.say(Finish(1))
    assert talk.wait(10) == []


def test_a_body_that_stalls_is_408():
    talk = Talk(Http1Limits(body_time=20))
    talk.hear(ask(1, POST, 4))
    (failed,) = talk.wait(21)
    assert failed.over
    assert talk.frames()[1][3].startswith(b"408")


def test_a_client_that_says_nothing():
    assert type(Talk(opened=False).wait(11)[-1]) is Close
    talk = Talk(Http1Limits(idle_time=75))
    assert type(talk.wait(76)[-1]) is Close
    assert talk.frames()[-1][0] == GOAWAY


# -- goodbyes


def test_a_drain_finishes_what_is_in_flight():
    talk = Talk()
    talk.hear(ask(1))
    (last,) = talk.say(Drain())
    assert last[0] == GOAWAY and last[3][:8] == long(1) + long(0)
    assert talk.events() == [] and talk.hear(ask(3)) == []
    assert talk.resets() == [(3, REFUSED)]
    talk.say(Response(200, [], b"x", stream=1))
    assert type(talk.events()[-1]) is Close


def test_a_clients_goaway():
    talk = Talk()
    assert len(talk.hear(ask(1), frame(GOAWAY, 0, 0, bytes(8)))) == 1
    talk.say(Response(200, [], b"x", stream=1))
    assert talk.events() == [Close("draining")]


def test_a_ping_is_answered():
    talk = Talk()
    talk.hear(frame(PING, 0, 0, b"12345678"), frame(PING, 1, 0, b"12345678"))
    assert talk.frames() == [(PING, 1, 0, b"12345678")]


# -- hits


def test_a_hit_is_what_the_machine_would_have_sent():
    asked = []
    ready = []

    def hits(head, channel):
        asked.append(head)
        return ready[0] if ready else None

    talk = Talk(hits=hits)
    (first,) = talk.hear(ask(1))
    talk.say(Response(200, [], b"hello", stream=1))
    (second,) = talk.hear(ask(3))
    slow = talk.say(Response(200, [], b"hello", stream=3))
    assert second == type(second)(**{**_attributes(first), "stream": 3})
    ready.append(answer_frames(slow[0][3], b"hello"))
    assert talk.hear(ask(5)) == []
    assert [(k, f, p) for k, f, _, p in talk.frames()] == [(k, f, p) for k, f, _, p in slow]
    assert asked == [first.head] * 2
    assert len(talk.hear(ask(5 + 2, [*GET, (b"x", b"y")]))) == 1


def _attributes(request):
    return {
        "method": request.method,
        "target": request.target,
        "headers": request.headers,
        "version": request.version,
        "has_body": request.has_body,
    }


def test_a_hit_waits_for_its_window_like_any_answer():
    talk = Talk(hits=lambda head, channel: answer_frames(b"\x88", b"x" * 100))
    talk.hear(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 10)), ask(1))
    talk.say(Response(200, [], stream=1))
    assert [type(event).__name__ for event in talk.hear(ask(3))] == ["Request"]


def test_a_block_means_the_same_only_while_the_table_stays():
    encoder = Encoder()
    talk = Talk(hits=lambda head, channel: None)
    for number, value in enumerate([b"a", b"a", b"b", b"a", b"b", b"b"]):
        fields = encoder.encode([*GET, (b"x", value)])
        (request,) = talk.hear(frame(HEADERS, 5, 2 * number + 1, fields))
        assert request.header(b"x") == value
        talk.say(Response(204, [], stream=request.stream))
