"""Requests that two servers might read as different ones: refused with the connection, or passed on as what they are.

The proxy stands before a scripted origin. What is refused never reaches it, nor does anything behind it on the same
connection; what is passed on is framed once, and its body is its body.
"""

from __future__ import annotations

import h2.events
import pytest

from tests.unit.http.proxy.stage import Stage, close_all
from tests.unit.http.proxy.test_tunnels import Http2Client

EVIL = b"GET /evil HTTP/1.1\r\nHost: origin.test\r\n\r\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    yield Stage(tmp_path_factory.mktemp("smuggling"), origin="http://origin.test")
    close_all()


def head(*lines, method=b"POST", target=b"/", version=b"HTTP/1.1", host=b"Host: origin.test"):
    return b"\r\n".join([b"%b %b %b" % (method, target, version), *([host] if host else []), *lines, b"", b""])


CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"0\r\n\r\n" + EVIL

FRAMING = {
    "CL.TE": head(b"Content-Length: %d" % len(SMUGGLED), CHUNKED) + SMUGGLED,
    "TE.CL": head(CHUNKED, b"Content-Length: 4") + b"2b\r\n" + EVIL + b"\r\n0\r\n\r\n",
    "CL.TE with a space before the colon": head(b"Content-Length: 5", b"Transfer-Encoding : chunked") + SMUGGLED,
    "CL.TE with a tab in front of the value": head(b"Content-Length: 5", b"Transfer-Encoding:\tchunked") + SMUGGLED,
    "CL.TE with a vertical tab": head(b"Content-Length: 5", b"Transfer-Encoding:\x0bchunked") + SMUGGLED,
    "CL.TE with a NUL": head(b"Content-Length: 5", b"Transfer-Encoding: chunked\0") + SMUGGLED,
    "CL.TE, quoted": head(b"Content-Length: 5", b'Transfer-Encoding: "chunked"') + SMUGGLED,
    "CL.TE, folded": head(b"Content-Length: 5", b"X: y", b" Transfer-Encoding: chunked") + SMUGGLED,
    "CL.TE, folded value": head(b"Content-Length: 5", b"Transfer-Encoding:", b" chunked") + SMUGGLED,
    "CL.TE, with an underscore": head(b"Content-Length: 5", b"Transfer_Encoding: chunked") + SMUGGLED,
    "TE.TE, the second unknown": head(CHUNKED, b"Transfer-Encoding: x") + SMUGGLED,
    "TE.TE, the first unknown": head(b"Transfer-Encoding: x", CHUNKED) + SMUGGLED,
    "TE.TE, twice chunked": head(CHUNKED, CHUNKED) + SMUGGLED,
    "TE, chunked not last": head(b"Transfer-Encoding: chunked, identity") + SMUGGLED,
    "TE, nearly chunked": head(b"Transfer-Encoding: xchunked") + SMUGGLED,
    "TE, empty": head(b"Transfer-Encoding:") + SMUGGLED,
    "TE in HTTP/1.0": head(CHUNKED, version=b"HTTP/1.0") + SMUGGLED,
    "TE hidden behind a bare CR": head(b"X: y\rTransfer-Encoding: chunked", b"Content-Length: 5") + SMUGGLED,
    "TE hidden behind a bare LF": head(b"X: y\nTransfer-Encoding: chunked", b"Content-Length: 5") + SMUGGLED,
    "two lengths that differ": head(b"Content-Length: 0", b"Content-Length: %d" % len(EVIL)) + EVIL,
    "two lengths that agree": head(b"Content-Length: 3", b"Content-Length: 3") + b"abc" + EVIL,
    "a list of lengths": head(b"Content-Length: 3, 3") + b"abc" + EVIL,
    "a signed length": head(b"Content-Length: +3") + b"abc" + EVIL,
    "a negative length": head(b"Content-Length: -3") + EVIL,
    "a hexadecimal length": head(b"Content-Length: 0x3") + b"abc" + EVIL,
    "a length with a space inside": head(b"Content-Length: 4 3") + b"abc" + EVIL,
    "a fractional length": head(b"Content-Length: 3.0") + b"abc" + EVIL,
    "a length in other digits": head(b"Content-Length: \xd9\xa3") + b"abc" + EVIL,
    "a length without end": head(b"Content-Length: " + b"9" * 40) + EVIL,
    "a length with an underscore": head(b"Content_Length: 3") + b"abc" + EVIL,
    "0.CL": head(b"Content-Length: %d" % len(EVIL), method=b"GET") + EVIL,
    "0.CL by HEAD": head(b"Content-Length: %d" % len(EVIL), method=b"HEAD") + EVIL,
    "0.TE": head(CHUNKED, method=b"GET") + SMUGGLED,
    "CONNECT with a body": head(b"Content-Length: 3", method=b"CONNECT", target=b"origin.test:80") + b"abc" + EVIL,
    "an unknown expectation": head(b"Expect: 200-ok", b"Content-Length: 3") + b"abc" + EVIL,
    "two expectations": head(b"Expect: 100-continue, 200-ok", b"Content-Length: 3") + b"abc" + EVIL,
}

