"""Purges of what lies on disk only: by prefix, by tag and softly, now and after a crash."""

from __future__ import annotations

import pytest

from netsuite.http.cache.purges import Purge
from tests.unit.http.disk.cabinet import START, Cabinet

A, B = b"http://a.test/a/1", b"http://a.test/b/1"
PURGES = [
    lambda store, soft_at: store.purge_prefix(b"http://a.test/a/", soft_at),
    lambda store, soft_at: store.purge_tags(b"http://a.test", [b"x"], soft_at),
    lambda store, soft_at: store.purge_tags(None, [b"x"], soft_at),
    lambda store, soft_at: store.purge(A, soft_at),
]


@pytest.fixture
def cabinet(tmp_path):
    found = Cabinet(tmp_path / "cache")
    found.put(A, b"a", (b"cache-tag", b"x"))
    found.put(B, b"b", (b"cache-tag", b"y"))
    return found


@pytest.mark.parametrize("purge", PURGES)
@pytest.mark.parametrize("end", ["nothing", "stop", "crash"])
@pytest.mark.parametrize("held", [True, False])
def test_a_purge_holds(cabinet, purge, end, held):
    if not held:
        cabinet.forget_memory()
    purge(cabinet.store, None)
    while cabinet.store.sweep():
        pass
    if end == "stop":
        cabinet.stop()
    if end != "nothing":
        cabinet.crash()
    cabinet.forget_memory()
    assert (cabinet.bodies(A), cabinet.bodies(B)) == ([], [b"b"])
    cabinet.put(A, b"new", (b"cache-tag", b"x"))
    cabinet.crash()
    assert cabinet.bodies(A) == [b"new"]


@pytest.mark.parametrize("purge", PURGES)
@pytest.mark.parametrize("end", ["nothing", "crash"])
def test_softly(cabinet, purge, end):
    cabinet.forget_memory()
    purge(cabinet.store, START + 5)
    if end == "crash":
        cabinet.crash()
    (one,), (other,) = cabinet.store.lookup(A), cabinet.store.lookup(B)
    assert (one.lifetime.seconds, one.lifetime.source) == (5, "a soft purge")
    assert other.lifetime.seconds == 1000
    cabinet.refresh(A)
    cabinet.forget_memory()
    (one,) = cabinet.store.lookup(A)
    assert one.lifetime.seconds == 1000


def test_standing_purges_are_bounded_and_the_oldest_grow_together(cabinet):
    for number in range(255):
        cabinet.store.purge_tags(None, [b"%d" % number])
    cabinet.put(A, b"late", (b"cache-tag", b"x"))
    cabinet.forget_memory()
    assert (cabinet.bodies(A), cabinet.bodies(B)) == ([b"late"], [b"b"])
    for number in range(255, 400):
        cabinet.store.purge_tags(None, [b"%d" % number])
    assert len(cabinet.log.standing) <= 256
    for restart in (cabinet.forget_memory, cabinet.crash):
        restart()
        cabinet.forget_memory()
        assert (cabinet.bodies(A), cabinet.bodies(B)) == ([b"late"], [])


@pytest.mark.parametrize(
    "purge",
    [
        Purge(key=b"http://a/"),
        Purge(prefix=b"", soft_at=1.5),
        Purge(tags=frozenset({b"x", b"\xff"}), origin=b"http://a"),
        Purge(tags=frozenset({b"x"})),
    ],
)
def test_a_purge_is_read_as_it_was_written(purge):
    assert Purge.load(purge.dump()) == purge
