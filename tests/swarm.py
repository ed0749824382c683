"""Whole peers for tests: production code on the in-memory network, or on real sockets, with torrents made up."""

from __future__ import annotations

import hashlib
import itertools
import random

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from netsuite.bittorrent.metainfo import File, Metainfo, read
from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.peer.pieces import PieceStore
from netsuite.bittorrent.peer.server import PeerServer, make_peer_id
from netsuite.bittorrent.peer.torrent import Torrent
from netsuite.bittorrent.wire.bencode import encode
from netsuite.bittorrent.wire.connection import PeerConnection
from netsuite.bittorrent.wire.messages import Handshake
from netsuite.common.commons import Runtime
from netsuite.common.threads import Inline
from netsuite.sansio.connection import NEED_DATA
from netsuite.testing.folders import MemoryFolder
from netsuite.testing.network import Network

PORT = 6881


def make_content(length, seed=1):
    return random.Random(seed).randbytes(length)


def make_metainfo(content, piece_length=65536, name="file"):
    pieces = b"".join(
        hashlib.sha1(content[at : at + piece_length]).digest() for at in range(0, len(content), piece_length)
    )
    return Metainfo(
        info_hash=hashlib.sha1(name.encode() + pieces).digest(),
        name=name,
        piece_length=piece_length,
        pieces=pieces,
        length=len(content),
        files=(File((name,), 0, len(content)),),
    )


def make_torrent_file(path, content, piece_length=65536):
    """The same as a file, for the programs of others."""
    pieces = make_metainfo(content, piece_length).pieces
    info = {b"length": len(content), b"name": b"file", b"piece length": piece_length, b"pieces": pieces}
    path.write_bytes(encode({b"info": info}))
    return read(path)


class RealPeer:
    """A peer on real sockets and files; ``complete`` fires when it has everything."""

    def __init__(self, runtime, threads, metainfo, folder, *, conduct=Conduct(), upload=None, download=None, **options):
        self.complete = Deferred()
        self.server = PeerServer(runtime, make_peer_id(runtime.rng), **options)
        self.store = PieceStore(metainfo, Folder(folder), threads, runtime.clock)
        self.torrent = Torrent(
            metainfo,
            self.store,
            self.server,
            conduct,
            upload=upload,
            download=download,
            on_complete=lambda: self.complete.callback(None),
        )
        self._reactor = runtime.reactor
        self._port = None

    async def start(self):
        await self.store.open()
        self._port = self._reactor.listenTCP(0, self.server.factory, interface="127.0.0.1")
        self.port = self.server.port = self._port.getHost().port
        self.torrent.start()

    @property
    def place(self):
        return "127.0.0.1", self.port

    def turn(self):
        """Let the reactor go round."""
        return deferLater(self._reactor, 0.005, lambda: None)

    async def stop(self):
        if self._port is None:
            return
        port, self._port = self._port, None
        await port.stopListening()
        self.torrent.stop()
        await self.server.drain(self._reactor.seconds() + 1)
        await self.store.close()


class Peer:
    """One peer of a swarm on the in-memory network."""

    def __init__(self, swarm, number, conduct, content, options):
        self.address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.host = swarm.network.host(self.address)
        runtime = Runtime(self.host, self.host, random.Random(f"{swarm.seed} {number}"))
        own = {name: options.pop(name) for name in ("upload", "download") if name in options}
        self.server = PeerServer(runtime, make_peer_id(runtime.rng), local=self.address, **options)
        self.server.port = PORT
        self.port = self.host.listenTCP(PORT, self.server.factory, interface=self.address)
        self.folder = MemoryFolder(seed=number)
        if content is not None:
            self.folder.write(("file",), len(content), 0, [content])
        self.store = PieceStore(swarm.metainfo, self.folder, Inline(), self.host)
        self.finished = None
        self.torrent = Torrent(swarm.metainfo, self.store, self.server, conduct, on_complete=self._complete, **own)
        swarm.network.result(self.store.open())

    def _complete(self):
        self.finished = self.host.seconds()

    @property
    def place(self):
        return self.address, PORT

    @property
    def content(self):
        return self.folder.read(("file",), 0, self.torrent.metainfo.length)


class Stranger(Protocol):
    """A peer that does what a test tells it, and notes what it hears."""

    def __init__(self, swarm, *, fast=True, extended=True, peer_id=b"-XX0000-stranger0000"):
        self.host = swarm.network.host(f"172.16.0.{next(swarm.strangers)}")
        self.swarm = swarm
        self.greeting = Handshake(swarm.metainfo.info_hash, peer_id, fast, extended, swarm.metainfo.piece_count)
        self.machine = PeerConnection(self.host.seconds())
        self.machine.send(self.greeting, self.host.seconds())
        self.heard = []
        self.closed = None

    @property
    def place(self):
        return self.host.addresses[0], PORT

    def dial(self, peer):
        """Connect to a peer, and greet it."""
        endpoint = TCP4ClientEndpoint(self.host, *peer.place, bindAddress=(self.host.addresses[0], 0))
        self.swarm.network.result(connectProtocol(endpoint, self))
        self.swarm.network.advance(0.5)
        return self

    def listen(self):
        """Be there to be dialled."""
        factory = Factory.forProtocol(lambda: self)
        self.host.listenTCP(PORT, factory, interface=self.host.addresses[0])
        return self

    def say(self, *messages):
        """Send messages, right or wrong, and see what comes of it."""
        for message in messages:
            self.transport.write(b"".join(bytes(chunk) for chunk in message.encode()))
        self.swarm.network.advance(0.5)

    def block(self, piece, begin, length=16384):
        at = piece * self.swarm.metainfo.piece_length + begin
        return piece, begin, self.swarm.content[at : at + length]

    def of(self, kind):
        """What it heard of one kind."""
        return [message for message in self.heard if isinstance(message, kind)]

    def connectionMade(self):
        self.transport.write(b"".join(self.machine.outgoing()))

    def dataReceived(self, data):
        self.machine.receive(data, self.host.seconds())
        while (event := self.machine.next_event()) is not NEED_DATA:
            self.heard.append(event)
            self.answer(event)

    def answer(self, message):
        """What a test's own stranger does with what it hears."""

    def connectionLost(self, reason):
        self.closed = reason


class Swarm:
    """Peers of one torrent, each on a host of its own; who starts is told of all who started before."""

    def __init__(self, content, *, piece_length=65536, seed=0, **network):
        self.seed = seed
        self.content = content
        self.metainfo = make_metainfo(content, piece_length)
        self.network = Network(seed=seed, **network)
        self.peers = []
        self.strangers = itertools.count(1)

    def add(self, *, has=None, conduct=Conduct(), start=True, **options):
        """One peer more; ``has`` is what lies in its folder (True: the whole content)."""
        content = self.content if has is True else has
        peer = Peer(self, len(self.peers) + 1, conduct, content, options)
        if start:
            peer.torrent.start()
            peer.torrent.found([other.place for other in self.peers])
        self.peers.append(peer)
        return peer

    def run_until_complete(self, timeout=600):
        self.network.until(lambda: all(peer.torrent.complete for peer in self.peers), timeout)

    def stop(self):
        for peer in self.peers:
            peer.torrent.stop()
        self.network.advance(1)
