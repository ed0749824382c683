"""Errors without freshness: given again for as long as the operator says, and not a moment longer."""

from __future__ import annotations

import pytest

from netsuite.http.cache.negative import grant
from netsuite.http.cache.stored import Request, Response

TIMES = {404: 10.0, 410: 60.0, 503: 2.0}
GET = Request(b"GET", [])


def seconds(status, *lines, instead=False, table=TIMES):
    response = Response(status, lines, 1000.0, 1000.0)
    grant(response, table, instead=instead)
    return response.lifetime.seconds if response.storability(GET).allowed else None


@pytest.mark.parametrize(
    ("status", "lines", "granted"),
    [
        (404, [], 10),
        (410, [], 60),
        (503, [], 2),
        (500, [], None),
        (200, [], None),
        (404, [(b"age", b"5")], 15),
        (404, [(b"cache-control", b"max-age=3")], 3),
        (404, [(b"cache-control", b"no-store")], None),
        (404, [(b"cache-control", b"private")], None),
        (404, [(b"cache-control", b"no-cache")], None),
        (404, [(b"expires", b"0")], None),
        (404, [(b"set-cookie", b"a=b")], None),
        (503, [(b"cache-control", b"s-maxage=30")], 30),
    ],
)
def test_by_status(status, lines, granted):
    assert seconds(status, *lines) == granted


def test_an_error_never_takes_the_place_of_something_better():
    assert seconds(503, instead=True) is None
    assert seconds(404, instead=True) == 10


def test_off_by_default():
    assert seconds(404, table={}) is None
