"""Clients that cost more than they ask for: every budget of the origin server and the proxy ends them, and is named.

Slowloris in its forms (head, body, frames), readers that do not read, heads, bodies and connections beyond what is
taken; each at the public door of both servers, on the in-memory network.
"""

from __future__ import annotations

import h2.events
import pytest
from zope.interface import implementer

from netsuite.http.wire.http2frames import PREFACE, frame, settings
from netsuite.interfaces import IHttpApplication
from tests.integration.http.scripted import reply
from tests.unit.http.proxy.stage import Stage, close_all
from tests.unit.http.proxy.test_tunnels import Http2Client
from tests.vectors.http.desync import Field

GET = b"GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n"
HEADERS, SETTINGS, PING, CONTINUATION = 1, 4, 6, 9


@implementer(IHttpApplication)
class Large:
    """Answers with more than any queue holds."""

    def handle(self, request, body):
        async def chunks():
            for _ in range(1 << 14):
                yield bytes(1 << 14)

        return 200, [], chunks()


@pytest.fixture
def field(tmp_path):
    yield Field(tmp_path)
    close_all()


both = pytest.mark.parametrize("port", [pytest.param(10080, id="origin"), pytest.param(10081, id="proxy")])


def drip(field, port, first, rest, every, most=200.0):
    """Write a beginning, then a byte from time to time; how long until the server ended it, and what it said."""
    talk = field.stage.connect(port=port)
    began = field.stage.network.clock.seconds()
    talk.say(first)
    for at in range(len(rest)):
        if talk.ended or field.stage.network.clock.seconds() - began > most:
            break
        talk.say(rest[at : at + 1])
        field.stage.network.advance(every)
    return talk, field.stage.network.clock.seconds() - began


@both
@pytest.mark.parametrize("every", [0.5, 4.0, 9.0])
def test_a_head_must_be_complete_in_ten_seconds(field, port, every):
    talk, seconds = drip(field, port, b"GET / HTTP/1.1\r\nX: ", b"y" * 1000, every)
    assert talk.status == 408 and 10 <= seconds <= 10 + 2 * every


@both
def test_a_head_after_another_request_too(field, port):
    talk, _ = drip(field, port, GET + b"GET / HTTP/1.1\r\nX: ", b"y" * 1000, 1.0)
    assert talk.statuses == [200, 408]


@both
@pytest.mark.parametrize("coding", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_a_body_must_come_at_a_rate(field, port, coding):
    first = b"POST / HTTP/1.1\r\nHost: origin.test\r\n" + coding + b"\r\n\r\n"
    rest = b"8000\r\n" + b"x" * 1000 if b"chunked" in coding else b"x" * 1000
    talk, seconds = drip(field, port, first, rest, 1.0)
    assert talk.ended and seconds <= 45
    assert talk.statuses in ([408], [502], [])


@both
def test_a_silent_connection_is_closed(field, port):
    for first in (b"", GET):
        talk = field.stage.connect(port=port)
        talk.say(first) if first else None
        field.stage.network.advance(70)
        assert not talk.ended
        field.stage.network.advance(10)
        assert talk.ended


@both
def test_who_reads_nothing_is_cut_and_costs_little_meanwhile(field, port):
    stage = field.stage
    if port == 10080:
        field.server.mount("/", Large())
    else:
        stage.origin.script = lambda side: [side.say(reply(bytes(32 << 20))) for _ in stage.origin.heads(side)]
    factory = field.server.factory if port == 10080 else stage.server.factory
    talk = stage.connect(port=port)
    talk.transport.pauseProducing()
    talk.say(GET)
    stage.network.advance(20)
    (adapter,) = factory.adapters
    assert len(adapter.transport.dataBuffer) < 4 << 20
    stage.network.advance(60)
    assert not factory.adapters
    assert factory.timed_out == 1


@both
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 70_000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 300 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000, 431),
        (b"\r\n" * 100 + GET, 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 70_000, 400),
    ],
)
def test_what_is_too_long_is_refused(field, port, raw, status):
    talk = field.stage.connect(port=port)
    talk.say(raw)
    field.stage.until(lambda: talk.ended, 30)
    assert talk.ended
    assert status is None or talk.statuses == [status]


