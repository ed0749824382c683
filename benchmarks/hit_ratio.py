"""``hit-ratio``: how many real requests caches of equal memory answer, beside what can be computed."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.contest import OURS, Contender, Say
from benchmarks.load import LoadFailed, missing
from benchmarks.ours import ours
from benchmarks.process import GENERATOR_CORE, Running, free_port, running
from benchmarks.proxies import nginx
from benchmarks.results import Case, Figure, Ratio, Result
from benchmarks.traces import OBJECTS, TRACES, belady, replay, size_of
from netsuite.sansio.gdsf import Gdsf
from netsuite.sansio.lru import Lru
from netsuite.sansio.s3fifo import S3Fifo
from netsuite.sansio.sieve import Sieve

__all__ = ["HitRatio"]

BUDGET: Final = 4 << 20
REQUESTS: Final = 6_000
_HOT_SHARE: Final = 9 / 8
"""What ours takes in all, as a multiple of ``cache_bytes``: the answers of the hot path have an eighth beside it."""
_FIELDS: Final = 450
"""Bytes of the fields of one response, about."""
_VARNISH_BESIDE: Final = 1024
_BLOCK: Final = 4096
_NODE: Final = 128
_ZONE_PAGES: Final = 2
"""What nginx takes of a zone beside its nodes, by looking at how many files it comes to keep."""

_size = functools.cache(size_of)

COMPUTED: Final[dict[str, Callable[[Sequence[int]], int]]] = {
    "exact LRU": lambda trace: replay(trace, Lru(BUDGET), _size),
    "SIEVE": lambda trace: replay(trace, Sieve(BUDGET), _size),
    "S3-FIFO": lambda trace: replay(trace, S3Fifo(BUDGET), _size),
    "GDSF": lambda trace: replay(trace, Gdsf(BUDGET), _size),
    "Belady": lambda trace: belady(trace, BUDGET, _size),
}
"""Policies on bodies alone, as if keys, fields and bookkeeping took no memory."""


@attrs.frozen
class _Origin:
    """A folder of objects behind nginx; ``asked`` tells how often it was."""

    port: int

    def asked(self) -> int:
        """Requests so far, without those for this number."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=10) as answer:
            words = answer.read().split()
        return int(words[words.index(b"requests") + 3])


