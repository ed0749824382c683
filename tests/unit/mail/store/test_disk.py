"""The store's files: what is removed, what is written anew, what happens when one is missing or the disk is full."""

from __future__ import annotations

import errno

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.logger import globalLogPublisher

from netsuite.common.errors import StartError
from netsuite.mail.store import Appeared, JournalBroken, NoSuchMessage, StorageFull
from netsuite.testing.faults import FaultyFiles
from tests.unit.mail.store.stores import ALICE, BOB, FOLDER, disk_store, now, picture

BLOBS, INDEX, JOURNAL = FOLDER / "blobs", FOLDER / "index", FOLDER / "journal"


class Thread:
    """Runs what it was given when it is told to."""

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


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def inbox_of(store, user=ALICE):
    return store.account(user).mailbox("INBOX")


def size(files):
    return sum(len(files.read(JOURNAL / name)) for name in files.names(JOURNAL))


def test_a_message_is_where_its_size_puts_it(files):
    inbox = inbox_of(disk_store(files))
    now(inbox.append(b"x" * 100))
    assert files.names(BLOBS) == []
    now(inbox.append(b"x" * 101))
    assert len(files.names(BLOBS)) == 1


def test_nothing_is_seen_before_it_is_durable(files):
    thread = Thread()
    store = disk_store(files, thread)
    inbox = inbox_of(store)
    told = []
    inbox.watch(told.append)
    answers = [ensureDeferred(inbox.append(b"x")) for _ in range(3)]
    assert (list(inbox.messages), told) == ([], [])
    thread.run()
    assert [answer.result for answer in answers] == [1, 2, 3]
    assert [type(change) for change in told] == [Appeared] * 3


def test_who_goes_away_has_still_done_it(files):
    thread = Thread()
    inbox = inbox_of(disk_store(files, thread))
    answer = ensureDeferred(inbox.append(b"x"))
    answer.cancel()
    problem = []
    answer.addErrback(problem.append)
    thread.run()
    assert problem[0].check(CancelledError)
    assert [entry.uid for entry in inbox.messages] == [1]
    assert [entry.uid for entry in inbox_of(disk_store(files.crashed())).messages] == [1]


def test_big_files_are_removed_when_nobody_needs_them(files):
    store = disk_store(files, every=5)
    inbox = inbox_of(store)
    now(inbox.append(b"x" * 500))
    now(inbox.copy([1], store.account(ALICE).mailbox("Sent")))
    now(inbox.expunge([1]))
    for _ in range(10):
        now(inbox.append(b"y"))
    assert len(files.names(BLOBS)) == 1
    now(store.account(ALICE).mailbox("Sent").expunge([1]))
    for _ in range(10):
        now(inbox.append(b"y"))
    assert files.names(BLOBS) == []


def test_a_file_without_a_record_is_swept(files):
    store = disk_store(files)
    files.fail_at[files.operations + 5] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageFull):
        now(inbox_of(store).append(b"x" * 500))
    assert len(files.names(BLOBS)) == 1
    draft = files.create(INDEX / "snapshot.0000000000000009.tmp")
    draft.append([b"torn"])
    disk_store(files)
    assert (files.names(BLOBS), files.names(INDEX)) == ([], [])


def test_a_withdrawn_file_is_removed_with_the_next_tidying(files):
    store = disk_store(files, every=3)
    inbox = inbox_of(store)
    files.fail_at[files.operations + 5] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageFull):
        now(inbox.append(b"x" * 500))
    for _ in range(3):
        now(inbox.append(b"x"))
    assert files.names(BLOBS) == []


def test_the_journal_does_not_grow_for_ever(files):
    store = disk_store(files, segment=1_000, every=10)
    inbox = inbox_of(store)
    now(inbox.append(b"keep me", ["\\Flagged"]))
    largest = 0
    for _ in range(300):
        uid = now(inbox.append(b"x" * 90))
        now(inbox.expunge([uid]))
        largest = max(largest, size(files))
    assert largest < 12_000
    assert not files.names(JOURNAL)[0].endswith("0001")
    assert len(files.names(INDEX)) == 2
    before = picture(store)
    for after in (files.crashed(), files):
        assert picture(disk_store(after)) == before
    assert now(inbox.read(1)) == b"keep me"


def test_a_damaged_snapshot_is_passed_over(files, logged):
    store = disk_store(files, every=5)
    for _ in range(23):
        now(inbox_of(store).append(b"x"))
    before = picture(store)
    names = files.names(INDEX)
    assert len(names) == 2
    for damaged in range(1, 3):
        files._node(INDEX / names[-damaged]).data[40] ^= 1
        logged.clear()
        assert picture(disk_store(files)) == before
        assert len([event for event in logged if "passed over" in event["log_format"]]) == damaged


def test_a_snapshot_of_another_moment_is_passed_over(files):
    store = disk_store(files, every=5)
    for _ in range(23):
        now(inbox_of(store).append(b"x"))
    before = picture(store)
    old, new = files.names(INDEX)
    files._node(INDEX / new).data[:] = files.read(INDEX / old)
    assert picture(disk_store(files)) == before


