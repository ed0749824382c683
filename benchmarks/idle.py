"""``idle`` and ``idle-proxy``: what a connection that was answered and says nothing more costs in memory, beside nginx.

The first is the origin server with a folder, the second the proxy cache before another server.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from benchmarks.contest import OURS, Contender, Say
from benchmarks.load import missing
from benchmarks.ours import ours
from benchmarks.process import GENERATOR_CORE, free_port, running
from benchmarks.proxies import nginx
from benchmarks.results import Case, Figure, Growth, Ratio, Result

__all__ = ["Idle"]

REQUEST = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


@attrs.frozen
class Folder:
    """A folder with one small file, and for proxies the port of who serves it."""

    www: Path
    origin: int = 0


class Idle:
    """Memory by the thousand idle connections; every measurement on a server just started."""

    what_grows = "idle connections"
    size = 10_000
    sizes = (100, 1_000, 10_000)
    unit = "bytes of memory a connection"
    lower_is_better = True
    by_rate = False
    notes = (
        "Each connection asked for one small file and stays open. Resident memory with them, less that before them, "
        "by their number; the kernel's own memory for sockets is not counted. Lower is better."
    )

    def __init__(self, *, proxied: bool = False) -> None:
        self._proxied = proxied
        self.name = "idle-proxy" if proxied else "idle"
        self.title = "Idle connections to a proxy cache" if proxied else "Idle HTTP connections"

    def missing(self) -> str | None:
        """A proxy needs somebody to stand before."""
        return missing("nginx") if self._proxied else None

    def contenders(self) -> Sequence[Contender[Folder]]:
        """Ours and nginx, serving a folder or what another server has."""
        if self._proxied:
            return (
                ours(
                    "netsuite-proxy",
                    lambda scene, _, port: [
                        "--listen", f"127.0.0.1:{port}", "--origin", f"http://127.0.0.1:{scene.origin}"
                    ],
                ),
                Contender("nginx", "nginx", ["nginx", "-v"], self._proxy_cache),
            )  # fmt: skip
        return (
            ours(
                "netsuite-http",
                lambda scene, _, port: ["--listen", f"127.0.0.1:{port}", "--root", scene.www],
            ),
            Contender(
                "nginx",
                "nginx",
                ["nginx", "-v"],
                lambda scene, folder, port: nginx(folder, f"server {{ listen 127.0.0.1:{port}; root {scene.www}; }}"),
            ),
        )

    @staticmethod
    def _proxy_cache(scene: Folder, folder: Path, port: int) -> Sequence[str | Path]:
        return nginx(
            folder,
            f"proxy_cache_path {folder}/cache keys_zone=hits:1m;\n"
            f"    server {{ listen 127.0.0.1:{port};\n"
            f"        location / {{ proxy_pass http://127.0.0.1:{scene.origin}; proxy_cache hits; }} }}",
        )

    @contextlib.contextmanager
    def scene(self, www: Path) -> Iterator[Folder]:
        """The folder, and for proxies nginx that serves it, fresh for an hour."""
        www.chmod(0o755)
        (www / "page").write_bytes(b"x" * 100)
        if not self._proxied:
            yield Folder(www)
            return
        home, port = www.parent / f"{www.name}-origin", free_port()
        home.mkdir(mode=0o755)
        served = f'server {{ listen 127.0.0.1:{port}; root {www}; add_header Cache-Control "public, max-age=3600"; }}'
        with running(nginx(home, served), home, port, core=GENERATOR_CORE):
            yield Folder(www, port)

    def measure(self, contender: Contender[Folder], scene: Folder, count: int) -> tuple[Figure, float]:
        """Memory per connection, and the seconds that the server took to start."""
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name, contextlib.ExitStack() as stack:
            folder, port = Path(name), free_port()
            folder.chmod(0o755)
            server = stack.enter_context(
                running(contender.command(scene, folder, port), folder, port, environment=contender.environment)
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
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name, contextlib.ExitStack() as stack:
            Path(name).chmod(0o755)
            (Path(name) / "www").mkdir()
            scene = stack.enter_context(self.scene(Path(name) / "www"))
            figures: dict[str, list[Figure]] = {contender.name: [] for contender in contenders}
            for _ in range(pairs):
                for contender in contenders:
                    figures[contender.name].append(self.measure(contender, scene, self.size)[0])
            grown = []
            for size in self.sizes if growth else ():
                for contender in contenders:
                    figure, started = self.measure(contender, scene, size)
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