LINES = {
    "a space before the colon": head(b"X : y", method=b"GET") + EVIL,
    "a name with a space": head(b"X Y: z", method=b"GET") + EVIL,
    "no name": head(b": y", method=b"GET") + EVIL,
    "no colon": head(b"X", method=b"GET") + EVIL,
    "a fold": head(b"X: y", b" z", method=b"GET") + EVIL,
    "a first line that begins with a space": head(method=b"GET").replace(b"Host", b" Host") + EVIL,
    "a bare CR in a value": head(b"X: a\rb", method=b"GET") + EVIL,
    "a bare CR before the end": head(b"X: a\r", method=b"GET") + EVIL,
    "a NUL in a value": head(b"X: a\0b", method=b"GET") + EVIL,
    "a control in a value": head(b"X: a\x07b", method=b"GET") + EVIL,
    "a NUL in a name": head(b"X\0: a", method=b"GET") + EVIL,
    "bare LFs": head(b"X: y", method=b"GET").replace(b"\r\n", b"\n") + EVIL,
    "a bare LF after the last": head(method=b"GET")[:-2] + b"\n" + EVIL,
    "a CR after the head": head(method=b"GET")[:-2] + b"\r\r\n" + EVIL,
    "two spaces in the first line": head(method=b"GET ") + EVIL,
    "a tab in the first line": head(method=b"GET\t") + EVIL,
    "a space at the end of the first line": head(version=b"HTTP/1.1 ", method=b"GET") + EVIL,
    "a space in the target": head(target=b"/a b", method=b"GET") + EVIL,
    "a fragment": head(target=b"/a#b", method=b"GET") + EVIL,
    "no version": b"GET /\r\n" + EVIL,
    "an unknown version": head(version=b"HTTP/2.0", method=b"GET") + EVIL,
    "a version in small letters": head(version=b"http/1.1", method=b"GET") + EVIL,
    "a version with two digits": head(version=b"HTTP/1.10", method=b"GET") + EVIL,
    "a method in brackets": head(method=b"(GET)") + EVIL,
}

HOSTS = {
    "no Host": head(method=b"GET", host=None) + EVIL,
    "two Hosts that agree": head(b"Host: origin.test", method=b"GET") + EVIL,
    "two Hosts that differ": head(b"Host: evil.test", method=b"GET") + EVIL,
    "an empty Host": head(method=b"GET", host=b"Host:") + EVIL,
    "a Host with a path": head(method=b"GET", host=b"Host: origin.test/evil") + EVIL,
    "a Host with a user": head(method=b"GET", host=b"Host: evil@origin.test") + EVIL,
    "a Host with a space": head(method=b"GET", host=b"Host: origin.test evil.test") + EVIL,
    "a list of Hosts": head(method=b"GET", host=b"Host: origin.test, evil.test:x") + EVIL,
    "a Host with a port that is none": head(method=b"GET", host=b"Host: origin.test:x") + EVIL,
    "an absolute target with a user": head(method=b"GET", target=b"http://evil@origin.test/") + EVIL,
    "an absolute target without a host": head(method=b"GET", target=b"http:///evil") + EVIL,
    "an absolute target of another scheme": head(method=b"GET", target=b"ftp://origin.test/") + EVIL,
    "a target that is an authority": head(method=b"GET", target=b"origin.test:80") + EVIL,
    "an asterisk": head(method=b"GET", target=b"*") + EVIL,
}

