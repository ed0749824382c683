"""Clients' questions from bytes to bytes; name servers are a function in the asking side's place of the reactor."""

from __future__ import annotations

import random

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netsuite.common.access import Rule
from netsuite.common.commons import Runtime
from netsuite.dns.resolver.cache import Cache, Delegation, Trust
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.iterator import Surroundings
from netsuite.dns.resolver.local import LocalNames
from netsuite.dns.resolver.recursion import Recursion
from netsuite.dns.resolver.server import ResolverServer, ServerLimits
from netsuite.dns.resolver.upstream import Upstream
from netsuite.dns.wire.name import from_text
from tests.unit.dns.resolver.script import rrset

HERE = ("127.0.0.1", 53)


class Reactor:
    """Enough of a reactor for the asking side: packets leave and nothing comes back until a test says so."""

    def __init__(self, clock):
        self.clock = clock
        self.asked = []

    def listenUDP(self, port, protocol, interface, largest):
        self.protocol = protocol
        return self

    def write(self, packet, server):
        self.asked.append((packet, server, self.protocol))

    def stopListening(self):
        pass


class World:
    def __init__(self, allow=("loopback",), **limits):
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.reactor = Reactor(self.clock)
        runtime = Runtime(self.reactor, self.clock, random.Random(1))
        root = from_text(".")
        self.cache = Cache(1 << 20)
        known = Infrastructure()
        around = Surroundings(
            self.cache, known, {}, runtime.rng, {root: Delegation(root, fixed=[("192.0.2.53", 53)])}, minimise=False
        )
        upstream = Upstream(runtime, known, lambda *_: Deferred(lambda _: None))
        self.recursion = Recursion(self.clock, around, upstream, 1000)
        self.server = ResolverServer(self.clock, self.recursion, LocalNames(), Rule(allow), ServerLimits(**limits))

    def learn(self, text):
        now = self.clock.seconds()
        self.cache.store(self.cache.positive(rrset(text), now, Trust.AUTHORITATIVE), now)

    def ask(self, query, peer="127.0.0.1"):
        """Over UDP: through the memo, like a port."""
        data = query if isinstance(query, bytes) else query.to_wire()
        found = self.server.memo.find(data)
        if found is not None:
            return found
        return self.server.answer_datagram(data, (peer, 4000), HERE, self.clock.seconds())

    def told(self, query, **peer):
        return dns.message.from_wire(self.ask(query, **peer))

    def reply(self, *texts, rcode=0):
        packet, server, protocol = self.reactor.asked.pop(0)
        response = dns.message.make_response(dns.message.from_wire(packet))
        response.flags |= dns.flags.AA
        response.set_rcode(rcode)
        for text in texts:
            name, ttl, rdtype, data = text.split(None, 3)
            response.answer.append(dns.rrset.from_text(name, int(ttl), "IN", rdtype, data))
        protocol.datagramReceived(response.to_wire(), server)


def question(name="www.example.test", rdtype="A", **options):
    return dns.message.make_query(name, rdtype, **options)


def came(waiting):
    results = []
    waiting.addBoth(results.append)
    return results


def test_what_is_known_is_answered_at_once():
    world = World()
    world.learn("www.example.test. 300 A 192.0.2.80")
    query = question("WWW.example.TEST")
    answer = world.told(query)
    assert answer.id == query.id
    assert dns.flags.to_text(answer.flags) == "QR RD RA"
    assert str(answer.question[0].name) == "WWW.example.TEST."
    assert answer.answer[0].to_text() == "WWW.example.TEST. 300 IN A 192.0.2.80"


def test_what_is_not_known_waits_and_is_shared():
    world = World()
    results = [came(world.ask(question())) for _ in range(5)]
    assert (world.server.waiting, len(world.reactor.asked)) == (5, 1)
    world.reply("www.example.test. 300 A 192.0.2.80")
    answers = [dns.message.from_wire(answer) for (answer,) in results]
    assert {answer.answer[0][0].address for answer in answers} == {"192.0.2.80"}
    assert len({answer.id for answer in answers}) == 5
    assert world.server.waiting == 0


