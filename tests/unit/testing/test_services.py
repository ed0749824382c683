"""Production services on the in-memory network: the upper-case pair, whole, with its own clients."""

from __future__ import annotations

import time

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from netsuite.common.errors import StartError
from netsuite.common.listen import StreamListener
from netsuite.common.stream import ConnectFailed, StreamFactory, StreamLimits, connect_stream
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Link, Network
from netsuite.upper.client import NoAnswer, TcpClient, UdpClient
from netsuite.upper.service import build
from netsuite.upper.settings import UpperSettings
from netsuite.upper.wire import Line, LineConnection

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"


class House:
    """A server and a client host with commons of their own."""

    def __init__(self, tmp_path, link=Link(latency=0.01), clock=None, seed=0):
        self.network = Network(clock, link=link, seed=seed)
        self.server = make_commons(tmp_path / "server", self.network.host(SERVER))
        self.client = make_commons(tmp_path / "client", self.network.host(CLIENT))

    def upper(self, **settings):
        service = build(UpperSettings(listen=[f"{SERVER}:0"], **settings), self.server)
        service.open()
        service.startService()
        self.port = service.addresses()[0].port
        return service

    def stop(self, service):
        self.network.result(service.drain(self.network.clock.seconds() + 10))
        service.stopService()
        self.network.advance(100)
        assert not self.network.clock.getDelayedCalls()


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_whole_service(house):
    service = house.upper()
    client = TcpClient(house.client)
    house.network.result(client.connect(SERVER, house.port))
    before = house.network.clock.seconds()
    assert house.network.result(client.ask(b"hello")) == b"HELLO"
    assert house.network.clock.seconds() == pytest.approx(before + 0.02)
    datagrams = UdpClient(house.client, SERVER, house.port)
    assert house.network.result(datagrams.ask(b"and over udp")) == b"AND OVER UDP"
    datagrams.close()
    client.close()
    house.stop(service)


def test_lost_datagrams_are_asked_again(tmp_path):
    house = House(tmp_path, Link(latency=0.01, loss=0.4), seed=3)
    service = house.upper()
    client = UdpClient(house.client, SERVER, house.port, tries=50)
    for number in range(20):
        assert house.network.result(client.ask(b"n%d" % number), timeout=100) == b"N%d" % number
    client.close()
    house.stop(service)


def test_a_partition_is_noticed_and_outlived(house):
    service = house.upper()
    one, other = house.server.reactor, house.client.reactor
    client = TcpClient(house.client)
    house.network.result(client.connect(SERVER, house.port))
    house.network.partition(one, other)
    datagrams = UdpClient(house.client, SERVER, house.port)
    with pytest.raises(NoAnswer):
        house.network.result(datagrams.ask(b"hello"))
    with pytest.raises(ConnectFailed):
        house.network.result(TcpClient(house.client).connect(SERVER, house.port))
    house.network.heal(one, other)
    assert house.network.result(client.ask(b"hello")) == b"HELLO"
    datagrams.close()
    client.close()
    house.stop(service)


def test_a_silent_client_is_cut(house):
    service = house.upper(idle=30.0)
    silent = house.network.result(
        TCP4ClientEndpoint(house.client.reactor, SERVER, house.port).connect(Factory.forProtocol(Protocol))
    )
    silent.transport.write(b"half a li")
    house.network.advance(29)
    assert silent.transport.connected
    house.network.advance(2)
    assert not silent.transport.connected
    house.stop(service)


def test_a_taken_port_is_named(house):
    house.upper()
    with pytest.raises(StartError, match=f"{SERVER}:{house.port} is already in use"):
        StreamListener(f"{SERVER}:{house.port}", None, house.server, "upper.listen").open()


def _lines(house, commons, answers, handler, **rest):
    def connection(channel):
        return LineConnection(house.network.clock.seconds(), answers=answers)

    return StreamFactory(commons, "lines", connection, handler, **rest)


def test_a_reader_that_stops_reading_holds_the_writer_back_and_is_cut(tmp_path):
    house = House(tmp_path, Link(latency=0.01, window=32_768))
    gone = []
    factory = _lines(
        house,
        house.server,
        True,
        lambda line, body, adapter: Line(line.text * 1000),
        limits=StreamLimits(stall=30),
        gone=lambda adapter, reason: gone.append(reason),
    )
    listener = StreamListener(f"{SERVER}:80", factory, house.server, "lines.listen")
    listener.open()
    listener.accept()
    flood = house.network.result(
        TCP4ClientEndpoint(house.client.reactor, SERVER, 80).connect(Factory.forProtocol(Protocol))
    )
    flood.transport.pauseProducing()
    for _ in range(200):
        flood.transport.write(b"a line of some length\n" * 100)
        house.network.advance(0.01)
    house.network.advance(20)
    assert not gone
    assert factory.bytes_in < 200 * 2200 / 2
    assert factory.bytes_out < 2_000_000
    house.network.advance(60)
    assert gone
    house.network.result(listener.close())


def test_tls(tmp_path):
    clock = Clock()
    clock.rightNow = time.time()  # the certificates are looked at with the real time
    house = House(tmp_path, clock=clock)
    factory = _lines(house, house.server, True, lambda line, body, adapter: Line(line.text[::-1]))
    listener = StreamListener("secure:127.0.0.1:443", factory, house.server, "lines.listen")
    listener.open()
    listener.accept()
    heard = []
    client = _lines(house, house.server, False, lambda line, body, adapter: heard.append(line.text))
    context = house.server.certificates.client_context()
    adapter = house.network.result(
        connect_stream(client, "127.0.0.1", 443, tls_context=context, server_hostname="localhost")
    )
    adapter.send(Line(b"terces"))
    house.network.until(lambda: heard)
    assert heard == [b"secret"]
    assert adapter.channel.tls.version == "TLSv1.3"
    adapter.close("done")
    house.network.result(listener.close())
    house.network.advance(100)
    assert not clock.getDelayedCalls()
