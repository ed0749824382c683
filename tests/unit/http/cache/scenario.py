"""A cache on a virtual clock with a scripted origin: what a client asks, what it gets, what the origin saw."""

from __future__ import annotations

from collections.abc import Sequence

from netsuite.http.cache.answers import answer
from netsuite.http.cache.cache import Cache, target_key
from netsuite.http.cache.content import InMemory
from netsuite.http.cache.decision import Action, Failure, may_serve_stale
from netsuite.http.cache.partial import (
    as_whole,
    continues,
    extend,
    keep_parts,
    missing_of,
    parts_of,
    range_field,
)
from netsuite.http.cache.sparse import merged
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Request, Response
from netsuite.http.proxy.hops import end_to_end
from netsuite.http.wire.ranges import multipart_parts, parse_ranges
from netsuite.sansio.dates import format_date

START = 1_800_000_000.0
CONDITIONAL = ("if-none-match", "if-modified-since", "if-range", "range")
DOWN = None
"""An origin that cannot be reached."""

Fields = Sequence[tuple[str, str]]


class Seen:
    """What came back: the answer, how it came about (``hit``, ``stale``, ``validated`` ...), and what was asked.

    ``interim`` is None: a cache without a network has no interim responses.
    """

    interim = None

    def __init__(self, how, status, headers, body, upstream):
        self.how, self.status, self.headers, self.body, self.upstream = how, status, headers, body, upstream

    def header(self, name):
        values = [v for n, v in self.headers if n == name.lower()]
        return ", ".join(values) if values else None

    @property
    def asked(self):
        """Whether the origin was asked."""
        return self.upstream is not None


