"""``netsuite cache explain``, asked of a proxy that runs as a process."""

from __future__ import annotations

import json
import urllib.request

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, PATIENCE, Running, call, folder, free_port


class Explain(TestCase):
    """One proxy before one origin."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        (self.folder / "www").mkdir()
        (self.folder / "www/page.txt").write_text("a page\n")
        origin, port = free_port(), free_port()
        self.run_server("netsuite-http", "--listen", str(origin), "--root", "www", "--set", "http.max_age=60")
        self.run_server("netsuite-proxy", "--listen", str(port), "--origin", f"http://127.0.0.1:{origin}")
        self.url = f"http://127.0.0.1:{port}/page.txt"

    def run_server(self, plugin: str, *arguments: str) -> None:
        running = Running(plugin, *arguments, "--set", f"common.data={plugin}", cwd=self.folder)
        self.addCleanup(running.__exit__)
        running.ready()

    def explained(self, *arguments: str) -> str:
        done = call(NETSUITE, "cache", "explain", *arguments, "--data", "netsuite-proxy", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_before_and_after_a_fetch(self) -> None:
        self.assertIn("miss: fetch and perhaps store", self.explained(self.url))
        with urllib.request.urlopen(self.url, timeout=PATIENCE) as answer:
            self.assertEqual(answer.read(), b"a page\n")
        told = self.explained(self.url)
        self.assertIn("-> 1. 200, 7 bytes", told)
        self.assertIn("hit: answer from the store", told)
        found = json.loads(self.explained(self.url, "--json", "--header", "Cache-Control: no-cache"))
        self.assertEqual(found["decision"]["action"], "revalidate")
        self.assertEqual(found["upstream"][0], "GET /page.txt")
        self.assertIn("forward", self.explained(self.url, "--method", "PUT"))

    def test_what_is_no_url(self) -> None:
        done = call(NETSUITE, "cache", "explain", "page", "--data", "netsuite-proxy", cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("'page' is no http or https URL", done.stderr)
