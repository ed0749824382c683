"""What a shared cache does, as a table: conversations in the groups of behaviour that caches are judged by.

A case is ``(group, title, steps)``. Steps: ``origin(...)`` sets the next answers, ``ranging(...)`` makes it understand ranges, ``wait(seconds)``, ``ask(expected, ...)``
where ``expected`` is how the answer came about: ``hit`` (fresh, from the store), ``stale``, ``validated`` (a 304 from the
origin), ``completed`` (the missing parts were fetched), ``fetched`` (a full answer from the origin), ``asked`` (either), or a status of the cache's own (``502``, ``504``).
``@N`` as a field's value is the date N seconds from now. Run this module to count the cases.
"""

# ruff: noqa: E501, T201 - a table reads better in long lines, and the count is printed

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from tests.unit.http.cache.scenario import DOWN, Scenario
from tests.unit.http.cache.scenario import ranging as ranging_origin

Case = tuple[str, str, list]


def origin(*fields, status=200, body=b"first", interim=()):
    """``interim`` are responses before the final one: (status, name, value); only the proxy on sockets sees them."""
    return ("origin", status, fields, body, interim)


def ranging(*fields, body=b"0123456789"):
    return ("ranging", fields, body)


def down():
    return ("down",)


def wait(seconds):
    return ("wait", seconds)


def delay(seconds):
    return ("delay", seconds)


def ask(expected, *fields, method="GET", path="/", **checks):
    return ("ask", expected, fields, method, path, checks)


def cc(value):
    return ("Cache-Control", value)


FRESH = cc("max-age=3600")
TAG = ("ETag", '"one"')


def _reuse(group, title, fields, reused, status=200, request=(), after=3) -> Case:
    """Fetch, wait a little, ask again."""
    expected = "hit" if reused else "asked"
    return (group, title, [origin(*fields, status=status), ask("fetched", *request), wait(after), ask(expected, *request)])


def _freshness() -> Iterator[Case]:
    group = "cc-freshness"
    for title, fields, reused in [
        ("nothing says that it is fresh", [], False),
        ("max-age", [FRESH], True),
        ("max-age=0", [cc("max-age=0"), TAG], False),
        ("max-age is over", [cc("max-age=2"), TAG], False),
        ("s-maxage", [cc("s-maxage=3600")], True),
        ("s-maxage wins over a longer max-age", [cc("max-age=3600, s-maxage=1")], False),
        ("s-maxage wins over a shorter max-age", [cc("max-age=1, s-maxage=3600")], True),
        ("s-maxage first in the list wins too", [cc("s-maxage=3600, max-age=1")], True),
        ("Expires in the future", [("Expires", "@3600"), ("Date", "@0")], True),
        ("max-age wins over Expires in the past", [FRESH, ("Expires", "@-3600"), ("Date", "@0")], True),
        ("max-age wins over a broken Expires", [FRESH, ("Expires", "0"), ("Date", "@0")], True),
        ("max-age=0 wins over Expires in the future", [cc("max-age=0"), ("Expires", "@3600"), ("Date", "@0")], False),
        ("s-maxage=0 wins over Expires in the future", [cc("s-maxage=0"), ("Expires", "@3600"), ("Date", "@0")], False),
        ("Age is less than max-age", [FRESH, ("Age", "1800")], True),
        ("Age is more than max-age", [FRESH, ("Age", "7200"), TAG], False),
        ("Age is almost max-age", [cc("max-age=10"), ("Age", "8"), TAG], False),
        ("an old Date counts as age", [cc("max-age=60"), ("Date", "@-120"), TAG], False),
        ("a Date in the future does no harm", [FRESH, ("Date", "@3600")], True),
        ("max-age of 2^31", [cc("max-age=2147483648")], True),
        ("max-age of 2^31 - 1", [cc("max-age=2147483647")], True),
        ("max-age of 2^63 and more", [cc("max-age=99999999999999999999999")], True),
    ]:
        yield _reuse(group, title, fields, reused)
    yield (group, "fresh until max-age, stale from then on", [
        origin(cc("max-age=10")), ask("fetched"), wait(9.9), ask("hit"), wait(0.2), ask("fetched")])  # fmt: skip
    yield (group, "the time that the answer took counts as age", [
        delay(5), origin(cc("max-age=10"), ("Age", "3")), ask("fetched"), wait(1), ask("hit", age="9"), wait(1.5),
        ask("fetched")])  # fmt: skip


def _parsing() -> Iterator[Case]:
    group = "cc-parse"
    for title, value, reused in [
        ("in capital letters", "MAX-AGE=3600", True),
        ("a quoted number", 'max-age="3600"', True),
        ("leading zeros", "max-age=003600", True),
        ("white space before the equals sign", "max-age =3600", True),
        ("white space after the equals sign", "max-age= 3600", True),
        ("empty list members", ",,max-age=3600,,", True),
        ("tabs around members", "\tmax-age=3600\t,\tx", True),
        ("an unknown directive before", "foo, max-age=3600", True),
        ("an unknown directive with a value before", "foo=bar, max-age=3600", True),
        ("a decimal", "max-age=3600.0", False),
        ("a negative number", "max-age=-3600", False),
        ("letters behind", "max-age=3600s", False),
        ("letters before", "max-age=s3600", False),
        ("no number", "max-age", False),
        ("an empty value", "max-age=", False),
        ("single quotes", "max-age='3600'", False),
        ("max-age in another directive's quoted string", 'foo="max-age=3600"', False),
        ("max-age in a quoted list", 'foo="bar, max-age=3600, baz"', False),
        ("max-age behind an escaped quote", 'foo="\\", max-age=3600"', False),
        ("a longer name that ends alike", "xmax-age=3600", False),
        ("a longer name that begins alike", "max-agex=3600", False),
        ("short first, long second", "max-age=1, max-age=3600", False),
        ("long first, short second", "max-age=3600, max-age=1", False),
        ("a quoted string that is never closed", 'foo="bar, max-age=3600', False),
    ]:
        yield _reuse(group, title, [cc(value), TAG], reused)
    for title, values, reused in [
        ("two lines, both fresh", ("max-age=3600", "max-age=7200"), True),
        ("two lines, the second short", ("max-age=3600", "max-age=1"), False),
        ("two lines, the first short", ("max-age=1", "max-age=3600"), False),
        ("two lines, no-store in the second", ("max-age=3600", "no-store"), False),
        ("a torn quote in one line hides no no-store in the next", ('a="', "no-store, max-age=3600"), False),
    ]:
        yield _reuse(group, title, [cc(value) for value in values], reused)
    yield _reuse(group, "no-store in a quoted string is none", [cc('max-age=3600, foo="no-store"')], True)


def _age_parsing() -> Iterator[Case]:
    for title, values, reused in [
        ("no number", ["abc"], True),
        ("negative", ["-7200"], True),
        ("a float", ["7200.0"], True),
        ("a parameter behind", ["7200;foo=bar"], True),
        ("zero", ["0"], True),
        ("empty", [""], True),
        ("of a list the first, small", ["0, 7200"], True),
        ("of a list the first, large", ["7200, 0"], False),
        ("of two lines the first, small", ["0", "7200"], True),
        ("of two lines the first, large", ["7200", "0"], False),
        ("2^31 - 1", ["2147483647"], False),
        ("2^31", ["2147483648"], False),
        ("far beyond 2^63", ["9" * 30], False),
    ]:
        yield _reuse("age-parse", title, [FRESH, TAG, *(("Age", value) for value in values)], reused)


def _expires() -> Iterator[Case]:
    for title, fields, reused in [
        ("in the future", [("Expires", "@3600"), ("Date", "@0")], True),
        ("in the past", [("Expires", "@-3600"), ("Date", "@0")], False),
        ("now", [("Expires", "@0"), ("Date", "@0")], False),
        ("in the future of a slow clock", [("Expires", "@-1800"), ("Date", "@-3600")], False),
        ("in the future of a fast clock", [("Expires", "@7200"), ("Date", "@3600")], True),
        ("in the past of a fast clock", [("Expires", "@1800"), ("Date", "@3600")], False),
        ("fast clock, and Age eats it up", [("Expires", "@7200"), ("Date", "@3600"), ("Age", "7200")], False),
        ("fast clock, and Age leaves some", [("Expires", "@7200"), ("Date", "@3600"), ("Age", "1800")], True),
        ("without Date", [("Expires", "@3600")], True),
    ]:
        yield _reuse("expires", title, [*fields, TAG], reused)


def _expires_parsing() -> Iterator[Case]:
    for title, value, reused in [
        ("IMF-fixdate", "Tue, 18 Nov 2053 16:22:05 GMT", True),
        ("RFC 850", "Tuesday, 18-Nov-53 16:22:05 GMT", True),
        ("asctime", "Tue Nov 18 16:22:05 2053", True),
        ("in small letters", "tue, 18 nov 2053 16:22:05 gmt", True),
        ("in capital letters", "TUE, 18 NOV 2053 16:22:05 GMT", True),
        ("UTC", "Tue, 18 Nov 2053 16:22:05 UTC", False),
        ("another zone", "Tue, 18 Nov 2053 16:22:05 AEST", False),
        ("an offset", "Tue, 18 Nov 2053 16:22:05 +0000", False),
        ("no zone", "Tue, 18 Nov 2053 16:22:05", False),
        ("no comma", "Tue 18 Nov 2053 16:22:05 GMT", False),
        ("no day of the week", "18 Nov 2053 16:22:05 GMT", False),
        ("dots for colons", "Tue, 18 Nov 2053 16.22.05 GMT", False),
        ("a one-digit hour", "Tue, 18 Nov 2053 6:22:05 GMT", False),
        ("a one-digit day", "Tue, 8 Nov 2053 16:22:05 GMT", False),
        ("hyphens in IMF-fixdate", "Tue, 18-Nov-2053 16:22:05 GMT", False),
        ("two spaces", "Tue,  18 Nov 2053 16:22:05 GMT", False),
        ("a month spelt out", "Tue, 18 November 2053 16:22:05 GMT", False),
        ("0", "0", False),
        ("-1", "-1", False),
        ("empty", "", False),
        ("seconds since the epoch", "2646573725", False),
        ("garbage", "abc", False),
    ]:
        yield _reuse("expires-parse", title, [("Expires", value), ("Date", "@0"), TAG], reused)
    yield _reuse(
        "expires-parse", "two lines", [("Expires", "@3600"), ("Expires", "@7200"), ("Date", "@0"), TAG], False)  # fmt: skip


