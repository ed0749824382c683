"""What is believed of a reply: a table of replies by the servers of ``example.test``, asked for www's address."""

from __future__ import annotations

import pytest

from netsuite.dns.resolver.scrutiny import MOST_RECORDS, Kind, judge
from netsuite.dns.wire.codes import AA
from netsuite.dns.wire.name import from_text
from tests.unit.dns.resolver.script import absent, referral, reply, rrset

ZONE, WWW = from_text("example.test"), from_text("www.example.test")
A = "www.example.test. 300 A 192.0.2.80"
MANY = " | ".join(f"10.0.{number // 200}.{number % 200}" for number in range(MOST_RECORDS + 1))


def verdict(message, *, zone=ZONE, rdtype=1, recursive=False):
    return judge(message, zone, WWW, rdtype, recursive=recursive)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (reply(A), Kind.ANSWER),
        (absent("example.test."), Kind.ANSWER),
        (absent("example.test.", rcode=3), Kind.ANSWER),
        (reply(), Kind.ANSWER),
        (reply(flags=0), Kind.LAME),
        (absent("test."), Kind.ANSWER),
        (reply(authority=["test. 300 NS ns.test."]), Kind.LAME),
        (referral("www.example.test.", "ns.www.example.test.=192.0.2.2"), Kind.REFERRAL),
        (referral("example.test.", "ns.example.test."), Kind.LAME),
        (referral("other.example.test.", "ns.other.example.test."), Kind.LAME),
        (referral("com.", "ns.com."), Kind.LAME),
        (reply("www.other.test. 300 A 192.0.2.80", flags=0), Kind.LAME),
        (reply(rcode=1, flags=0), Kind.UNREADABLE),
        (reply(rcode=4, flags=0), Kind.UNREADABLE),
        (reply(rcode=2, flags=0), Kind.BROKEN),
        (reply(rcode=5, flags=0), Kind.BROKEN),
        (reply(A, rcode=6), Kind.BROKEN),
        (reply("www.example.test. 60 CNAME a.test. | b.test."), Kind.BROKEN),
        (reply(f"www.example.test. 60 A {MANY}"), Kind.BROKEN),
    ],
)
def test_kinds(message, kind):
    assert verdict(message).kind is kind


def test_an_absence_needs_the_soa_of_the_zone_to_be_kept():
    assert verdict(absent("example.test.", rcode=3)).soa.name == ZONE
    for elsewhere in ("test.", "other.example.test.", "com."):
        found = verdict(absent(elsewhere, rcode=3))
        assert (found.absent, found.rcode, found.soa) == (True, 3, None)


def test_a_chain_is_followed_while_it_stays_in_the_zone():
    found = verdict(
        reply(
            "www.example.test. 60 CNAME a.example.test.",
            "a.example.test. 60 CNAME b.other.test.",
            "b.other.test. 60 A 203.0.113.6",
        )
    )
    assert [rrset.name for rrset in found.rrsets] == [WWW, from_text("a.example.test")]
    assert (found.last, found.absent) == (from_text("b.other.test"), False)


def test_an_absence_at_the_end_of_a_chain_is_that_of_its_last_name():
    message = reply(
        "www.example.test. 60 CNAME a.example.test.",
        authority=["example.test. 60 SOA ns.example.test. h.example.test. 1 2 3 4 60"],
        rcode=3,
    )
    found = verdict(message)
    assert (found.last, found.absent, found.rcode) == (from_text("a.example.test"), True, 3)


def test_glue_is_taken_for_the_servers_named_and_within_the_zone_asked():
    message = referral(
        "www.example.test.", "ns1.example.test.=192.0.2.2", "ns2.other.test.=203.0.113.6", "ns3.example.test."
    )
    message = message._replace(additional=(*message.additional, rrset("stranger.example.test. 60 A 203.0.113.7")))
    cut = verdict(message).cut
    assert cut.glue == {from_text("ns1.example.test"): ["192.0.2.2"]}
    assert set(cut.names) == {from_text(f"{name}.test") for name in ("ns1.example", "ns2.other", "ns3.example")}
    assert cut.names[0] == from_text("ns1.example.test")


def test_a_referral_names_thirteen_servers_at_most():
    many = referral("www.example.test.", *(f"ns{number}.other.test." for number in range(100)))
    assert len(verdict(many).cut.names) == 13


def test_who_was_asked_to_do_the_work_may_answer_from_anywhere_but_not_refer():
    root = from_text(".")
    assert verdict(reply(A, flags=0), zone=root, recursive=True).kind is Kind.ANSWER
    assert verdict(reply(flags=0), zone=root, recursive=True).absent
    assert verdict(referral("test.", "ns.test."), zone=root, recursive=True).kind is Kind.LAME


def test_authority_is_noted():
    assert verdict(reply(A, flags=AA)).trust > verdict(reply(A, flags=0)).trust