CHUNKS = {
    "a chunk size with a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": b"-3\r\nabc\r\n0\r\n\r\n",
    "a chunk size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a space before the chunk size": b" 3\r\nabc\r\n0\r\n\r\n",
    "an empty chunk size": b"\r\nabc\r\n0\r\n\r\n",
    "an endless chunk size": b"f" * 20 + b"\r\nabc\r\n0\r\n\r\n",
    "a bare LF after the chunk size": b"3\nabc\r\n0\r\n\r\n",
    "a bare LF in a chunk extension": b"3;x\nabc\r\n0\r\n\r\n",
    "a bare CR in a chunk extension": b"3;x\ry\r\nabc\r\n0\r\n\r\n",
    "a bare LF after a chunk": b"3\r\nabc\n0\r\n\r\n",
    "a chunk longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk shorter than its size": b"5\r\nabc\r\n0\r\n\r\n",
    "a bare LF at the end": b"3\r\nabc\r\n0\r\n\n",
    "framing in the trailers": b"0\r\nContent-Length: 3\r\n\r\n",
    "coding in the trailers": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a fold in the trailers": b"0\r\nX: y\r\n z\r\n\r\n",
    "a trailer without a colon": b"0\r\nX\r\n\r\n",
}


def write(stage, raw):
    """(talk, requests at the origin, rest of what came there)."""
    before, sides = len(stage.origin.requests), len(stage.origin.sides)
    talk = stage.connect()
    talk.say(raw)
    stage.until(lambda: talk.ended, 3)
    rest = b"".join(side.data for side in stage.origin.sides[sides:])
    return talk, stage.origin.requests[before:], rest


REFUSED = {**FRAMING, **LINES, **HOSTS}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_connection_before_anything_goes_further(stage, name):
    talk, further, rest = write(stage, REFUSED[name])
    assert talk.ended and len(talk.statuses) == 1
    assert talk.status in (400, 405, 417, 501, 505)
    assert talk.header("connection") == "close"
    assert (further, rest) == ([], b"")


@pytest.mark.parametrize("name", CHUNKS)
def test_a_body_that_is_broken_never_becomes_a_request(stage, name):
    talk, further, _ = write(stage, head(CHUNKED) + CHUNKS[name] + EVIL)
    assert talk.ended
    assert talk.statuses in ([400], [502], [])
    assert not [first for first, _ in further if "/evil" in first]


def test_a_body_is_a_body_however_it_looks(stage):
    raw = head(b"Content-Length: %d" % len(EVIL)) + EVIL
    for sent, kept in ((raw, EVIL), (head(CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL), None)):
        talk, further, rest = write(stage, sent + head(method=b"GET", target=b"/next"))
        assert talk.statuses == [200, 200] and rest == b""
        assert [first.split()[1] for first, _ in further] == ["/", "/next"]
        assert further[0][1] == (kept or b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL))
        fields = further[0][0].lower()
        assert fields.count("content-length") + fields.count("transfer-encoding") == 1


def test_who_waits_for_100_continue_and_sends_nothing_leaves_no_half_request(stage):
    """The head goes on only when somebody reads, and what follows on the connection is not taken for its body."""
    raw = head(b"Content-Length: %d" % len(EVIL), b"Expect: 100-continue")
    talk, further, _ = write(stage, raw + EVIL + head(method=b"GET", target=b"/next"))
    assert [first.split()[1] for first, _ in further] == ["/", "/next"]
    assert further[0][1] == EVIL
    assert "expect" not in further[0][0].lower() or talk.statuses[-1] == 200


def test_an_absolute_target_outvotes_host(stage):
    talk, further, _ = write(stage, head(method=b"GET", target=b"http://named.test/x", host=b"Host: evil.test"))
    assert talk.status == 200
    assert "evil.test" not in further[0][0]
    assert "X-Forwarded-Host: named.test" in further[0][0]


def test_pipelined_requests_are_answered_in_order_and_apart(stage):
    stage.origin.script, kept = (
        lambda side: [
            side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%b" % first.split()[1][1:].encode())
            for first in stage.origin.heads(side)
        ],
        stage.origin.script,
    )
    talk, further, _ = write(stage, b"".join(head(method=b"GET", target=b"/%02d" % n) for n in range(20)))
    stage.origin.script = kept
    assert len(further) == 20
    assert [talk.data.split(b"\r\n\r\n")[n + 1][:2] for n in range(20)] == [b"%02d" % n for n in range(20)]


# -- from HTTP/2

