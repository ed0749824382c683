"""Answers at the door: only to what was read inside before, and nothing is answered that would be refused inside."""

from __future__ import annotations

import pytest
from zope.interface import implementer

from netsuite.http.doorstep import Doorstep, immediate
from netsuite.http.wire.messages import Request
from netsuite.interfaces import IHttpApplication, IImmediateHttpApplication

FIELDS = b"Host: a\r\nUser-Agent: test/1\r\n"


@implementer(IImmediateHttpApplication)
class Echo:
    immediate_fields = [(b"content-type", b"text/plain")]

    def handle(self, request, body):
        return 200, [], request.target

    def immediately(self, target, host):
        return None if target == b"/no" else b"x" * 20_000 if target == b"/long" else target + host.encode()


def request(head, *, alone=True, method=b"GET", headers=((b"host", b"a"), (b"user-agent", b"test/1")), **more):
    made = Request(method, b"/", list(headers), head=head, **more)
    made.alone = alone
    return made


def head(target=b"/", fields=FIELDS, method=b"GET", version=b"1.1"):
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + fields + b"\r\n"


@pytest.fixture
def door():
    logged = []
    made = Doorstep(Echo(), lambda: 784111777.5, lambda *what: logged.append(what), [0] * 6)
    return made, logged


def test_what_was_read_inside_is_answered_at_the_door(door):
    step, logged = door
    assert step.answer(head(b"/a"), "192.0.2.1") is None
    step.learn(request(head()))
    assert step.answer(head(b"/a"), "192.0.2.1") == (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: netsuite\r\nContent-Type: text/plain\r\n"
        b"Connection: close\r\nContent-Length: 11\r\n\r\n/a192.0.2.1"
    )
    assert logged == [("192.0.2.1", "GET /a HTTP/1.1", 200, 11, "-", "test/1")]
    assert step.requests == 1


@pytest.mark.parametrize(
    "data",
    [
        head(b"/no"),
        head(b"/long"),
        head(b"/a", FIELDS + b"X: y\r\n"),
        head(b"/a", version=b"1.0"),
        head(b"/a", method=b"PUT"),
        head(b"/a\x7f"),
        head(b"/a\xff"),
        head(b"/a#b"),
        head(b"a"),
        head(b"/a") + b"more",
        head(b"/a")[:-1],
        b"GET  /a HTTP/1.1\r\n" + FIELDS + b"\r\n",
        b"",
    ],
)
def test_whatever_else_goes_inside(door, data):
    step, _ = door
    step.learn(request(head()))
    assert step.answer(data, "192.0.2.1") is None
    assert step.requests == 0


@pytest.mark.parametrize(
    "made",
    [
        request(head(), alone=False),
        request(head(method=b"HEAD"), method=b"HEAD"),
        request(head(), has_body=True),
        request(head(), upgrade=b"h2c"),
        request(head(version=b"1.2"), version=(1, 2)),
        request(head(), headers=[(b"host", b"a"), (b"x-forwarded-for", b"192.0.2.9")]),
        request(head(), headers=[(b"host", b"a"), (b"expect", b"100-continue")]),
        request(head(fields=FIELDS + b"Accept: " + b"x" * 3000 + b"\r\n")),
    ],
)
def test_what_is_not_plain_teaches_nothing(door, made):
    step, _ = door
    step.learn(made)
    assert step.answer(made.head, "192.0.2.1") is None


def test_what_is_learnt_is_bounded(door):
    step, _ = door
    for each in range(5000):
        step.learn(request(head(fields=b"Host: %d\r\n" % each)))
    known = sum(step.answer(head(b"/a", b"Host: %d\r\n" % each), "h") is not None for each in range(5000))
    assert 0 < known <= 4096


def test_only_immediate_applications_have_a_door():
    @implementer(IHttpApplication)
    class Slow:
        pass

    echo = Echo()
    assert immediate(echo) is echo
    assert immediate(Slow()) is None
