"""A QUIC client on a Twisted UDP port, for tests: aioquic's machine, what it hears, and what is sent by it."""

from __future__ import annotations

from aioquic.h3.connection import H3Connection
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol


class QuicClient(DatagramProtocol):
    """One connection; ``streams`` collects what each brought, ``ended`` which are whole, ``over`` how all ended."""

    def __init__(self, port, alpn, ca, name="localhost", **settings):
        self.place = ("127.0.0.1", port)
        configuration = QuicConfiguration(alpn_protocols=[alpn], is_client=True, server_name=name, **settings)
        configuration.load_verify_locations(cafile=str(ca))
        self.quic = QuicConnection(configuration=configuration)
        self.h3 = None
        self.streams: dict[int, bytes] = {}
        self.heads: dict[int, list] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.over = None
        self.ready = False
        self.lossy = lambda data: False
        self._waiting: list[tuple] = []
        self._timer = None
        if alpn == "h3":
            self.h3 = H3Connection(self.quic)

    def startProtocol(self):
        self.quic.connect(self.place, reactor.seconds())
        self.flush()

    def datagramReceived(self, data, addr):
        if self.lossy(data):
            return
        self.quic.receive_datagram(data, addr, reactor.seconds())
        self.turn()

    def turn(self):
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, events.HandshakeCompleted):
                self.ready = True
            elif isinstance(event, events.ConnectionTerminated):
                self.over = (event.error_code, event.reason_phrase)
            elif isinstance(event, events.StreamReset):
                self.resets[event.stream_id] = event.error_code
            if self.h3 is not None:
                for heard in self.h3.handle_event(event):
                    if hasattr(heard, "headers"):
                        self.heads.setdefault(heard.stream_id, []).append(heard.headers)
                    else:
                        self.streams[heard.stream_id] = self.streams.get(heard.stream_id, b"") + heard.data
                    if heard.stream_ended:
                        self.ended.add(heard.stream_id)
            elif isinstance(event, events.StreamDataReceived):
                self.streams[event.stream_id] = self.streams.get(event.stream_id, b"") + event.data
                if event.end_stream:
                    self.ended.add(event.stream_id)
        self.flush()
        for waiting in list(self._waiting):
            condition, fired = waiting
            if condition():
                self._waiting.remove(waiting)
                fired.callback(None)

    def flush(self):
        if self.transport is None:
            return
        for data, addr in self.quic.datagrams_to_send(reactor.seconds()):
            self.transport.write(data, addr)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        due = self.quic.get_timer()
        if due is not None:
            self._timer = reactor.callLater(max(0, due - reactor.seconds()), self.late)

    def late(self):
        self.quic.handle_timer(reactor.seconds())
        self.turn()

    def until(self, condition):
        fired = Deferred()
        if condition():
            fired.callback(None)
        else:
            self._waiting.append((condition, fired))
            fired.addTimeout(10, reactor)
        return fired

    def send(self, data, *, end=True, stream=None):
        if stream is None:
            stream = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(stream, data, end)
        self.flush()
        return stream

    async def close(self):
        self.quic.close()
        self.flush()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        transport, self.transport = self.transport, None
        stopped = transport.stopListening()
        if stopped is not None:
            await stopped


async def connected(port, alpn, ca, **settings):
    client = QuicClient(port, alpn, ca, **settings)
    reactor.listenUDP(0, client, "127.0.0.1")
    await client.until(lambda: client.ready or client.over is not None)
    return client
