from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from netsuite.common import journal as journal_module
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.journal import BATCH, Journal
from netsuite.common.metrics import Metrics


def line(event: tuple[Any, ...]) -> str:
    return f"{event[0]:.1f} {event[1]} {event[2]}"


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(100.0)
    return clock


@pytest.fixture
def journal(clock: Clock, tmp_path: Path) -> Iterator[Journal]:
    made = Journal(clock, DataDirectory(tmp_path / "data"))
    yield made
    made.stop()


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_nothing_is_touched_before_the_first_event(journal: Journal, tmp_path: Path) -> None:
    journal.kind("access", ("status", "path"), line)
    journal.flush()
    assert list(tmp_path.iterdir()) == []


def test_events_become_lines_every_second(journal: Journal, clock: Clock, tmp_path: Path) -> None:
    record = journal.kind("access", ("status", "path"), line)
    journal.start()
    record(200, "/")
    clock.advance(0.5)
    record(404, "/x")
    clock.advance(0.5)
    journal.stop()
    path = tmp_path / "data" / "logs" / "access.log"
    assert path.read_text() == "100.0 200 /\n100.5 404 /x\n"
    assert path.stat().st_mode & 0o007 == 0
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert clock.getDelayedCalls() == []


def test_many_events_do_not_wait_for_the_second(journal: Journal) -> None:
    record = journal.kind("access", ("status", "path"), line)
    for _ in range(BATCH * 2 + 5):
        record(200, "/")
    assert len(journal._kinds["access"].waiting) == 5
    assert journal.counts() == {("access",): BATCH * 2 + 5}


def test_an_event_stays_one_line(journal: Journal, tmp_path: Path) -> None:
    record = journal.kind("access", ("status", "path"), line)
    record(200, "/a\r\n100.0 200 /forged\x1b[2J\u2028\udc80 é")
    journal.stop()
    text = (tmp_path / "data" / "logs" / "access.log").read_text()
    assert text == "100.0 200 /a\\r\\n100.0 200 /forged\\x1b[2J\\u2028\\udc80 é\n"


def test_json_lines(clock: Clock, tmp_path: Path) -> None:
    journal = Journal(clock, DataDirectory(tmp_path), as_json=True)
    journal.kind("access", ("status", "path"), line)(200, "/\n")
    journal.stop()
    text = (tmp_path / "logs" / "access.log").read_text()
    assert text.count("\n") == 1
    assert json.loads(text) == {"time": 100.0, "kind": "access", "status": 200, "path": "/\n"}


