"""A peer is killed again and again while it downloads: what its record claims is there, and in the end all of it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from twisted.trial.unittest import TestCase

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.creation import create
from netsuite.bittorrent.metainfo import Metainfo, parse
from netsuite.bittorrent.peer.disk import Disk
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.peer.resume import ResumeRecord
from tests.system.running import Running, folder, free_port, until

ROUNDS = 10
RATE = 4 << 20
SIZES = {"first.bin": 30_000_001, "empty": 0, "inner/second.bin": 70_000_000, "inner/third.bin": 12_345}


@contextlib.contextmanager
def tracker(seed: int) -> Iterator[str]:
    """The URL of one that knows a seed and nobody else."""
    body = b"d8:intervali1800e5:peers6:\x7f\0\0\1" + seed.to_bytes(2, "big") + b"e"

    class Announce(BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):  # who asked may have been killed
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_):
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Announce)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/announce"
    finally:
        server.shutdown()
        server.server_close()


class PeerKilled(TestCase):
    timeout = 150

    def claimed(self, metainfo: Metainfo, record: ResumeRecord, save: Path) -> int:
        """How many pieces the record claims; each of them is there, whatever else was written since."""
        claim = record.load()
        if claim is None:
            return 0
        disk = Disk(metainfo, Folder(save))
        pieces = list(Bitfield.from_bytes(claim.have, metainfo.piece_count))
        self.assertEqual(disk.check(pieces, bool), pieces)
        return len(pieces)

    def test_killed_while_downloading(self):
        chance = random.Random(4)
        with contextlib.ExitStack() as stack:
            base = stack.enter_context(folder())
            port = free_port()
            url = stack.enter_context(tracker(port))
            shared, save, data = base / "seed" / "shared", base / "save", base / "data"
            for name, size in SIZES.items():
                (shared / name).parent.mkdir(parents=True, exist_ok=True)
                (shared / name).write_bytes(chance.randbytes(size))
            torrent = base / "shared.torrent"
            torrent.write_bytes(create(shared, trackers=[(url,)], piece_length=1 << 16))
            metainfo = parse(torrent.read_bytes())
            record = ResumeRecord(data / "peer" / f"{metainfo.info_hash.hex()}.resume", metainfo.info_hash)

            def seed(limit: int) -> Running:
                return Running(
                    "netsuite-peer", "--torrent", str(torrent), "--save", str(base / "seed"), "--seed",
                    "--listen", str(port), "--upload-limit", str(limit), "--set", f"common.data={base / 'seed-data'}",
                    cwd=base,
                ).ready()  # fmt: skip

            def leecher(*more: str) -> Running:
                return Running(
                    "netsuite-peer", "--torrent", str(torrent), "--save", str(save), "--listen", str(free_port()),
                    "--set", f"common.data={data}", *more, cwd=base,
                ).ready()  # fmt: skip

            counts = []
            with seed(RATE):
                for _ in range(ROUNDS):
                    with leecher() as peer:
                        time.sleep(chance.uniform(0.1, 2.9))
                        self.assertEqual(peer.end(signal.SIGKILL), -signal.SIGKILL, peer.said())
                    counts.append(self.claimed(metainfo, record, save))
            self.assertEqual(counts, sorted(counts), "what was claimed once was lost")
            self.assertGreater(counts[-1], 0)
            self.assertLess(counts[-1], metainfo.piece_count, "the last life was to have something to do")
            with seed(0), leecher("--leave") as peer:
                self.assertEqual(peer.ended(), 0, peer.said())
            self.assertEqual(self.claimed(metainfo, record, save), metainfo.piece_count)
            for name in SIZES:
                before, after = (
                    hashlib.sha256((top / name).read_bytes()).digest() for top in (shared, save / "shared")
                )
                self.assertEqual(before, after, name)
            before = os.stat(save / "shared" / "first.bin").st_mtime_ns
            with seed(0), leecher() as peer:
                until("a record is trusted", lambda: "whole" in peer.said())
                peer.end()
            self.assertEqual(os.stat(save / "shared" / "first.bin").st_mtime_ns, before)
