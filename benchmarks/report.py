"""``docs/reference/performance.md`` and the plots, made from the results; never written by hand."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest import OURS
from benchmarks.load import BOUND
from benchmarks.plot import svg
from benchmarks.results import FOLDER, Case, Result

__all__ = ["PAGE", "pages", "write"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "performance.md"

HEAD = """# Performance

*Made by `python -m benchmarks report` from the results in `benchmarks/results`; do not edit.*

Each of our servers stands beside the servers that people would pick instead, on one machine, one worker each, and they
are loaded in turn: ours, a peer, ours, a peer. What decides is the ratio of answers per second of server CPU (user and
system time of all its processes), one ratio a pair, because absolute figures drift with the machine and ratios do not.
Where every answer waits for the disk it is answers per second of wall clock instead, and the table says so.
A rate marked * is limited by the load generator. What this means and why it is possible:
[Why it is fast](../explanation/performance.md). How each peer was configured stands in `benchmarks/peers.md`.
"""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _figure(value: float) -> str:
    """As much of a figure as means something; nothing of one that was not taken."""
    if not value:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _case(result: Result, case: Case) -> str:
    ratios = {ratio.peer: ratio for ratio in case.ratios}
    rows = []
    for name, figures in case.figures.items():
        ratio = ratios.get(name)
        second = statistics.median(f.per_cpu if result.by_rate else f.rate for f in figures)
        bound = "\\*" if statistics.median(f.generator_busy for f in figures) > BOUND else ""
        rows.append(
            (
                f"{name} {result.versions[name]}",
                f"**{ratio.median:.2f}**" if ratio else "",
                f"{ratio.lowest:.2f} to {ratio.highest:.2f}" if ratio else "",
                _figure(statistics.median(f.value for f in figures)),
                f"{_figure(second)}{bound}",
                f"{statistics.median(f.cpu_seconds for f in figures):.2f}",
                f"{max(f.peak_bytes for f in figures) / 1e6:.1f}",
            )
        )
    second_unit = "a CPU second" if result.by_rate else "a second"
    columns = "lowest to highest", result.unit, second_unit, "CPU seconds a run", "peak memory, MB"
    header = ("server", f"{OURS} over it", *columns)
    return f"### {case.name}\n\n{_table(header, rows)}\n"


def _growth(result: Result) -> str:
    rows = [
        (
            f"{point.size:,}",
            point.contender,
            f"{point.seconds * 1e6:.2f}",
            f"{point.peak_bytes / 1e6:.1f}",
            f"{point.start_seconds:.2f}",
        )
        for point in result.growth
    ]
    header = (result.what_grows, "server", "CPU microseconds an answer", "peak memory, MB", "seconds to start")
    return f"### Growth\n\n{_table(header, rows)}\n"


def _section(result: Result) -> str:
    machine = result.machine
    facts = (
        f"{result.notes} {result.date}, {machine['processor']}, {machine['cores']} cores, {machine['system']},"
        f" Python {machine['python']}."
    )
    parts = [
        f"## {result.title}\n\n`python -m benchmarks {result.name}`. {facts}\n",
        f"![{result.title}](../../benchmarks/results/{result.name}.svg)\n",
        *(_case(result, case) for case in result.cases),
    ]
    if result.growth:
        parts.append(_growth(result))
    parts += [f"Left out: {name} ({why}).\n" for name, why in result.skipped.items()]
    return "\n".join(parts)


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """Every generated file and what must be in it."""
    results = [Result.load(path) for path in sorted(folder.glob("*.json"))]
    made = {folder / f"{result.name}.svg": svg(result) for result in results}
    made[PAGE] = "\n".join([HEAD, *(_section(result) for result in results)])
    return made


def write() -> list[Path]:
    """Write them all; answers where."""
    made = pages()
    for path, text in made.items():
        path.write_text(text)
    return list(made)
