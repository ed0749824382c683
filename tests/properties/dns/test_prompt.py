"""The short way and the careful way say the same: to every question about generated zones, and of every kind."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from random import Random

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.server import AuthoritativeServer
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.authoritative.spread import Spread
from netsuite.dns.cookies import Cookies
from netsuite.dns.wire.edns import option
from netsuite.dns.wire.name import from_text
from netsuite.sansio.connection import Channel
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network
from tests.dnszones import QUERY_TYPES, owners, zone_texts
from tests.properties.dns.test_answers import loaded
from tests.properties.dns.test_signing import CHAINS, NOW, signed, signing_with

WHOLE = Answers(
    [loaded("$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\na A 192.0.2.2\nb.c A 192.0.2.3\n")]
)


def told(data):
    """A response's meaning: all but how names are compressed."""
    message = dns.message.from_wire(data)
    return message.id, message.flags, message.edns, message.payload, message.question, message.sections


def compare(answers, query, *, stream):
    prompt = answers.prompts[stream].answers([query[2:]])[0]
    if prompt is not None:
        careful = answers.answer(query, stream)
        assert told(query[:2] + prompt) == told(careful)
    return prompt


@settings(max_examples=150, deadline=None)
@given(
    zone_texts(),
    st.lists(
        st.tuples(owners(), st.sampled_from((*QUERY_TYPES, "ANY", "AXFR")), st.booleans(), st.booleans()), max_size=30
    ),
    st.sampled_from((-1, 0, 1)),
    st.booleans(),
)
def test_the_short_way_agrees_with_the_careful_way(text, questions, edns, stream):
    answers = Answers()
    answers.serve(loaded(text))
    for owner, rdtype, recursion, upper in questions:
        name = f"{owner}example.test."
        query = dns.message.make_query(name.upper() if upper else name, rdtype, use_edns=edns, payload=1232)
        query.flags = dns.flags.RD if recursion else 0
        compare(answers, query.to_wire(), stream=stream)


def signed_answers(chain, zone):
    signing = signing_with(chain)
    zone = signed(signing, zone)
    zone.denier = signing.denier(NOW)
    answers = Answers()
    answers.serve(zone)
    return answers


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CHAINS),
    zone_texts(),
    st.lists(st.tuples(owners(), st.sampled_from((*QUERY_TYPES, "NSEC", "RRSIG")), st.booleans()), max_size=30),
    st.booleans(),
)
def test_signed_zones_are_answered_alike(chain, text, questions, stream):
    answers = signed_answers(chain, loaded(text))
    for owner, rdtype, dnssec in questions:
        query = dns.message.make_query(f"{owner}example.test.", rdtype, use_edns=0, payload=1232, want_dnssec=dnssec)
        compare(answers, query.to_wire(), stream=stream)


def test_what_is_signed_is_answered_the_short_way():
    text = (
        "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\na A 192.0.2.2\na MX 10 a\nb.c A 192.0.2.3\n"
        "*.w A 192.0.2.4\n*.v CNAME A\nl CNAME A\ne CNAME elsewhere.test.\n"
        "d NS ns.d\nd DS 1 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\nns.d A 192.0.2.5\n"
        "i NS ns.d\ni NS A\n"
    )
    for chain in ("nsec", "nsec3", "nsec3-opt-out"):
        answers = signed_answers(chain, loaded(text))
        for name in ("a", "ns", "c", "b.c", "x.w", "x.v", "l", "e", "d", "x.d", "i", "x.i", "x", "x.y.z", "zz"):
            for rdtype in ("A", "AAAA", "MX"):
                for dnssec in (True, False):
                    query = dns.message.make_query(
                        f"{name}.example.test.", rdtype, use_edns=0, payload=1232, want_dnssec=dnssec
                    )
                    prompt = compare(answers, query.to_wire(), stream=False)
                    assert prompt is not None or (name in ("l", "x.v") and rdtype == "AAAA"), (chain, name, rdtype)


@settings(max_examples=60, deadline=None)
@given(zone_texts(), st.lists(st.tuples(owners(), st.sampled_from(QUERY_TYPES)), max_size=20))
def test_several_zones_are_told_apart(text, questions):
    answers = Answers()
    answers.serve(loaded(text))
    child = Assembly(from_text("a.example.test."))
    for rdtype, rdata in ((6, from_text("ns.") + from_text("host.") + bytes(20)), (2, from_text("ns."))):
        child.add(child.name, rdtype, 5, rdata)
    answers.serve(child.zone())
    for owner, rdtype in questions:
        for suffix in ("example.test.", "a.example.test.", "other."):
            compare(answers, dns.message.make_query(owner + suffix, rdtype).to_wire(), stream=False)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from((b"", b"\0\0\1\0\1", b"\0\1\0\1")))