def _response_directives() -> Iterator[Case]:
    group = "cc-response"
    for value in ("no-store", "No-StOrE", "no-store, max-age=3600", "private, max-age=3600", "PrivaTe, max-age=3600"):
        yield _reuse(group, value, [cc(value)], False)
    for value in ("no-cache", "No-CaChE", "no-cache, max-age=3600"):
        yield (group, f"{value}: stored, and validated each time", [
            origin(cc(value), TAG), ask("fetched"), origin(TAG, cc(value), status=304), ask("validated"),
            ask("validated")])  # fmt: skip
    yield (group, "a newer no-store answer does not bring the older one back", [
        origin(cc("max-age=1"), body=b"old"), ask("fetched"), wait(2), origin(cc("no-store"), body=b"new"),
        ask("fetched", body=b"new"), ask("fetched", body=b"new")])  # fmt: skip
    for value in ("no-store", "private", "no-store, max-age=3600"):
        yield (group, f"a newer answer with {value} does not bring the older one back, though that was fresh", [
            origin(FRESH, body=b"old"), ask("fetched"), origin(cc(value), body=b"new"),
            ask("fetched", cc("no-cache"), body=b"new"), ask("fetched", body=b"new")])  # fmt: skip
    yield (group, "a newer no-store answer does not come back as stale-if-error either", [
        origin(cc("max-age=1, stale-if-error=600"), body=b"old"), ask("fetched"), wait(2), origin(cc("no-store"), body=b"new"),
        ask("fetched", body=b"new"), origin(status=503, body=b""), ask("fetched", status=503)])  # fmt: skip
    yield (group, "a 503 that says no-store does not end what is stored", [
        origin(cc("max-age=1, stale-if-error=600"), body=b"old"), ask("fetched"), wait(2), origin(cc("no-store"), status=503),
        ask("stale", body=b"old"), ask("stale", body=b"old")])  # fmt: skip
    yield (group, "a request's own no-store does not end what is stored", [
        origin(FRESH, body=b"old"), ask("fetched"), origin(FRESH, body=b"new"),
        ask("fetched", cc("no-cache, no-store"), body=b"new"), ask("hit", body=b"old")])  # fmt: skip
    yield (group, "a request's own no-store does not end what it validates", [
        origin(cc("max-age=2"), TAG), ask("fetched"), wait(3), origin(TAG, status=304), ask("validated", cc("no-store")),
        ask("validated")])  # fmt: skip
    yield (group, "must-revalidate, in other letters", [
        origin(cc("max-age=2, MuSt-ReVaLiDaTe"), TAG), ask("fetched"), wait(3), down(), ask("504")])  # fmt: skip
    yield (group, "must-revalidate does not matter while fresh", [
        origin(cc("max-age=3600, must-revalidate")), ask("fetched"), wait(3), ask("hit")])  # fmt: skip
    yield (group, "must-revalidate: validated when stale", [
        origin(cc("max-age=2, must-revalidate"), TAG), ask("fetched"), wait(3), origin(TAG, status=304),
        ask("validated")])  # fmt: skip
    yield (group, "no-cache with a field: the rest is reused without it", [
        origin(cc('max-age=3600, no-cache="a"'), ("A", "1"), ("B", "2")), ask("fetched", a="1"), wait(1),
        ask("hit", a=None, b="2")])  # fmt: skip
    yield (group, "private with a field: the rest is shared without it", [
        origin(cc('max-age=3600, private="a"'), ("A", "1"), ("B", "2")), ask("fetched", a="1"), wait(1),
        ask("hit", a=None, b="2")])  # fmt: skip
    yield (group, "no-cache with and without a field means all", [
        origin(cc('max-age=3600, no-cache="a", no-cache'), TAG), ask("fetched"), ask("asked")])  # fmt: skip


def _stale() -> Iterator[Case]:
    group = "stale"
    for directive in ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2"):
        yield (group, f"{directive} forbids stale answers when the origin is down", [
            origin(cc(f"max-age=2, {directive}"), TAG), ask("fetched"), wait(3), down(), ask("504")])  # fmt: skip
        yield (group, f"{directive} forbids stale answers for a 503", [
            origin(cc(f"max-age=2, {directive}"), TAG), ask("fetched"), wait(3), origin(status=503),
            ask("fetched", status=503)])  # fmt: skip
    yield (group, "served when the origin is down", [
        origin(cc("max-age=2")), ask("fetched"), wait(3), down(), ask("stale", body=b"first", age="3")])  # fmt: skip
    yield (group, "not served for ever when the origin is down", [
        origin(cc("max-age=2")), ask("fetched"), wait(8 * 86400), down(), ask("504")])  # fmt: skip
    for status in (500, 502, 503, 504):
        yield (group, f"a {status} alone does not allow stale answers", [
            origin(cc("max-age=2"), TAG), ask("fetched"), wait(3), origin(status=status),
            ask("fetched", status=status)])  # fmt: skip
        yield (group, f"stale-if-error covers a {status} within its window", [
            origin(cc("max-age=2, stale-if-error=60"), TAG), ask("fetched"), wait(61), origin(status=status),
            ask("stale", status=200), wait(2), ask("fetched", status=status)])  # fmt: skip
    for directive, window in [("stale-if-error=60", "stale"), ("stale-if-error=60, must-revalidate", "504"),
                              ("stale-if-error=60, no-cache", "504")]:  # fmt: skip
        yield (group, f"unreachable, {directive}", [
            origin(cc(f"max-age=2, {directive}"), TAG), ask("fetched"), wait(3), down(), ask(window)])  # fmt: skip
    yield (group, "no Warning is made", [
        origin(cc("max-age=2")), ask("fetched"), wait(3), down(), ask("stale", warning=None)])  # fmt: skip
    yield (group, "stale-if-error does not cover a 404", [
        origin(cc("max-age=2, stale-if-error=60"), TAG), ask("fetched"), wait(3), origin(status=404),
        ask("fetched", status=404)])  # fmt: skip
    yield (group, "the request's own stale-if-error", [
        origin(cc("max-age=2"), TAG), ask("fetched"), wait(3), origin(status=503),
        ask("stale", cc("stale-if-error=60"), status=200)])  # fmt: skip
    yield (group, "stale-while-revalidate within its window", [
        origin(cc("max-age=2, stale-while-revalidate=60"), TAG), ask("fetched"), wait(61), ask("stale")])  # fmt: skip
    yield (group, "stale-while-revalidate, at the last moment of its window", [
        origin(cc("max-age=2, stale-while-revalidate=60"), TAG), ask("fetched"), wait(61.9), ask("stale", age="61")])  # fmt: skip
    yield (group, "stale-while-revalidate and proxy-revalidate", [
        origin(cc("max-age=2, stale-while-revalidate=60, proxy-revalidate"), TAG), ask("fetched"), wait(3), ask("asked")])  # fmt: skip
    yield (group, "stale-while-revalidate=0", [
        origin(cc("max-age=2, stale-while-revalidate=0"), TAG), ask("fetched"), wait(3), ask("asked")])  # fmt: skip
    yield (group, "a request's no-cache outweighs stale-while-revalidate", [
        origin(cc("max-age=2, stale-while-revalidate=60"), TAG), ask("fetched"), wait(3), ask("asked", cc("no-cache"))])  # fmt: skip
    yield (group, "a request's max-age outweighs stale-while-revalidate", [
        origin(cc("max-age=2, stale-while-revalidate=60"), TAG), ask("fetched"), wait(3), ask("asked", cc("max-age=2"))])  # fmt: skip
    yield (group, "what is stale is validated, even for a client that takes it stale", [
        origin(cc("max-age=2"), TAG), ask("fetched"), wait(3), origin(TAG, status=304), ask("validated", age="0")])  # fmt: skip
    yield (group, "stale-while-revalidate ends", [
        origin(cc("max-age=2, stale-while-revalidate=60"), TAG), ask("fetched"), wait(62), ask("asked")])  # fmt: skip
    yield (group, "must-revalidate outweighs stale-while-revalidate", [
        origin(cc("max-age=2, stale-while-revalidate=60, must-revalidate"), TAG), ask("fetched"), wait(3),
        ask("asked")])  # fmt: skip
    yield (group, "an explicit window outweighs what s-maxage implies", [
        origin(cc("s-maxage=2, stale-while-revalidate=60"), TAG), ask("fetched"), wait(3), ask("stale")])  # fmt: skip


def _heuristic() -> Iterator[Case]:
    group = "heuristic"
    for status in (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501):
        yield _reuse(group, f"{status} by its Last-Modified", [("Last-Modified", "@-100000"), ("Date", "@0")], True, status)
    for status in (201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599):
        old = [("Last-Modified", "@-100000"), ("Date", "@0")]
        yield _reuse(group, f"not {status}", old, False, status)
        yield _reuse(group, f"{status} that is public", [*old, cc("public")], True, status)
    for age, after, reused in [(10, 0.5, True), (10, 2, False), (100, 9, True), (100, 11, False), (1000, 99, True),
                               (1000, 101, False), (100000, 9999, True), (100000, 10001, False)]:  # fmt: skip
        words = "is" if reused else "is no longer"
        yield _reuse(group, f"changed {age} s ago {words} fresh after {after} s",
                     [("Last-Modified", f"@-{age}"), ("Date", "@0")], reused, after=after)  # fmt: skip
    yield _reuse(group, "404 that is neither dated nor public", [("Date", "@0")], False, 404)
    yield _reuse(group, "a broken Last-Modified tells nothing", [("Last-Modified", "yesterday"), ("Date", "@0")], False)
    yield _reuse(group, "max-age=0 outweighs the heuristic", [("Last-Modified", "@-100000"), ("Date", "@0"), cc("max-age=0")], False)
    yield _reuse(group, "Expires outweighs the heuristic", [("Last-Modified", "@-100000"), ("Date", "@0"), ("Expires", "@0")], False)
    yield _reuse(group, "never longer than a day", [("Last-Modified", "@-100000000"), ("Date", "@0")], False, after=86401)
    yield _reuse(group, "a Last-Modified in the future tells nothing", [("Last-Modified", "@100"), ("Date", "@0")], False)


def _methods() -> Iterator[Case]:
    group = "method"
    yield (group, "a POST's answer with its own Content-Location serves GET", [
        origin(FRESH, ("Content-Location", "/")), ask("fetched", method="POST"), ask("hit")])  # fmt: skip
    yield (group, "not without Content-Location", [origin(FRESH), ask("fetched", method="POST"), ask("fetched")])
    yield (group, "not with another Content-Location", [
        origin(FRESH, ("Content-Location", "/other")), ask("fetched", method="POST"), ask("fetched")])  # fmt: skip
    yield (group, "not without explicit freshness", [
        origin(("Last-Modified", "@-100000"), ("Content-Location", "/")), ask("fetched", method="POST"),
        ask("fetched")])  # fmt: skip
    yield (group, "a POST's answer with Content-Location and the whole URL", [
        origin(FRESH, ("Content-Location", "http://origin.test/")), ask("fetched", method="POST"), ask("hit")])  # fmt: skip
    yield (group, "a POST's answer that is no-store", [
        origin(cc("no-store"), ("Content-Location", "/")), ask("fetched", method="POST"), ask("fetched")])  # fmt: skip
    yield (group, "a POST's answer does not answer POST", [
        origin(FRESH, ("Content-Location", "/")), ask("fetched", method="POST"), ask("fetched", method="POST")])  # fmt: skip
    yield (group, "a stored GET does not answer POST", [origin(FRESH), ask("fetched"), ask("fetched", method="POST")])
    yield (group, "a stored GET answers HEAD", [
        origin(FRESH), ask("fetched"), ask("hit", method="HEAD", body=b"", content_length="5")])  # fmt: skip
    yield (group, "OPTIONS is not stored", [
        origin(FRESH), ask("fetched", method="OPTIONS"), ask("fetched", method="OPTIONS")])  # fmt: skip


def _statuses() -> Iterator[Case]:
    group = "status"
    for status in (200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 418,
                   451, 499, 500, 501, 502, 503, 504, 599):  # fmt: skip
        yield _reuse(group, f"{status} with freshness is reused", [FRESH], True, status)
        yield _reuse(group, f"{status} expires", [cc("max-age=2")], False, status)
    for status in (206, 304):
        yield _reuse(group, f"{status} is not stored", [FRESH], False, status)
    yield _reuse(group, "must-understand, 200, no-store", [cc("no-store, must-understand, max-age=3600")], True)
    yield _reuse(group, "must-understand, 599, no-store", [cc("no-store, must-understand, max-age=3600")], False, 599)
    yield _reuse(group, "must-understand, 404, no-store", [cc("no-store, must-understand, max-age=3600")], True, 404)
    yield _reuse(group, "must-understand outweighs no private", [cc("private, must-understand, max-age=3600")], False)
    yield _reuse(group, "must-understand, 499", [cc("must-understand, max-age=3600")], False, 499)


