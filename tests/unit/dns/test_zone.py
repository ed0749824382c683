"""Zones as data: what is refused, and what stands above each name."""

from __future__ import annotations

import re

import pytest

from netsuite.dns.authoritative.node import ALIAS, CUT, RENAMED
from netsuite.dns.authoritative.zone import ZoneError
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import from_text
from tests.unit.dns.zones import SITE, make_zone

HEAD = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"


def test_what_a_zone_knows(tmp_path):
    zone = make_zone(tmp_path, SITE, "Example.Test.")
    assert zone.name == b"\x07example\x04test\0"
    assert zone.serial == 7
    assert zone.soa.ttl == 3600
    assert zone.negative.ttl == 300

    def node(name):
        return zone.node(from_text(f"{name}.example.test."))

    # Empty non-terminals exist and have nothing.
    assert node("b.c").types() == node("c").types() == node("wild").types() == []
    assert node("d.c") is None
    assert node("sub").kind & CUT
    assert not node("ns2.sub").kind & CUT
    assert not zone.apex.kind & CUT
    assert node("old").kind & RENAMED
    assert node("www").kind & ALIAS
    assert (zone.cuts, zone.renames, zone.wildcards) == (2, 2, 2)
    assert zone.count == SITE.count("\n") - 2


def test_the_negative_ttl_is_never_above_the_soas(tmp_path):
    zone = make_zone(tmp_path, "@ 9 SOA ns host 1 2 3 4 500\n@ 60 NS ns.other.\n")
    assert zone.negative.ttl == 9


def test_duplicates_go_and_the_lowest_ttl_counts(tmp_path):
    zone = make_zone(
        tmp_path, HEAD + "a 50 A 192.0.2.1\na 40 A 192.0.2.2\na 60 A 192.0.2.1\nA.EXAMPLE.TEST. A 192.0.2.3\n"
    )
    rrset = zone.node(from_text("a.example.test.")).rrset(codes.A)
    assert rrset.ttl == 40
    assert len(rrset.rdatas) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$TTL 1\n@ NS ns\n", "zone example.test. has no SOA record at example.test."),
        ("$TTL 1\n@ SOA a b 1 2 3 4 5\n", "zone example.test. has no NS record at example.test."),
        ("", "has no SOA record"),
        (HEAD + "www.other.test. A 192.0.2.1\n", ":5: www.other.test. is outside zone example.test."),
        (HEAD + "a CNAME b\na A 192.0.2.1\n", "a.example.test. has a CNAME record beside other records"),
        (HEAD + "a A 192.0.2.1\na CNAME b\n", "a.example.test. has a CNAME record beside other records"),
        (HEAD + "@ CNAME b\n", "example.test. has a CNAME record beside other records"),
        (HEAD + "a CNAME b\na CNAME c\n", ":6: a.example.test. has a second CNAME record"),
        (HEAD + "a DNAME b\na DNAME c\n", ":6: a.example.test. has a second DNAME record"),
        (HEAD + "a DNAME b\na NS c\n", "a DNAME record beside NS records"),
        (HEAD + "@ SOA ns host 2 2 3 4 5\n", ":5: example.test. has a second SOA record"),
        (HEAD + "a SOA ns host 2 2 3 4 5\n", ":5: a.example.test. has a SOA record, which only"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path, text, reason):
    with pytest.raises(ZoneError, match=re.escape(reason)) as caught:
        make_zone(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_zone_knows_whether_its_files_have_changed(tmp_path):
    (tmp_path / "more").write_text("b A 192.0.2.1\n")
    zone = make_zone(tmp_path, HEAD + "$INCLUDE more\n")
    assert zone.is_current()
    (tmp_path / "more").write_text("b A 192.0.2.1\nc A 192.0.2.1\n")
    assert not zone.is_current()
    (tmp_path / "more").unlink()
    assert not zone.is_current()
