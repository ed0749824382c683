"""Bytes in chunks of shared memory: what is lodged stays what it is, and what is not wanted any more goes."""

from __future__ import annotations

import gc
import os
import random
import resource

import pytest

from netsuite.common.arena import CHUNK, SHARED, Arena, LargePages
from netsuite.common.filespan import FileSpan, materialised


def read(span):
    """As the kernel would send it."""
    return os.pread(span.file.descriptor, len(span), span.start)


def body(number, size):
    return random.Random(number).randbytes(size)


@pytest.mark.parametrize("size", [1, 4096, 100_000, SHARED - 1, SHARED, 3 << 20, (4 << 20) + 5, (6 << 20) - 1])
def test_what_is_lodged_can_be_sent_and_read(size):
    data = body(size, size)
    span = Arena().lodge(data)
    assert len(span) == size
    assert read(span) == span.view == bytes(span) == data
    part = span[1 : size // 2 + 1]
    assert isinstance(part, FileSpan)
    assert read(part) == part.view == data[1 : size // 2 + 1]
    assert materialised([b"head", span]) == [b"head", data]


@pytest.mark.parametrize("size", [SHARED, (3 << 20) + 1, (5 << 20) + 7])
def test_what_it_costs_is_what_it_takes(size):
    arena = Arena()
    span = arena.lodge(body(1, size))
    assert arena.taken == span.cost
    assert size <= span.cost <= size * 4 / 3 + 4096
    assert os.fstat(span.file.descriptor).st_blocks * 512 <= span.cost


def test_chunks_go_when_nothing_refers_to_them():
    arena = Arena()
    spans = [arena.lodge(body(number, 300_000)) for number in range(100)] + [arena.lodge(bytes(5 << 20))]
    assert arena.taken >= 100 * 300_000 + (5 << 20)
    del spans
    gc.collect()
    assert arena.taken <= CHUNK


def test_parts_and_views_stay_when_the_whole_has_gone_or_moved():
    arena = Arena()
    first = arena.lodge(body(0, 200_000))
    part, view = first[1000:2000], first.view
    others = [arena.lodge(body(number, 200_000)) for number in range(1, 400)]
    place = first.file, first.start
    del others[::2], others[::2]
    others += [arena.lodge(body(number, 200_000)) for number in range(400, 800)]
    assert arena.moved
    assert (first.file, first.start) != place
    assert read(first) == view == body(0, 200_000)
    assert read(part) == part.view == body(0, 200_000)[1000:2000]


def test_memory_stays_within_its_bound_whatever_comes_and_goes():
    arena, chance = Arena(), random.Random(5)
    kept, live, most = {}, 0, 0
    for number in range(3000):
        data = number.to_bytes(4, "big") * (chance.choice([20_000, 100_000, 300_000]) // 4)
        kept[number] = arena.lodge(data)
        live += len(data)
        while live > 40 << 20:
            # some are old, most are not
            gone = chance.choice(list(kept)[:150] if number % 3 else list(kept))
            live -= len(kept.pop(gone))
        most = max(most, arena.taken - live * 5 // 4)
    assert most <= 2 * CHUNK
    for number, span in kept.items():
        assert read(span) == number.to_bytes(4, "big") * (len(span) // 4)
    assert arena.moved < 3000 * 140_000


def test_what_cannot_be_moved_stays_where_it_is():
    arena = Arena()
    spans = [arena.lodge(body(number, 200_000)) for number in range(200)]
    kept = spans[::3]
    places = [(span.file, span.start) for span in kept]
    del spans
    arena._leaving = [span.file for span in kept]
    placed = arena._placed

    def fails(view):
        raise OSError(28, "No space left on device")

    arena._placed = fails
    arena._move(1 << 30)
    assert [(span.file, span.start) for span in kept] == places
    arena._placed = placed
    arena._move(1 << 30)
    assert not any(place in places for place in [(span.file, span.start) for span in kept])
    assert [read(span) for span in kept] == [body(number, 200_000) for number in range(0, 200, 3)]


def test_there_are_no_more_chunks_than_a_quarter_of_the_descriptors_are_for(monkeypatch):
    monkeypatch.setattr("netsuite.common.arena.descriptors", lambda: 80)
    arena = Arena()
    spans = [arena.lodge(bytes(SHARED)) for _ in range(10)]
    for size in (SHARED, 100_000):
        with pytest.raises(OSError, match="too many chunks"):
            arena.lodge(bytes(size))
    del spans[0]
    assert read(arena.lodge(body(1, 100_000))) == body(1, 100_000)


def test_without_large_pages_all_is_the_same_and_they_are_asked_for_again_after_a_while():
    now = [0.0]
    pages = LargePages(lambda: now[0], patience=0.01, pause=60)
    asked = []

    def laid(descriptor, offset):
        asked.append(offset)
        now[0] += 0.02
        return True

    pages._laid = laid
    arena = Arena(pages)
    spans = [arena.lodge(body(0, 6 << 20))]
    assert asked == [0]  # the first took too long
    now[0] += 50
    spans.append(arena.lodge(body(1, 4 << 20)))
    assert asked == [0]
    now[0] += 20
    pages._laid = lambda descriptor, offset: asked.append(offset)
    spans.append(arena.lodge(body(2, 4 << 20)))
    assert asked == [0, 0]  # and this one could not be had
    assert [read(span) for span in spans] == [body(0, 6 << 20), body(1, 4 << 20), body(2, 4 << 20)]


def test_no_descriptor_is_lost_and_none_is_taken_where_there_are_none():
    arena = Arena()
    before = len(os.listdir("/proc/self/fd"))
    spans = [arena.lodge(bytes(2 << 20)) for _ in range(20)]
    del spans
    assert len(os.listdir("/proc/self/fd")) == before
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    # there is room for the file, and none for its mapping
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            arena.lodge(bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(os.listdir("/proc/self/fd")) == before