def test_lifetimes_count_down_whichever_way_an_answer_takes():
    world = World()
    world.learn("www.example.test. 10 A 192.0.2.80")
    query = question()
    seen = []
    for _ in range(40):
        world.clock.advance(0.25)
        answer = world.ask(query)
        if isinstance(answer, Deferred):
            break
        seen.append((world.clock.seconds() - 1000.0, dns.message.from_wire(answer).answer[0].ttl))
    # to the second, never for longer than it holds
    assert all(abs(10 - elapsed - ttl) <= 1.3 for elapsed, ttl in seen)
    assert seen[-1][0] < 10.0
    assert len(seen) > 35


def test_the_memo_is_empty_a_second_later_and_the_timer_rests():
    world = World()
    world.learn("www.example.test. 300 A 192.0.2.80")
    query = question()
    for _ in range(3):
        world.ask(query)
    assert len(world.server.memo.entries) == 1
    assert sum(world.server.memo.tally) == 1
    world.clock.advance(1.0)
    assert not world.server.memo.entries
    assert not world.clock.getDelayedCalls()


def test_an_answer_about_to_expire_does_not_enter_the_memo():
    world = World()
    world.learn("www.example.test. 2 A 192.0.2.80")
    world.clock.advance(0.5)
    for _ in range(3):
        world.ask(question())
    assert not world.server.memo.entries


def test_queries_with_options_are_answered_alone():
    world = World()
    world.learn("www.example.test. 300 A 192.0.2.80")
    for _ in range(3):
        world.ask(question(use_edns=0, options=[dns.edns.GenericOption(10, b"12345678")]))
    assert not world.server.memo.entries


def test_only_those_permitted_are_answered():
    world = World(allow=("192.0.2.0/24",))
    world.learn("www.example.test. 300 A 192.0.2.80")
    query = question(use_edns=0)
    assert world.told(query, peer="192.0.2.9").rcode() == 0
    refused = world.told(query, peer="203.0.113.1")
    assert refused.rcode() == dns.rcode.REFUSED
    assert refused.options[0].code == 18
    assert not world.server.memo_for_loopback
    assert world.server.refused == 1


def test_without_rd_only_the_cache_is_asked():
    world = World()
    query = question()
    query.flags &= ~dns.flags.RD
    refused = world.told(query)
    assert (refused.rcode(), dns.flags.to_text(refused.flags)) == (dns.rcode.REFUSED, "QR RA")
    assert not world.reactor.asked
    world.learn("www.example.test. 300 A 192.0.2.80")
    assert world.told(query).answer


def test_nothing_is_called_secure_and_cd_is_repeated():
    world = World()
    world.learn("www.example.test. 300 A 192.0.2.80")
    query = question(want_dnssec=True)
    query.flags |= dns.flags.AD | dns.flags.CD
    answer = world.told(query)
    assert dns.flags.to_text(answer.flags) == "QR RD RA CD"
    assert answer.ednsflags & dns.flags.DO


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode"),
    [("example.test", "AXFR", "NOTIMP"), ("example.test", "IXFR", "NOTIMP"), ("example.test", "OPT", "NOTIMP")],
)
def test_what_is_no_question_for_a_resolver(name, rdtype, rcode):
    query = question()
    query.question[0].rdtype = dns.rdatatype.from_text(rdtype)
    assert dns.rcode.to_text(World().told(query).rcode()) == rcode


def test_other_classes_opcodes_and_versions():
    assert World().told(question("version.bind", "TXT", rdclass="CH")).rcode() == dns.rcode.REFUSED
    update = question()
    update.set_opcode(5)
    assert World().told(update.to_wire()).rcode() == dns.rcode.NOTIMP
    assert World().told(question(use_edns=1)).rcode() == dns.rcode.BADVERS


