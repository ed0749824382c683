"""``netsuite cache`` and PURGE against a real site, with one process and with several."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, Running, call, connection, folder, free_port, until

SITE = """
[common]
data = "data"
workers = {workers}
[proxy]
listen = ["127.0.0.1:{port}"]
origin = "http://127.0.0.1:{origin}"
purge_allow = ["loopback"]
negative_times = {{ "404" = 60 }}
shadow_sample = 1
"""


class _Answers(http.server.BaseHTTPRequestHandler):
    """Says what ``server.text`` is; paths below /none are not there; tagged by their first letter."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        found = not self.path.startswith("/none")
        text = server.text.encode()
        if found and self.headers.get("If-None-Match") == f'"{server.text}"':
            status, text = 304, b""
        else:
            status = 200 if found else 404
        self.send_response(status)
        if found:
            self.send_header("Cache-Control", "max-age=3600")
            self.send_header("ETag", f'"{server.text}"')
            self.send_header("Cache-Tag", self.path[1:2])
        if status != 304:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Nothing to say."""


class CacheCase(TestCase):
    workers = 1

    def setUp(self):
        place = folder()
        self.home = place.__enter__()
        self.addCleanup(place.__exit__, None, None, None)
        self.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
        self.origin.daemon_threads = True
        self.origin.text = "one"
        serving = threading.Thread(target=self.origin.serve_forever, daemon=True)
        serving.start()
        self.addCleanup(serving.join, 10)
        self.addCleanup(self.origin.server_close)
        self.addCleanup(self.origin.shutdown)
        self.port = free_port()
        site = SITE.format(port=self.port, origin=self.origin.server_port, workers=self.workers)
        (self.home / "site.toml").write_text(site)
        self.site = Running("netsuite", "-c", "site.toml", cwd=self.home)
        self.addCleanup(self.site.__exit__)
        self.site.ready()

    def ask(self, path="/a", method="GET", *fields):
        """Status, Cache-Status and body, over a connection of its own: with workers, of any of them."""
        with connection(self.port) as made:
            lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close", *fields, "", ""]
            made.sendall("\r\n".join(lines).encode())
            data = b""
            while more := made.recv(65536):
                data += more
        head, _, body = data.decode().partition("\r\n\r\n")
        marks = [line for line in head.split("\r\n") if line.lower().startswith("cache-status:")]
        return int(head.split()[1]), marks[0] if marks else "", body

    def cache(self, *words):
        done = call(NETSUITE, "cache", *words, "--data", str(self.home / "data"), cwd=self.home)
        return done.returncode, (done.stdout or done.stderr).strip()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    def filled(self):
        """Ask until every process has answered /a from its store."""

        def stored():
            for _ in range(20):
                self.ask()
            return json.loads(self.cache("list", "--json", "--prefix", self.url("/a"))[1])["count"] == self.workers

        until(f"{self.workers} processes hold it", stored)

    def changed(self):
        """Whether nobody answers with the old text."""
        return {self.ask()[2] for _ in range(30)} == {"two"}


class OneProcess(CacheCase):
    def test_by_url_prefix_and_all(self):
        for path in ("/a", "/b", "/c"):
            self.ask(path)
        self.assertIn("hit", self.ask()[1])
        self.origin.text = "two"
        self.assertEqual(self.ask()[2], "one")
        self.assertEqual(self.cache("purge", self.url("/a")), (0, "1 response purged"))
        self.assertEqual(self.ask()[2], "two")
        self.assertEqual(self.cache("purge", "--prefix", self.url("/")), (0, "3 responses purged"))
        self.assertEqual(self.ask("/b")[2], "two")
        self.assertEqual(self.cache("purge", "--all", "--soft", "--json"), (0, '{"purged": 1, "soft": true}'))
        self.assertEqual(self.cache("purge", "--all"), (0, "1 response purged"))
        self.assertEqual(self.cache("list")[1], "")

    def test_by_tag(self):
        for path in ("/a", "/a2", "/b"):
            self.ask(path)
        self.origin.text = "two"
        self.assertEqual(self.cache("purge", "--tag", "a", "--origin", self.url())[1], "2 responses purged")
        self.assertEqual([self.ask(path)[2] for path in ("/a", "/a2", "/b")], ["two", "two", "one"])
        self.assertEqual(self.cache("purge", "--tag", "b", "--tag", "c")[1], "1 response purged")

    def test_softly(self):
        self.ask()
        self.assertEqual(self.cache("purge", "--soft", self.url("/a"))[1], "1 response purged")
        self.assertRegex(self.ask()[1], "fwd=stale; ?fwd-status=304")
        self.assertIn("hit", self.ask()[1])

    def test_errors_are_remembered(self):
        self.assertEqual(self.ask("/none")[0], 404)
        self.origin.text = "two"
        status, mark, body = self.ask("/none")
        self.assertEqual((status, body), (404, "one"))
        self.assertIn("hit", mark)
        self.cache("purge", self.url("/none"))
        self.assertEqual(self.ask("/none")[2], "two")

    def test_what_is_wrong_is_said_in_one_line(self):
        self.assertEqual(self.cache("purge"), (1, "say what to purge: URLs, prefixes, tags, or all"))
        status, said = self.cache("purge", "/a")
        self.assertEqual(status, 1)
        self.assertEqual(said, "'/a' is no URL: write http://HOST/PATH, percent-encoded, as clients ask for it")

    def test_stats(self):
        for number in [*range(40), *range(40)]:
            self.ask(f"/a?{number}")
        status, said = self.cache("stats")
        self.assertEqual(status, 0)
        self.assertRegex(said, r"(?m)^requests +80$")
        self.assertRegex(said, r"(?m)^hits +40$")
        self.assertRegex(said, r"s3-fifo +0.5x +50.0 +50.0")

    def test_the_door(self):
        token = (self.home / "data" / "purge.token").read_text().strip()
        self.assertEqual((self.home / "data" / "purge.token").stat().st_mode & 0o777, 0o600)
        self.ask()
        self.assertEqual(self.ask("/a", "PURGE")[0], 401)
        self.assertEqual(self.ask("/a", "PURGE", "Authorization: Bearer wrong")[0], 401)
        self.assertIn("hit", self.ask()[1])
        status, _, body = self.ask("/a", "PURGE", f"Authorization: Bearer {token}")
        self.assertEqual((status, json.loads(body)), (200, {"purged": 1, "soft": False}))
        self.assertIn("uri-miss", self.ask()[1])

    def test_curl(self):
        token = (self.home / "data" / "purge.token").read_text().strip()
        self.ask("/b")
        done = subprocess.run(
            ["curl", "-sS", "-X", "PURGE", "-H", f"Authorization: Bearer {token}", "-H", "Purge: prefix",
             self.url("/")],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        self.assertEqual(json.loads(done.stdout), {"purged": 1, "soft": False})


class SeveralProcesses(CacheCase):
    workers = 3

    def test_a_purge_by_command_reaches_every_process(self):
        self.filled()
        self.origin.text = "two"
        self.assertEqual(self.cache("purge", self.url("/a")), (0, "3 responses purged"))
        self.assertTrue(self.changed())

    def test_a_purge_by_http_reaches_every_process_whoever_was_asked(self):
        token = (self.home / "data" / "purge.token").read_text().strip()
        for text in ("two", "three", "fourth"):
            self.filled()
            self.origin.text = text
            status, _, body = self.ask("/a", "PURGE", f"Authorization: Bearer {token}")
            self.assertEqual((status, json.loads(body)["purged"]), (200, 3))
            self.assertEqual({self.ask()[2] for _ in range(30)}, {text})


if not hasattr(socket, "SO_REUSEPORT"):
    SeveralProcesses.skip = "this system does not share ports"
