"""The cache: what it keeps, for how long, and what it gives up."""

from __future__ import annotations

from netsuite.dns.resolver.cache import Cache, Delegation, Entry, Lifetimes, Trust
from netsuite.dns.resolver.iterator import recall
from netsuite.dns.wire.name import ROOT, from_text
from tests.unit.dns.resolver.script import records, rrset

WWW = from_text("www.example.test")


def held(cache, text, now=0.0, trust=Trust.AUTHORITATIVE):
    entry = cache.positive(rrset(text), now, trust)
    cache.store(entry, now)
    return entry


def test_lifetimes_count_down_and_end():
    cache = Cache(1 << 20)
    held(cache, "www.example.test. 300 A 192.0.2.1")
    assert cache.lookup(WWW, 1, 100.0).rrset(100.0).ttl == 200
    assert cache.lookup(WWW, 1, 299.9) is not None
    assert cache.lookup(WWW, 1, 300.0) is None
    assert len(cache) == 0


def test_lifetimes_are_bounded():
    cache = Cache(1 << 20, Lifetimes(most=600, most_negative=60))
    assert held(cache, "www.example.test. 999999 A 192.0.2.1").expires == 600
    soa = rrset("example.test. 999999 SOA ns host 1 2 3 4 99999")
    assert cache.absence(WWW, 1, 3, soa, 0.0, Trust.ANSWER).expires == 60


def test_an_absence_holds_for_the_smaller_of_ttl_and_minimum():
    cache = Cache(1 << 20)
    for ttl, minimum in ((50, 900), (900, 50)):
        soa = rrset(f"example.test. {ttl} SOA ns host 1 2 3 4 {minimum}")
        entry = cache.absence(WWW, 1, 0, soa, 0.0, Trust.AUTHORITATIVE)
        assert (entry.expires, entry.companion.expires) == (50, 50)
    assert cache.absence(WWW, 1, 0, None, 7.0, Trust.AUTHORITATIVE).expires == 7.0


def test_an_answer_from_the_zone_is_not_replaced_by_hearsay():
    cache = Cache(1 << 20)
    first = held(cache, "www.example.test. 300 A 192.0.2.1")
    assert cache.store(cache.positive(rrset("www.example.test. 300 A 203.0.113.6"), 1.0, Trust.ANSWER), 1.0) is first
    assert cache.lookup(WWW, 1, 1.0).rdatas == (b"\xc0\0\2\1",)
    # the zone itself may change its mind, and hearsay does once the better is gone
    held(cache, "www.example.test. 300 A 192.0.2.2", 2.0)
    assert cache.lookup(WWW, 1, 2.0).rdatas == (b"\xc0\0\2\2",)
    held(cache, "www.example.test. 300 A 203.0.113.6", 303.0, Trust.ANSWER)
    assert cache.lookup(WWW, 1, 303.0).rdatas == (b"\xcb\0\x71\6",)


def test_a_missing_name_settles_all_types_and_all_below():
    cache = Cache(1 << 20)
    soa = rrset("example.test. 300 SOA ns host 1 2 3 4 300")
    cache.store(cache.absence(WWW, 1, 3, soa, 0.0, Trust.AUTHORITATIVE), 0.0)
    for name in ("www.example.test", "a.b.www.example.test"):
        assert recall(cache, from_text(name), 28, 1.0).rcode == 3
    assert cache.lookup(from_text("example.test"), 1, 1.0) is None
    # bytes within a label are no labels
    assert cache.lookup(b"\x15a\x03www\x07example\x04test\x00zz\x00", 1, 1.0) is None
    held(cache, "www.example.test. 300 A 192.0.2.1", 2.0)
    assert cache.lookup(from_text("b.www.example.test"), 1, 2.0) is None


def test_a_type_that_is_absent_says_nothing_about_others():
    cache = Cache(1 << 20)
    soa = rrset("example.test. 300 SOA ns host 1 2 3 4 300")
    for rdtype in (1, 5):
        cache.store(cache.absence(WWW, rdtype, 0, soa, 0.0, Trust.AUTHORITATIVE), 0.0)
    assert cache.lookup(WWW, 1, 1.0).rcode == 0
    assert cache.lookup(WWW, 28, 1.0) is None


def test_recall_follows_aliases_and_never_for_ever():
    cache = Cache(1 << 20)
    held(cache, "www.example.test. 300 CNAME web.example.test.")
    assert recall(cache, WWW, 1, 0.0) is None
    held(cache, "web.example.test. 300 A 192.0.2.1")
    assert records(recall(cache, WWW, 1, 0.0).answer) == [
        "www.example.test. CNAME web.example.test.",
        "web.example.test. A 192.0.2.1",
    ]
    held(cache, "a.test. 300 CNAME b.test.")
    held(cache, "b.test. 300 CNAME a.test.")
    assert recall(cache, from_text("a.test"), 1, 0.0) is None


def test_failures_are_remembered_for_a_short_while():
    cache = Cache(1 << 20)
    cache.fail(WWW, 1, 22, "nobody there", 0.0)
    assert recall(cache, WWW, 1, 4.9).error == (22, "nobody there")
    assert recall(cache, WWW, 28, 4.9) is None
    assert cache.failure(WWW, 1, 5.0) is None


def test_a_delegation_is_bounded_by_the_one_above():
    cache = Cache(1 << 20)
    above = Delegation(from_text("test"), expires=50.0)
    cache.delegate(Delegation(from_text("example.test"), [WWW], {WWW: ["192.0.2.1"]}), above, 999, 0.0)
    assert cache.delegation(from_text("example.test"), 49.0).glue == {WWW: ("192.0.2.1",)}
    assert cache.delegation(from_text("example.test"), 50.0) is None
    cache.delegate(Delegation(ROOT), Delegation(ROOT), 999, 0.0)
    assert cache.delegation(ROOT, 998.0) is not None


def test_a_flood_of_names_does_not_grow_it():
    budget = 1 << 20
    cache = Cache(budget)
    for number in range(20_000):
        name = f"{number}.flood.test"
        held(cache, f"{name}. 300 A 192.0.2.1")
        cache.fail(from_text(name), 1, 0, "", 0.0)
        cache.delegate(Delegation(from_text(name), [from_text(f"ns.{name}")]), Delegation(ROOT), 300, 0.0)
        assert cache.held <= budget
    assert 500 < len(cache) < 3000
    assert cache.evictions > 15_000


def test_what_is_asked_for_survives_a_flood():
    cache = Cache(1 << 20)
    held(cache, "www.example.test. 30000 A 192.0.2.1")
    for number in range(20_000):
        held(cache, f"{number}.flood.test. 300 A 192.0.2.1")
        if number % 100 == 0:
            assert cache.lookup(WWW, 1, 0.0) is not None


def test_clear_forgets_all():
    cache = Cache(1 << 20)
    held(cache, "www.example.test. 300 A 192.0.2.1")
    cache.fail(WWW, 28, 0, "", 0.0)
    cache.clear()
    assert (len(cache), cache.held, cache.failure(WWW, 28, 0.0)) == (0, 0, None)


def test_the_size_of_an_entry_counts_its_companion():
    soa = Entry(WWW, 6, (bytes(60),), 1.0)
    assert Entry(WWW, 1, (), 1.0, companion=soa).size() > soa.size() > 400