def test_rubbish():
    world = World()
    for data in (b"", b"\0" * 11, question().to_wire()[:2] + b"\x81\x80" + question().to_wire()[4:]):
        assert world.ask(data) is None
    assert world.ask(question().to_wire()[:-1])[3] & 15 == dns.rcode.FORMERR


def test_an_answer_that_is_too_large_is_cut_off_over_udp_only():
    world = World()
    world.learn("big.example.test. 300 TXT " + " | ".join(f'"{n:0200}"' for n in range(5)))
    for edns, size in ((-1, 512), (0, 1232)):
        query = question("big.example.test", "TXT", use_edns=edns, payload=size if edns == 0 else None)
        answer = world.told(query)
        assert bool(answer.flags & dns.flags.TC) is (edns < 0)
        assert len(world.ask(query)) <= size
        whole = dns.message.from_wire(world.server.answer(query.to_wire(), HERE, True))
        assert len(whole.answer[0]) == 5
        assert not whole.flags & dns.flags.TC


def test_a_failure_says_why():
    world = World()
    results = came(world.ask(question(use_edns=0)))
    world.reply(rcode=5)
    answer = dns.message.from_wire(results[0])
    assert answer.rcode() == dns.rcode.SERVFAIL
    assert (int(answer.options[0].code), answer.options[0].text) == (22, "no server of . gave an answer")
    assert dns.message.from_wire(world.ask(question())).rcode() == dns.rcode.SERVFAIL
    assert not world.reactor.asked


def test_clients_may_only_wait_in_bounds():
    world = World(allow=("any",), clients=5, per_client=3)
    for number in range(4):
        world.ask(question(f"a{number}.test"), peer="192.0.2.1")
    assert (world.server.waiting, world.server.dropped) == (3, 1)
    for number in range(4):
        world.ask(question(f"b{number}.test"), peer="192.0.2.2")
    assert (world.server.waiting, world.server.dropped) == (5, 3)
    # a stream is told, since nobody can forge its address
    over_tcp = world.server.answer(question("c.test").to_wire(), ("192.0.2.1", 9), True)
    assert dns.message.from_wire(over_tcp).rcode() == dns.rcode.SERVFAIL
    while world.reactor.asked:
        world.reply(rcode=5)
    assert world.server.waiting == 0
    assert isinstance(world.ask(question("d.test"), peer="192.0.2.1"), Deferred)


def test_late_answers_are_not_hoarded_for_one_client():
    world = World()
    results = [came(world.ask(question(use_edns=-1))) for _ in range(20)]
    # a server slow enough for the client to have given up, but answering in the end
    for _ in range(8):
        world.clock.advance(0.39)
    assert not any(results)
    world.reactor.asked = world.reactor.asked[-1:]
    world.reply("www.example.test. 300 A 192.0.2.80")
    answered = [result for result in results if result[0] is not None]
    assert len(answered) == 8
    assert world.server.dropped == 12


def test_a_client_that_leaves_is_forgotten():
    world = World()
    waiting = world.server.answer(question().to_wire(), HERE, True)
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    world.reply("www.example.test. 300 A 192.0.2.80")
    assert world.server.waiting == 0


def test_a_resolution_that_breaks_is_a_servfail(monkeypatch):
    world = World()
    results = came(world.ask(question()))

    def broken(*_):
        raise RuntimeError("on purpose")

    monkeypatch.setattr("netsuite.dns.resolver.iterator.judge", broken)
    world.reply("www.example.test. 300 A 192.0.2.80")
    assert dns.message.from_wire(results[0]).rcode() == dns.rcode.SERVFAIL
    assert len(world.recursion) == 0


def test_a_flood_of_names_does_not_grow_memory():
    world = World(prepared=1 << 18)
    for number in range(5000):
        world.ask(question(f"{number}.localhost"))
    assert world.server._prepared.bytes <= 1 << 18
    world.server.stop()
    assert len(world.server._prepared) == 0
    assert not world.clock.getDelayedCalls()
