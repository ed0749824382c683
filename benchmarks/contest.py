"""How a benchmark runs: all contenders answer alike, then ours and each peer take turns, then all grow in size."""

from __future__ import annotations

import abc
import contextlib
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs

from benchmarks.load import BOUND, Load
from benchmarks.process import Running, free_port, running
from benchmarks.results import Case, Figure, Growth, Ratio, Result

__all__ = ["OURS", "Benchmark", "Contender", "Disagreement", "Say", "contest"]

OURS = "netsuite"
Say = Callable[[str], None]
Scene = TypeVar("Scene")


class Disagreement(Exception):
    """Two contenders do not give the same answer, so their speeds cannot be compared."""


@attrs.frozen
class Contender(Generic[Scene]):
    """A server that can be measured: how to find it, ask its version, and start it on a scene in a folder and port."""

    name: str
    program: str
    version_command: Sequence[str]
    command: Callable[[Scene, Path, int], Sequence[str | Path]]
    environment: dict[str, str] = attrs.field(factory=dict)

    def missing(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return None if shutil.which(self.program) else f"{self.program} is not installed"

    def version(self) -> str:
        """What it calls itself."""
        done = subprocess.run(self.version_command, capture_output=True, text=True, timeout=20, check=False)
        found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        return found[0] if found else "unknown"


class Benchmark(abc.ABC, Generic[Scene]):
    """One question that all contenders answer, over and over."""

    name: str
    title: str
    what_grows: str
    """What the sizes count, for the axis of the plot."""
    size: int
    """The size at which the pairs run."""
    sizes: tuple[int, ...]
    """The sizes of the growth series, a factor of ten apart."""
    cases: tuple[str, ...]
    """The loads that are run on the same servers."""
    notes: str = ""
    """What differs between the contenders, for the report."""
    unit = "answers per second of server CPU"
    lower_is_better = False
    by_rate = False
    """Whether the rate decides, not the CPU time: for what waits for the disk, whose time is no CPU time."""

    def missing(self) -> str | None:
        """Why the benchmark cannot run at all here, or None."""
        return None

    @abc.abstractmethod
    def contenders(self) -> Sequence[Contender[Scene]]:
        """Ours first, then the peers."""

    @abc.abstractmethod
    def scene(self, folder: Path, size: int) -> contextlib.AbstractContextManager[Scene]:
        """What the servers serve, at a size, with whatever upstream they need."""

    @abc.abstractmethod
    def sample(self, scene: Scene, case: str, port: int) -> Any:
        """Answers that must be equal for all contenders."""

    def warm(self, scene: Scene, case: str, port: int) -> None:
        """Bring a server into the state that is measured."""

    @abc.abstractmethod
    def load(self, scene: Scene, case: str, port: int, seconds: float) -> Load:
        """Ask for some seconds."""


def _measure(benchmark: Benchmark[Scene], scene: Scene, case: str, server: Running, seconds: float) -> Figure:
    before = server.cpu_seconds()
    done = benchmark.load(scene, case, server.port, seconds)
    server.check()
    cpu = max(server.cpu_seconds() - before, 0.01)
    per_cpu, rate = done.answers / cpu, done.answers / done.seconds
    value = rate if benchmark.by_rate else per_cpu
    return Figure(value, rate, cpu, server.peak_bytes(), done.busy, done.answers)


@contextlib.contextmanager
def _started(contender: Contender[Scene], scene: Scene, folder: Path) -> Iterator[Running]:
    home = folder / contender.name.replace(" ", "-")
    home.mkdir(mode=0o755)
    port = free_port()
    with running(contender.command(scene, home, port), home, port, environment=contender.environment) as server:
        yield server


def _agree(benchmark: Benchmark[Scene], scene: Scene, case: str, servers: dict[str, Running]) -> None:
    samples = {name: benchmark.sample(scene, case, server.port) for name, server in servers.items()}
    for name, sample in samples.items():
        if sample != samples[OURS]:
            raise Disagreement(f"{benchmark.name}: {name} answers {sample!r}, {OURS} {samples[OURS]!r}"[:1500])


def _pairs(
    benchmark: Benchmark[Scene], scene: Scene, servers: dict[str, Running], pairs: int, seconds: float, say: Say
) -> list[Case]:
    cases = []
    for case in benchmark.cases:
        for server in servers.values():
            benchmark.warm(scene, case, server.port)
        _agree(benchmark, scene, case, servers)
        for server in servers.values():
            benchmark.load(scene, case, server.port, 1)
        figures: dict[str, list[Figure]] = {name: [] for name in servers}
        ratios: dict[str, list[float]] = {name: [] for name in servers if name != OURS}
        for _ in range(pairs):
            for peer in ratios or [OURS]:
                couple = []
                for name in dict.fromkeys((OURS, peer)):
                    server = servers[name]
                    couple.append(_measure(benchmark, scene, case, server, seconds))
                    figures[name].append(couple[-1])
                if peer != OURS:
                    ratios[peer].append(couple[0].value / couple[1].value)
        found = Case(case, figures, [Ratio(peer, values) for peer, values in ratios.items()])
        cases.append(found)
        describe(benchmark, found, say)
    return cases


def describe(benchmark: Benchmark[Any], case: Case, say: Say) -> None:
    """Print what one case found: the ratio that decides, then each contender's own figures."""
    say(f"{benchmark.name}, {case.name}")
    for ratio in case.ratios:
        say(
            f"  {benchmark.unit}: {ratio.median:.2f} of {ratio.peer}"
            f" ({ratio.lowest:.2f} to {ratio.highest:.2f}, {len(ratio.values)} pairs)"
        )
    for contender, figures in case.figures.items():
        bound = " generator-bound" if statistics.median(f.generator_busy for f in figures) > BOUND else ""
        say(
            f"  {contender:16} {statistics.median(f.per_cpu for f in figures):9,.0f} a CPU second,"
            f" {statistics.median(f.rate for f in figures):9,.0f}/s{bound},"
            f" {statistics.median(f.cpu_seconds for f in figures):5.2f} CPU s a run,"
            f" {max(f.peak_bytes for f in figures) / 1e6:6.1f} MB peak"
        )


def _growth(
    benchmark: Benchmark[Scene], contenders: Sequence[Contender[Scene]], folder: Path, seconds: float, say: Say
) -> list[Growth]:
    found = []
    case = benchmark.cases[0]
    for size in benchmark.sizes:
        place = folder / f"size-{size}"
        place.mkdir(mode=0o755)
        with benchmark.scene(place, size) as scene:
            for contender in contenders:
                # One at a time, so that memory and caches are its own.
                with _started(contender, scene, place) as server:
                    benchmark.warm(scene, case, server.port)
                    benchmark.load(scene, case, server.port, 1)
                    runs = [_measure(benchmark, scene, case, server, seconds) for _ in range(3)]
                    figure = sorted(runs, key=lambda run: run.value)[1]
                    found.append(
                        Growth(size, contender.name, 1 / figure.per_cpu, server.peak_bytes(), server.start_seconds)
                    )
                say(
                    f"  {size:7,} {benchmark.what_grows}: {contender.name:16}"
                    f" {found[-1].seconds * 1e6:7.2f} microseconds of CPU, {found[-1].peak_bytes / 1e6:7.1f} MB peak,"
                    f" started in {found[-1].start_seconds:.2f} s"
                )
    return found


def contest(benchmark: Benchmark[Any], *, pairs: int, seconds: float, growth: bool, say: Say) -> Result:
    """Run a benchmark with every contender that is installed."""
    contenders = [contender for contender in benchmark.contenders() if not contender.missing()]
    skipped = {c.name: why for c in benchmark.contenders() if (why := c.missing())}
    for name, why in skipped.items():
        say(f"{benchmark.name}: {name} is left out: {why}")
    with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name:
        folder = Path(name)
        # Peers that give up root must still reach their files.
        folder.chmod(0o755)
        with contextlib.ExitStack() as stack:
            place = folder / "pairs"
            place.mkdir(mode=0o755)
            scene = stack.enter_context(benchmark.scene(place, benchmark.size))
            servers = {c.name: stack.enter_context(_started(c, scene, place)) for c in contenders}
            cases = _pairs(benchmark, scene, servers, pairs, seconds, say)
        grown = _growth(benchmark, contenders, folder, seconds, say) if growth else []
    versions = {contender.name: contender.version() for contender in contenders}
    return Result.of(benchmark, versions=versions, skipped=skipped, seconds=seconds, cases=cases, growth=grown)