class TestHttp2:
    @both
    @pytest.mark.parametrize(
        ("first", "rest"),
        [
            (b"", PREFACE),
            (PREFACE, settings([(3, 100)] * 20)),
            (PREFACE + settings([]), frame(HEADERS, 4, 1, b"\x82" * 200)),
            (PREFACE + settings([]) + frame(HEADERS, 0, 1, b"\x82"), frame(CONTINUATION, 0, 1, b"\x84" * 200)),
        ],
        ids=["preface", "settings", "headers", "continuation"],
    )
    def test_frames_must_come_whole_in_ten_seconds(self, field, port, first, rest):
        talk, seconds = drip(field, port, first, rest, 1.0)
        assert talk.ended and seconds <= 25

    @both
    @pytest.mark.parametrize(
        "flood",
        [
            frame(PING, 0, 0, bytes(8)), settings([(4, 65535)]), frame(0, 0, 0, b""), frame(11, 0, 0, b""),
            frame(HEADERS, 0, 1, b"\x82\x87\x84") + frame(CONTINUATION, 0, 1, b"") * 100,
        ],
        ids=["ping", "settings", "data on no stream", "unknown", "continuation"],
    )  # fmt: skip
    def test_a_flood_of_what_asks_for_nothing_ends_the_connection(self, field, port, flood):
        talk = field.stage.connect(port=port)
        talk.say(PREFACE + settings([]) + flood * 5000)
        field.stage.until(lambda: talk.ended, 10)
        assert talk.ended
        assert len(talk.data) < 1 << 20

    def test_requests_that_are_reset_at_once_end_the_connection(self, field):
        client = Http2Client(field.stage)
        for _ in range(2000):
            if client.talk.ended:
                break
            stream = client.ask((":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), end=True)
            client.h2.reset_stream(stream)
            client.flush()
            field.stage.network.advance(0.001)
        field.stage.network.advance(1)
        assert client.talk.ended
        assert len(field.stage.origin.requests) < 500

    def test_a_body_on_a_stream_must_come_at_a_rate(self, field):
        client = Http2Client(field.stage)
        stream = client.ask((":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/"))
        began = field.stage.network.clock.seconds()
        for _ in range(100):
            if client.look(h2.events.StreamReset):
                break
            client.h2.send_data(stream, b"x")
            client.flush()
            field.stage.network.advance(1)
        assert client.look(h2.events.StreamReset)
        assert field.stage.network.clock.seconds() - began <= 50

    def test_who_opens_no_window_is_cut_and_costs_little_meanwhile(self, field):
        stage = field.stage
        stage.origin.script = lambda side: [side.say(reply(bytes(8 << 20))) for _ in stage.origin.heads(side)]
        client = Http2Client(stage)
        client.ask((":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), end=True)
        got = 0
        for _ in range(60):
            stage.network.advance(1)
            data, client.talk.data = client.talk.data, b""
            got += len(data)
            if data and b"\x03" in data[3:4]:
                break
        assert 65_000 < got < 140_000
        stage.network.advance(90)
        assert not stage.server.client.open or stage.server.fetches.cache.store.size <= 16 << 20
        (adapter,) = stage.server.factory.adapters or [None]
        assert adapter is None or adapter.connection.idle


class TestConnections:
    def test_so_many_in_all(self, tmp_path):
        with Stage(tmp_path, connections=3) as stage:
            talks = [stage.connect() for _ in range(5)]
            stage.network.advance(0.1)
            assert [talk.ended for talk in talks] == [False, False, False, True, True]
            talks[0].transport.loseConnection()
            stage.network.advance(0.1)
            assert stage.ask().status == 200

    def test_so_many_from_one_address(self, tmp_path):
        with Stage(tmp_path, connections_per_address=2) as stage:
            talks = [stage.connect() for _ in range(3)]
            stage.network.advance(0.1)
            assert [talk.ended for talk in talks] == [False, False, True]
            assert stage.ask(host=stage.proxy_host).status == 200

    def test_so_many_to_one_origin(self, tmp_path):
        with Stage(tmp_path, origin_connections=2) as stage:
            stage.origin.script = lambda side: None
            for number in range(10):
                stage.ask(f"http://origin.test/{number}", seconds=0.1)
            assert len(stage.origin.sides) == 2


class TestOrigins:
    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, 502),
            (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n", 502),
            (b"HTTP/1.1 103 Hints\r\n\r\n" * 10 + b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, 502),
            (b"", 504),
            (b"HTTP/1.1 200 OK\r\n", 504),
        ],
    )
    def test_an_origin_that_says_too_much_or_nothing(self, tmp_path, answer, status):
        with Stage(tmp_path, origin="http://origin.test", answer_time=20) as stage:
            stage.origin.script = lambda side: [side.say(answer) for _ in stage.origin.heads(side)]
            talk = stage.ask("/", seconds=30)
            assert stage.until(lambda: b"HTTP/1.1 %d " % status in talk.data, 30)
            assert talk.data.count(b"HTTP/1.1 103") in (0, 10)
