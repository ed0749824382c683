"""Whatever fails and whenever the power is cut: each piece that is claimed is on the disk that survives, and right."""

from __future__ import annotations

import errno
import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from netsuite.bittorrent.peer.disk import Disk
from netsuite.bittorrent.peer.layout import PAD, Layout
from netsuite.bittorrent.peer.pieces import PieceStore
from netsuite.bittorrent.peer.resume import Claim, ResumeRecord
from netsuite.common.threads import Inline
from netsuite.testing.faults import FaultyFiles
from netsuite.testing.folders import MemoryFolder
from tests.torrents import content, torrent

RECORD = Path("/data/peer/torrent.resume")
SHAPES = [
    ({"f": content(1, 1000)}, 64),
    ({"t/a": content(1, 100), "t/none": b"", "t/b": content(2, 300), "t/pad": 48, "t/c": content(3, 500)}, 64),
    ({f"t/{n}": content(n, 17 * n % 90) for n in range(20)}, 128),
]


class Machine:
    """A disk and a process on it, whose power may be cut at any operation on the disk."""

    def __init__(self, shape, rng):
        self.metainfo, self.whole = torrent(*shape)
        self.rng = rng
        self.files, self.folder = FaultyFiles(rng.randrange(1 << 30)), MemoryFolder(seed=rng.randrange(1 << 30))
        self.left = None
        self.survivors = None
        self._watch()

    def _watch(self):
        step = self.files.step

        def watched():
            self._stepped()
            return step()

        self.files.step = watched
        self.folder.stepped = self._stepped

    def _stepped(self):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.survivors = (self.files.crashed(), self.folder.crashed())

    def reboot(self):
        """Go on with what the power cut left, or with what is there now."""
        self.files, self.folder = self.survivors or (self.files.crashed(), self.folder.crashed())
        self.survivors, self.left = None, None
        self._watch()

    def start(self):
        self.clock = Clock()
        record = ResumeRecord(RECORD, self.metainfo.info_hash, self.files)
        self.store = PieceStore(self.metainfo, self.folder, Inline(), self.clock, resume=record)
        opened = []
        ensureDeferred(self.store.open()).addBoth(opened.append)
        return opened[0]

    def piece(self, number):
        size = self.metainfo.piece_length
        return self.whole[number * size : (number + 1) * size]

    def write(self, number, data=None):
        self.store.write(number, [data or self.piece(number)]).addErrback(lambda _: None)

    def assert_honest(self):
        """All that the record claims, of files that it takes for unchanged, is there; so is all the store has."""
        disk = Disk(self.metainfo, self.folder)
        claim = ResumeRecord(RECORD, self.metainfo.info_hash, self.files).load()
        for piece in disk.survey(claim).trusted:
            assert disk.check([piece], bool) == [piece], f"piece {piece} is claimed"
        assert self.start() is None
        for piece in self.store.have:
            assert disk.check([piece], bool) == [piece], f"the store says that it has piece {piece}"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHAPES), st.integers(0, 1 << 30), st.integers(1, 120), st.lists(st.integers(1, 60), max_size=4))
def test_what_is_claimed_after_a_power_cut_is_on_the_disk(shape, seed, cut, failures):
    rng = random.Random(seed)
    machine = Machine(shape, rng)
    for life in range(3):
        machine.left = cut if life == 0 else rng.randrange(1, 80)
        for at in failures if life == 0 else ():
            layer = rng.choice([machine.files, machine.folder])
            layer.fail_at[at] = OSError(rng.choice([errno.EIO, errno.ENOSPC]), "it fails")
        if rng.random() < 0.3:
            machine.folder.capacity = rng.randrange(1 << 15)
        assert machine.start() is None or failures
        for _ in range(rng.randrange(40)):
            if machine.survivors:
                break
            action = rng.random()
            if action < 0.6:
                machine.write(rng.randrange(machine.metainfo.piece_count))
            elif action < 0.65:
                machine.write(rng.randrange(machine.metainfo.piece_count), b"wrong")
            elif action < 0.9:
                machine.clock.advance(rng.choice([1, 2, 5]))
            elif action < 0.95:
                machine.folder.capacity = None
            else:
                ensureDeferred(machine.store.close()).addErrback(lambda _: None)
                if machine.store.trouble:
                    break  # who comes after a failed sync cannot know of it without a reboot
                machine.start()
        machine.reboot()
        machine.assert_honest()
    for number in range(machine.metainfo.piece_count):
        machine.write(number)
    for _ in range(5):
        machine.folder.capacity = None
        machine.clock.advance(5)
    assert machine.store.have.full
    machine.reboot()
    machine.assert_honest()
    assert machine.store.have.full


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_in_place_of_a_record_raise_or_are_trusted(data):
    files = FaultyFiles()
    files.create(RECORD).append([data])
    assert ResumeRecord(RECORD, bytes(20), files).load() is None


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.binary(max_size=50), st.integers(0, 30))
def test_a_record_is_read_as_it_was_saved(place, have, count):
    facts = tuple(None if n % 3 == 0 else (n << 33, n << 58) for n in range(count))
    record = ResumeRecord(RECORD, bytes(range(20)), FaultyFiles())
    record.save(Claim(place, have, facts))
    assert record.load() == Claim(place, have, facts)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 100),
    st.data(),
)
def test_the_spans_of_any_part_follow_on_one_another_through_the_files(files, piece_length, data):
    metainfo, whole = torrent(
        {f"t/{n}": size if pad else content(n, size) for n, (size, pad) in enumerate(files)}, piece_length
    )
    if not whole:
        return
    layout = Layout(metainfo)
    piece = data.draw(st.integers(0, metainfo.piece_count - 1))
    begin = data.draw(st.integers(0, layout.size(piece) - 1))
    length = data.draw(st.integers(1, layout.size(piece) - begin))
    found = b""
    for file, offset, size in layout.spans(piece, begin, length):
        assert size > 0
        if file == PAD:
            found += bytes(size)
        else:
            start = metainfo.files[file].offset + offset
            assert offset + size <= metainfo.files[file].length
            assert not metainfo.files[file].pad
            assert piece in layout.pieces(file)
            found += whole[start : start + size]
    at = piece * piece_length + begin
    assert found == whole[at : at + length]
