"""``idle``: what an open connection that has been answered and says nothing more costs in memory, beside nginx."""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest import OURS, Contender, Say
from benchmarks.ours import ours
from benchmarks.process import free_port, running
from benchmarks.proxies import nginx
from benchmarks.results import Case, Figure, Growth, Ratio, Result

__all__ = ["Idle"]

REQUEST = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Idle:
    """Memory by the thousand idle connections; every measurement on a server just started."""

    name = "idle"
    title = "Idle HTTP connections"
    what_grows = "idle connections"
    size = 5_000
    sizes = (50, 500, 5_000)
    unit = "bytes of memory a connection"
    lower_is_better = True
    by_rate = False
    notes = (
        "Each connection asked for one small file and stays open. Resident memory with them, less that before them, "
        "by their number; the kernel's own memory for sockets is not counted. Lower is better."
    )

    def missing(self) -> str | None:
        """Nothing is needed but ours."""
        return None

    def contenders(self) -> Sequence[Contender[Path]]:
        """Ours and nginx, serving a folder."""
        return (
            ours(
                "netsuite-http",
                lambda www, _, port: ["--listen", f"127.0.0.1:{port}", "--root", www],
            ),
            Contender(
                "nginx",
                "nginx",
                ["nginx", "-v"],
                lambda www, folder, port: nginx(folder, f"server {{ listen 127.0.0.1:{port}; root {www}; }}"),
            ),
        )

    def _one(self, contender: Contender[Path], www: Path, count: int) -> tuple[Figure, float]:
        """Memory per connection, and the seconds that the server took to start."""
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name, contextlib.ExitStack() as stack:
            folder, port = Path(name), free_port()
            folder.chmod(0o755)
            server = stack.enter_context(
                running(contender.command(www, folder, port), folder, port, environment=contender.environment)
            )
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as first:
                first.request("GET", "/page")
                status = first.getresponse().status
                if status != 200:
                    raise RuntimeError(f"{contender.name} answers {status}")
            time.sleep(0.2)
            before, cpu_before, began = server.resident_bytes(), server.cpu_seconds(), time.monotonic()
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                connection.sendall(REQUEST)
                if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"{contender.name} refuses a connection")
            time.sleep(0.5)
            server.check()
            seconds = time.monotonic() - began
            grown = max(server.resident_bytes() - before, 0)
            figure = Figure(
                value=grown / count,
                rate=count / seconds,
                cpu_seconds=server.cpu_seconds() - cpu_before,
                peak_bytes=server.peak_bytes(),
                generator_busy=0.0,
            )
            return figure, server.start_seconds

    def run(self, *, pairs: int, growth: bool, say: Say) -> Result:
        """Measure all contenders that are installed."""
        contenders = [contender for contender in self.contenders() if not contender.missing()]
        skipped = {c.name: why for c in self.contenders() if (why := c.missing())}
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name:
            www = Path(name)
            www.chmod(0o755)
            (www / "page").write_bytes(b"x" * 100)
            figures: dict[str, list[Figure]] = {contender.name: [] for contender in contenders}
            for _ in range(pairs):
                for contender in contenders:
                    figures[contender.name].append(self._one(contender, www, self.size)[0])
            grown = []
            for size in self.sizes if growth else ():
                for contender in contenders:
                    figure, started = self._one(contender, www, size)
                    grown.append(Growth(size, contender.name, figure.cpu_seconds / size, figure.peak_bytes, started))
        ratios = [
            Ratio(peer, [a.value / b.value for a, b in zip(figures[OURS], values, strict=True)])
            for peer, values in figures.items()
            if peer != OURS
        ]
        case = Case(f"{self.size:,} connections", figures, ratios)
        say(f"{self.name}, {case.name}")
        for ratio in ratios:
            say(f"  memory of {ratio.peer}: {ratio.median:.2f} times ({ratio.lowest:.2f} to {ratio.highest:.2f})")
        for contender_name, values in figures.items():
            say(f"  {contender_name:16} {statistics.median(f.value for f in values):9,.0f} bytes a connection")
        for point in grown:
            say(f"  {point.size:7,} {self.what_grows}: {point.contender:16} {point.peak_bytes / 1e6:7.1f} MB peak")
        versions = {contender.name: contender.version() for contender in contenders}
        return Result.of(self, versions=versions, skipped=skipped, seconds=0, cases=[case], growth=grown)
