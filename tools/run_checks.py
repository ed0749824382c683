"""Run every tox environment, two at a time where they do not disturb each other, and add up what passed and failed.

pytest and trial count their tests; each other environment counts as one. A runner that crashes, is cut at its time
limit or counts no test adds a failure. The last line is ``N passed, N failed``; the exit status says whether N is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".tox" / "results"
SHOWN = 4
"""Skipped cases that are named for each reason."""
SETUP_LIMIT = 600.0
"""Seconds that making the environments may take."""


class Count(NamedTuple):
    """The outcome of one environment; ``failed`` and ``skipped`` name each case, the latter with its reason."""

    passed: int
    failed: Sequence[str]
    skipped: Sequence[tuple[str, str]] = ()


class Check(NamedTuple):
    """One tox environment: how long it may take (seconds), and how its report is read; None counts as one case."""

    env: str
    limit: float
    tally: Callable[[Path], Count] | None = None
    report: str = ""


def pytest_count(report: Path) -> Count:
    """The cases of a JUnit XML file."""
    passed, failed, skipped = 0, [], []
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 our own pytest wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        reason = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif reason is not None:
            skipped.append((name, reason.get("message") or "no reason given"))
        else:
            passed += 1
    return Count(passed, failed, skipped)


def trial_count(report: Path) -> Count:
    """What run_trial wrote."""
    outcome = json.loads(report.read_text())
    return Count(outcome["passed"], outcome["failed"], list(outcome["skipped"].items()))


QUIET = (
    Check("pytest", 900, pytest_count, "pytest.xml"),
    Check("types", 600),
    Check("docs", 300),
    Check("lint", 120),
    Check("layers", 120),
)
"""Checks that use no port and no wall clock: they run beside each other."""
REAL = (Check("trial", 900, trial_count, "trial.json"),)
"""Checks with real sockets, processes and time limits: each has the machine for itself."""


def tox(arguments: Sequence[str], limit: float) -> tuple[int, str]:
    """Run tox to its end or the time limit (seconds), with no input: exit status (124 if cut) and its output."""
    process = subprocess.Popen(  # noqa: S603 our own arguments
        [sys.executable, "-m", "tox", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
        return process.returncode, output.decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return 124, output.decode(errors="replace") + f"\ncut after {limit:.0f} s\n"


def run(check: Check) -> tuple[Count, str, float]:
    """One environment: its count, its output and the seconds it took."""
    began = time.monotonic()
    report = RESULTS / check.report
    if check.tally:
        report.unlink(missing_ok=True)
    status, output = tox(["run", "--skip-pkg-install", "-e", check.env], check.limit)
    seconds = time.monotonic() - began
    if check.tally is None:
        return Count(int(status == 0), [check.env] if status else []), output, seconds
    try:
        count = check.tally(report)
    except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
        return Count(0, [f"{check.env} left no report: {error}"]), output, seconds
    if not count.failed and status:
        count = count._replace(failed=[f"{check.env} ended with status {status}"])
    elif not count.passed and not count.failed:
        count = count._replace(failed=[f"{check.env} ran no test"])
    return count, output, seconds


def skips(skipped: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What was skipped, as lines: each reason once, with its cases, or a few of them where they are many."""
    if skipped:
        yield f"skipped {len(skipped)}:"
    cases: dict[str, list[str]] = {}
    for name, reason in skipped:
        cases.setdefault(reason, []).append(name)
    for reason, names in cases.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"  {len(names)} x {reason}: {', '.join(names[:SHOWN])}{more}"


def main() -> int:
    """Run what is asked for (everything by default) and print the sum."""
    known = {check.env: check for check in (*QUIET, *REAL)}
    parser = argparse.ArgumentParser(prog="./check", description="Run every check of the project through tox.")
    parser.add_argument("envs", nargs="*", metavar="ENV", help=f"only these: {', '.join(known)}")
    chosen = parser.parse_args().envs or list(known)
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"no such environment: {', '.join(unknown)}; there are {', '.join(known)}")

    RESULTS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    print(f"making the environments of {', '.join(chosen)}", flush=True)
    status, output = tox(["run-parallel", "--notest", "--parallel", "2", "-e", ",".join(chosen)], SETUP_LIMIT)
    if status:
        print(output)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)

    counts: dict[str, Count] = {}
    printing = threading.Lock()

    def perform(check: Check) -> None:
        count, output, seconds = run(check)
        with printing:
            counts[check.env] = count
            if count.failed:
                print(f"----- {check.env} -----\n{output}")
            outcome = f"{count.passed} passed, {len(count.failed)} failed, {len(count.skipped)} skipped"
            print(f"{check.env}: {outcome} in {seconds:.0f} s", flush=True)

    for group, workers in ((QUIET, 2), (REAL, 1)):
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(perform, [check for check in group if check.env in chosen]))

    passed = sum(count.passed for count in counts.values())
    failed = [name for count in counts.values() for name in count.failed]
    skipped = [case for count in counts.values() for case in count.skipped]
    for line in skips(skipped):
        print(line)
    for name in failed:
        print(f"FAILED {name}")
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
