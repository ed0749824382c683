"""Signed messages beside dnspython's, both ways: one message, answers of many, and everything that is not true."""

from __future__ import annotations

import struct

import dns.message
import dns.name
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.dns.wire import tsig
from netsuite.dns.wire.name import BadName, from_text
from netsuite.dns.wire.tsig import ALGORITHMS, Key, Seal, Unsigned, Untrue, take

NOW = 1_700_000_000
SECRET = b"0123456789abcdef"


def pair(algorithm="hmac-sha256"):
    theirs = dns.tsig.Key("Key.example.", SECRET, f"{algorithm}.")
    return Key(b"\x03key\x07example\0", from_text(f"{algorithm}."), SECRET), theirs


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW)


def query():
    return dns.message.make_query("www.example.", "A", id=77)


def signed(theirs, at=NOW):
    message = query()
    message.use_tsig(theirs)
    return message.to_wire()


@pytest.mark.parametrize("algorithm", sorted(name for name, _ in ALGORITHMS.values()))
def test_a_signed_query_is_known_and_its_answer_too(algorithm):
    ours, theirs = pair(algorithm)
    data = signed(theirs)
    seal = Seal(ours)
    seal.check_query(data, take(data), NOW)
    asked = dns.message.from_wire(data, keyring=theirs)
    answer = dns.message.make_response(query())
    read = dns.message.from_wire(seal.sign(answer.to_wire(), NOW), keyring=theirs, request_mac=asked.mac)
    assert read.had_tsig


def test_our_query_is_known_and_many_messages_are_checked():
    ours, theirs = pair()
    seal = Seal(ours)
    asked = dns.message.from_wire(seal.sign(query().to_wire(), NOW), keyring=theirs)
    context = None
    for number in range(5):
        answer = dns.message.make_response(query())
        if number in (1, 2):
            data = answer.to_wire()
            context.update(data)
        else:
            answer.use_tsig(theirs)
            answer.request_mac = asked.mac
            data = answer.to_wire(multi=True, tsig_ctx=context)
            context = answer.tsig_ctx
        assert seal.check_answer(data, NOW) is (number not in (1, 2))
        assert seal.pending == {1: 1, 2: 2}.get(number, 0)


def test_many_messages_of_ours_are_known():
    ours, theirs = pair()
    data = signed(theirs)
    seal = Seal(ours)
    seal.check_query(data, take(data), NOW)
    asked = dns.message.from_wire(data, keyring=theirs)
    context = None
    for _ in range(3):
        wire = seal.sign(dns.message.make_response(query()).to_wire(), NOW)
        read = dns.message.from_wire(wire, keyring=theirs, request_mac=asked.mac, multi=True, tsig_ctx=context)
        context = read.tsig_ctx


def test_what_is_not_true():
    ours, theirs = pair()
    data = signed(theirs)

    def judged(data, key=ours, now=NOW):
        with pytest.raises(Untrue) as caught:
            Seal(key).check_query(data, take(data), now)
        return caught.value.error

    changed = data[:13] + b"x" + data[14:]
    assert judged(changed) == tsig.BADSIG
    assert judged(data, Key(ours.name, ours.algorithm, b"another")) == tsig.BADSIG
    assert judged(data, Key(b"\x05other\0", ours.algorithm, SECRET)) == tsig.BADKEY
    assert judged(data, pair("hmac-sha512")[0]) == tsig.BADKEY
    for now in (NOW + 301, NOW - 301):
        assert judged(data, now=now) == tsig.BADTIME
    for now in (NOW + 300, NOW - 300):
        Seal(ours).check_query(data, take(data), now)


def test_a_code_may_be_cut_to_half_and_no_further():
    ours, theirs = pair()
    data = signed(theirs)
    found = take(data)
    for size, fine in ((16, True), (15, False), (0, False)):
        cut = found._replace(mac=found.mac[:size])
        if fine:
            Seal(ours).check_query(data, cut, NOW)
        else:
            with pytest.raises(Untrue) as caught:
                Seal(ours).check_query(data, cut, NOW)
            assert caught.value.error == 0


def test_an_answer_without_a_signature_is_none():
    seal = Seal(pair()[0])
    seal.sign(query().to_wire(), NOW)
    with pytest.raises(Unsigned):
        seal.check_answer(dns.message.make_response(query()).to_wire(), NOW)


def test_too_many_messages_without_a_signature():
    ours, theirs = pair()
    seal = Seal(ours)
    asked = dns.message.from_wire(seal.sign(query().to_wire(), NOW), keyring=theirs)
    first = dns.message.make_response(query())
    first.use_tsig(theirs)
    first.request_mac = asked.mac
    seal.check_answer(first.to_wire(multi=True), NOW)
    bare = dns.message.make_response(query()).to_wire()
    for _ in range(99):
        assert not seal.check_answer(bare, NOW)
    with pytest.raises(Unsigned):
        seal.check_answer(bare, NOW)


def test_the_record_stands_at_the_end_and_once():
    data = signed(pair()[1])
    assert take(query().to_wire()) is None
    found = take(data)
    record = data[found.start :]
    twice = data[:10] + struct.pack("!H", 2) + data[12:] + record
    answered = data[:6] + b"\0\1\0\0\0\0" + data[12:]
    for wrong in (twice, answered, data + b"x", data[:-1]):
        with pytest.raises(BadName):
            take(wrong)


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(tail):
    data = signed(pair()[1])
    for strange in (tail, data[:40] + tail, data + tail):
        try:
            found = take(strange)
            if found is not None:
                Seal(pair()[0]).check_query(strange, found, NOW)
        except (BadName, Untrue):
            pass


def test_a_refusal_is_read_by_others():
    data = signed(pair()[1])
    answer = dns.message.make_response(query())
    read = tsig.refusal(answer.to_wire(), take(data), tsig.BADKEY)
    with pytest.raises(dns.tsig.PeerBadKey):
        dns.message.from_wire(read, keyring=pair()[1])
