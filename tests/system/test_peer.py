"""The peer as people run it: processes of their own around our tracker, in folders of their own."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from netsuite.bittorrent.creation import create
from netsuite.bittorrent.metainfo import parse
from netsuite.bittorrent.wire.announce import read_scrape_reply, scrape_url
from tests.system.running import NETSUITE, PATIENCE, TWISTD, Running, call, environment, folder, free_port, until

SIZE = 3 << 20


class PeerCase(TestCase):
    """A tracker, and a file with its torrent in ``seed``."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.track = free_port()
        self.content = random.Random(1).randbytes(SIZE)
        (self.folder / "seed").mkdir()
        (self.folder / "seed/artifact.bin").write_bytes(self.content)

    def torrent(self, scheme: str = "http", name: str = "artifact.bin") -> Path:
        """The torrent file of something in ``seed``."""
        path = self.folder / f"{name}.torrent"
        path.write_bytes(create(self.folder / "seed" / name, trackers=[[self.url(scheme)]]))
        return path

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.track}/announce"

    def start(self, plugin: str, *arguments: str) -> Running:
        """A server with data of its own."""
        where = self.folder / f"run-{free_port()}"
        where.mkdir()
        running = Running(plugin, *arguments, cwd=where)
        self.addCleanup(running.__exit__, None, None, None)
        running.where = where
        return running.ready()

    def tracker(self) -> Running:
        return self.start("netsuite-tracker", "--http", f"127.0.0.1:{self.track}", "--udp", str(self.track))

    def peer(self, *arguments: str | Path, **settings: object) -> Running:
        sets = [word for key, value in settings.items() for word in ("--set", f"peer.{key}={value}")]
        return self.start("netsuite-peer", "--listen", str(free_port()), *map(str, arguments), *sets)

    def ends_well(self, *running: Running) -> None:
        for each in running:
            self.assertEqual(each.end(), 0, each.said())
            self.assertEqual(each.complaint(), "")

    def health(self, running: Running) -> str:
        """What is said of the peer's health."""
        return str(self.status(running)["detail"])

    def status(self, running: Running) -> dict[str, Any]:
        """What ``netsuite status`` says of the peer."""
        told = call(NETSUITE, "status", "--json", cwd=running.where)
        services = json.loads(told.stdout)["services"]
        found: dict[str, Any] = next(each for each in services if each["name"] == "peer")
        return found

    def whole(self, path: Path) -> bool:
        return path.exists() and path.read_bytes() == self.content


