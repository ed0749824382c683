"""A cache on a virtual clock with a scripted origin: what a client asks, what it gets, what the origin saw."""

from __future__ import annotations

from collections.abc import Sequence

from netsuite.http.cache.answers import answer
from netsuite.http.cache.cache import Cache, target_key
from netsuite.http.cache.content import InMemory
from netsuite.http.cache.decision import Action, Failure, may_serve_stale
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Request, Response
from netsuite.http.proxy.hops import end_to_end
from netsuite.sansio.dates import format_date

START = 1_800_000_000.0
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
        conditions = () if decision.action is Action.FORWARD else decision.validators
        upstream = {n.decode(): v.decode("latin-1") for n, v in fields}
        if decision.action is not Action.FORWARD:
            upstream.pop("if-none-match", None)
            upstream.pop("if-modified-since", None)
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
        if method == "HEAD":
            self.cache.head_seen(key, request, response)
        self.cache.invalidate(key, request.method, status, lines)
        if self.cache.may_store(key, request, response):
            if self.cache.keep(key, request, response, InMemory(body), self.store.generation(key)) is None:
                how = "fetched, too large"
            else:
                how = "fetched, stored"
        else:
            how = "fetched"
            self.cache.superseded(request, decision.stored, response)
        return Seen(how, status, [(n.decode(), v.decode("latin-1")) for n, v in lines], body, upstream)

    def _stored(self, how, request, stored, upstream):
        marks = [(b"age", b"%d" % stored.age(self.now))]
        response = answer(request.method, request.fields, stored, self.now, marks, lambda: b"boundary")
        headers = [(n.decode(), v.decode("latin-1")) for n, v in response.headers]
        return Seen(how, response.status, headers, response.body, upstream)
