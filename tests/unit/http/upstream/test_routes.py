"""The longest host, then the longest path."""

from __future__ import annotations

import pytest

from netsuite.http.upstream.routes import Route, Routes

ROUTES = Routes(
    [
        Route("", "/", "all"),
        Route("", "/static", "static"),
        Route("shop.test", "/", "shop"),
        Route("shop.test", "/api/", "api"),
        Route("*.shop.test", "/", "below"),
        Route("*.eu.shop.test", "/", "europe"),
        Route("only.test", "/app", "app"),
        Route("[2001:db8::1]", "/", "literal"),
    ]
)


@pytest.mark.parametrize(
    ("authority", "path", "goal"),
    [
        (b"x", b"/", "all"),
        (b"", b"/", "all"),
        (b"x", b"*", "all"),
        (b"x", b"/static", "static"),
        (b"x", b"/static/a", "static"),
        (b"x", b"/statics", "all"),
        (b"shop.test", b"/", "shop"),
        (b"SHOP.test:8080", b"/a", "shop"),
        (b"shop.test.", b"/a", "shop"),
        (b"shop.test", b"/api", "api"),
        (b"shop.test", b"/api/1", "api"),
        (b"a.shop.test", b"/api/1", "below"),
        (b"a.eu.shop.test", b"/", "europe"),
        (b"eu.shop.test", b"/", "below"),
        (b"notshop.test", b"/", "all"),
        (b"only.test", b"/app/x", "app"),
        (b"only.test", b"/other", "all"),
        (b"[2001:db8::1]:80", b"/", "literal"),
        (b"[2001:db8::1]", b"/", "literal"),
    ],
)
def test_find(authority, path, goal):
    assert ROUTES.find(authority, path) == goal


def test_nothing_matches():
    assert Routes([Route("a.test", "/x", 1)]).find(b"a.test", b"/y") is None
    assert Routes([Route("a.test", "/x", 1)]).find(b"b.test", b"/x") is None