def test_without_snapshots_and_old_files_it_does_not_pretend(files):
    store = disk_store(files, segment=300, every=5)
    for _ in range(40):
        now(inbox_of(store).expunge([now(inbox_of(store).append(b"x"))]))
    assert not files.names(JOURNAL)[0].endswith("0001")
    for name in files.names(INDEX):
        files.remove(INDEX / name)
    with pytest.raises(StartError, match=r"records 1 to .* are missing; restore a backup"):
        disk_store(files)


def test_a_journal_that_ends_too_early_is_damage(files):
    store = disk_store(files, every=5)
    for _ in range(9):
        now(inbox_of(store).append(b"x"))
    now(store.close())
    path = JOURNAL / files.names(JOURNAL)[-1]
    del files._node(path).data[60:]
    with pytest.raises(StartError, match=r"records up to .* are missing"):
        disk_store(files)


def test_a_record_that_is_none_is_damage(files):
    store = disk_store(files)
    now(inbox_of(store).append(b"x"))
    for payload in (b"", b"\0\0\0\4nope", b'\0\0\0\5["no"'):
        broken = files.crashed()
        log = disk_store(broken)._log
        log._journal.append(payload)
        with pytest.raises(StartError, match="record 3 cannot be understood"):
            disk_store(broken)


def test_missing_messages_are_said_and_the_rest_is_served(files, logged):
    store = disk_store(files)
    inbox = inbox_of(store)
    now(inbox.append(b"x" * 500))
    now(inbox.append(b"small"))
    files.remove(BLOBS / files.names(BLOBS)[0])
    again = inbox_of(disk_store(files))
    assert any("1" in str(event.get("lost")) for event in logged)
    with pytest.raises(NoSuchMessage, match="cannot be read"):
        now(again.read(1))
    assert now(again.read(2)) == b"small"


def test_a_file_that_is_too_short_is_no_message(files):
    store = disk_store(files)
    now(inbox_of(store).append(b"x" * 500))
    del files._node(BLOBS / files.names(BLOBS)[0]).data[300:]
    with pytest.raises(NoSuchMessage):
        now(inbox_of(disk_store(files)).read(1))


def test_a_full_disk_refuses_and_recovers(files):
    store = disk_store(files)
    inbox = inbox_of(store)
    now(inbox.append(b"one"))
    files.capacity = sum(len(node.data) for node in files._names.values()) + 20
    told = []
    inbox.watch(told.append)
    for call in (
        lambda: inbox.append(b"x" * 50),
        lambda: inbox.append(b"x" * 500),
        lambda: inbox.change_flags([1], "add", ["\\Seen"]),
        lambda: store.deliver(b"x", [ALICE, BOB], "t"),
    ):
        with pytest.raises(StorageFull, match=r"No space left|cut short"):
            now(call())
    assert told == []
    assert store.trouble is None
    assert picture(disk_store(files.crashed())) == picture(store)
    files.capacity = None
    assert now(inbox.append(b"two")) == 2
    assert now(store.deliver(b"x", [ALICE, BOB], "t")) == {ALICE: 3, BOB: 1}
    assert picture(disk_store(files.crashed())) == picture(store)


def test_a_failed_sync_ends_all_changes_until_it_is_opened_anew(files):
    store = disk_store(files)
    inbox = inbox_of(store)
    now(inbox.append(b"one"))
    files.fail_at[files.operations + 2] = OSError(errno.EIO, "Input/output error")
    for _ in range(2):
        with pytest.raises(JournalBroken):
            now(inbox.append(b"two"))
    assert "Input/output error" in store.trouble
    assert now(inbox.read(1)) == b"one"
    again = inbox_of(disk_store(files.crashed()))
    assert now(again.append(b"three")) in (2, 3)


def test_a_snapshot_that_cannot_be_taken_is_taken_later(files, logged):
    store = disk_store(files, every=5)
    inbox = inbox_of(store)
    for _ in range(4):
        now(inbox.append(b"x"))
    files.fail_at[files.operations + 4] = OSError(errno.ENOSPC, "No space left on device")
    now(inbox.append(b"x"))
    assert any("no snapshot" in event["log_format"] for event in logged)
    assert not [name for name in files.names(INDEX) if not name.endswith(".tmp")]
    for _ in range(5):
        now(inbox.append(b"x"))
    assert len(files.names(INDEX)) == 1
    assert picture(disk_store(files.crashed())) == picture(store)


def test_closing_takes_a_snapshot(files):
    store = disk_store(files)
    now(inbox_of(store).append(b"x"))
    before = picture(store)
    now(store.close())
    assert len(files.names(INDEX)) == 1
    with pytest.raises(JournalBroken, match="closed"):
        now(inbox_of(store).append(b"x"))
    again = disk_store(files)
    assert picture(again) == before
    now(again.close())
    assert len(files.names(INDEX)) == 1


def test_a_disk_that_fails_at_the_start_is_said(files):
    files.fail_at[1] = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StartError, match="mail store /data/mail cannot be opened"):
        disk_store(files)


def test_figures(files):
    store = disk_store(files)
    inbox = inbox_of(store)
    now(inbox.append(b"x"))
    inbox.watch(lambda change: None)
    assert store.figures() == [("accounts", 1), ("messages", 1), ("watchers", 1)]
