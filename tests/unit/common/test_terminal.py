"""Amounts, times and bars as people read them."""

from __future__ import annotations

import pytest

from netsuite.common.terminal import amount, bar, duration, fitted


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (100 * 1024, "100 KiB"),
        (99.96 * 1024, "100 KiB"),
        (1 << 20, "1.0 MiB"),
        (634 << 20, "634 MiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 60, "5120 PiB"),
    ],
)
def test_amounts(count, text):
    assert amount(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (3599, "59:59"), (12000, "3:20:00"), (190800, "2 d 5 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_bars():
    assert [bar(part, 6) for part in (-1, 0, 0.49, 0.5, 1, 2)] == [
        "[....]", "[....]", "[#...]", "[##..]", "[####]", "[####]"
    ]  # fmt: skip
    assert bar(1, 1) == "[]"


def test_texts_fit_and_cannot_steer_the_terminal():
    assert fitted("short", 5) == "short"
    assert fitted("longer text", 8) == "longe..."
    assert fitted("\x1b[31mred\x07", 20) == "?[31mred?"
    assert fitted("漢字漢字", 8) == "漢字漢字"
    assert fitted("漢字漢字", 7) == "漢字..."
    assert fitted("anything", 2) == ".."