class _Client:
    """One kept connection that asks for one object after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def ask(self, number: int) -> None:
        """Get an object; raises LoadFailed if it is not what it should be."""
        self._socket.sendall(b"GET /%d HTTP/1.1\r\nHost: bench\r\n\r\n" % number)
        data = self._socket.recv(131_072)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        wanted = end + 4 + _size(number)
        if not data.startswith(b"HTTP/1.1 200"):
            raise LoadFailed(f"object {number}: {data[:40]!r}")
        got = len(data)
        while got < wanted:
            got += len(self._more())
        if got > wanted:
            raise LoadFailed(f"object {number}: {got - wanted} bytes too many")

    def _more(self) -> bytes:
        data = self._socket.recv(131_072)
        if not data:
            raise LoadFailed("the connection was closed")
        return data


class HitRatio:
    """Traces of :mod:`benchmarks.traces`, each on caches that have just started; a pair is a seed."""

    name = "hit-ratio"
    title = "Hit ratio of HTTP caches"
    what_grows = ""
    size = 0
    unit = "hits in 10,000 requests"
    lower_is_better = False
    by_rate = False
    notes = (
        f"{REQUESTS:,} requests a trace, one at a time over one connection, on a cache that has just started; "
        f"each pair has a seed of its own. Each server has {BUDGET >> 20} MiB: ours in all (`cache_bytes`, and"
        " an eighth for prepared answers); Varnish with the kilobyte that its makers say an object takes "
        "beside the storage, and with `lru_interval` 0, which makes its LRU exact; nginx by `max_size`, and "
        "by a zone for as many keys as files of mean size fill that, since its manager looks after the size "
        "only every few seconds. A hit is a request that the origin did not see. Computed rows count bodies "
        "only, as if there were no keys, no fields and no bookkeeping; Belady's knows the future. Sizes are "
        "log-normal with a median of 3,000 bytes."
    )

    def missing(self) -> str | None:
        """The origin is needed."""
        return missing("nginx")

    def contenders(self) -> Sequence[Contender[_Origin]]:
        """Ours, nginx proxy_cache and Varnish."""
        mine: Contender[_Origin] = ours(
            "netsuite-proxy",
            lambda origin, _, port: [
                "--listen", f"127.0.0.1:{port}", "--origin", f"http://127.0.0.1:{origin.port}",
                "--set", f"proxy.cache_bytes={int(BUDGET / _HOT_SHARE)}", "--set", "proxy.shadow_sample=0",
            ],
        )  # fmt: skip
        return (
            mine,
            Contender("nginx", "nginx", ["nginx", "-v"], _nginx_cache),
            Contender("Varnish", "varnishd", ["varnishd", "-V"], _varnish),
        )

    def run(self, *, pairs: int, growth: bool, say: Say) -> Result:
        """Replay all traces on all contenders that are installed."""
        contenders = [contender for contender in self.contenders() if not contender.missing()]
        skipped = {each.name: why for each in self.contenders() if (why := each.missing())}
        cases: list[Case] = []
        with tempfile.TemporaryDirectory(prefix="netsuite-bench-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            for trace_name, make in TRACES.items():
                traces = [make(REQUESTS, seed) for seed in range(1, pairs + 1)]
                with _origin(folder / trace_name.replace(" ", "-"), {each for trace in traces for each in trace}) as at:
                    figures: dict[str, list[Figure]] = {}
                    for number, trace in enumerate(traces):
                        for contender in contenders:
                            place = folder / f"{contender.name}-{len(cases)}-{number}"
                            figures.setdefault(contender.name, []).append(_asked(contender, at, trace, place))
                        for policy, count in COMPUTED.items():
                            figures.setdefault(policy, []).append(_computed(count, trace))
                case = Case(trace_name, figures, _ratios(figures))
                cases.append(case)
                _describe(case, say)
        versions = {each.name: each.version() for each in contenders} | dict.fromkeys(COMPUTED, "(computed)")
        return Result.of(self, versions=versions, skipped=skipped, seconds=0, cases=cases, growth=[])


def _ratios(figures: dict[str, list[Figure]]) -> list[Ratio]:
    mine = figures[OURS]
    return [
        Ratio(name, [a.value / b.value for a, b in zip(mine, theirs, strict=True)])
        for name, theirs in figures.items()
        if name != OURS
    ]


def _describe(case: Case, say: Say) -> None:
    say(f"hit-ratio, {case.name}")
    ratios = {ratio.peer: ratio for ratio in case.ratios}
    for name, figures in case.figures.items():
        hits = statistics.median(figure.value for figure in figures) / 100
        over = f"{OURS} {ratios[name].median:.3f} of it (at least {ratios[name].lowest:.3f})" if name in ratios else ""
        rate = statistics.median(figure.rate for figure in figures)
        say(f"  {name:16} {hits:6.2f} per cent  {rate:9,.0f} requests/s  {over}")


def _asked(contender: Contender[_Origin], origin: _Origin, trace: Sequence[int], place: Path) -> Figure:
    """One trace on one server that has just started."""
    place.mkdir(mode=0o755)
    port = free_port()
    with running(contender.command(origin, place, port), place, port, environment=contender.environment) as server:
        _ready(server)
        with contextlib.closing(_Client(port)) as client:
            before, cpu, began, busy = origin.asked(), server.cpu_seconds(), time.monotonic(), time.process_time()
            for number in trace:
                client.ask(number)
            seconds, busy = time.monotonic() - began, time.process_time() - busy
            misses = origin.asked() - before - 1
        server.check()
        return Figure(
            value=10_000 * (1 - misses / len(trace)),
            rate=len(trace) / seconds,
            cpu_seconds=server.cpu_seconds() - cpu,
            peak_bytes=server.peak_bytes(),
            generator_busy=busy / seconds,
            answers=len(trace),
        )


def _ready(server: Running) -> None:
    """Varnish's door is open before there is anybody behind it."""
    end = time.monotonic() + 20
    while True:
        try:
            with contextlib.closing(_Client(server.port)) as client:
                client.ask(-1)
            return
        except (LoadFailed, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _computed(count: Callable[[Sequence[int]], int], trace: Sequence[int]) -> Figure:
    began, cpu = time.monotonic(), time.process_time()
    hits = count(trace)
    return Figure(
        value=10_000 * hits / len(trace),
        rate=len(trace) / (time.monotonic() - began),
        cpu_seconds=max(time.process_time() - cpu, 1e-3),
        peak_bytes=BUDGET,
        generator_busy=0.0,
        answers=len(trace),
    )


@contextlib.contextmanager
def _origin(home: Path, numbers: set[int]) -> Iterator[_Origin]:
    (home / "www").mkdir(parents=True)
    noise = os.urandom(1 << 17)
    for number in (-1, *numbers):
        (home / "www" / str(number)).write_bytes(noise[: _size(number)])
    for place in (home, home / "www"):
        place.chmod(0o755)
    port = free_port()
    command = nginx(
        home,
        f'server {{ listen 127.0.0.1:{port}; root {home}/www; add_header Cache-Control "public, max-age=3600";'
        " location = /status { stub_status; } }",
    )
    with running(command, home, port, core=GENERATOR_CORE):
        yield _Origin(port)


def _nginx_cache(origin: _Origin, folder: Path, port: int) -> Sequence[str | Path]:
    mean = statistics.fmean(-(-(_size(number) + _FIELDS) // _BLOCK) * _BLOCK for number in range(OBJECTS))
    pages = int(BUDGET / mean) * _NODE // _BLOCK + _ZONE_PAGES
    return nginx(
        folder,
        f"proxy_cache_path {folder}/cache keys_zone=hits:{pages * _BLOCK} max_size={BUDGET} inactive=1h"
        " use_temp_path=off;\n"
        f"    upstream origin {{ server 127.0.0.1:{origin.port}; keepalive 8; }}\n"
        f"    server {{ listen 127.0.0.1:{port};\n"
        "        location / { proxy_pass http://origin; proxy_cache hits; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; } }',
    )


def _varnish(origin: _Origin, folder: Path, port: int) -> Sequence[str | Path]:
    mean = statistics.fmean(_size(number) + _FIELDS for number in range(OBJECTS))
    storage = int(BUDGET * mean / (mean + _VARNISH_BESIDE))
    return [
        "varnishd", "-F", "-n", folder / "varnish", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin.port}",
        "-s", f"malloc,{storage}", "-p", "thread_pools=1", "-p", "thread_pool_min=50", "-p", "timeout_idle=600",
        "-p", "lru_interval=0", "-j", "none",
    ]  # fmt: skip
