"""Queries understood or refused: one table of bytes and the response code that each gets."""

from __future__ import annotations

import struct

import pytest

from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import opt
from netsuite.dns.wire.query import Query, Refusal, error, parse

NAME = b"\x07eXample\x04test\0"
QUESTION = NAME + b"\0\x01\0\x01"
OPT = b"\0\0\x29\x10\x00\0\0\0\0\0\0"


def query(flags=0x0100, counts=(1, 0, 0, 0), body=QUESTION):
    return struct.pack("!6H", 0x1234, flags, *counts) + body


def test_a_plain_query():
    assert parse(query()) == Query(QUESTION, NAME.lower(), 1, 1, 0x0100, 512, False, False)


def test_edns_is_understood():
    found = parse(query(counts=(1, 0, 0, 1), body=QUESTION + OPT))
    assert (found.size, found.edns, found.dnssec) == (4096, True, False)
    do = b"\0\0\x29\x00\x64\0\0\x80\0\0\0"
    found = parse(query(counts=(1, 0, 0, 1), body=QUESTION + do))
    # A size below 512 means 512 (RFC 6891 section 6.2.3).
    assert (found.size, found.edns, found.dnssec) == (512, True, True)


def test_unknown_options_are_skipped():
    record = OPT[:-2] + b"\0\x09" + b"\0\x0a\0\0" + b"\xff\xfe\0\x01x"
    assert parse(query(counts=(1, 0, 0, 1), body=QUESTION + record)).edns


def test_other_records_beside_the_question_are_skipped():
    record = NAME + b"\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04"
    found = parse(query(counts=(1, 1, 0, 1), body=QUESTION + record + OPT))
    assert found.edns


@pytest.mark.parametrize("data", [b"", b"x", query()[:11], query(flags=0x8100)])
def test_silence(data):
    assert parse(data) is None


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (query()[:12], codes.FORMERR),
        (query(counts=(0, 0, 0, 0), body=b""), codes.FORMERR),
        (query(counts=(2, 0, 0, 0), body=QUESTION * 2), codes.FORMERR),
        (query(body=QUESTION[:-1]), codes.FORMERR),
        (query(body=QUESTION + b"x"), codes.FORMERR),
        (query(body=b"\xc0\x0c\0\x01\0\x01"), codes.FORMERR),
        (query(body=b"\x40" + QUESTION), codes.FORMERR),
        (query(body=(b"\x3f" + b"x" * 63) * 4 + QUESTION), codes.FORMERR),
        (query(counts=(1, 0, 0, 1)), codes.FORMERR),
        (query(counts=(1, 0, 0, 2), body=QUESTION + OPT * 2), codes.FORMERR),
        (query(counts=(1, 1, 0, 0), body=QUESTION + OPT), codes.FORMERR),
        (query(counts=(1, 0, 1, 0), body=QUESTION + OPT), codes.FORMERR),
        (query(counts=(1, 0, 0, 1), body=QUESTION + OPT + b"x"), codes.FORMERR),
        (query(counts=(1, 0, 0, 1), body=QUESTION + OPT[:-1]), codes.FORMERR),
        (query(counts=(1, 0, 0, 1), body=QUESTION + b"\x01a" + OPT), codes.FORMERR),
        (query(counts=(1, 0, 0, 1), body=QUESTION + OPT[:-2] + b"\0\x03\0\x0a\0"), codes.FORMERR),
        (query(counts=(1, 0, 0, 1), body=QUESTION + OPT[:-2] + b"\0\x04\0\x0a\0\x01"), codes.FORMERR),
        (query(counts=(1, 0, 0, 1), body=QUESTION + OPT[:6] + b"\x01" + OPT[7:]), codes.BADVERS),
        (query(flags=4 << 11), codes.NOTIMP),
        (query(flags=5 << 11), codes.NOTIMP),
        (query(flags=15 << 11, counts=(9, 9, 9, 9), body=b""), codes.NOTIMP),
    ],
)
def test_refusals(data, rcode):
    refusal = parse(data)
    assert type(refusal) is Refusal
    assert refusal.rcode == rcode
    response = refusal.response
    assert response[:2] == data[:2]
    assert response[2] & 0x80
    assert response[2] & 0x79 == data[2] & 0x79
    assert response[3] & 15 == rcode & 15


def test_badvers_says_our_version_and_repeats_the_question():
    data = query(counts=(1, 0, 0, 1), body=QUESTION + OPT[:6] + b"\x09" + OPT[7:])
    response = parse(data, 1400).response
    assert response[12:] == QUESTION + b"\0\0\x29\x05\x78\x01\0\0\0\0\0"
    assert response[4:12] == b"\0\1\0\0\0\0\0\1"


def test_errors_keep_id_opcode_rd_and_cd():
    data = query(flags=0x2110)
    assert error(data, codes.SERVFAIL)[:4] == b"\x12\x34\xa1\x12"


def test_opt():
    assert opt(1232) == b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    assert opt(1232, dnssec=True)[7] == 0x80
