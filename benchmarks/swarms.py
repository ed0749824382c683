"""``peer-loopback``: one file from one seed to one leecher, ours at both ends beside libtorrent at both ends."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from benchmarks.contest import OURS, Say
from benchmarks.load import LoadFailed
from benchmarks.ours import ROOT, TWISTD
from benchmarks.process import GENERATOR_CORE, SERVER_CORE, Running, free_port, running
from benchmarks.results import Case, Figure, Growth, Ratio, Result
from netsuite.bittorrent.creation import create

__all__ = ["PeerLoopback"]

MEGABYTE = 1 << 20
PIECE = 256 << 10
PATIENCE = 120.0
SETTLED = 0.5
"""Seconds after the last piece in which work may still be done, which counts."""


class _Tracker:
    """Knows one seed; a leecher's first answer waits for :meth:`go`, and its last word is what :meth:`whole` awaits."""

    def __init__(self) -> None:
        tracker = self

        class Announce(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tracker.answer(self)

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Announce)
        self._server.daemon_threads = True
        self.seed = 0
        self.port: int = self._server.server_address[1]
        self._asked, self._go, self._whole = threading.Event(), threading.Event(), threading.Event()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        query = urlsplit(request.path).query
        peers = b""
        if "event=completed" in query:
            self._whole.set()
        elif f"port={self.seed}&" not in f"{query}&" and "event=stopped" not in query:
            self._asked.set()
            self._go.wait(PATIENCE)
            peers = bytes((127, 0, 0, 1)) + self.seed.to_bytes(2, "big")
        body = b"d8:intervali1800e5:peers%d:%se" % (len(peers), peers)
        with contextlib.suppress(OSError):
            request.send_response(200)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

    def __enter__(self) -> _Tracker:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._server.shutdown()
        self._server.server_close()

    def expect(self, seed: int) -> None:
        """A new swarm."""
        self.seed = seed
        for event in (self._asked, self._go, self._whole):
            event.clear()

    def asked(self) -> None:
        """Wait until the leecher wants to begin."""
        if not self._asked.wait(PATIENCE):
            raise LoadFailed("the leecher did not ask the tracker")

    def go(self) -> float:
        """Let it begin; the seconds until it says that it is whole."""
        began = time.monotonic()
        self._go.set()
        if not self._whole.wait(PATIENCE):
            raise LoadFailed(f"the leecher was not whole after {PATIENCE:.0f} seconds")
        return time.monotonic() - began


