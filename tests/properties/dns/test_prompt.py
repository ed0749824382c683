"""The short way and the careful way say the same: to every question about generated zones, and of every kind."""

from __future__ import annotations

from random import Random

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.spread import Spread
from netsuite.dns.wire.name import from_text
from tests.dnszones import QUERY_TYPES, owners, zone_texts
from tests.properties.dns.test_answers import loaded

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
