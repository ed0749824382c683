"""Results survive their file, and become a plot and a page."""

from __future__ import annotations

from xml.etree import ElementTree

import attrs
import pytest

from benchmarks import report
from benchmarks.plot import svg
from benchmarks.results import Case, Figure, Growth, Ratio, Result


def figure(value, busy=0.5):
    return Figure(value=value, rate=value / 2, cpu_seconds=1.5, peak_bytes=40_000_000, generator_busy=busy)


@pytest.fixture
def result():
    return Result(
        name="dns-auth",
        title="Authoritative <DNS>",
        what_grows="names",
        size=10_000,
        notes="One worker each.",
        unit="answers per second of server CPU",
        lower_is_better=False,
        date="2026-01-02",
        machine={"processor": "some", "cores": 2, "system": "Linux 6.1", "python": "3.11.7"},
        seconds=3.0,
        versions={"netsuite": "0.1.0", "NSD": "4.6.1"},
        skipped={"Knot DNS": "knotd is not installed"},
        cases=[
            Case(
                "random names",
                {"netsuite": [figure(150_000.0), figure(140_000.0)], "NSD": [figure(160_000.0, 0.95)] * 2},
                [Ratio("NSD", [0.94, 0.88])],
            )
        ],
        growth=[Growth(size, name, 6e-6, size * 100, 0.5) for size in (10, 100, 1000) for name in ("netsuite", "NSD")],
    )


def test_a_result_survives_its_file(result, tmp_path):
    assert Result.load(result.save(tmp_path)) == result


def test_a_ratio_tells_middle_and_ends():
    ratio = Ratio("NSD", [1.2, 0.8, 1.0, 0.9, 1.1])
    assert (ratio.median, ratio.lowest, ratio.highest) == (1.0, 0.8, 1.2)


def test_the_plot_is_well_formed_and_has_a_dot_a_pair(result):
    root = ElementTree.fromstring(svg(result))
    assert root.get("aria-label") == "Authoritative <DNS>"
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 2 + 2 * 2 * 3  # pairs; panels, contenders, sizes
    assert "prefers-color-scheme: dark" in svg(result)


def test_a_plot_without_growth_or_peers(result):
    lonely = attrs.evolve(
        result, growth=[], versions={"netsuite": "0.1.0"}, cases=[Case("a", {"netsuite": [figure(1.0)]}, [])]
    )
    ElementTree.fromstring(svg(lonely))


def test_the_page_marks_what_the_generator_bounds_and_names_who_is_missing(result, tmp_path):
    result.save(tmp_path)
    made = report.pages(tmp_path)
    page = made[report.PAGE]
    assert "| NSD 4.6.1 | **0.91** | 0.88 to 0.94 | 160,000 | 80,000\\* |" in page
    assert "| netsuite 0.1.0 |  |  | 145,000 | 72,500 |" in page
    assert "Left out: Knot DNS (knotd is not installed)." in page
    assert tmp_path / "dns-auth.svg" in made
