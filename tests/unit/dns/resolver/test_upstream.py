"""The asking side on an in-memory network: whom it believes, whom it does not, and what it costs."""

from __future__ import annotations

import random

import dns.flags
import dns.message
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import DatagramProtocol

from netsuite.common.commons import Runtime
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.iterator import Ask, Trouble
from netsuite.dns.resolver.upstream import Upstream, UpstreamLimits
from netsuite.dns.wire.name import from_text
from netsuite.testing.network import Network

SERVER = ("192.0.2.53", 53)


class Server(DatagramProtocol):
    """Answers by a function from packet to packets; keeps what it heard and from where."""

    def __init__(self, behave):
        self.behave = behave
        self.heard = []

    def datagramReceived(self, data, addr):
        self.heard.append((data, addr))
        for answer in self.behave(data):
            self.transport.write(answer, addr)


def honest(data):
    response = dns.message.make_response(dns.message.from_wire(data))
    return [response.to_wire()]


def silent(data):
    return []


class World:
    def __init__(self, behave=honest, stream=None, **limits):
        self.network = Network()
        self.server_host = self.network.host(SERVER[0])
        self.host = self.network.host("192.0.2.1")
        self.server = Server(behave)
        self.server_host.listenUDP(53, self.server)
        self.infrastructure = Infrastructure()
        self.streams = []

        def stream_query(server, packet, timeout):
            self.streams.append(packet)
            return stream(packet) if stream else fail(ConnectionError())

        runtime = Runtime(self.host, self.host, random.Random(3))
        self.upstream = Upstream(runtime, self.infrastructure, stream_query, UpstreamLimits(**limits))

    def ask(self, name="www.example.test", *, stream=False, timeout=1.0, edns=True, server=SERVER):
        outcomes = []
        self.upstream.ask(Ask(server, from_text(name), 1, stream, edns, False, timeout), outcomes.append)
        return outcomes

    def outcome(self, *args, **kwargs):
        outcomes = self.ask(*args, **kwargs)
        self.network.until(lambda: outcomes)
        (outcome,) = outcomes
        return outcome


def test_a_reply_is_read():
    world = World()
    reply = world.outcome()
    assert (reply.rcode, reply.question.name) == (0, from_text("www.example.test"))
    assert len(world.upstream) == 0
    assert world.infrastructure.timeout(SERVER) < 0.4
    assert not world.host.getDelayedCalls()


def test_each_question_has_a_port_and_an_id_of_its_own():
    world = World()
    for number in range(50):
        world.outcome(f"h{number}.test")
    ids = {data[:2] for data, _ in world.server.heard}
    ports = {addr[1] for _, addr in world.server.heard}
    assert len(ids) > 45
    assert len(ports) > 45


def test_the_question_is_asked_as_edns_and_dns_want_it():
    world = World(payload=1400)
    world.outcome()
    world.outcome("b.test", edns=False)
    first, second = (dns.message.from_wire(data) for data, _ in world.server.heard)
    assert (first.edns, first.payload, second.edns) == (0, 1400, -1)
    assert not first.flags & dns.flags.RD


def spoil(change):
    def behave(data):
        answer = bytearray(honest(data)[0])
        change(answer)
        return [bytes(answer)]

    return behave


def other_id(answer):
    answer[1] ^= 1


def other_name(answer):
    answer[13] ^= 1


def other_type(answer):
    at = 12 + len(from_text("www.example.test"))
    answer[at + 1] ^= 1


@pytest.mark.parametrize("change", [other_id, other_name, other_type])
def test_a_wrong_reply_is_a_near_miss(change):
    world = World(spoil(change))
    assert world.outcome() is Trouble.SPOOFED
    assert world.upstream.near_misses == 1


def no_reply(answer):
    answer[2] &= 0x7F


def other_opcode(answer):
    answer[2] |= 0x28


@pytest.mark.parametrize("change", [no_reply, other_opcode])
def test_what_is_no_reply_to_a_query_is_dropped(change):
    world = World(spoil(change))
    assert world.outcome() is Trouble.TIMEOUT
    assert world.upstream.near_misses == 0


