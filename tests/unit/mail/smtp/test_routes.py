"""The way to a domain."""

from __future__ import annotations

import random

import pytest
from twisted.internet.defer import Deferred

from netsuite.mail.smtp.routes import Routes, Unroutable
from netsuite.testing.fakes import KnownNames

NAMES = {
    "mx1.b.test": ["192.0.2.1"],
    "mx2.b.test": ["192.0.2.2", "2001:db8::2"],
    "plain.test": ["192.0.2.9"],
    "inner.test": ["10.0.0.1"],
    "smart.test": ["192.0.2.50"],
    "mx.here.test": ["192.0.2.200"],
}
RECORDS = {
    ("b.test", "MX"): ["20 mx2.b.test.", "10 mx1.b.test."],
    ("null.test", "MX"): ["0 ."],
    ("same.test", "MX"): ["10 mx1.b.test.", "10 mx2.b.test."],
    ("gone.test", "MX"): ["10 nowhere.test."],
    ("backup.test", "MX"): ["10 mx1.b.test.", "20 mx.here.test.", "30 mx2.b.test."],
    ("ours.test", "MX"): ["10 MX.Here.Test."],
    ("alias.test", "MX"): ["10 mx.here.test.alias."],
    ("half.test", "MX"): ["10 broken.test.", "20 mx1.b.test."],
    ("lost.test", "MX"): ["10 broken.test."],
    ("odd.test", "MX"): ["nonsense", "10 mx1.b.test."],
}


def places(domain, routes=None, seed=1, **options):
    resolver = KnownNames({**NAMES, "mx.here.test.alias": ["192.0.2.200"]}, records=RECORDS, broken=["broken.test"])
    made = Routes(routes or {}, lambda: resolver, random.Random(seed), name="mx.here.test", **options)
    found = []
    Deferred.fromCoroutine(made.places(domain)).addBoth(found.append)
    if hasattr(found[0], "raiseException"):
        found[0].raiseException()
    return found[0]


def refusal(domain, **options):
    with pytest.raises(Unroutable) as caught:
        places(domain, **options)
    return caught.value.reply


def test_by_preference():
    assert places("b.test") == [("192.0.2.1", 25), ("192.0.2.2", 25), ("2001:db8::2", 25)]
    assert places("b.test", port=2525)[0] == ("192.0.2.1", 2525)
    assert places("odd.test") == [("192.0.2.1", 25)]


def test_equal_ones_take_turns():
    assert {places("same.test", seed=seed)[0] for seed in range(10)} == {("192.0.2.1", 25), ("192.0.2.2", 25)}


def test_without_mx_the_host_itself():
    assert places("plain.test") == [("192.0.2.9", 25)]
    assert places("[192.0.2.7]") == [("192.0.2.7", 25)]
    assert places("[IPv6:2001:db8::7]") == [("2001:db8::7", 25)]


def test_one_host_that_cannot_be_found_is_passed_over():
    assert places("half.test") == [("192.0.2.1", 25)]


@pytest.mark.parametrize(
    ("domain", "code", "enhanced"),
    [
        ("null.test", 556, "5.1.10"),
        ("unknown.test", 550, "5.1.2"),
        ("gone.test", 451, "4.4.4"),
        ("lost.test", 451, "4.4.3"),
        ("broken.test", 451, "4.4.3"),
        ("ours.test", 554, "5.4.6"),
        ("[nonsense]", 550, "5.1.2"),
    ],
)
def test_no_way(domain, code, enhanced):
    reply = refusal(domain)
    assert (reply.code, reply.enhanced) == (code, enhanced)


def test_never_back_to_those_behind_us():
    assert places("backup.test") == [("192.0.2.1", 25)]
    own = lambda: {("192.0.2.200", 25)}  # noqa: E731
    assert refusal("alias.test", own=own).enhanced == "5.4.6"


def test_internal_addresses_are_guarded():
    assert places("inner.test") == [("10.0.0.1", 25)]
    assert refusal("inner.test", guarded=True).enhanced == "5.4.4"


def test_routes_come_first():
    routes = {"b.test": ("10.0.0.5", 2525), "*": ("smart.test", 587)}
    assert places("b.test", routes, guarded=True) == [("10.0.0.5", 2525)]
    assert places("anything.test", routes) == [("192.0.2.50", 587)]
    assert refusal("x.test", routes={"*": ("unknown.test", 25)}).code == 451


def test_destinations():
    made = Routes({"b.test": ("h", 1)}, lambda: None, random.Random(1), name="x")
    assert (made.destination("b.test"), made.destination("c.test")) == ("h:1", "c.test")
