"""The piece store: what it has, what it reads and writes, and what it says when the disk does not play along."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from netsuite.bittorrent.peer.cache import ReadCache
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.peer.pieces import PieceStore
from netsuite.bittorrent.peer.resume import ResumeRecord
from netsuite.common.errors import Overloaded
from netsuite.common.threads import Inline
from netsuite.testing.faults import FaultyFiles
from netsuite.testing.folders import MemoryFolder
from tests.torrents import content, torrent

RECORD = Path("/data/peer/torrent.resume")
FILES = {
    "t/a": content(1, 100),
    "t/empty": b"",
    "t/deep/er/b": content(2, 10),
    "t/.pad/18": 18,
    "t/c": content(3, 200),
    "t/d": content(4, 1),
}


class Held(Inline):
    """Threads that work when they are told to."""

    def __init__(self):
        super().__init__()
        self.held: list[Any] = []

    def run(self, work, *arguments):
        answer = Deferred()
        self.held.append((work, arguments, answer))
        return answer

    def go(self, count=1000):
        while self.held and count:
            work, arguments, answer = self.held.pop(0)
            maybeDeferred(work, *arguments).chainDeferred(answer)
            count -= 1


def outcome(answer):
    """What a Deferred or coroutine has come to; raises what it failed with."""
    found: list[Any] = []
    if not isinstance(answer, (bytes, bytearray, memoryview)):
        ensureDeferred(answer).addBoth(found.append)
        assert found, "nothing yet"
        answer = found[0]
    if isinstance(answer, Failure):
        answer.raiseException()
    return answer


def silent(answer):
    """Whether nothing has come of a Deferred yet."""
    return not answer.called


class Site:
    """A torrent, a folder and a record; stores come and go."""

    def __init__(self, files=FILES, piece_length=64, folder=None, threads=None, **options):
        self.metainfo, self.whole = torrent(files, piece_length)
        self.folder = folder if folder is not None else MemoryFolder()
        self.files = FaultyFiles()
        self.clock = Clock()
        self.threads = threads or Inline()
        self.options = options

    def store(self, **options):
        resume = ResumeRecord(RECORD, self.metainfo.info_hash, self.files)
        return PieceStore(
            self.metainfo, self.folder, self.threads, self.clock, resume=resume, **{**self.options, **options}
        )

    def opened(self, **options):
        store = self.store()
        outcome(store.open(**options))
        return store

    def piece(self, number):
        size = self.metainfo.piece_length
        return self.whole[number * size : (number + 1) * size]

    def fill(self, store, pieces=None):
        for number in range(self.metainfo.piece_count) if pieces is None else pieces:
            assert outcome(store.write(number, [self.piece(number)])) is True

    def seeded(self):
        """All files are there, by another hand."""
        for file in self.metainfo.files:
            if not file.pad:
                self.folder.put(file.path, self.whole[file.offset : file.offset + file.length])
        return self


@pytest.fixture(params=["memory", "disk"])
def site(request, tmp_path):
    return Site(folder=MemoryFolder() if request.param == "memory" else Folder(tmp_path / "new" / "save"))


def test_a_new_torrent_has_nothing_and_makes_only_its_empty_files(site):
    store = site.opened()
    assert store.have.count == 0
    assert [site.folder.look(file.path) is not None for file in site.metainfo.files] == [0, 1, 0, 0, 0, 0]


def test_pieces_are_written_across_files_and_read_back(site):
    store = site.opened()
    site.fill(store)
    assert store.have.full
    for number in range(store.have.length):
        assert bytes(outcome(store.read(number, 0, len(site.piece(number))))) == site.piece(number)
    for name, data in FILES.items():
        path = tuple(name.split("/"))
        if isinstance(data, int):
            assert site.folder.look(path) is None, "pads are not written"
        else:
            assert site.folder.read(path, 0, 1000) == data
    outcome(store.close())


def test_a_piece_in_blocks_of_any_kind_is_hashed_and_written(site):
    store, piece = site.opened(), site.piece(1)
    assert outcome(store.write(1, [piece[:10], bytearray(piece[10:50]), memoryview(piece)[50:]])) is True
    assert bytes(outcome(store.read(1, 5, 59))) == piece[5:64]


def test_a_wrong_piece_is_not_written(site):
    store = site.opened()
    assert outcome(store.write(0, [bytes(64)])) is False
    assert outcome(store.write(0, [site.piece(0)[:-1]])) is False
    assert site.folder.look(("t", "a")) is None
    assert not store.have[0]
    assert store.queued == 0


def test_files_are_sparse_and_have_their_size_from_the_first_byte_on(site):
    store = site.opened()
    site.fill(store, [3])
    assert site.folder.look(("t", "c")).size == 200
    assert site.folder.look(("t", "a")) is None


def test_a_closed_store_opens_without_a_check(site):
    store = site.opened()
    site.fill(store, [0, 3])
    outcome(store.close())
    progress: list[Any] = []
    again = site.opened(progress=lambda *figures: progress.append(figures))
    assert list(again.have) == [0, 3]
    assert progress == [(0, 0)]


def test_a_record_of_one_second_ago_is_trusted_after_a_crash():
    site = Site()
    site.fill(site.opened(), [0, 1, 2])
    site.clock.advance(2)
    site.files, site.folder = site.files.crashed(), site.folder.crashed()
    assert {0, 1, 2} <= set(site.opened().have)


def test_without_a_record_all_is_hashed_in_runs_with_progress():
    data = content(5, 40 << 20)
    site = Site({"big": data}, 1 << 20).seeded()
    progress: list[Any] = []
    store = site.opened(progress=lambda *figures: progress.append(figures))
    assert store.have.full
    assert progress == [(8 * n, 40) for n in range(6)]
    progress.clear()
    site.opened(progress=lambda *figures: progress.append(figures))
    assert progress == [(0, 0)], "and now there is a record"
    site.opened(progress=lambda *figures: progress.append(figures), check=True)
    assert progress[-1] == (40, 40), "which does not count if a check is asked for"


def test_pieces_of_zeros_are_right_where_nothing_was_written_and_no_others(site):
    site = Site({"f": content(1, 8192) + bytes(3 * 8192) + content(2, 8192) + bytes(100)}, 8192, folder=site.folder)
    site.folder.make(("f",), 5 * 8192 + 100)
    assert list(site.opened().have) == [1, 2, 3, 5]


def test_a_torrent_without_bytes_is_complete_and_has_its_files(site):
    site = Site({"t/a": b"", "t/b": b""}, folder=site.folder)
    store = site.opened()
    assert store.have.full
    assert site.folder.look(("t", "b")).size == 0
    outcome(store.close())


@pytest.mark.parametrize(
    ("harm", "left"),
    [
        (lambda folder: folder.put(("t", "a"), bytes(100)), [2, 3, 4, 5]),
        (lambda folder: folder.put(("t", "c"), content(3, 200)), [0, 1, 2, 3, 4, 5]),
        (lambda folder: folder.put(("t", "c"), content(3, 80)), [0, 1, 2]),
        (lambda folder: folder.remove(("t", "deep", "er", "b")), [0, 2, 3, 4, 5]),
        (lambda folder: folder.remove(("t", "d")), [0, 1, 2, 3, 4]),
    ],
)
def test_the_pieces_of_changed_files_are_hashed_again(harm, left):
    site = Site()
    store = site.opened()
    site.fill(store)
    outcome(store.close())
    assert store.have.length == 6
    harm(site.folder)
    again = site.opened()
    assert list(again.have) == left
    outcome(again.close())
    assert list(site.opened().have) == left


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: b"",
        lambda data: bytes(len(data)),
        lambda data: data + b"x",
        lambda data: data * 2,
    ],
)
def test_a_torn_record_leads_to_a_check(damage):
    site = Site()
    store = site.opened()
    site.fill(store)
    outcome(store.close())
    record = damage(site.files.read(RECORD))
    site.files.remove(RECORD)
    site.files.create(RECORD).append([record])
    progress: list[Any] = []
    again = site.opened(progress=lambda *figures: progress.append(figures))
    assert again.have.full
    assert progress[-1] == (6, 6)


def test_the_record_of_another_folder_torrent_or_shape_leads_to_a_check():
    site = Site()
    store = site.opened()
    site.fill(store)
    outcome(store.close())
    moved = Site(folder=MemoryFolder("/elsewhere")).seeded()
    other = Site({**FILES, "t/e": b"more"}).seeded()
    for another in (moved, other):
        another.files = site.files.crashed()
        progress: list[Any] = []
        assert another.opened(progress=lambda *figures, to=progress: to.append(figures)).have.full
        assert progress[-1] == (6, 6)


def test_a_check_is_given_up_when_the_store_closes():
    site = Site({"big": content(6, 1 << 20)}, 1 << 14, threads=Held()).seeded()
    store = site.store()
    opening = ensureDeferred(store.open())
    site.threads.go(2)
    assert silent(opening)
    closing = ensureDeferred(store.close())
    site.threads.go()
    outcome(closing)
    with pytest.raises(CancelledError):
        outcome(opening)
    assert store.have.count == 0
    with pytest.raises(CancelledError):
        outcome(store.write(0, [site.piece(0)]))
    with pytest.raises(OSError, match="has no"):
        outcome(store.read(0, 0, 10))


@pytest.mark.parametrize("jobs", range(1, 12))
def test_after_a_check_that_was_given_up_the_next_one_finds_all(jobs, monkeypatch):
    monkeypatch.setattr("netsuite.bittorrent.peer.pieces._CHECKED", 1024)
    site = Site({"big": content(6, 8192)}, 256).seeded()
    store = site.opened()
    outcome(store.close())
    site.folder.put(("big",), content(6, 8192))
    site.threads = Held()
    store = site.store()
    opening = ensureDeferred(store.open()).addErrback(lambda failure: failure.trap(CancelledError))
    site.threads.go(jobs)
    closing = ensureDeferred(store.close())
    site.threads.go()
    outcome(closing)
    outcome(opening)
    site.threads = Inline()
    assert site.opened().have.full


def test_a_full_disk_is_said_and_waited_for():
    site = Site({"f": content(7, 40960)}, 4096, folder=MemoryFolder(capacity=3 * 4096))
    store = site.opened()
    said: list[Any] = []
    store.troubled = said.append
    answers = [store.write(number, [site.piece(number)]) for number in range(5)]
    assert [answer.called for answer in answers] == [True, True, True, False, False]
    assert said == ["no space left on /memory"] == [store.trouble]
    assert store.queued == 2 * 4096
    site.clock.advance(5)
    assert [answer.called for answer in answers] == [True, True, True, False, False]
    site.folder.capacity = None
    late = store.write(9, [site.piece(9)])
    assert silent(late)
    site.clock.advance(5)
    assert [outcome(answer) for answer in (*answers, late)] == [True] * 6
    assert said == ["no space left on /memory", None]
    assert store.queued == 0


def test_what_cannot_be_written_is_given_up_at_the_end():
    site = Site({"f": content(7, 40960)}, 4096, folder=MemoryFolder(capacity=3 * 4096))
    store = site.opened()
    answers = [store.write(number, [site.piece(number)]) for number in range(5)]
    outcome(store.close())
    with pytest.raises(CancelledError):
        outcome(answers[3])
    assert store.queued == 0
    assert list(site.opened().have) == [0, 1, 2]
    assert not site.clock.getDelayedCalls()


def test_writes_go_on_after_threads_were_overloaded():
    site = Site()
    store = site.opened()
    work = site.threads.run

    def refuse(*_):
        raise Overloaded("too much")

    site.threads.run = refuse
    answer = store.write(0, [site.piece(0)])
    assert silent(answer)
    assert store.trouble == "/memory: too much"
    site.threads.run = work
    site.clock.advance(5)
    assert outcome(answer) is True
    assert store.trouble is None


def test_small_pieces_share_a_thread_job():
    site = Site({"f": content(8, 64000)}, 64, threads=Held())
    store = site.store()
    opening = ensureDeferred(store.open())
    site.threads.go()
    outcome(opening)
    answers = [store.write(number, [site.piece(number)]) for number in range(1000)]
    assert len(site.threads.held) == 2
    site.threads.go(3)
    assert all(answer.called for answer in answers)


def test_blocks_in_memory_need_no_thread_and_others_are_read_once():
    site = Site({"f": content(9, 4 << 20)}, 2 << 20, folder=MemoryFolder(peeks=False), threads=Held()).seeded()
    store = site.store()
    opening = ensureDeferred(store.open())
    site.threads.go()
    outcome(opening)
    site.threads.go()
    first, second = store.read(0, 0, 16384), store.read(0, 16384, 16384)
    assert len(site.threads.held) == 2, "the extent, and the next one"
    site.threads.go()
    assert bytes(outcome(first)) == site.whole[:16384]
    assert bytes(outcome(second)) == site.whole[16384:32768]
    for begin in range(0, 2 << 20, 16384):
        assert bytes(store.read(0, begin, 16384)) == site.whole[begin : begin + 16384]
    across = store.read(0, (1 << 20) - 100, 200)
    site.threads.go()
    assert bytes(outcome(across)) == site.whole[(1 << 20) - 100 : (1 << 20) + 100]
    assert not site.threads.held


def test_what_the_system_has_in_memory_is_read_at_once():
    site = Site(threads=Held()).seeded()
    store = site.store()
    opening = ensureDeferred(store.open())
    site.threads.go()
    outcome(opening)
    site.threads.go()
    assert bytes(store.read(1, 3, 20)) == site.piece(1)[3:23], "across files and a pad"
    assert not site.threads.held


def test_the_cache_is_bounded_and_shared():
    cache = ReadCache(300)
    site = Site(folder=MemoryFolder(), cache=cache).seeded()
    one, two = site.opened(), site.opened()
    for number in range(6):
        outcome(one.read(number, 0, 1))
        outcome(two.read(number, 0, 1))
    assert 200 < cache.size <= 300
    outcome(one.close())
    outcome(two.close())
    assert cache.size == 0


@pytest.mark.parametrize(("begin", "length"), [(0, 65), (64, 1), (60, 5), (1 << 30, 1), (0, -1)])
def test_what_is_beyond_a_piece_is_refused_and_nothing_lost(begin, length):
    site = Site().seeded()
    store = site.opened()
    with pytest.raises(OSError, match="piece 0 has no"):
        outcome(store.read(0, begin, length))
    assert store.have.full


def test_a_file_cut_short_under_us_loses_its_pieces_for_good():
    site = Site().seeded()
    store = site.opened()
    lost: list[int] = []
    store.lost = lost.append
    site.folder.put(("t", "c"), FILES["t/c"][:70])
    with pytest.raises(OSError, match="shorter"):
        outcome(store.read(4, 0, 16))
    assert lost == [4]
    assert list(store.have) == [0, 1, 2, 3, 5]
    assert not Site.opened(site).have[4]
    assert outcome(store.write(4, [site.piece(4)])) is True
    assert store.have.full


def test_a_piece_is_not_lost_because_the_system_is_short_of_something():
    site = Site(folder=MemoryFolder(peeks=False)).seeded()
    store = site.opened()
    site.folder.unreadable = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(OSError, match="Too many"):
        outcome(store.read(4, 0, 16))
    assert store.have.full
    with pytest.raises(OSError, match="Too many"):
        outcome(site.store().open(check=True))
    site.folder.unreadable = OSError(errno.EIO, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        outcome(store.read(4, 0, 16))
    assert list(store.have) == [0, 1, 2, 3, 5]


def test_a_lost_piece_is_not_written_again_before_the_record_says_so():
    site = Site(threads=Held()).seeded()
    store = site.store()
    opening = ensureDeferred(store.open())
    site.threads.go()
    outcome(opening)
    site.folder.put(("t", "c"), FILES["t/c"][:70])
    reading = store.read(4, 0, 16)
    site.threads.go(1)
    with pytest.raises(OSError, match="shorter"):
        outcome(reading)
    answer = store.write(4, [site.piece(4)])
    assert [work.__name__ for work, _, _ in site.threads.held] == ["_settle"]
    site.threads.go()
    assert outcome(answer) is True


def test_after_a_failed_sync_pieces_are_written_again_before_they_are_claimed():
    site = Site({"f": content(7, 40960)}, 4096)
    store = site.opened()
    site.fill(store, [0, 1, 2])
    site.folder.fail_at[site.folder.operations + 1] = OSError(errno.EIO, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        outcome(store.sync())
    assert store.trouble == "/memory: Input/output error"
    site.clock.advance(5)
    assert store.trouble is None
    site.files, site.folder = site.files.crashed(), site.folder.crashed()
    assert list(site.opened().have) == [0, 1, 2]
    assert site.folder.read(("f",), 0, 3 * 4096) == site.whole[: 3 * 4096]


def test_what_is_lost_between_a_failed_sync_and_the_next_is_fetched_again():
    site = Site({"f": content(7, 40960), "g": content(8, 4096)}, 4096)
    store = site.opened()
    lost: list[int] = []
    store.lost = lost.append
    site.fill(store, [0, 1, 10])
    site.folder.fail_at[site.folder.operations + 1] = OSError(errno.EIO, "Input/output error")
    site.clock.advance(2)
    assert store.trouble == "/memory: Input/output error"
    site.folder.put(("f",), content(7, 40960)[:4096] + bytes(36864))
    site.folder.remove(("g",))
    site.clock.advance(5)
    assert lost == [1, 10]
    assert list(store.have) == [0]
    again = [store.write(number, [site.piece(number)]) for number in lost]
    assert not any(answer.called for answer in again), "first the record says that they are lost"
    site.clock.advance(2)
    assert [outcome(answer) for answer in again] == [True, True]
    outcome(store.close())
    assert list(site.opened().have) == [0, 1, 10]


def test_a_sync_waits_for_the_one_under_way():
    site = Site(threads=Held())
    store = site.store()
    opening = ensureDeferred(store.open())
    site.threads.go()
    outcome(opening)
    site.threads.go()
    first = store.write(0, [site.piece(0)])
    site.threads.go()
    assert first.called
    one = ensureDeferred(store.sync())
    second = store.write(1, [site.piece(1)])
    site.threads.held.insert(0, site.threads.held.pop())
    site.threads.go(1)
    assert second.called
    two = ensureDeferred(store.sync())
    assert silent(one)
    assert [work.__name__ for work, _, _ in site.threads.held] == ["_settle"]
    site.threads.go()
    outcome(one)
    outcome(two)
    site.files, site.folder, site.threads = site.files.crashed(), site.folder.crashed(), Inline()
    assert {0, 1} <= set(site.opened().have)


def test_pieces_of_nothing_but_padding_are_there_from_the_start(site):
    site = Site({"a": content(1, 60), "pad": 200, "b": content(2, 10)}, folder=site.folder)
    store = site.opened()
    assert list(store.have) == [1, 2, 3]
    assert bytes(outcome(store.read(2, 10, 20))) == bytes(20)
    site.fill(store, [0, 4])
    assert store.have.full
    outcome(store.close())
    assert site.opened().have.full


def test_a_record_that_cannot_be_saved_is_said_and_tried_again():
    site = Site()
    store = site.opened()
    site.fill(store, [0])
    site.files.capacity = 0
    site.clock.advance(2)
    assert "no space left" in store.trouble
    site.files.capacity = None
    site.clock.advance(5)
    assert store.trouble is None
    site.files, site.folder = site.files.crashed(), site.folder.crashed()
    assert site.opened().have[0]


def test_a_complete_torrent_is_claimed_at_once():
    site = Site()
    store = site.opened()
    site.fill(store)
    site.files, site.folder = site.files.crashed(), site.folder.crashed()
    assert site.opened().have.full


def test_several_threads_write_and_check_real_files(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    metainfo, whole = torrent({"t/a": content(1, 3 << 20), "t/b": content(2, 5 << 20)}, 1 << 18)
    site = Site(folder=Folder(tmp_path))
    disk = PieceStore(metainfo, site.folder, Inline(), site.clock)._disk
    pieces = range(metainfo.piece_count)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda piece: disk.write(piece, [whole[piece << 18 : piece + 1 << 18]]), pieces))
        assert [len(found) for found in pool.map(lambda piece: disk.check([piece], bool), pieces)] == [1] * len(pieces)
    assert (tmp_path / "t" / "b").read_bytes() == whole[3 << 20 :]
