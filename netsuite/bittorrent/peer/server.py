"""All torrents of one peer behind one port: who is let in, who is called, and which torrent a connection belongs to."""

from __future__ import annotations

import random
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred

import netsuite
from netsuite.bittorrent.peer.addresses import Place
from netsuite.bittorrent.peer.link import Link
from netsuite.bittorrent.peer.rates import Limit
from netsuite.bittorrent.peer.torrent import Torrent
from netsuite.bittorrent.wire.connection import PeerConnection, PeerLimits
from netsuite.bittorrent.wire.messages import Handshake, Message
from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Runtime
from netsuite.common.stream import ConnectFailed, StreamAdapter, StreamFactory, StreamLimits, connect_stream
from netsuite.sansio.connection import Channel

__all__ = ["PeerServer", "make_peer_id"]

_STREAM: Final = StreamLimits(backlog_high=1 << 20, backlog_low=512 << 10, read_size=256 << 10, duplex=True)


def make_peer_id(rng: random.Random) -> bytes:
    """A fresh one: our letters and version, and chance (BEP 20)."""
    digits = [part for part in netsuite.__version__.split(".") if part.isdigit()]
    version = "".join(digits)[:3].rjust(4, "0")
    return f"-NS{version}-".encode() + bytes(rng.choices(b"0123456789abcdefghijklmnopqrstuvwxyz", k=12))


@attrs.frozen
class _Called:
    """What an outgoing connection is for, until both have greeted."""

    torrent: Torrent
    place: Place


class PeerServer:
    """Listens (by ``factory``, on as many addresses as its owner likes) and dials for all torrents.

    ``port`` is what other peers are told. ``connections`` and ``half_open`` bound all torrents together; ``upload`` and
    ``download`` limit them in bytes a second.
    """

    def __init__(
        self,
        runtime: Runtime,
        peer_id: bytes,
        *,
        rule: Rule | None = None,
        connections: int = 200,
        per_address: int = 0,
        half_open: int = 20,
        upload: float | None = None,
        download: float | None = None,
        limits: PeerLimits = PeerLimits(),
        local: str | None = None,
    ) -> None:
        self.runtime = runtime
        self.peer_id = peer_id
        self.version = f"netsuite {netsuite.__version__}"
        self.port = 0
        self.upload = Limit(upload)
        self.download = Limit(download)
        self.torrents: dict[bytes, Torrent] = {}
        self.unknown = 0
        """Connections that spoke of a torrent that is not here."""
        self._limits = limits
        self._local = local
        self._connections = connections
        self._half_open = half_open
        self._dialling = 0
        self.factory = self._factory("peer", rule, ConcurrencyLimit(connections, per_address))
        self._outgoing = self._factory("peer, calling", None, None)

    def _factory(self, name: str, rule: Rule | None, concurrency: ConcurrencyLimit | None) -> StreamFactory:
        return StreamFactory(
            self.runtime,
            name,
            self._connection,
            self._heard,
            limits=_STREAM,
            rule=rule,
            concurrency=concurrency,
            gone=self._gone,
            writable=self._writable,
        )

    @property
    def count(self) -> int:
        """Connections now, both ways."""
        return len(self.factory.adapters) + len(self._outgoing.adapters)

    def add(self, torrent: Torrent) -> None:
        """Let connections in for this torrent."""
        self.torrents[torrent.metainfo.info_hash] = torrent

    def remove(self, torrent: Torrent) -> None:
        """No longer."""
        self.torrents.pop(torrent.metainfo.info_hash, None)

    def may_dial(self) -> bool:
        """Whether one connection more may be tried."""
        return self._dialling < self._half_open and self.count + self._dialling < self._connections

    def dial(self, torrent: Torrent, place: Place, timeout: float) -> Deferred[None]:
        """Try an address; the Deferred fires, without a value, when it is settled whether somebody is there."""
        return Deferred.fromCoroutine(self._dial(torrent, place, timeout))

    async def drain(self, deadline: float) -> None:
        """End all connections."""
        for factory in (self.factory, self._outgoing):
            await factory.drain(deadline)

    async def _dial(self, torrent: Torrent, place: Place, timeout: float) -> None:
        self._dialling += 1
        try:
            adapter = await connect_stream(self._outgoing, *place, timeout=timeout, local=self._local)
        except (ConnectFailed, CancelledError):
            torrent.failed(place)
            return
        finally:
            self._dialling -= 1
        adapter.data = _Called(torrent, place)
        adapter.send(torrent.greeting())

    # -- the stream factories' callbacks

    def _connection(self, channel: Channel) -> PeerConnection:
        return PeerConnection(self.runtime.clock.seconds(), self._limits)

    def _heard(self, message: Message, body: Body, adapter: StreamAdapter) -> None:
        link = adapter.data
        if type(link) is Link:
            link.heard(message)
        elif isinstance(message, Handshake):
            self._greeted(message, adapter)

    def _greeted(self, theirs: Handshake, adapter: StreamAdapter) -> None:
        called: Any = adapter.data
        if called is not None:
            called.torrent.greeted(adapter, theirs, called.place, outgoing=True)
            return
        torrent = self.torrents.get(theirs.info_hash)
        if torrent is None:
            self.unknown += 1
            adapter.close("a torrent that is not here")
        elif self.count > self._connections:
            adapter.close("too many connections")
        else:
            torrent.greeted(adapter, theirs, adapter.channel.peer, outgoing=False)

    def _writable(self, adapter: StreamAdapter) -> None:
        link = adapter.data
        if type(link) is Link:
            link.uploads.serve()
            link.downloads.ask()

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        data: Any = adapter.data
        if type(data) is Link:
            data.torrent.left(data)
        elif data is not None:
            data.torrent.failed(data.place)
