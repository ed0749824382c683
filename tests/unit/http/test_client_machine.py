"""The client's machine: bodies that come with their head, floods of interim responses, trailers, TE."""

from __future__ import annotations

import pytest

from netsuite.http.wire.http1 import ClientConnection
from netsuite.http.wire.messages import Ready, Request, Response, sendable_trailers
from netsuite.sansio.connection import NEED_DATA, Close, Data, End, Failed


def asked(*, whole=0, method=b"GET", headers=()):
    machine = ClientConnection(whole=whole)
    machine.send(Request(method, b"/", list(headers), authority=b"a", stream=1), 0.0)
    return machine


def events(machine, data):
    machine.receive(data, 0.0)
    found = []
    while (event := machine.next_event()) is not NEED_DATA:
        found.append(event)
        if type(event) is Close:
            break
    return found


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def test_a_body_that_is_there_comes_with_its_head():
    response, ready = events(asked(whole=5), HEAD + b"hello")
    assert (response.status, response.body, response.has_body) == (200, b"hello", False)
    assert type(ready) is Ready


@pytest.mark.parametrize(("whole", "sent"), [(4, b"hello"), (5, b"hell"), (0, b"hello")])
def test_otherwise_it_is_streamed(whole, sent):
    response, *rest = events(asked(whole=whole), HEAD + sent)
    assert response.has_body
    assert rest[0] == Data(1, sent)


def test_the_connection_is_used_again_after_it():
    machine = asked(whole=5)
    events(machine, HEAD + b"hello")
    assert machine.idle
    machine.send(Request(b"GET", b"/", [], authority=b"a", stream=2), 0.0)
    assert events(machine, HEAD + b"again")[0].body == b"again"


def test_what_follows_it_is_nobodys():
    response, *rest = events(asked(whole=5), HEAD + b"hello" + HEAD)
    assert response.body == b"hello"
    assert type(rest[-1]) is Close


def test_chunks_are_streamed():
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert [type(event) for event in events(asked(whole=100), said)] == [Response, Data, End, Ready]


def test_a_flood_of_interim_responses_is_no_answer():
    found = events(asked(), b"HTTP/1.1 102 Processing\r\n\r\n" * 257)
    assert sum(type(event) is Response for event in found) == 256
    assert type(found[-2]) is Failed
    assert "interim" in found[-2].reason


def test_te_is_named_in_connection():
    for fields, line in (
        ([(b"te", b"trailers")], b"\r\nConnection: TE\r\n"),
        ([(b"te", b"trailers"), (b"connection", b"close")], b"\r\nConnection: close, TE\r\n"),
    ):
        assert line in b"".join(asked(headers=fields).outgoing())


def test_trailers_that_would_change_the_message_are_left_out():
    kept = (b"x-sum", b"1")
    assert sendable_trailers((kept, (b"content-length", b"5"), (b"vary", b"*"), (b"via", b"x"))) == [kept]
