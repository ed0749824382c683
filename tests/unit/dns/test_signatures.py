"""Signatures live as long as what they cover (RFC 4034 section 3), however they came into a zone."""

from __future__ import annotations

import random

import dns.message
import dns.rdatatype
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.change import Change, decoded, difference, encoded
from netsuite.dns.authoritative.digest import complaint
from netsuite.dns.authoritative.update import Update, execute
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import from_text
from netsuite.dns.wire.records import message
from tests.dnssignatures import check_ttls
from tests.unit.dns.uriarpa import URI_ARPA
from tests.unit.dns.zones import make_zone

NAME = from_text("uri.arpa.")
FTP = from_text("ftp.uri.arpa.")
NAPTR = 35


@pytest.fixture
def zone(tmp_path):
    return make_zone(tmp_path, URI_ARPA, "uri.arpa.")


def assembled(records, name=NAME):
    assembly = Assembly(name)
    for record in records:
        assembly.add(*record)
    assert assembly.lowered == []
    return assembly.zone()


def ttls(zone, owner):
    """The TTLs of a name's signatures, by what they cover."""
    return {
        int.from_bytes(data[:2], "big"): ttl
        for name, rdtype, ttl, data in zone.records()
        if rdtype == codes.RRSIG and name == owner
    }


def check_exact(zone, change):
    """The next version, which is what the change says and no other; so is the way back."""
    made = change.applied(zone)
    gone, come = set(change.removals), set(change.additions)
    assert gone <= set(zone.records())
    assert set(made.records()) == set(zone.records()) - gone | come
    assert set(change.undone(made).records()) == set(zone.records())
    return made


def test_a_file_may_say_what_it_likes_of_them_in_any_order(zone):
    assert check_ttls(zone.records()) == 15
    assert ttls(zone, NAME) == {6: 3600, 2: 86400, 15: 600, 48: 3600, 63: 3600, 47: 3600}
    records = [
        (owner, rdtype, 7 if rdtype == codes.RRSIG else ttl, data) for owner, rdtype, ttl, data in zone.records()
    ]
    for seed in range(20):
        random.Random(seed).shuffle(records)
        other = assembled(records)
        assert set(other.records()) == set(zone.records())
        assert complaint(other) is None


def test_a_ttl_that_changes_takes_them_with_it(zone):
    (data,) = zone.node(FTP).rrset(NAPTR).rdatas
    soa = zone.soa.rdatas[0]
    later = zone.changed([], [(NAME, codes.SOA, 60, soa), (FTP, NAPTR, 5, data)])
    assert ttls(later, FTP) == {NAPTR: 5, codes.NSEC: 3600}
    assert ttls(later, NAME)[codes.SOA] == 60
    assert check_ttls(later.records()) == 15
    check_exact(zone, difference(zone, later, 0, "a test"))


def test_an_update_of_a_ttl_is_one_of_its_signatures_too(zone):
    update = dns.update.UpdateMessage("uri.arpa.")
    (data,) = zone.node(FTP).rrset(NAPTR).rdatas
    update.add("ftp.uri.arpa.", 5, "NAPTR", dns.rdata.from_wire(1, NAPTR, data, 0, len(data)).to_text())
    change = execute(zone, Update(message(update.to_wire()), lambda *_: True, "a test"), "increment", 0)
    made = check_exact(zone, change)
    assert [record[1:3] for record in change.additions[1:]] == [(NAPTR, 5), (codes.RRSIG, 5)]
    assert check_ttls(made.records()) == 15


def test_what_was_kept_with_another_ttl_is_put_right(zone):
    """As it was written when nodes had one TTL for all signatures of a name."""
    lowest = [(*each[:2], 600 if each[1] == codes.RRSIG else each[2], each[3]) for each in zone.records()]
    (kept,) = decoded(encoded(Change(0, zone.serial, (), lowest, 0, "")))
    assert set(assembled(kept.additions).records()) == set(zone.records())
    signature = next(record for record in lowest if record[:2] == (FTP, codes.RRSIG))
    without = zone.changed([(FTP, codes.RRSIG, signature[3])], [])
    assert set(without.changed([], [signature]).records()) == set(zone.records())


