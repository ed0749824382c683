"""How this process itself is doing: time, memory, descriptors, the reactor's lag, the collector's pauses.

The names are those of Prometheus's own client libraries where they have one, so that known
dashboards work. Reading happens when somebody looks; the lag is measured once a second, the pauses by
the interpreter's own callbacks.
"""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from netsuite.common.metrics import Histogram, Metrics

__all__ = ["ProcessFigures", "allow_open_files", "descriptors"]

PERIOD: Final = 1.0
_DESCRIPTORS: Final = 1 << 20
_PAUSES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


def descriptors() -> int:
    """How many may be open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def allow_open_files() -> None:
    """Raise the limit of open descriptors as far as it goes without asking anybody.

    Many systems begin at 1,024, for the sake of programs that use select(2): too few for a server.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if descriptors() < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def resident_bytes() -> int:
    """Memory in use now (at its highest, where the platform has no /proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def open_descriptors() -> int:
    """How many file descriptors are open; 0 where the platform does not tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            # the listing itself takes one
            return len(os.listdir(folder)) - 1  # noqa: PTH208 - names only, no objects
        except OSError:
            continue
    return 0


def cpu_seconds() -> float:
    """Processor time of this process, user and system."""
    times = os.times()
    return times.user + times.system


class ProcessFigures:
    """Offers these figures as metrics; between :meth:`start` and :meth:`stop` lag and pauses are measured."""

    def __init__(self, metrics: Metrics, clock: IReactorTime, version: str) -> None:
        self.clock = clock
        self.lag = Histogram()
        self.pauses = Histogram(_PAUSES)
        self._last_lag = 0.0
        self._began = clock.seconds()
        self._due = 0.0
        self._pause_began = 0.0
        self._timer: IDelayedCall | None = None
        most = descriptors()

        def own(name: str, text: str, kind: Any, read: Any, labels: tuple[str, ...] = ()) -> None:
            metrics.add(name, text, kind, read, labels, per_process=True)

        own("process_cpu_seconds", "Processor time, user and system.", "counter", cpu_seconds)
        own("process_resident_memory_bytes", "Memory in use.", "gauge", resident_bytes)
        own("process_open_fds", "Open file descriptors.", "gauge", open_descriptors)
        own("process_max_fds", "How many may be open.", "gauge", lambda: most)
        own("process_start_time_seconds", "When the process was started.", "gauge", lambda: self._began)
        own("netsuite_reactor_lag_seconds", "How late the reactor ran what was due.", "histogram", self.lag.read)
        own("netsuite_reactor_last_lag_seconds", "The newest of these.", "gauge", lambda: self._last_lag)
        own("netsuite_gc_pause_seconds", "How long the garbage collector held all up.", "histogram", self.pauses.read)
        own("netsuite_gc_collections", "Collections, by generation.", "counter", _collections, ("generation",))
        python = platform.python_version()
        own(
            "netsuite_build_info",
            "What runs.",
            "gauge",
            lambda: {(version, python): 1},
            ("version", "python"),
        )

    def start(self) -> None:
        """Begin to measure lag and pauses."""
        if self._timer is None:
            gc.callbacks.append(self._collecting)
            self._schedule()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            gc.callbacks.remove(self._collecting)

    def _schedule(self) -> None:
        self._due = self.clock.seconds() + PERIOD
        self._timer = self.clock.callLater(PERIOD, self._tick)

    def _tick(self) -> None:
        self._last_lag = max(self.clock.seconds() - self._due, 0.0)
        self.lag.observe(self._last_lag)
        self._schedule()

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._pause_began = perf_counter()
        else:
            self.pauses.observe(perf_counter() - self._pause_began)


def _collections() -> dict[tuple[str, ...], int]:
    return {(str(generation),): facts["collections"] for generation, facts in enumerate(gc.get_stats())}
