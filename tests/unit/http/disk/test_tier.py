"""The disk tier under the memory store."""

from __future__ import annotations

import pytest

from tests.unit.http.disk.cabinet import Cabinet

KEY = b"http://a.test/one"


@pytest.fixture
def cabinet(tmp_path):
    return Cabinet(tmp_path / "cache")


def test_what_memory_lost_is_found_on_disk(cabinet):
    cabinet.put(KEY, b"body", (b"x-y", b"z"))
    cabinet.forget_memory()
    (stored,) = cabinet.store.lookup(KEY)
    assert (stored.status, stored.content.body, stored.etag) == (200, b"body", b'"1"')
    assert (b"x-y", b"z") in stored.fields
    assert stored.lifetime.seconds == 1000
    assert list(cabinet.store.lookup(KEY)) == [stored]
    assert cabinet.tier.reads == 1


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_restart_finds_what_was_stored(cabinet, end):
    bodies = {b"http://a.test/%d" % n: b"%d" % n * n for n in range(300)}
    for key, body in bodies.items():
        cabinet.put(key, body)
    if end == "stop":
        cabinet.stop()
    cabinet.crash()
    assert {key: cabinet.bodies(key) for key in bodies} == {key: [body] for key, body in bodies.items()}
    assert len(cabinet.log.index) == 300


@pytest.mark.parametrize("end", ["nothing", "stop", "crash"])
def test_a_purge_holds(cabinet, end):
    cabinet.put(KEY, b"en", vary=[b"Accept-Language"], asked=[(b"accept-language", b"en")])
    cabinet.put(KEY, b"de", vary=[b"Accept-Language"], asked=[(b"accept-language", b"de")])
    cabinet.put(KEY + b"/other", b"kept")
    cabinet.forget_memory()
    assert cabinet.bodies(KEY) == [b"de", b"en"]
    cabinet.forget_memory()
    assert cabinet.store.purge(KEY) == 2
    if end == "stop":
        cabinet.stop()
    if end != "nothing":
        cabinet.crash()
    assert cabinet.bodies(KEY) == []
    assert cabinet.bodies(KEY + b"/other") == [b"kept"]


def test_what_is_stored_after_a_purge_stays(cabinet):
    cabinet.put(KEY, b"old")
    cabinet.store.purge(KEY)
    cabinet.put(KEY, b"new")
    cabinet.crash()
    assert cabinet.bodies(KEY) == [b"new"]
    cabinet.put(KEY, b"newer")
    cabinet.crash()
    assert cabinet.bodies(KEY) == [b"newer"]


@pytest.mark.parametrize("size", [100, 5000, 20000])
def test_a_304_makes_a_new_head_and_leaves_the_body(cabinet, size):
    cabinet.put(KEY, b"b" * size)
    before = cabinet.log.written_bytes
    cabinet.refresh(KEY, (b"x-new", b"yes"), (b"cache-control", b"max-age=7"))
    assert cabinet.log.written_bytes - before < 1000
    for restart in (cabinet.forget_memory, cabinet.crash):
        restart()
        (stored,) = cabinet.store.lookup(KEY)
        piece = stored.content.body
        if piece is not None:
            assert piece == b"b" * size
        assert stored.content.size == size
        assert stored.lifetime.seconds == 7
        assert (b"x-new", b"yes") in stored.fields


def test_the_oldest_segment_goes_and_what_was_used_stays(tmp_path):
    cabinet = Cabinet(tmp_path / "cache", memory=8192, budget=1 << 20)
    for n in range(2000):
        for _ in range(2):
            cabinet.put(b"http://a.test/%d" % n, b"%04d" % n * 250)
        if n % 10 == 0:
            # asked for again and again
            assert n == 0 or cabinet.bodies(b"http://a.test/0") == [b"0000" * 250]
        cabinet.pass_time()
    assert cabinet.log.used <= 1 << 20
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) < 1.1 * (1 << 20)
    assert cabinet.log.evictions > 500
    assert cabinet.bodies(b"http://a.test/1") == []
    assert cabinet.bodies(b"http://a.test/1999") == [b"1999" * 250]
    cabinet.crash()
    assert cabinet.bodies(b"http://a.test/0") == [b"0000" * 250]


def test_a_full_disk_keeps_what_comes_twice(tmp_path):
    cabinet = Cabinet(tmp_path / "cache", memory=8192, budget=1 << 20)
    for n in range(3000):
        cabinet.put(b"http://a.test/%d" % n, b"%04d" % n * 250)
        cabinet.pass_time()
    assert cabinet.log.full
    assert cabinet.log.evictions == 0
    before = cabinet.log.writes
    cabinet.put(b"http://a.test/2900", b"again" * 200)
    assert cabinet.log.writes == before + 1
    cabinet.forget_memory()
    assert cabinet.bodies(b"http://a.test/2900") == [b"again" * 200]
    assert cabinet.bodies(b"http://a.test/0") == [b"0000" * 250]
    assert cabinet.bodies(b"http://a.test/2901") == []


