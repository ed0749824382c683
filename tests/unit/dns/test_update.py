"""Dynamic update as RFC 2136 works it out: prerequisites, the scan before, each kind of change, the serial."""

from __future__ import annotations

import dns.rcode
import dns.update
import pytest

from netsuite.dns.authoritative.update import Refused, Update, execute
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text
from netsuite.dns.wire.records import message
from tests.unit.dns.zones import SITE, make_zone

NOW = 1_700_000_000


@pytest.fixture
def zone(tmp_path):
    return make_zone(tmp_path, SITE)


def asked(update, permits=lambda owner, rdtype: True):
    return Update(message(update.to_wire()), permits, "a test")


def records(zone):
    out = []
    for owner, rdtype, ttl, rdata in zone.records():
        out.append((to_text(owner), rdtype, ttl, rdata))
    return sorted(out)


def outcome(zone, update, rule="increment", **options):
    """The version that an update makes, checked both ways; the zone itself where it changes nothing."""
    change = execute(zone, asked(update), rule, NOW, **options)
    if change is None:
        return zone
    assert change.before == zone.serial
    made = change.applied(zone)
    assert made.serial == change.after
    assert records(change.undone(made)) == records(zone)
    return made


def has(zone, name, rdtype):
    node = zone.node(b"".join(bytes((len(label),)) + label for label in name.encode().split(b".") if label) + b"\0")
    if node is None:
        return None
    rrset = node.rrset(rdtype)
    return None if rrset is None else (rrset.ttl, sorted(rrset.rdatas))


def new():
    return dns.update.UpdateMessage("example.test.")


def test_add_and_delete(zone):
    update = new()
    update.add("new.deep.example.test.", 60, "A", "192.0.2.77")
    update.add("new.deep.example.test.", 90, "A", "192.0.2.78")
    made = outcome(zone, update)
    assert made.serial == 8
    assert has(made, "new.deep.example.test", codes.A) == (90, [b"\xc0\0\2\x4d", b"\xc0\0\2\x4e"])
    update = new()
    update.delete("new.deep.example.test.", "A", "192.0.2.77")
    made = outcome(made, update)
    assert has(made, "new.deep.example.test", codes.A) == (90, [b"\xc0\0\2\x4e"])
    update = new()
    update.delete("new.deep.example.test.")
    made = outcome(made, update)
    assert made.serial == 10
    assert has(made, "new.deep.example.test", codes.A) is None
    assert made.node(b"\x04deep\x07example\x04test\0") is None


def test_what_changes_nothing_has_no_new_serial(zone):
    update = new()
    update.add("web.example.test.", 3600, "A", "192.0.2.3")
    update.delete("web.example.test.", "A", "192.0.2.99")
    update.delete("none.example.test.")
    assert outcome(zone, update) is zone


def test_a_ttl_is_that_of_the_whole_rrset(zone):
    update = new()
    update.add("web.example.test.", 5, "A", "192.0.2.3")
    assert has(outcome(zone, update), "web.example.test", codes.A) == (5, [b"\xc0\0\2\3", b"\xc0\0\2\4"])


def test_names_in_data_compare_without_case(zone):
    update = new()
    update.delete("srv.example.test.", "SRV", "1 1 80 WEB.example.TEST.")
    assert has(outcome(zone, update), "srv.example.test", 33) is None


def test_the_apex_keeps_what_a_zone_needs(zone):
    update = new()
    update.delete("example.test.")
    made = outcome(zone, update)
    assert sorted(made.apex.types()) == [codes.NS, codes.SOA]
    update = new()
    update.delete("example.test.", "NS")
    update.delete("example.test.", "SOA")
    assert outcome(zone, update) is zone
    update = new()
    update.delete("example.test.", "NS", "ns1.example.test.")
    update.delete("example.test.", "NS", "ns2.sub.example.test.")
    assert len(outcome(zone, update).servers.rdatas) == 1


def test_cname_and_other_data_do_not_meet(zone):
    update = new()
    update.add("web.example.test.", 60, "CNAME", "elsewhere.test.")
    update.add("www.example.test.", 60, "A", "192.0.2.1")
    assert outcome(zone, update) is zone
    update = new()
    update.add("www.example.test.", 60, "CNAME", "mail.example.test.")
    assert has(outcome(zone, update), "www.example.test", codes.CNAME)[0] == 60
    update = new()
    update.delete("web.example.test.")
    update.add("web.example.test.", 60, "CNAME", "elsewhere.test.")
    assert has(outcome(zone, update), "web.example.test", codes.CNAME)[0] == 60


def test_a_soa_is_taken_if_it_is_later(zone):
    for serial, taken in ((5, False), (7, False), (9, True), (7 + (1 << 31), False)):
        update = new()
        update.add("example.test.", 3600, "SOA", f"ns1 host {serial} 1 2 3 4")
        update.add("web.example.test.", 3600, "A", "192.0.2.5")
        made = outcome(zone, update)
        assert made.serial == (serial if taken else 8)
    update = new()
    update.add("web.example.test.", 3600, "SOA", "ns1 host 99 1 2 3 4")
    assert outcome(zone, update) is zone