@attrs.frozen
class _Peer:
    """A client that is measured: ``command(torrent, folder, port, seed, home)``; ``package`` is what it needs."""

    name: str
    package: str
    command: Callable[[Path, Path, int, bool, Path], Sequence[str | Path]]

    def missing(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return None if importlib.util.find_spec(self.package) else f"{self.package} is not installed"

    def version(self) -> str:
        """What its package is called."""
        return importlib.metadata.version(self.package)


@attrs.frozen
class _Scene:
    """A torrent, its content in a seed's folder, and the tracker."""

    torrent: Path
    content: Path
    size: int
    digest: str
    tracker: _Tracker


def _ours(torrent: Path, folder: Path, port: int, seed: bool, home: Path) -> Sequence[str | Path]:
    return [
        TWISTD, "-n", "--pidfile=", "netsuite-peer", "--set", f"common.data={home / 'data'}",
        "--torrent", torrent, "--save", folder, "--listen", f"127.0.0.1:{port}", *(["--seed"] if seed else []),
    ]  # fmt: skip


def _libtorrent(torrent: Path, folder: Path, port: int, seed: bool, home: Path) -> Sequence[str | Path]:
    return [sys.executable, "-m", "benchmarks.libtorrent_peer", torrent, folder, str(port), *(["seed"] if seed else [])]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class PeerLoopback:
    """Every transfer between two processes just started, each on a core of its own."""

    name = "peer-loopback"
    title = "BitTorrent from one seed to one leecher"
    what_grows = "MiB in the torrent"
    size = 1000
    sizes = (10, 100, 1000)
    unit = "MiB per second of CPU"
    lower_is_better = False
    by_rate = False
    cases = ("both ends", "the seed", "the leecher")
    notes = (
        "One file of 1,000 MiB in pieces of 256 KiB, TCP, no encryption, the same disk for both ends; the seed on one "
        "core, the leecher on the other. CPU is counted from the tracker's answer to the leecher until half a second "
        "after its last word. Both leechers hash every piece; ours also syncs its files and records what it has, "
        "libtorrent leaves that to the system, whose kernel threads are not counted for either. libtorrent's seed does "
        "not check its file at the start, ours does, before it is measured."
    )

    def missing(self) -> str | None:
        """Nothing is needed but ours."""
        return None

    def contenders(self) -> Sequence[_Peer]:
        """Ours and libtorrent."""
        return _Peer(OURS, OURS, _ours), _Peer("libtorrent", "libtorrent", _libtorrent)

    @contextlib.contextmanager
    def scene(self, place: Path, size: int) -> Iterator[_Scene]:
        """A torrent of so many MiB, and a tracker for it."""
        folder = place / "seed"
        folder.mkdir(parents=True)
        content = folder / f"content-{size}.bin"
        rng = random.Random(size)
        with content.open("wb") as file:
            for _ in range(size):
                file.write(rng.randbytes(MEGABYTE))
        with _Tracker() as tracker:
            torrent = place / "content.torrent"
            announce = f"http://127.0.0.1:{tracker.port}/announce"
            torrent.write_bytes(create(content, trackers=[(announce,)], piece_length=PIECE))
            os.sync()
            yield _Scene(torrent, content, size, _digest(content), tracker)

    def transfer(self, peer: _Peer, scene: _Scene) -> tuple[dict[str, Figure], float]:
        """One transfer: figures of both ends, of the seed and of the leecher, and the seconds until both had started.

        Raises LoadFailed if what arrived is not what was sent.
        """
        environment = {"PYTHONPATH": str(ROOT)}
        with tempfile.TemporaryDirectory(dir=scene.torrent.parent) as name, contextlib.ExitStack() as stack:
            home = Path(name)
            processes: list[Running] = []
            ports = (free_port(), free_port())
            scene.tracker.expect(ports[0])
            for role, core, port in (("seed", SERVER_CORE, ports[0]), ("leecher", GENERATOR_CORE, ports[1])):
                place = home / role
                save = scene.content.parent if role == "seed" else home / "saved"
                place.mkdir()
                save.mkdir(exist_ok=True)
                command = peer.command(scene.torrent, save, port, role == "seed", place)
                processes.append(stack.enter_context(running(command, place, port, core=core, environment=environment)))
            scene.tracker.asked()
            time.sleep(SETTLED)
            before = [process.cpu_seconds() for process in processes]
            seconds = scene.tracker.go()
            time.sleep(SETTLED)
            used = [process.cpu_seconds() - began for process, began in zip(processes, before, strict=True)]
            peaks = [process.peak_bytes() for process in processes]
            started = sum(process.start_seconds for process in processes)
            for process in processes:
                process.check()
            if _digest(home / "saved" / scene.content.name) != scene.digest:
                raise LoadFailed(f"{peer.name}: what arrived is not what was sent")
        return {
            case: Figure(scene.size / cpu, scene.size / seconds, cpu, peak, 0.0, scene.size)
            for case, cpu, peak in zip(self.cases, (sum(used), *used), (max(peaks), *peaks), strict=True)
        }, started

    def run(self, *, pairs: int, growth: bool, say: Say) -> Result:
        """Measure what is installed."""
        peers = [peer for peer in self.contenders() if not peer.missing()]
        skipped = {peer.name: why for peer in self.contenders() if (why := peer.missing())}
        figures: dict[str, dict[str, list[Figure]]] = {case: {peer.name: [] for peer in peers} for case in self.cases}
        grown = []
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name:
            place = Path(name)
            with self.scene(place / "pairs", self.size) as scene:
                for _ in range(pairs):
                    for peer in peers:
                        for case, figure in self.transfer(peer, scene)[0].items():
                            figures[case][peer.name].append(figure)
            shutil.rmtree(place / "pairs")
            for size in self.sizes if growth else ():
                with self.scene(place / f"size-{size}", size) as scene:
                    for peer in peers:
                        runs = [self.transfer(peer, scene) for _ in range(3)]
                        found, started = sorted(runs, key=lambda run: run[0][self.cases[0]].cpu_seconds)[1]
                        both = found[self.cases[0]]
                        grown.append(Growth(size, peer.name, 1 / both.per_cpu, both.peak_bytes, started))
        cases = [
            Case(
                case,
                runs,
                [
                    Ratio(other, [a.value / b.value for a, b in zip(runs[OURS], values, strict=True)])
                    for other, values in runs.items()
                    if other != OURS
                ],
            )
            for case, runs in figures.items()
        ]
        for each in cases:
            self._describe(each, say)
        versions = {peer.name: peer.version() for peer in peers}
        return Result.of(self, versions=versions, skipped=skipped, seconds=0, cases=cases, growth=grown)

    def _describe(self, case: Case, say: Say) -> None:
        say(f"{self.name}, {case.name}")
        for ratio in case.ratios:
            say(
                f"  {self.unit}: {ratio.median:.2f} of {ratio.peer}"
                f" ({ratio.lowest:.2f} to {ratio.highest:.2f}, {len(ratio.values)} pairs)"
            )
        for name, runs in case.figures.items():
            say(
                f"  {name:16} {statistics.median(f.value for f in runs):9,.0f} MiB a CPU second,"
                f" {statistics.median(f.rate for f in runs):9,.0f} MiB/s,"
                f" {statistics.median(f.cpu_seconds for f in runs):5.2f} CPU s a run,"
                f" {max(f.peak_bytes for f in runs) / 1e6:6.1f} MB peak"
            )
