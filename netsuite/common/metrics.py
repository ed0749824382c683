"""What a site measures, in Prometheus's text format.

Hot paths keep plain integers; whoever owns them says once how to read them (:meth:`Metrics.add`),
and they are read when somebody looks. Several owners may add to one name (two listeners of one
server): equal labels are summed.

Where workers share the ports, the parent's exposition is the whole site's: counters, gauges and
histograms of all processes are summed, apart from what was added ``per_process`` (memory,
descriptors, reactor lag), which carries a ``worker`` label in every process (``"0"`` is the parent).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypedDict

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

__all__ = ["CONTENT_TYPE", "SECONDS", "Buckets", "Family", "Histogram", "Kind", "Metrics", "retain"]

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
"""The media type of :meth:`Metrics.exposition`."""

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds that suit the durations of network work."""

Kind = Literal["counter", "gauge", "histogram"]
Buckets = tuple[Sequence[tuple[float, float]], float]
"""A histogram's reading: ``(upper bound, how many up to it)`` rising to infinity, and the sum of all values."""
Reading = Any
"""What ``read()`` answers: a number (or :data:`Buckets`), or a mapping of label values (a tuple of str) to such."""


class Family(TypedDict):
    """One metric of one process in a form that survives JSON; values are numbers or ``[buckets, sum]``."""

    name: str
    help: str
    kind: Kind
    labels: list[str]
    per_process: bool
    values: list[tuple[list[str], Any]]


class Histogram:
    """Counts values in buckets: ``observe`` is one bisection and two additions; add its ``read`` as a histogram."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def read(self) -> Buckets:
        """The cumulative counts and the sum."""
        total = 0
        buckets = []
        for bound, count in zip((*self._bounds, math.inf), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets, self._sum


class _Source(NamedTuple):
    help: str
    kind: Kind
    labels: tuple[str, ...]
    per_process: bool
    reads: list[Callable[[], Reading]]


def _plus(kind: Kind, one: Any, other: Any) -> Any:
    if kind != "histogram":
        return one + other
    (buckets, total), (others, more) = one, other
    return [(bound, count + also) for (bound, count), (_, also) in zip(buckets, others, strict=True)], total + more


def _number(bound: float) -> str:
    return "+Inf" if bound == math.inf else repr(float(bound))


def _metric(family: Family) -> Metric:
    """One of our families as Prometheus's client wants it."""
    kind, name = family["kind"], family["name"]
    made: Metric
    if kind == "counter":
        made = CounterMetricFamily(name, family["help"], labels=family["labels"])
        for labels, value in family["values"]:
            made.add_metric(labels, value)
    elif kind == "gauge":
        made = GaugeMetricFamily(name, family["help"], labels=family["labels"])
        for labels, value in family["values"]:
            made.add_metric(labels, value)
    else:
        made = HistogramMetricFamily(name, family["help"], labels=family["labels"])
        for labels, (buckets, total) in family["values"]:
            made.add_metric(labels, [(_number(bound), count) for bound, count in buckets], total)
    return made


class Metrics:
    """What can be read, and the exposition of what was read; ``clock`` tells when it began."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._sources: dict[str, _Source] = {}
        self._complained: set[str] = set()

    def add(
        self,
        name: str,
        help: str,  # noqa: A002 - Prometheus's own word
        kind: Kind,
        read: Callable[[], Reading],
        labels: Sequence[str] = (),
        *,
        per_process: bool = False,
    ) -> None:
        """Have ``read`` called whenever somebody looks at ``name``.

        Raises ValueError if the name was added before with another kind or other labels.
        """
        source = _Source(help, kind, tuple(labels), per_process, [])
        known = self._sources.setdefault(name, source)
        if known[1:4] != source[1:4]:
            raise ValueError(f"metric {name!r} was added before as {known.kind} with labels {known.labels}")
        known.reads.append(read)

    def remove(self, name: str, read: Callable[[], Reading]) -> None:
        """Stop calling a ``read`` that was added."""
        source = self._sources.get(name)
        if source is not None and read in source.reads:
            source.reads.remove(read)
            if not source.reads:
                del self._sources[name]

    def snapshot(self) -> list[Family]:
        """Everything read now, fit for JSON: what a worker sends its parent.

        A ``read`` that fails leaves its metric out and is logged once.
        """
        return list(self._families())

    def _families(self) -> Iterator[Family]:
        for name, source in list(self._sources.items()):
            values: dict[tuple[str, ...], Any] = {}
            for read in source.reads:
                try:
                    reading = read()
                    pairs = reading.items() if isinstance(reading, Mapping) else [((), reading)]
                    for labels, value in pairs:
                        values[labels] = _plus(source.kind, values[labels], value) if labels in values else value
                except Exception:
                    if name not in self._complained:
                        self._complained.add(name)
                        self._log.failure("metric {name} cannot be read", name=name)
            yield {
                "name": name,
                "help": source.help,
                "kind": source.kind,
                "labels": list(source.labels),
                "per_process": source.per_process,
                "values": [(list(labels), value) for labels, value in values.items()],
            }

    def exposition(self, workers: Mapping[int, Iterable[Family]] | None = None) -> bytes:
        """Everything in Prometheus's text format; ``workers`` are the snapshots of other processes, by their index."""
        merged: dict[str, Family] = {}
        for index, families in [(0, self.snapshot()), *(workers or {}).items()]:
            for family in families:
                _merge(merged, family, index)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Reading([_metric(family) for family in merged.values()]))
        return generate_latest(registry)


def _merge(merged: dict[str, Family], family: Family, index: int) -> None:
    values = [(list(labels), value) for labels, value in family["values"]]
    labels = list(family["labels"])
    if family["per_process"]:
        labels.append("worker")
        values = [([*own, str(index)], value) for own, value in values]
    known = merged.get(family["name"])
    if known is None:
        merged[family["name"]] = {**family, "labels": labels, "values": values}
        return
    sums = {tuple(own): value for own, value in known["values"]}
    for own, value in values:
        key = tuple(own)
        sums[key] = _plus(known["kind"], sums[key], value) if key in sums else value
    known["values"] = [(list(key), value) for key, value in sums.items()]


def retain(totals: dict[str, Family], families: Iterable[Family]) -> None:
    """Add to ``totals`` what goes on counting when a process is gone: its counters and histograms, but no gauges.

    Without this the site's counters would fall, which Prometheus takes for a new beginning of all.
    """
    for family in families:
        if family["kind"] != "gauge" and not family["per_process"]:
            _merge(totals, family, 0)


class _Reading:
    """A collector for prometheus-client's registry over what was read already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
