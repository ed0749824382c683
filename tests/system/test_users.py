"""``netsuite user`` and ``--auth netsuite:DATA``, as a person uses them."""

from __future__ import annotations

import ftplib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, PATIENCE, TWISTD, Running, environment, folder, free_port, until


class Users(TestCase):
    """Whether a site runs or not, the same commands do the same."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port = free_port()
        (self.folder / "site.toml").write_text(
            f'[common]\ndata = "state"\ndomains = ["example.test"]\n[upper]\nlisten = ["127.0.0.1:{self.port}"]\n'
        )

    def user(self, *arguments: str, said: str = "", status: int = 0) -> str:
        """What a command prints; on standard error if it is to fail."""
        done = subprocess.run(
            [*NETSUITE, "user", *arguments],
            cwd=self.folder,
            env=environment(),
            input=said,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stderr if status else done.stdout

    def check_commands(self, *where: str, domain: str) -> None:
        self.assertEqual(self.user("list", *where), "")
        self.assertEqual(self.user("add", "u1@example.test", *where, said="pw\n"), "u1@example.test: added\n")
        self.assertEqual(self.user("add", "Alice", *where, said="pw"), f"alice@{domain}: added\n")
        self.assertEqual(self.user("passwd", "alice", *where, said="pw2\r\n"), f"alice@{domain}: changed\n")
        self.assertEqual(self.user("list", *where), f"alice@{domain}\nu1@example.test\n")
        refusals = [
            (("add", "alice"), "pw\n", f"alice@{domain} exists already: `netsuite user passwd` changes the password"),
            (("passwd", "bob"), "pw\n", f"there is no user bob@{domain}: `netsuite user list` names them"),
            (("remove", "bob"), "", f"there is no user bob@{domain}: `netsuite user list` names them"),
            (("add", "a b"), "pw\n", "'a b' is no name for a user: write alice, or alice@example.test"),
            (("add", "bob"), "", "the password is empty: nothing was changed"),
            (("add", "bob"), "\n", "the password is empty: nothing was changed"),
            (("add", "bob"), "x" * 600, "the password is longer than 512 bytes"),
        ]
        for arguments, said, words in refusals:
            self.assertEqual(self.user(*arguments, *where, said=said, status=1), words + "\n")
        self.assertEqual(self.user("remove", "alice", *where), f"alice@{domain}: removed\n")
        self.assertEqual(self.user("list", *where), "u1@example.test\n")

    def test_before_any_start_with_a_data_directory_alone(self) -> None:
        self.check_commands("--data", "state", domain="localhost")
        self.assertEqual((self.folder / "state").stat().st_mode & 0o777, 0o700)
        self.assertFalse((self.folder / "state/control.sock").exists())

    def test_before_any_start_with_a_site_file(self) -> None:
        self.check_commands("-c", "site.toml", domain="example.test")

    def test_while_the_site_runs(self) -> None:
        with Running("netsuite", "-c", "site.toml", cwd=self.folder) as running:
            running.ready()
            self.assertFalse((self.folder / "state/netsuite.sqlite").exists(), "nobody needs it yet")
            self.check_commands("--data", "state", domain="example.test")
            self.assertEqual(running.end(), 0, running.said())
            self.assertEqual(running.complaint(), "")
        self.assertEqual(self.user("list", "--data", "state"), "u1@example.test\n")
        self.assertEqual(list((self.folder / "state").glob("netsuite.sqlite-*")), [], "closed in order")

    def test_the_control_socket_answers_nonsense_in_one_line(self) -> None:
        with Running("netsuite", "-c", "site.toml", cwd=self.folder) as running:
            running.ready()
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(PATIENCE)
                asking.connect(str(self.folder / "state/control.sock"))
                lines = asking.makefile("rb")
                for request in (
                    b"[]", b"{}", b"nonsense", b'{"ask": "user"}', b'{"ask": "user", "do": "add", "name": 7}',
                    b'{"ask": "user", "do": ["add"]}', b'{"ask": "tea"}', b'{"ask": {}}',
                ):  # fmt: skip
                    asking.sendall(request + b"\n")
                    answer = json.loads(lines.readline())
                    self.assertFalse(answer["ok"])
                    self.assertNotIn("\n", answer["error"])
            self.assertEqual(running.end(), 0, running.said())

    def test_commands_at_once_wait_for_one_another(self) -> None:
        started = [
            subprocess.Popen(
                [*NETSUITE, "user", "add", f"u{number}", "--data", "state"],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number in range(4)
        ]
        said = [process.communicate("pw\n", timeout=PATIENCE)[0] for process in started]
        self.assertEqual([process.returncode for process in started], [0] * 4, said)
        self.assertEqual(self.user("list", "--data", "state").split(), [f"u{number}@localhost" for number in range(4)])

    def test_on_a_terminal_a_password_is_asked_for_twice(self) -> None:
        for second, status, words in (("pw", 0, "alice@localhost: added"), ("other", 1, "the two passwords differ")):
            outcome, said = self.typed("add", "alice", "--data", "state", lines=["pw", second])
            self.assertEqual(outcome, status, said)
            self.assertIn(words, said)
            self.assertNotIn("pw", said.replace("passw", ""))
            if not status:
                self.user("remove", "alice", "--data", "state")

    def typed(self, *arguments: str, lines: list[str]) -> tuple[int, str]:
        """The exit status and all that stood on the terminal where somebody answers with these lines."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, [*NETSUITE, "user", *arguments], environment())
        said = b""
        try:
            for prompt, line in zip((b"Password: ", b"Once more: "), lines, strict=True):
                while not said.endswith(prompt):
                    said += os.read(terminal, 1000)
                os.write(terminal, line.encode() + b"\n")
            while True:
                try:
                    more = os.read(terminal, 1000)
                except OSError:  # the other end is gone
                    break
                if not more:
                    break
                said += more
        finally:
            os.close(terminal)
            _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), said.decode()

    def test_twistds_own_servers_let_users_in(self) -> None:
        self.user("add", "alice@example.test", "--data", "state", said="pw\n")
        (self.folder / "public").mkdir()
        port = free_port()
        serving = ["ftp", "--port", str(port), "--root", "public"]
        with Running(*serving, "--auth", "netsuite:state", cwd=self.folder) as running:
            ftp = until("the FTP server", lambda: connected(port))
            self.assertRaises(ftplib.error_perm, ftp.login, "alice@example.test", "wrong")
            ftp.login("alice@example.test", "pw")
            ftp.quit()
            self.assertEqual(running.end(), -signal.SIGTERM, "twistd's own way to end")
            self.assertEqual(running.complaint(), "")
        self.assertEqual(list((self.folder / "state").glob("netsuite.sqlite-*")), [], "closed in order")

    def test_auth_help_names_it_and_a_folder_without_users_is_refused(self) -> None:
        said = subprocess.run(
            [*TWISTD, "ftp", "--help-auth"], cwd=self.folder, env=environment(), capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        self.assertTrue(re.search(r"netsuite\s+DATA", said.stdout), said.stdout)
        refused = subprocess.run(
            [*TWISTD, "ftp", "--auth", "netsuite:elsewhere"], cwd=self.folder, env=environment(), capture_output=True,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        self.assertNotEqual(refused.returncode, 0)
        self.assertFalse((self.folder / "elsewhere").exists())


def connected(port: int) -> ftplib.FTP | None:
    try:
        ftp = ftplib.FTP()
        ftp.connect("127.0.0.1", port, PATIENCE)
    except OSError:
        return None
    return ftp