def _request_directives() -> Iterator[Case]:
    group = "cc-request"
    start = [origin(FRESH, TAG), ask("fetched"), wait(10)]
    yield (group, "max-age=0", [*start, ask("asked", cc("max-age=0"))])
    yield (group, "max-age that is long enough", [*start, ask("hit", cc("max-age=11"))])
    yield (group, "max-age that is too short", [*start, ask("asked", cc("max-age=9"))])
    yield (group, "max-age counts Age", [origin(FRESH, ("Age", "100")), ask("fetched"), ask("asked", cc("max-age=50"))])
    yield (group, "min-fresh that is met", [*start, ask("hit", cc("min-fresh=3500"))])
    yield (group, "min-fresh that is not met", [*start, ask("asked", cc("min-fresh=3595"))])
    yield (group, "no-cache", [*start, ask("asked", cc("no-cache"))])
    yield (group, "no-store keeps the answer out of the store", [
        origin(FRESH), ask("fetched", cc("no-store")), ask("fetched")])  # fmt: skip
    yield (group, "no-store does not forbid what is stored", [*start, ask("hit", cc("no-store"))])
    yield (group, "only-if-cached, stored", [*start, ask("hit", cc("only-if-cached"))])
    yield (group, "only-if-cached, not stored", [origin(FRESH), ask("504", cc("only-if-cached"))])
    stale = [origin(cc("max-age=10"), TAG), ask("fetched"), wait(15)]
    yield (group, "only-if-cached, stale", [*stale, ask("504", cc("only-if-cached"))])
    yield (group, "max-stale", [*stale, ask("hit", cc("max-stale"))])
    yield (group, "max-stale that is long enough", [*stale, ask("hit", cc("max-stale=6"))])
    yield (group, "max-stale that is too short", [*stale, ask("asked", cc("max-stale=4"))])
    yield (group, "max-stale with max-age", [*stale, ask("asked", cc("max-stale=100, max-age=3"))])
    yield (group, "min-fresh of what is stale", [*stale, ask("asked", cc("min-fresh=1"))])
    yield (group, "max-age and min-fresh", [*start, ask("asked", cc("max-age=3600, min-fresh=3595"))])
    yield (group, "no-cache with only-if-cached", [*start, ask("504", cc("no-cache, only-if-cached"))])
    yield (group, "an unknown directive", [*start, ask("hit", cc("foo=bar"))])
    yield (group, "directives in capital letters", [*start, ask("asked", cc("NO-CACHE"))])
    yield (group, "max-age that is no number counts as 0", [*start, ask("asked", cc("max-age=x"))])
    yield (group, "If-None-Match with no-cache is validated", [
        *start, origin(TAG, status=304), ask("validated", cc("no-cache"), ("If-None-Match", '"one"'), status=304)])  # fmt: skip
    for directive in ("must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"):
        yield (group, f"max-stale does not outweigh {directive}", [
            origin(cc(f"max-age=10, {directive}"), TAG), ask("fetched"), wait(15), ask("asked", cc("max-stale"))])  # fmt: skip
    yield ("pragma", "no-cache in a request", [*start, ask("asked", ("Pragma", "no-cache"))])
    yield ("pragma", "Cache-Control in the request outweighs it", [
        *start, ask("hit", ("Pragma", "no-cache"), cc("max-age=100"))])  # fmt: skip
    yield ("pragma", "in a response it means nothing", [
        origin(FRESH, ("Pragma", "no-cache")), ask("fetched"), ask("hit")])  # fmt: skip
    yield ("pragma", "unknown words mean nothing", [*start, ask("hit", ("Pragma", "foo"))])


