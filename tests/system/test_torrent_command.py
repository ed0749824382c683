"""``netsuite torrent`` as a person uses it: on a terminal, in a pipe, interrupted."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess

from twisted.trial.unittest import TestCase

from netsuite.bittorrent.metainfo import read
from tests.system.running import NETSUITE, PATIENCE, environment, folder

LARGE = 96 << 20


class Torrent(TestCase):
    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        (self.folder / "share").mkdir()
        (self.folder / "share" / "a").write_bytes(b"a" * 100_000)

    def large(self, size: int = LARGE) -> None:
        with (self.folder / "share" / "large").open("wb") as file:
            file.truncate(size)

    def torrent(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*NETSUITE, "torrent", *arguments], cwd=self.folder, env=environment(), capture_output=True, text=True,
            timeout=PATIENCE, check=False, **options,
        )  # fmt: skip

    def test_in_a_pipe(self) -> None:
        """What is printed is the result and nothing else, and standard input will do for a file."""
        made = self.torrent("create", "share", "--tracker", "http://127.0.0.1:16969/announce")
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        info_hash = read(self.folder / "share.torrent").info_hash.hex()
        self.assertEqual(made.stdout, f"share.torrent: 1 file, 97.7 KiB, 4 pieces\ninfo-hash {info_hash}\n")
        with (self.folder / "share.torrent").open() as file:
            shown = self.torrent("show", "-", stdin=file)
        self.assertIn(f"info-hash  {info_hash}\n", shown.stdout)
        self.assertEqual(self.torrent("verify", "share.torrent", ".").stdout, "4 of 4 pieces right\n")
        (self.folder / "share" / "a").unlink()
        verified = self.torrent("verify", "share.torrent", ".")
        self.assertEqual((verified.returncode, verified.stderr), (1, ""))
        self.assertEqual(verified.stdout, "share/a: is missing (pieces 0-3)\n0 of 4 pieces right\n")

    def on_terminal(self, *arguments: str, interrupt: bool = False) -> tuple[int, str, bytes]:
        """The exit status, standard output, and what was drawn on a terminal for standard error."""
        parent, child = pty.openpty()
        self.addCleanup(os.close, parent)
        try:
            process = subprocess.Popen(
                [*NETSUITE, "torrent", *arguments], cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=child, text=True,
            )  # fmt: skip
        finally:
            os.close(child)
        drawn = b""
        try:
            while part := os.read(parent, 4096):
                drawn += part
                if interrupt and b"hashing" in drawn:
                    process.send_signal(signal.SIGINT)
                    interrupt = False
        except OSError:
            pass  # the other end is closed
        try:
            out, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            process.wait()
        return process.returncode, out, drawn

    def test_on_a_terminal(self) -> None:
        """A bar goes up, and leaves nothing behind."""
        self.large()
        status, out, drawn = self.on_terminal("create", "share", "--threads", "1")
        self.assertEqual(status, 0)
        self.assertIn("share.torrent: 2 files", out)
        shares = [int(found) for found in re.findall(rb"hashing  \[[#.]+\] +([0-9]+)%", drawn)]
        self.assertLess(shares[0], 50)
        self.assertEqual(shares, sorted(shares))
        self.assertTrue(drawn.endswith(b"\r\x1b[K"), drawn[-40:])

    def test_interrupted(self) -> None:
        """Control-C ends it with one line and leaves no file, not even a half one."""
        self.large(20 << 30)
        status, out, drawn = self.on_terminal("create", "share", interrupt=True)
        self.assertEqual((status, out), (130, ""))
        self.assertTrue(drawn.endswith(b"\r\x1b[Kinterrupted\r\n"), drawn[-40:])
        self.assertEqual(os.listdir(self.folder), ["share"])
