"""Whole swarms on one machine and a fake clock: production peers on the in-memory network, with everything seeded.

Each :class:`Member` is a peer as it runs in production (listener, torrent, picker, choker, piece store), on a host of
its own with its files in memory. What is simulated is what lies around it: the network, the time, the disk, and who
tells peers of one another::

    swarm = Swarm(pieces=64, piece_length=32768, conduct=Conduct().scaled(20))
    swarm.join("seed", has=1.0, upload=400_000)
    for number in range(50):
        swarm.join(f"peer {number}", upload=100_000)
    swarm.finish(timeout=600)
    print(max(member.took for member in swarm.members.values()))

With the same seed the same happens again, to the byte: ``Swarm(..., recorded=True)`` keeps a digest of all that was
sent (:meth:`Swarm.digest`). A swarm of 200 with 2 MB each takes some ten seconds of CPU. :meth:`Conduct.scaled` makes
the clocks of the protocol (rounds, windows) run faster, so that a short download has many rounds.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from typing import Any

from netsuite.bittorrent.metainfo import File, Metainfo
from netsuite.bittorrent.peer.addresses import Place
from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.peer.pieces import PieceStore
from netsuite.bittorrent.peer.server import PeerServer, make_peer_id
from netsuite.bittorrent.peer.torrent import Torrent
from netsuite.common.commons import Runtime
from netsuite.common.threads import Inline
from netsuite.testing.folders import MemoryFolder
from netsuite.testing.network import Host, Link, Network

__all__ = ["Member", "Swarm"]

PORT = 6881
_NAME = "content"


class Member:
    """One peer of a swarm; made by :meth:`Swarm.join`.

    ``torrent``, ``store`` and ``server`` are its parts, ``folder`` its disk, ``host`` its machine. ``joined`` and
    ``finished`` are times of the network; ``finished`` is None until it has everything.
    """

    def __init__(
        self,
        name: str,
        host: Host,
        metainfo: Metainfo,
        content: bytes,
        conduct: Conduct,
        rng: random.Random,
        upload: float | None,
        download: float | None,
        stays: bool,
    ) -> None:
        runtime = Runtime(host, host, rng)
        address = host.addresses[0]
        self.name = name
        self.host = host
        self.place: Place = address, PORT
        self.server = PeerServer(runtime, make_peer_id(rng), upload=upload, download=download, local=address)
        self.server.port = PORT
        self.folder = MemoryFolder()
        if content:
            self.folder.put((_NAME,), content)
        self.store = PieceStore(metainfo, self.folder, Inline(), host)
        self.torrent = Torrent(metainfo, self.store, self.server, conduct, on_complete=self._complete)
        self.joined = host.seconds()
        self.finished: float | None = None
        self.present = True
        self._stays = stays
        self._port: Any = host.listenTCP(PORT, self.server.factory, interface=address)

    @property
    def took(self) -> float:
        """Seconds from its joining until it had everything; ValueError if it has not."""
        if self.finished is None:
            raise ValueError(f"{self.name} has {self.store.have.count} of {self.store.have.length} pieces")
        return self.finished - self.joined

    @property
    def content(self) -> bytes:
        """What lies on its disk."""
        return self.folder.read((_NAME,), 0, self.torrent.metainfo.length)

    def rot(self) -> None:
        """All bytes on its disk change, and it does not notice: from now on it sends wrong blocks."""
        self.folder.put((_NAME,), bytes(byte ^ 0xFF for byte in self.content))

    def leave(self) -> None:
        """Its program ends: every connection is closed, and nobody listens any more."""
        if self.present:
            self.present = False
            self.torrent.stop()
            self._port.stopListening()

    def _complete(self) -> None:
        self.finished = self.host.seconds()
        if not self._stays:
            self.host.callLater(0, self.leave)


class Swarm:
    """A torrent of ``pieces`` pieces of chance, and who takes part in it.

    ``neighbours`` is how many others a member is told of when it joins, and again every ``interval`` seconds until it
    is complete, as a tracker would. ``network`` is one with the link that lies between all hosts; a fresh one has
    10 ms of latency and no other limit.
    """

    def __init__(
        self,
        *,
        pieces: int = 64,
        piece_length: int = 32768,
        conduct: Conduct = Conduct(),
        seed: int = 0,
        neighbours: int = 20,
        interval: float = 30.0,
        network: Network | None = None,
        recorded: bool = False,
    ) -> None:
        if network is None:
            network = Network(seed=seed, link=Link(latency=0.01, window=256 << 10))
        self.network = network
        self.members: dict[str, Member] = {}
        self.content = random.Random(f"content {seed}").randbytes(pieces * piece_length)
        self.metainfo = _metainfo(self.content, piece_length)
        self._conduct = conduct
        self._seed = seed
        self._rng = random.Random(f"swarm {seed}")
        self._neighbours = neighbours
        self._interval = interval
        self._digest = hashlib.sha256()
        if recorded:
            network.tap = self._record

    def join(
        self,
        name: str,
        *,
        has: float = 0.0,
        upload: float | None = None,
        download: float | None = None,
        conduct: Conduct | None = None,
        stays: bool = True,
    ) -> Member:
        """Somebody comes who has this share of the pieces (chance says which), with limits in bytes a second.

        One that does not stay leaves as soon as it has everything.
        """
        if name in self.members:
            raise ValueError(f"{name} is there already")
        number = len(self.members) + 1
        host = self.network.host(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
        member = Member(
            name,
            host,
            self.metainfo,
            self._part(has),
            self._conduct if conduct is None else conduct,
            random.Random(f"member {self._seed} {number}"),
            upload,
            download,
            stays,
        )
        self.network.result(member.store.open())
        if member.store.have.full:
            member.finished = member.joined
        self.members[name] = member
        member.torrent.start()
        self._introduce(member)
        return member

    def leave(self, name: str) -> None:
        """Somebody goes for good."""
        self.members[name].leave()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.network.advance(seconds)

    def until(self, condition: Callable[[], object], timeout: float) -> None:
        """Let time pass until a condition holds (it is looked at ten times a second).

        AssertionError if it takes longer than ``timeout`` seconds.
        """
        end = self.network.clock.seconds() + timeout
        while not condition():
            if self.network.clock.seconds() >= end:
                there = sum(member.store.have.count for member in self.members.values())
                raise AssertionError(f"nothing came of it in {timeout} seconds; {there} pieces are there")
            self.network.advance(0.1)

    def finish(self, timeout: float) -> None:
        """Let time pass until everyone who is still there has everything."""
        self.until(
            lambda: all(each.finished is not None or not each.present for each in self.members.values()), timeout
        )

    def copies(self) -> list[int]:
        """How many of those who are there have each piece."""
        counts = [0] * self.metainfo.piece_count
        for member in self.members.values():
            if member.present:
                for piece in member.store.have:
                    counts[piece] += 1
        return counts

    def partition(self, ones: list[Member], others: list[Member]) -> None:
        """Nothing passes between these two groups any more."""
        for one in ones:
            for other in others:
                self.network.partition(one.host, other.host)

    def heal(self, ones: list[Member], others: list[Member]) -> None:
        """All passes again."""
        for one in ones:
            for other in others:
                self.network.heal(one.host, other.host)

    def close(self) -> None:
        """Everyone leaves."""
        for member in self.members.values():
            member.leave()
        self.network.advance(1.0)

    def digest(self) -> str:
        """Of all that was sent so far, by whom, to whom and when (if ``recorded``)."""
        return self._digest.hexdigest()

    def _introduce(self, member: Member) -> None:
        if not member.present:
            return
        others = [each.place for each in self.members.values() if each.present and each is not member]
        member.torrent.found(self._rng.sample(others, min(self._neighbours, len(others))))
        if member.finished is None:
            member.host.callLater(self._interval, self._introduce, member)

    def _part(self, share: float) -> bytes:
        if not share:
            return b""
        data = bytearray(self.content)
        length = self.metainfo.piece_length
        for start in range(0, len(data), length):
            if self._rng.random() >= share:
                data[start : start + length] = bytes(length)
        return bytes(data)

    def _record(self, time: float, source: Place, target: Place, data: bytes) -> None:
        self._digest.update(struct.pack(">dI", time, len(data)) + f"{source}{target}".encode() + data)


def _metainfo(content: bytes, piece_length: int) -> Metainfo:
    pieces = b"".join(
        hashlib.sha1(content[at : at + piece_length], usedforsecurity=False).digest()
        for at in range(0, len(content), piece_length)
    )
    return Metainfo(
        info_hash=hashlib.sha1(pieces, usedforsecurity=False).digest(),
        name=_NAME,
        piece_length=piece_length,
        pieces=pieces,
        length=len(content),
        files=(File((_NAME,), 0, len(content)),),
    )
