"""Versions of a zone: a change gives what reading the changed records anew would give, and leaves the old one alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.dns.authoritative import base as bases
from netsuite.dns.authoritative import zone as zones
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.zone import ZoneError
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import canonical, from_text
from tests.dnszones import zone_texts
from tests.properties.dns.test_answers import loaded


def assembled(records):
    made = Assembly(from_text("example.test."))
    for owner, rdtype, ttl, rdata in records:
        made.add(owner, rdtype, ttl, rdata)
    return made.zone()


def content(zone):
    """All that can be seen of a zone."""
    packed = {
        name: sorted((kind, ttl, sorted(datas)) for kind, ttl, datas in zones.bundles(node))
        for name, node in zone.nodes()
    }
    return packed, zone.count, zone.cuts, zone.renames, zone.wildcards, len(zone), zone.serial


def check_order(zone):
    names = list(zone.names())
    assert names == sorted(names, key=canonical)
    assert sorted(names) == sorted(name for name, _ in zone.nodes())
    for at, name in enumerate(names):
        assert zone.after(name) == names[(at + 1) % len(names)]
        assert zone.before(name) == names[at - 1]
        assert zone.is_above(name) == any(other != name and other.endswith(name) for other in names)
    absent = from_text("b.b.b.b.example.test.")
    assert canonical(zone.before(absent)) < canonical(absent)


@settings(max_examples=120, deadline=None)
@given(zone_texts(), zone_texts(), st.randoms(use_true_random=False), st.booleans())
def test_a_change_is_what_reading_anew_would_be(before, after, rng, fold):
    old, wanted = loaded(before), loaded(after)
    first = content(old)
    was, will = set(old.records()), set(wanted.records())
    removals = [(owner, rdtype, rdata) for owner, rdtype, _, rdata in was - will]
    additions = list(will - was)
    rng.shuffle(removals)
    rng.shuffle(additions)
    usual, zones._FOLD = zones._FOLD, 0 if fold else zones._FOLD
    try:
        new = old.changed(removals, additions)
        assert content(new) == content(wanted)
        check_order(new)
        assert content(old) == first
        back = new.changed([(o, t, d) for o, t, _, d in will - was], list(was - will))
        assert content(back) == first
        check_order(back)
    finally:
        zones._FOLD = usual


@settings(max_examples=120, deadline=None)
@given(st.lists(zone_texts(), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_what_is_moved_into_the_base_is_seen_by_nobody(texts, rng):
    """Versions that are kept, read and changed while others settle stay what they were."""
    usual = zones._SETTLED, zones._MOVES, bases._PLACES
    zones._SETTLED, zones._MOVES, bases._PLACES = 0, 3, 2
    try:
        zone = loaded(texts[0])
        kept = [(zone, content(zone))]
        for text in texts[1:]:
            wanted = loaded(text)
            was, will = set(zone.records()), set(wanted.records())
            zone = zone.changed([(o, t, d) for o, t, _, d in was - will], list(will - was))
            if rng.random() < 0.3:
                list(zone.names())
            if rng.random() < 0.3:
                zone.hashes()
            kept.append((zone, content(wanted)))
            if rng.random() < 0.6:
                kept = [each for each in kept if rng.random() < 0.3]
            reading = zone.nodes() if rng.random() < 0.3 else iter(())
            next(reading, None)
            # How far it gets depends on who else reads; what is drawn must not.
            light, turns = rng.random() < 0.5, rng.randrange(40)
            if any(zone.settle() for _ in range(turns)) and light:
                zone = zone.lightened()
            for version, seen in kept:
                assert content(version) == seen
                if rng.random() < 0.5:
                    check_order(version)
            list(reading)
        del reading, wanted
        version = None  # with nobody else reading, all of it goes
        check_order(zone)
        kept.clear()
        for word in (b"x", b"y", b"z"):
            zone = zone.changed([], [(zone.name, codes.TXT, 1, b"\1" + word)])
            while not zone.settle():
                pass
        assert version is None
        assert len(zone.changed([], [(zone.name, codes.TXT, 1, b"\1w")]).overlay) == 1
        check_order(zone)
    finally:
        zones._SETTLED, zones._MOVES, bases._PLACES = usual


@settings(max_examples=40, deadline=None)
@given(zone_texts())
def test_records_assemble_to_the_same_zone(text):
    zone = loaded(text)
    records = list(zone.records())
    assert records[0][1] == codes.SOA
    assert len(records) == zone.count
    random.Random(1).shuffle(records)
    assert content(assembled(records)) == content(zone)
    check_order(zone)


HEAD = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\na CNAME b\nd NS e\n"
APEX = from_text("example.test.")
A, D = from_text("a.example.test."), from_text("d.example.test.")


@pytest.mark.parametrize(
    ("removals", "additions", "reason"),
    [
        ([(A, 1, b"\1\2\3\4")], [], "no such record"),
        ([], [(A, 1, 60, b"\1\2\3\4")], "CNAME record beside"),
        ([], [(A, 5, 60, b"\1c\0")], "second CNAME"),
        ([], [(D, 39, 60, b"\1c\0")], "DNAME record beside NS"),
        ([], [(b"\1x\0", 1, 60, b"\1\2\3\4")], "outside zone"),
        ([], [(A, 6, 60, bytes(22))], "only the zone's own name"),
        ([(APEX, 2, from_text("ns.example.test."))], [], "no NS record"),
        ([], [(from_text("big.example.test."), 16, 60, bytes(65500))], "fits no message"),
    ],
)
def test_changes_that_cannot_be_are_refused(removals, additions, reason):
    zone = loaded(HEAD)
    with pytest.raises(ZoneError, match=reason):
        zone.changed(removals, additions)


def test_a_ttl_changes_by_adding_the_record_again():
    zone = loaded(HEAD)
    owner = from_text("ns.example.test.")
    changed = zone.changed([], [(owner, codes.A, 5, bytes((192, 0, 2, 1)))])
    assert changed.node(owner).rrset(codes.A).ttl == 5
    assert changed.count == zone.count


def test_canonical_order():
    # RFC 4034 section 6.1.
    names = ["example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
             "\\001.z.example.", "*.z.example.", "\\200.z.example."]  # fmt: skip
    wire = [from_text(name).lower() for name in names]
    assert sorted(wire, key=canonical) == wire
    assert canonical(from_text("\\000.z.")) < canonical(from_text("\\000\\000.z.")) < canonical(from_text("\\001.z."))
    assert canonical(from_text("a.z.")) < canonical(from_text("b.a.z.")) < canonical(from_text("a\\000.z."))
