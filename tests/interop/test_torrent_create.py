"""Torrents made by ``netsuite torrent create``, read and checked by libtorrent, transmission-show and aria2."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import time
import warnings
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from netsuite.bittorrent.metainfo import read
from netsuite.cli import main

try:
    import libtorrent
except ImportError:
    libtorrent = None

PATIENCE = 60.0
OPTIONS = (
    "--tracker", "http://127.0.0.1:1/announce,udp://127.0.0.1:1/announce", "--tracker", "https://127.0.0.1:2/announce",
    "--private", "--piece-length", "32K", "--comment", "für alle", "--web-seed", "http://127.0.0.1:3/files/",
)  # fmt: skip


class Created(TestCase):
    """A folder with names and lengths that matter, and the torrent of it."""

    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        share = self.folder / "Grüße and more"
        (share / "sub" / "deep").mkdir(parents=True)
        for name, size in [("a", 1), ("b.bin", 100_000), ("empty", 0), ("sub/exact", 32768), ("sub/deep/文件", 65537)]:
            (share / name).write_bytes(os.urandom(size))
        self.share = share
        self.torrent = self.folder / "made.torrent"
        self.run_command("create", str(share), "-o", str(self.torrent), *OPTIONS)
        self.made = read(self.torrent)

    def run_command(self, *arguments: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(main(["torrent", *arguments]), 0)
        return out.getvalue()

    def program(self, *command: str) -> str:
        if shutil.which(command[0]) is None:
            raise SkipTest(f"{command[0]} is not installed")
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment, cwd=self.folder
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_libtorrent_reads_it(self) -> None:
        if libtorrent is None:
            raise SkipTest("libtorrent is not installed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            theirs = libtorrent.load_torrent_buffer(self.torrent.read_bytes())
            files = theirs.ti.files()
            self.assertEqual(str(theirs.ti.info_hashes().v1), self.made.info_hash.hex())
            self.assertFalse(theirs.ti.info_hashes().has_v2())
            self.assertTrue(theirs.ti.priv())
            self.assertEqual(theirs.ti.piece_length(), 32768)
            self.assertEqual(theirs.comment, "für alle")
            self.assertEqual(theirs.url_seeds, ["http://127.0.0.1:3/files/"])
            self.assertEqual(sorted(zip(theirs.tracker_tiers, theirs.trackers, strict=True)), [
                (0, "http://127.0.0.1:1/announce"), (0, "udp://127.0.0.1:1/announce"), (1, "https://127.0.0.1:2/announce"),
            ])  # fmt: skip
            self.assertEqual(
                [(files.file_path(index), files.file_size(index)) for index in range(files.num_files())],
                [("/".join(file.path), file.length) for file in self.made.files],
            )

    def test_libtorrent_finds_every_piece_in_the_folder(self) -> None:
        if libtorrent is None:
            raise SkipTest("libtorrent is not installed")
        session = libtorrent.session(
            {
                "listen_interfaces": "127.0.0.1:0",
                "enable_dht": False,
                "enable_lsd": False,
                "enable_upnp": False,
                "enable_natpmp": False,
                "dht_bootstrap_nodes": "",
            }
        )
        parameters = libtorrent.load_torrent_buffer(self.torrent.read_bytes())
        parameters.save_path = str(self.folder)
        parameters.trackers = []
        parameters.url_seeds = []
        handle = session.add_torrent(parameters)
        until = time.monotonic() + PATIENCE
        while not handle.status().is_seeding:
            self.assertLess(time.monotonic(), until, handle.status().state)
            time.sleep(0.02)
        self.assertEqual(handle.status().num_pieces, self.made.piece_count)

    def test_transmission_shows_it(self) -> None:
        shown = self.program("transmission-show", "made.torrent")
        for words in (
            f"Hash: {self.made.info_hash.hex()}",
            "Name: Grüße and more",
            "Comment: für alle",
            f"Piece Count: {self.made.piece_count}",
            "Piece Size: 32.00 KiB",
            "Privacy: Private torrent",
            "Tier #2",
            "https://127.0.0.1:2/announce",
            "Grüße and more/sub/deep/文件",
        ):
            self.assertIn(words, shown)

    def test_aria2_shows_and_checks_it(self) -> None:
        self.assertIn(
            f"Info Hash: {self.made.info_hash.hex()}", self.program("aria2c", "--no-conf=true", "-S", "made.torrent")
        )
        checked = self.program(
            "aria2c", "--no-conf=true", "--check-integrity=true", "--hash-check-only=true", "--seed-time=0",
            "--enable-dht=false", "--bt-enable-lpd=false", "--dir=.", "made.torrent",
        )  # fmt: skip
        self.assertIn("Verification finished successfully", checked)

    def test_a_torrent_of_libtorrents_own_is_verified(self) -> None:
        """The other way round: what libtorrent makes of the folder is read, and everything is found."""
        if libtorrent is None:
            raise SkipTest("libtorrent is not installed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for flags in (libtorrent.create_torrent.v1_only, 0):
                storage = libtorrent.file_storage()
                libtorrent.add_files(storage, str(self.share))
                maker = libtorrent.create_torrent(storage, 32768, flags=flags)
                libtorrent.set_piece_hashes(maker, str(self.folder))
                theirs = self.folder / "theirs.torrent"
                theirs.write_bytes(libtorrent.bencode(maker.generate()))
                self.assertIs(read(theirs).hybrid, not flags)
                said = self.run_command("verify", str(theirs), str(self.folder))
                count = read(theirs).piece_count
                self.assertEqual(said, f"{count} of {count} pieces right\n")
