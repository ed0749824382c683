"""A cache in front of an origin that is easily misled: what one client asks for never changes what another gets.

The origin shows in each answer what it was asked, and lets everything be stored for an hour.
"""

from __future__ import annotations

import pytest

from tests.integration.http.scripted import reply
from tests.unit.http.proxy.stage import Stage, close_all

FRESH = "Cache-Control: public, max-age=3600"


def mirror(origin):
    """Answers everything with the request as it came, fresh for an hour."""

    def script(side):
        for head in origin.heads(side):
            side.say(reply(head.encode("latin-1"), FRESH))

    return script


@pytest.fixture(params=["reverse", "forward"])
def stage(request, tmp_path):
    made = Stage(tmp_path, **({"origin": "http://origin.test"} if request.param == "reverse" else {}))
    made.origin.script = mirror(made.origin)
    made.base = "" if request.param == "reverse" else "http://origin.test"
    yield made
    close_all()


STEERING = [
    "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: evil", "X-Forwarded-Scheme: http", "X-Forwarded-Port: 1337",
    "X-Forwarded-Prefix: /evil", "X-Forwarded-Server: evil.test", "X-Forwarded-Ssl: off", "X-Host: evil.test",
    "X-Original-URL: /evil", "X-Rewrite-URL: /evil", "X-Original-Host: evil.test", "X-HTTP-Method-Override: DELETE",
    "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-HTTP-Host-Override: evil.test", "Front-End-Https: evil",
    "X-Pad: " + "evil" * 3000, "x-ORIGINAL-url: /evil",
]  # fmt: skip


@pytest.mark.parametrize("field", STEERING, ids=lambda field: field.partition(":")[0])
def test_a_field_that_steers_the_origin_leaves_nothing_behind(stage, field):
    first = stage.ask(stage.base + "/page", field)
    assert first.status == 200
    victim = stage.ask(stage.base + "/page")
    assert b"evil" not in victim.data and b"DELETE" not in victim.data
    assert "hit" in stage.ask(stage.base + "/page").header("cache-status")


TOLD = ["X-Forwarded-For: evil", "Forwarded: for=evil;host=evil.test", "X-Forwarded-Host: evil"]


def test_what_every_balancer_adds_does_not_keep_the_cache_out(tmp_path):
    with Stage(tmp_path, origin="http://origin.test") as stage:
        stage.origin.script = mirror(stage.origin)
        fields = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443")
        assert [stage.ask("/", *fields).header("cache-status").split("; ")[1][:3] for _ in range(2)] == ["fwd", "hit"]


@pytest.mark.parametrize("field", TOLD)
def test_a_reverse_proxy_says_itself_for_whom_it_asks(tmp_path, field):
    with Stage(tmp_path, origin="http://origin.test") as stage:
        assert stage.ask("/", field).status == 200
        assert "evil" not in stage.origin.requests[0][0]


TARGETS = [
    "/page?x=1", "/page?x=1;y=2", "/page?x=1&y=2", "/page?x=1&x=2", "/page?y=2&x=1", "/page?%78=1", "/page?", "/page",
    "/page?utm_content=1;x=evil", "/page?x=1%23y", "/page/", "//page", "/./page", "/a/../page", "/%70age", "/page%2f",
    "/page%00", "/page%20", "/Page", "/page;x", "/page%3fx=1", "/page\\", "/page?x=1?y",
]  # fmt: skip


def test_targets_that_differ_in_a_byte_share_nothing(stage):
    """Parameter cloaking, delimiters, normalisation: the key is what was sent, and the origin gets just that."""
    for target in TARGETS:
        assert stage.ask(stage.base + target).status == 200
    sent = [head.split(" ")[1] for head, _ in stage.origin.requests]
    for target in TARGETS:
        talk = stage.ask(stage.base + target)
        assert talk.body.startswith(f"GET {target} HTTP/1.1".encode()), target
    assert sent == list(TARGETS)


