"""Trackers: ``tracker-udp`` and ``tracker-http`` beside opentracker, asked by :mod:`benchmarks.tracker_clients`."""

from __future__ import annotations

import contextlib
import socket
import struct
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contest import Benchmark, Contender
from benchmarks.load import Load, LoadFailed, tracker
from benchmarks.ours import ours
from benchmarks.tracker_clients import SWARMS, announce, info_hash, request

__all__ = ["TrackerHttp", "TrackerUdp"]

WANTED = 50
"""Peers asked for, and given, in every answer."""


@attrs.frozen
class Crowd:
    """So many peers in all swarms together."""

    peers: int


def _ours(crowd: Crowd, folder: Path, port: int) -> Sequence[str | Path]:
    return ["--listen", f"127.0.0.1:{port}"]


def _opentracker(crowd: Crowd, folder: Path, port: int) -> Sequence[str | Path]:
    # it locks itself into this folder, and gives up root
    (folder / "torrents").write_text("".join(f"{info_hash(swarm).hex()}\n" for swarm in range(SWARMS)))
    where = ["-i", "127.0.0.1", "-p", str(port), "-P", str(port)]
    return ["opentracker", *where, "-d", folder, "-u", "nobody", "-w", "torrents"]


class TrackerUdp(Benchmark[Crowd]):
    """Announces over UDP of peers that are known, each answered with 50 others."""

    name = "tracker-udp"
    title = "Tracker: announces over UDP, 50 peers an answer"
    what_grows = "peers"
    size = 10_000
    sizes = (1_000, 10_000, 100_000)
    cases = ("known peers at random",)
    notes = (
        "Sixteen sockets an address, 10 announces in flight each; ten swarms. Every answer must name 50 peers. "
        "opentracker (Debian's) serves listed torrents only, may name the asker among the peers, and keeps nothing."
    )

    def contenders(self) -> Sequence[Contender[Crowd]]:
        """Ours and opentracker."""
        return (
            ours("netsuite-tracker", _ours),
            Contender("opentracker", "opentracker", ["dpkg-query", "-W", "opentracker"], _opentracker),
        )

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[Crowd]:
        """The peers exist only as what they say."""
        yield Crowd(size)

    def warm(self, scene: Crowd, case: str, port: int) -> None:
        """Announce everybody once."""
        tracker(port, "fill", scene.peers, WANTED)

    def sample(self, scene: Crowd, case: str, port: int) -> Any:
        """How many peers three known ones are given."""
        counts = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", port))
            sock.send(struct.pack(">QII", 0x41727101980, 0, 1))
            ident = sock.recv(64)[8:]
            for at in (1024, 1500, 2000):
                sock.send(ident + announce(at % SWARMS, at, WANTED))
                counts.append((len(sock.recv(4096)) - 20) // 6)
        return counts

    def load(self, scene: Crowd, case: str, port: int, seconds: float) -> Load:
        """Known peers at random."""
        return _counted(*tracker(port, "udp", scene.peers, WANTED, seconds))


class TrackerHttp(TrackerUdp):
    """The same over HTTP, a connection an announce, as peers do."""

    name = "tracker-http"
    title = "Tracker: announces over HTTP, a connection each, 50 peers an answer"
    notes = (
        "Thirty-two connections at a time, one announce each; ten swarms. Every answer must name 50 peers. Both close "
        "behind an answer. Ours adds Date, Server and the external address, and writes an access log where it is on "
        "(off here). opentracker (Debian's) serves listed torrents only and may name the asker among the peers."
    )

    def sample(self, scene: Crowd, case: str, port: int) -> Any:
        """How many peers three known ones are given."""
        counts = []
        for at in (1024, 1500, 2000):
            target = request(at % SWARMS, at, WANTED, port).split(b" ")[1].decode()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}", timeout=5) as reply:
                body = reply.read()
            counts.append(int(body.partition(b"5:peers")[2].partition(b":")[0]) // 6)
        return counts

    def load(self, scene: Crowd, case: str, port: int, seconds: float) -> Load:
        """Known peers at random."""
        return _counted(*tracker(port, "http", scene.peers, WANTED, seconds))


def _counted(load: Load, named: int, sent: int) -> Load:
    """The load, if what came was what was asked for."""
    if load.answers < 0.99 * sent:
        raise LoadFailed(f"{sent - load.answers} of {sent} announces were not answered")
    if named != WANTED * load.answers:
        raise LoadFailed(f"{named} peers in {load.answers} answers: not {WANTED} each")
    return load
