"""Load generators, each on the core that the server under test does not use."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.process import GENERATOR_CORE, pin

__all__ = ["BOUND", "Load", "LoadFailed", "dnsperf", "h2load", "imap", "missing", "smtp_source", "tracker", "wrk"]

BOUND = 0.9
"""A generator that keeps its core busier than this limits the rate itself, which then proves nothing."""


class LoadFailed(Exception):
    """A load that says nothing: the generator failed, or answers were lost or wrong."""


class Load(NamedTuple):
    """What one run of a generator did: answers, seconds of wall clock, share of its core that it used."""

    answers: int
    seconds: float
    busy: float


def missing(program: str) -> str | None:
    """Why a generator cannot be used, or None."""
    return None if shutil.which(program) else f"{program} is not installed"


def _run(command: Sequence[str], limit: float) -> tuple[str, float]:
    """A generator's output, and the share of a core that it used."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=limit, check=False, preexec_fn=lambda: pin(GENERATOR_CORE)
    )
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    if done.returncode:
        raise LoadFailed(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, used / (ended - began)


def _figure(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if not found:
        raise LoadFailed(f"no figure for {pattern!r} in: {output[-300:]}")
    return float(found[1])


def dnsperf(
    port: int,
    queries: Path,
    seconds: float | None = None,
    *,
    outstanding: int = 200,
    over: str = "udp",
    options: Sequence[str] = (),
) -> Load:
    """Ask a file of questions from eight sockets: for some seconds, or (None) each question once.

    ``over`` is udp, tcp or dot; ``options`` are dnsperf's own.
    """
    how_long = ["-l", f"{seconds:.0f}"] if seconds else ["-n", "1"]
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-c", "8", "-q", str(outstanding)]
    command += ["-m", over, *options]
    output, busy = _run([*command, *how_long], (seconds or 120) + 30)
    sent = _figure(r"Queries sent:\s+(\d+)", output)
    answers = _figure(r"Queries completed:\s+(\d+)", output)
    if answers < 0.99 * sent:
        raise LoadFailed(f"{sent - answers:.0f} of {sent:.0f} questions were not answered")
    if re.search(r"SERVFAIL|REFUSED|FORMERR|NOTIMP", output):
        raise LoadFailed(f"wrong answers: {' '.join(re.findall(r'Response codes:.*', output))}")
    return Load(int(answers), _figure(r"Run time \(s\):\s+([\d.]+)", output), busy)


def wrk(url: str, seconds: float, *, connections: int = 32, script: Path | None = None) -> Load:
    """Ask for a URL over kept connections from one thread; ``script`` (Lua) chooses among many."""
    chosen = ["-s", str(script)] if script else []
    # Varnish lets some of 32 large bodies wait for over wrk's two seconds where the generator is the limit
    limits = ["-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    output, busy = _run(["wrk", *limits, *chosen, url], seconds + 30)
    for trouble in re.findall(r"Socket errors:.*|Non-2xx.*", output):
        raise LoadFailed(trouble)
    return Load(int(_figure(r"(\d+) requests in", output)), _figure(r"requests in ([\d.]+)s", output) or seconds, busy)


def h2load(port: int, targets: Path, *, seconds: float = 0, requests: int = 0) -> Load:
    """Ask for a file's targets in turn over HTTP/2 in clear: for some seconds, or so many times."""
    uris = targets.with_suffix(f".{port}")
    uris.write_text("".join(f"http://127.0.0.1:{port}{line}\n" for line in targets.read_text().split()))
    how_long = ["-D", f"{seconds:.0f}"] if seconds else ["-n", str(requests)]
    many = min(8, requests) if requests else 8
    output, busy = _run(["h2load", "-t1", f"-c{many}", "-m10", *how_long, "-i", str(uris)], seconds + 60)
    done, failed = _figure(r"requests:.* (\d+) succeeded", output), _figure(r"succeeded, (\d+) failed", output)
    wrong = sum(_figure(rf"(\d+) {hundred}xx", output) for hundred in (3, 4, 5))
    if failed or wrong:
        raise LoadFailed(f"{failed:.0f} requests failed, {wrong:.0f} had another status")
    return Load(int(done), seconds or 1.0, busy)


def smtp_source(port: int, messages: int, *, sessions: int, size: int, domain: str) -> Load:
    """Bring messages in parallel sessions, each message on a connection of its own."""
    began = time.monotonic()
    _, busy = _run(
        ["smtp-source", "-s", str(sessions), "-l", str(size), "-m", str(messages),
         "-f", "sender@bench.test", "-t", f"someone@{domain}", f"127.0.0.1:{port}"],
        120,
    )  # fmt: skip
    return Load(messages, time.monotonic() - began, busy)


def imap(port: int, doing: str, *options: str, seconds: float = 0, count: int = 0) -> Load:
    """Run ``benchmarks.imap_clients``, for some seconds or for a count of commands each."""
    command = [sys.executable, "-m", "benchmarks.imap_clients", str(port), doing, *options]
    output, busy = _run([*command, f"--seconds={seconds}", f"--count={count}"], seconds + 120)
    done = json.loads(output)
    return Load(done["answers"], done["seconds"], busy)


def tracker(port: int, how: str, peers: int, wanted: int, seconds: float = 0) -> tuple[Load, int, int]:
    """Run ``benchmarks.tracker_clients``; the load, the peers that the answers named, and the announces sent."""
    command = [sys.executable, "-m", "benchmarks.tracker_clients", str(port), how]
    output, busy = _run([*command, f"--peers={peers}", f"--wanted={wanted}", f"--seconds={seconds}"], seconds + 120)
    done = json.loads(output)
    if done["errors"]:
        raise LoadFailed(f"{done['errors']} announces were refused")
    return Load(done["answers"], done["seconds"], busy), done["peers"], done["sent"]
