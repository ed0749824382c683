"""A proxy is killed again and again under load: its disk brings back no torn body, and nothing that ended."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from twisted.trial.unittest import TestCase

from tests.system.running import Running, folder, free_port

ROUNDS = 6
OBJECTS = 400
LARGE = 8
CLIENTS = 4


def body(number: int, version: int) -> bytes:
    """What an object is at a version; the first objects are large."""
    seed = b"%d/%d|" % (number, version)
    chance = random.Random(number)
    size = chance.randrange(1 << 20, 4 << 20) if number < LARGE else int(2 ** chance.uniform(5, 17))
    block = hashlib.shake_256(seed).digest(4096)
    return seed + (block * (size // 4096 + 1))[:size]


class Versions:
    """The origin's objects; ``ended[n]`` is a version that nobody may see any more, once its end was acknowledged."""

    def __init__(self) -> None:
        self.now = [1] * OBJECTS
        self.ended = [0] * OBJECTS


@contextlib.contextmanager
def origin(versions: Versions) -> Iterator[int]:
    """Its port."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            number = int(self.path[1:])
            data = body(number, versions.now[number])
            self.send_response(200)
            self.send_header("Cache-Control", "max-age=3600")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_DELETE(self):
            versions.now[int(self.path[1:])] += 1
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Nothing is logged."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """Its client was killed."""

    server = Server(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class CacheKilled(TestCase):
    timeout = 170

    def ask(self, port: int, number: int, method: str = "GET") -> tuple[bytes, bool]:
        """A body, and whether it was a hit."""
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with contextlib.closing(client):
            client.request(method, f"/{number}")
            answer = client.getresponse()
            data = answer.read()
            if answer.status not in (200, 204):
                raise OSError(answer.status)
            return data, "; hit" in (answer.getheader("cache-status") or "")

    def seen(self, port: int, number: int, versions: Versions) -> bool:
        """Ask, and compare; whether it was a hit."""
        ended = versions.ended[number]
        data, hit = self.ask(port, number)
        version = int(data[: data.index(b"|")].split(b"/")[1])
        if data != body(number, version):
            self.problems.append(f"object {number}: a body that was never sent")
        if version <= ended:
            self.problems.append(f"object {number}: version {version} came back, though {ended} had ended")
        return hit

    def load(self, port: int, versions: Versions, seed: int, stop: threading.Event) -> None:
        """Ask for this and that, and now and then end something."""
        chance = random.Random(seed)
        mine = range(seed % CLIENTS, OBJECTS, CLIENTS)
        while not stop.is_set():
            try:
                if chance.random() < 0.05:
                    number = chance.choice(mine)
                    before = versions.now[number]
                    self.ask(port, number, "DELETE")
                    versions.ended[number] = before
                else:
                    self.seen(port, int(OBJECTS * chance.random() ** 2), versions)
            except (OSError, http.client.HTTPException):
                # it was killed
                time.sleep(0.01)

    def test_killed_under_load(self):
        self.problems: list[str] = []
        versions = Versions()
        chance = random.Random(6)
        kept = []
        with folder() as base, origin(versions) as upstream:
            port = free_port()

            def proxy(data: str = "data", disk_bytes: int = 64 << 20) -> Running:
                return Running(
                    "netsuite-proxy", "--listen", str(port), "--origin", f"http://127.0.0.1:{upstream}",
                    "--set", f"common.data={base / data}", "--set", f"proxy.disk_bytes={disk_bytes}",
                    "--set", "proxy.cache_bytes=2000000", "--set", "proxy.object_limit=300000",
                    "--set", "common.access_log=off", cwd=base,
                ).ready()  # fmt: skip

            for number in range(ROUNDS):
                with proxy() as running:
                    kept.append(sum(self.seen(port, n, versions) for n in range(0, OBJECTS, 10)))
                    stop = threading.Event()
                    clients = [
                        threading.Thread(target=self.load, args=(port, versions, number * CLIENTS + n, stop))
                        for n in range(CLIENTS)
                    ]
                    for client in clients:
                        client.start()
                    time.sleep(chance.uniform(1.0, 3.0))
                    self.assertEqual(running.end(signal.SIGKILL), -signal.SIGKILL, running.said())
                    stop.set()
                    for client in clients:
                        client.join()
                self.assertEqual(self.problems, [])
            with proxy() as running:
                self.assertGreater(sum(self.seen(port, n, versions) for n in range(OBJECTS)), OBJECTS // 2)
                self.assertEqual(running.end(), 0, running.said())
            # where there is room for all, an orderly stop loses nothing (a full disk does not take what is new to it)
            for hits in (0, OBJECTS):
                with proxy("roomy", 1 << 30) as running:
                    self.assertEqual(sum(self.seen(port, n, versions) for n in range(OBJECTS)), hits)
                    self.assertEqual(running.end(), 0, running.said())
        self.assertEqual(self.problems, [])
        self.assertEqual(kept[0], 0)
        self.assertGreater(min(kept[2:]), len(range(0, OBJECTS, 10)) // 2)