class Downloads(PeerCase):
    """From a seed to a leecher, through our tracker."""

    def exchange(self, scheme: str) -> None:
        torrent = self.torrent(scheme)
        tracker = self.tracker()
        seed = self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed")
        leecher = self.peer("--torrent", torrent, "--save", self.folder / "copy")
        until("the download", lambda: self.whole(self.folder / "copy/artifact.bin"))
        until("the leecher to seed", lambda: "1 seeding" in self.health(leecher))
        figures = {each["name"]: each["value"] for each in self.status(seed)["figures"]}
        self.assertEqual((figures["torrents"], figures["bytes uploaded"]), (1, SIZE))
        self.assertIn("artifact.bin: whole", leecher.said())
        scraped = scrape_url(self.url(), [parse(torrent.read_bytes()).info_hash])
        with urllib.request.urlopen(scraped, timeout=PATIENCE) as answer:
            ((_, tally),) = read_scrape_reply(answer.read()).items()
        self.assertEqual((tally.seeds, tally.downloaded, tally.leechers), (2, 1, 0))
        self.ends_well(leecher, seed)
        with urllib.request.urlopen(scraped, timeout=PATIENCE) as answer:
            tallies = read_scrape_reply(answer.read())
        self.assertEqual(sum(each.seeds + each.leechers for each in tallies.values()), 0)
        self.ends_well(tracker)

    def test_over_http(self) -> None:
        self.exchange("http")

    def test_over_udp(self) -> None:
        self.exchange("udp")

    def test_who_leaves_when_whole_ends_by_itself_and_is_counted(self) -> None:
        torrent = self.torrent()
        tracker = self.tracker()
        seed = self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed")
        leecher = self.peer("--torrent", torrent, "--save", self.folder / "copy", "--leave")
        self.assertEqual(leecher.ended(), 0, leecher.said())
        self.assertTrue(self.whole(self.folder / "copy/artifact.bin"))
        scraped = scrape_url(self.url(), [parse(torrent.read_bytes()).info_hash])
        with urllib.request.urlopen(scraped, timeout=PATIENCE) as answer:
            ((_, tally),) = read_scrape_reply(answer.read()).items()
        self.assertEqual((tally.seeds, tally.downloaded, tally.leechers), (1, 1, 0))
        self.ends_well(seed, tracker)

    def test_who_leaves_when_whole_waits_for_all(self) -> None:
        (self.folder / "seed/other.bin").write_bytes(self.content[::-1])
        (self.folder / "copy").mkdir()
        (self.folder / "copy/artifact.bin").write_bytes(self.content)
        first, second = self.torrent(), self.torrent(name="other.bin")
        self.tracker()
        self.peer("--torrent", second, "--save", self.folder / "seed", "--seed")
        leecher = self.peer("--torrent", first, "--torrent", second, "--save", self.folder / "copy", "--leave")
        self.assertEqual(leecher.ended(), 0, leecher.said())
        self.assertEqual((self.folder / "copy/other.bin").read_bytes(), self.content[::-1])

    def test_a_limited_upload_takes_its_time(self) -> None:
        torrent = self.torrent()
        self.tracker()
        self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed", "--upload-limit", str(SIZE // 3))
        began = time.monotonic()
        leecher = self.peer("--torrent", torrent, "--save", self.folder / "copy", "--leave")
        self.assertEqual(leecher.ended(), 0, leecher.said())
        self.assertGreater(time.monotonic() - began, 2)

    def test_a_folder_of_several_files(self) -> None:
        album = self.folder / "seed/album/inner"
        album.mkdir(parents=True)
        parts = {"album/a.bin": self.content[:100_000], "album/inner/b.bin": self.content[:70_001], "album/empty": b""}
        for name, content in parts.items():
            (self.folder / "seed" / name).write_bytes(content)
        torrent = self.torrent(name="album")
        self.tracker()
        self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed")
        leecher = self.peer("--torrent", torrent, "--save", self.folder / "copy", "--leave")
        self.assertEqual(leecher.ended(), 0, leecher.said())
        for name, content in parts.items():
            self.assertEqual((self.folder / "copy" / name).read_bytes(), content, name)

    def test_a_peer_whose_tracker_comes_late_finds_it(self) -> None:
        torrent = self.torrent()
        seed = self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed")
        leecher = self.peer("--torrent", torrent, "--save", self.folder / "copy", "--leave")
        until("the trouble to be told", lambda: "127.0.0.1" in self.health(leecher))
        tracker = self.tracker()
        self.assertEqual(leecher.ended(60), 0, leecher.said())
        self.ends_well(seed, tracker)


class Folders(PeerCase):
    """Torrents that come into a folder, and go."""

    def watching(self, **settings: object) -> Running:
        self.torrents = self.folder / "torrents"
        return self.peer("--torrents", self.torrents, "--save", self.folder / "seed", **settings)

    def test_torrents_are_taken_up_as_they_come_and_left_when_they_go(self) -> None:
        self.tracker()
        running = self.watching(rescan=0.2)
        torrent = self.torrent().rename(self.torrents / "a.torrent")
        until("the torrent to be served", lambda: "1 seeding" in self.health(running))
        (self.torrents / "same.torrent").write_bytes(torrent.read_bytes())
        until("the other to be refused", lambda: "the same torrent as" in self.health(running))
        (self.torrents / "same.torrent").write_bytes(b"no torrent")
        until("the refusal", lambda: "same.torrent" in self.health(running))
        (self.torrents / "same.torrent").unlink()
        torrent.unlink()
        until("the torrent to be left", lambda: "no torrents" in self.health(running))
        self.assertTrue(self.whole(self.folder / "seed/artifact.bin"))
        self.ends_well(running)

    def test_hangup_looks_at_once(self) -> None:
        self.tracker()
        running = self.watching(rescan=3600)
        until("the first look", lambda: "no torrents" in self.health(running))
        self.torrent().rename(self.torrents / "a.torrent")
        running.send(signal.SIGHUP)
        until("the torrent to be served", lambda: "1 seeding" in self.health(running))
        self.assertIn("reload: peer: artifact.bin: taken up", running.said())
        self.ends_well(running)

    def test_files_of_the_same_names_are_not_mixed_up(self) -> None:
        first = self.torrent().rename(self.folder / "first.torrent")
        (self.folder / "seed/artifact.bin").write_bytes(self.content[::-1])
        second = self.torrent()
        running = self.peer("--torrent", first, "--torrent", second, "--save", self.folder / "seed")
        until("the refusal", lambda: "files of the same names" in self.health(running))
        self.ends_well(running)


