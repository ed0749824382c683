"""Cache deception: a private page under a name that looks like a file is as private as before.

The cache goes by what the origin says, never by how a path looks; the origin here takes any path that begins with
``/account`` for the account page of whoever's cookie comes along.
"""

from __future__ import annotations

import pytest

from tests.integration.http.scripted import reply
from tests.unit.http.proxy.stage import Stage, close_all

PATHS = [
    "/account", "/account/x.css", "/account/x.js?v=1", "/account;x.css", "/account;/x.css", "/account%2fx.css",
    "/account%3bx.css", "/account%3fx.css", "/account%23x.css", "/account%00x.css", "/account%0ax.css",
    "/account%09.css", "/account%20.css", "/account.css", "/account/.css", "/account/static/../x.png",
    "/account/..%2fstatic/x.css", "/static/../account/x.css", "/static/..%2faccount/x.css",
    "/static/%2e%2e/account/x.css", "/static/..;/account/x.css", "/account\\x.css", "/account/favicon.ico",
    "/account/robots.txt", "/account/index.html", "/account!x.css", "/account,x.css", "/account@x.css",
]  # fmt: skip

PRIVATE = {
    "nothing": [],
    "a cookie": ["Set-Cookie: id=1"],
    "private": ["Cache-Control: private, max-age=3600"],
    "no-store": ["Cache-Control: no-store"],
    "no-cache": ["Cache-Control: no-cache"],
    "varies by cookie": ["Cache-Control: max-age=3600", "Vary: Cookie"],
    "varies by everything": ["Cache-Control: max-age=3600", "Vary: *"],
    "over": ["Cache-Control: max-age=0"],
    "long over": ["Expires: Thu, 01 Jan 1970 00:00:00 GMT"],
}


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path, origin="http://origin.test")
    yield made
    close_all()


@pytest.mark.parametrize("says", PRIVATE)
def test_a_victims_page_is_never_given_to_another(stage, says):
    def script(side):
        for head in stage.origin.heads(side):
            who = head.partition("Cookie: ")[2].partition("\r\n")[0] or "nobody"
            side.say(reply(b"page of " + who.encode(), *PRIVATE[says], "Content-Type: text/html"))

    stage.origin.script = script
    for path in PATHS:
        assert stage.ask(path, "Cookie: victim").body == b"page of victim", path
        assert stage.ask(path).body == b"page of nobody", path
        assert stage.ask(path, "Cookie: attacker").body == b"page of attacker", path


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_to_credentials_is_the_askers_alone(stage, path):
    def script(side):
        for head in stage.origin.heads(side):
            side.say(reply(b"secret" if "uthorization" in head else b"log in", "Cache-Control: max-age=3600"))

    stage.origin.script = script
    assert stage.ask(path, "Authorization: Bearer victim").body == b"secret"
    assert stage.ask(path).body == b"log in"


def test_a_file_under_one_name_is_not_given_under_another(stage):
    """Traversal and delimiters: what is stored for a static file never answers for what only looks like it."""

    def script(side):
        for head in stage.origin.heads(side):
            side.say(reply(head.split(" ")[1].encode(), "Cache-Control: max-age=3600"))

    stage.origin.script = script
    for path in ("/static/x.css", *PATHS):
        assert stage.ask(path).body == path.encode()
    for path in ("/static/x.css", *PATHS):
        assert stage.ask(path).body == path.encode()
    assert len(stage.origin.requests) == len(PATHS) + 1


@pytest.mark.parametrize("extension", ["css", "js", "png", "ico", "woff2", "txt", "html", "json", "svg", "pdf"])
def test_an_extension_alone_makes_nothing_fresh(stage, extension):
    count = []

    def script(side):
        for _ in stage.origin.heads(side):
            count.append(1)
            side.say(reply(b"%d" % len(count)))

    stage.origin.script = script
    assert [stage.ask(f"/file.{extension}").body for _ in range(2)] == [b"1", b"2"]
