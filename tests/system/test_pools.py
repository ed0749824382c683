"""A real proxy before two real servers, one of which is killed, and comes back."""

from __future__ import annotations

import http.client
from collections import Counter

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, Running, call, folder, free_port, until

SITE = """
[common]
data = "data"
drain = 1
[proxy]
listen = ["127.0.0.1:{port}"]
[[proxy.pool]]
name = "web"
servers = ["http://127.0.0.1:{one}", "http://127.0.0.1:{two}"]
slow_start = 0
open_time = 0.2
health = {{ path = "/name", interval = 0.2, timeout = 5, rise = 1, fall = 1 }}
"""


class Pools(TestCase):
    """What clients see when a server of a pool dies."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port, *self.ports = (free_port() for _ in range(3))
        (self.folder / "site.toml").write_text(SITE.format(port=self.port, one=self.ports[0], two=self.ports[1]))

    def started(self, *arguments: str) -> Running:
        running = Running(*arguments, cwd=self.folder)
        self.addCleanup(running.__exit__, None, None, None)
        return running.ready()

    def server(self, number: int) -> Running:
        root = self.folder / f"root{number}"
        root.mkdir(exist_ok=True)
        (root / "name").write_text(f"server {number}")
        port = self.ports[number]
        return self.started(
            "netsuite-http", "--listen", f"127.0.0.1:{port}", "--root", str(root),
            "--set", f"common.data=data{number}", "--set", "http.max_age=0",
        )  # fmt: skip

    def ask(self, count: int) -> Counter[tuple[int, str]]:
        """Status and body of so many requests that no cache may answer."""
        seen: Counter[tuple[int, str]] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        for number in range(count):
            connection.request("GET", f"/name?{number}", headers={"Cache-Control": "no-store"})
            response = connection.getresponse()
            seen[response.status, response.read().decode()] += 1
        connection.close()
        return seen

    def test_traffic_moves_and_comes_back(self) -> None:
        """Nobody is told of a server that is killed, and it is asked again once it is back."""
        first, second = self.server(0), self.server(1)
        proxy = self.started("netsuite", "-c", "site.toml")
        until("both answer", lambda: len(self.ask(10)) == 2)
        first.process.kill()
        first.ended()
        for _ in range(5):
            self.assertEqual(set(self.ask(10)), {(200, "server 1")})
        until("it is said", lambda: f"web: http://127.0.0.1:{self.ports[0]} is down: " in proxy.said())
        status = call(NETSUITE, "status", "--data", "data", cwd=self.folder)
        self.assertIn(f"web http://127.0.0.1:{self.ports[0]} (down) requests", status.stdout)
        self.assertIn(f"web http://127.0.0.1:{self.ports[1]} (up) requests", status.stdout)
        again = self.server(0)
        until("it is asked again", lambda: (200, "server 0") in self.ask(10))
        second.process.kill()
        second.ended()
        self.assertEqual(set(self.ask(10)), {(200, "server 0")})
        again.process.kill()
        again.ended()
        until("none is left", lambda: {status for status, _ in self.ask(3)} == {503})
        proxy.end()
        self.assertNotIn("Traceback", proxy.said())
