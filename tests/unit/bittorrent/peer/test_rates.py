from __future__ import annotations

import pytest

from netsuite.bittorrent.peer.rates import BLOCK, Limit, Pipeline, Rate

START = 1_800_000_000.0


def test_a_steady_stream_has_its_rate() -> None:
    rate = Rate(START)
    for second in range(60):
        rate.add(START + second, 5000)
    assert rate.rate(START + 59.5) == 5000
    assert rate.total == 300_000


def test_what_is_older_than_the_window_counts_no_more() -> None:
    rate = Rate(START)
    rate.add(START + 100, 40_000)
    assert rate.rate(START + 100) == 2000
    assert rate.rate(START + 119.9) == 2000
    assert rate.rate(START + 120) == 0
    assert rate.rate(START + 10_000) == 0
    assert rate.total == 40_000


def test_a_newcomer_is_measured_over_its_time_but_not_over_a_moment() -> None:
    rate = Rate(START)
    rate.add(START, 10_000)
    assert rate.rate(START) == 2000, "over a quarter of the window"
    assert rate.rate(START + 10) == 1000
    assert rate.rate(START + 19) == pytest.approx(10_000 / 19)


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    rate = Rate(START)
    rate.add(START, 10_000)
    rate.add(START - 50, 10_000)
    assert rate.rate(START - 50) == 4000
    assert rate.rate(START + 19) == pytest.approx(20_000 / 19)


def test_the_window_scales() -> None:
    rate = Rate(0.0, window=0.2)
    for tick in range(100):
        rate.add(tick / 100, 10)
    assert rate.rate(0.99) == pytest.approx(1000)


def fed(pipeline: Pipeline, now: float, seconds: int, blocks: int) -> float:
    """So many blocks a second for so long."""
    for _ in range(seconds):
        for number in range(10):
            pipeline.arrived(now + number / 10, blocks // 10)
        now += 1
    return now


def test_the_queue_opens_quickly_and_settles_at_three_seconds_of_the_rate() -> None:
    pipeline = Pipeline(0.0)
    assert pipeline.depth == 4
    pipeline.arrived(0.1)
    assert pipeline.depth == 5
    now = fed(pipeline, 1.0, 4, 100)
    fed(pipeline, now, 10, 100)
    assert pipeline.depth == pytest.approx(300, rel=0.1)


def test_the_queue_follows_the_rate_down_within_its_bounds() -> None:
    pipeline = Pipeline(0.0)
    now = fed(pipeline, 0.0, 10, 1000)
    assert pipeline.depth == 500, "the most"
    now = fed(pipeline, now, 10, 20)
    assert pipeline.depth == pytest.approx(60, rel=0.1)
    for second in range(10):
        pipeline.arrived(now + 5 * second)
    assert pipeline.depth == 4, "the least"


def test_who_stalls_is_asked_for_one_block_and_begins_anew() -> None:
    pipeline = Pipeline(0.0)
    now = fed(pipeline, 0.0, 10, 100)
    pipeline.stalled(now)
    assert pipeline.depth == 1
    pipeline.arrived(now + 0.1, 2)
    assert pipeline.depth == 3


def test_a_limit_lets_its_rate_through() -> None:
    limit = Limit(100_000.0)
    now, sent = 0.0, 0
    while now < 60:
        if limit.take(now, BLOCK):
            sent += BLOCK
        else:
            wait = limit.wait(now, BLOCK)
            assert wait > 0
            now += wait
    assert sent == pytest.approx(60 * 100_000 + limit.burst, rel=0.01)


def test_one_block_always_fits_through_a_limit() -> None:
    limit = Limit(10.0)
    assert limit.take(0.0, BLOCK + 13)
    assert not limit.take(0.0, 1000)
    assert limit.wait(0.0, BLOCK + 13) == pytest.approx((BLOCK + 13) / 10)


def test_no_limit() -> None:
    limit = Limit(None)
    assert all(limit.take(0.0, 1_000_000) for _ in range(100))
    assert limit.wait(0.0, 1_000_000) == 0