class Scenario:
    """One cache of a reverse proxy.

    ``origin`` is the next answer: (status, fields, body), a function of the request's fields, or DOWN.
    """

    def __init__(self, budget=1 << 20, object_limit=1 << 18):
        self.now = START
        self.store = Store(budget, object_limit)
        self.cache = Cache(self.store)
        self.origin = (200, [], b"")
        self.delay = 0.0
        self.requests = 0

    def date(self, offset=0):
        return format_date(self.now + offset).decode()

    def pass_time(self, seconds):
        self.now += seconds

    def key(self, path):
        bare, mark, query = path.partition("?")
        return target_key("http", b"origin.test", bare.encode(), query.encode() if mark else None)

    def ask(self, path="/", method="GET", headers: Fields = ()):
        key = self.key(path)
        fields = [(n.lower().encode(), v.encode("latin-1")) for n, v in headers]
        request = Request(method.encode(), fields)
        decision = self.cache.decide(key, request, self.now)
        if decision.action is Action.TIMEOUT:
            return Seen("504", 504, [], b"", None)
        if decision.action in (Action.HIT, Action.STALE_HIT):
            how = "hit" if decision.action is Action.HIT else "stale"
            return self._stored(how, request, decision.stored, None)
        if decision.action is Action.COMPLETE:
            return self._completed(path, method, headers, request, decision)
        conditions = () if decision.action is Action.FORWARD else decision.validators
        upstream = {n.decode(): v.decode("latin-1") for n, v in fields}
        part = decision.stored is None and not conditions and b"range" in request.fields
        if decision.action is not Action.FORWARD and not part:
            for name in CONDITIONAL:
                upstream.pop(name, None)
        upstream.update({n.decode(): v.decode("latin-1") for n, v in conditions})
        generation = self.store.generation(key)
        asked_at = self.now
        self.requests += 1
        got = self.origin(upstream) if callable(self.origin) else self.origin
        self.now += self.delay
        if got is DOWN or (got[0] in (500, 502, 503, 504) and decision.stored is not None):
            failure = Failure.UNREACHABLE if got is DOWN else Failure.ERROR
            if decision.stored is not None and may_serve_stale(request, decision.stored, self.now, failure):
                return self._stored("stale", request, decision.stored, upstream)
            if got is DOWN:
                return Seen("502", 504 if decision.stored else 502, [], b"", upstream)
        status, lines, body = got
        lines = end_to_end([(n.lower().encode(), v.encode("latin-1")) for n, v in lines])
        response = Response(status, lines, asked_at, self.now, (b"cdn-cache-control",))
        if status == 304 and conditions:
            fresh = self.cache.validated(key, request, decision.stored, response, generation)
            if fresh is not None:
                return self._stored("validated", request, fresh, upstream)
        return self._landed(key, request, response, body, generation, upstream, decision.stored)

    def _landed(self, key, request, response, body, generation, upstream, chosen):
        """What an origin's answer changes, whether it is stored, and the answer as it came."""
        status, lines = response.status, response.lines
        if request.method == b"HEAD":
            self.cache.head_seen(key, request, response)
        self.cache.invalidate(key, request.method, status, lines)
        if status == 206:
            found = None if b"if-range" in request.fields else parts_of(response, body)
            stored = None
            if found is not None and self.cache.may_store(key, request, found[0]):
                stored = keep_parts(self.store, key, request, *found, generation)
            how = "fetched" if stored is None else "fetched, stored"
        elif self.cache.may_store(key, request, response):
            if self.cache.keep(key, request, response, InMemory(body), self.store.generation(key)) is None:
                how = "fetched, too large"
            else:
                how = "fetched, stored"
        else:
            how = "fetched"
            self.cache.superseded(request, chosen, response)
        return Seen(how, status, [(n.decode(), v.decode("latin-1")) for n, v in lines], body, upstream)

    def _completed(self, path, method, headers, request, decision):
        """The missing parts, fetched one after the other; what is no such part is an answer of its own."""
        key, stored = self.key(path), decision.stored
        generation = self.store.generation(key)
        upstream = {}
        for span in missing_of(request, stored, self.now):
            upstream = {n: ", ".join(v.decode() for v in lines) for n, lines in _texts(request) if n not in CONDITIONAL}
            conditions = [range_field(span, stored.content.size), *decision.validators]
            upstream.update((name.decode(), value.decode("latin-1")) for name, value in conditions)
            self.requests += 1
            got = self.origin(upstream) if callable(self.origin) else self.origin
            self.now += self.delay
            if got is DOWN:
                return Seen("502", 502, [], b"", upstream)
            status, lines, body = got
            response = Response(
                status, [(n.lower().encode(), v.encode("latin-1")) for n, v in lines], self.now, self.now
            )
            extent = continues(stored, response)
            if extent is None or extent.span != span or len(body) != span[1] - span[0]:
                if status in (200, 206, 304, 416):
                    self.store.drop(key, stored)
                if status not in (206, 304, 416):
                    return self._landed(key, request, response, body, generation, upstream, None)
                return self.ask(path, method, headers)
            whole = as_whole(response)
            fresh = stored.freshened(whole.lines, request, self.now, self.now)
            parts = [(span, body)]
            kept = extend(self.store, key, request, fresh, parts, generation)
            stored = kept or fresh.holding(merged(fresh.content, parts, 1 << 30))
        return self._stored("completed", request, stored, upstream)

    def _stored(self, how, request, stored, upstream):
        marks = [(b"age", b"%d" % stored.age(self.now))]
        response = answer(request.method, request.fields, stored, self.now, marks, lambda: b"boundary")
        headers = [(n.decode(), v.decode("latin-1")) for n, v in response.headers]
        return Seen(how, response.status, headers, response.body, upstream)


def _texts(request):
    return [(name.decode(), lines) for name, lines in request.fields.items()]


def ranging(fields, body, boundary="xyz"):
    """An origin that understands Range, If-Range and If-None-Match; ``fields`` may hold an ETag."""
    tag = next((value for name, value in fields if name == "ETag"), None)

    def answer(upstream):
        if tag is not None and tag in upstream.get("if-none-match", ""):
            return 304, fields, b""
        wanted = upstream.get("range")
        if wanted is None or upstream.get("if-range", tag) != tag:
            return 200, [*fields, ("Content-Length", str(len(body)))], body
        spans = parse_ranges(wanted.encode(), len(body))
        if not spans:
            return 416, [("Content-Range", f"bytes */{len(body)}")], b""
        if len(spans) == 1:
            (first, stop), size = spans[0], len(body)
            lines = [("Content-Range", f"bytes {first}-{stop - 1}/{size}"), ("Content-Length", str(stop - first))]
            return 206, [*fields, *lines], body[first:stop]
        heads = multipart_parts(spans, len(body), b"text/plain", boundary.encode())
        sent = b"".join(head + body[first:stop] for head, (first, stop) in zip(heads, spans, strict=False)) + heads[-1]
        return 206, [*fields, ("Content-Type", f"multipart/byteranges; boundary={boundary}")], sent

    return answer
