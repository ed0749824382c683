"""Ten thousand clients at once ask a real proxy for one object that is not stored: the origin is asked once."""

from __future__ import annotations

import http.server
import json
import resource
import selectors
import socket
import threading
import time
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, Running, call, folder, free_port, until

CLIENTS = 10_000
SPARE = 200
"""Descriptors beside those of the clients."""
BODY = bytes(range(256)) * 16
SECONDS = 90
MEMORY = 400 << 20
SITE = """
[common]
data = "data"
access_log = "off"
[proxy]
listen = ["127.0.0.1:{port}"]
origin = "http://127.0.0.1:{origin}"
collapse_time = 300
"""


class _Held(http.server.BaseHTTPRequestHandler):
    """Answers when the test lets it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked += 1
        self.server.gate.wait(SECONDS)
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=3600")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        """Nothing to say."""


class Crowd(TestCase):
    timeout = 3 * SECONDS

    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < CLIENTS + SPARE:
            self.skipTest(f"a process may open only {hard} files here, and this takes {CLIENTS + SPARE}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CLIENTS + SPARE), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        place = folder()
        self.home = place.__enter__()
        self.addCleanup(place.__exit__, None, None, None)
        self.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Held)
        self.origin.daemon_threads = True
        self.origin.asked, self.origin.gate = 0, threading.Event()
        serving = threading.Thread(target=self.origin.serve_forever, daemon=True)
        serving.start()
        self.addCleanup(serving.join, 10)
        self.addCleanup(self.origin.server_close)
        self.addCleanup(self.origin.shutdown)
        self.addCleanup(self.origin.gate.set)
        self.port = free_port()
        (self.home / "site.toml").write_text(SITE.format(port=self.port, origin=self.origin.server_port))
        self.site = Running("netsuite", "-c", "site.toml", cwd=self.home)
        self.addCleanup(self.site.__exit__)
        self.site.ready()

    def stats(self):
        return json.loads(call(NETSUITE, "cache", "stats", "--json", "--data", "data", cwd=self.home).stdout)["stats"]

    def test_one_request_to_the_origin(self):
        began = time.monotonic()
        clients = []
        for _ in range(CLIENTS):
            made = socket.create_connection(("127.0.0.1", self.port), 30)
            self.addCleanup(made.close)
            made.sendall(b"GET /one HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n")
            made.setblocking(False)
            clients.append(made)
        until("all have asked", lambda: self.stats()["requests"] == CLIENTS, SECONDS)
        self.origin.gate.set()
        bodies = self.read(clients)
        seconds = time.monotonic() - began
        self.assertEqual(self.origin.asked, 1)
        self.assertEqual(set(bodies), {BODY})
        self.assertEqual(len(bodies), CLIENTS)
        self.assertEqual(self.stats()["collapsed"], CLIENTS - 1)
        self.assertLess(seconds, SECONDS)
        status = Path(f"/proc/{self.site.process.pid}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) << 10
        self.assertLess(peak, MEMORY)

    def read(self, clients):
        """Whatever each gets, to its end."""
        texts = dict.fromkeys(clients, b"")
        done = []
        with selectors.DefaultSelector() as ready:
            for each in clients:
                ready.register(each, selectors.EVENT_READ)
            while texts:
                events = ready.select(30)
                self.assertTrue(events, f"{len(texts)} clients wait in vain")
                for key, _ in events:
                    data = key.fileobj.recv(65536)
                    texts[key.fileobj] += data
                    if not data:
                        ready.unregister(key.fileobj)
                        done.append(texts.pop(key.fileobj).partition(b"\r\n\r\n")[2])
        return done
