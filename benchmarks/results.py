"""What a benchmark found, as values and as JSON under ``benchmarks/results``."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any, Protocol

import attrs

__all__ = ["FOLDER", "Case", "Figure", "Growth", "Ratio", "Result"]

FOLDER = Path(__file__).parent / "results"


@attrs.frozen
class Figure:
    """One run on one server: ``value`` is what decides, in the result's unit.

    ``rate`` is answers a second of wall clock, ``generator_busy`` the share that the generator used of its core.
    """

    value: float
    rate: float
    cpu_seconds: float
    peak_bytes: int
    generator_busy: float
    answers: int = 0

    @property
    def per_cpu(self) -> float:
        """Answers per second of server CPU."""
        return self.answers / self.cpu_seconds


@attrs.frozen
class Ratio:
    """Ours over a peer's, one value a pair."""

    peer: str
    values: list[float]

    @property
    def median(self) -> float:
        """The middle pair."""
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        """The worst pair."""
        return min(self.values)

    @property
    def highest(self) -> float:
        """The best pair."""
        return max(self.values)


@attrs.frozen
class Case:
    """One load: every contender's runs, and the ratios."""

    name: str
    figures: dict[str, list[Figure]]
    ratios: list[Ratio]


@attrs.frozen
class Growth:
    """One contender at one size: CPU seconds an answer, peak memory in bytes, seconds until it answered."""

    size: int
    contender: str
    seconds: float
    peak_bytes: int
    start_seconds: float


class Described(Protocol):
    """What a result takes over from its benchmark."""

    name: str
    title: str
    what_grows: str
    size: int
    notes: str
    unit: str
    lower_is_better: bool
    by_rate: bool


def _machine() -> dict[str, Any]:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


@attrs.frozen
class Result:
    """All that a benchmark found; what the plot and the report are made of."""

    name: str
    title: str
    what_grows: str
    size: int
    notes: str
    unit: str
    lower_is_better: bool
    date: str
    machine: dict[str, Any]
    seconds: float
    versions: dict[str, str]
    skipped: dict[str, str]
    cases: list[Case]
    growth: list[Growth]
    by_rate: bool = False
    """Whether answers per second of wall clock decide, as they do where every answer waits for the disk."""

    @classmethod
    def of(
        cls,
        benchmark: Described,
        *,
        versions: dict[str, str],
        skipped: dict[str, str],
        seconds: float,
        cases: list[Case],
        growth: list[Growth],
    ) -> Result:
        """What was just measured, with the date and the machine."""
        return cls(
            name=benchmark.name,
            title=benchmark.title,
            what_grows=benchmark.what_grows,
            size=benchmark.size,
            notes=benchmark.notes,
            unit=benchmark.unit,
            lower_is_better=benchmark.lower_is_better,
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            machine=_machine(),
            seconds=seconds,
            versions=versions,
            skipped=skipped,
            cases=cases,
            growth=growth,
            by_rate=benchmark.by_rate,
        )

    def save(self, folder: Path = FOLDER) -> Path:
        """Write NAME.json."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(_rounded(attrs.asdict(self)), indent=1) + "\n")
        return path

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read what ``save`` wrote."""
        raw = json.loads(path.read_text())
        raw["cases"] = [
            Case(
                case["name"],
                {name: [Figure(**figure) for figure in figures] for name, figures in case["figures"].items()},
                [Ratio(**ratio) for ratio in case["ratios"]],
            )
            for case in raw["cases"]
        ]
        raw["growth"] = [Growth(**point) for point in raw["growth"]]
        return cls(**raw)


def _rounded(value: Any) -> Any:
    """Four significant digits: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
