"""DNS bytes against dnspython: names, queries and answers, valid and damaged."""

from __future__ import annotations

import dns.exception
import dns.message
import dns.name
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.dns.wire.name import BadName, expand, from_text, skip, to_text
from netsuite.dns.wire.query import Query, Refusal, parse

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=8).filter(lambda ls: sum(len(x) + 1 for x in ls) < 255)
NAMES = LABELS.map(lambda labels: dns.name.Name([*labels, b""]))


@given(NAMES)
def test_text_and_bytes_as_dnspython(name):
    wire = name.to_wire()
    assert from_text(name.to_text()) == wire
    assert dns.name.from_text(to_text(wire)) == name
    assert from_text(to_text(wire)) == wire


@given(st.text(max_size=40))
def test_no_text_is_taken_for_another_name(text):
    try:
        ours = from_text(text)
    except BadName:
        return
    # A lone @ stands for an origin, of which there is none here.
    if text == "@":
        return
    theirs = dns.name.from_text(text) if text.isascii() else None
    assert theirs is not None
    assert ours == theirs.to_wire()


def agree(message, at):
    try:
        name, after = expand(message, at)
    except BadName:
        name = None
    try:
        theirs, used = dns.name.from_wire(message, at)
    except (dns.exception.DNSException, AssertionError):
        theirs = None
    assert (name is None) == (theirs is None)
    if name is not None:
        assert name == theirs.to_wire()
        assert after == at + used
        assert skip(message, at) == after


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_expand_as_dnspython_or_are_refused(message, at):
    agree(message, at)


@st.composite
def pointing(draw):
    """Bytes with many pointers and short labels, the food of decompression."""
    parts = draw(
        st.lists(st.one_of(st.binary(max_size=3), st.integers(0, 60).map(lambda n: bytes([0xC0, n]))), max_size=20)
    )
    return b"".join(parts) + draw(st.sampled_from([b"", b"\0"]))


@given(pointing(), st.integers(0, 40))
def test_pointers_expand_as_dnspython_or_are_refused(message, at):
    agree(message, at)


@st.composite
def queries(draw):
    message = dns.message.make_query(
        draw(NAMES),
        draw(st.integers(1, 65535)),
        draw(st.sampled_from([1, 3, 255])),
        use_edns=draw(st.sampled_from([-1, 0, 1, 9])),
        want_dnssec=draw(st.booleans()),
        payload=draw(st.integers(0, 65535)),
        id=draw(st.integers(0, 65535)),
    )
    message.flags = draw(st.integers(0, 0x7FF)) & 0x07BF
    return message


@given(queries())
def test_queries_are_read_as_they_were_written(message):
    found = parse(message.to_wire())
    question = message.question[0]
    if message.edns > 0:
        assert isinstance(found, Refusal)
        assert found.rcode == 16
        answer = dns.message.from_wire(found.response)
        assert (answer.rcode(), answer.edns, answer.question) == (16, 0, message.question)
        return
    assert isinstance(found, Query)
    assert found.name == question.name.to_wire().lower()
    assert (found.type, found.rdclass) == (question.rdtype, question.rdclass)
    assert found.edns == (message.edns == 0)
    assert found.dnssec == bool(message.edns == 0 and message.ednsflags & 0x8000)
    assert found.size == (max(512, message.payload) if message.edns == 0 else 512)


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=80), queries().map(lambda m: m.to_wire())), st.data())
def test_damaged_queries_never_raise_and_get_a_readable_answer(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        if damaged:
            damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    if draw.draw(st.booleans()):
        del damaged[draw.draw(st.integers(0, len(damaged))) :]
    found = parse(bytes(damaged))
    if isinstance(found, Refusal):
        answer = dns.message.from_wire(found.response)
        assert answer.id == int.from_bytes(damaged[:2], "big")
        assert answer.rcode() == found.rcode
    elif found is None:
        assert len(damaged) < 12 or damaged[2] & 0x80
