"""``python -m benchmarks NAME``: run benchmarks, record what they find, and make the report."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import report
from benchmarks.cache_index import CacheIndex
from benchmarks.contest import Benchmark, Disagreement, contest
from benchmarks.disk_proxies import HttpHitDisk
from benchmarks.hit_ratio import HitRatio
from benchmarks.idle import Idle
from benchmarks.load import LoadFailed
from benchmarks.mailboxes import ImapAppend, ImapFetch
from benchmarks.name_servers import DnsAuth, DnsCache, DnsMillion, DnsWorkers
from benchmarks.process import ServerFailed
from benchmarks.proxies import HttpHit, HttpHit2, HttpHitPython, HttpMiss
from benchmarks.relays import SmtpAccept
from benchmarks.secured_names import DnsOptions, DnsSigned, DnsTls
from benchmarks.swarms import PeerLoopback
from benchmarks.trackers import TrackerHttp, TrackerUdp
from benchmarks.zone_loading import DnsLoad

FEWEST = 5
"""Pairs below which a run is a look, not a result."""


def main() -> int:
    """Run what is named on the command line."""
    runs = (
        DnsAuth(), DnsSigned(), DnsOptions(), DnsTls(), DnsMillion(), DnsWorkers(), DnsLoad(), DnsCache(),
        HttpHit(), HttpHit(tls=True), HttpHit2(), HttpHitPython(), HttpHitDisk(), HttpMiss(), CacheIndex(), HitRatio(),
        Idle(), Idle(proxied=True), SmtpAccept(), ImapAppend(), ImapFetch(), PeerLoopback(), TrackerUdp(),
        TrackerHttp(),
    )  # fmt: skip
    known = {run.name: run for run in runs}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ours beside the real peers, on loopback, in turn."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}, all; or report")
    parser.add_argument("--list", action="store_true", help="say what there is and what each needs that is missing")
    parser.add_argument("--tls", action="store_true", help="http-hit over TLS")
    parser.add_argument("--pairs", type=int, default=FEWEST, metavar="N", help="pairs of runs (5); fewer are not kept")
    parser.add_argument("--seconds", type=float, default=3, metavar="S", help="seconds a run (3)")
    parser.add_argument("--no-growth", action="store_true", help="leave out the series over 1, 10 and 100 times")
    arguments = parser.parse_args()

    if arguments.list or not arguments.names:
        for name, benchmark in known.items():
            absent = [why for why in (benchmark.missing(), *(c.missing() for c in benchmark.contenders())) if why]
            print(f"{name:14} {benchmark.title}{': ' if absent else ''}{', '.join(absent)}")
        return 0
    if arguments.names == ["report"]:
        for path in report.write():
            print(f"wrote {os.path.relpath(path)}")
        return 0

    names = list(known) if "all" in arguments.names else arguments.names
    if arguments.tls:
        names = ["http-hit-tls" if name == "http-hit" else name for name in names]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    failed = 0
    for name in dict.fromkeys(names):
        benchmark = known[name]
        if why := benchmark.missing():
            print(f"{name}: left out: {why}")
            continue
        pairs, growth = arguments.pairs, not arguments.no_growth
        try:
            if isinstance(benchmark, Benchmark):
                result = contest(benchmark, pairs=pairs, seconds=arguments.seconds, growth=growth, say=_say)
            else:
                result = benchmark.run(pairs=pairs, growth=growth, say=_say)
        except (Disagreement, LoadFailed, ServerFailed) as error:
            print(f"{name}: {error}")
            failed = 1
            continue
        if pairs >= FEWEST and growth:
            result.save()
            report.write()
        else:
            print(f"{name}: not recorded (that takes {FEWEST} pairs and the growth series)")
    return failed


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
