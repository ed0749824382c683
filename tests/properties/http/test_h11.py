"""h11 as the oracle: each reads what the other writes, and what ours take, h11 takes with the same meaning."""

from __future__ import annotations

import itertools

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.http.wire import ClientConnection, Request, Response, ServerConnection
from netsuite.sansio.connection import NEED_DATA, PAUSED, Channel, Close, Data, End, Failed, Finish, Part

CHANNEL = Channel(("127.0.0.1", 80), ("127.0.0.1", 40000))
NAMES = st.from_regex(rb"x-[a-z0-9]{1,8}", fullmatch=True)
VALUES = st.from_regex(rb"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
BODIES = st.lists(st.binary(max_size=300), max_size=5)
TARGETS = st.from_regex(rb"/[a-zA-Z0-9%._~/-]{0,20}(?:\?[a-z=&]{0,10})?", fullmatch=True)
CUTS = st.lists(st.integers(0, 2000), max_size=6)


async def _nothing():
    yield b""


def pieces(data, cuts):
    at = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


def events_of(machine, chunks):
    """All events, Data joined."""
    found, body = [], b""
    for chunk in chunks:
        machine.receive(chunk, 0.0)
        while (event := machine.next_event()) not in (NEED_DATA, PAUSED):
            if type(event) is Data:
                body += event.data
            else:
                found.append(event)
            if type(event) is Close:
                return found, body
    return found, body


@given(st.sampled_from([b"GET", b"PUT", b"DELETE"]), TARGETS, FIELDS, BODIES, st.booleans(), CUTS)
def test_requests_that_h11_writes(method, target, fields, chunks, counted, cuts):
    client = h11.Connection(h11.CLIENT)
    headers = [(b"host", b"example.test"), *fields]
    if method == b"PUT":
        total = sum(map(len, chunks))
        headers.append((b"content-length", b"%d" % total) if counted else (b"transfer-encoding", b"chunked"))
    else:
        chunks = []
    raw = client.send(h11.Request(method=method, target=target, headers=headers))
    for chunk in chunks:
        raw += client.send(h11.Data(data=chunk))
    raw += client.send(h11.EndOfMessage())
    events, body = events_of(ServerConnection(CHANNEL), pieces(raw, cuts))
    request = events[0]
    assert (request.method, request.target, request.headers) == (method, target, headers)
    assert body == b"".join(chunks)
    assert request.has_body == (type(events[-1]) is End)


@given(st.sampled_from([b"GET", b"POST"]), TARGETS, FIELDS, BODIES, st.booleans())
def test_requests_that_we_write(method, target, fields, chunks, counted):
    ours, oracle = ClientConnection(), h11.Connection(h11.SERVER)
    source = None
    if method == b"POST":
        source = _nothing()
        if counted:
            fields = [*fields, (b"content-length", b"%d" % sum(map(len, chunks)))]
    ours.send(Request(method, target, fields, authority=b"example.test", source=source, stream=1), 0.0)
    if source is not None:
        for chunk in chunks:
            ours.send(Part(1, chunk), 0.0)
        ours.send(Finish(1), 0.0)
    oracle.receive_data(b"".join(ours.outgoing()))
    request = oracle.next_event()
    assert (request.method, request.target) == (method, target)
    assert [pair for pair in request.headers if pair[0].startswith(b"x-")] == [f for f in fields if f[0][:2] == b"x-"]
    body = b""
    while type(event := oracle.next_event()) is h11.Data:
        body += event.data
    assert type(event) is h11.EndOfMessage
    assert body == (b"".join(chunks) if source is not None else b"")


@given(st.sampled_from([200, 204, 304, 404]), FIELDS, BODIES, st.integers(0, 2), st.sampled_from([b"GET", b"HEAD"]))
def test_responses_that_we_write(status, fields, chunks, form, method):
    """Inline, counted and chunked bodies; bodiless statuses and HEAD."""
    ours = ServerConnection(CHANNEL)
    ours.receive(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 0.0)
    assert ours.next_event().method == method
    whole = b"".join(chunks)
    if form == 0:
        ours.send(Response(status, fields, whole, stream=1), 0.0)
    else:
        length = [(b"content-length", b"%d" % len(whole))] if form == 1 and status != 204 else []
        ours.send(Response(status, [*fields, *length], source=_nothing(), stream=1), 0.0)
        for chunk in chunks:
            ours.send(Part(1, chunk), 0.0)
        ours.send(Finish(1, ((b"x-sum", b"1"),) if form == 2 else ()), 0.0)
    oracle = h11.Connection(h11.CLIENT)
    oracle.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
    oracle.send(h11.EndOfMessage())
    oracle.receive_data(b"".join(ours.outgoing()))
    response = oracle.next_event()
    assert response.status_code == status
    assert [pair for pair in response.headers if pair[0][:2] == b"x-"] == fields
    body = b""
    while type(event := oracle.next_event()) is h11.Data:
        body += event.data
    assert type(event) is h11.EndOfMessage
    assert body == (b"" if method == b"HEAD" or status in (204, 304) else whole)
    assert oracle.next_event() is h11.PAUSED or oracle.next_event() is h11.NEED_DATA


@given(st.sampled_from([200, 206, 404, 500]), FIELDS, BODIES, st.integers(0, 2), CUTS)
def test_responses_that_h11_writes(status, fields, chunks, form, cuts):
    """Counted, chunked and (HTTP/1.0 style) close-delimited bodies."""
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" if form else b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    oracle.next_event(), oracle.next_event()
    length = [(b"content-length", b"%d" % sum(map(len, chunks)))] if form == 1 else []
    raw = oracle.send(h11.Response(status_code=status, headers=[*fields, *length]))
    for chunk in chunks:
        raw += oracle.send(h11.Data(data=chunk))
    raw += oracle.send(h11.EndOfMessage())
    ours = ClientConnection()
    ours.send(Request(b"GET", b"/", [], authority=b"a", stream=1), 0.0)
    events, body = events_of(ours, [*pieces(raw, cuts), b""])
    assert events[0].status == status
    assert [pair for pair in events[0].headers if pair[0][:2] == b"x-"] == fields
    assert body == b"".join(chunks)
    assert not any(type(event) is Failed for event in events)


MUTATIONS = st.sampled_from(
    [bytes([code]) for code in b"\r\n \t:\0\x0b\x7f\xff,05-+;#"]
    + [b"\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"chunked"]
    + [b"HTTP/1.0", b"HTTP/2.0"]
)
SEEDS = st.sampled_from(
    [
        b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n",
    ]
)


@settings(max_examples=600)
@given(SEEDS, st.lists(st.tuples(st.integers(0, 120), MUTATIONS), min_size=1, max_size=3))
def test_damaged_requests_never_mean_something_else(seed, changes):
    """What ours take as complete, h11 (which is more lenient) takes too, with the same body and the same rest."""
    raw = seed
    for at, what in changes:
        at = min(at, len(raw))
        raw = raw[:at] + what + raw[at:]
    machine = ServerConnection(CHANNEL)
    events, body = events_of(machine, [raw])
    if not events or type(events[0]) is not Request or any(type(e) in (Failed, Close) for e in events):
        return
    request = events[0]
    if request.has_body and type(events[-1]) is not End:
        return
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(raw.lstrip(b"\r\n"))
    theirs = oracle.next_event()
    assert type(theirs) is h11.Request
    assert (theirs.method, theirs.target) == (request.method, request.target)
    their_body = b""
    while type(event := oracle.next_event()) is h11.Data:
        their_body += event.data
    assert type(event) is h11.EndOfMessage
    assert their_body == body
    assert oracle.trailing_data[0] == bytes(machine._buffer)