@pytest.mark.parametrize(("rule", "serial"), [("increment", 8), ("unixtime", NOW), ("date", 2023111400)])
def test_serials_go_by_the_rule(zone, rule, serial):
    update = new()
    update.add("x.example.test.", 60, "A", "192.0.2.5")
    assert outcome(zone, update, rule).serial == serial


@pytest.mark.parametrize(
    ("prepare", "rcode"),
    [
        (lambda u: u.present("web.example.test."), None),
        (lambda u: u.present("none.example.test."), codes.NXDOMAIN),
        (lambda u: u.present("b.c.example.test."), codes.NXDOMAIN),
        (lambda u: u.present("web.example.test.", "A"), None),
        (lambda u: u.present("web.example.test.", "AAAA"), codes.NXRRSET),
        (lambda u: u.absent("none.example.test."), None),
        (lambda u: u.absent("web.example.test."), codes.YXDOMAIN),
        (lambda u: u.absent("web.example.test.", "AAAA"), None),
        (lambda u: u.absent("web.example.test.", "A"), codes.YXRRSET),
        (lambda u: u.present("web.example.test.", "A", "192.0.2.3"), codes.NXRRSET),
        (lambda u: u.present("web.example.test.", "A", "192.0.2.3", "192.0.2.4"), None),
        (lambda u: u.present("web.example.test.", "A", "192.0.2.3", "192.0.2.9"), codes.NXRRSET),
        (lambda u: u.present("srv.example.test.", "SRV", "1 1 80 WEB.example.test."), None),
    ],
)
def test_prerequisites(zone, prepare, rcode):
    update = new()
    prepare(update)
    update.add("x.example.test.", 60, "A", "192.0.2.5")
    if rcode is None:
        assert outcome(zone, update).serial == 8
    else:
        with pytest.raises(Refused) as caught:
            outcome(zone, update)
        assert caught.value.rcode == rcode


def raw(section, owner, rdtype, rdclass, ttl, data):
    """An update of one record, whatever it says."""
    counts = (1, 1, 0, 0) if section == "prerequisite" else (1, 0, 1, 0)
    head = b"\0\1\x28\0" + b"".join(count.to_bytes(2, "big") for count in counts)
    zone = b"\x07example\x04test\0\0\6\0\1"
    numbers = rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big") + ttl.to_bytes(4, "big")
    return message(head + zone + owner + numbers + len(data).to_bytes(2, "big") + data)


INSIDE = b"\x01x\x07example\x04test\0"
OUTSIDE = b"\x01x\x05other\0"


@pytest.mark.parametrize(
    ("section", "owner", "rdtype", "rdclass", "ttl", "data", "rcode"),
    [
        ("prerequisite", INSIDE, 1, 255, 1, b"", codes.FORMERR),
        ("prerequisite", OUTSIDE, 1, 255, 0, b"", codes.NOTZONE),
        ("prerequisite", INSIDE, 1, 255, 0, b"abcd", codes.FORMERR),
        ("prerequisite", INSIDE, 1, 3, 0, b"", codes.FORMERR),
        ("update", OUTSIDE, 1, 1, 60, b"abcd", codes.NOTZONE),
        ("update", INSIDE, 252, 1, 60, b"abcd", codes.FORMERR),
        ("update", INSIDE, 41, 1, 60, b"", codes.FORMERR),
        ("update", INSIDE, 1, 255, 1, b"", codes.FORMERR),
        ("update", INSIDE, 1, 255, 0, b"abcd", codes.FORMERR),
        ("update", INSIDE, 252, 255, 0, b"", codes.FORMERR),
        ("update", INSIDE, 1, 254, 1, b"abcd", codes.FORMERR),
        ("update", INSIDE, 255, 254, 0, b"abcd", codes.FORMERR),
        ("update", INSIDE, 1, 3, 0, b"abcd", codes.FORMERR),
        ("update", INSIDE, 16, 1, 60, b"\x05abc", codes.FORMERR),
        ("update", INSIDE, 43, 1, 60, b"\0", codes.FORMERR),
    ],
)
def test_what_an_update_may_not_say(zone, section, owner, rdtype, rdclass, ttl, data, rcode):
    update = Update(raw(section, owner, rdtype, rdclass, ttl, data), lambda *_: True, "a test")
    with pytest.raises(Refused) as caught:
        execute(zone, update, "increment", NOW)
    assert caught.value.rcode == rcode


def test_grants_are_asked_for_every_record(zone):
    update = new()
    update.add("x.example.test.", 60, "A", "192.0.2.5")
    update.delete("web.example.test.", "AAAA")
    seen = []
    execute(zone, asked(update, lambda owner, rdtype: not seen.append((to_text(owner), rdtype))), "increment", NOW)
    assert seen == [("x.example.test.", codes.A), ("web.example.test.", codes.AAAA)]
    with pytest.raises(Refused) as caught:
        execute(zone, asked(update, lambda owner, rdtype: rdtype == codes.A), "increment", NOW)
    assert caught.value.rcode == codes.REFUSED


def test_signatures_of_a_zone_that_we_sign_are_not_for_updates(zone):
    update = new()
    update.delete("web.example.test.", "RRSIG")
    assert outcome(zone, update) is zone
    with pytest.raises(Refused):
        outcome(zone, update, signed=True)