def test_no_bytes_get_a_prompt_answer_that_they_should_not(data, tail):
    plain = dns.message.make_query("a.example.test.", "A").to_wire()
    for query in (
        data,
        plain[:12] + data + tail,
        plain[:12] + b"\1a" + data + plain[14:],
        plain + data,
        plain[: len(data)],
    ):
        prompt = WHOLE.prompts[0].answers([query[2:]])[0]
        if prompt is not None:
            assert query[:2] + prompt == WHOLE.answer(query) or told(query[:2] + prompt) == told(WHOLE.answer(query))


def test_what_is_plain_is_answered_the_short_way():
    for name, rdtype in (("a", "A"), ("a", "AAAA"), ("c", "A"), ("nothing", "A"), ("x.y.z", "A"), ("b.c", "A")):
        for edns in (-1, 0):
            query = dns.message.make_query(f"{name}.example.test.", rdtype, use_edns=edns, payload=1232)
            assert compare(WHOLE, query.to_wire(), stream=False) is not None
            assert compare(WHOLE, query.to_wire(), stream=True) is not None


@functools.cache
def server():
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    commons = make_commons(Path(folder), Network().host("192.0.2.1"))
    settings = DnsSettings.model_validate(
        {"listen": ["192.0.2.1:53"], "nsid": "one", "rate_limit": 0}, context={"base": Path(folder)}
    )
    made = AuthoritativeServer(
        settings, commons, "192.0.2.1:53", Courtesy(Cookies(bytes(16)), nsid=b"one", idle=20), {}
    )
    made.common.replace(next(iter(WHOLE.zones.values())))
    return made


OPTIONS = st.lists(
    st.tuples(
        st.sampled_from((0, 3, 8, 10, 11, 12, 15, 19, 65001)),
        st.sampled_from((b"", b"12345678", b"12345678" * 3, bytes(40))) | st.binary(max_size=30),
    ),
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(("a", "b.c", "c", "nothing", "x.y", "")),
    st.sampled_from(("A", "AAAA", "MX", "NS", "ANY")),
    OPTIONS,
    st.sampled_from((0, 512, 600, 1232, 4096)),
    st.booleans(),
    st.sampled_from((b"", b"\0", b"\0\3\0\1")),
)
def test_queries_with_options_are_answered_alike(name, rdtype, options, payload, dnssec, junk):
    query = dns.message.make_query(f"{name}.example.test.".lstrip("."), rdtype, use_edns=0, want_dnssec=dnssec)
    query.use_edns(0, query.ednsflags, payload)
    plain = query.to_wire()
    said = b"".join(option(code, data) for code, data in options) + junk
    data = plain[:-2] + len(said).to_bytes(2, "big") + said
    client = ("192.0.2.9", 5300)
    before = sum(server().rcodes().values())
    careful = server().answer(data, client, False)
    assert server().answer_datagram(data, client, ("192.0.2.1", 53), 0.0) == careful or not options
    assert sum(server().rcodes().values()) == before + 2
    for tls in (None, object()):
        channel = Channel(local=("192.0.2.1", 853), peer=client, tls=tls)
        at_once = server().factory.shortcut(len(data).to_bytes(2, "big") + data, channel)
        if at_once is not None:
            careful = server().answer(data, client, True, private=tls is not None)
            assert at_once == len(careful).to_bytes(2, "big") + careful


def test_a_cookie_and_the_identifier_are_given_the_short_way():
    query = dns.message.make_query("a.example.test.", "A", use_edns=0).to_wire()
    said = option(10, b"12345678") + option(3) + option(12, bytes(20))
    data = query[:-2] + len(said).to_bytes(2, "big") + said
    channel = Channel(local=("192.0.2.1", 853), peer=("192.0.2.9", 5300), tls=object())
    at_once = server().factory.shortcut(len(data).to_bytes(2, "big") + data, channel)
    assert len(at_once) == 2 + 468
    assert [each.otype for each in dns.message.from_wire(at_once[2:]).options] == [10, 3, 12]


def test_what_lies_above_a_withdrawn_zone_is_told_apart():
    answers = Answers()
    answers.serve(next(iter(WHOLE.zones.values())))
    below = dns.message.make_query("x.a.example.test.", "A").to_wire()
    assert answers.prompts[0].answers([below[2:]]) != [None]
    answers.withdraw(from_text("a.example.test."))
    assert answers.prompts[0].answers([below[2:]]) == [None]
    assert dns.message.from_wire(answers.answer(below)).rcode() == dns.rcode.SERVFAIL