def test_another_port_or_host_is_another_page(tmp_path):
    with Stage(tmp_path, origin="http://origin.test", pass_host=True) as stage:
        stage.origin.script = mirror(stage.origin)
        for host in ("origin.test:1337", "evil.test", "origin.test.", "origin.test:0", "origin.test:080"):
            talk = stage.connect()
            talk.say(f"GET /page HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            stage.until(lambda: talk.data, 2)  # noqa: B023
        victim = stage.ask("/page")
        assert "Host: origin.test\r\n" in victim.body.decode() + "\r\n"
        assert b"evil" not in victim.body and b"1337" not in victim.body


def test_a_fat_get_is_refused(stage):
    talk = stage.ask(stage.base + "/page", body=b"x=evil")
    assert talk.status == 400
    assert stage.origin.requests == []


META = ["X: a\x01b", "X: a\x07", "X: a\rb", "X\x00: a", "X\x7f: a", "X Y: a"]


@pytest.mark.parametrize("field", META)
def test_a_meta_character_goes_no_further(stage, field):
    assert stage.ask(stage.base + "/page", field).status == 400
    assert stage.origin.requests == []


ERRORS = ["400 Bad", "403 No", "404 None", "405 No", "413 Large", "414 Long", "431 Large", "500 Oops", "501 No",
          "502 Oops", "503 Later"]  # fmt: skip


@pytest.mark.parametrize("status", ERRORS)
def test_an_error_that_only_a_large_request_gets_is_not_for_others(stage, status):
    """CPDoS by oversize: the origin refuses what the proxy still takes, and lets the refusal be stored."""

    def script(side):
        for head in stage.origin.heads(side):
            side.say(reply(b"no", FRESH, status=status if len(head) > 8000 else "200 OK"))

    stage.origin.script = script
    assert stage.ask(stage.base + "/page", "X: " + "y" * 9000).status == int(status[:3])
    assert stage.ask(stage.base + "/page").status == 200


@pytest.mark.parametrize("status", ["400 Bad", "403 No", "408 Late", "429 Many", "500 Oops", "502 Oops", "503 Later"])
def test_an_error_that_nobody_calls_fresh_is_not_stored(stage, status):
    stage.origin.script = lambda side: [side.say(reply(b"no", status=status)) for _ in stage.origin.heads(side)]
    assert stage.ask(stage.base + "/page").status == int(status[:3])
    stage.origin.script = mirror(stage.origin)
    assert stage.ask(stage.base + "/page").status == 200


SPLIT = {
    "a bare CR in a field": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
    "a bare LF in a field": b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a field": b"HTTP/1.1 200 OK\r\nX: evil\0\r\nContent-Length: 0\r\n\r\n",
    "a fold": b"HTTP/1.1 200 OK\r\nX: a\r\n evil: b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nevil : b\r\nContent-Length: 0\r\n\r\n",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nevil",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\nevil",
    "a coding in disguise": b"HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\nContent-Length: 4\r\n\r\nevil",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 4\r\n\r\nevil",
    "another protocol": b"SIP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil",
}


@pytest.mark.parametrize("name", SPLIT)
def test_a_response_that_two_might_read_differently_is_a_502_and_not_stored(stage, name):
    stage.origin.script = lambda side: [side.say(SPLIT[name]) for _ in stage.origin.heads(side)]
    talk = stage.ask(stage.base + "/page")
    assert talk.status == 502 and b"evil" not in talk.data.partition(b"\r\n\r\n")[0]
    stage.origin.script = mirror(stage.origin)
    assert stage.ask(stage.base + "/page").status == 200


def test_a_second_response_to_one_request_is_nobodys(stage):
    """Response splitting, the queue's way: what comes behind a response is not the answer to the next request."""
    evil = reply(b"evil", FRESH)
    stage.origin.script = lambda side: [side.say(reply(b"good", FRESH) + evil) for _ in stage.origin.heads(side)]
    assert stage.ask(stage.base + "/one").body == b"good"
    stage.origin.script = mirror(stage.origin)
    talks = [stage.ask(f"{stage.base}/{name}") for name in ("two", "three", "one")]
    assert [talk.status for talk in talks] == [200] * 3
    assert not any(b"evil" in talk.data for talk in talks)
