"""What comes by transfer is judged before anything of it is taken (RFC 5936 section 6, RFC 1995 section 4)."""

from __future__ import annotations

import contextlib

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.dns.authoritative.transfer import BadTransfer, Full, Inbound, Same, Steps, ask
from netsuite.dns.wire.name import from_text

NAME = from_text("example.test.")
SOA = "ns. h. {} 2 3 4 5"


def soa(serial):
    return ("example.test.", "SOA", SOA.format(serial))


def told(*records, ident=7, rdclass="IN", question="example.test."):
    query = dns.message.make_query(question, "AXFR", id=ident)
    response = dns.message.make_response(query)
    data = bytearray(response.to_wire())
    data[6:8] = len(records).to_bytes(2, "big")
    for owner, rdtype, text in records:
        rrset = dns.rrset.from_text(owner, 60, rdclass, rdtype, text)
        made = dns.message.Message()
        made.answer.append(rrset)
        data += made.to_wire()[12:]
    return bytes(data)


A = ("www.example.test.", "A", "192.0.2.1")
B = ("mail.example.test.", "A", "192.0.2.2")


def test_a_whole_copy():
    inbound = Inbound(7, NAME, None)
    assert inbound.feed(told(soa(5), A)) is None
    found = inbound.feed(told(B, soa(5)))
    assert isinstance(found, Full)
    assert (found.serial, len(found.records)) == (5, 3)


def test_steps_and_nothing_new():
    steps = Inbound(7, NAME, 4).feed(told(soa(6), soa(4), A, soa(5), B, soa(5), soa(6), A, soa(6)))
    assert isinstance(steps, Steps)
    assert [(step.before, step.after, len(step.removals), len(step.additions)) for step in steps.steps] == [
        (4, 5, 2, 2),
        (5, 6, 1, 2),
    ]
    assert Inbound(7, NAME, 4).feed(told(soa(4))) == Same(4)
    assert isinstance(Inbound(7, NAME, 4).feed(told(soa(6), A, soa(6))), Full)


@pytest.mark.parametrize(
    ("serial", "records", "words"),
    [
        (None, [A, soa(5)], "the first record is not the SOA"),
        (None, [soa(5), A, soa(6), B, soa(5)], "the last SOA is not the first"),
        (None, [soa(5), A, soa(5), B], "records behind the last SOA"),
        (None, [soa(5), ("www.other.test.", "A", "192.0.2.1")], "does not belong into the zone"),
        (None, [soa(5), ("sub.example.test.", "SOA", SOA.format(5))], "a SOA record below"),
        (None, [soa(5), ("www.example.test.", "TYPE251", "\\# 1 00")], "no zone has records of type 251"),
        (4, [soa(6), soa(4), A, soa(4), B, soa(6)], "a step from serial 4 to 4"),
        (4, [soa(6), soa(4), A, soa(3), B, soa(6)], "a step from serial 4 to 3"),
        (4, [soa(6), soa(4), A, soa(5), B, soa(4), soa(5)], "a step from serial 4 after one to 5"),
        (4, [soa(6)], "only that there is a newer version"),
        (None, [], "without records"),
    ],
)
def test_what_breaks_the_rules(serial, records, words):
    with pytest.raises(BadTransfer, match=words):
        Inbound(7, NAME, serial).feed(told(*records))


def test_messages_that_are_no_part_of_it():
    for data, words in (
        (told(soa(5), ident=8), "answers nothing"),
        (ask(7, NAME, None), "answers nothing"),
        (told(soa(5), question="other.test."), "another zone"),
        (told(soa(5), rdclass="CH"), "does not belong"),
        (told(soa(5))[:-3], "cut off"),
        (told(soa(5))[:3] + b"\x05" + told(soa(5))[4:], "REFUSED"),
        (told(soa(5))[:2] + b"\x86" + told(soa(5))[3:], "truncated"),
    ):
        with pytest.raises(BadTransfer, match=words):
            Inbound(7, NAME, None).feed(data)


def test_a_transfer_without_an_end_ends():
    inbound = Inbound(7, NAME, None, most=1000)
    inbound.feed(told(soa(5)))
    with pytest.raises(BadTransfer, match="more than 1000 records"):
        for _ in range(600):
            inbound.feed(told(A, B))


@given(st.binary(max_size=80), st.integers(0, 200))
def test_no_bytes_raise_anything_else(junk, at):
    data = told(soa(5), A, soa(5))
    at %= len(data)
    for message in (b"\0\7" + junk, data[:at] + junk, data[:at] + junk + data[at + len(junk) :]):
        with contextlib.suppress(BadTransfer):
            Inbound(7, NAME, None).feed(message)