class Seeds(PeerCase):
    """Who says that everything is there is believed after a look."""

    def test_a_wrong_piece_is_told_and_nothing_is_served_or_changed(self) -> None:
        torrent = self.torrent()
        wrong = self.content[:-1] + bytes([self.content[-1] ^ 1])
        (self.folder / "seed/artifact.bin").write_bytes(wrong)
        running = self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed")
        until("the complaint", lambda: "pieces are missing or wrong" in running.said())
        health = self.health(running)
        self.assertIn("1 of ", health)
        self.assertIn("without --seed", health)
        self.ends_well(running)
        self.assertEqual((self.folder / "seed/artifact.bin").read_bytes(), wrong)

    def refused(self, *arguments: str | Path) -> str:
        running = Running(
            "netsuite-peer", *map(str, arguments), cwd=self.folder, NETSUITE_PEER__LISTEN=str(free_port())
        )
        self.addCleanup(running.__exit__, None, None, None)
        self.assertEqual(running.ended(), 1)
        complaint = running.complaint()
        self.assertEqual(complaint.count("\n"), 1, complaint)
        return complaint

    def test_what_is_missing_or_has_another_size_ends_the_start(self) -> None:
        torrent = self.torrent()
        said = self.refused("--torrent", torrent, "--save", self.folder / "elsewhere", "--seed")
        self.assertIn("elsewhere/artifact.bin: No such file or directory", said)
        (self.folder / "seed/artifact.bin").write_bytes(b"short")
        said = self.refused("--torrent", torrent, "--save", self.folder / "seed", "--seed")
        self.assertIn(f"has 5 bytes instead of {SIZE}", said)

    def test_one_line_for_what_cannot_be_started(self) -> None:
        (self.folder / "bad.torrent").write_bytes(b"d4:infodee")
        self.assertIn("bad.torrent", self.refused("--torrent", self.folder / "bad.torrent"))
        self.assertIn("none.torrent", self.refused("--torrent", self.folder / "none.torrent"))
        with socket.create_server(("127.0.0.1", 0)) as busy:
            where = f"127.0.0.1:{busy.getsockname()[1]}"
            self.assertEqual(
                self.refused("--set", f'peer.listen=["{where}"]'),
                f"{where} is already in use; choose another address with --listen or peer.listen\n",
            )
        torrent = self.torrent()
        self.assertIn("peer.save", self.refused("--torrent", torrent, "--save", torrent))
        self.assertIn("peer.torrents", self.refused("--torrents", torrent))


class Terminal(PeerCase):
    """What somebody at a terminal sees."""

    def test_a_bar(self) -> None:
        torrent = self.torrent()
        self.tracker()
        self.peer("--torrent", torrent, "--save", self.folder / "seed", "--seed", "--upload-limit", str(SIZE // 2))
        ours, theirs = pty.openpty()
        options = [
            "--listen",
            str(free_port()),
            "--torrent",
            str(torrent),
            "--save",
            str(self.folder / "copy"),
            "--leave",
        ]
        process = subprocess.Popen(
            [*TWISTD, "-n", "--pidfile=", "netsuite-peer", *options],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.STDOUT,
        )
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
        finally:
            os.close(ours)
        self.assertEqual(process.wait(PATIENCE), 0, shown)
        self.assertRegex(shown, rb"artifact\.bin  \[#+\.+\] +\d+ %")
        self.assertTrue(self.whole(self.folder / "copy/artifact.bin"))
