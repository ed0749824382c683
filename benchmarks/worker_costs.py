"""What an answer costs with two workers beside one: ``python -m benchmarks.worker_costs [PAIRS]``.

The zone and questions of ``dns-auth``, over UDP, ours alone: CPU of all processes for an answer, in turn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import dnsperf
from benchmarks.name_servers import authoritative, make_zone
from benchmarks.process import Running, free_port, running

__all__ = ["ratios"]

_SECONDS = 3


def _cost(server: Running, questions: Path) -> float:
    before = server.cpu_seconds()
    done = dnsperf(server.port, questions, _SECONDS)
    return (server.cpu_seconds() - before) / done.answers


def ratios(pairs: int) -> list[tuple[float, float]]:
    """Microseconds of CPU for an answer with one worker and with two, for each pair of runs."""
    ours = authoritative()[0]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        zone = make_zone(folder, 10_000, absent=1_111)
        servers = []
        for count in (1, 2):
            home, port = folder / str(count), free_port()
            home.mkdir()
            command = [*ours.command(zone, home, port), "--set", f"common.workers={count}"]
            servers.append(stack.enter_context(running(command, home, port, environment=ours.environment)))
        for server in servers:
            dnsperf(server.port, zone.questions, 1)
        return [tuple(_cost(server, zone.questions) * 1e6 for server in servers) for _ in range(pairs)]  # type: ignore[misc]


def main() -> None:
    """Print both, and their ratio."""
    found = ratios(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    one, two = (statistics.median(each) for each in zip(*found, strict=True))
    shares = sorted(other / first for first, other in found)
    print(f"one worker {one:.2f}, two {two:.2f} microseconds of CPU for an answer:", end=" ")
    print(f"{statistics.median(shares):.2f} times ({shares[0]:.2f} to {shares[-1]:.2f}, {len(shares)} pairs)")


if __name__ == "__main__":
    main()
