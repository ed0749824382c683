"""A tracker without sockets: a desk, its clock, and peers who ask it."""

from __future__ import annotations

import socket
import struct

from twisted.internet.task import Clock

from netsuite.bittorrent.tracker.application import TrackerApplication
from netsuite.bittorrent.tracker.datagrams import Datagrams
from netsuite.bittorrent.tracker.desk import Desk
from netsuite.bittorrent.tracker.settings import TrackerSettings
from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import Announce, announce_url, read_reply
from netsuite.http.wire.messages import Request
from netsuite.testing.commons import make_commons

HASH = bytes(range(20))
OTHER = bytes(range(20, 40))
EPOCH = 1_700_000_000.0


class Tracker:
    """A tracker with settings; ``clock`` is its time."""

    def __init__(self, folder, **settings):
        self.clock = Clock()
        self.clock.advance(EPOCH)
        self.commons = make_commons(folder, clock=self.clock)
        self.settings = TrackerSettings.model_validate(settings)
        self.desk = Desk(self.settings, self.commons)
        self.desk.torrents = self.desk.torrents.fresh()
        self.swarms = self.desk.swarms
        self.http = TrackerApplication(self.desk, self.commons.access.rule(self.settings.trusted))
        self.udp = {family: Datagrams(self.desk, family, b"k" * 32, EPOCH) for family in (0, 1)}

    def datagram(self, data, host="192.0.2.1"):
        port = self.udp[1 if ":" in host else 0]
        return port.answer(data, (host, 999), ("192.0.2.9", 6969), self.clock.seconds())

    def connect(self, host="192.0.2.1"):
        return udp.read_connect_reply(self.datagram(udp.connect_request(1), host))

    def announce(self, host="192.0.2.1", *, ident=None, target="", **fields):
        """Over UDP, and the reply."""
        ident = self.connect(host) if ident is None else ident
        reply = self.datagram(udp.announce_request(ident, 7, announce(**fields), target), host)
        assert len(reply) >= 8
        assert struct.unpack(">I", reply[4:8]) == (7,)
        return udp.read_announce_reply(reply, ":" in host)

    def get(self, target, host="192.0.2.1", method=b"GET", **headers):
        path, _, query = target.encode().partition(b"?")
        fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        request = Request(method, target.encode(), fields, path=path, query=query or None, peer=(host, 999))
        return self.http.handle(request, None)

    def ask(self, host="192.0.2.1", headers=None, **fields):
        """An announce over HTTP, and its reply."""
        status, _, body = self.get(announce_url("/announce", announce(**fields)), host, **headers or {})
        assert status == 200
        return read_reply(body)

    def fill(self, count, *, info_hash=HASH, left=1, port=6881):
        """That many peers, each at an address of its own."""
        for each in range(count):
            host = socket.inet_ntoa(struct.pack(">I", 0x0A000000 + each))
            self.announce(host, info_hash=info_hash, left=left, port=port, peer_id=b"-XX0000-%012d" % each)


def announce(**fields):
    return Announce(**{"info_hash": HASH, "peer_id": b"-XX0000-abcdefghijkl", "port": 6881, "left": 1, **fields})
