from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from netsuite.common.metrics import Family, Histogram, Metrics, retain
from netsuite.common.process import ProcessFigures
from netsuite.common.sharing import GONE


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def logged() -> Iterator[list[object]]:
    events: list[object] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_numbers_are_read_when_somebody_looks() -> None:
    metrics = Metrics(Clock())
    count = 0
    metrics.add("netsuite_things", "Things.", "counter", lambda: count)
    count = 7
    assert samples(metrics.exposition()) == {("netsuite_things_total", ()): 7.0}


def test_labels_and_kinds() -> None:
    metrics = Metrics(Clock())
    metrics.add("netsuite_lines", "Lines.", "counter", lambda: {("tcp",): 1, ('od"d\n',): 2}, ("transport",))
    metrics.add("netsuite_now", "Now.", "gauge", lambda: 1.5)
    text = metrics.exposition()
    assert b"# TYPE netsuite_lines_total counter" in text
    assert samples(text) == {
        ("netsuite_lines_total", (("transport", "tcp"),)): 1.0,
        ("netsuite_lines_total", (("transport", 'od"d\n'),)): 2.0,
        ("netsuite_now", ()): 1.5,
    }


def test_histograms_count_up_to_their_bounds() -> None:
    metrics = Metrics(Clock())
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 9.0):
        histogram.observe(value)
    metrics.add("netsuite_took_seconds", "Took.", "histogram", histogram.read)
    found = samples(metrics.exposition())
    assert [found["netsuite_took_seconds_bucket", (("le", bound),)] for bound in ("0.1", "1.0", "+Inf")] == [2, 3, 4]
    assert found["netsuite_took_seconds_count", ()] == 4
    assert math.isclose(found["netsuite_took_seconds_sum", ()], 9.65)


def test_several_owners_of_one_name_are_summed() -> None:
    metrics = Metrics(Clock())
    for count in (1, 2):
        metrics.add("netsuite_things", "Things.", "counter", lambda count=count: {("a",): count}, ("of",))
    assert samples(metrics.exposition()) == {("netsuite_things_total", (("of", "a"),)): 3.0}


def test_a_name_has_one_kind() -> None:
    metrics = Metrics(Clock())
    metrics.add("netsuite_things", "Things.", "counter", lambda: 1)
    with pytest.raises(ValueError, match="added before as counter"):
        metrics.add("netsuite_things", "Things.", "gauge", lambda: 1)
    with pytest.raises(ValueError, match="with labels"):
        metrics.add("netsuite_things", "Things.", "counter", lambda: 1, ("of",))


def test_what_is_removed_is_read_no_more() -> None:
    metrics = Metrics(Clock())

    def read() -> int:
        return 1

    metrics.add("netsuite_things", "Things.", "counter", read)
    metrics.remove("netsuite_things", read)
    metrics.remove("netsuite_things", read)
    assert metrics.exposition() == b""


def test_one_that_cannot_be_read_spoils_nothing(logged: list[dict[str, object]]) -> None:
    metrics = Metrics(Clock())
    metrics.add("netsuite_broken", "Broken.", "counter", lambda: 1 / 0)
    metrics.add("netsuite_fine", "Fine.", "gauge", lambda: 1)
    for _ in range(2):
        assert samples(metrics.exposition()) == {("netsuite_fine", ()): 1.0}
    assert len([event for event in logged if event.get("name") == "netsuite_broken"]) == 1


def test_workers_are_summed_but_for_what_is_a_processs_own() -> None:
    def process() -> Metrics:
        metrics = Metrics(Clock())
        histogram = Histogram((1.0,))
        histogram.observe(0.5)
        metrics.add("netsuite_things", "Things.", "counter", lambda: {("a",): 1}, ("of",))
        metrics.add("netsuite_connections", "Connections.", "gauge", lambda: 2)
        metrics.add("netsuite_took_seconds", "Took.", "histogram", histogram.read)
        metrics.add("process_memory_bytes", "Memory.", "gauge", lambda: 5, per_process=True)
        return metrics

    told = json.loads(json.dumps(process().snapshot()))
    found = samples(process().exposition({1: told, 2: told}))
    assert found["netsuite_things_total", (("of", "a"),)] == 3
    assert found["netsuite_connections", ()] == 6
    assert found["netsuite_took_seconds_count", ()] == 3
    assert found["netsuite_took_seconds_bucket", (("le", "+Inf"),)] == 3
    assert [found["process_memory_bytes", (("worker", str(index)),)] for index in range(3)] == [5, 5, 5]


def test_what_a_process_counted_stays_when_it_is_gone() -> None:
    """A counter of the site never falls."""
    worker, parent, gone = Metrics(Clock()), Metrics(Clock()), dict[str, Family]()
    histogram = Histogram((1.0,))
    histogram.observe(0.5)
    for metrics in (worker, parent):
        metrics.add("netsuite_things", "Things.", "counter", lambda: {("a",): 3}, ("of",))
        metrics.add("netsuite_connections", "Connections.", "gauge", lambda: 2)
        metrics.add("netsuite_took_seconds", "Took.", "histogram", histogram.read)
        metrics.add("process_cpu_seconds", "CPU.", "counter", lambda: 5, per_process=True)
    for _ in range(2):
        retain(gone, json.loads(json.dumps(worker.snapshot())))
    found = samples(parent.exposition({1: worker.snapshot(), GONE: list(gone.values())}))
    assert found["netsuite_things_total", (("of", "a"),)] == 12
    assert found["netsuite_took_seconds_count", ()] == 4
    assert found["netsuite_connections", ()] == 4
    assert {labels for name, labels in found if name.startswith("process_")} == {(("worker", "0"),), (("worker", "1"),)}


def test_a_metric_that_only_a_worker_has_is_shown() -> None:
    worker = Metrics(Clock())
    worker.add("netsuite_things", "Things.", "counter", lambda: 4)
    assert samples(Metrics(Clock()).exposition({1: worker.snapshot()})) == {("netsuite_things_total", ()): 4.0}


def test_the_process_is_measured() -> None:
    clock = Clock()
    clock.advance(1000.0)
    metrics = Metrics(clock)
    process = ProcessFigures(metrics, clock, "1.2.3")
    own = (("worker", "0"),)
    process.start()
    process.start()
    try:
        gc.collect()
        clock.advance(1.25)
        found = samples(metrics.exposition())
    finally:
        process.stop()
    assert found["process_cpu_seconds_total", own] > 0
    assert found["process_resident_memory_bytes", own] > 1 << 20
    assert found["process_open_fds", own] > 2
    assert found["process_start_time_seconds", own] == 1000.0
    assert found["netsuite_reactor_last_lag_seconds", own] == 0.25
    assert found["netsuite_reactor_lag_seconds_count", own] == 1
    assert found["netsuite_gc_pause_seconds_count", own] >= 1
    assert any(name == "netsuite_build_info" and ("version", "1.2.3") in labels for name, labels in found)
    assert clock.getDelayedCalls() == []
    assert process._collecting not in gc.callbacks
