"""The disk tier against a model: random histories, crashes at every byte of the log's end, and bits that flip."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.http.disk.index import Index, Place, name_of, target_of
from netsuite.http.disk.record import Head, checks_of, read_head
from tests.unit.http.disk.cabinet import Cabinet

KEYS = [b"http://a.test/%d" % n for n in range(6)]

operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.sampled_from([0, 10, 3000, 9000, 20000])),
        st.tuples(st.just("variant"), st.integers(0, 5), st.integers(0, 2)),
        st.tuples(st.just("purge"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("refresh"), st.integers(0, 5), st.just(0)),
        st.tuples(st.sampled_from(["forget", "crash", "stop", "checkpoint"]), st.just(0), st.just(0)),
    ),
    max_size=40,
)


def contents(cabinet, key):
    """Bodies by variant, whether they lie in memory or in a file."""
    found = {}
    for stored in cabinet.store.lookup(key):
        content = stored.content
        body = content.body
        if body is None:
            body = b"".join(content.ready(number) for number in range(len(content.checks)))
        assert len(body) == content.size
        found[stored.selection] = (body, dict(stored.fields).get(b"x-fresh"))
    return found


@given(operations)
@settings(max_examples=100, deadline=None)
def test_any_history_leaves_what_the_model_says(history):
    with tempfile.TemporaryDirectory() as folder:
        cabinet = Cabinet(Path(folder) / "cache", memory=40000, budget=1 << 24, limit=20000)
        model = {key: {} for key in KEYS}
        for step, (what, number, size) in enumerate(history):
            key = KEYS[number]
            body = b"%d:" % step + b"x" * size
            if what == "put":
                # without Vary it takes the place of all variants
                if len(body) <= 20000:
                    cabinet.put(key, body)
                    model[key] = {(): (body, None)}
            elif what == "variant":
                language = b"l%d" % size
                cabinet.put(key, body, vary=[b"accept-language"], asked=[(b"accept-language", language)])
                model[key].pop((), None)
                model[key][(language,)] = (body, None)
            elif what == "purge":
                cabinet.store.purge(key)
                model[key] = {}
            elif what == "refresh":
                if list(model[key]) == [()]:
                    cabinet.refresh(key, (b"x-fresh", b"%d" % step))
                    model[key] = {(): (model[key][()][0], b"%d" % step)}
            elif what == "forget":
                cabinet.forget_memory()
            elif what == "crash":
                cabinet.crash()
            elif what == "stop":
                cabinet.stop()
                cabinet.crash()
            else:
                cabinet.log.checkpoint()
            assert contents(cabinet, key) == model[key]
        cabinet.crash()
        assert {key: contents(cabinet, key) for key in KEYS} == model


def filled(folder):
    """A tier with things before and after a checkpoint, purged and replaced: what each key may lead to."""
    cabinet = Cabinet(folder)
    for n, key in enumerate(KEYS):
        cabinet.put(key, b"old %d" % n * 300)
    cabinet.log.checkpoint()
    allowed = {key: {b"old %d" % n * 300} for n, key in enumerate(KEYS)}
    cabinet.store.purge(KEYS[0])
    allowed[KEYS[0]] = set()
    cabinet.store.purge(KEYS[1])
    cabinet.put(KEYS[1], b"new 1" * 300)
    allowed[KEYS[1]] = {b"new 1" * 300}
    cabinet.put(KEYS[2], b"new 2" * 900)
    allowed[KEYS[2]].add(b"new 2" * 900)
    cabinet.refresh(KEYS[3], (b"x-fresh", b"1"))
    cabinet.put(KEYS[4], b"large" * 6000)
    allowed[KEYS[4]].add(b"large" * 6000)
    cabinet.log.marks.close()
    return allowed


def check(folder, allowed):
    cabinet = Cabinet(folder)
    for key in KEYS:
        try:
            bodies = {body for body, _ in contents(cabinet, key).values()}
        except Exception as problem:
            assert "damaged" in str(problem) or "cut short" in str(problem)
            continue
        assert bodies <= allowed[key]
    cabinet.log.marks.close()
    return cabinet


def test_a_crash_at_any_byte_of_the_end_of_the_log(tmp_path):
    allowed = filled(tmp_path / "whole")
    segment = min((tmp_path / "whole").glob("*.seg"))
    size = segment.stat().st_size
    assert size > 9000
    for cut in range(size - 6500, size, 7):
        shutil.copytree(tmp_path / "whole", tmp_path / "cut")
        with (tmp_path / "cut" / segment.name).open("r+b") as file:
            file.truncate(cut)
        cabinet = check(tmp_path / "cut", allowed)
        # and it goes on from there
        cabinet.crash()
        cabinet.put(KEYS[5], b"after")
        cabinet.crash()
        assert cabinet.bodies(KEYS[5]) == [b"after"]
        check(tmp_path / "cut", {**allowed, KEYS[5]: {b"after"}})
        shutil.rmtree(tmp_path / "cut")


@pytest.mark.parametrize("pattern", ["*.seg", "*.marks", "checkpoint"])
def test_a_flipped_bit_is_never_served(tmp_path, pattern):
    allowed = filled(tmp_path / "whole")
    for path in sorted((tmp_path / "whole").glob(pattern)):
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 120)):
            shutil.copytree(tmp_path / "whole", tmp_path / "flipped")
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            (tmp_path / "flipped" / path.name).write_bytes(changed)
            check(tmp_path / "flipped", allowed)
            shutil.rmtree(tmp_path / "flipped")


@given(st.integers(0, (1 << 28) - 1), st.integers(0, (1 << 28) - 1), st.integers(1, 16 << 20))
def test_places_survive_their_packing(segment, offset, length):
    place = Place.unpacked(Place(segment, offset * 64, length).packed())
    assert (place.segment, place.offset) == (segment, offset * 64)
    assert length <= place.length <= max(length * 17 / 16 + 64, length + 63)


@given(st.dictionaries(st.integers(0, 400), st.integers(0, 1 << 63), max_size=300), st.data())
def test_the_index_is_a_dictionary(rows, data):
    index = Index()
    names = {n: name_of(b"%d" % (n // 4), (b"v",), (b"%d" % n,)) for n in rows}
    for n, place in rows.items():
        index.put(names[n], place)
    gone = data.draw(st.sets(st.sampled_from(sorted(rows)))) if rows else set()
    for n in gone:
        assert index.remove(names[n])
    index = Index.load(*index.dump())
    left = {names[n]: place for n, place in rows.items() if n not in gone}
    assert {row.name: row.place for row in index} == left
    assert len(index) == len(left)
    for n in rows:
        row = index.get(names[n])
        assert (row.place if row else None) == left.get(names[n])
        found = {each.name for each in index.variants(target_of(b"%d" % (n // 4)))}
        assert found == {name for name in left if name[:6] == names[n][:6]}


@given(st.binary(max_size=300))
def test_no_bytes_are_taken_for_a_head_that_are_none(data):
    assert read_head(data) is None


@given(
    st.binary(max_size=50),
    st.binary(max_size=600_000),
    st.lists(st.one_of(st.none(), st.binary(max_size=20)), max_size=3),
    st.binary(max_size=200),
)
def test_heads_are_read_as_they_were_written(key, body, selection, rest):
    parts = b"".join(b"\xff\xff\xff\xff" if p is None else len(p).to_bytes(4, "little") + p for p in selection)
    head = Head(7, b"12345678", key, 200, 3.0, 1.0, 2.0, 0.5, b"A: b", parts, len(body), 0, 0, checks_of(body))
    data = head.encoded()
    assert len(data) == head.length
    assert read_head(data + rest) == head
    assert read_head(data[:-1]) is None
