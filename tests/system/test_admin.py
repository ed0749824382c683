"""The admin port of a real site: what people, Prometheus and load balancers see, with workers and without."""

from __future__ import annotations

import http.client
import json
import os
import signal
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import TestCase

from tests.system.running import Running, folder, free_port, until, upper


class Admin(TestCase):
    """A site with the upper-case server and the admin port."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port, self.upper = free_port(), free_port()

    def site(self, workers: int = 1) -> Running:
        (self.folder / "site.toml").write_text(
            f"[common]\nworkers = {workers}\ndrain = 5\n"
            f'[upper]\nlisten = ["127.0.0.1:{self.upper}"]\n'
            f'[admin]\nlisten = ["127.0.0.1:{self.port}"]\n'
        )
        running = Running("netsuite", "-c", "site.toml", cwd=self.folder)
        self.addCleanup(running.__exit__, None, None, None)
        return running.ready()

    def get(self, path: str, method: str = "GET", host: str | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers={} if host is None else {"Host": host})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def metrics(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[2].decode())
            for sample in family.samples
        }

    def health(self) -> tuple[int, dict[str, dict[str, object]]]:
        status, _, body = self.get("/health")
        return status, json.loads(body)["services"]

    def test_what_it_shows(self) -> None:
        self.site()
        for _ in range(3):
            upper(self.upper)
        status, headers, page = self.get("/")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(f"tcp:127.0.0.1:{self.upper}", page.decode())
        self.assertIn("default-src 'none'", headers["content-security-policy"])
        figures = {
            figure["name"]: figure["value"]
            for service in json.loads(self.get("/status.json")[2])["services"]
            if service["name"] == "upper"
            for figure in service["figures"]
        }
        self.assertEqual(figures["lines over TCP"], 3)
        found = self.metrics()
        self.assertEqual(found["netsuite_upper_lines_total", ("tcp",)], 3)
        self.assertGreater(found["process_resident_memory_bytes", ("0",)], 1 << 20)
        status, services = self.health()
        self.assertEqual(status, 200)
        self.assertEqual(services["upper"], {"ok": True, "detail": ""})

    def test_it_only_reads_and_only_under_its_own_name(self) -> None:
        self.site()
        status, headers, _ = self.get("/metrics", "POST")
        self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"))
        status, headers, body = self.get("/status.json", "HEAD")
        self.assertEqual((status, body), (200, b""))
        self.assertEqual(self.get("/", host="rebound.example")[0], 421)
        self.assertEqual(self.get("/", host=f"localhost:{self.port}")[0], 200)
        self.assertEqual(self.get("/nothing")[0], 404)

    def test_a_port_in_use_ends_the_start(self) -> None:
        self.site()
        other = Running("netsuite", "-c", "site.toml", "--set", "common.data=other", cwd=self.folder)
        self.addCleanup(other.__exit__, None, None, None)
        self.assertEqual(other.ended(), 1)
        self.assertRegex(
            other.complaint(), r"^127.0.0.1:\d+ is already in use; choose another address with --listen or "
        )
        self.assertEqual(other.complaint().count("\n"), 1)

    def test_all_processes_count(self) -> None:
        running = self.site(workers=3)
        until("three processes", lambda: self.health()[0] == 200)
        for _ in range(60):
            upper(self.upper)
        self.assertEqual(self.metrics()["netsuite_upper_lines_total", ("tcp",)], 60)
        told = json.loads(self.get("/status.json")[2])
        self.assertEqual(told["workers"], 2)
        self.assertEqual(running.end(), 0)

    def test_a_worker_that_dies_is_seen_and_replaced(self) -> None:
        running = self.site(workers=2)
        until("two processes", lambda: self.health()[0] == 200)
        (worker,) = children(running.process.pid)
        os.kill(worker, signal.SIGKILL)
        _, services = until("trouble", lambda: self.health() if self.health()[0] == 503 else None)
        self.assertEqual(services["workers"], {"ok": False, "detail": "not running: worker 1"})
        until("a new worker", lambda: self.health()[0] == 200)
        for _ in range(20):
            self.assertEqual(upper(self.upper), b"HELLO\n")

    def test_workers_end_with_a_parent_that_was_killed(self) -> None:
        running = self.site(workers=3)
        until("three processes", lambda: self.health()[0] == 200)
        workers = children(running.process.pid)
        self.assertEqual(len(workers), 2)
        running.send(signal.SIGKILL)
        running.ended()
        until("the workers' end", lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
