"""Ranges through the proxy: whatever is stored, asked, and done by the origin, each byte of an answer is its own.

The production proxy runs on an in-memory network, before an origin whose representation changes, that ignores ranges,
answers others, breaks off and lies about lengths. Each answered byte must be of the version that the answer's tag
names, from the place that its Content-Range names; what cannot be had is cut or an error. And where the origin does
its best, everybody gets exactly what he asked for.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, gatherResults

from netsuite.common.resolver import SystemResolver
from netsuite.http.proxy.service import build
from netsuite.http.proxy.settings import ProxySettings
from netsuite.http.wire.byteranges import Byteranges, byteranges_boundary, parse_content_range
from netsuite.http.wire.ranges import multipart_parts, parse_ranges
from netsuite.interfaces import INameResolver
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network
from tests.integration.http.scripted import Origin, ask

SIZES = (3000, 3000, 2500, 3000)
KEY = b"http://origin.test/file"


def content(version):
    """The representation: no two versions have the same bytes at a place."""
    size = SIZES[version % len(SIZES)]
    return bytes((at * 7 + (at >> 8) * 13 + version * 29) & 0xFF for at in range(size))


def tag(version):
    return f'"v{version}"'


class Ranger:
    """The origin: ``moods`` say what it does with each request, the last one for ever."""

    def __init__(self, control):
        self.control = control
        self.version = 0
        self.moods = ["good"]
        self.sent = []

    def answer(self, side, head, body):
        mood = self.moods.pop(0) if len(self.moods) > 1 else self.moods[0]
        fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
        if mood == "changed":
            self.version += 1
        if mood == "error":
            side.say(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
        elif mood == "reset":
            side.transport.abortConnection()
        else:
            self.ranged(side, mood, fields)

    def ranged(self, side, mood, fields):
        now, whole = tag(self.version), content(self.version)
        size = len(whole)
        if now in fields.get("if-none-match", ""):
            self.say(side, "304 Not Modified", [], b"")
            return
        spans = parse_ranges(fields["range"].encode(), size) if "range" in fields and mood != "whole" else None
        if spans is not None and mood != "careless" and fields.get("if-range", now) != now:
            spans = None
        if mood == "unsatisfied" or spans == []:
            self.say(side, "416 No", [f"Content-Range: bytes */{size}", "Content-Length: 0"], b"")
        elif spans is None:
            self.say(side, "200 OK", [f"Content-Length: {size}"], whole, mood)
        elif len(spans) > 1:
            heads = multipart_parts(spans, size, b"text/plain", b"between")
            sent = b"".join(h + whole[a:b] for h, (a, b) in zip(heads, spans, strict=False)) + heads[-1]
            lines = ["Content-Type: multipart/byteranges; boundary=between", f"Content-Length: {len(sent)}"]
            self.say(side, "206 Partial", lines, sent, mood)
        else:
            first, stop = spans[0]
            if mood == "elsewhere":
                first, stop = (first + 100) % size, size
            elif mood == "more":
                first, stop = max(0, first - 50), min(size, stop + 50)
            elif mood == "less":
                stop = first + max(1, (stop - first) // 2)
            lines = [f"Content-Range: bytes {first}-{stop - 1}/{size}"]
            if mood == "longer":
                lines.append("Transfer-Encoding: chunked")
                sent = whole[first:stop]
                sent = b"%x\r\n%b\r\n3\r\nxyz\r\n0\r\n\r\n" % (len(sent), sent)
                self.say(side, "206 Partial", lines, sent)
                return
            self.sent.append((self.version, first, stop))
            self.say(side, "206 Partial", [*lines, f"Content-Length: {stop - first}"], whole[first:stop], mood)

    def say(self, side, status, lines, body, mood=""):
        lines = [f"HTTP/1.1 {status}", f"ETag: {tag(self.version)}", f"Cache-Control: {self.control}", *lines]
        whole = "\r\n".join([*lines, "", ""]).encode() + body
        if mood == "short":
            side.say(whole[: len(whole) - len(body) // 2 - 1])
            side.transport.loseConnection()
        else:
            side.say(whole)


class Site:
    """A proxy before a Ranger on a network of its own."""

    def __init__(self, folder, control="max-age=3600", **more):
        self.network = Network()
        self.host = self.network.host("192.0.2.1")
        self.ranger = Ranger(control)
        commons = make_commons(Path(folder), self.host)
        commons.offers.provide(INameResolver, SystemResolver(self.host), "system")
        self.origin = self.network.result(Origin(self.host, self.ranger.answer).start())
        self.service = build(
            ProxySettings(listen=["127.0.0.1:0"], origin=self.origin.url, answer_time=5.0, body_time=5.0, **more),
            commons,
        )
        self.service.join(commons.offers)
        self.service.open()
        self.service.startService()
        self.port = self.service.addresses()[0].port
        self.server = self.service.server

    def ask(self, *fields):
        return Deferred.fromCoroutine(ask(self.host, self.port, "/file", *fields))

    def together(self, requests):
        return self.network.result(gatherResults([self.ask(*fields) for fields in requests], consumeErrors=True))

    def close(self):
        self.network.result(self.service.drain(self.host.seconds() + 0.5))
        self.service.stopService()
        self.network.result(self.origin.stop())
        assert len(self.server.fetches.slices) == 0


def check(answer):
    """That what came is of one version, in its place; returns the version."""
    assert answer.status in (200, 206, 416, 500, 502, 503, 504), answer.status
    if answer.status not in (200, 206):
        return None
    version = int(answer.header("etag").strip('"v'))
    whole = content(version)
    if answer.status == 200:
        assert whole.startswith(answer.body)
        assert answer.body == whole or not answer.whole
        return version
    named = answer.header("content-range")
    if named is not None:
        extent = parse_content_range(named.encode())
        assert extent is not None
        assert extent.size == len(whole)
        expected = whole[slice(*extent.span)]
        assert expected.startswith(answer.body[: len(expected)])
        assert answer.body == expected or not answer.whole or len(answer.body) > len(expected)
        return version
    parser = Byteranges(byteranges_boundary(answer.header("content-type").encode()))
    parser.feed(answer.body)
    assert parser.complete or not answer.whole
    for (first, stop), data in parser.parts:
        assert data == whole[first:stop]
    return version


PLACES = st.integers(0, 3100)
ONE_RANGE = st.one_of(
    st.tuples(PLACES, st.integers(0, 1500)).map(lambda pair: f"{pair[0]}-{pair[0] + pair[1]}"),
    PLACES.map(lambda first: f"{first}-"),
    st.integers(1, 3100).map(lambda count: f"-{count}"),
)
REQUESTS = st.one_of(
    ONE_RANGE.map(lambda one: (f"Range: bytes={one}",)),
    ONE_RANGE.map(lambda one: (f"Range: bytes={one}",)),
    st.lists(ONE_RANGE, min_size=2, max_size=3).map(lambda some: (f"Range: bytes={', '.join(some)}",)),
    st.tuples(ONE_RANGE, st.integers(0, 2)).map(lambda p: (f"Range: bytes={p[0]}", f"If-Range: {tag(p[1])}")),
    st.just(()),
    st.integers(0, 2).map(lambda version: (f"If-None-Match: {tag(version)}",)),
)
MOODS = st.sampled_from(
    ["good", "good", "good", "whole", "changed", "careless", "elsewhere", "more", "less", "longer", "short", "reset",
     "error", "unsatisfied"]
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.lists(REQUESTS, min_size=1, max_size=4)),
        st.tuples(st.just("moods"), st.lists(MOODS, min_size=1, max_size=4).map(lambda moods: [*moods, "good"])),
        st.tuples(st.just("purge"), st.none()),
        st.tuples(st.just("change"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1, 20])),
    ),
    min_size=2,
    max_size=10,
)
CONTROLS = st.sampled_from(["max-age=3600", "max-age=10", "no-cache", "max-age=10, stale-while-revalidate=60"])
LIMITS = st.sampled_from(
    [
        {"slice_bytes": 512},
        {"slice_bytes": 0},
        {"slice_bytes": 512, "object_limit": 1500},
        {"slice_bytes": 700, "cache_bytes": 9000},
    ]
)
A_CHANGE = [
    ("ask", [("Range: bytes=0-999",)]),
    ("change", None),
    ("moods", ["careless", "good"]),
    ("ask", [("Range: bytes=500-1500",)]),
]
A_LATER_CHANGE = [
    ("ask", [("Range: bytes=500-600",)]),
    ("moods", ["good", "changed", "careless", "good"]),
    ("ask", [("Range: bytes=0-2000",), ("Range: bytes=100-2900",)]),
    ("ask", [("Range: bytes=0-700",)]),
]
OVERTAKEN = [
    ("ask", [("Range: bytes=0-99",)]),
    ("moods", ["good", "changed", "good"]),
    ("ask", [("Range: bytes=0-299",), ("Cache-Control: no-cache",), ("Range: bytes=50-999",)]),
    ("ask", [()]),
]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(control=CONTROLS, limits=LIMITS, steps=STEPS)
@example("max-age=3600", {"slice_bytes": 512}, A_CHANGE)
@example("max-age=3600", {"slice_bytes": 512}, A_LATER_CHANGE)
@example("max-age=3600", {"slice_bytes": 512}, OVERTAKEN)
def test_every_byte_is_of_one_version_and_in_its_place(control, limits, steps):
    with tempfile.TemporaryDirectory() as folder:
        site = Site(folder, control, **limits)
        for what, value in steps:
            if what == "ask":
                for answer in site.together(value):
                    if answer.status != 304:
                        check(answer)
            elif what == "moods":
                site.ranger.moods = list(value)
            elif what == "purge":
                site.server.cache.purge(KEY)
            elif what == "change":
                site.ranger.version += 1
            else:
                site.network.advance(value)
        site.close()


@QUICK
@given(control=CONTROLS, limits=LIMITS, batches=st.lists(st.lists(REQUESTS, min_size=1, max_size=4), max_size=5))
@example("max-age=3600", {"slice_bytes": 512}, [[("Range: bytes=0-9",)], [("Range: bytes=5-20, 700-800, -5",)], [()]])
def test_an_honest_origin_is_passed_on_exactly(control, limits, batches):
    whole = content(0)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(folder, control, **limits)
        for batch in batches:
            for fields, answer in zip(batch, site.together(batch), strict=True):
                named = {name: value for name, _, value in (field.partition(": ") for field in fields)}
                spans = parse_ranges(named["Range"].encode(), len(whole)) if "Range" in named else None
                if named.get("If-Range", tag(0)) != tag(0):
                    spans = None
                if named.get("If-None-Match") == tag(0) and answer.status == 304:
                    continue  # what is too large to be stored comes as it is
                if spans is None or (len(spans) > 1 and answer.status == 200):
                    assert (answer.status, answer.body, answer.whole) == (200, whole, True), answer.fields
                elif not spans:
                    assert answer.status == 416
                elif len(spans) == 1:
                    assert (answer.status, answer.body, answer.whole) == (206, whole[slice(*spans[0])], True)
                else:
                    parser = Byteranges(byteranges_boundary(answer.header("content-type").encode()))
                    parser.feed(answer.body)
                    assert parser.complete
                    assert [span for span, _ in parser.parts] == spans
                    check(answer)
        site.close()
