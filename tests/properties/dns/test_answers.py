"""Answers from generated zones: always well-formed, never too long, the same to any case of the letters."""

from __future__ import annotations

import tempfile
from pathlib import Path

import dns.flags
import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.assembly import load
from netsuite.dns.authoritative.master import ZoneError
from netsuite.dns.wire.name import from_text
from netsuite.dns.wire.query import parse
from tests.dnszones import QUERY_TYPES, owners, zone_texts


def loaded(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "zone"
        path.write_text(text)
        return load(from_text("example.test."), path)


@settings(max_examples=60, deadline=None)
@given(
    zone_texts(), st.lists(st.tuples(owners(), st.sampled_from(QUERY_TYPES)), min_size=1, max_size=20), st.booleans()
)
def test_every_answer_is_well_formed(text, questions, minimal):
    answers = Answers([loaded(text)], minimal=minimal)
    for owner, rdtype in questions:
        for stream, edns in ((False, -1), (False, 0), (True, 0)):
            query = dns.message.make_query(f"{owner}example.test.", rdtype, use_edns=edns, payload=1232)
            data = answers.answer(query.to_wire(), stream)
            response = dns.message.from_wire(data)
            assert response.question == query.question
            assert response.edns == edns
            assert not response.flags & dns.flags.RA
            if not stream:
                assert len(data) <= (512 if edns < 0 else 1232)
            # The whole is what its records make when dnspython writes it anew.
            assert dns.message.from_wire(response.to_wire(max_size=65535)) == response


@settings(max_examples=40, deadline=None)
@given(zone_texts(), owners(), st.sampled_from(QUERY_TYPES))
def test_case_changes_nothing_but_the_question(text, owner, rdtype):
    answers = Answers([loaded(text)])
    lower = dns.message.make_query(f"{owner}example.test.", rdtype, id=1)
    mixed = dns.message.make_query(f"{owner}eXaMPLE.TesT.".swapcase(), rdtype, id=1)
    one = dns.message.from_wire(answers.answer(lower.to_wire()))
    other = dns.message.from_wire(answers.answer(mixed.to_wire()))
    assert one == other
    assert other.question[0].name.to_text() == mixed.question[0].name.to_text()


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet='a1.*@ \t\n"();\\$\x00é-', max_size=60) | st.text(max_size=60))
def test_any_text_is_a_zone_or_a_zone_error(text):
    try:
        loaded("$TTL 1\n@ SOA a b 1 2 3 4 5\n@ NS a\n" + text)
    except ZoneError as error:
        assert "\n" not in str(error)


@settings(max_examples=60, deadline=None)
@given(zone_texts(), st.lists(st.tuples(owners(), st.sampled_from(QUERY_TYPES)), min_size=1, max_size=20))
def test_who_listens_changes_nothing(text, questions):
    answers = Answers([loaded(text)])
    for owner, rdtype in questions:
        data = dns.message.make_query(f"{owner}example.test.", rdtype, use_edns=0).to_wire()
        steps = []
        query = parse(data, answers.udp_size)
        told = answers.respond(data, query, note=lambda step, *_, steps=steps: steps.append(step))
        assert told == answers.respond(data, query)
        assert steps[0] == "zone"
