"""A zone's versions on files that fail, fill up and lose what was not synced: what was acknowledged is there again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred

from netsuite.common.errors import StartError
from netsuite.common.storage.journal import StorageFull
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.change import (
    BadChange,
    Change,
    decoded,
    difference,
    encoded,
    later,
    next_serial,
    with_serial,
)
from netsuite.dns.authoritative.history import Base, History, NoSuchVersion
from netsuite.testing.faults import FaultyFiles

NAME = b"\x04test\0"
SOA = b"\x02ns\0\x01h\0" + (1).to_bytes(4, "big") + bytes(15) + b"\x05"
FOLDER = Path("/data/dns/test")


class Later:
    """Runs work when it is told to."""

    def __init__(self):
        self.work = []

    def __call__(self, function, *arguments):
        done = Deferred()
        self.work.append((done, function, arguments))
        return done

    def run(self):
        while self.work:
            done, function, arguments = self.work.pop(0)
            maybeDeferred(function, *arguments).chainDeferred(done)


def first():
    assembly = Assembly(NAME)
    assembly.add(NAME, 6, 60, SOA)
    assembly.add(NAME, 2, 60, b"\x02ns\x04test\0")
    return assembly.zone()


def step(zone, number, remove=None):
    """A change of ``zone``: a record of that number comes, another may go."""
    serial = next_serial(zone.serial, "increment", 0)
    old = (NAME, 6, 60, zone.soa.rdatas[0])
    new = (NAME, 6, 60, with_serial(zone.soa.rdatas[0], serial))
    removals = [old] if remove is None else [old, remove]
    change = Change(zone.serial, serial, removals, [new, record(number)], number, f"step {number}")
    return change, change.applied(zone)


def record(number):
    return (b"\x01a" + NAME, 1, 60, number.to_bytes(4, "big"))


class Versions:
    """A history on faulty files, and what it promised."""

    def __init__(self, files=None, base=None, **options):
        self.files = files or FaultyFiles()
        self.commit = Later()
        self.work = Later()
        self.served = []
        self.promised = []
        self.failed = []
        options = {"files": self.files, "served": lambda zone, change: self.served.append(zone.serial), **options}
        self.history = History(FOLDER, NAME, self.commit, self.work, **options)
        self.zone = self.history.start(base or first(), "digest")

    def change(self, number, remove=None):
        change, zone = step(self.history.head, number, remove)

        def failed(failure):
            failure.trap(StorageFull, Exception)
            self.failed.append(change.after)

        self.history.append(change, zone).addCallbacks(lambda _: self.promised.append(change.after), failed)

    def run(self):
        self.commit.run()
        self.work.run()
        self.commit.run()


def names(zone):
    return sorted(zone.records())


def test_versions_are_there_again():
    versions = Versions()
    for number in range(5):
        versions.change(number)
        versions.run()
    assert versions.promised == versions.served == [2, 3, 4, 5, 6]
    again = Versions(versions.files.crashed())
    assert names(again.zone) == names(versions.history.zone)
    assert [change.source for change in again.history.changes] == [f"step {number}" for number in range(5)]
    assert [change.after for change in again.history.since(4)] == [5, 6]
    assert again.history.since(6) == []
    assert again.history.since(99) is None
    old = again.history.version(3)
    assert names(old) == sorted(
        [*((NAME, 6, 60, with_serial(SOA, 3)), *list(first().records())[1:]), record(0), record(1)]
    )
    with pytest.raises(NoSuchVersion):
        again.history.version(77)


def test_changes_that_wait_share_a_sync_and_serve_in_order():
    versions = Versions()
    for number in range(4):
        versions.change(number)
    assert versions.served == []
    assert versions.history.zone.serial == 1
    assert versions.history.head.serial == 5
    versions.run()
    assert versions.served == [2, 3, 4, 5]
    assert versions.history._journal.commits == 2


def test_a_full_disk_fails_what_stands_on_it_too():
    versions = Versions()
    versions.change(0)
    versions.run()
    versions.files.capacity = 0
    versions.change(1)
    versions.change(2)
    versions.run()
    assert versions.failed == [3, 4]
    assert versions.history.head is versions.history.zone
    assert versions.served == [2]
    versions.files.capacity = None
    versions.change(3)
    versions.run()
    again = Versions(versions.files.crashed())
    assert names(again.zone) == names(versions.history.zone)
    assert record(3) in set(again.zone.records())
    assert record(1) not in set(again.zone.records())


def test_a_snapshot_takes_the_place_of_the_file():
    versions = Versions()
    for number in range(3):
        versions.change(number)
        versions.run()
    versions.history.snapshot()
    versions.change(3)
    versions.run()
    assert versions.history.base == Base("", 4)
    files = versions.files.crashed()
    assert [name for name in files.names(FOLDER) if name.startswith("snap")] == ["snapshot.4"]
    history = History(FOLDER, NAME, Later(), Later(), files=files, served=lambda *_: None)
    assert history.known_base() == Base("", 4)
    assert names(history.start(None)) == names(versions.history.zone)
    assert history.version(2).serial == 2


def test_a_version_may_take_the_place_of_all_before():
    versions = Versions()
    for number in range(3):
        versions.change(number)
        versions.run()
    other = first().changed([(NAME, 6, SOA)], [(NAME, 6, 60, with_serial(SOA, 50))])
    versions.history.replace(other)
    versions.run()
    assert versions.history.since(4) is None
    versions.change(9)
    versions.run()
    history = History(FOLDER, NAME, Later(), Later(), files=versions.files.crashed(), served=lambda *_: None)
    assert names(history.start(None)) == names(versions.history.zone)
    assert [change.before for change in history.changes] == [50]


def test_what_is_kept_is_bounded():
    versions = Versions(keep=300)
    versions.history._journal._segment = 200
    for number in range(60):
        versions.change(number)
        versions.run()
    assert sum(change.size for change in versions.history.changes) < 700
    assert len(versions.files.names(FOLDER)) < 12
    history = History(FOLDER, NAME, Later(), Later(), files=versions.files.crashed(), served=lambda *_: None)
    assert names(history.start(None)) == names(versions.history.zone)


def test_a_base_that_does_not_fit_is_said():
    versions = Versions()
    versions.change(0)
    versions.run()
    versions.history.rebase(Base("other", 77))
    history = History(FOLDER, NAME, Later(), Later(), files=versions.files, served=lambda *_: None)
    with pytest.raises(StartError, match="none of which belongs to serial 77"):
        history.start(first())


def test_a_damaged_state_is_said():
    versions = Versions()
    versions.change(0)
    versions.run()
    versions.files._names[FOLDER / "state"].data[:] = b"{}"
    history = History(FOLDER, NAME, Later(), Later(), files=versions.files, served=lambda *_: None)
    with pytest.raises(StartError, match="damaged"):
        history.known_base()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(["change", "run", "snapshot", "crash", "full", "room"]), max_size=40),
    st.integers(0, 1 << 20),
    st.lists(st.integers(1, 120), max_size=3),
)
def test_nothing_promised_is_lost(acts, seed, failures):
    files = FaultyFiles(seed)
    files.fail_at = dict.fromkeys(failures, OSError(errno.EIO, "Input/output error"))
    versions = Versions(files)
    number = 0
    for act in acts:
        history = versions.history
        if act == "change":
            number += 1
            try:
                versions.change(number)
            except OSError:
                pass  # not even begun
        elif act == "run":
            versions.run()
        elif act == "snapshot" and history._open and not history.snapping:
            history.snapshot().addErrback(lambda _: None)
        elif act in ("full", "room"):
            versions.files.capacity = 400 if act == "full" else None
        elif act == "crash":
            promised = versions.history.zone
            expected = names(promised)
            files = versions.files.crashed()
            history = History(FOLDER, NAME, Later(), Later(), files=files, served=lambda *_: None)
            base = history.known_base()
            versions = Versions(files, base=None if base is None or base.digest else _snapshot(history, base))
            found = versions.history
            assert not later(promised.serial, found.zone.serial)
            if found.zone.serial == promised.serial:
                assert names(found.zone) == expected
            else:
                assert names(found.version(promised.serial)) == expected


def _snapshot(history, base):
    return history._snapshot(base.serial)


def test_changes_are_written_and_read():
    zone = first()
    made = [step(zone, number)[0] for number in range(3)]
    data = b"".join(map(encoded, made))
    assert [change._replace(removals=list(change.removals)) for change in decoded(data)] == made
    with pytest.raises(BadChange):
        list(decoded(data[:-1]))


@given(st.binary(max_size=100))
def test_bytes_that_are_no_change(data):
    try:
        list(decoded(data))
    except BadChange:
        pass


def test_the_difference_of_two_versions():
    zone = first()
    change, made = step(zone, 7)
    found = difference(zone, made, change.when, change.source)
    assert found.applied(zone).serial == 2
    assert found == change._replace(removals=list(change.removals), additions=list(change.additions))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(2, 1, True), (1, 1, False), (0, 0xFFFFFFFF, True), (1 << 31, 0, False), ((1 << 31) - 1, 0, True), (5, 9, False)],
)
def test_serials_go_round(one, other, expected):
    assert later(one, other) is expected


def test_next_serials():
    assert next_serial(0xFFFFFFFF, "increment", 0) == 1
    assert next_serial(5, "unixtime", 1000.7) == 1000
    assert next_serial(1000, "unixtime", 1000.7) == 1001
    assert next_serial(2026112100, "date", 1_795_230_000) == 2026112101


def test_closing_waits():
    versions = Versions()
    versions.change(1)
    closed = []
    ensureDeferred(versions.history.close()).addCallback(lambda _: closed.append(True))
    assert not closed
    versions.run()
    assert closed
    assert versions.promised == [2]