def test_answers_are_counted_by_code():
    answers = Answers()
    answers.serve(next(iter(WHOLE.zones.values())))
    queries = [
        dns.message.make_query(f"{name}.example.test.", "A").to_wire()[2:] for name in ("a", "b.c", "c", "d", "e.c")
    ]
    assert None not in answers.prompts[0].answers([*queries, *queries])
    assert (answers.rcodes[0], answers.rcodes[3]) == (6, 4)
    assert answers.prompts[0].answers([b"", b"\0" * 9, b"\xff" * 40, b"\0" * 400]) == [None] * 4
    assert sum(answers.rcodes) == 10


ALIASES = (
    "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n@ NS ns.far.test.\n@ MX 5 mail\nns A 192.0.2.1\nmail A 192.0.2.2\n"
    "one CNAME two\ntwo CNAME THREE\nthree CNAME four\nfour A 192.0.2.4\nfour MX 1 mail\n"
    "empty CNAME x.y\nz.x.y A 192.0.2.5\n"
    "apex CNAME @\nlost CNAME none\nloop CNAME loop2\nloop2 CNAME loop\nfar CNAME www.far.test.\n"
    "old DNAME new\na.new A 192.0.2.6\nb.new CNAME one\nout DNAME far.test.\nagain DNAME old\n"
) + "".join(f"c{n} CNAME c{n + 1}\n" for n in range(12))


@pytest.mark.parametrize("chain", ["", "nsec", "nsec3"])
def test_chains_and_what_zones_say_of_themselves_are_given_the_short_way(tmp_path, chain):
    answers = signed_answers(chain, loaded(ALIASES)) if chain else Answers([loaded(ALIASES)])
    short = {"one", "two", "three", "far", "a.old", "A.oLd", "b.old", "x.out", ""}
    careful = {"loop", "c0", "a.again", "old"}
    gone = {"lost", "empty", "none.old", "apex"}
    for name in sorted({*short, *careful, *gone}):
        for rdtype in ("A", "MX", "NS", "SOA", "CNAME"):
            for edns in (-1, 0):
                query = dns.message.make_query(
                    f"{name}.example.test.".lstrip("."), rdtype, use_edns=edns, payload=1232, want_dnssec=edns == 0
                ).to_wire()
                first, again = compare(answers, query, stream=False), compare(answers, query, stream=False)
                assert first == again
                if name in short and rdtype == ("A" if name else "NS"):
                    assert first is not None, (name, rdtype)
                if name in gone and rdtype == "A" and not (chain and edns == 0):
                    assert first is not None, (name, rdtype)


def test_referrals_are_made_the_short_way(tmp_path):
    text = (
        "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
        "d NS ns1.d\nd NS NS2.d\nd NS ns1.e\nd NS ns.host.test.\nd NS ns2.host.test.\nd NS .\nd NS d\nd A 192.0.2.9\n"
        "ns1.d A 192.0.2.2\nns1.d AAAA 2001:db8::1\nns1.d TXT x\nns2.d A 192.0.2.3\nns1.e A 192.0.2.4\nx.d NS ns.x.d\n"
    )
    answers = Answers()
    answers.serve(loaded(text))
    for name in ("d", "a.d", "a.b.d", "ns1.d", "x.d", "y.x.d"):
        for edns in (-1, 0):
            query = dns.message.make_query(f"{name}.example.test.", "A", use_edns=edns, payload=1232).to_wire()
            first, again = compare(answers, query, stream=False), compare(answers, query, stream=False)
            assert first is not None
            assert first == again
    assert compare(answers, dns.message.make_query("d.example.test.", "DS").to_wire(), stream=False) is None


@settings(max_examples=60, deadline=None)
@given(zone_texts(), st.lists(st.tuples(owners(), st.sampled_from(("A", "AAAA"))), min_size=1, max_size=20))
def test_turned_answers_have_the_same_records(text, questions):
    turned, still = Answers(spread=Spread("random", {}, Random(1))), Answers()
    turned.serve(loaded(text))
    still.serve(loaded(text))
    for owner, rdtype in questions:
        query = dns.message.make_query(f"{owner}example.test.", rdtype).to_wire()
        prompt = compare(turned, query, stream=False)
        assert (prompt is None) == (still.prompts[0].answers([query[2:]])[0] is None)
        assert told(turned.answer(query)) == told(still.answer(query))