def test_those_that_cover_nothing_have_their_original_ttl(zone):
    node = zone.node(FTP)
    (data,) = node.rrset(NAPTR).rdatas
    without = zone.changed([(FTP, NAPTR, data)], [])
    assert ttls(without, FTP) == {NAPTR: 604800, codes.NSEC: 3600}
    assert set(assembled(without.records()).records()) == set(without.records())
    with_one = zone.changed([], [(from_text("a.uri.arpa."), codes.RRSIG, 9, b"\0\1" + bytes(40))])
    assert ttls(with_one, from_text("a.uri.arpa.")) == {codes.A: 0}


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\x23\0\0\0\0"])
def test_data_that_are_no_signature_do_no_harm(zone, data):
    with_one = zone.changed([], [(FTP, codes.RRSIG, 9, data)])
    assert with_one.count == zone.count + 1
    assert {record[3] for record in with_one.records()} == {record[3] for record in zone.records()} | {data}
    assert {record[3] for record in assembled(with_one.records()).records()} == {r[3] for r in with_one.records()}


def test_who_asks_for_them_gets_each_with_its_own(zone):
    answers = Answers([zone])
    for rdtype in ("RRSIG", "ANY"):
        response = dns.message.from_wire(answers.answer(dns.message.make_query("uri.arpa.", rdtype).to_wire(), True))
        found = {int(rrset.covers): rrset.ttl for rrset in response.answer if rrset.rdtype == dns.rdatatype.RRSIG}
        assert found == ttls(zone, NAME)
    response = dns.message.from_wire(answers.answer(dns.message.make_query("ftp.uri.arpa.", "RRSIG").to_wire()))
    assert [(int(rrset.covers), rrset.ttl, len(rrset)) for rrset in response.answer] == [(NAPTR, 604800, 1)]


DATA = {codes.A: (b"\xc0\0\2\1", b"\xc0\0\2\2"), codes.TXT: (b"\1a", b"\1b"), codes.MX: (b"\0\1\0",)}
OWNERS = [from_text(f"{name}example.test.") for name in ("", "a.", "b.a.")]


def signature(rdtype, original, number):
    return rdtype.to_bytes(2, "big") + b"\x0d\2" + original.to_bytes(4, "big") + bytes(10) + b"\0" + bytes((number,))


@st.composite
def contents(draw):
    """The records of a zone in any order, its signatures with any TTL."""
    records = [
        (OWNERS[0], codes.SOA, draw(st.sampled_from((5, 60))), b"\x02ns\0\x01h\0" + bytes(20)),
        (OWNERS[0], codes.NS, 60, b"\x02ns\0"),
    ]
    for owner in OWNERS:
        for rdtype, datas in DATA.items():
            ttl = draw(st.sampled_from((5, 60, 600)))
            records += [(owner, rdtype, ttl, data) for data in datas if draw(st.booleans())]
        for rdtype in (*DATA, codes.SOA):
            for number in range(draw(st.integers(0, 2))):
                records.append((owner, codes.RRSIG, draw(st.sampled_from((5, 9))), signature(rdtype, 7, number)))
    return draw(st.permutations(records))


@settings(max_examples=150, deadline=None)
@given(contents(), contents())
def test_a_change_is_exact_and_what_reading_anew_would_be(before, after):
    old, wanted = assembled(before, OWNERS[0]), assembled(after, OWNERS[0])
    for zone in (old, wanted):
        held = {(owner, rdtype): ttl for owner, rdtype, ttl, _ in zone.records() if rdtype != codes.RRSIG}
        for owner, rdtype, ttl, data in zone.records():
            if rdtype == codes.RRSIG:
                assert ttl == held.get((owner, data[1]), 7)
    made = check_exact(old, difference(old, wanted, 0, "a test"))
    assert set(made.records()) == set(wanted.records())
