"""Results as SVG: the ratio of every pair, then time and memory against size. Legible on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from benchmarks.contest import OURS
from benchmarks.results import Growth, Result

__all__ = ["svg"]

WIDTH = 760
ROW = 26
PANEL = 200
LEFT = 250

STYLE = """
:root { --paper: #ffffff; --ink: #24292f; --faint: #8c959f; --line: #d0d7de;
  --c0: #0b62c4; --c1: #b35900; --c2: #1a7f37; --c3: #8250df; }
@media (prefers-color-scheme: dark) { :root { --paper: #131416; --ink: #e6edf3; --faint: #8b949e; --line: #3d444d;
  --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; } }
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.title { font-size: 14px; font-weight: 600; }
.faint { fill: var(--faint); }
.axis { stroke: var(--line); stroke-width: 1; fill: none; }
.even { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 4 3; }
"""


def _text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _colour(result: Result, contender: str) -> str:
    return f"var(--c{list(result.versions).index(contender) % 4})"


def _ratios(result: Result, top: float) -> tuple[list[str], float]:
    """A row for each case and peer: a dot a pair, a bar at the median, on a logarithmic axis around 1."""
    rows = [(case.name, ratio) for case in result.cases for ratio in case.ratios]
    values = [value for _, ratio in rows for value in ratio.values] or [1.0]
    low, high = min(0.5, *values) * 0.9, max(2.0, *values) * 1.1
    span = math.log(high / low)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 60) * math.log(value / low) / span

    parts = [_text(16, top, f"{OURS} over its peer, {result.unit}", kind="title")]
    bottom = top + 18 + ROW * len(rows)
    parts.append(_line(x(1), top + 10, x(1), bottom, "even"))
    for index, (case, ratio) in enumerate(rows):
        y = top + 18 + ROW * index + ROW / 2
        parts.append(_text(LEFT - 12, y + 4, f"{case} / {ratio.peer}", anchor="end"))
        parts.append(_line(x(low), y, x(high), y, "axis"))
        colour = _colour(result, ratio.peer)
        parts += [
            f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="0.55"/>'
            for value in ratio.values
        ]
        parts.append(f'<rect x="{x(ratio.median) - 1.5:.1f}" y="{y - 9:.1f}" width="3" height="18" fill="{colour}"/>')
        parts.append(_text(WIDTH - 12, y + 4, f"{ratio.median:.2f}", anchor="end"))
    better = "lower is better" if result.lower_is_better else "higher is better"
    parts.append(_text(x(1), bottom + 14, "1.0", anchor="middle", kind="faint"))
    parts.append(_text(WIDTH - 12, bottom + 14, better, anchor="end", kind="faint"))
    return parts, bottom + 40


def _ticks(top: float) -> list[float]:
    """Three or four round values up to the largest."""
    step = 10 ** math.floor(math.log10(top / 2))
    for factor in (1, 2, 5, 10):
        if top / (step * factor) <= 4:
            step *= factor
            break
    return [step * index for index in range(1, int(top / step) + 1)]


def _series(result: Result, heading: str, left: float, top: float, value: Callable[[Growth], float]) -> Iterable[str]:
    """One panel: a line a contender, sizes on a logarithmic axis, values from zero."""
    width, height = PANEL + 90, 130
    sizes = sorted({point.size for point in result.growth})
    highest = max(value(point) for point in result.growth) * 1.1 or 1.0
    low, high = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: int) -> float:
        return left + 50 + (width - 60) * (math.log10(size) - low) / ((high - low) or 1)

    def y(amount: float) -> float:
        return top + 16 + height * (1 - amount / highest)

    yield _text(left, top, heading, kind="title")
    for tick in _ticks(highest):
        yield _line(left + 50, y(tick), left + width - 10, y(tick), "axis")
        yield _text(left + 44, y(tick) + 4, f"{tick:g}", anchor="end", kind="faint")
    for size in sizes:
        yield _text(x(size), top + height + 32, f"{size:,}", anchor="middle", kind="faint")
    for contender in result.versions:
        points = sorted((p for p in result.growth if p.contender == contender), key=lambda p: p.size)
        path = " ".join(f"{x(p.size):.1f},{y(value(p)):.1f}" for p in points)
        colour = _colour(result, contender)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for p in points:
            yield f'<circle cx="{x(p.size):.1f}" cy="{y(value(p)):.1f}" r="3" fill="{colour}"/>'


def _legend(result: Result, top: float) -> Iterable[str]:
    x = 16.0
    for contender, version in result.versions.items():
        label = f"{contender} {version}"
        yield f'<rect x="{x:.1f}" y="{top - 9:.1f}" width="10" height="10" fill="{_colour(result, contender)}"/>'
        yield _text(x + 15, top, label)
        x += 40 + 7 * len(label)


def svg(result: Result) -> str:
    """The whole picture of a result, as an SVG document of its own."""
    parts: list[str] = [*_legend(result, 28)]
    ratios, top = _ratios(result, 62)
    parts += ratios
    if result.growth:
        panels: Sequence[tuple[str, float, Callable[[Growth], float]]] = (
            ("CPU microseconds an answer", 16, lambda point: point.seconds * 1e6),
            ("peak memory, MB", WIDTH / 2 + 10, lambda point: point.peak_bytes / 1e6),
        )
        for heading, left, value in panels:
            parts += _series(result, heading, left, top + 14, value)
        top += 200
        parts.append(_text(WIDTH / 2, top, result.what_grows, anchor="middle", kind="faint"))
        top += 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" role="img"'
        f' aria-label="{escape(result.title)}">\n<title>{escape(result.title)}</title>\n<style>{STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="var(--paper)"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
