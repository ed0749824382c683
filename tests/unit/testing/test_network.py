"""The in-memory network: what real sockets do, on a fake clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
)
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorFDSet,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
)
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netsuite.testing.network import Link, Network

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"


class Recorder(Protocol):
    def __init__(self):
        self.data = b""
        self.chunks = []
        self.lost = None

    def dataReceived(self, data):
        self.data += data
        self.chunks.append(data)

    def connectionLost(self, reason):
        self.lost = reason.type


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    read_lost = write_lost = False

    def readConnectionLost(self):
        self.read_lost = True

    def writeConnectionLost(self):
        self.write_lost = True


class Pair:
    """A server's and a client's protocol, connected over a network."""

    def __init__(self, link=Link(latency=0.01), protocol=Recorder, seed=0):
        self.network = Network(link=link, seed=seed)
        self.server_host = self.network.host(SERVER)
        self.client_host = self.network.host(CLIENT)
        self.served = []

        def build(addr):
            self.served.append(protocol())
            return self.served[-1]

        factory = Factory.forProtocol(protocol)
        factory.buildProtocol = build
        self.port = self.server_host.listenTCP(80, factory)
        self.client = self.network.result(self.connecting(protocol), timeout=2000)
        self.network.until(lambda: self.served)
        self.server = self.served[0]

    def connecting(self, protocol=Recorder, port=80):
        # Patient: on a link that loses half of all segments, half a minute may well be too short for a greeting.
        endpoint = TCP4ClientEndpoint(self.client_host, SERVER, port, timeout=1000)
        return endpoint.connect(Factory.forProtocol(protocol))


def test_a_host_is_a_reactor_without_descriptors():
    host = Network().host(SERVER)
    for interface in (IReactorTCP, IReactorUDP, IReactorTime):
        assert verifyObject(interface, host)
    assert not IReactorFDSet.providedBy(host)


def test_connections_know_both_addresses():
    pair = Pair()
    assert pair.server.transport.getHost().host == SERVER
    assert pair.server.transport.getPeer() == pair.client.transport.getHost()
    assert pair.client.transport.getPeer() == pair.server.transport.getHost()
    assert pair.client.transport.getHost().host == CLIENT


def test_connecting_takes_a_round_trip_and_bytes_take_half():
    network = Network(link=Link(latency=0.25))
    start = network.clock.seconds()
    pair = Pair(Link(latency=0.25))
    assert pair.network.clock.seconds() == pytest.approx(start + 0.5)
    pair.client.transport.write(b"hello")
    pair.network.advance(0.24)
    assert pair.server.data == b""
    pair.network.advance(0.02)
    assert pair.server.data == b"hello"


def test_bandwidth_takes_its_time():
    pair = Pair(Link(bandwidth=1000, segment=100))
    pair.client.transport.write(bytes(1000))
    pair.network.advance(0.55)
    assert len(pair.server.data) == 500
    pair.network.advance(0.5)
    assert len(pair.server.data) == 1000
    assert {len(chunk) for chunk in pair.server.chunks} == {100}


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=5000)), max_size=20),
    st.integers(0, 100),
    st.builds(
        Link,
        latency=st.floats(0, 0.5),
        jitter=st.floats(0, 0.5),
        bandwidth=st.none() | st.floats(1000, 1e6),
        loss=st.floats(0, 0.5),
        segment=st.integers(1, 2000),
        window=st.integers(1, 4000),
    ),
)
def test_streams_arrive_whole_and_in_order_whatever_the_link(writes, seed, link):
    pair = Pair(link, seed=seed)
    for to_server, data in writes:
        (pair.client if to_server else pair.server).transport.write(data)
    to_server, to_client = (b"".join(data for way, data in writes if way is to) for to in (True, False))
    pair.network.until(lambda: len(pair.client.data) >= len(to_client), timeout=1e6)
    pair.client.transport.loseConnection()
    pair.network.until(lambda: pair.server.lost and pair.client.lost, timeout=1e6)
    assert (pair.server.data, pair.client.data) == (to_server, to_client)
    assert (pair.server.lost, pair.client.lost) == (ConnectionDone, ConnectionDone)
    pair.network.advance(100)
    assert not pair.network.clock.getDelayedCalls()


def test_the_same_seed_gives_the_same():
    def run(seed):
        pair = Pair(Link(latency=0.01, jitter=0.1, segment=50, bandwidth=1e5), seed=seed)
        times = []
        pair.server.dataReceived = lambda data: times.append((pair.network.clock.seconds(), len(data)))
        for _ in range(20):
            pair.client.transport.write(bytes(130))
            pair.network.advance(0.01)
        pair.network.advance(1)
        return times

    assert run(1) == run(1)
    assert run(1) != run(2)


# -- the ends of a connection


def test_an_orderly_close_comes_after_the_last_byte():
    pair = Pair()
    pair.client.transport.write(b"last words")
    pair.client.transport.loseConnection()
    pair.network.advance(1)
    assert (pair.server.data, pair.server.lost, pair.client.lost) == (b"last words", ConnectionDone, ConnectionDone)


def test_an_abort_resets():
    pair = Pair()
    pair.client.transport.write(bytes(200_000))
    pair.client.transport.abortConnection()
    pair.network.advance(1)
    assert (pair.server.lost, pair.client.lost) == (ConnectionLost, ConnectionAborted)


def test_half_a_close_leaves_the_other_half():
    pair = Pair(protocol=HalfCloseable)
    pair.client.transport.write(b"question")
    pair.client.transport.loseWriteConnection()
    pair.network.advance(1)
    assert pair.client.write_lost
    assert pair.server.read_lost
    assert pair.server.lost is None
    pair.server.transport.write(b"answer")
    pair.server.transport.loseConnection()
    pair.network.advance(1)
    assert pair.client.data == b"answer"
    assert pair.client.read_lost
    assert pair.server.lost is ConnectionDone


def test_a_protocol_that_knows_no_halves_closes_at_the_first():
    pair = Pair()
    pair.client.transport.loseWriteConnection()
    pair.network.advance(1)
    assert pair.server.lost is ConnectionDone


def test_closing_with_unread_input_resets_and_unread_bytes_are_lost_with_it():
    pair = Pair()
    pair.server.transport.pauseProducing()
    pair.client.transport.pauseProducing()
    pair.client.transport.write(b"unread")
    pair.network.advance(1)
    pair.server.transport.write(b"last words")
    pair.server.transport.loseConnection()
    pair.network.advance(1)
    pair.client.transport.resumeProducing()
    pair.network.advance(1)
    assert (pair.client.data, pair.client.lost) == (b"", ConnectionLost)


def test_writing_to_who_is_gone_resets():
    pair = Pair(protocol=HalfCloseable)
    pair.server.transport.loseConnection()
    pair.network.advance(1)
    assert pair.client.read_lost
    pair.client.transport.write(b"too late")
    pair.network.advance(1)
    assert pair.client.lost is None  # as in epoll: nobody reads any more, so nobody sees it
    pair.client.transport.write(b"too late")
    pair.network.advance(1)
    assert pair.client.lost is ConnectionLost


# -- back-pressure


@implementer(IPushProducer)
class Producer:
    def __init__(self, transport):
        self.transport = transport
        self.paused = False
        self.pauses = 0

    def pauseProducing(self):
        self.paused = True
        self.pauses += 1

    def resumeProducing(self):
        self.paused = False

    def stopProducing(self):
        self.paused = True


def test_a_reader_that_pauses_makes_the_writers_producer_pause():
    pair = Pair(Link(window=10_000))
    producer = Producer(pair.client.transport)
    pair.client.transport.registerProducer(producer, True)
    pair.server.transport.pauseProducing()
    written = 0
    while not producer.paused:
        pair.client.transport.write(bytes(5000))
        written += 5000
        pair.network.advance(0.1)
        assert written < 200_000
    pair.network.advance(100)
    assert producer.paused
    assert pair.server.data == b""
    pair.server.transport.resumeProducing()
    pair.network.advance(1)
    assert not producer.paused
    assert len(pair.server.data) == written
    pair.client.transport.unregisterProducer()


# -- no connection


def test_nobody_listens():
    pair = Pair()
    with pytest.raises(error.ConnectionRefusedError):
        pair.network.result(pair.connecting(port=81))


def test_a_host_that_is_not_there_times_out():
    network = Network()
    host = network.host(CLIENT)
    start = network.clock.seconds()
    with pytest.raises(error.TimeoutError):
        network.result(TCP4ClientEndpoint(host, "192.0.2.99", 80, timeout=7).connect(Factory()))
    assert network.clock.seconds() == start + 7
    assert not network.clock.getDelayedCalls()


def test_the_kernel_gives_up_by_itself():
    network = Network()
    host = network.host(CLIENT)
    with pytest.raises(TCPTimedOutError):
        network.result(TCP4ClientEndpoint(host, "192.0.2.99", 80, timeout=1e6).connect(Factory()), timeout=100)


def test_no_route_between_address_families():
    network = Network()
    host = network.host(CLIENT)
    with pytest.raises(NoRouteError):
        network.result(TCP6ClientEndpoint(host, "2001:db8::1", 80).connect(Factory()))


def test_names_are_not_known():
    network = Network()
    host = network.host(CLIENT)
    with pytest.raises(DNSLookupError):
        network.result(TCP4ClientEndpoint(host, "www.example.test", 80).connect(Factory()))


def test_giving_up_leaves_nothing():
    pair = Pair()
    attempt = pair.connecting()
    attempt.addErrback(lambda failure: None)
    attempt.cancel()
    pair.network.advance(1)
    assert len(pair.served) == 1
    assert not pair.network.clock.getDelayedCalls()


def test_addresses_are_taken_once():
    network = Network()
    host = network.host(SERVER, "2001:db8::1")
    host.listenTCP(80, Factory(), interface=SERVER)
    host.listenTCP(80, Factory(), interface="127.0.0.1")
    host.listenTCP(80, Factory(), interface="::")
    host.listenUDP(80, DatagramProtocol())
    for interface in (SERVER, "", "0.0.0.0"):
        with pytest.raises(CannotListenError, match="in use"):
            host.listenTCP(80, Factory(), interface=interface)
    with pytest.raises(CannotListenError, match="assign"):
        host.listenTCP(80, Factory(), interface="192.0.2.77")
    with pytest.raises(ValueError, match="another host"):
        network.host(SERVER)


def test_a_source_address_that_is_not_ours():
    network = Network()
    endpoint = TCP4ClientEndpoint(network.host(CLIENT), SERVER, 80, bindAddress=("192.0.2.77", 0))
    with pytest.raises(ConnectBindError):
        network.result(endpoint.connect(Factory()))


def test_a_closed_port_is_free_again_and_resets_whom_it_did_not_accept():
    pair = Pair()
    pair.port.stopReading()
    waiting = pair.network.result(pair.connecting())
    pair.network.advance(1)
    assert waiting.lost is None
    pair.network.result(pair.port.stopListening())
    pair.network.advance(1)
    assert waiting.lost is ConnectionLost
    pair.server_host.listenTCP(80, Factory())


def test_a_port_that_does_not_accept_keeps_connections_and_their_bytes():
    pair = Pair()
    pair.port.stopReading()
    waiting = pair.network.result(pair.connecting())
    waiting.transport.write(b"early")
    pair.network.advance(5)
    assert len(pair.served) == 1
    pair.port.startReading()
    pair.network.advance(1)
    assert pair.served[1].data == b"early"


def test_each_host_has_a_loopback_of_its_own():
    network = Network()
    one, other = network.host("192.0.2.1"), network.host("192.0.2.2")
    one.listenTCP(80, Factory.forProtocol(Recorder), interface="127.0.0.2")
    protocol = network.result(TCP4ClientEndpoint(one, "127.0.0.2", 80).connect(Factory.forProtocol(Recorder)))
    assert protocol.transport.getHost().host == "127.0.0.1"
    with pytest.raises(error.ConnectionRefusedError):
        network.result(TCP4ClientEndpoint(other, "127.0.0.2", 80).connect(Factory()))


def test_ipv6():
    network = Network()
    server, client = network.host("2001:db8::1"), network.host("2001:db8::2")
    port = server.listenTCP(0, Factory.forProtocol(Recorder), interface="::")
    endpoint = TCP6ClientEndpoint(client, "2001:db8::1", port.getHost().port)
    protocol = network.result(endpoint.connect(Factory.forProtocol(Recorder)))
    assert protocol.transport.getHost().host == "2001:db8::2"
    assert protocol.transport.getPeer().host == "2001:db8::1"


# -- partitions


def test_streams_wait_for_the_end_of_a_partition():
    pair = Pair()
    pair.network.partition(pair.server_host, pair.client_host)
    for number in range(10):
        pair.client.transport.write(b"%d" % number)
        pair.network.advance(1)
    assert pair.server.data == b""
    pair.network.heal(pair.server_host, pair.client_host)
    pair.client.transport.write(b"!")
    pair.network.advance(1)
    assert pair.server.data == b"0123456789!"


def test_connecting_survives_a_short_partition():
    pair = Pair()
    pair.network.partition(pair.server_host, pair.client_host)
    attempt = pair.connecting()
    pair.network.advance(2)
    pair.network.heal(pair.server_host, pair.client_host)
    assert pair.network.result(attempt).lost is None


# -- datagrams


class Datagrams(DatagramProtocol):
    def __init__(self, answer=None):
        self.received = []
        self.refused = 0
        self.answer = answer

    def datagramReceived(self, datagram, addr):
        self.received.append((datagram, addr))
        if self.answer is not None:
            self.transport.write(self.answer, addr)

    def connectionRefused(self):
        self.refused += 1


def datagram_pair(link, seed=0, answer=None):
    network = Network(link=link, seed=seed)
    one, other = network.host(SERVER), network.host(CLIENT)
    server, client = Datagrams(answer), Datagrams()
    one.listenUDP(53, server)
    other.listenUDP(0, client)
    return network, server, client


def test_datagrams_and_their_answers():
    network, server, client = datagram_pair(Link(latency=0.1), answer=b"yes")
    client.transport.write(b"are you there", (SERVER, 53))
    network.advance(0.11)
    assert server.received == [(b"are you there", (CLIENT, client.transport.getHost().port))]
    assert client.received == []
    network.advance(0.1)
    assert client.received == [(b"yes", (SERVER, 53))]


def test_datagrams_are_lost_doubled_and_overtake():
    network, server, client = datagram_pair(Link(jitter=1.0, loss=0.2, duplication=0.2), seed=7)
    for number in range(200):
        client.transport.write(b"%d" % number, (SERVER, 53))
    network.advance(2)
    numbers = [int(data) for data, _ in server.received]
    assert 100 < len(set(numbers)) < 190
    assert len(numbers) > len(set(numbers))
    assert numbers != sorted(numbers)


def test_datagrams_do_not_cross_a_partition():
    network, server, client = datagram_pair(Link())
    for host in list(network._owners.values()):
        network.partition(host, network._owners[CLIENT])
    client.transport.write(b"lost", (SERVER, 53))
    network.advance(1)
    for host in list(network._owners.values()):
        network.heal(host, network._owners[CLIENT])
    network.advance(1)
    assert server.received == []


def test_a_connected_datagram_port_hears_that_nobody_is_there():
    network, _, client = datagram_pair(Link())
    client.transport.connect(SERVER, 54)
    client.transport.write(b"hello")
    network.advance(1)
    assert client.refused == 1


def test_datagrams_have_a_largest_size_and_a_receiver_a_limit():
    network, server, client = datagram_pair(Link())
    server.transport.maxPacketSize = 4
    client.transport.write(b"123456", (SERVER, 53))
    network.advance(1)
    assert server.received[0][0] == b"1234"
    with pytest.raises(Exception, match="too long"):
        client.transport.write(bytes(65508), (SERVER, 53))
    server.transport.stopReading()
    for _ in range(2000):
        client.transport.write(b"flood", (SERVER, 53))
    network.advance(1)
    server.transport.startReading()
    network.advance(1)
    assert len(server.received) < 1000


# -- time


def test_results_and_their_time():
    network = Network()
    waiting = Deferred()
    network.clock.callLater(5, waiting.callback, "done")
    start = network.clock.seconds()
    assert network.result(waiting) == "done"
    assert network.clock.seconds() == start + 5

    async def fails():
        raise LookupError("no")

    with pytest.raises(LookupError):
        network.result(fails())
    with pytest.raises(AssertionError, match="nothing came of it in 3 seconds"):
        network.result(Deferred(), timeout=3)
    assert network.clock.seconds() == start + 8


def test_advance_goes_from_event_to_event():
    network = Network()
    start = network.clock.seconds()
    seen = []

    def chain(left):
        seen.append(round(network.clock.seconds() - start, 6))
        if left:
            network.clock.callLater(0.3, chain, left - 1)

    network.clock.callLater(0.3, chain, 5)
    network.advance(1.0)
    assert seen == [0.3, 0.6, 0.9]
    assert network.clock.seconds() == start + 1.0
