"""``cache-index``: what a million small objects in the cache on disk cost in memory, and how soon a start has them."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.task import Clock

from benchmarks.contest import OURS, Contender, Say
from benchmarks.results import Case, Figure, Growth, Result
from netsuite import __version__
from netsuite.common.datadir import DataDirectory
from netsuite.common.threads import Inline
from netsuite.http.cache.content import InMemory
from netsuite.http.cache.stored import Response, StoredResponse
from netsuite.http.disk.log import Log
from netsuite.http.disk.recovery import recover
from netsuite.http.disk.tier import DiskTier

__all__ = ["CacheIndex"]

MEMORY, CLEAN, KILLED = "bytes of memory an object", "seconds to start after a stop", "seconds to start after kill -9"
BUDGET = 16 << 30
NOW = 1_800_000_000.0


class CacheIndex:
    """Store objects of 512 bytes, leave them as a killed process would, and open the folder again and again."""

    name = "cache-index"
    title = "The cache's index on disk"
    what_grows = "objects in the cache"
    size = 1_000_000
    sizes = (10_000, 100_000, 1_000_000)
    unit = "as the case says"
    lower_is_better = True
    by_rate = False
    notes = (
        "Objects of 512 bytes, written through the disk tier in one process. The folder is opened as a killed process "
        "left it (the last checkpoint, then the log's tail), and as a stop leaves it; all files are in the kernel's "
        "page cache. The time is that of the index, without Python's own start. No peer is measured: none has an "
        "index like it (nginx reads every file's head at a start)."
    )

    def missing(self) -> str | None:
        """Nothing is needed."""
        return None

    def contenders(self) -> Sequence[Contender[Path]]:
        """Ours alone, which is no program here."""
        return ()

    def _one(self, size: int, times: int) -> list[list[Figure]]:
        """The figures of the three cases."""
        clock = Clock()
        clock.advance(NOW)

        def log(folder: Path) -> Log:
            return Log(DataDirectory(folder), BUDGET, Inline(), clock.seconds)

        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name:
            folder = Path(name) / "cache"
            written = log(folder)
            recover(written)
            tier = DiskTier(written, Inline(), clock.callLater)
            response = Response(200, [(b"cache-control", b"max-age=3600"), (b"content-type", b"text/plain")], NOW, NOW)
            stored = StoredResponse(response, InMemory(b"x" * 512), ())
            for number in range(size):
                tier.keep(b"http://www.example.test/objects/%d" % number, stored)

            def timed(work: Callable[[], Log]) -> Figure:
                began, used = time.perf_counter(), time.process_time()
                opened = work()
                took, used = time.perf_counter() - began, time.process_time() - used
                if len(opened.index) != size:
                    raise RuntimeError(f"{len(opened.index)} of {size} objects were found")
                return _figure(took, used)

            def start() -> Log:
                opened = log(folder)
                recover(opened)
                opened.marks.close()
                return opened

            memory = [_figure(written.index.memory / size, 0.0)]
            killed = [timed(start) for _ in range(times)]
            written.checkpoint()
            clean = [timed(start) for _ in range(times)]
            written.marks.close()
        return [memory, clean, killed]

    def run(self, *, pairs: int, growth: bool, say: Say) -> Result:
        """Measure."""
        found = self._one(self.size, pairs)
        cases = [Case(name, {OURS: each}, []) for name, each in zip((MEMORY, CLEAN, KILLED), found, strict=True)]
        for case in cases:
            say(f"{self.name}, {case.name}: {', '.join(f'{figure.value:.2f}' for figure in case.figures[OURS])}")
        grown = []
        for size in self.sizes if growth else ():
            _, (clean, *_), _ = self._one(size, 1)
            grown.append(Growth(size, OURS, clean.cpu_seconds / size, clean.peak_bytes, clean.value))
        return Result.of(self, versions={OURS: __version__}, skipped={}, seconds=0, cases=cases, growth=grown)


def _figure(value: float, used: float) -> Figure:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Figure(value, 0.0, max(used, 1e-6), peak, 0.0, 1)
