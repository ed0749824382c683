"""Run trial on the named test modules and leave the outcome of every test as JSON, for run_checks to add up.

The console shows trial's own tree; the exit status is trial's (1 if anything failed).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.reporter import TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

ROOT = Path(__file__).resolve().parent.parent


class OutcomeReporter(TreeReporter):
    """A TreeReporter that also remembers, by test id, what failed, what was skipped and why, and what took long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.started: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.wrong: dict[str, str] = {}
        self.unable: dict[str, str] = {}

    def startTest(self, test: Any) -> None:
        """Count a test, whatever becomes of it."""
        self.started[test.id()] = time.monotonic()
        super().startTest(test)

    def stopTest(self, test: Any) -> None:
        """Note how long it took."""
        self.seconds[test.id()] = time.monotonic() - self.started[test.id()]
        super().stopTest(test)

    def addError(self, test: Any, error: Any) -> None:
        """An exception, in a test or in loading or cleaning up (then the id is that of the holder)."""
        self.wrong[test.id()] = str(error)
        super().addError(test, error)

    def addFailure(self, test: Any, failure: Any) -> None:
        """An assertion that does not hold."""
        self.wrong[test.id()] = str(failure)
        super().addFailure(test, failure)

    def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
        """A todo that works is out of date, and so a failure."""
        self.wrong[test.id()] = "unexpected success"
        super().addUnexpectedSuccess(test, todo)

    def addSkip(self, test: Any, reason: Any) -> None:
        """A test that could not run here."""
        self.unable[test.id()] = str(reason)
        super().addSkip(test, reason)

    def addExpectedFailure(self, test: Any, error: Any, todo: Any = None) -> None:
        """A todo proves nothing: it counts as skipped."""
        self.unable[test.id()] = f"todo: {getattr(todo, 'reason', todo)}"
        super().addExpectedFailure(test, error, todo)

    def outcome(self) -> dict[str, Any]:
        """What is written for run_checks."""
        passed = self.started.keys() - self.wrong.keys() - self.unable.keys()
        slowest = sorted(self.seconds.items(), key=lambda item: -item[1])[:10]
        return {
            "passed": len(passed),
            "failed": sorted(self.wrong),
            "skipped": {test: why for test, why in self.unable.items() if test not in self.wrong},
            "slowest": {test: round(seconds, 2) for test, seconds in slowest},
        }


def main() -> int:
    """Run the tests named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to leave the outcomes")
    parser.add_argument("--temp", type=Path, default=ROOT / "_trial_temp", help="the folder that tests run in")
    parser.add_argument("names", nargs="+", help="dotted names of packages, modules, classes or tests")
    arguments = parser.parse_args()
    target = arguments.json.resolve() if arguments.json else None
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
    temp = arguments.temp.resolve()
    temp.parent.mkdir(parents=True, exist_ok=True)
    # Tests run in a folder of their own, so the root must be on the path by its full name.
    sys.path.insert(0, str(ROOT))
    suite = TestLoader().loadByNames(arguments.names, recurse=True)
    runner = TrialRunner(OutcomeReporter, workingDirectory=str(temp), realTimeErrors=True)
    result: Any = runner.run(suite)
    if target:
        target.write_text(json.dumps(result.outcome(), indent=1))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
