"""What makes a start impossible is said in one line, with a status that is not 0: with -n and daemonised."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from tests.system.running import TWISTD, Running, call, folder, free_port


class Refusals(TestCase):
    """A start that cannot be."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port = free_port()
        self.listen = ("--set", f"upper.listen={self.port}")

    def refuses(self, *arguments: str, because: str, command: str = "netsuite-upper", **more: str) -> None:
        """Both kinds of start end with exactly this one line (a ``*`` stands for anything)."""
        for start in (("-n",), ("--logfile=twistd.log",)):
            done = call(TWISTD, *start, command, *arguments, cwd=self.folder, **more)
            self.assertEqual(done.returncode, 1, (start, done))
            before, star, after = because.partition("*")
            self.assertTrue(done.stderr.startswith(before), (start, done.stderr))
            self.assertTrue(done.stderr.endswith(after + "\n") if star else done.stderr == because + "\n", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertNotIn("Traceback", done.stdout)
            self.assertFalse((self.folder / "twistd.pid").exists())

    def test_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            self.refuses(
                *self.listen,
                because=f"127.0.0.1:{self.port} is already in use; "
                "choose another address with --listen or upper.listen",
            )

    def test_port_bound_but_not_yet_listening(self) -> None:
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", self.port))
            bound.listen()
            self.refuses(*self.listen, because=f"127.0.0.1:{self.port} is already in use; *")

    def test_udp_port_in_use(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", self.port))
            self.refuses(*self.listen, because=f"127.0.0.1:{self.port} is already in use; *")

    def test_bad_key(self) -> None:
        (self.folder / "site.toml").write_text("[upper]\nlisen = []\n")
        self.refuses("-c", "site.toml", because="site.toml: upper.lisen: unknown key; did you mean upper.listen?")

    def test_bad_toml(self) -> None:
        (self.folder / "site.toml").write_text("[upper]\nlisten = [\n")
        self.refuses("-c", "site.toml", because="site.toml:3: this is not TOML: Invalid value", command="netsuite")

    def test_no_such_file(self) -> None:
        self.refuses("-c", "site.toml", because="site.toml: cannot be read: No such file or directory")

    def test_bad_key_in_a_tac(self) -> None:
        (self.folder / "site.toml").write_text("[upper]\nlisen = []\n")
        (self.folder / "site.tac").write_text(
            'import netsuite.suite\napplication = netsuite.suite.application("site.toml")\n'
        )
        for start in (("-n",), ("--logfile=twistd.log",)):
            done = call(TWISTD, *start, "-y", "site.tac", cwd=self.folder)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr, "site.toml: upper.lisen: unknown key; did you mean upper.listen?\n")

    def test_port_in_use_in_a_tac(self) -> None:
        (self.folder / "site.toml").write_text(f"[upper]\nlisten = [{self.port}]\n")
        (self.folder / "site.tac").write_text(
            'import netsuite.suite\napplication = netsuite.suite.application("site.toml")\n'
        )
        with socket.create_server(("127.0.0.1", self.port)):
            for start in (("-n",), ("--logfile=twistd.log",)):
                done = call(TWISTD, *start, "-y", "site.tac", cwd=self.folder)
                self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done)
                self.assertIn("is already in use", done.stderr)
                self.assertFalse((self.folder / "twistd.pid").exists())

    def test_several_errors_are_several_lines(self) -> None:
        (self.folder / "site.toml").write_text("[upper]\nlisen = []\nlongest = 0\n")
        done = call(TWISTD, "-n", "netsuite", "-c", "site.toml", cwd=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 2)

    def test_second_process_on_the_same_data_directory(self) -> None:
        with Running("netsuite-upper", *self.listen, cwd=self.folder) as running:
            running.ready()
            because = f"{self.folder}/netsuite-data is in use by process {running.process.pid} (netsuite.lock): *"
            self.refuses("--listen", "0", because=because)
            self.assertEqual(running.end(), 0)

    def test_unreadable_zone(self) -> None:
        (self.folder / "a.zone").write_text("@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 1.2.3.256\n")
        zone = ("--listen", "0", "--zone", "a.test=a.zone")
        self.refuses(*zone, command="netsuite-dns", because=f"{self.folder}/a.zone:3: *; see [[dns.zone]] a.test")
        (self.folder / "a.zone").unlink()
        self.refuses(*zone, command="netsuite-dns", because=f"{self.folder}/a.zone: *; see [[dns.zone]] a.test")

    def test_data_directory_that_cannot_be_made(self) -> None:
        (self.folder / "file").write_text("")
        self.refuses(*self.listen, "--set", "common.data=file/below", because=f"cannot use {self.folder}/file/below (*")

    def test_full_disk(self) -> None:
        small = self.folder / "small"
        small.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            raise SkipTest(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        with (small / "ballast").open("wb", buffering=0) as ballast, self.assertRaises(OSError) as full:
            while True:
                ballast.write(bytes(4096))
        self.assertEqual(full.exception.errno, errno.ENOSPC)
        self.refuses(*self.listen, "--set", "common.data=small/data", because=f"no space left for {small}/data*")

    def test_unknown_account(self) -> None:
        if os.getuid():
            raise SkipTest("only root becomes someone else")
        self.refuses(
            *self.listen,
            "--set",
            "common.user=nobody-at-all",
            because="common.user: there is no account 'nobody-at-all'",
        )

    def test_a_fault_of_ours_is_one_line_too(self) -> None:
        """Whatever a server's build raises, the traceback is in the log only."""
        (self.folder / "site.toml").write_text(f"[upper]\nlisten = [{self.port}]\n")
        (self.folder / "site.tac").write_text(
            "import netsuite.suite, netsuite.upper.service\n"
            "netsuite.upper.service.build = lambda settings, commons: 1 / 0\n"
            'application = netsuite.suite.application("site.toml")\n'
        )
        done = call(TWISTD, "-n", "-y", "site.tac", cwd=self.folder)
        self.assertEqual(
            (done.returncode, done.stderr), (1, "upper: cannot start: ZeroDivisionError: division by zero\n")
        )
        self.assertIn("Traceback", done.stdout)

    def test_workers_that_cannot_be_started(self) -> None:
        """What fails after the start was told is in the exit status, and on the terminal if there is one."""
        (self.folder / "site.toml").write_text(f"[common]\nworkers = 2\n[upper]\nlisten = [{self.port}]\n")
        (self.folder / "site.tac").write_text(
            "import netsuite.suite, netsuite.common.workers\n"
            "netsuite.common.workers.Workers.__init__.__kwdefaults__['command'] = ('/nowhere/python',)\n"
            'application = netsuite.suite.application("site.toml")\n'
        )
        done = call(TWISTD, "-n", "-y", "site.tac", cwd=self.folder)
        self.assertEqual(done.returncode, 1, done.stdout)
        because = "common.workers: no worker can be started, and the log says why; 1 does without\n"
        self.assertEqual(done.stderr, because)
        self.assertIn("No such file or directory", done.stdout)