def test_without_a_whole_checkpoint_it_begins_empty(cabinet):
    cabinet.put(KEY, b"body")
    cabinet.stop()
    path = cabinet.folder / "checkpoint"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    cabinet.crash()
    assert cabinet.bodies(KEY) == []
    assert not list(cabinet.folder.glob("*.seg"))


def test_a_standing_mark_is_asked_about_all_that_is_older(cabinet):
    def prefix(payload, stored):
        return stored.key.startswith(payload)

    def judged():
        cabinet.tier.judges[16] = prefix

    judged()
    cabinet.put(b"http://a.test/a/1", b"1")
    cabinet.put(b"http://a.test/b/1", b"1")
    cabinet.tier.mark(16, b"http://a.test/a/")
    cabinet.put(b"http://a.test/a/2", b"2")
    for restart in (cabinet.forget_memory, cabinet.crash, cabinet.stop, cabinet.crash):
        restart()
        judged()
        cabinet.forget_memory()
        assert cabinet.bodies(b"http://a.test/a/1") == []
        assert cabinet.bodies(b"http://a.test/a/2") == [b"2"]
        assert cabinet.bodies(b"http://a.test/b/1") == [b"1"]


def test_a_million_rows_take_little_memory_each(cabinet):
    from netsuite.http.disk.index import Index, target_of

    index = Index()
    for n in range(50_000):
        index.put(target_of(b"%d" % n) + b"..", n)
    assert index.memory / len(index) < 30
    assert all(index.variants(target_of(b"%d" % n))[0].place == n for n in range(0, 50_000, 100))
    again = Index.load(*index.dump())
    assert len(again) == 50_000
    assert all(again.remove(target_of(b"%d" % n) + b"..") for n in range(50_000))
    assert len(again) == 0


class TestFailingDisks:
    """Whatever the disk does, answers are right, and the operator is told once."""

    @pytest.fixture
    def full(self, cabinet, monkeypatch):
        from netsuite.http.disk import segments

        def refuse(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(segments.os, "pwritev", refuse)
        return monkeypatch

    def test_a_full_disk_leaves_the_memory_cache(self, cabinet, full):
        for n in range(20):
            assert cabinet.put(b"http://a.test/%d" % n, b"body")
            assert cabinet.bodies(b"http://a.test/%d" % n) == [b"body"]
        assert "No space left" in cabinet.log.problem
        assert len(cabinet.log.index) == 0
        assert cabinet.log.drops == 20

    def test_it_works_again_once_there_is_room(self, cabinet, full):
        cabinet.put(KEY, b"lost")
        full.undo()
        cabinet.put(KEY, b"too early")
        cabinet.clock.advance(31)
        cabinet.put(KEY, b"kept")
        assert cabinet.log.problem == ""
        cabinet.crash()
        assert cabinet.bodies(KEY) == [b"kept"]

    def test_a_purge_holds_even_where_it_cannot_be_written(self, cabinet, monkeypatch):
        cabinet.put(KEY, b"body")
        cabinet.log.checkpoint()
        monkeypatch.setattr(cabinet.log.marks, "_descriptor", -1)
        cabinet.store.purge(KEY)
        assert cabinet.log.problem
        cabinet.crash()
        assert cabinet.bodies(KEY) == []

    def test_a_file_that_vanished_is_a_miss(self, cabinet):
        cabinet.put(KEY, b"body")
        cabinet.stop()
        for path in cabinet.folder.glob("*.seg"):
            path.unlink()
        cabinet.crash()
        assert cabinet.bodies(KEY) == []
        assert len(cabinet.log.index) == 0


def test_the_field_that_rules_a_response_rules_it_from_disk_too(cabinet):
    cabinet.tier.targets = (b"cdn-cache-control",)
    cabinet.put(KEY, b"body", (b"cdn-cache-control", b"max-age=5"))
    cabinet.forget_memory()
    (stored,) = cabinet.store.lookup(KEY)
    assert stored.lifetime.seconds == 5


def test_there_are_no_more_files_than_may_be_open(tmp_path):
    cabinet = Cabinet(tmp_path / "cache")
    cabinet.log.files = 6
    for number in range(300):
        assert cabinet.put(b"http://a.test/%d" % number, b"%d" % number * 1000)
        cabinet.pass_time()
        assert len(cabinet.log.segments) <= 7
    assert cabinet.log.evictions > 100
    assert cabinet.log.used < 1 << 19
    cabinet.forget_memory()
    assert cabinet.bodies(b"http://a.test/299") == [b"299" * 1000]
