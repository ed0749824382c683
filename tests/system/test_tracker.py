"""``twistd netsuite-tracker`` as its operator lives with it: killed, spoiled, reloaded, full."""

from __future__ import annotations

import signal
import socket
import urllib.request
from pathlib import Path

from twisted.trial.unittest import TestCase

from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import (
    Announce,
    AnnounceReply,
    Failure,
    announce_url,
    read_reply,
    read_scrape_reply,
    scrape_url,
)
from tests.system.running import TWISTD, Running, call, folder, free_port, until

HASH, OTHER = bytes(range(20)), bytes(range(20, 40))


class TrackerCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        entered = folder()
        self.folder: Path = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port = free_port()

    def start(self, *words: str) -> Running:
        at = f"127.0.0.1:{self.port}"
        running = Running("netsuite-tracker", "--http", at, "--udp", at, *words, cwd=self.folder)
        self.addCleanup(running.__exit__, None, None, None)
        return running.ready()

    def fetch(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return bytes(reply.read())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/announce"

    def announce(self, port: int, *, info_hash: bytes = HASH, left: int = 1) -> AnnounceReply | Failure:
        said = Announce(info_hash, b"-XX0000-%012d" % port, port, left=left)
        return read_reply(self.fetch(announce_url(self.url, said)))

    def counted(self, info_hash: bytes = HASH) -> tuple[int, int]:
        found = read_scrape_reply(self.fetch(str(scrape_url(self.url, [info_hash]))))
        assert isinstance(found, dict)
        return found[info_hash].seeds, found[info_hash].leechers

    @property
    def snapshot(self) -> Path:
        return self.folder / "netsuite-data/tracker/swarms"


class Kept(TrackerCase):
    def test_swarms_outlive_a_stop(self) -> None:
        first = self.start()
        for port in range(7000, 7100):
            self.announce(port, left=port % 2)
        self.assertEqual(first.end(), 0, first.said())
        second = self.start()
        self.assertEqual(self.counted(), (50, 50))
        self.assertEqual(second.end(), 0)
        self.assertEqual(second.complaint(), "")

    def test_a_killed_tracker_has_lost_one_period_at_most(self) -> None:
        first = self.start("--set", "tracker.snapshot=1")
        for port in range(7000, 7050):
            self.announce(port)
        before = self.snapshot.stat().st_mtime_ns if self.snapshot.exists() else 0
        # the second that was written since holds everything that was announced before the first began
        until("a snapshot", lambda: self.snapshot.exists() and self.snapshot.stat().st_mtime_ns > before)
        written = self.snapshot.stat().st_mtime_ns
        until("another", lambda: self.snapshot.stat().st_mtime_ns > written)
        self.announce(8000)
        first.send(signal.SIGKILL)
        first.ended()
        self.start()
        self.assertIn(self.counted(), ((0, 50), (0, 51)))

    def test_a_spoiled_snapshot_is_told_and_not_used(self) -> None:
        first = self.start()
        self.announce(7000)
        self.assertEqual(first.end(), 0)
        whole = self.snapshot.read_bytes()
        for spoiled in (whole[:-5], b"", b"rubbish" * 100, whole[:60] + b"\xff" + whole[61:]):
            self.snapshot.write_bytes(spoiled)
            again = self.start()
            self.assertIn("the snapshot of the swarms is not used", again.said())
            self.assertEqual(self.counted(), (0, 0))
            self.announce(7001)
            self.assertEqual(again.end(), 0)
            self.assertEqual(again.complaint(), "")
        self.start()
        self.assertEqual(self.counted(), (0, 1))

    def test_connection_ids_outlive_a_restart(self) -> None:
        first = self.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.connect(("127.0.0.1", self.port))
            sock.send(udp.connect_request(1))
            ident = udp.read_connect_reply(sock.recv(100))
            assert isinstance(ident, int)
            self.assertEqual(first.end(), 0)
            self.start()
            sock.send(udp.announce_request(ident, 2, Announce(HASH, bytes(20), 7000, left=1)))
            reply = udp.read_announce_reply(sock.recv(2000), ipv6=False)
        self.assertIsInstance(reply, AnnounceReply)

    def test_two_do_not_share_a_folder(self) -> None:
        self.start()
        at = f"127.0.0.1:{free_port()}"
        second = call(TWISTD, "-n", "--pidfile=", "netsuite-tracker", "--listen", at, cwd=self.folder)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn("in use by process", second.stdout + second.stderr)


class Ruled(TrackerCase):
    def test_lists_are_read_again_on_sighup(self) -> None:
        allowed = self.folder / "allowed"
        allowed.write_text(f"{HASH.hex()}\n{OTHER.hex()}\n")
        tracker = self.start("--allow-torrents", str(allowed))
        self.announce(7000)
        self.announce(7000, info_hash=OTHER)
        allowed.write_text(f"{OTHER.hex()}\n")
        tracker.send(signal.SIGHUP)
        until("the list is read", lambda: "1 swarms were dropped" in tracker.said())
        refused = self.announce(7000)
        assert isinstance(refused, Failure)
        self.assertEqual(refused.reason, "this torrent is not served here")
        self.assertEqual(self.counted(OTHER), (0, 1))
        allowed.write_text("this is no hash\n")
        tracker.send(signal.SIGHUP)
        until("the list is refused", lambda: "the lists of torrents stay as they were" in tracker.said())
        self.assertIsInstance(self.announce(7001, info_hash=OTHER), AnnounceReply)
        self.assertEqual(tracker.end(), 0)

    def test_a_list_that_is_none_ends_the_start(self) -> None:
        (self.folder / "list").write_text("what?\n")
        words = ("netsuite-tracker", "--listen", str(self.port), "--allow-torrents", str(self.folder / "list"))
        done = call(TWISTD, "-n", "--pidfile=", *words, cwd=self.folder)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("list:1: this is no info-hash", done.stdout + done.stderr)

    def test_a_port_in_use_is_named_with_the_option_that_changes_it(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            done = call(TWISTD, "-n", "--pidfile=", "netsuite-tracker", "--http", str(self.port), cwd=self.folder)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("choose another address with --http or tracker.http", done.stdout + done.stderr)
