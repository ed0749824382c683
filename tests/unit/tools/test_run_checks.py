"""The sum of all checks is honest: crashes, silence and empty runs count as failures."""

from __future__ import annotations

import json

import pytest

from tools import run_checks
from tools.run_checks import Check, Count, pytest_count, trial_count

JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="no"/></testcase>
<testcase classname="a" name="broken"><error message="setup"/></testcase>
<testcase classname="a" name="twice"><failure message="no"/><error message="teardown"/></testcase>
<testcase classname="a" name="away"><skipped message="dig is not installed"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(run_checks, "RESULTS", tmp_path)
    return tmp_path


def ending(monkeypatch, results, status, report=None):
    """A tox that ends with a status, after leaving a report."""

    def tox(arguments, limit):
        if report is not None:
            (results / "report").write_text(report)
        return status, "what it said"

    monkeypatch.setattr(run_checks, "tox", tox)


def counted(monkeypatch, results, status, report=None, tally=trial_count):
    ending(monkeypatch, results, status, report)
    return run_checks.run(Check("some", 10, tally, "report"))[0]


def trial(passed=0, failed=(), skipped=None):
    return json.dumps({"passed": passed, "failed": list(failed), "skipped": skipped or {}})


def test_junit_cases_are_counted_once(tmp_path):
    (tmp_path / "junit.xml").write_text(JUNIT)
    assert pytest_count(tmp_path / "junit.xml") == Count(
        1, ["a::bad", "a::broken", "a::twice"], [("a::away", "dig is not installed")]
    )


def test_trial_outcomes_are_taken_over(monkeypatch, results):
    count = counted(monkeypatch, results, 1, trial(3, ["a.b"], {"c.d": "no kdig"}))
    assert count == Count(3, ["a.b"], [("c.d", "no kdig")])


def test_a_runner_that_leaves_no_report_failed(monkeypatch, results):
    (count,) = [counted(monkeypatch, results, 0)]
    assert count.passed == 0
    assert count.failed[0].startswith("some left no report")


def test_a_report_from_before_does_not_count(monkeypatch, results):
    (results / "report").write_text(trial(9))
    assert counted(monkeypatch, results, 0).failed


def test_a_report_cut_short_failed(monkeypatch, results):
    assert counted(monkeypatch, results, 0, trial(9)[:-5]).failed
    assert counted(monkeypatch, results, 0, JUNIT[:-20], pytest_count).failed


def test_a_bad_status_without_a_failed_test_failed(monkeypatch, results):
    count = counted(monkeypatch, results, 134, trial(3))
    assert (count.passed, count.failed) == (3, ["some ended with status 134"])


def test_a_runner_without_tests_failed(monkeypatch, results):
    assert counted(monkeypatch, results, 0, trial()).failed == ["some ran no test"]
    assert counted(monkeypatch, results, 0, trial(0, [], {"a.b": "no dig"})).failed == ["some ran no test"]


def test_a_gate_is_one_case(monkeypatch, results):
    ending(monkeypatch, results, 0)
    assert run_checks.run(Check("lint", 10))[0] == Count(1, [])
    ending(monkeypatch, results, 2)
    assert run_checks.run(Check("lint", 10))[0] == Count(0, ["lint"])


def sum_of(monkeypatch, capsys, outcomes):
    """What the command prints, and its status, when its environments end so."""
    monkeypatch.setattr(run_checks, "tox", lambda arguments, limit: (0, ""))
    monkeypatch.setattr(run_checks, "run", lambda check: (outcomes[check.env], "its words", 1.0))
    monkeypatch.setattr("sys.argv", ["check", *outcomes])
    status = run_checks.main()
    return status, capsys.readouterr().out


def test_the_last_line_adds_up(monkeypatch, capsys, results):
    outcomes = {"pytest": Count(10, [], [("a", "no dig")]), "trial": Count(5, []), "lint": Count(1, [])}
    status, said = sum_of(monkeypatch, capsys, outcomes)
    assert (status, said.splitlines()[-1]) == (0, "16 passed, 0 failed")
    assert "  1 x no dig: a" in said


def test_a_failure_shows_in_line_and_status(monkeypatch, capsys, results):
    status, said = sum_of(monkeypatch, capsys, {"pytest": Count(10, ["x"]), "types": Count(0, ["types"])})
    assert (status, said.splitlines()[-1]) == (1, "10 passed, 2 failed")
    assert "FAILED x" in said
    assert "its words" in said


def test_skipped_cases_are_told_by_reason():
    cases = [(f"case {number}", "no peer") for number in range(6)] + [("other", "no dig")]
    assert list(run_checks.skips(cases)) == [
        "skipped 7:",
        "  6 x no peer: case 0, case 1, case 2, case 3 and 2 more",
        "  1 x no dig: other",
    ]
    assert list(run_checks.skips([])) == []
