"""The durable journal: what was acknowledged is there, whatever failed and whenever the power was cut."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred

from netsuite.common.storage.files import Files
from netsuite.common.storage.journal import Journal, JournalBroken, StorageFull
from netsuite.common.storage.records import Damaged, frame, scan
from netsuite.testing.faults import FaultyFiles

FOLDER = Path("/data/mail")


class Held:
    """A thread that runs what it was given when it is told to."""

    def __init__(self):
        self.waiting = []

    def __call__(self, function, *arguments):
        result = Deferred()
        self.waiting.append((function, arguments, result))
        return result

    def run(self):
        while self.waiting:
            function, arguments, result = self.waiting.pop(0)
            maybeDeferred(function, *arguments).chainDeferred(result)


def at_once(function, *arguments):
    return maybeDeferred(function, *arguments)


def opened(files, defer=at_once, **options):
    journal = Journal(FOLDER, "log", defer, files=files, **options)
    return journal, list(journal.open())


def outcome(deferred):
    found = []
    deferred.addBoth(found.append)
    return found[0] if found else None


def test_what_is_appended_is_read_back():
    files = FaultyFiles()
    journal, before = opened(files)
    assert before == []
    assert [outcome(journal.append(text)) for text in (b"one", b"", b"three" * 1000)] == [1, 2, 3]
    assert opened(files.crashed())[1] == [(1, b"one"), (2, b""), (3, b"three" * 1000)]


def test_those_who_wait_share_a_sync():
    files, thread = FaultyFiles(), Held()
    journal, _ = opened(files, thread)
    done = [journal.append(b"%d" % n) for n in range(100)]
    assert not any(d.called for d in done)
    thread.run()
    assert [outcome(d) for d in done] == list(range(1, 101))
    assert (journal.commits, journal.records) == (2, 100)


def test_who_appends_again_when_told_shares_the_next_commit():
    files, thread = FaultyFiles(), Held()
    journal, _ = opened(files, thread)
    more = []
    for n in range(3):
        journal.append(b"%d" % n).addCallback(lambda _: more.append(journal.append(b"more")))
    while thread.waiting:
        assert len(thread.waiting) == 1, "commits run one at a time"
        function, arguments, result = thread.waiting.pop()
        maybeDeferred(function, *arguments).chainDeferred(result)
    assert sorted(map(outcome, more)) == [4, 5, 6]
    assert [number for number, _ in opened(files.crashed())[1]] == [1, 2, 3, 4, 5, 6]


def test_closing_waits_for_all_that_was_appended():
    files, thread = FaultyFiles(), Held()
    journal, _ = opened(files, thread)
    first = journal.append(b"one")
    second = journal.append(b"two")
    settled, closed = journal.settled(), ensureDeferred(journal.close())
    assert outcome(journal.append(b"three")).check(JournalBroken)
    for deferred in (first, second):
        assert not settled.called
        assert not closed.called
        function, arguments, result = thread.waiting.pop()
        maybeDeferred(function, *arguments).chainDeferred(result)
        assert deferred.called
    assert settled.called
    assert closed.called
    assert opened(files.crashed())[1] == [(1, b"one"), (2, b"two")]


def test_a_record_is_where_it_is_said_to_be():
    files, thread = FaultyFiles(), Held()
    journal, _ = opened(files, thread, segment=100)
    first = journal.place_at_once(b"first")
    texts = [b"%d" % n * n for n in range(20)]
    told = [(first, b"first")]
    for text in texts:
        journal.place(text).addCallback(lambda placed, text=text: told.append((placed, text)))
        if len(text) % 3:
            thread.run()
    thread.run()
    assert journal.next_number == 22
    for placed, text in told:
        assert files.part(journal.path(placed.file), placed.offset, len(text)) == text
    assert list(Journal(FOLDER, "log", at_once, files=files).replay()) == told
    assert {placed.file for placed, _ in told} == journal.files


def test_any_old_file_can_be_discarded():
    files = FaultyFiles()
    journal, _ = opened(files, segment=50)
    for _ in range(6):
        outcome(journal.append(b"x" * 30))
    whole = journal.whole()
    journal.discard([whole[1][0]])
    assert whole[1][0] not in journal.files
    again = Journal(FOLDER, "log", at_once, files=files.crashed())
    assert [n for n, _ in again.open(after=whole[1][1])] == [3, 4, 5, 6]


def test_nothing_is_acknowledged_before_its_sync():
    files, thread = FaultyFiles(), Held()
    journal, _ = opened(files, thread)
    durable = journal.append(b"one")
    assert not durable.called
    assert opened(files.crashed())[1] == []


def test_a_new_file_begins_and_old_ones_are_forgotten():
    files = FaultyFiles()
    journal, _ = opened(files, segment=100)
    for _ in range(20):
        journal.append(b"x" * 50)
    names = files.names(FOLDER)
    assert len(names) > 5
    journal.forget(10)
    left = opened(files.crashed())
    assert [number for number, _ in left[1]][-1] == 20
    assert left[1][0][0] <= 10
    assert len(files.names(FOLDER)) < len(names)
    assert outcome(left[0].append(b"more")) == 21


def test_only_what_is_new_is_read():
    files = FaultyFiles()
    journal, _ = opened(files, segment=100)
    for _ in range(10):
        journal.append(b"x" * 50)
    again = Journal(FOLDER, "log", at_once, files=files)
    assert [number for number, _ in again.open(after=7)] == [8, 9, 10]


def test_a_full_disk_refuses_and_recovers():
    files = FaultyFiles(capacity=1000)
    journal, _ = opened(files)
    assert outcome(journal.append(b"x" * 500)) == 1
    assert outcome(journal.append(b"x" * 500)).check(StorageFull)
    assert outcome(journal.append(b"small")) == 2
    files.capacity = None
    assert outcome(journal.append(b"x" * 500)) == 3
    assert [number for number, _ in opened(files.crashed())[1]] == [1, 2, 3]


def test_after_a_failed_sync_nothing_is_taken():
    files = FaultyFiles()
    journal, _ = opened(files)
    outcome(journal.append(b"one"))
    files.fail_at[files.operations + 2] = OSError(errno.EIO, "Input/output error")
    assert outcome(journal.append(b"two")).check(JournalBroken)
    assert outcome(journal.append(b"three")).check(JournalBroken)
    records = opened(files.crashed())[1]
    assert records[0] == (1, b"one")
    assert len(records) <= 2


def test_damage_is_not_a_torn_tail():
    files = FaultyFiles()
    journal, _ = opened(files)
    for n in range(3):
        outcome(journal.append(b"record %d" % n))
    path = FOLDER / files.names(FOLDER)[0]
    files._node(path).data[30] ^= 1
    with pytest.raises(Damaged, match="at byte 0"):
        opened(files)


def test_a_missing_file_is_damage():
    files = FaultyFiles()
    journal, _ = opened(files, segment=50)
    for _ in range(6):
        outcome(journal.append(b"x" * 30))
    files.remove(FOLDER / files.names(FOLDER)[1])
    with pytest.raises(Damaged, match="ends before record"):
        opened(files)


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 1 << 20),
    steps=st.lists(st.integers(0, 200) | st.just(-1) | st.just(-2), max_size=40),
    failures=st.dictionaries(st.integers(1, 60), st.sampled_from([errno.EIO, errno.ENOSPC]), max_size=4),
)
def test_whatever_fails_what_was_acknowledged_survives(seed, steps, failures):
    """A step appends so many bytes (0 to 200), runs the thread (-1), or crashes and opens anew (-2)."""
    files, thread = FaultyFiles(seed), Held()
    files.fail_at = {at: OSError(number, "injected") for at, number in failures.items()}
    acknowledged: dict[int, bytes] = {}
    told: list[tuple[bytes, Deferred]] = []

    def note():
        for payload, durable in told:
            if durable.called:
                result = outcome(durable)
                if isinstance(result, int):
                    acknowledged[result] = payload
        told[:] = [(payload, durable) for payload, durable in told if not durable.called]

    def start():
        while True:
            journal = Journal(FOLDER, "log", thread, files=files, segment=300)
            try:
                return journal, dict(journal.open())
            except OSError:
                continue

    journal, found = start()
    for number, step in enumerate(steps):
        if step == -1:
            thread.run()
            note()
        elif step == -2:
            thread.waiting.clear()
            told.clear()
            rest = {at - files.operations: problem for at, problem in files.fail_at.items() if at > files.operations}
            files = files.crashed()
            files.fail_at = rest
            journal, found = start()
            assert acknowledged.items() <= found.items()
            acknowledged = dict(found)
        else:
            payload = b"%d:" % number + b"x" * step
            durable = journal.append(payload)
            durable.addErrback(lambda failure: failure)
            told.append((payload, durable))
    thread.run()
    note()
    files = files.crashed()
    assert acknowledged.items() <= start()[1].items()


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_raise_anything_but_damage(data, last):
    try:
        found = scan(data, 1, last=last)
    except Damaged:
        return
    assert found.size <= len(data)


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 1 << 30))
def test_every_prefix_of_a_file_is_a_torn_tail(payloads, cut):
    data = b"".join(b"".join(frame(at + 1, payload, 0)) for at, payload in enumerate(payloads))
    cut %= len(data) + 1
    found = scan(data[:cut], 1, last=True)
    assert [payload for _, payload in found.records] == payloads[: len(found.records)]
    assert found.torn is (found.size < cut)


def test_on_a_real_disk(tmp_path):
    journal = Journal(tmp_path / "journal", "log", at_once, files=Files(), segment=1000)
    assert list(journal.open()) == []
    for n in range(100):
        assert outcome(journal.append(b"record %d" % n)) == n + 1
    again = Journal(tmp_path / "journal", "log", at_once)
    placed = list(again.replay())
    assert [payload for _, payload in placed] == [b"record %d" % n for n in range(100)]
    for (_, file, offset), payload in placed:
        assert Files().part(again.path(file), offset, len(payload)) == payload
        assert Files().part(again.path(file), offset, len(payload), wait=False) in (payload, None)
    assert Files().part(again.path(file), offset, 1000) == payload
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700


def test_room_made_ahead_is_no_damage(tmp_path):
    journal = Journal(tmp_path, "log", at_once, segment=1000)
    assert list(journal.open()) == []
    for n in range(60):
        assert outcome(journal.append(b"record %d" % n)) == n + 1
    paths = sorted(tmp_path.iterdir())
    assert len(paths) > 2
    assert paths[-1].stat().st_size > 1 << 17, "the file in use is grown ahead"
    assert paths[0].stat().st_size < 4096, "a file that is full is cut to what it holds"
    with paths[0].open("ab") as whole:
        whole.write(bytes(1000))  # as a crash between two files leaves it
    again = Journal(tmp_path, "log", at_once, segment=1000)
    assert [payload for _, payload in again.open()] == [b"record %d" % n for n in range(60)]
    assert outcome(again.append(b"more")) == 61
    again._file.close()
    assert paths[-1].stat().st_size < 4096
    assert [n for n, _ in Journal(tmp_path, "log", at_once).open(after=58)] == [59, 60, 61]


def test_zeros_in_place_of_a_durable_record_are_damage(tmp_path):
    journal = Journal(tmp_path, "log", at_once, segment=1000)
    assert list(journal.open()) == []
    for n in range(60):
        outcome(journal.append(b"record %d" % n))
    first = sorted(tmp_path.iterdir())[0]
    data = first.read_bytes()
    first.write_bytes(data[:-37] + bytes(37))
    with pytest.raises(Damaged, match="restore it from a backup"):
        list(Journal(tmp_path, "log", at_once).open())


def test_a_commit_waits_while_each_turn_brings_more():
    turns = []
    files = FaultyFiles()
    journal = Journal(FOLDER, "log", at_once, files=files, later=lambda *call: turns.append(call))
    list(journal.open())

    def turn():
        function, *arguments = turns.pop(0)
        function(*arguments)

    numbers = []
    journal.append(b"a").addCallback(numbers.append)
    for payload in b"bc":
        journal.append(bytes([payload])).addCallback(numbers.append)
        turn()
    assert (journal.commits, numbers) == (0, [])
    closed = Deferred.fromCoroutine(journal.close())
    while turns:
        turn()
    assert (journal.commits, numbers, turns) == (1, [1, 2, 3], [])
    assert closed.called


def test_a_commit_does_not_wait_for_ever():
    turns = []
    journal = Journal(FOLDER, "log", at_once, files=FaultyFiles(), later=lambda *call: turns.append(call))
    list(journal.open())
    appended = 0
    while not journal.commits:
        journal.append(b"more")
        appended += 1
        function, *arguments = turns.pop(0)
        function(*arguments)
    assert journal.records == appended < 20
