"""The server's side of HTTP/1.1, told as conversations."""

from __future__ import annotations

import pytest

from netsuite.http.wire import Http1Limits, Response, ServerConnection
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
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
    TlsFacts,
)

CHANNEL = Channel(("127.0.0.1", 80), ("127.0.0.1", 40000))
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def nothing():
    yield b""


class Talk:
    """A machine, and what it says when it hears something."""

    def __init__(self, limits=Http1Limits(), **options):
        self.machine = ServerConnection(CHANNEL, limits, **options)
        self.now = 0.0

    def hear(self, data):
        self.machine.receive(data, self.now)
        return self.events()

    def events(self):
        found = []
        while (event := self.machine.next_event()) not in (NEED_DATA, PAUSED):
            found.append(event)
            if type(event) is Close:
                break
        self.last = event
        return found

    def say(self, *items):
        for item in items:
            self.machine.send(item, self.now)
        return self.written()

    def written(self):
        return b"".join(self.machine.outgoing())

    def wait(self, seconds):
        self.now += seconds
        self.machine.tick(self.now)
        return self.events()


def status_of(written):
    return int(written[9:12])


REFUSALS = [
    (b"GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "more than one host"),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host is malformed"),
    (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400, "Host is malformed"),
    (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "Host is malformed"),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400, "CRLF"),
    (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, "CRLF"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "malformed"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n", 400, "malformed"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, "malformed"),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
    (b"GET /\r\n\r\n", 400, "request line"),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
    (b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    (b"CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    (b"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.0 and HTTP/1.1"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.0 and HTTP/1.1"),
    (b"FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "TRACE"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, ""),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400, ""),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400, ""),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, ""),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400, ""),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "chunked"),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 400, "GET with a body"),
    (b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HEAD with a body"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: cake\r\n\r\n", 417, "expectation"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\n\r\n", 400, "disguise"),
]


@pytest.mark.parametrize(("raw", "status", "why"), REFUSALS, ids=[f"{r[0][:50]!r}" for r in REFUSALS])
def test_what_is_refused(raw, status, why):
    talk = Talk()
    (close,) = talk.hear(raw)
    assert type(close) is Close
    assert close.linger
    assert why in close.reason
    written = talk.written()
    assert status_of(written) == status
    assert b"\r\nConnection: close\r\n" in written
    assert talk.hear(GET) == []


def test_limits():
    small = Http1Limits(head=200, target=50, fields=3, body=10)
    long = [
        (b"GET /" + b"a" * 60 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 300, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413),
        (CHUNKED + b"b\r\nhello world\r\n0\r\n\r\n", 413),
    ]
    for raw, status in long:
        talk = Talk(small)
        events = talk.hear(raw)
        assert type(events[-1]) is Close, raw
        assert status_of(talk.written()) == status, raw
        assert sum(len(e.data) for e in events if type(e) is Data) <= 10


def test_pipelined_requests_wait_for_their_turn():
    talk = Talk()
    (first,) = talk.hear(GET + GET.replace(b"/ ", b"/2 ") + b"GET /3")
    assert talk.last is PAUSED
    assert talk.machine.backlog() == len(GET) + 1 + len(b"GET /3")
    assert talk.say(Response(200, [], b"1", stream=1)).endswith(b"\r\n\r\n1")
    (second,) = talk.events()
    assert (first.path, second.path, second.stream) == (b"/", b"/2", 2)
    talk.say(Response(200, [], b"2", stream=2))
    assert talk.events() == []
    assert not talk.machine.idle


def test_the_parts_of_a_request():
    secure = Channel(("1", 1), ("2", 2), TlsFacts("TLSv1.3", "x"))
    machine = ServerConnection(secure)
    machine.receive(b"GET /a%20b?c=d?e HTTP/1.1\r\nHost: Ex.test:8\r\nAccept: a\r\nACCEPT:  b \r\n\r\n", 0.0)
    request = machine.next_event()
    assert (request.method, request.path, request.query) == (b"GET", b"/a%20b", b"c=d?e")
    assert (request.scheme, request.authority, request.peer) == ("https", b"Ex.test:8", ("2", 2))
    assert request.header(b"accept") == b"a, b"
    assert request.header(b"cookie") is None
    assert request.alone


@pytest.mark.parametrize(
    ("target", "path", "query", "authority"),
    [
        (b"http://other:81/x?y", b"/x", b"y", b"other:81"),
        (b"http://other", b"/", None, b"other"),
        (b"HTTP://other?q", b"/", b"q", b"other"),
        (b"/x?", b"/x", b"", b"a"),
    ],
)
def test_absolute_targets_go_before_host(target, path, query, authority):
    (request,) = Talk().hear(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (request.path, request.query, request.authority) == (path, query, authority)


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET / HTTP/1.3\r\nHost: a\r\n\r\n", True),
    ],
)
def test_keep_alive(head, stays):
    talk = Talk()
    talk.hear(head)
    written = talk.say(Response(200, [], b"", stream=1))
    assert (b"Connection: close" in written) is not stays
    assert bool(talk.events()) is not stays
    if b"1.0" in head and stays:
        assert b"Connection: keep-alive" in written


def test_continue_is_said_when_the_application_begins_to_read():
    talk = Talk()
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    (request,) = talk.hear(head)
    assert request.has_body
    assert talk.written() == b""
    talk.machine.consumed(0, 1)
    talk.machine.consumed(0, 1)
    assert talk.written() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert talk.hear(b"abc") == [Data(1, b"abc"), End(1)]
    assert b"close" not in talk.say(Response(200, [], b"", stream=1))


def test_an_answer_before_continue_closes():
    """Whether the body still comes cannot be known (RFC 9110 section 10.1.1)."""
    talk = Talk()
    talk.hear(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert b"Connection: close" in talk.say(Response(403, [], b"", stream=1))
    assert [type(event) for event in talk.events()] == [Failed, Close]


def test_continue_is_not_said_to_a_body_that_has_come():
    talk = Talk()
    talk.hear(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
    talk.machine.consumed(0, 1)
    assert talk.written() == b""


def test_interim_responses():
    talk = Talk()
    talk.hear(GET)
    assert talk.say(Response(103, [(b"link", b"</x>")], stream=1)) == b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert status_of(talk.say(Response(200, [], b"", stream=1))) == 200
    talk = Talk()
    talk.hear(b"GET / HTTP/1.0\r\n\r\n")
    assert talk.say(Response(103, [], stream=1)) == b""


def test_bodies_on_the_way_out():
    talk = Talk()
    talk.hear(GET)
    head = talk.say(Response(200, [], source=nothing(), stream=1))
    assert b"Transfer-Encoding: chunked" in head
    assert talk.say(Part(1, b"hello"), Part(1, b"")) == b"5\r\nhello\r\n"
    assert talk.say(Finish(1, ((b"x-sum", b"1"),))) == b"0\r\nX-Sum: 1\r\n\r\n"
    talk.hear(GET)
    assert b"Content-Length: 2" in talk.say(Response(200, [(b"content-length", b"2")], source=nothing(), stream=2))
    assert talk.say(Part(2, b"hi"), Finish(2)) == b"hi"
    talk.hear(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"Connection: close" in talk.say(Response(200, [], source=nothing(), stream=3))
    assert talk.say(Part(3, b"hi"), Finish(3)) == b"hi"
    assert [type(event) for event in talk.events()] == [Close]


@pytest.mark.parametrize("status", [200, 204, 304])
def test_head_and_bodiless_statuses_have_no_body(status):
    talk = Talk()
    talk.hear(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    written = talk.say(Response(status, [], b"" if status != 200 else b"hello", stream=1))
    assert written.endswith(b"\r\n\r\n")
    assert (b"Content-Length: 5" in written) is (status == 200)
    talk.hear(GET)
    assert talk.say(Response(304, [], source=nothing(), stream=2), Part(2, b"x"), Finish(2)).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ([(b"x", b"a\r\nb: c")], {}),
        ([(b"x", b"a\nb")], {}),
        ([(b"x", b"a\0")], {}),
        ([(b"x y", b"a")], {}),
        ([(b"x:", b"a")], {}),
        ([(b"content-length", b"5")], {}),
        ([(b"content-length", b"x")], {"source": True}),
        ([], {"reason": b"a\r\nb"}),
    ],
)
def test_nothing_splits_a_response(headers, options):
    talk = Talk()
    talk.hear(GET)
    source = nothing() if options.pop("source", False) else None
    with pytest.raises(StateError):
        talk.say(Response(200, headers, b"", source=source, stream=1, **options))
    assert talk.written() == b""
    assert status_of(talk.say(Abandon(1, "it was wrong"))) == 500
    assert talk.hear(GET)


def test_what_may_not_be_said():
    talk = Talk()
    with pytest.raises(StateError):
        talk.say(Response(200, [], stream=1))
    talk.hear(GET)
    for item in (Part(1, b"x"), Finish(1), Response(200, [], stream=2), Response(101, [], stream=1), object):
        with pytest.raises((StateError, AttributeError)):
            talk.say(item)
    talk.say(Response(200, [(b"content-length", b"3")], source=nothing(), stream=1))
    for item in (Part(1, b"xxxx"), Finish(1), Response(200, [], stream=1)):
        with pytest.raises(StateError):
            talk.say(item)


def test_abandon_before_and_after_the_head():
    talk = Talk()
    talk.hear(GET)
    written = talk.say(Abandon(1, "secret"))
    assert status_of(written) == 500
    assert b"secret" not in written
    assert talk.machine.idle
    talk.hear(GET)
    talk.say(Response(200, [], source=nothing(), stream=2), Part(2, b"half"))
    assert talk.say(Abandon(2, "broke")) == b""
    failed, close = talk.events()
    assert (type(failed), type(close)) == (Failed, Close)


def test_the_client_leaves_in_a_body():
    talk = Talk()
    talk.hear(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    failed, _ = talk.hear(b"")
    assert failed == Failed(1, "the client left")
    talk.say(Response(200, [], b"late", stream=1), Part(1, b""), Abandon(1, ""))
    assert talk.written() == b""


def test_the_client_closes_its_side_and_waits():
    talk = Talk()
    talk.hear(GET)
    assert talk.hear(b"") == []
    assert status_of(talk.say(Response(200, [], b"x", stream=1))) == 200
    assert [type(event) for event in talk.events()] == [Close]


def test_a_broken_body_is_answered_if_it_can_be():
    talk = Talk()
    _, data, failed, close = talk.hear(CHUNKED + b"3\r\nabcX")
    assert (data, type(failed), type(close)) == (Data(1, b"abc"), Failed, Close)
    assert status_of(talk.written()) == 400
    talk = Talk()
    talk.hear(CHUNKED)
    talk.say(Response(200, [], source=nothing(), stream=1))
    assert [type(event) for event in talk.hear(b"zz\r\n")] == [Failed, Close]
    assert talk.written() == b""


def test_an_answer_before_the_end_of_the_body():
    """The rest of the body is read by its owner, then the next request's turn comes."""
    talk = Talk()
    talk.hear(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    talk.say(Response(200, [], b"", stream=1))
    assert talk.hear(b"cde" + GET)[:2] == [Data(1, b"cde"), End(1)]


class TestTunnels:
    CONNECT = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"

    def test_opened(self):
        talk = Talk()
        (request,) = talk.hear(self.CONNECT + b"early")
        assert (request.has_body, request.authority, request.path) == (True, b"a:443", b"")
        assert talk.last is PAUSED
        written = talk.say(Response(200, [(b"content-length", b"0")], source=nothing(), stream=1))
        assert written == b"HTTP/1.1 200 OK\r\n\r\n"
        assert talk.events() == [Data(1, b"early")]
        assert talk.say(Part(1, b"back")) == b"back"
        assert talk.hear(b"GET / HTTP/1.1\r\n\r\n") == [Data(1, b"GET / HTTP/1.1\r\n\r\n")]
        assert talk.hear(b"") == [End(1)]
        talk.say(Finish(1))
        assert [type(event) for event in talk.events()] == [Close]

    def test_refused(self):
        talk = Talk()
        talk.hear(self.CONNECT + GET)
        assert b"Connection: close" in talk.say(Response(403, [], b"no", stream=1))
        assert [type(event) for event in talk.events()] == [End, Close]

    def test_silent(self):
        talk = Talk()
        talk.hear(self.CONNECT)
        talk.say(Response(200, [], source=nothing(), stream=1))
        talk.wait(599)
        talk.hear(b"x")
        assert talk.wait(599) == []
        assert [type(event) for event in talk.wait(2)] == [Failed, Close]

    def test_upgrade(self):
        ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        talk = Talk(upgrades=frozenset([b"websocket"]))
        (request,) = talk.hear(ask)
        assert (request.has_body, request.upgrade) == (True, b"websocket")
        written = talk.say(Response(101, [(b"upgrade", b"websocket")], source=nothing(), stream=1))
        assert b"Connection: Upgrade\r\n" in written
        assert talk.hear(b"\x81") == [Data(1, b"\x81")]

    def test_upgrade_that_is_not_taken(self):
        ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
        talk = Talk(upgrades=frozenset([b"websocket"]))
        (request,) = talk.hear(ask + GET)
        assert (request.has_body, request.upgrade) == (False, None)
        talk.say(Response(200, [], b"", stream=1))
        assert len(talk.events()) == 1


class TestTime:
    def test_a_slow_head(self):
        talk = Talk()
        talk.hear(b"GET")
        talk.now = 9.0
        talk.hear(b" /")
        assert [type(event) for event in talk.wait(1.5)] == [Close]
        assert status_of(talk.written()) == 408

    def test_an_idle_connection_is_closed_without_a_word(self):
        talk = Talk()
        assert [type(event) for event in talk.wait(75)] == [Close]
        assert talk.written() == b""

    def test_a_shortcut_counts_as_life(self):
        talk = Talk()
        talk.machine.touched(50.0)
        assert talk.wait(75) == []

    def test_a_body_must_make_progress(self):
        talk = Talk()
        talk.hear(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n")
        talk.hear(b"x" * 2000)
        talk.machine.consumed(2000, 1)
        assert talk.wait(20) == []
        talk.hear(b"x")
        talk.machine.consumed(1, 1)
        assert [type(event) for event in talk.wait(20)] == [Failed, Close]
        assert status_of(talk.written()) == 408

    def test_a_slow_application_is_not_the_clients_fault(self):
        talk = Talk()
        talk.hear(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nabc")
        for _ in range(10):
            assert talk.wait(20) == []

    def test_while_an_answer_is_made_nothing_is_due(self):
        talk = Talk()
        talk.hear(GET)
        assert talk.machine.deadline() is None


def test_drain():
    talk = Talk()
    talk.say(Drain())
    assert [type(event) for event in talk.events()] == [Close]
    talk = Talk()
    talk.hear(GET)
    talk.say(Drain())
    assert talk.events() == []
    assert b"Connection: close" in talk.say(Response(200, [], b"", stream=1))
    assert [type(event) for event in talk.events()] == [Close]
