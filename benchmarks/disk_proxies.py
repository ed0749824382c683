"""``http-hit-disk``: fresh objects from a proxy's cache on disk, beside nginx proxy_cache."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.contest import Contender
from benchmarks.ours import ours
from benchmarks.proxies import HttpHit, Objects

__all__ = ["HttpHitDisk"]

MEMORY = 1 << 20
"""What ours may hold in memory: a fiftieth of the objects."""


class HttpHitDisk(HttpHit):
    """As ``http-hit``, with more objects than ours has memory for; the kernel's page cache holds the files of both."""

    size = 20_000
    sizes = (1_000, 10_000, 100_000)

    def __init__(self) -> None:
        super().__init__()
        self.name = "http-hit-disk"
        self.title = "HTTP cache hits from disk"
        self.notes = (
            "One worker each; access logs off; nginx as the origin of both. Ours may hold 1 MiB in memory, so that "
            "nearly every object is read from its segment files; nginx reads each from its own file. All files are "
            "in the kernel's page cache. Varnish keeps nothing on disk and is left out."
        )

    def contenders(self) -> Sequence[Contender[Objects]]:
        """Ours and nginx proxy_cache."""
        mine: Contender[Objects] = ours(
            "netsuite-proxy",
            lambda objects, _, port: [
                "--listen", f"127.0.0.1:{port}", "--origin", f"http://127.0.0.1:{objects.origin}",
                "--set", f"proxy.cache_bytes={MEMORY}", "--set", f"proxy.disk_bytes={2 << 30}",
            ],
        )  # fmt: skip
        return (mine, *[contender for contender in super().contenders() if contender.name == "nginx"])