GET = ((":method", "GET"), (":scheme", "https"), (":authority", "origin.test"), (":path", "/"))
LINE = " HTTP/1.1\r\nHost: origin.test\r\n\r\nGET /evil"
FIELDS = {
    "a line in the path": [GET[0], GET[1], GET[2], (":path", "/" + LINE)],
    "a space in the path": [GET[0], GET[1], GET[2], (":path", "/a b")],
    "a line in the method": [(":method", "GET /evil HTTP/1.1\r\nX: y\r\n\r\n"), *GET[1:]],
    "a line in the authority": [GET[0], GET[1], (":authority", "origin.test\r\nX: y"), GET[3]],
    "a user in the authority": [GET[0], GET[1], (":authority", "evil@origin.test"), GET[3]],
    "a path in the authority": [GET[0], GET[1], (":authority", "origin.test/evil"), GET[3]],
    "an URL for a scheme": [GET[0], (":scheme", "http://evil.test/?"), GET[2], GET[3]],
    "an absolute path": [GET[0], GET[1], GET[2], (":path", "http://evil.test/")],
    "no path": [GET[0], GET[1], GET[2], (":path", "")],
    "a line in a value": [*GET, ("x", "y\r\ntransfer-encoding: chunked")],
    "a bare LF in a value": [*GET, ("x", "y\ntransfer-encoding: chunked")],
    "a bare CR in a value": [*GET, ("x", "y\rz")],
    "a NUL in a value": [*GET, ("x", "y\0z")],
    "a space around a value": [*GET, ("x", " y")],
    "a colon in a name": [*GET, ("x: y\r\nz", "y")],
    "a capital in a name": [*GET, ("X", "y")],
    "a space in a name": [*GET, ("x y", "z")],
    "an empty name": [*GET, ("", "y")],
    "Transfer-Encoding": [*GET, ("transfer-encoding", "chunked")],
    "Connection": [*GET, ("connection", "x-real-ip")],
    "Upgrade": [*GET, ("upgrade", "websocket")],
    "Keep-Alive": [*GET, ("keep-alive", "1")],
    "Proxy-Connection": [*GET, ("proxy-connection", "keep-alive")],
    "TE": [*GET, ("te", "chunked")],
    "a framing field in disguise": [*GET, ("transfer_encoding", "chunked")],
    "two hosts": [*GET, ("host", "origin.test"), ("host", "origin.test")],
    "another host": [*GET, ("host", "evil.test")],
    "two paths": [*GET, (":path", "/evil")],
    "a pseudo-field behind a field": [*GET[:3], ("x", "y"), GET[3]],
    "an unknown pseudo-field": [*GET, (":evil", "y")],
    "a status": [*GET, (":status", "200")],
    "a length without a body": [*GET, ("content-length", "3")],
    "two lengths": [*GET, ("content-length", "0"), ("content-length", "0")],
    "a length that is none": [*GET, ("content-length", "+0")],
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_http2_that_would_be_lines_of_http1_go_no_further(stage, name):
    before = len(stage.origin.requests), len(stage.origin.sides)
    client = Http2Client(stage)
    client.ask(*FIELDS[name], end=True)
    client.next(h2.events.StreamReset)
    assert (len(stage.origin.requests), len(stage.origin.sides)) == before


@pytest.mark.parametrize(("length", "body"), [(2, b"abc"), (4, b"abc"), (0, b"abc"), (40, EVIL)])
def test_a_body_of_http2_has_the_length_that_it_says(stage, length, body):
    before = len(stage.origin.requests)
    client = Http2Client(stage)
    stream = client.ask((":method", "POST"), *GET[1:], ("content-length", str(length)))
    client.h2.send_data(stream, body, end_stream=True)
    client.flush()
    client.next(h2.events.StreamReset)
    stage.network.advance(1)
    # one of no length is whole with its head
    assert [sent for _, sent in stage.origin.requests[before:]] == ([] if length else [b""])
    assert not any(b"evil" in side.data for side in stage.origin.sides)


def test_a_body_of_http2_is_framed_anew(stage):
    before = len(stage.origin.requests)
    client = Http2Client(stage)
    stream = client.ask((":method", "POST"), *GET[1:])
    client.h2.send_data(stream, EVIL, end_stream=True)
    client.flush()
    client.next(h2.events.ResponseReceived)
    stage.network.advance(1)
    ((first, body),) = stage.origin.requests[before:]
    assert "transfer-encoding: chunked" in first.lower()
    assert body == b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL)
