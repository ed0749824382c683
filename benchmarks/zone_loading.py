"""``dns-load``: what it takes to have a zone of a million names in memory, beside NSD and Knot DNS."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest import OURS, Contender, Say
from benchmarks.name_servers import Zone, answer, authoritative, make_zone
from benchmarks.process import free_port, running
from benchmarks.results import Case, Figure, Growth, Ratio, Result

__all__ = ["DnsLoad"]

CPU, MEMORY = "CPU seconds from start to answer", "megabytes resident then"


class DnsLoad:
    """Start a server on a zone file, wait until it answers for the last name, and look at what that took."""

    name = "dns-load"
    title = "Loading a zone"
    what_grows = "names in the zone"
    size = 1_000_000
    sizes = (10_000, 100_000, 1_000_000)
    unit = "as the case says"
    lower_is_better = True
    by_rate = False
    notes = (
        "CPU time is all of the process, its start and the import of its modules included; memory counts pages that "
        "several processes of one server share once. Lower is better."
    )

    def missing(self) -> str | None:
        """Nothing is needed but ours."""
        return None

    def contenders(self) -> Sequence[Contender[Zone]]:
        """Ours, NSD, Knot DNS."""
        return authoritative()

    def _one(self, contender: Contender[Zone], scene: Zone) -> tuple[float, float, float, int]:
        """CPU seconds, megabytes, wall clock seconds, peak memory."""
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name:
            folder, port = Path(name), free_port()
            folder.chmod(0o755)
            began = time.monotonic()
            with running(
                contender.command(scene, folder, port), folder, port, environment=contender.environment
            ) as server:
                for _ in range(1200):
                    if answer(scene.samples[2], port)[0] == "NOERROR":
                        break
                    time.sleep(0.05)
                took, cpu = time.monotonic() - began, server.cpu_seconds()
                time.sleep(1)
                server.check()
                return cpu, server.proportional_bytes() / 1e6, took, server.peak_bytes()

    def run(self, *, pairs: int, growth: bool, say: Say) -> Result:
        """Measure all contenders that are installed."""
        contenders = [contender for contender in self.contenders() if not contender.missing()]
        skipped = {c.name: why for c in self.contenders() if (why := c.missing())}
        found: dict[str, list[tuple[float, float, float, int]]] = {contender.name: [] for contender in contenders}
        grown = []
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            scene = make_zone(folder, self.size, 0)
            for _ in range(pairs):
                for contender in contenders:
                    found[contender.name].append(self._one(contender, scene))
            for size in self.sizes if growth else ():
                scene = make_zone(folder, size, 0)
                for contender in contenders:
                    cpu, _, took, peak = self._one(contender, scene)
                    grown.append(Growth(size, contender.name, cpu / size, peak, took))
        cases = [self._case(name, which, found) for which, name in enumerate((CPU, MEMORY))]
        for case in cases:
            say(f"{self.name}, {case.name}")
            for ratio in case.ratios:
                say(f"  {ratio.median:.2f} times that of {ratio.peer} ({ratio.lowest:.2f} to {ratio.highest:.2f})")
            for contender_name, values in case.figures.items():
                say(f"  {contender_name:16} {statistics.median(f.value for f in values):9.2f}")
        for point in grown:
            say(f"  {point.size:9,} {self.what_grows}: {point.contender:16} answers after {point.start_seconds:.2f} s")
        versions = {contender.name: contender.version() for contender in contenders}
        return Result.of(self, versions=versions, skipped=skipped, seconds=0, cases=cases, growth=grown)

    def _case(self, name: str, which: int, found: dict[str, list[tuple[float, float, float, int]]]) -> Case:
        figures = {
            contender: [Figure(one[which], self.size / one[2], one[0], one[3], 0.0, self.size) for one in values]
            for contender, values in found.items()
        }
        ratios = [
            Ratio(peer, [a.value / b.value for a, b in zip(figures[OURS], values, strict=True)])
            for peer, values in figures.items()
            if peer != OURS
        ]
        return Case(name, figures, ratios)