def test_paths_are_a_matter_of_settings(clock: Clock, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "a.log"
    journal = Journal(clock, DataDirectory(tmp_path / "data"), paths={"access": elsewhere, "queries": None})
    journal.kind("access", ("status", "path"), line)(200, "/")
    journal.kind("queries", ("name",), str)("example.test")
    journal.stop()
    assert elsewhere.read_text() == "100.0 200 /\n"
    assert not (tmp_path / "data").exists()
    assert [event["kind"] for event in journal.recent()] == ["access", "queries"]


def test_without_files_events_are_only_remembered(clock: Clock, tmp_path: Path) -> None:
    journal = Journal(clock, DataDirectory(tmp_path / "data"), files=False)
    journal.kind("access", ("status", "path"), line)(200, "/")
    journal.start()
    journal.stop()
    assert list(tmp_path.iterdir()) == []
    assert journal.recent() == [{"time": 100.0, "kind": "access", "status": 200, "path": "/"}]


def test_the_newest_come_first_and_the_oldest_are_forgotten(clock: Clock, tmp_path: Path) -> None:
    journal = Journal(clock, DataDirectory(tmp_path), ring=3)
    one, other = journal.kind("one", ("n",), str), journal.kind("other", ("n",), str)
    for number in range(5):
        one(number)
        clock.advance(1)
        other(number)
        journal.flush()
    one(5)
    assert [(event["kind"], event["n"]) for event in journal.recent(3)] == [("one", 5), ("other", 4), ("one", 4)]
    assert [event["n"] for event in journal.recent(10, "other")] == [4, 3, 2]
    journal.stop()


def test_a_kind_has_one_set_of_fields(journal: Journal) -> None:
    journal.kind("access", ("status", "path"), line)
    journal.kind("access", ("status", "path"), line)
    with pytest.raises(ValueError, match="made before with fields"):
        journal.kind("access", ("status",), line)


def test_a_line_that_cannot_be_made_costs_that_event(
    journal: Journal, tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    record = journal.kind("access", ("status", "path"), line)
    record(200)
    record(200, "/")
    journal.stop()
    assert (tmp_path / "data" / "logs" / "access.log").read_text() == "100.0 200 /\n"
    assert journal.dropped() == 1
    assert "cannot be written down" in logged[0]["log_format"]


def test_rotation_opens_the_file_anew(journal: Journal, tmp_path: Path) -> None:
    record = journal.kind("access", ("status", "path"), line)
    path = tmp_path / "data" / "logs" / "access.log"
    record(200, "/old")
    journal.reopen()
    journal.stop()
    path.rename(path.with_suffix(".1"))
    record(200, "/new")
    journal.reopen()
    record(200, "/newer")
    journal.stop()
    assert path.with_suffix(".1").read_text() == "100.0 200 /old\n"
    assert path.read_text() == "100.0 200 /new\n100.0 200 /newer\n"


class Disk:
    """A disk with so many bytes left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.left is None:
            return self._write(descriptor, data)
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(descriptor, data[: self.left])
        self.left -= written
        return written


def test_a_full_disk_is_said_once_and_survived(
    journal: Journal, clock: Clock, tmp_path: Path, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    record = journal.kind("access", ("status", "path"), line)
    journal.start()

    def settle() -> None:
        """Let the second pass, and let the thread write."""
        clock.advance(1.0)
        journal._writer.stop(5.0)
        journal._say_trouble()

    disk.left = 5
    for _ in range(3):
        record(200, "/lost")
        settle()
    assert [event["log_format"] for event in logged] == ["events are dropped: {trouble}"]
    path = tmp_path / "data" / "logs" / "access.log"
    assert logged[0]["trouble"] == f"cannot write {path} (No space left on device)"
    assert journal.dropped() == 3
    disk.left = None
    record(200, "/kept")
    settle()
    assert path.read_text() == "100.0\n103.0 200 /kept\n", "the line that was cut is ended"
    assert [event["log_format"] for event in logged[1:]] == ["events are written again; {count} were dropped"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this platform has no /dev/full")
def test_the_kernels_own_full_disk(clock: Clock, tmp_path: Path, logged: list[dict[str, Any]]) -> None:
    journal = Journal(clock, DataDirectory(tmp_path), paths={"access": Path("/dev/full")})
    journal.kind("access", ("status", "path"), line)(200, "/")
    journal.stop()
    assert journal.dropped() == 1
    assert logged[0]["trouble"] == "cannot write /dev/full (No space left on device)"


def test_a_disk_that_is_stuck_costs_events_not_memory(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate, real = threading.Event(), os.write

    def stuck(descriptor: int, data: bytes) -> int:
        gate.wait(30)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", stuck)
    monkeypatch.setattr(journal_module, "BEHIND", 10_000)
    record = journal.kind("access", ("status", "path"), line)
    for _ in range(BATCH * 20):
        record(200, "/")
    assert journal._writer._behind <= 10_000
    assert 0 < journal.dropped() < BATCH * 20
    gate.set()
    journal.stop()
    written = (tmp_path / "data" / "logs" / "access.log").read_text().count("\n")
    assert written + journal.dropped() == BATCH * 20


def test_a_stop_does_not_wait_for_a_stuck_disk_for_ever(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(os, "write", lambda descriptor, data: gate.wait(30) and len(data))
    journal.kind("access", ("status", "path"), line)(200, "/")
    journal.flush()
    thread = journal._writer._thread
    assert thread is not None
    journal.stop(patience=0.01)
    assert thread.is_alive()
    gate.set()
    thread.join(5)


def test_a_folder_that_cannot_be_ends_the_start(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    journal = Journal(clock, DataDirectory(tmp_path / "data"))
    journal.kind("access", ("status", "path"), line)
    with pytest.raises(StartError, match=r"cannot make the log folder .*: set another data folder with common.data"):
        journal.start()


def test_counts_are_metrics(journal: Journal, clock: Clock) -> None:
    metrics = Metrics(clock)
    journal.measure(metrics)
    record = journal.kind("access", ("status", "path"), line)
    record(200, "/")
    journal.flush()
    record(200, "/")
    assert b'netsuite_journal_events_total{kind="access"} 2.0' in metrics.exposition()
    assert b"netsuite_journal_dropped_total 0.0" in metrics.exposition()