def _vary() -> Iterator[Case]:
    group = "vary"

    def differs(title, vary, first, second, same):
        return (group, title, [
            origin(FRESH, ("Vary", vary)), ask("fetched", *first), wait(1), ask("hit" if same else "fetched", *second)])  # fmt: skip

    one, two = ("Foo", "1"), ("Foo", "2")
    yield differs("the same value", "Foo", [one], [one], True)
    yield differs("another value", "Foo", [one], [two], False)
    yield differs("absent in the second request", "Foo", [one], [], False)
    yield differs("absent in the first request", "Foo", [], [one], False)
    yield differs("absent in both", "Foo", [], [], True)
    yield differs("empty is not absent", "Foo", [("Foo", "")], [], False)
    yield differs("the name in other letters", "fOO", [one], [one], True)
    bar, baz = ("Bar", "a"), ("Baz", "x")
    yield differs("two fields, the same", "Foo, Bar", [one, bar], [one, bar], True)
    yield differs("two fields, one differs", "Foo, Bar", [one, bar], [one, ("Bar", "b")], False)
    yield differs("two fields, one absent", "Foo, Bar", [one, bar], [one], False)
    yield differs("three fields, the same", "Foo, Bar, Baz", [one, bar, baz], [one, bar, baz], True)
    yield differs("three fields, in another order", "Foo, Bar, Baz", [one, bar, baz], [baz, bar, one], True)
    yield differs("three fields, the last differs", "Foo, Bar, Baz", [one, bar, baz], [one, bar, ("Baz", "y")], False)
    yield differs("a field that does not select", "Foo", [one], [one, ("Other", "1")], True)
    yield differs("white space around commas", "Foo", [("Foo", "1, 2")], [("Foo", "1 ,2")], True)
    yield differs("lines combined", "Foo", [("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], True)
    yield differs("order matters in an unknown field", "Foo", [("Foo", "1, 2")], [("Foo", "2, 1")], False)
    yield differs("letter case matters in an unknown field", "Foo", [("Foo", "a")], [("Foo", "A")], False)
    language = "Accept-Language"
    yield differs("language: order", language, [(language, "en, de")], [(language, "de, en")], True)
    yield differs("language: case", language, [(language, "en, de")], [(language, "eN, De")], True)
    yield differs("language: white space", language, [(language, "en,de;q=0.5")], [(language, "en , de; q=0.5")], True)
    yield differs("language: another", language, [(language, "en, de")], [(language, "en, fr")], False)
    yield differs("language: q=1 is what it is without", language, [(language, "en, de;q=0.5")], [(language, "en;q=1.0, de;q=0.50")], True)
    yield differs("language: weights differ", language, [(language, "en;q=0.8, de;q=0.5")], [(language, "en;q=0.5, de;q=0.8")], False)
    german = ("Content-Language", "de")

    def picks(title, described, first, second, same, field=language):
        return (group, title, [
            origin(FRESH, ("Vary", field), *described), ask("fetched", (field, first)), wait(1),
            ask("hit" if same else "fetched", *([(field, second)] if second is not None else []))])  # fmt: skip

    yield picks("language: the stored one is liked best", [german], "en, de", "fr;q=0.5, de;q=1.0", True)
    yield picks("language: the stored one is liked best, in other letters", [german], "en, de", "DE, en;q=0.1", True)
    yield picks("language: the stored one is the only one asked for", [german], "de, en", "de", True)
    yield picks("language: another is liked better", [german], "de, en", "fr, de;q=0.9", False)
    yield picks("language: another is liked as much", [german], "de, en;q=0.5", "fr, de", False)
    yield picks("language: a wider range is the origin's to judge", [("Content-Language", "de-AT")], "de-AT", "de", False)
    yield picks("language: a wildcard is the origin's to judge", [german], "de, en", "*", False)
    yield picks("language: a wildcard below does not matter", [german], "de, en", "de, *;q=0.5", True)
    yield picks("language: none asked for", [german], "de", None, False)
    yield picks("language: of two languages", [("Content-Language", "de, en")], "de, en", "de", False)
    yield picks("language: not described", [], "de, en", "de", False)
    yield picks("language: not acceptable", [german], "de", "de;q=0, en;q=0", False)
    yield picks("language: a broken weight", [german], "de, en", "de;q=x", False)
    yield (group, "language: two stored, each gets what it likes best", [
        origin(FRESH, ("Vary", language), german, body=b"de"), ask("fetched", (language, "de")),
        origin(FRESH, ("Vary", language), ("Content-Language", "en"), body=b"en"), ask("fetched", (language, "en")),
        ask("hit", (language, "en;q=0.4, de;q=0.8"), body=b"de"), ask("hit", (language, "en;q=0.8, de;q=0.4"), body=b"en"),
        ask("fetched", (language, "en, de"))])  # fmt: skip
    yield (group, "language: the other selecting fields must be equal", [
        origin(FRESH, ("Vary", "Accept-Language, Foo"), german), ask("fetched", (language, "de, en"), ("Foo", "1")),
        ask("fetched", (language, "de"), ("Foo", "2")), ask("hit", (language, "de;q=0.9, en;q=0.1"), ("Foo", "1"))])  # fmt: skip
    yield (group, "language: what it likes best is validated when stale", [
        origin(cc("max-age=2"), ("Vary", language), german, TAG), ask("fetched", (language, "de, en")), wait(3),
        origin(("Vary", language), TAG, cc("max-age=2"), status=304), ask("validated", (language, "de")),
        ask("hit", (language, "de"))])  # fmt: skip
    coding = "Accept-Encoding"
    gzip = ("Content-Encoding", "gzip")
    yield picks("encoding: the stored one is liked best", [gzip], "gzip, br", "gzip, br;q=0.5", True, coding)
    yield picks("encoding: another may be better", [gzip], "gzip", "gzip, br", False, coding)
    yield picks("encoding: none where identity is asked for", [], "gzip", "identity", True, coding)
    yield picks("encoding: some where identity is asked for", [gzip], "gzip", "identity", False, coding)
    yield picks("encoding: x-gzip is gzip", [gzip], "gzip", "x-gzip", True, coding)
    yield picks("type: the stored one is liked best", [("Content-Type", "text/html; charset=utf-8")], "text/html, text/plain",
                "text/html, */*;q=0.8", True, "Accept")  # fmt: skip
    yield picks("type: a wildcard is the origin's to judge", [("Content-Type", "text/html")], "text/html", "text/*", False, "Accept")
    yield picks("type: parameters are the origin's to judge", [("Content-Type", "text/html")], "text/html, a/b",
                "text/html;level=1", False, "Accept")  # fmt: skip
    yield differs("encoding: order and case", coding, [(coding, "gzip, br")], [(coding, "BR,GZip")], True)
    yield (group, "several variants side by side", [
        origin(FRESH, ("Vary", "Foo"), body=b"1"), ask("fetched", one, body=b"1"),
        origin(FRESH, ("Vary", "Foo"), body=b"2"), ask("fetched", two, body=b"2"),
        ask("hit", one, body=b"1"), ask("hit", two, body=b"2"), ask("fetched", ("Foo", "3"))])  # fmt: skip
    yield (group, "the most recent of those that fit", [
        origin(cc("max-age=1"), ("Vary", "Foo"), ("Date", "@0"), body=b"1"), ask("fetched", one), wait(2),
        origin(FRESH, ("Vary", "Foo"), ("Date", "@0"), body=b"2"), ask("fetched", one, body=b"2"), ask("hit", one, body=b"2")])  # fmt: skip
    yield (group, "Vary on Cookie and Authorization", [
        origin(FRESH, ("Vary", "Cookie"), body=b"1"), ask("fetched", ("Cookie", "a=1")),
        origin(FRESH, ("Vary", "Cookie"), body=b"2"), ask("fetched", ("Cookie", "a=2"), body=b"2"),
        ask("hit", ("Cookie", "a=1"), body=b"1")])  # fmt: skip
    yield (group, "what varies changes: the newest answer says it", [
        origin(FRESH, ("Vary", "Foo"), body=b"1"), ask("fetched", one), origin(FRESH, ("Vary", "Bar"), body=b"2"),
        ask("fetched", two, bar), ask("hit", one, bar, body=b"2"), ask("asked", one)])  # fmt: skip
    for title, values in [
        ("alone", ["*"]), ("doubled", ["*, *"]), ("with empty members", [", *"]), ("behind a name", ["Foo, *"]),
        ("before a name", ["*, Foo"]), ("in a line of its own", ["Foo", "*"]), ("in the first of two lines", ["*", "Foo"]),
    ]:  # fmt: skip
        lines = [("Vary", value) for value in values]
        yield _reuse("vary-parse", f"* {title}", [FRESH, *lines], False, request=[("Foo", "1")])
    yield _reuse("vary-parse", "empty", [FRESH, ("Vary", "")], True)
    yield _reuse("vary-parse", "empty members", [FRESH, ("Vary", ", Foo,, ")], True, request=[("Foo", "1")])


def _conditional() -> Iterator[Case]:
    group = "conditional-lm"
    modified = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
    stored = [origin(FRESH, modified), ask("fetched"), wait(1)]
    for title, value, status in [
        ("the same date", "Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("the same date in RFC 850 form", "Sunday, 06-Nov-94 08:49:37 GMT", 304),
        ("the same date as asctime", "Sun Nov  6 08:49:37 1994", 304),
        ("a later date", "Sun, 06 Nov 1994 08:49:38 GMT", 304),
        ("an earlier date", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("no date", "yesterday", 200),
    ]:
        yield (group, title, [*stored, ask("hit", ("If-Modified-Since", value), status=status)])
    yield (group, "validated first, then answered", [
        origin(cc("max-age=2"), modified), ask("fetched"), wait(3), origin(modified, status=304),
        ask("validated", ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"), status=304,
            upstream_if_modified_since="Sun, 06 Nov 1994 08:49:37 GMT")])  # fmt: skip
    yield (group, "stale, and the origin sends a newer one", [
        origin(cc("max-age=2"), modified), ask("fetched"), wait(3), origin(("Last-Modified", "@0"), FRESH, body=b"new"),
        ask("fetched", ("If-Modified-Since", modified[1]), status=200, body=b"new")])  # fmt: skip
    yield (group, "a 304 tells Date, Last-Modified, Cache-Control and Vary", [
        origin(FRESH, modified, ("Vary", "Foo"), ("Date", "@0")), ask("fetched"), wait(1),
        ask("hit", ("If-Modified-Since", modified[1]), status=304, date="@-1", vary="Foo", cache_control="max-age=3600",
            last_modified=modified[1], age="1")])  # fmt: skip
    yield (group, "for HEAD too", [*stored, ask("hit", ("If-Modified-Since", modified[1]), method="HEAD", status=304)])
    yield (group, "only a 200 is compared", [
        origin(FRESH, modified, status=404), ask("fetched"), ask("hit", ("If-Modified-Since", modified[1]), status=404)])  # fmt: skip
    yield (group, "in a client's condition for what is not stored, the whole is fetched", [
        origin(FRESH, modified), ask("fetched", ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT"), status=200,
            upstream_if_modified_since=None), ask("hit")])  # fmt: skip
    yield (group, "without Last-Modified the Date counts", [
        origin(FRESH, ("Date", "@0")), ask("fetched"), wait(1), ask("hit", ("If-Modified-Since", "@0"), status=304)])  # fmt: skip
    group = "conditional-inm"
    strong, weak = '"abc"', 'W/"abc"'
    for etag, value, status in [
        (strong, strong, 304), (strong, weak, 304), (weak, strong, 304), (weak, weak, 304), (strong, '"x"', 200),
        (strong, '"x", "abc"', 304), (strong, '"x","abc","y"', 304), (strong, '"x", W/"abc"', 304), (strong, "*", 304),
        (strong, "abc", 200), (strong, '"abc', 200), (strong, "'abc'", 200), (strong, '"ABC"', 200), (strong, 'w/"abc"', 200),
        (strong, "", 200), (strong, '"x" "abc"', 200), (strong, '"x", "abc', 200), (strong, '"x" , "abc"', 304),
        (strong, ',, "abc",,', 304), (strong, 'W/"x", W/"abc"', 304), (strong, 'W /"abc"', 200), (strong, '"abc";foo', 200),
        ('"a,b"', '"a,b"', 304), ('"a\\b"', '"a\\b"', 304), ('""', '""', 304), ('"a b"', '"x"', 200), ("abc", '"abc"', 200),
    ]:  # fmt: skip
        yield (group, f"{value} for {etag}", [
            origin(FRESH, ("ETag", etag)), ask("fetched"), ask("hit", ("If-None-Match", value), status=status, etag=etag)])  # fmt: skip
    yield (group, "outweighs If-Modified-Since, differing", [
        origin(FRESH, TAG, modified), ask("fetched"),
        ask("hit", ("If-None-Match", '"x"'), ("If-Modified-Since", modified[1]), status=200)])  # fmt: skip
    yield (group, "outweighs If-Modified-Since, equal", [
        origin(FRESH, TAG, modified), ask("fetched"),
        ask("hit", ("If-None-Match", '"one"'), ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT"), status=304)])  # fmt: skip
    yield (group, "for what is not stored, the whole is fetched and compared", [
        origin(FRESH, TAG), ask("fetched", ("If-None-Match", '"x"'), status=200, upstream_if_none_match=None), ask("hit")])  # fmt: skip
    yield (group, "validated upstream with the fields that Vary names", [
        origin(cc("max-age=1"), ("Vary", "Foo"), TAG), ask("fetched", ("Foo", "1")), wait(2),
        origin(TAG, ("Vary", "Foo"), status=304),
        ask("validated", ("Foo", "1"), upstream_foo="1", upstream_if_none_match='"one"')])  # fmt: skip
    yield (group, "a client's tag does not reach the origin in place of the stored one", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(TAG, status=304),
        ask("validated", ("If-None-Match", '"x"'), status=200, upstream_if_none_match='"one"')])  # fmt: skip
    yield (group, "a 304 tells ETag, Date, Expires, Vary and Content-Location", [
        origin(FRESH, TAG, ("Vary", "Foo"), ("Expires", "@60"), ("Content-Location", "/x"), ("Date", "@0")), ask("fetched"),
        ask("hit", ("If-None-Match", '"one"'), status=304, etag='"one"', vary="Foo", expires="@60", date="@0",
            content_location="/x")])  # fmt: skip
    yield (group, "a 304 carries no content fields and no body", [
        origin(FRESH, TAG, ("Content-Type", "text/plain")), ask("fetched"),
        ask("hit", ("If-None-Match", '"one"'), status=304, body=b"", content_type=None, cache_control="max-age=3600")])  # fmt: skip
    yield (group, "the stored tag is sent upstream", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(TAG, status=304),
        ask("validated", upstream_if_none_match='"one"', body=b"first")])  # fmt: skip
    yield (group, "both validators are sent upstream", [
        origin(cc("max-age=1"), TAG, modified), ask("fetched"), wait(2), origin(TAG, status=304),
        ask("validated", upstream_if_none_match='"one"', upstream_if_modified_since=modified[1])])  # fmt: skip
    yield (group, "a weak tag validates too", [
        origin(cc("max-age=1"), ("ETag", 'W/"one"')), ask("fetched"), wait(2), origin(("ETag", 'W/"one"'), status=304),
        ask("validated", upstream_if_none_match='W/"one"', body=b"first")])  # fmt: skip
    yield (group, "tags of other variants are sent, and the one named is used", [
        origin(FRESH, ("Vary", "Foo"), TAG), ask("fetched", ("Foo", "1")), origin(("Vary", "Foo"), TAG, FRESH, status=304),
        ask("validated", ("Foo", "2"), upstream_if_none_match='"one"', body=b"first"), ask("hit", ("Foo", "2")),
        ask("hit", ("Foo", "1"))])  # fmt: skip
    yield (group, "If-Match is the origin's to judge", [
        origin(FRESH, TAG), ask("fetched"), ask("fetched", ("If-Match", '"x"'))])  # fmt: skip
    yield (group, "If-Unmodified-Since is the origin's to judge", [
        origin(FRESH, TAG), ask("fetched"), ask("fetched", ("If-Unmodified-Since", "@0"))])  # fmt: skip


def _update304() -> Iterator[Case]:
    group = "update304"
    yield (group, "a field that the 304 does not name stays", [
        origin(cc("max-age=1"), TAG, ("A", "1"), ("B", "1"), ("B", "2")), ask("fetched"), wait(2),
        origin(TAG, ("A", "2"), ("A", "3"), cc("max-age=60"), status=304), ask("validated", a="2, 3", b="1, 2"),
        ask("hit", a="2, 3", b="1, 2")])  # fmt: skip
    yield (group, "the new ETag's weakness is taken over", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(("ETag", 'W/"one"'), status=304),
        ask("validated", etag='W/"one"')])  # fmt: skip
    yield (group, "a client's own condition is judged by what is new", [
        origin(cc("max-age=1"), TAG, ("A", "1")), ask("fetched"), wait(2), origin(TAG, ("A", "2"), status=304),
        ask("validated", ("If-None-Match", '"one"'), status=304, a="2")])  # fmt: skip
    yield (group, "what this hop is told stays with it", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(TAG, ("Connection", "a"), ("A", "1"), status=304),
        ask("validated", a=None)])  # fmt: skip
    yield (group, "Age and Date of the 304 count from then on", [
        origin(cc("max-age=10"), TAG, ("Date", "@0")), ask("fetched"), wait(11),
        origin(TAG, ("Date", "@0"), ("Age", "4"), status=304), ask("validated", age="4", date="@0"), wait(5), ask("hit"),
        wait(2), ask("asked")])  # fmt: skip
    for name in ("Test-Header", "X-Foo", "Content-Disposition", "Cache-Control", "Expires", "Set-Cookie", "Content-Language", "Content-Security-Policy",
                 "Link", "Content-Location"):  # fmt: skip
        new = "max-age=3600" if name == "Cache-Control" else "@3600" if name == "Expires" else "new"
        old = "max-age=1" if name == "Cache-Control" else "@1" if name == "Expires" else "old"
        start = [] if name in ("Cache-Control", "Expires") else [cc("max-age=1")]
        check = {} if name == "Expires" else {name.lower().replace("-", "_"): new}
        yield (group, f"{name} is updated, and stays so", [
            origin(*start, TAG, (name, old), ("Date", "@0")), ask("fetched"), wait(2),
            origin(TAG, (name, new), ("Date", "@0"), status=304), ask("validated", **check)])  # fmt: skip
    for name, old, new in [("Content-Length", "5", "10"), ("Content-Type", "text/plain", "text/html"),
                           ("Content-Encoding", "gzip", "br"), ("Content-Range", "bytes 0-4/5", "bytes 0-9/10")]:  # fmt: skip
        kept = {"Content-Length": {}, "Content-Range": {"content_range": None}}.get(name, {name.lower().replace("-", "_"): old})
        yield (group, f"{name} is not updated", [
            origin(cc("max-age=1"), TAG, (name, old)), ask("fetched"), wait(2), origin(TAG, (name, new), status=304),
            ask("validated", body=b"first", **kept)])  # fmt: skip
    yield (group, "freshness is updated", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(TAG, FRESH, status=304), ask("validated"), wait(100),
        ask("hit")])  # fmt: skip
    yield (group, "a 304 without freshness renews the old", [
        origin(cc("max-age=10"), TAG), ask("fetched"), wait(11), origin(TAG, status=304), ask("validated", age="0"), wait(9),
        ask("hit"), wait(2), ask("asked")])  # fmt: skip
    yield (group, "a 304 for another tag is not used", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(("ETag", '"two"'), status=304),
        ask("fetched", status=304)])  # fmt: skip
    yield (group, "a 304 that says no-store ends the storing", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(TAG, cc("no-store"), status=304), ask("validated"),
        origin(FRESH), ask("fetched")])  # fmt: skip
    group = "updateHEAD"
    yield (group, "a HEAD's answer renews what is stored", [
        origin(cc("max-age=10"), TAG), ask("fetched"), wait(11), origin(FRESH, TAG, ("Content-Length", "5"), body=b""),
        ask("fetched", method="HEAD"), wait(5), ask("hit", body=b"first")])  # fmt: skip
    yield (group, "a HEAD's answer with another length ends what is stored", [
        origin(cc("max-age=10"), TAG), ask("fetched"), wait(11), origin(FRESH, TAG, ("Content-Length", "6"), body=b""),
        ask("fetched", method="HEAD"), origin(FRESH), ask("fetched")])  # fmt: skip
    yield (group, "a HEAD's answer brings new fields", [
        origin(cc("max-age=10"), TAG, ("A", "1")), ask("fetched"), wait(11), origin(FRESH, TAG, ("A", "2"), body=b""),
        ask("fetched", method="HEAD", a="2"), ask("hit", a="2", body=b"first")])  # fmt: skip
    yield (group, "a HEAD's error leaves what is stored", [
        origin(cc("max-age=10"), TAG), ask("fetched"), wait(11), origin(status=404, body=b""), ask("fetched", method="HEAD", status=404),
        origin(TAG, status=304), ask("validated", body=b"first")])  # fmt: skip
    yield (group, "a HEAD is not stored as if it were a GET", [
        origin(FRESH, TAG, body=b""), ask("fetched", method="HEAD"), origin(FRESH, TAG), ask("fetched", body=b"first")])  # fmt: skip
    yield (group, "a HEAD that is validated", [
        origin(cc("max-age=10"), TAG), ask("fetched"), wait(11), origin(TAG, FRESH, status=304), ask("validated", method="HEAD", body=b""),
        ask("hit", body=b"first")])  # fmt: skip
    yield (group, "a HEAD's answer with another tag ends what is stored", [
        origin(cc("max-age=10"), TAG), ask("fetched"), wait(11), origin(FRESH, ("ETag", '"two"'), body=b""),
        ask("fetched", method="HEAD"), ask("fetched")])  # fmt: skip


def _headers() -> Iterator[Case]:
    group = "headers"
    for name in ("Test-Header", "Content-Type", "Content-Language", "Link", "Set-Cookie", "Warning", "X-Anything", "Server"):
        yield (group, f"{name} is stored", [
            origin(FRESH, (name, "value")), ask("fetched"), ask("hit", **{name.lower().replace("-", "_"): "value"})])  # fmt: skip
    yield (group, "several lines keep their order", [
        origin(FRESH, ("A", "1"), ("A", "2"), ("A", "3")), ask("fetched"), ask("hit", a="1, 2, 3")])  # fmt: skip
    for name in ("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Connection", "TE",
                 "Trailer", "Upgrade"):  # fmt: skip
        yield (group, f"{name} is this hop's", [
            origin(FRESH, (name, "foo")), ask("fetched", **({} if name == "Connection" else {name.lower().replace("-", "_"): None})),
            ask("hit", **({} if name == "Connection" else {name.lower().replace("-", "_"): None}))])  # fmt: skip
    yield (group, "what Connection names is this hop's", [
        origin(FRESH, ("Connection", "a, B"), ("A", "1"), ("B", "2"), ("C", "3")), ask("fetched", a=None, b=None, c="3"),
        ask("hit", a=None, b=None, c="3")])  # fmt: skip
    for name in ("Cache-Control", "ETag", "Date", "Vary", "Content-Type", "Set-Cookie"):
        yield (group, f"Connection cannot take {name} away", [
            origin(FRESH, ("Connection", name), TAG, ("Vary", "Foo"), ("Content-Type", "a/b"), ("Set-Cookie", "c=d")),
            ask("fetched"), ask("hit", etag='"one"', vary="Foo", content_type="a/b", set_cookie="c=d")])  # fmt: skip
    group = "other"
    yield (group, "Expect-CT, Strict-Transport-Security and the like are nothing special", [
        origin(FRESH, ("Strict-Transport-Security", "max-age=1")), ask("fetched"),
        ask("hit", strict_transport_security="max-age=1")])  # fmt: skip
    yield (group, "Content-Disposition with a name that has no quotes", [
        origin(FRESH, ("Content-Disposition", "attachment; filename=a b")), ask("fetched"),
        ask("hit", content_disposition="attachment; filename=a b")])  # fmt: skip
    yield (group, "Date is made where there is none", [origin(FRESH), ask("fetched"), wait(7), ask("hit", date="@-7")])
    yield (group, "Age is made anew by a validation", [
        origin(cc("max-age=10"), ("Age", "5"), TAG), ask("fetched"), wait(8), origin(TAG, status=304),
        ask("validated", age="0"), wait(3), ask("hit", age="3")])  # fmt: skip
    yield (group, "Set-Cookie with a Cookie of the request", [
        origin(FRESH, ("Set-Cookie", "a=b")), ask("fetched", ("Cookie", "c=d")), ask("hit", ("Cookie", "e=f"), set_cookie="a=b")])  # fmt: skip
    yield (group, "an empty body is a body", [origin(FRESH, body=b""), ask("fetched"), ask("hit", body=b"")])
    yield (group, "Age is made", [origin(FRESH), ask("fetched"), wait(7), ask("hit", age="7")])
    yield (group, "Age is added to", [origin(FRESH, ("Age", "30")), ask("fetched"), wait(7), ask("hit", age="37")])
    yield (group, "Date is kept", [
        origin(FRESH, ("Date", "@0")), ask("fetched"), wait(7), ask("hit", date="@-7")])  # fmt: skip
    yield (group, "the query is part of the target", [
        origin(FRESH, body=b"a"), ask("fetched", path="/?a"), ask("hit", path="/?a"), ask("fetched", path="/?b"),
        ask("fetched", path="/"), ask("fetched", path="/?")])  # fmt: skip
    yield (group, "the path's letters matter", [origin(FRESH), ask("fetched", path="/a"), ask("fetched", path="/A")])
    yield (group, "Set-Cookie does not stop the reuse", [
        origin(FRESH, ("Set-Cookie", "a=b")), ask("fetched"), ask("hit", set_cookie="a=b")])  # fmt: skip
    yield (group, "Cookie does not stop the reuse", [
        origin(FRESH), ask("fetched", ("Cookie", "a=b")), ask("hit", ("Cookie", "c=d"))])  # fmt: skip
    yield (group, "Content-Disposition is nothing special", [
        origin(FRESH, ("Content-Disposition", 'attachment; filename="a"')), ask("fetched"),
        ask("hit", content_disposition='attachment; filename="a"')])  # fmt: skip


def _invalidation() -> Iterator[Case]:
    group = "invalidation"
    for method in ("POST", "PUT", "DELETE", "M-SEARCH"):
        for status in (200, 201, 204, 302):
            yield (group, f"{method} with {status}", [
                origin(FRESH), ask("fetched"), ask("hit"), origin(status=status, body=b""), ask("fetched", method=method),
                origin(FRESH), ask("fetched")])  # fmt: skip
        for status in (400, 404, 500):
            yield (group, f"{method} that failed with {status}", [
                origin(FRESH), ask("fetched"), origin(status=status), ask("fetched", method=method), ask("hit")])  # fmt: skip
        for field in ("Location", "Content-Location"):
            yield (group, f"{method}: {field} too", [
                origin(FRESH), ask("fetched", path="/b"), origin((field, "/b"), status=201),
                ask("fetched", method=method, path="/a"), origin(FRESH), ask("fetched", path="/b")])  # fmt: skip
            yield (group, f"{method}: {field} as a whole URL", [
                origin(FRESH), ask("fetched", path="/b"), origin((field, "http://origin.test/b"), status=201),
                ask("fetched", method=method, path="/a"), origin(FRESH), ask("fetched", path="/b")])  # fmt: skip
            yield (group, f"{method}: {field} elsewhere is left alone", [
                origin(FRESH), ask("fetched", path="/b"), origin((field, "http://other.test/b"), status=201),
                ask("fetched", method=method, path="/a"), origin(FRESH), ask("hit", path="/b")])  # fmt: skip
    for method in ("POST", "M-SEARCH"):
        yield (group, f"{method} that cannot reach the origin", [
            origin(FRESH), ask("fetched"), down(), ask("502", method=method), ask("hit")])  # fmt: skip
        yield (group, f"{method} on another target", [
            origin(FRESH), ask("fetched"), ask("fetched", method=method, path="/other"), ask("hit")])  # fmt: skip
        yield (group, f"{method} on another query", [
            origin(FRESH), ask("fetched", path="/?a"), ask("fetched", method=method, path="/?b"), ask("hit", path="/?a")])  # fmt: skip
        yield (group, f"{method}: Location with a relative path", [
            origin(FRESH), ask("fetched", path="/d/b"), origin(("Location", "b"), status=201),
            ask("fetched", method=method, path="/d/a"), origin(FRESH), ask("fetched", path="/d/b")])  # fmt: skip
        yield (group, f"{method}: Location on another port or scheme is left alone", [
            origin(FRESH), ask("fetched", path="/b"), origin(("Location", "https://origin.test/b"), ("Content-Location", "http://origin.test:81/b"), status=201),
            ask("fetched", method=method, path="/a"), origin(FRESH), ask("hit", path="/b")])  # fmt: skip
    for method in ("PROPFIND", "REPORT", "SEARCH"):
        yield (group, f"{method} is registered as safe", [
            origin(FRESH), ask("fetched"), origin(FRESH, status=200), ask("fetched", method=method), ask("hit")])  # fmt: skip
    for method in ("OPTIONS", "TRACE", "HEAD"):
        yield (group, f"{method} is safe", [
            origin(FRESH, TAG), ask("fetched"), origin(TAG, body=b""), ask("asked" if method != "HEAD" else "hit", method=method),
            ask("hit")])  # fmt: skip
    yield (group, "every variant goes", [
        origin(FRESH, ("Vary", "Foo")), ask("fetched", ("Foo", "1")), ask("fetched", ("Foo", "2")), origin(status=204, body=b""),
        ask("fetched", method="DELETE"), origin(FRESH, ("Vary", "Foo")), ask("fetched", ("Foo", "1")),
        ask("fetched", ("Foo", "2"))])  # fmt: skip


def _partial() -> Iterator[Case]:
    group = "partial"
    start = [origin(FRESH, TAG, body=b"0123456789"), ask("fetched"), wait(1)]
    for value, body, span in [
        ("bytes=0-3", b"0123", "bytes 0-3/10"), ("bytes=4-", b"456789", "bytes 4-9/10"), ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=9-9", b"9", "bytes 9-9/10"), ("bytes=5-100", b"56789", "bytes 5-9/10"), ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ("BYTES=0-0", b"0", "bytes 0-0/10"),
    ]:  # fmt: skip
        yield (group, f"{value} of a whole copy", [
            *start, ask("hit", ("Range", value), status=206, body=body, content_range=span)])  # fmt: skip
    for value in ("bytes=10-", "bytes=10-20", "bytes=-0"):
        yield (group, f"{value} cannot be had", [
            *start, ask("hit", ("Range", value), status=416, content_range="bytes */10")])  # fmt: skip
    for value in ("lines=0-3", "bytes=3-1", "bytes=a-b", "bytes", "bytes=", "bytes=0-3;1-2"):
        yield (group, f"{value} is ignored", [*start, ask("hit", ("Range", value), status=200, body=b"0123456789")])
    yield (group, "several ranges", [*start, ask("hit", ("Range", "bytes=0-1, 8-9"), status=206)])
    yield (group, "more than the whole is ignored", [*start, ask("hit", ("Range", "bytes=0-,0-,0-"), status=200)])
    yield (group, "If-Range with the tag", [*start, ask("hit", ("Range", "bytes=0-1"), ("If-Range", '"one"'), status=206)])
    yield (group, "If-Range with another tag", [*start, ask("hit", ("Range", "bytes=0-1"), ("If-Range", '"x"'), status=200)])
    yield (group, "If-Range with a weak tag", [
        origin(FRESH, ("ETag", 'W/"one"')), ask("fetched"),
        ask("hit", ("Range", "bytes=0-1"), ("If-Range", 'W/"one"'), status=200)])  # fmt: skip
    yield (group, "If-Range with the date", [
        origin(FRESH, ("Last-Modified", "@-100"), ("Date", "@0")), ask("fetched"),
        ask("hit", ("Range", "bytes=0-1"), ("If-Range", "@-100"), status=206)])  # fmt: skip
    yield (group, "If-None-Match comes before Range", [
        *start, ask("hit", ("Range", "bytes=0-1"), ("If-None-Match", '"one"'), status=304)])  # fmt: skip
    yield (group, "HEAD ignores Range", [*start, ask("hit", ("Range", "bytes=0-1"), method="HEAD", status=200)])
    yield from _incomplete(group)


def part(span, *fields, body, **more):
    """An answer to a range request."""
    return origin(FRESH, ("Content-Range", f"bytes {span}"), *(fields or (TAG,)), status=206, body=body, **more)


def get(expected, value, *fields, **checks):
    return ask(expected, ("Range", f"bytes={value}"), *fields, **checks)


def _incomplete(group) -> Iterator[Case]:
    start = [ranging(FRESH, TAG), get("fetched", "2-6", status=206, body=b"23456"), wait(1)]
    for value, body, span in [
        ("2-6", b"23456", "2-6"), ("3-5", b"345", "3-5"), ("2-2", b"2", "2-2"), ("6-6", b"6", "6-6"),
    ]:  # fmt: skip
        yield (group, f"{value} of a stored part", [*start, get("hit", value, status=206, body=body, content_range=f"bytes {span}/10", age="1")])
    for value, body, asked in [
        ("0-4", b"01234", "bytes=0-1"), ("5-8", b"5678", "bytes=7-8"), ("7-9", b"789", "bytes=7-"), ("-4", b"6789", "bytes=7-"),
        ("4-", b"456789", "bytes=7-"), ("8-100", b"89", "bytes=8-"), ("0-0", b"0", "bytes=0-0"), ("0-", b"0123456789", "bytes=7-"),
    ]:  # fmt: skip
        yield (group, f"{value}, of which a part is stored", [
            *start, get("completed", value, status=206, body=body, upstream_range=asked, upstream_if_range='"one"'),
            get("hit", value, status=206, body=body)])  # fmt: skip
    yield (group, "the whole, of which a part is stored", [
        *start, ask("completed", status=200, body=b"0123456789", content_range=None, upstream_if_range='"one"'),
        ask("hit", status=200, body=b"0123456789")])  # fmt: skip
    yield (group, "the rest of a part that begins at the first byte is asked for to its end", [
        part("0-4/10", body=b"01234"), get("fetched", "0-4"), part("5-9/10", body=b"56789"),
        ask("completed", status=200, body=b"0123456789", upstream_range="bytes=5-")])  # fmt: skip
    yield (group, "several ranges of which one is missing", [
        *start, get("completed", "3-3, 8-8", status=206, upstream_range="bytes=8-8"), get("hit", "8-8", body=b"8")])
    yield (group, "several ranges in one answer are stored", [
        ranging(FRESH, TAG), get("fetched", "0-1, 4-5"), get("hit", "0-1", body=b"01", content_type="text/plain"),
        get("hit", "4-5, 0-0", status=206), get("completed", "1-4", body=b"1234", upstream_range="bytes=2-3")])  # fmt: skip
    yield (group, "a range that cannot be had of a part", [*start, get("hit", "10-", status=416, content_range="bytes */10")])
    yield (group, "a part does not answer HEAD", [*start, ask("fetched", method="HEAD")])
    yield (group, "HEAD brings a part up to date", [
        origin(cc("max-age=5"), TAG, ("Content-Range", "bytes 0-4/10"), status=206, body=b"01234"), get("fetched", "0-4"),
        wait(6), origin(FRESH, TAG, ("Content-Length", "10")), ask("fetched", method="HEAD"), get("hit", "0-4")])  # fmt: skip
    yield (group, "HEAD with another length ends a part", [
        *start, origin(FRESH, TAG, ("Content-Length", "11")), ask("fetched", method="HEAD"),
        ranging(FRESH, TAG, body=b"abcdefghijk"), get("fetched", "2-6", body=b"cdefg")])  # fmt: skip
    yield (group, "a part answers preconditions", [*start, ask("hit", ("If-None-Match", '"one"'), status=304)])
    yield (group, "If-Range with the tag of a part", [*start, get("hit", "2-3", ("If-Range", '"one"'), status=206)])
    yield (group, "If-Range with another tag asks for the whole", [
        *start, get("completed", "2-3", ("If-Range", '"x"'), status=200, body=b"0123456789")])
    yield (group, "an answer to the client's own If-Range begins nothing", [
        ranging(FRESH, TAG), get("fetched", "0-1", ("If-Range", '"one"')), get("fetched", "0-1")])
    yield (group, "only-if-cached and all is there", [*start, get("hit", "2-3", cc("only-if-cached"))])
    yield (group, "only-if-cached and a part is missing", [*start, get("504", "2-7", cc("only-if-cached"))])
    yield (group, "a missing part, and the origin is down", [*start, down(), get("502", "2-7")])
    yield (group, "a stored part, and the origin is down", [*start, down(), get("hit", "2-6")])

    # validators
    for title, fields in [
        ("no validator", [("Foo", "x")]), ("a weak tag", [("ETag", 'W/"one"')]),
        ("a date that is too new", [("Last-Modified", "@0"), ("Date", "@0")]),
        ("a weak tag and an old date", [("ETag", 'W/"one"'), ("Last-Modified", "@-100")]),
    ]:  # fmt: skip
        yield (group, f"parts with {title} answer for themselves", [
            part("0-4/10", *fields, body=b"01234"), get("fetched", "0-4"), get("hit", "1-2", body=b"12")])  # fmt: skip
        yield (group, f"parts with {title} are not combined", [
            part("0-4/10", *fields, body=b"01234"), get("fetched", "0-4"), part("5-9/10", *fields, body=b"56789"),
            get("fetched", "5-9", body=b"56789", upstream_if_range=None), get("hit", "5-9", body=b"56789"),
            part("0-4/10", *fields, body=b"01234"), get("fetched", "0-4", body=b"01234")])  # fmt: skip
        yield (group, f"a part with {title} does not begin the whole", [
            part("0-4/10", *fields, body=b"01234"), get("fetched", "0-4"), origin(FRESH, body=b"0123456789"),
            ask("fetched", status=200, body=b"0123456789", upstream_range=None)])  # fmt: skip
    yield (group, "parts with an old date are combined", [
        part("0-4/10", ("Last-Modified", "@-100"), ("Date", "@0"), body=b"01234"), get("fetched", "0-4"),
        part("5-9/10", ("Last-Modified", "@-100"), ("Date", "@0"), body=b"56789"),
        ask("completed", body=b"0123456789", upstream_if_range="@-100")])  # fmt: skip
    other = ("ETag", '"two"')
    yield (group, "another tag while completing: the new one answers", [
        *start, ranging(FRESH, other, body=b"abcdefghij"), get("fetched", "5-8", status=200, body=b"abcdefghij"),
        get("hit", "2-6", body=b"cdefg")])  # fmt: skip
    yield (group, "another tag in a 206 that ignores If-Range", [
        *start, part("7-8/10", other, body=b"hi"), get("fetched", "7-8", body=b"hi"), get("hit", "7-8", body=b"hi"),
        ranging(FRESH, other, body=b"abcdefghij"), get("completed", "2-6", body=b"cdefg")])  # fmt: skip
    yield (group, "no tag in the 206 that should continue", [
        *start, part("7-8/10", ("Foo", "x"), body=b"78"), get("fetched", "7-8", body=b"78"),
        ranging(FRESH, TAG), get("fetched", "2-6")])  # fmt: skip
    yield (group, "another length under the same tag", [
        *start, part("7-8/11", body=b"78"), get("fetched", "7-8"), ranging(FRESH, TAG), get("fetched", "2-6")])
    yield (group, "an unknown length is combined with a known one", [
        *start, part("7-9/*", body=b"789"), get("completed", "7-9", body=b"789", content_range="bytes 7-9/10"), get("hit", "7-9", body=b"789")])
    yield (group, "an unknown length begins nothing", [part("0-4/*", body=b"01234"), get("fetched", "0-4"), get("fetched", "0-4")])

    # what contradicts itself
    for title, span, body in [
        ("shorter than its range", "0-4/10", b"0123"), ("longer than its range", "0-4/10", b"012345"),
        ("backwards", "4-0/10", b"01234"), ("beyond the end", "8-12/10", b"89abc"), ("without a length", "0-4", b"01234"),
        ("in another unit", "x", b"01234"), ("unsatisfied", "*/10", b"01234"),
    ]:  # fmt: skip
        yield (group, f"a part {title} is passed on and not stored", [
            part(span, body=body), get("fetched", "0-4", status=206, body=body), get("fetched", "0-4")])
    yield (group, "a part with another Content-Length is not stored", [
        part("0-4/10", TAG, ("Content-Length", "4"), body=b"0123"), get("fetched", "0-4"), get("fetched", "0-4")])
    yield (group, "a Content-Range beside several parts is not believed", [
        part("0-4/10", TAG, ("Content-Type", "multipart/byteranges; boundary=x"), body=b"01234"), get("fetched", "0-4"), get("fetched", "0-4")])
    yield (group, "two Content-Ranges are not stored", [
        part("0-4/10", TAG, ("Content-Range", "bytes 5-9/10"), body=b"01234"), get("fetched", "0-4"), get("fetched", "0-4")])
    yield (group, "a 416 with freshness is not stored", [
        origin(FRESH, ("Content-Range", "bytes */10"), status=416), get("fetched", "20-"), ranging(FRESH, TAG), ask("fetched", status=200)])
    for value in ("no-store", "private"):
        yield (group, f"a part that says {value} is not stored", [
            origin(cc(f"max-age=3600, {value}"), TAG, ("Content-Range", "bytes 0-4/10"), status=206, body=b"01234"),
            get("fetched", "0-4"), get("fetched", "0-4")])  # fmt: skip
    yield (group, "no-store in the request keeps a part out", [
        part("0-4/10", body=b"01234"), get("fetched", "0-4", cc("no-store")), get("fetched", "0-4")])
    yield (group, "must-understand: a 206 is understood", [
        origin(cc("max-age=3600, must-understand, no-store"), TAG, ("Content-Range", "bytes 0-4/10"), status=206, body=b"01234"),
        get("fetched", "0-4"), get("hit", "0-4")])  # fmt: skip

    # replacing, freshness
    yield (group, "a 200 replaces parts", [
        *start, ranging(FRESH, other, body=b"abcdefghij"), ask("fetched", cc("no-cache"), body=b"abcdefghij"), get("hit", "2-6", body=b"cdefg")])
    yield (group, "parts that make the whole answer for it", [
        ranging(FRESH, TAG), get("fetched", "0-4"), get("completed", "5-9"), ask("hit", status=200, body=b"0123456789")])
    yield (group, "one part that is the whole answers for it", [ranging(FRESH), get("fetched", "0-"), ask("hit", status=200, body=b"0123456789")])
    stale = [ranging(cc("max-age=5"), TAG), get("fetched", "2-6"), wait(6)]
    yield (group, "a stale part is validated for its range only", [
        *stale, get("validated", "2-4", status=206, body=b"234", upstream_if_none_match='"one"', upstream_range="bytes=2-4"),
        get("hit", "2-4")])  # fmt: skip
    yield (group, "a stale part that has changed is replaced by the new one's", [
        *stale, ranging(FRESH, other, body=b"abcdefghij"), get("fetched", "2-4", status=206, body=b"cde"), get("hit", "2-4", body=b"cde"),
        get("completed", "2-6", body=b"cdefg")])  # fmt: skip
    yield (group, "a missing part brings the others up to date", [
        *stale, get("completed", "6-8", body=b"678", upstream_if_range='"one"'), get("hit", "2-6", body=b"23456")])
    yield (group, "a stale part and an origin that is down", [*stale, down(), get("stale", "2-6", body=b"23456")])
    yield (group, "a stale part that must be validated, and an origin that is down", [
        ranging(cc("max-age=5, must-revalidate"), TAG), get("fetched", "2-6"), wait(6), down(), get("504", "2-6")])
    yield (group, "a part that must be validated each time", [
        ranging(cc("no-cache"), TAG), get("fetched", "2-6"), get("validated", "2-6", body=b"23456"),
        get("completed", "2-7", body=b"234567"), ask("validated", ("If-None-Match", '"one"'), status=304)])  # fmt: skip
    yield (group, "the fields of a later part replace the stored ones", [
        part("0-4/10", TAG, ("Foo", "old"), ("Content-Type", "a/b"), body=b"01234"), get("fetched", "0-4"),
        part("5-9/10", TAG, ("Foo", "new"), body=b"56789"), get("completed", "5-9", foo="new", content_type="a/b"),
        get("hit", "0-4", foo="new", content_range="bytes 0-4/10")])  # fmt: skip

    # variants, invalidation, authorization
    yield (group, "parts of variants are kept apart", [
        ranging(FRESH, TAG, ("Vary", "Foo")), get("fetched", "0-4", ("Foo", "1")), ranging(FRESH, other, ("Vary", "Foo"), body=b"abcdefghij"),
        get("fetched", "0-4", ("Foo", "2"), body=b"abcde"), get("hit", "0-4", ("Foo", "1"), body=b"01234"),
        get("completed", "0-5", ("Foo", "2"), body=b"abcdef", upstream_foo="2")])  # fmt: skip
    yield (group, "the tag of a variant's part is not offered for the whole", [
        ranging(FRESH, TAG, ("Vary", "Foo")), get("fetched", "0-4", ("Foo", "1")), ask("fetched", ("Foo", "2"), upstream_if_none_match=None)])
    yield (group, "a write ends parts", [
        *start, origin(status=204), ask("fetched", method="PUT"), ranging(FRESH, other, body=b"abcdefghij"), get("fetched", "2-6", body=b"cdefg")])
    yield (group, "a missing part with credentials goes to the origin as it is", [
        *start, get("fetched", "7-8", ("Authorization", "Basic YTpi"), upstream_if_range=None)])
    yield (group, "a missing part under no-store goes to the origin as it is", [
        *start, get("fetched", "7-8", cc("no-store"), upstream_if_range=None), get("completed", "7-8")])


def _auth() -> Iterator[Case]:
    group, credentials = "auth", [("Authorization", "Basic YTpi")]
    for value, reused in [("max-age=3600", False), ("public, max-age=3600", True), ("must-revalidate, max-age=3600", True),
                          ("s-maxage=3600", True), ("max-age=3600, private", False)]:  # fmt: skip
        yield _reuse(group, value, [cc(value)], reused, request=credentials)
    for value, reused in [("no-cache, max-age=3600", False), ("proxy-revalidate, max-age=3600", False), ("public, no-store", False),
                          ("public", True)]:  # fmt: skip
        yield _reuse(group, value, [cc(value), ("Last-Modified", "@-100000"), ("Date", "@0")], reused, request=credentials)
    yield (group, "must-revalidate is validated when stale, for each", [
        origin(cc("max-age=2, must-revalidate"), TAG), ask("fetched", *credentials), ask("hit", ("Authorization", "Basic Og==")),
        wait(3), origin(TAG, status=304), ask("validated", ("Authorization", "Basic Og=="), upstream_authorization="Basic Og==")])  # fmt: skip
    yield (group, "public, to whoever asks without credentials", [
        origin(cc("public, max-age=60")), ask("fetched", *credentials), ask("hit")])  # fmt: skip
    yield (group, "a private answer to one with credentials does not end what is stored for all", [
        origin(cc("max-age=60"), body=b"all"), ask("fetched"), origin(cc("private"), body=b"own"),
        ask("fetched", cc("no-cache"), *credentials, body=b"own"), ask("hit", body=b"all")])  # fmt: skip
    yield (group, "what was asked without credentials may answer with them", [
        origin(FRESH), ask("fetched"), ask("hit", *credentials)])  # fmt: skip
    yield (group, "what was asked with credentials does not answer without", [
        origin(FRESH), ask("fetched", *credentials), ask("fetched")])  # fmt: skip


def _targeted() -> Iterator[Case]:
    group, name = "cdn-cache-control", "CDN-Cache-Control"

    def targeted(value, *others):
        return [(name, value), *others]

    for title, fields, reused in [
        ("max-age", targeted("max-age=3600"), True),
        ("max-age over max-age=0", targeted("max-age=3600", cc("max-age=0")), True),
        ("max-age over no-store", targeted("max-age=3600", cc("no-store")), True),
        ("max-age over private and no-cache", targeted("max-age=3600", cc("private, no-cache")), True),
        ("max-age over s-maxage=0", targeted("max-age=3600", cc("s-maxage=0")), True),
        ("max-age=1 over s-maxage", targeted("max-age=1", cc("s-maxage=3600")), False),
        ("s-maxage within it", targeted("max-age=1, s-maxage=3600"), True),
        ("max-age=0 over max-age", targeted("max-age=0", cc("max-age=3600"), TAG), False),
        ("no-store over max-age", targeted("no-store", cc("max-age=3600")), False),
        ("private over max-age", targeted("private", cc("max-age=3600")), False),
        ("no-cache over max-age", targeted("no-cache", cc("max-age=3600"), TAG), False),
        ("max-age over Expires in the past", targeted("max-age=3600", ("Expires", "@-3600"), ("Date", "@0")), True),
        ("Expires is ignored", targeted("foo", ("Expires", "@3600"), ("Date", "@0"), TAG), False),
        ("an unknown directive alone replaces no-store", targeted("none", cc("no-store"), ("Last-Modified", "@-100000"), ("Date", "@0")), True),
        ("unknown directives beside max-age", targeted("foo, max-age=3600, bar=baz"), True),
        ("parameters are ignored", targeted("max-age=3600;a=b, foo;no-store"), True),
        ("Age counts", targeted("max-age=3600", ("Age", "7200"), TAG), False),
        ("Age is less", targeted("max-age=3600", ("Age", "1800")), True),
        ("Pragma means nothing", targeted("max-age=3600", ("Pragma", "no-cache")), True),
        ("two lines are one dictionary", [(name, "max-age=1"), (name, "max-age=3600")], True),
        ("of a directive that repeats the last counts", targeted("max-age=3600, max-age=0", TAG), False),
        ("public makes 599 storable", targeted("public", ("Last-Modified", "@-100000"), ("Date", "@0")), True),
    ]:  # fmt: skip
        yield _reuse(group, title, fields, reused, 599 if "599" in title else 200)
    for title, value in [
        ("garbage behind", "max-age=3600, &&&&"), ("a space before the equals sign", "max-age =3600"),
        ("a space behind the equals sign", "max-age= 3600"), ("a capital letter", "Max-Age=3600"), ("empty", ""),
        ("an empty member", "max-age=3600,,no-cache"), ("a comma at the end", "max-age=3600,"), ("single quotes", "max-age='3600'"),
        ("a string that never closes", 'max-age="3600'), ("leading dot", "max-age=.5"), ("a number with letters behind", "max-age=3600s"),
        ("too many digits", "max-age=99999999999999999999"),
    ]:  # fmt: skip
        yield _reuse(group, f"{title}: all of it is ignored, no-store counts", [(name, value), cc("no-store")], False)
        yield _reuse(group, f"{title}: all of it is ignored, max-age counts", [(name, value), FRESH], True)
    for title, value in [("a decimal", "max-age=3600.0"), ("a string", 'max-age="3600"'), ("negative", "max-age=-1"),
                         ("without a value", "max-age"), ("a token", "max-age=a"), ("an inner list", "max-age=(3600)")]:  # fmt: skip
        yield _reuse(group, f"a number of another type counts as 0: {title}", [(name, value), FRESH, TAG], False)
    for value in ("no-store=1", "private=?1", "no-cache=(a)", "no-store=no"):
        yield _reuse(group, f"a restriction counts, whatever its value: {value}", [(name, f"max-age=3600, {value}"), TAG], False)
    yield _reuse(group, "a restriction that is false is none", targeted("max-age=3600, no-store=?0"), True)
    yield (group, "no-cache: stored, and validated each time", [
        origin(*targeted("no-cache", FRESH, TAG)), ask("fetched"), origin(TAG, (name, "no-cache"), FRESH, status=304),
        ask("validated"), ask("validated")])  # fmt: skip
    yield (group, "no-cache with a field", [
        origin(*targeted('max-age=3600, no-cache="a"', ("A", "1"), ("B", "2"))), ask("fetched", a="1"), ask("hit", a=None, b="2")])  # fmt: skip
    yield (group, "must-revalidate forbids stale answers", [
        origin(*targeted("max-age=2, must-revalidate", cc("max-age=2, stale-if-error=60"), TAG)), ask("fetched"), wait(3), down(),
        ask("504")])  # fmt: skip
    yield (group, "stale-while-revalidate within it", [
        origin(*targeted("max-age=2, stale-while-revalidate=60", cc("max-age=2, must-revalidate"), TAG)), ask("fetched"), wait(3),
        ask("stale")])  # fmt: skip
    yield (group, "stale-if-error within it, and its end", [
        origin(*targeted("max-age=2, stale-if-error=60", TAG)), ask("fetched"), wait(61), origin(status=503), ask("stale"), wait(2),
        ask("fetched", status=503)])  # fmt: skip
    yield (group, "the field, Cache-Control, Age and Date go on to the client", [
        origin(*targeted("max-age=3600", cc("max-age=1"), ("Age", "10"), ("Date", "@0"))),
        ask("fetched", cdn_cache_control="max-age=3600", cache_control="max-age=1"), wait(5),
        ask("hit", cdn_cache_control="max-age=3600", cache_control="max-age=1", age="15", date="@-5")])  # fmt: skip
    yield (group, "other fields of the sort go on to the client and mean nothing", [
        origin(("Other-Cache-Control", "no-store"), FRESH), ask("fetched", other_cache_control="no-store"),
        ask("hit", other_cache_control="no-store")])  # fmt: skip
    yield (group, "a validation brings it anew", [
        origin(*targeted("max-age=2", cc("max-age=0"), TAG)), ask("fetched"), wait(3),
        origin(*targeted("max-age=3600", TAG), status=304), ask("validated"), wait(60), ask("hit")])  # fmt: skip
    yield (group, "a validation does not take it away", [
        origin(*targeted("max-age=10", cc("no-store"), TAG)), ask("fetched"), wait(11), origin(TAG, status=304), ask("validated"),
        wait(5), ask("hit")])  # fmt: skip
    yield (group, "a request's directives count as ever", [
        origin(*targeted("max-age=3600", TAG)), ask("fetched"), ask("asked", cc("no-cache")), ask("asked", cc("min-fresh=4000"))])  # fmt: skip
    yield (group, "it opens answers to authorized requests by the same words", [
        origin(*targeted("max-age=60, public", cc("private"))), ask("fetched", ("Authorization", "Basic YTpi")), ask("hit")])  # fmt: skip


def _interim() -> Iterator[Case]:
    group = "interim"
    for status, name, value in [(102, "X-A", "1"), (103, "Link", "</a.css>; rel=preload"), (199, "X-A", "1")]:
        yield (group, f"{status} goes through, and is not stored", [
            origin(FRESH, interim=[(status, name, value)]), ask("fetched", interim=[[f"{name}: {value}"]], **{name.lower().replace("-", "_"): None}),
            ask("hit", interim=[], body=b"first", **{name.lower().replace("-", "_"): None})])  # fmt: skip
    yield (group, "several go through in order", [
        origin(FRESH, interim=[(103, "Link", "</a>"), (103, "Link", "</b>")]),
        ask("fetched", interim=[["Link: </a>"], ["Link: </b>"]]), ask("hit", interim=[])])  # fmt: skip
    yield (group, "100 is each hop's own", [origin(FRESH, interim=[(100, "X-A", "1")]), ask("fetched", interim=[]), ask("hit")])
    yield (group, "an interim no-store means nothing", [
        origin(FRESH, interim=[(103, "Cache-Control", "no-store")]), ask("fetched"), ask("hit")])  # fmt: skip
    yield (group, "an interim max-age means nothing", [
        origin(cc("no-store"), interim=[(103, "Cache-Control", "max-age=3600")]), ask("fetched"), ask("fetched")])  # fmt: skip
    yield (group, "before a 304", [
        origin(cc("max-age=1"), TAG), ask("fetched"), wait(2), origin(TAG, status=304, interim=[(103, "Link", "</a>")]),
        ask("validated", interim=[["Link: </a>"]], body=b"first", link=None)])  # fmt: skip


def _groups() -> Iterator[Case]:
    group, named, ends = "cache-groups", "Cache-Groups", "Cache-Group-Invalidation"

    def ended(title, mine, gone, *answer, method="POST", status=200, path="/other"):
        return (group, title, [
            origin(FRESH, *((named, each) for each in mine)), ask("fetched"), origin(*answer, status=status, body=b""),
            ask("fetched", method=method, path=path), origin(FRESH), ask("fetched" if gone else "hit")])  # fmt: skip

    yield ended("a group is invalidated", ['"a"'], True, (ends, '"a"'))
    yield ended("one of several on both sides", ['"a", "b"'], True, (ends, '"x", "b"'))
    yield ended("in several lines", ['"a"', '"b"'], True, (ends, '"x"'), (ends, '"b"'))
    yield ended("another group", ['"a"'], False, (ends, '"b"'))
    yield ended("letter case matters", ['"a"'], False, (ends, '"A"'))
    yield ended("parameters are ignored", ['"a";x=1'], True, (ends, '"a";y'))
    yield ended("tokens are no strings", ["a"], False, (ends, "a"))
    yield ended("one member of another type spoils the list", ['"a", b'], False, (ends, '"a"'))
    yield ended("a broken list", ['"a'], False, (ends, '"a"'))
    yield ended("an unknown method", ['"a"'], True, (ends, '"a"'), method="M-SEARCH")
    yield ended("whatever the status says", ['"a"'], True, (ends, '"a"'), status=404)
    yield ended("32 groups of 32 letters", [", ".join(f'"{n:032}"' for n in range(32))], True, (ends, f'"{31:032}"'))
    for method in ("GET", "OPTIONS", "PROPFIND"):
        yield ended(f"{method} is safe", ['"a"'], False, (ends, '"a"'), FRESH, method=method)
    yield (group, "who goes takes its group along, but that goes no further", [
        origin(FRESH, (named, '"a"')), ask("fetched", path="/1"), origin(FRESH, (named, '"a", "b"')), ask("fetched", path="/2"),
        origin(FRESH, (named, '"b"')), ask("fetched", path="/3"), origin(status=204, body=b""), ask("fetched", method="PUT", path="/1"),
        origin(FRESH), ask("fetched", path="/2"), ask("hit", path="/3")])  # fmt: skip


def _searches() -> Iterator[Case]:
    group = "no-vary-search"

    def same(title, value, first, second, reused=True):
        return (group, title, [
            origin(FRESH, ("No-Vary-Search", value)), ask("fetched", path=f"/{first}"), wait(1),
            ask("hit" if reused else "fetched", path=f"/{second}")])  # fmt: skip

    for title, value, first, second, reused in [
        ("params: every difference", "params", "?a=1", "?b=2", True),
        ("params: with and without a query", "params", "?a=1", "", True),
        ("params of a list", 'params=("utm")', "?a=1&utm=x", "?a=1&utm=y", True),
        ("params of a list: absent", 'params=("utm")', "?a=1&utm=x", "?a=1", True),
        ("params of a list: another differs", 'params=("utm")', "?a=1&utm=x", "?a=2&utm=x", False),
        ("params of a list: order still matters", 'params=("utm")', "?a=1&b=2", "?b=2&a=1", False),
        ("except", 'params, except=("id")', "?id=1&x=1", "?x=2&id=1", True),
        ("except: that one differs", 'params, except=("id")', "?id=1&x=1", "?id=2&x=1", False),
        ("key-order", "key-order", "?a=1&b=2", "?b=2&a=1", True),
        ("key-order: values of one name keep their order", "key-order", "?a=1&a=2", "?a=2&a=1", False),
        ("key-order: values of one name, others between", "key-order", "?a=1&b=3&a=2", "?b=3&a=1&a=2", True),
        ("key-order with params", 'key-order, params=("c")', "?a=1&b=2&c=3", "?b=2&a=1", True),
        ("percent-encoding means nothing", "key-order", "?a=x", "?%61=%78", True),
        ("+ and %20 are a space", "key-order", "?a=+", "?a=%20", True),
        ("empty pairs mean nothing", "key-order", "?a=x&&&", "?a=x", True),
        ("no value is an empty one", "key-order", "?a", "?a=", True),
        ("an encoded name in the field", 'params=("%C3%A9+x")', "?%C3%A9%20x=1", "?%c3%a9+x=2", True),
        ("another path", "params", "a?x", "b?x", False),
        ("unknown keys are ignored", "params, foo=bar", "?a=1", "?a=2", True),
        ("params=?0", "params=?0", "?a=1", "?a=2", False),
        ("params of an empty list", "params=()", "?a=x&&", "?a=x", False),
        ("key-order=?0", "key-order=?0", "?a=1&b=2", "?b=2&a=1", False),
        ("a broken dictionary", "params,", "?a=1", "?a=2", False),
        ("params of a string", 'params="a"', "?a=1", "?a=2", False),
        ("params of tokens", "params=(a)", "?a=1", "?a=2", False),
        ("except without params", 'except=("a")', "?b=1", "?b=2", False),
        ("except with a list of params", 'params=("a"), except=("b")', "?a=1", "?a=2", False),
        ("except of tokens", "params, except=(a)", "?b=1", "?b=2", False),
        ("key-order of another type", 'key-order="x"', "?a=1&b=2", "?b=2&a=1", False),
        ("not there", "", "?a=1", "?a=2", False),
    ]:
        yield same(title, value, first, second, reused)
    ignoring = ("No-Vary-Search", 'params=("u")')
    yield (group, "the rule of the response that is stored counts", [
        origin(FRESH), ask("fetched", path="/?a=1&u=1"), origin(FRESH, ignoring), ask("fetched", path="/?a=2&u=1"),
        ask("fetched", path="/?a=1&u=2"), ask("hit", path="/?a=2&u=2")])  # fmt: skip
    yield (group, "Vary counts as ever", [
        origin(FRESH, ignoring, ("Vary", "Foo")), ask("fetched", ("Foo", "1"), path="/?u=1"), ask("hit", ("Foo", "1"), path="/?u=2"),
        ask("fetched", ("Foo", "2"), path="/?u=2")])  # fmt: skip
    yield (group, "freshness counts as ever, and what is stored is validated", [
        origin(cc("max-age=10"), ignoring, TAG), ask("fetched", path="/?u=1"), wait(11), origin(TAG, cc("max-age=10"), status=304),
        ask("validated", path="/?u=2", upstream_if_none_match='"one"'), ask("hit", path="/?u=2"), ask("hit", path="/?u=3")])  # fmt: skip
    yield (group, "a write to an equivalent target ends it", [
        origin(FRESH, ignoring), ask("fetched", path="/?u=1"), origin(status=204, body=b""), ask("fetched", method="DELETE", path="/?u=2"),
        origin(FRESH), ask("fetched", path="/?u=1")])  # fmt: skip
    yield (group, "a write ends all that mean the same", [
        origin(FRESH, ignoring), ask("fetched", path="/?u=1"), ask("fetched", cc("no-cache"), path="/?u=2"), ask("hit", path="/?u=1"),
        origin(status=204, body=b""), ask("fetched", method="DELETE", path="/?u=3"), origin(FRESH), ask("fetched", path="/?u=1"),
        ask("fetched", path="/?u=2")])  # fmt: skip
    yield (group, "the target's own response comes before an older equivalent one", [
        origin(FRESH, ignoring, body=b"1"), ask("fetched", path="/?u=1"), wait(1), origin(FRESH, ignoring, body=b"2"),
        ask("fetched", cc("no-cache"), path="/?u=2"), ask("hit", path="/?u=2", body=b"2")])  # fmt: skip


GROUPS = {
    "cc-freshness": ("required", "max-age, s-maxage, Expires and Age add up; numbers beyond 2^31"),
    "cc-parse": ("optional", "how Cache-Control is read when its sender is careless"),
    "age-parse": ("optional", "what a malformed Age means"),
    "expires": ("required", "Expires against Date, with clocks that run fast or slow"),
    "expires-parse": ("required", "the three forms of dates; all else has expired"),
    "cc-response": ("required", "private, no-store, no-cache, must-revalidate and the forms with field names"),
    "stale": ("required", "what happens past freshness, within which windows, and what forbids it"),
    "heuristic": ("optional", "freshness by Last-Modified, by status and age"),
    "method": ("optional", "which methods are stored, and answered from the store"),
    "status": ("required", "any status with explicit freshness; must-understand"),
    "cc-request": ("informational", "the client's own directives"),
    "pragma": ("informational", "Pragma in requests and responses"),
    "vary": ("required", "selecting fields, their normal form, and the variant that is liked best"),
    "vary-parse": ("required", "the star, wherever it stands"),
    "conditional-lm": ("optional", "If-Modified-Since answered and made"),
    "conditional-inm": ("optional", "If-None-Match answered and made, malformed tags"),
    "headers": ("required", "what is stored and replayed, and what is this hop's"),
    "update304": ("required", "what a 304 renews, and what it must not"),
    "updateHEAD": ("informational", "what the answer to a HEAD says about what is stored"),
    "invalidation": ("required", "unsafe methods, known or not, with Location and Content-Location"),
    "partial": ("optional", "ranges"),
    "auth": ("required", "requests with credentials"),
    "other": ("required", "Age, Date, the query, cookies"),
    "cdn-cache-control": ("optional", "targeted control: what it replaces, and how strictly it is read"),
    "interim": ("required", "1xx responses; that they go through can be seen on sockets only"),
    "cache-groups": ("optional", "responses that go together (RFC 9875)"),
    "no-vary-search": ("optional", "queries that mean the same"),
}
"""What each group is about, and how binding: ``required`` by MUST and MUST NOT, ``optional`` where a cache may do less, ``informational``
where it may do either."""


def cases() -> list[Case]:
    """Every case, in the order of the groups."""
    groups = [_freshness, _parsing, _age_parsing, _expires, _expires_parsing, _response_directives, _stale, _heuristic,
              _methods, _statuses, _request_directives, _vary, _conditional, _headers, _update304, _invalidation, _partial,
              _auth, _targeted, _interim, _groups, _searches]  # fmt: skip
    return [case for group in groups for case in group()]


def dated(text, date):
    """A field's value as it is sent: ``@N`` is a date."""
    return date(int(text[1:])) if text[:1] == "@" and text[1:].lstrip("-").isdigit() else text


def play(case: Case) -> None:
    """Play one case; AssertionError says at which step it went another way."""
    scenario = Scenario()
    for number, step in enumerate(case[2], 1):
        kind = step[0]
        if kind == "origin":
            scenario.origin = (step[1], [(name, dated(text, scenario.date)) for name, text in step[2]], step[3])
        elif kind == "ranging":
            scenario.origin = ranging_origin([(name, dated(text, scenario.date)) for name, text in step[1]], step[2])
        elif kind == "down":
            scenario.origin = DOWN
        elif kind == "wait":
            scenario.pass_time(step[1])
        elif kind == "delay":
            scenario.delay = step[1]
        else:
            _, _, fields, method, path, _ = step
            judge(number, step, scenario.ask(path, method, [(n, dated(v, scenario.date)) for n, v in fields]), scenario.date)


def judge(number, step, seen, date) -> None:
    """Compare an answer with what a step expects of it."""
    _, expected, _, _, _, checks = step
    how = seen.how.partition(",")[0]
    if expected == "asked":
        assert seen.asked, f"step {number}: {how}, but the origin should have been asked"
    elif expected in ("502", "504"):
        assert seen.status == int(expected) and how in ("502", "504"), f"step {number}: {how}, {seen.status}"
    else:
        assert how == expected, f"step {number}: {how}, not {expected}"
    for name, wanted in checks.items():
        wanted = dated(wanted, date) if isinstance(wanted, str) else wanted
        if name in ("status", "body"):
            found = getattr(seen, name)
        elif name == "interim":
            if seen.interim is None:
                continue
            found = seen.interim
        elif name.startswith("upstream_"):
            found = (seen.upstream or {}).get(name.removeprefix("upstream_").replace("_", "-"))
        else:
            found = seen.header(name.replace("_", "-"))
        assert found == wanted, f"step {number}: {name} is {found!r}, not {wanted!r}"


def count() -> tuple[Counter, Counter, list[str]]:
    """Play all: how many were tried and passed of each group, and what failed."""
    tried, passed, failed = Counter(), Counter(), []
    for case in cases():
        tried[case[0]] += 1
        try:
            play(case)
            passed[case[0]] += 1
        except AssertionError as problem:
            failed.append(f"{case[0]}: {case[1]}: {problem}")
    return tried, passed, failed


def main() -> int:
    """Print a line a group and the sum."""
    tried, passed, failed = count()
    print(*failed, sep="\n")
    for group, number in tried.items():
        print(f"{group:18} {passed[group]:4} of {number:4}")
    print(f"{'all':18} {sum(passed.values()):4} of {sum(tried.values()):4}")
    return 0 if passed == tried else 1


if __name__ == "__main__":
    sys.exit(main())