def test_rubbish_after_the_right_question_is_malformed():
    world = World(lambda data: [honest(data)[0][:6] + b"\0\5" + honest(data)[0][8:]])
    assert world.outcome() is Trouble.MALFORMED


def test_a_reply_from_another_port_or_host_is_not_heard():
    world = World(silent)
    liar = world.network.host("203.0.113.6")
    outcomes = world.ask()
    world.network.advance(0.05)
    data, addr = world.server.heard[0]
    for host, port in ((world.server_host, 5353), (liar, 53)):
        forger = Server(silent)
        host.listenUDP(port, forger)
        forger.transport.write(honest(data)[0], addr)
    world.network.until(lambda: outcomes)
    assert outcomes == [Trouble.TIMEOUT]
    assert world.upstream.replies == 0


def test_silence_is_timed_and_noted():
    world = World(silent)
    before = world.host.seconds()
    assert world.outcome(timeout=0.7) is Trouble.TIMEOUT
    assert world.host.seconds() - before == pytest.approx(0.7)
    assert world.infrastructure.timeout(SERVER) == 0.8
    assert not world.host.getDelayedCalls()


def test_equal_questions_share_one_exchange():
    world = World()
    outcomes = [world.ask() for _ in range(5)]
    world.network.until(lambda: all(outcomes))
    assert len(world.server.heard) == 1
    assert world.upstream.shared == 4


def test_sockets_are_bounded_and_others_wait():
    world = World(sockets=3, waiting=4)
    outcomes = [world.ask(f"h{number}.test") for number in range(10)]
    world.network.advance(0.011)
    assert len(world.server.heard) == 3
    world.network.until(lambda: all(outcomes))
    assert sum(outcome == [Trouble.BUSY] for outcome in outcomes) == 3
    assert len(world.server.heard) == 7


def test_a_wait_in_the_queue_is_not_held_against_the_server():
    world = World(silent, sockets=1)
    first, second = world.ask("a.test", timeout=1.0), world.ask("b.test", timeout=1.0)
    world.network.advance(1.5)
    assert (first, second) == ([Trouble.TIMEOUT], [])
    world.network.advance(0.6)
    assert second == [Trouble.TIMEOUT]


def test_case_at_random_must_be_repeated():
    world = World(randomise_case=True)
    assert world.outcome("abcdefghijklmnop.test").rcode == 0
    asked = world.server.heard[0][0][12:]
    assert asked.lower().startswith(from_text("abcdefghijklmnop.test"))
    assert not asked.startswith(from_text("abcdefghijklmnop.test"))
    folds = World(lambda data: [honest(data)[0][:12] + honest(data)[0][12:].lower()], randomise_case=True)
    assert folds.outcome("abcdefghijklmnop.test") is Trouble.SPOOFED


def test_over_tcp():
    world = World(stream=lambda packet: succeed(honest(packet)[0]))
    assert world.outcome(stream=True).rcode == 0
    assert (len(world.streams), len(world.server.heard)) == (1, 0)


def test_over_tcp_to_nobody():
    assert World().outcome(stream=True) is Trouble.UNREACHABLE
    world = World(stream=lambda packet: Deferred())
    assert world.outcome(stream=True, timeout=2.0) is Trouble.TIMEOUT


def test_over_tcp_a_wrong_reply_is_no_reply():
    world = World(stream=lambda packet: succeed(spoil(other_id)(packet)[0]))
    assert world.outcome(stream=True) is Trouble.MALFORMED


def test_closing_ends_all_that_waits():
    world = World(silent, sockets=1)
    outcomes = [world.ask("a.test"), world.ask("b.test")]
    world.upstream.close()
    assert outcomes == [[Trouble.BUSY], [Trouble.BUSY]]
    assert world.outcome("c.test") is Trouble.BUSY
    world.network.advance(0.01)
    assert not world.host.getDelayedCalls()
