"""One site from a plugin, a .tac and a .tap; alone and daemonised; with workers."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, TWISTD, Running, accepts, call, connection, folder, free_port, until, upper


class Forms(TestCase):
    """Every way to run a site runs the same site."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port = free_port()
        (self.folder / "site.toml").write_text(
            f'[common]\ndata = "state"\ndrain = 5\n[upper]\nlisten = ["127.0.0.1:{self.port}"]\n'
        )

    def serves(self, *arguments: str) -> Running:
        """A process that answers, and stops with 0 on SIGTERM, its data where the file says."""
        with Running(*arguments, cwd=self.folder) as running:
            self.assertEqual(upper(self.port), b"HELLO\n")
            running.ready()
            self.assertIn(f"tcp:127.0.0.1:{self.port}", running.said())
            self.assertTrue((self.folder / "state/netsuite.lock").exists())
            self.assertEqual(running.end(), 0, running.said())
            self.assertEqual(running.complaint(), "")
            self.assertFalse(accepts(self.port))
            self.assertFalse((self.folder / "state/control.sock").exists())
        return running

    def test_plugin(self) -> None:
        self.serves("netsuite", "-c", "site.toml")

    def test_plugin_of_one_table(self) -> None:
        self.serves("netsuite-upper", "-c", "site.toml")
        self.serves("netsuite-upper", "--listen", f"127.0.0.1:{self.port}", "--set", "common.data=state")

    def test_tac(self) -> None:
        (self.folder / "site.tac").write_text(
            'import netsuite.suite\n\napplication = netsuite.suite.application("site.toml")\n'
        )
        self.serves("-y", "site.tac")

    def test_tap(self) -> None:
        frozen = call(NETSUITE, "freeze", "-c", "site.toml", "-o", "site.tap", cwd=self.folder)
        self.assertEqual((frozen.returncode, frozen.stderr), (0, ""))
        (self.folder / "site.toml").unlink()
        self.serves("-o", "-f", "site.tap")

    def test_tap_keeps_its_log_and_may_have_workers(self) -> None:
        sets = ("--set", "common.log=own.log", "--set", "common.workers=2")
        call(NETSUITE, "freeze", "-c", "site.toml", *sets, cwd=self.folder)
        with Running("-o", "-f", "site.tap", cwd=self.folder) as running:
            running.ready()
            status = ("status", "--data", "state")
            until("the worker", lambda: "and 1 workers" in call(NETSUITE, *status, cwd=self.folder).stdout)
            self.assertEqual(upper(self.port), b"HELLO\n")
            self.assertEqual(running.end(), 0)
        self.assertIn("netsuite.suite.root#info] upper: tcp:", (self.folder / "own.log").read_text())
        self.assertNotIn("#info]", running.said())

    def test_a_tap_that_saves_itself_can_be_run_again(self) -> None:
        call(NETSUITE, "freeze", "-c", "site.toml", "-o", "site.tap", cwd=self.folder)
        self.serves("-f", "site.tap")
        self.serves("-o", "-f", "netsuite-shutdown.tap")

    def test_environment(self) -> None:
        moved = free_port()
        with Running("netsuite", "-c", "site.toml", cwd=self.folder, NETSUITE_UPPER__LISTEN=str(moved)) as running:
            self.assertEqual(upper(moved), b"HELLO\n")
            self.assertEqual(running.ready().end(), 0)

    def test_workers(self) -> None:
        with Running("netsuite", "-c", "site.toml", "--set", "common.workers=3", cwd=self.folder) as running:
            running.ready()

            def workers() -> bool:
                return "and 2 workers" in call(NETSUITE, "status", "-c", "site.toml", cwd=self.folder).stdout

            until("two workers", workers)
            for _ in range(30):
                self.assertEqual(upper(self.port), b"HELLO\n")
            status = call(NETSUITE, "status", "-c", "site.toml", cwd=self.folder).stdout
            self.assertIn("30 lines over TCP", status)
            with connection(self.port) as idle:
                self.assertEqual(running.end(), 0, running.said())
                self.assertEqual(idle.recv(10), b"")
            self.assertFalse(accepts(self.port))

    def test_daemon(self) -> None:
        done = call(TWISTD, "netsuite", "-c", "site.toml", cwd=self.folder)
        pid = int((self.folder / "twistd.pid").read_text())
        self.addCleanup(self._gone, pid)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(upper(self.port), b"HELLO\n")
        os.kill(pid, signal.SIGTERM)
        until("the pidfile to go", lambda: not (self.folder / "twistd.pid").exists())
        self.assertFalse(accepts(self.port))

    def test_other_working_directory(self) -> None:
        """Relative paths are those of the site file, and were resolved before twistd changed the directory."""
        (self.folder / "elsewhere").mkdir()
        self.serves("--rundir", "elsewhere", "netsuite", "-c", "site.toml")

    def test_log_of_its_own(self) -> None:
        sets = ("--set", "common.log=own.log", "--set", "common.log_format=json")
        with Running("netsuite", "-c", "site.toml", *sets, cwd=self.folder) as running:
            running.ready()
            log = self.folder / "own.log"
            until("a ready line", lambda: '"text": "netsuite 0' in log.read_text())
            log.rename(self.folder / "old.log")
            running.send(signal.SIGHUP)
            until("a new log", lambda: log.exists() and "reload: done" in log.read_text())
            self.assertEqual(running.end(), 0)
        self.assertNotIn("is ready\n", running.said())

    def test_becomes_another_account_once_its_ports_are_open(self) -> None:
        if os.getuid():
            raise SkipTest("only root becomes someone else")
        self.folder.chmod(0o755)
        with Running("netsuite", "-c", "site.toml", "--set", "common.user=nobody", cwd=self.folder) as running:
            running.ready()
            nobody = pwd.getpwnam("nobody")
            status = Path(f"/proc/{running.process.pid}/status").read_text()
            self.assertIn(f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}", status)
            self.assertEqual((self.folder / "state/netsuite.lock").stat().st_uid, nobody.pw_uid)
            self.assertEqual(upper(self.port), b"HELLO\n")
            self.assertEqual(running.end(), 0, running.said())
            self.assertFalse((self.folder / "state/control.sock").exists())

    def _gone(self, pid: int) -> None:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)
