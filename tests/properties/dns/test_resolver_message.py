"""The resolver's codec and its two doors: no bytes raise, what is written parses back."""

from __future__ import annotations

import random

import dns.flags
import dns.message
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netsuite.common.access import Rule
from netsuite.common.commons import Runtime
from netsuite.dns.resolver.cache import Cache
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.iterator import Done, Resolution, Surroundings, Trouble
from netsuite.dns.resolver.local import LocalNames
from netsuite.dns.resolver.message import MalformedMessageError, RRset, decode, encode, query
from netsuite.dns.resolver.recursion import Recursion
from netsuite.dns.resolver.scrutiny import judge
from netsuite.dns.resolver.server import ResolverServer
from netsuite.dns.resolver.upstream import Upstream
from netsuite.dns.wire.codes import QR
from netsuite.dns.wire.name import from_text

labels = st.lists(st.binary(min_size=1, max_size=20), max_size=5)
names = labels.map(lambda parts: b"".join(bytes([len(part)]) + part for part in parts) + b"\0")
folded = names.map(bytes.lower)


@st.composite
def rrsets(draw):
    # names are written once where they differ in case only, so here they do not
    rdtype = draw(st.sampled_from([1, 2, 5, 6, 15, 16, 28, 33, 39, 65280]))
    data = {
        1: st.binary(min_size=4, max_size=4),
        28: st.binary(min_size=16, max_size=16),
        6: st.builds(lambda a, b, tail: a + b + tail, folded, folded, st.binary(min_size=20, max_size=20)),
        15: st.builds(lambda head, name: head + name, st.binary(min_size=2, max_size=2), folded),
        16: st.binary(min_size=1, max_size=40).map(lambda text: bytes([len(text)]) + text),
        33: st.builds(lambda head, name: head + name, st.binary(min_size=6, max_size=6), folded),
        65280: st.binary(max_size=40),
    }.get(rdtype, folded)
    rdatas = draw(st.lists(data, min_size=1, max_size=3, unique=True))
    return RRset(draw(folded), rdtype, draw(st.integers(0, 2**31 - 1)), tuple(rdatas))


def distinct(found):
    return list({(rrset.name, rrset.type): rrset for rrset in found}.values())


sections = st.lists(rrsets(), max_size=4).map(distinct)


@given(folded, sections, sections, st.booleans())
def test_what_is_written_parses_back(name, answer, authority, edns):
    question = name + b"\0\1\0\1"
    holes = encode(b"\x12\x34", QR, question, answer, authority, limit=65535, payload=1232 if edns else 0)
    reply = decode(holes.data)
    assert (reply.id, reply.question.name) == (0x1234, name)
    assert sorted(reply.answer) == sorted(answer)
    assert sorted(reply.authority) == sorted(authority)
    assert reply.edns == ((1232, 0, False) if edns else None)
    # the holes are where the TTLs are
    ttls = [rrset.ttl for rrset in (*answer, *authority) for _ in rrset.rdatas]
    assert [int.from_bytes(holes.data[at : at + 4], "big") for at in holes.ttls] == ttls


@given(names, sections, st.integers(512, 1232))
def test_no_answer_is_longer_than_allowed(name, answer, limit):
    holes = encode(b"\0\0", QR, name + b"\0\1\0\1", answer, (), limit=limit, payload=1232)
    assert len(holes.data) <= limit
    cut = dns.message.from_wire(holes.data, ignore_trailing=False).flags & dns.flags.TC
    assert bool(cut) is (not holes.ttls and bool(answer))


@given(names, sections)
def test_dnspython_reads_the_same(name, answer):
    known = [rrset for rrset in answer if rrset.type != 65280]
    holes = encode(b"\0\0", QR, name + b"\0\1\0\1", known, (), limit=65535)
    message = dns.message.from_wire(holes.data, one_rr_per_rrset=True)
    got = sorted((r.name.to_wire().lower(), int(r.rdtype), r.ttl, r[0].to_wire()) for r in message.answer)
    want = sorted((rrset.name, rrset.type, rrset.ttl, rdata) for rrset in known for rdata in rrset.rdatas)
    assert [each[:3] for each in got] == [each[:3] for each in want]
    assert sorted(data.lower() for *_, data in got) == sorted(data.lower() for *_, data in want)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data):
    try:
        reply = decode(data)
    except MalformedMessageError:
        return
    judge(reply, from_text("test"), from_text("www.test"), 1)


@given(names, sections, st.data())
def test_a_damaged_message_raises_nothing_else(name, answer, data):
    message = bytearray(encode(b"\0\0", QR, name + b"\0\1\0\1", answer, answer, limit=65535, payload=1232).data)
    for _ in range(data.draw(st.integers(1, 5))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    for damaged in (bytes(message), bytes(message[:cut])):
        try:
            reply = decode(damaged)
        except MalformedMessageError:
            continue
        judge(reply, b"\0", name.lower(), 1)


class Nowhere:
    """A reactor that loses all datagrams."""

    def listenUDP(self, port, protocol, interface, largest):
        return self

    def write(self, packet, server):
        pass

    def stopListening(self):
        pass


kinds = st.integers(0, 65535)
asked = st.builds(lambda name, kind, tail: query(1, name, kind, flags=256) + tail, names, kinds, st.binary(max_size=3))


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=100), asked), st.booleans())
def test_any_query_is_answered_in_form_or_not_at_all(data, stream):
    clock = Clock()
    runtime = Runtime(Nowhere(), clock, random.Random(1))
    around = Surroundings(Cache(1 << 20), Infrastructure(), {from_text("a.root"): ("192.0.2.1",)}, runtime.rng)
    upstream = Upstream(runtime, around.infrastructure, lambda *_: Deferred(lambda _: None))
    server = ResolverServer(clock, Recursion(clock, around, upstream, 10), LocalNames(), Rule(["any"]))
    came = server.answer(data, ("192.0.2.9", 1), stream)
    results = [came]
    if isinstance(came, Deferred):
        results = []
        came.addBoth(results.append)
        while not results:
            clock.advance(0.5)
    if isinstance(results[0], bytes):
        assert results[0][:2] == data[:2]
        assert results[0][2] & 0x80
        dns.message.from_wire(results[0])


said = st.one_of(st.sampled_from(Trouble), st.tuples(sections, sections, sections, st.integers(0, 6)))


@given(st.lists(said, max_size=40), st.randoms())
def test_whatever_servers_say_a_resolution_ends_within_its_budget(outcomes, rng):
    around = Surroundings(Cache(1 << 20), Infrastructure(), {from_text("a.root"): ("192.0.2.1",)}, rng)
    resolution = Resolution(from_text("a.b.example.test"), 1, around)
    now = 0.0
    (effect,) = resolution.start(now)
    while not isinstance(effect, Done):
        now += 0.01
        outcome = outcomes.pop() if outcomes else Trouble.TIMEOUT
        if not isinstance(outcome, Trouble):
            answer, authority, additional, rcode = outcome
            data = encode(bytes(2), QR, effect.name + b"\0\1\0\1", answer, authority, limit=65535).data
            outcome = decode(data)._replace(rcode=rcode, additional=tuple(additional))
        (effect,) = resolution.receive(outcome, now)
    assert resolution.queries <= around.budget.queries
