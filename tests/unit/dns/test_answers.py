"""What a name server answers: each line of RFC 1034 section 4.3.2 and what came after it, as a table."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import pytest

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.wire import codes
from tests.unit.dns.zones import SITE, make_zone, sections

SOA = "example.test. 300 SOA ns1.example.test. host.example.test. 7 7200 3600 1209600 300"
GLUE = ["ns2.sub.example.test. 3600 A 192.0.2.7", "ns.sibling.example.test. 3600 A 192.0.2.8"]
OWN = ["ns1.example.test. 3600 A 192.0.2.1", "ns1.example.test. 3600 AAAA 2001:db8::1"]
REFERRAL = [
    "sub.example.test. 3600 NS ns.elsewhere.test.",
    "sub.example.test. 3600 NS ns.sibling.example.test.",
    "sub.example.test. 3600 NS ns1.example.test.",
    "sub.example.test. 3600 NS ns2.sub.example.test.",
]
WEB = ["web.example.test. 3600 A 192.0.2.3", "web.example.test. 3600 A 192.0.2.4"]
DNAME = "old.example.test. 3600 DNAME new.example.test."


@pytest.fixture
def answers(tmp_path):
    return Answers([make_zone(tmp_path, SITE)])


def ask(answers, name, rdtype, *, stream=False, **options):
    query = dns.message.make_query(name, rdtype, **options)
    query.flags &= ~dns.flags.RD
    return answers.answer(query.to_wire(), stream)


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode", "answer", "authority"),
    [
        ("web.example.test.", "A", "NOERROR", WEB, []),
        ("mail.example.test.", "AAAA", "NOERROR", [], [SOA]),
        ("none.example.test.", "A", "NXDOMAIN", [], [SOA]),
        # Empty non-terminals exist (RFC 8020).
        ("b.c.example.test.", "A", "NOERROR", [], [SOA]),
        ("x.b.c.example.test.", "A", "NXDOMAIN", [], [SOA]),
        # CNAME chains end with what the last name has (RFC 6604).
        ("www.example.test.", "A", "NOERROR", ["www.example.test. 300 CNAME web.example.test.", *WEB], []),
        ("www.example.test.", "AAAA", "NOERROR", ["www.example.test. 300 CNAME web.example.test."], [SOA]),
        ("www.example.test.", "CNAME", "NOERROR", ["www.example.test. 300 CNAME web.example.test."], []),
        ("out.example.test.", "A", "NOERROR", ["out.example.test. 3600 CNAME www.other.test."], []),
        ("lost.example.test.", "A", "NXDOMAIN", ["lost.example.test. 3600 CNAME nothing.example.test."], [SOA]),
        (
            "loop1.example.test.",
            "A",
            "NOERROR",
            [
                "loop1.example.test. 3600 CNAME loop2.example.test.",
                "loop2.example.test. 3600 CNAME loop1.example.test.",
            ],
            [],
        ),
        # Wildcards (RFC 4592): below the encloser, at any depth, not beside an existing name, not the encloser itself.
        ("x.wild.example.test.", "A", "NOERROR", ["x.wild.example.test. 3600 A 192.0.2.6"], []),
        ("x.y.wild.example.test.", "A", "NOERROR", ["x.y.wild.example.test. 3600 A 192.0.2.6"], []),
        ("x.wild.example.test.", "AAAA", "NOERROR", [], [SOA]),
        ("wild.example.test.", "A", "NOERROR", [], [SOA]),
        ("there.wild.example.test.", "A", "NOERROR", [], [SOA]),
        ("x.there.wild.example.test.", "A", "NXDOMAIN", [], [SOA]),
        ("*.wild.example.test.", "A", "NOERROR", ["*.wild.example.test. 3600 A 192.0.2.6"], []),
        ("x.*.wild.example.test.", "A", "NXDOMAIN", [], [SOA]),
        ("x.alias.example.test.", "A", "NOERROR", ["x.alias.example.test. 3600 CNAME web.example.test.", *WEB], []),
        # DNAME (RFC 6672).
        (
            "host.old.example.test.",
            "A",
            "NOERROR",
            [
                "host.new.example.test. 3600 A 192.0.2.9",
                "host.old.example.test. 3600 CNAME host.new.example.test.",
                DNAME,
            ],
            [],
        ),
        ("old.example.test.", "DNAME", "NOERROR", [DNAME], []),
        ("old.example.test.", "A", "NOERROR", [], [SOA]),
        (
            "x.old.example.test.",
            "A",
            "NXDOMAIN",
            [DNAME, "x.old.example.test. 3600 CNAME x.new.example.test."],
            [SOA],
        ),
        ("x.old.example.test.", "CNAME", "NOERROR", [DNAME, "x.old.example.test. 3600 CNAME x.new.example.test."], []),
        # DS is the parent's (RFC 4035 section 3.1.4.1).
        (
            "sub.example.test.",
            "DS",
            "NOERROR",
            ["sub.example.test. 3600 DS 12345 8 2 0123456789012345678901234567890123456789012345678901234567890123"],
            [],
        ),
        ("sibling.example.test.", "DS", "NOERROR", [], [SOA]),
        ("example.test.", "DS", "NOERROR", [], [SOA]),
        # Types without a meaning of their own are types like others (RFC 3597, RFC 8906).
        ("web.example.test.", "TYPE65280", "NOERROR", [], [SOA]),
        ("example.test.", "SOA", "NOERROR", [SOA.replace(" 300 SOA", " 3600 SOA")], []),
    ],
)
def test_authoritative_answers(answers, name, rdtype, rcode, answer, authority):
    assert sections(ask(answers, name, rdtype)) == (rcode, "AA QR", sorted(answer), authority, [])


@pytest.mark.parametrize("name", ["sub.example.test.", "x.sub.example.test.", "ns2.sub.example.test."])
def test_referrals_have_no_aa_and_all_addresses_we_know(answers, name):
    assert sections(ask(answers, name, "A")) == ("NOERROR", "QR", [], REFERRAL, sorted([*GLUE, *OWN]))


def test_ns_at_a_cut_is_a_referral(answers):
    assert sections(ask(answers, "sub.example.test.", "NS"))[1:3] == ("QR", [])


def test_a_chain_into_a_delegation(answers):
    rcode, flags, answer, authority, additional = sections(ask(answers, "intosub.example.test.", "A"))
    assert (rcode, flags) == ("NOERROR", "AA QR")
    assert answer == ["intosub.example.test. 3600 CNAME deep.sub.example.test."]
    assert authority == REFERRAL
    assert additional == sorted([*GLUE, *OWN])


def test_a_dname_that_makes_too_long_a_name(answers):
    name = ".".join(["y" * 60, "long.example.test."])
    assert sections(ask(answers, name, "A"))[0] == "YXDOMAIN"


def test_glue_for_the_zones_own_servers_goes_with_them(answers):
    result = sections(ask(answers, "example.test.", "NS"))
    assert result[2] == ["example.test. 3600 NS ns1.example.test.", "example.test. 3600 NS ns2.sub.example.test."]
    assert result[4] == sorted([GLUE[0], *OWN])


def test_full_answers(tmp_path):
    answers = Answers([make_zone(tmp_path, SITE)], minimal=False)
    servers = ["example.test. 3600 NS ns1.example.test.", "example.test. 3600 NS ns2.sub.example.test."]
    assert sections(ask(answers, "example.test.", "MX")) == (
        "NOERROR",
        "AA QR",
        ["example.test. 3600 MX 10 mail.example.test."],
        servers,
        sorted(["mail.example.test. 3600 A 192.0.2.2", GLUE[0], *OWN]),
    )
    assert sections(ask(answers, "srv.example.test.", "SRV"))[4] == sorted([*WEB, GLUE[0], *OWN])
    assert sections(ask(answers, "none.example.test.", "A"))[3:] == ([SOA], [])


def test_any_over_udp_gets_one_rrset_and_over_tcp_all(answers):
    assert len(sections(ask(answers, "example.test.", "ANY"))[2]) == 1
    assert len(sections(ask(answers, "example.test.", "ANY", stream=True))[2]) == 5
    assert sections(ask(answers, "c.example.test.", "ANY"))[2:4] == ([], [SOA])
    assert sections(ask(answers, "www.example.test.", "ANY"))[2] == ["www.example.test. 300 CNAME web.example.test."]


@pytest.mark.parametrize(
    ("name", "rdtype", "rdclass"),
    [
        ("other.test.", "A", "IN"),
        (".", "NS", "IN"),
        ("test.", "SOA", "IN"),
        ("example.test.", "AXFR", "IN"),
        ("example.test.", "IXFR", "IN"),
        ("version.bind.", "TXT", "CH"),
        ("example.test.", "SOA", "ANY"),
    ],
)
def test_what_is_not_ours_is_refused(answers, name, rdtype, rdclass):
    query = dns.message.make_query(name, rdtype, rdclass, use_edns=0)
    response = dns.message.from_wire(answers.answer(query.to_wire()))
    assert response.rcode() == dns.rcode.REFUSED
    assert not response.flags & dns.flags.AA
    assert response.question == query.question
    assert response.edns == 0


def test_case_id_and_rd_are_kept_and_ra_ad_and_cd_are_not(answers):
    query = dns.message.make_query("wEb.eXample.TEST.", "A", id=0xBEEF)
    query.flags = dns.flags.RD | dns.flags.CD | dns.flags.AD
    data = answers.answer(query.to_wire())
    assert data[:2] == b"\xbe\xef"
    assert b"\x03wEb\x07eXample\x04TEST\0" in data
    assert sections(data)[:2] == ("NOERROR", "AA QR RD")


def test_edns_is_answered_and_only_when_asked(answers):
    plain = dns.message.from_wire(ask(answers, "web.example.test.", "A"))
    assert plain.edns == -1
    with_edns = dns.message.from_wire(
        ask(answers, "web.example.test.", "A", use_edns=0, payload=4096, want_dnssec=True)
    )
    assert (with_edns.edns, with_edns.payload, with_edns.ednsflags) == (0, 1232, 0x8000)
    unknown = dns.edns.GenericOption(65001, b"x")
    assert not dns.message.from_wire(ask(answers, "web.example.test.", "A", options=[unknown])).options


def test_edns_version_1_is_badvers(answers):
    response = dns.message.from_wire(ask(answers, "web.example.test.", "A", use_edns=1))
    assert (response.rcode(), response.edns, response.answer) == (dns.rcode.BADVERS, 0, [])


@pytest.fixture
def big(tmp_path):
    many = "".join(f"many A 192.0.2.{n}\n" for n in range(200)) + "many AAAA 2001:db8::1\n"
    few = "".join(f"few A 192.0.2.{n}\n" for n in range(40))
    servers = "".join(f"cut NS ns{n}.cut\nns{n}.cut A 192.0.2.{n}\n" for n in range(40))
    outer = "".join(f"far NS ns{n}.side\nns{n}.side A 192.0.2.{n}\n" for n in range(18)) + "side NS ns0.side\n"
    huge = "".join(f'huge TXT "{n:04d}{"x" * 240}"\n' for n in range(300))
    text = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nchain CNAME many\n"
    return Answers([make_zone(tmp_path, text + many + few + servers + outer + huge)])


@pytest.mark.parametrize(
    ("name", "edns", "truncated", "count"),
    [
        ("few", {}, True, 0),
        ("few", {"use_edns": 0, "payload": 700}, False, 40),
        ("few", {"use_edns": 0, "payload": 600}, True, 0),
        ("many", {"use_edns": 0, "payload": 65000}, True, 0),
        ("chain", {"use_edns": 0, "payload": 1232}, True, 1),
    ],
)
def test_udp_answers_are_cut_at_whole_rrsets(big, name, edns, truncated, count):
    data = ask(big, f"{name}.example.test.", "A", **edns)
    assert len(data) <= 1232
    response = dns.message.from_wire(data)
    assert bool(response.flags & dns.flags.TC) == truncated
    assert sum(len(rrset) for rrset in response.answer) == count
    assert response.edns == (0 if edns else -1)


def test_streams_have_room(big):
    response = dns.message.from_wire(ask(big, "many.example.test.", "A", stream=True))
    assert len(response.answer[0]) == 200
    assert not response.flags & dns.flags.TC


def test_what_no_message_can_hold_is_cut_on_streams_too(big):
    data = ask(big, "huge.example.test.", "TXT", stream=True)
    assert dns.message.from_wire(data).flags & dns.flags.TC


def test_a_referral_without_room_for_its_glue_is_truncated(big):
    response = dns.message.from_wire(ask(big, "x.cut.example.test.", "A", use_edns=0, payload=1232))
    assert response.flags & dns.flags.TC
    # Addresses outside the delegation are worth having, but not worth a second question (RFC 9471).
    response = dns.message.from_wire(ask(big, "x.far.example.test.", "A"))
    assert not response.flags & dns.flags.TC
    assert 0 < len(response.additional) < 18


def test_negative_answers_without_room_are_truncated(tmp_path):
    label = ".".join(["x" * 60] * 3)
    host = ".".join(["h" * 60] * 3)
    zone = make_zone(tmp_path, f"$TTL 1\n@ SOA {label}.a. {host}.b. 1 2 3 4 5\n@ NS {label}.a.\n")
    name = ".".join(["q" * 60] * 3) + ".example.test."
    assert dns.message.from_wire(ask(Answers([zone]), name, "A")).flags & dns.flags.TC


def test_the_nearest_zone_answers_and_its_parent_has_the_ds(tmp_path):
    parent = make_zone(
        tmp_path, "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.2\n"
    )
    child = make_zone(tmp_path, "$TTL 60\n@ SOA ns host 9 2 3 4 5\n@ NS ns\nns A 192.0.2.2\n", "sub.example.test.")
    root = make_zone(tmp_path, "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\nexample.test NS ns.example.test\n", ".")
    answers = Answers([parent, child, root])
    assert sections(ask(answers, "ns.sub.example.test.", "A"))[:2] == ("NOERROR", "AA QR")
    assert "host.example.test. 1 2" in sections(ask(answers, "sub.example.test.", "DS"))[3][0]
    assert sections(ask(answers, "example.test.", "DS"))[3][0].startswith(". ")
    assert sections(ask(answers, ".", "DS"))[3][0].startswith(". ")
    assert sections(ask(answers, "nothing.", "A"))[0] == "NXDOMAIN"


def test_a_chain_through_several_zones(tmp_path):
    one = make_zone(tmp_path, "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns.x.\na CNAME b.other.test.\n")
    other = make_zone(tmp_path, "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns.x.\nb A 192.0.2.9\n", "other.test.")
    assert sections(ask(Answers([one, other]), "a.example.test.", "A"))[2] == [
        "a.example.test. 60 CNAME b.other.test.",
        "b.other.test. 60 A 192.0.2.9",
    ]


def test_a_long_chain_ends(tmp_path):
    text = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns.x.\n" + "".join(f"c{n} CNAME c{n + 1}\n" for n in range(100))
    response = ask(Answers([make_zone(tmp_path, text)]), "c0.example.test.", "A", stream=True)
    assert len(sections(response)[2]) == 12


def test_names_are_compressed(answers):
    data = ask(answers, "www.example.test.", "A")
    assert data.count(b"\x07example") == 1


def test_silence_and_refusals_come_from_the_parser(answers):
    assert answers.answer(b"") is None
    assert answers.answer(struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0)) is None
    assert answers.answer(struct.pack("!6H", 1, 0, 0, 0, 0, 0))[3] == codes.FORMERR
    assert answers.rcodes[codes.FORMERR] == 1


def test_answers_are_counted_by_code(answers):
    for name in ("web.example.test.", "none.example.test.", "other."):
        ask(answers, name, "A")
    counted = {rcode: count for rcode, count in enumerate(answers.rcodes) if count}
    assert counted == {codes.NOERROR: 1, codes.NXDOMAIN: 1, codes.REFUSED: 1}


def test_pointers_do_not_form_long_chains(tmp_path):
    # Each step's target ends in the whole of the one before it.
    text = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns.x.\na DNAME a.a\n"
    data = ask(Answers([make_zone(tmp_path, text)]), "x.a.example.test.", "A", stream=True)
    assert len(dns.message.from_wire(data).answer) == 13
