"""Catalog zones as records: read, refused, made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.catalog import BadCatalog, Member, members, records
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.wire.name import from_text
from tests.unit.dns.zones import make_zone

# RFC 9432 appendix A, with other names
EXAMPLE = """
$TTL 0
@                          SOA invalid. invalid. 1 3600 600 2147483646 0
@                          NS invalid.
version                    TXT "2"
5960775ba382e7a4e09263fc06e7c00569b6a05c.zones     PTR domain1.example.
b7afc7c0b3a5a3a4c1e2a9f9b1cb4d0d2b8e8b0a.zones     PTR Domain2.example.
group.b7afc7c0b3a5a3a4c1e2a9f9b1cb4d0d2b8e8b0a.zones TXT "operator-y-sign"
c5b7a1b0a8c7a6a3b9a0d3e1f2a4b5c6d7e8f9a0.zones     PTR domain3.example.
coo.c5b7a1b0a8c7a6a3b9a0d3e1f2a4b5c6d7e8f9a0.zones PTR other.catalog.
x.ext                      TXT "somebody's own"
ext.5960775ba382e7a4e09263fc06e7c00569b6a05c.zones TXT "and this"
lost.zones                 TXT "no member"
"""


def named(tmp_path, text):
    return members(make_zone(tmp_path, text, "catalog.example."))


def test_the_members_of_a_catalog(tmp_path):
    found = named(tmp_path, EXAMPLE)
    one, two, three = (from_text(f"domain{n}.example.") for n in (1, 2, 3))
    assert found[one] == Member(one, b"5960775ba382e7a4e09263fc06e7c00569b6a05c")
    assert found[two].groups == ("operator-y-sign",)
    assert found[three].owner == from_text("other.catalog.")
    assert len(found) == 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('version                    TXT "2"', "", "not say that it is of version 2"),
        ('TXT "2"', 'TXT "1"', "version 2"),
        ('TXT "2"', 'TXT "2"\nversion TXT "3"', "version 2"),
        ('TXT "2"', "A 192.0.2.1", "version 2"),
        ("domain1.example.", "domain3.example.", "domain3.example. is there twice"),
        ('lost.zones                 TXT "no member"', "l.zones PTR a.\nl.zones PTR b.", "names several zones"),
    ],
)
def test_a_broken_catalog(tmp_path, old, new, words):
    with pytest.raises(BadCatalog, match=words):
        named(tmp_path, EXAMPLE.replace(old, new, 1))


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
groups = st.lists(st.text("abc é", min_size=1, max_size=8), max_size=3, unique=True)


@given(st.dictionaries(st.lists(labels, min_size=1, max_size=4).map(".".join), groups, max_size=20))
def test_what_is_made_is_read_back(zones):
    name = from_text("catalog.test.")
    assembly = Assembly(name, "catalog")
    for record in records(name, 7, {from_text(zone): found for zone, found in zones.items()}):
        assembly.add(*record)
    zone = assembly.zone()
    assert zone.serial == 7
    assert {member: set(found.groups) for member, found in members(zone).items()} == {
        from_text(zone): set(found) for zone, found in zones.items()
    }


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"zone": [{"name": "c.test", "file": "c", "catalog": True}]}, "is no copy"),
        ({"catalog": [{"name": "c.test", "zones": ["a.test"]}]}, "names a.test, of which there is no"),
        ({"catalog": [{"name": "c.test", "groups": {"g": ["a.test"]}}]}, "but not among its zones"),
        ({"catalog": [{"name": "c.test", "groups": {"": []}}]}, "1 to 255 bytes"),
        ({"catalog": [{"name": "c.test"}], "zone": [{"name": "c.test", "file": "c"}]}, "is there twice"),
        ({"catalog": [{"name": "c.test", "transfer": ["key:k"]}]}, "of which there is no"),
        ({"catalog": [{"name": "c.test", "notify": ["nobody"]}]}, "give an address"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, table, words):
    with pytest.raises(ValidationError, match=words):
        DnsSettings.model_validate(table, context={"base": tmp_path})
