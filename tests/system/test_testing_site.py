"""What users get to test against: a running suite on free ports, by context manager and by pytest fixture."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import dns.message
import dns.query
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.testing.site import SiteFailed, site

from .running import environment, folder


def asked(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, 10) as connection:
        connection.sendall(b"hello\n")
        return connection.recv(100)


class SiteTests(TestCase):
    def test_it_runs_and_ends(self):
        with site({"upper": {}}) as running:
            self.assertEqual(asked(running.address("upper", "tcp")), b"HELLO\n")
            self.assertEqual(running.port("upper"), running.port("upper", "udp"))
            self.assertNotEqual(running.port("upper"), 12000)
            self.assertTrue(running.status()["ok"])
            self.assertIn("is ready", running.log)
            self.assertRaises(LookupError, running.address, "upper", "https")
            self.assertRaises(LookupError, running.address, "dns")
            self.assertTrue((running.data / "site.toml").exists())
        self.assertEqual(running.process.returncode, 0)
        self.assertFalse(running.data.exists())

    def test_the_built_in_site_stands_on_free_ports(self):
        with site() as running:
            self.assertEqual([each["name"] for each in running.status()["services"] if not each["ok"]], [])
            query = dns.message.make_query("www.example.test", "A")
            host, port = running.address("resolver", "udp")
            answer = dns.query.udp(query, host, 10, port)
            self.assertEqual(answer.answer[0][0].address, "127.0.0.1")
            self.assertTrue(running.ca_path.exists())

    def test_two_at_a_time(self):
        with site({"upper": {}}) as one, site({"upper": {"longest": 3}}) as other:
            self.assertEqual(asked(one.address("upper")), b"HELLO\n")
            self.assertEqual(asked(other.address("upper")), b"")

    def test_a_site_file_and_a_folder_that_stays(self):
        with folder() as where:
            config = where / "site.toml"
            config.write_text('[upper]\nlisten = ["127.0.0.1:12000", "127.0.0.1:12001"]\n')
            with site(config=config, data=where / "data") as running:
                self.assertEqual(asked(running.address("upper")), b"HELLO\n")
                self.assertEqual(len(running.settings["upper"]["listen"]), 2)
            self.assertTrue((where / "data").is_dir())
            self.assertIn("12001", config.read_text())

    def test_wrong_settings_are_told_before_anything_runs(self):
        with self.assertRaisesRegex(StartError, "upper.*longset"), site({"upper": {"longset": 3}}):
            self.fail("it ran")

    def test_a_start_that_fails_shows_the_log(self):
        with folder() as where:
            (where / "data").write_text("a file where a folder is wanted")
            with self.assertRaises((SiteFailed, OSError)), site({"upper": {}}, data=where / "data"):
                self.fail("it ran")

    def test_a_site_that_dies_is_told(self):
        with self.assertRaisesRegex(SiteFailed, "status -9"), site({"upper": {}}) as running:
            running.process.send_signal(signal.SIGKILL)
            running.process.wait(10)

    def test_what_a_test_raises_is_not_hidden(self):
        with self.assertRaisesRegex(ZeroDivisionError, "own"), site({"upper": {}}) as running:
            raise ZeroDivisionError("own")
        self.assertIsNotNone(running.process.poll())


class PytestTests(TestCase):
    def test_the_fixtures(self):
        with folder() as where:
            (where / "test_mine.py").write_text(
                textwrap.dedent("""
                    import socket
                    import pytest

                    @pytest.fixture(scope="session")
                    def shared(netsuite_session_site):
                        return netsuite_session_site({"upper": {}})

                    def ask(running):
                        with socket.create_connection(running.address("upper"), 10) as connection:
                            connection.sendall(b"hello\\n")
                            assert connection.recv(100) == b"HELLO\\n"

                    def test_own(netsuite_site):
                        ask(netsuite_site({"upper": {}}))

                    def test_shared(shared):
                        ask(shared)

                    def test_dies(netsuite_site):
                        running = netsuite_site({"upper": {}})
                        running.process.kill()
                        running.process.wait(10)
                """)
            )
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "netsuite.testing.pytest_plugin",
                "-p",
                "no:cacheprovider",
            ]
            done = subprocess.run(
                [*command, "test_mine.py"],
                cwd=where,
                env=environment(
                    PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONPATH=str(Path(__file__).parents[2]) + os.pathsep
                ),
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
        self.assertIn("3 passed, 1 error", done.stdout, done.stdout + done.stderr)
        self.assertIn("the site ended with status -9", done.stdout)
