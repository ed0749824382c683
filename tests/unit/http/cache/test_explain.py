"""An explanation names what is stored, what is selected and why not the rest, and alternatives that hold when tried."""

from __future__ import annotations

import json

from netsuite.http.cache.decision import Action
from netsuite.http.cache.explain import explain, told
from netsuite.http.cache.stored import Request
from tests.unit.http.cache.scenario import Scenario


def asked(scenario, path="/", method="GET", *fields):
    request = Request(method.encode(), [(n.lower().encode(), v.encode()) for n, v in fields])
    key = scenario.key(path)
    found = explain(scenario.cache, key, request, scenario.now, scenario.cache.decide(key, request, scenario.now))
    assert json.loads(json.dumps(found)) == found
    assert all(isinstance(line, str) for line in told({**found, "origin": "o:80", "upstream": ["GET /"]}))
    return found


def words(found):
    return {other["if"]: other["then"] for other in found["otherwise"]}


def test_nothing_stored():
    found = asked(Scenario())
    assert (found["stored"], found["decision"]["action"], found["decision"]["section"]) == ([], "miss", "RFC 9111 4")
    assert found["if_origin_fails"] == {"unreachable": "502 or 504", "error": "the error"}
    assert "nothing is stored for it" in told(found)


def test_a_hit_and_what_would_end_it():
    scenario = Scenario()
    scenario.origin = (200, [("Cache-Control", "max-age=60, stale-while-revalidate=30"), ("ETag", '"x"')], b"hello")
    scenario.ask()
    scenario.pass_time(10)
    found = asked(scenario)
    (stored,) = found["stored"]
    assert {name: stored[name] for name in ("bytes", "age", "lifetime", "by", "fresh_for", "etag", "selected")} == {
        "bytes": 5, "age": 10, "lifetime": 60, "by": "max-age", "fresh_for": 50, "etag": '"x"', "selected": True,
    }  # fmt: skip
    assert found["decision"]["action"] == "hit"
    assert words(found) == {
        "it came in 51 seconds": Action.STALE_HIT.value,
        "it came in 81 seconds": Action.REVALIDATE.value,
        "the request said Cache-Control: no-cache": Action.REVALIDATE.value,
    }


def test_which_variant_and_why_not_the_others():
    scenario = Scenario()
    scenario.origin = (200, [("Cache-Control", "max-age=60"), ("Vary", "Foo, Bar"), ("Cache-Groups", '"g"')], b"")
    scenario.ask(headers=[("Foo", "1")])
    scenario.ask(headers=[("Foo", "2"), ("Bar", "x")])
    found = asked(scenario, "/", "GET", ("Foo", "1"))
    one, two = found["stored"]
    assert (one["selected"], one["vary"], one["groups"]) == (True, {"bar": None, "foo": "1"}, ["g"])
    assert two["why_not"] == 'bar is absent, not "x"; foo is "1", not "2"'
    missed = asked(scenario, "/", "GET", ("Foo", "3"))
    assert missed["decision"]["forward"] == "vary-miss"
    assert words(missed) == {
        "the request had foo: 1": Action.HIT.value,
        "the request had bar: x, foo: 2": Action.HIT.value,
    }
    assert any("not selected" in line for line in told(missed))


def test_what_rules_and_how_it_was_selected():
    scenario = Scenario()
    fields = [("CDN-Cache-Control", "max-age=60"), ("No-Vary-Search", "params"), ("Vary", "Accept-Language"),
              ("Content-Language", "de")]  # fmt: skip
    scenario.origin = (200, fields, b"")
    scenario.ask("/p?a=1", headers=[("Accept-Language", "de, en")])
    (stored,) = asked(scenario, "/p?b", "GET", ("Accept-Language", "de, en"))["stored"]
    assert stored["by"] == "max-age (cdn-cache-control)"
    assert stored["stored_for"] == "http://origin.test/p?a=1"
    assert "No-Vary-Search" in stored["how"]
    (stored,) = asked(scenario, "/p?a=1", "GET", ("Accept-Language", "de"))["stored"]
    assert "likes better" in stored["how"]


def test_obstacles_in_the_request():
    scenario = Scenario()
    scenario.origin = (200, [("Cache-Control", "max-age=5"), ("ETag", '"x"')], b"")
    scenario.ask()
    found = asked(scenario, "/", "GET", ("Cache-Control", "no-cache"))
    assert found["decision"]["conditions"] == ['if-none-match: "x"']
    assert words(found)["the request came without cache-control"] == Action.HIT.value
    assert words(asked(scenario, "/", "POST"))["the method were GET"] == Action.HIT.value
    bypassing = asked(scenario, "/", "GET", ("If-Match", '"x"'))
    assert words(bypassing)["the request came without if-match"] == Action.HIT.value
    scenario.pass_time(6)
    stale = asked(scenario)
    assert words(stale)["the request said Cache-Control: max-stale"] == Action.HIT.value
    assert stale["if_origin_fails"] == {"unreachable": "what is stored", "error": "the error"}
    assert asked(scenario, "/", "GET", ("Cache-Control", "only-if-cached"))["decision"]["action"] == "timeout"


def test_explaining_changes_nothing():
    scenario = Scenario()
    scenario.origin = (200, [("Cache-Control", "max-age=5")], b"")
    scenario.ask()
    before = (scenario.store.stores, scenario.store.purges, len(scenario.store))
    asked(scenario)
    assert (scenario.store.stores, scenario.store.purges, len(scenario.store)) == before
