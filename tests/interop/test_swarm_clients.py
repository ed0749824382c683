"""Swarms of real programs on loopback around our tracker: ours, libtorrent, aria2 and Transmission."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.interop import libtorrent_peer
from tests.system.running import Running, free_port, until
from tests.system.test_peer import PeerCase

PATIENCE = 90.0
"""Transmission looks every ten seconds only whether it wants anything of anybody."""

ARIA2 = (
    "--no-conf=true --enable-dht=false --enable-dht6=false --bt-enable-lpd=false --enable-peer-exchange=false "
    "--interface=127.0.0.1 --disable-ipv6=true --bt-tracker-interval=3 --file-allocation=none --seed-time=60 "
    "--check-integrity=true --console-log-level=error --summary-interval=0"
)
TRANSMISSION = {
    "bind-address-ipv4": "127.0.0.1",
    "dht-enabled": False,
    "encryption": 0,
    "lpd-enabled": False,
    "peer-port-random-on-start": False,
    "pex-enabled": False,
    "port-forwarding-enabled": False,
    "utp-enabled": False,
}


class ForeignClients(PeerCase):
    """What each of them needs to be run beside ours."""

    def setUp(self) -> None:
        missing = [program for program in ("aria2c", "transmission-cli") if shutil.which(program) is None]
        if importlib.util.find_spec("libtorrent") is None:
            missing.append("libtorrent (of PyPI)")
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}")
        super().setUp()

    def tracker(self) -> Running:
        """Everyone is to ask again soon: who has asked already must hear of Transmission, which dials nobody."""
        port = str(self.track)
        often = ("--interval", "10", "--set", "tracker.min_interval=5")
        return self.start("netsuite-tracker", "--http", port, "--udp", port, *often)

    def save(self, name: str, *, whole: bool) -> Path:
        """The folder of one client, with the file in it or without."""
        folder = self.folder / name
        folder.mkdir()
        if whole:
            shutil.copy(self.folder / "seed/artifact.bin", folder)
        return folder

    def run_beside(self, name: str, *words: object) -> None:
        """Start a program; it ends with the test."""
        with (self.folder / f"{name}.txt").open("wb") as said:
            process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )

        def end() -> None:
            assert process.stdin is not None
            process.stdin.close()
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

        self.addCleanup(end)

    def libtorrent(self, torrent: Path, *, whole: bool = False) -> Path:
        save = self.save("libtorrent", whole=whole)
        self.run_beside("libtorrent", sys.executable, libtorrent_peer.__file__, torrent, save, free_port())
        return save / "artifact.bin"

    def aria2(self, torrent: Path, *, whole: bool = False) -> Path:
        """It asks over HTTP, since it speaks UDP to trackers only with its DHT on; the swarm is the same."""
        save = self.save("aria2", whole=whole)
        own = f"--listen-port={free_port()}", f"--dir={save}", "--bt-exclude-tracker=*", f"--bt-tracker={self.url()}"
        self.run_beside("aria2", "aria2c", *ARIA2.split(), *own, torrent)
        return save / "artifact.bin"

    def transmission(self, torrent: Path, *, whole: bool = False) -> Path:
        """It dials nobody on loopback, so somebody must hear of it from the tracker, and dial it."""
        save = self.save("transmission", whole=whole)
        home = self.folder / "transmission-home"
        home.mkdir()
        settings = {**TRANSMISSION, "peer-port": free_port()}
        (home / "settings.json").write_text(json.dumps(settings))
        port = str(settings["peer-port"])
        self.run_beside("transmission", "transmission-cli", "-g", home, "-w", save, "-p", port, torrent)
        return save / "artifact.bin"

    def ours(self, name: str, torrent: Path) -> Path:
        save = self.save(name, whole=False)
        self.running = self.peer("--torrent", torrent, "--save", save)
        return save / "artifact.bin"

    def all_get_it(self, *paths: Path) -> None:
        for path in paths:
            try:
                until(f"the whole file in {path.parent.name}", lambda path=path: self.whole(path), PATIENCE)
            except AssertionError:
                said = self.folder / f"{path.parent.name}.txt"
                raise AssertionError(
                    f"{path.parent.name} did not get the file: {said.read_text()[-2000:] if said.exists() else ''}"
                ) from None


class SwarmTests(ForeignClients):
    """Who comes and goes, over either kind of tracker."""

    def a_swarm_in_which_we_seed_and_leave(self, scheme: str) -> None:
        tracker = self.tracker()
        torrent = self.torrent(scheme)
        seed = self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed")
        foreign = [self.transmission(torrent), self.libtorrent(torrent), self.aria2(torrent)]
        first = self.ours("first", torrent)
        leecher = self.running
        self.all_get_it(first, *foreign)
        # all that is left of the swarm is foreign, and one of ours comes anew
        self.ends_well(seed, leecher)
        late = self.ours("late", torrent)
        self.all_get_it(late)
        self.ends_well(self.running, tracker)

    def test_over_http(self) -> None:
        self.a_swarm_in_which_we_seed_and_leave("http")

    def test_over_udp(self) -> None:
        self.a_swarm_in_which_we_seed_and_leave("udp")


class DirectionTests(ForeignClients):
    """Each of them alone as the seed; ours is the leecher, and serves the others then."""

    def from_a_foreign_seed(self, seeds: str) -> None:
        tracker = self.tracker()
        torrent = self.torrent()
        getattr(self, seeds)(torrent, whole=True)
        first = self.ours("first", torrent)
        self.all_get_it(first)
        self.ends_well(self.running, tracker)

    def test_from_libtorrent(self) -> None:
        self.from_a_foreign_seed("libtorrent")

    def test_from_aria2(self) -> None:
        self.from_a_foreign_seed("aria2")

    def test_from_transmission(self) -> None:
        self.from_a_foreign_seed("transmission")
