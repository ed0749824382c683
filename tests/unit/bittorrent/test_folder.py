"""A torrent's folder on a disk and in memory: one contract; and what only a real one can get wrong."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from netsuite.bittorrent.peer.folder import Descriptors, Folder
from netsuite.testing.folders import MemoryFolder

NAMES = ("t", "deep", "file")


@pytest.fixture(params=["memory", "disk"])
def folder(request, tmp_path):
    return MemoryFolder() if request.param == "memory" else Folder(tmp_path / "far" / "away")


def test_what_is_not_there(folder):
    assert folder.look(NAMES) is None
    assert folder.peek(NAMES, 0, 1) is None
    with pytest.raises(FileNotFoundError):
        folder.read(NAMES, 0, 1)
    with pytest.raises(FileNotFoundError):
        folder.sync(NAMES)


def test_a_file_is_made_with_its_folders_and_its_size(folder):
    folder.write(NAMES, 10, 3, [b"ab", bytearray(b"c"), memoryview(b"xdx")[1:2]])
    assert folder.look(NAMES).size == 10
    assert folder.read(NAMES, 0, 100) == bytes(3) + b"abcd" + bytes(3)
    assert folder.read(NAMES, 4, 2) == b"bc"
    assert folder.read(NAMES, 9, 5) == b"\0"
    assert folder.read(NAMES, 10, 5) == b""


def test_a_file_without_bytes_can_be_made(folder):
    folder.make(("empty",), 0)
    assert folder.look(("empty",)).size == 0


def test_a_file_of_another_size_gets_its_own(folder):
    folder.make(NAMES, 10)
    folder.make(NAMES, 5)
    assert folder.look(NAMES).size == 5
    folder.write(NAMES, 20, 0, [b"x"])
    assert folder.look(NAMES).size == 20


def test_facts_change_with_every_write_and_sync_answers_them(folder):
    folder.write(NAMES, 4, 0, [b"abcd"])
    before = folder.look(NAMES)
    assert folder.sync(NAMES) == before == folder.look(NAMES)
    for _ in range(1000):  # a disk's clock may tick slowly
        folder.write(NAMES, 4, 0, [b"abce"])
        if folder.look(NAMES) != before:
            break
    else:
        pytest.fail("the time of the last write stands still")


def test_many_buffers_are_written(folder):
    parts = [bytes([n % 251]) for n in range(5000)]
    folder.write(NAMES, 5000, 0, parts)
    assert folder.read(NAMES, 0, 5000) == b"".join(parts)


def test_what_is_in_memory_is_there_at_once(folder):
    folder.write(NAMES, 4, 0, [b"abcd"])
    found = folder.peek(NAMES, 1, 2)
    assert found is None or bytes(found) == b"bc"
    assert folder.peek(NAMES, 1, 10) is None


def test_holes_are_told_from_what_was_written(folder):
    folder.write(NAMES, 3 << 20, 1 << 20, [b"x" * (1 << 20)])
    assert not folder.hollow(NAMES, 1 << 20, 1 << 20)
    assert not folder.hollow(NAMES, 0, 2 << 20)
    assert not folder.hollow(NAMES, (2 << 20) - 1, 1 << 20)
    for begin in (0, 2 << 20):
        assert folder.hollow(NAMES, begin, 1 << 20)
        assert folder.read(NAMES, begin, 1 << 20) == bytes(1 << 20)
    assert not folder.hollow(NAMES, 2 << 20, (1 << 20) + 1), "beyond the end is nothing"
    with pytest.raises(FileNotFoundError):
        folder.hollow(("other",), 0, 1)


@pytest.fixture
def trap(tmp_path):
    """A folder to save in, with a folder beside it that nothing may get into."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (tmp_path / "save" / "t").mkdir(parents=True)
    return tmp_path / "save", outside


@pytest.mark.parametrize("where", ["file", "folder", "first", "dangling", "chain"])
def test_symbolic_links_are_not_followed(trap, where):
    save, outside = trap
    names = ("t", "inner", "secret")
    if where == "first":
        (save / "t").rmdir()
        (save / "t").symlink_to(outside)
        names = ("t", "secret")
    elif where == "folder":
        (save / "t" / "inner").symlink_to(outside)
    else:
        (save / "t" / "inner").mkdir()
        target = outside / "new" if where == "dangling" else outside / "secret"
        if where == "chain":
            (save / "t" / "link").symlink_to(outside / "secret")
            target = save / "t" / "link"
        (save / "t" / "inner" / "secret").symlink_to(target)
    folder = Folder(save)
    for attempt in (
        lambda: folder.look(names),
        lambda: folder.read(names, 0, 1),
        lambda: folder.write(names, 6, 0, [b"broken"]),
        lambda: folder.make(names, 0),
        lambda: folder.sync(names),
    ):
        with pytest.raises(OSError, match="symbolic link"):
            attempt()
    assert folder.peek(names, 0, 1) is None
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_the_folder_itself_may_be_reached_through_a_link(trap, tmp_path):
    save, _ = trap
    (tmp_path / "link").symlink_to(save)
    Folder(tmp_path / "link").write(("t", "file"), 1, 0, [b"x"])
    assert (save / "t" / "file").read_bytes() == b"x"


def test_only_plain_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    folder = Folder(tmp_path)
    with pytest.raises(OSError, match="not a plain file"):
        folder.look(("pipe",))
    with pytest.raises(OSError, match="not a plain file"):
        folder.write(("pipe",), 1, 0, [b"x"])
    with pytest.raises(OSError, match=r"(?i)directory|not a plain file"):
        folder.write(("folder",), 1, 0, [b"x"])
    with pytest.raises(OSError, match="is not a folder"):
        folder.write(("pipe", "file"), 1, 0, [b"x"])


def test_files_take_no_more_room_than_their_bytes(tmp_path):
    Folder(tmp_path).write(("big",), 1 << 30, 1 << 29, [bytes(4096)])
    assert (tmp_path / "big").stat().st_blocks * 512 < 1 << 20


def test_the_least_used_files_are_closed_and_opened_again(tmp_path):
    descriptors = Descriptors(3)
    folder, other = Folder(tmp_path / "a", descriptors), Folder(tmp_path / "b", descriptors)
    for n in range(10):
        folder.write((str(n),), 1, 0, [b"%d" % n])
        other.write((str(n),), 1, 0, [b"x"])
        assert len(descriptors) <= 3
    assert [folder.read((str(n),), 0, 1) for n in range(10)] == [b"%d" % n for n in range(10)]
    other.close()
    folder.close()
    assert len(descriptors) == 0


def test_a_file_in_use_is_closed_only_afterwards(tmp_path):
    descriptors = Descriptors(1)
    folder = Folder(tmp_path, descriptors)
    folder.write(("a",), 1, 0, [b"a"])
    with descriptors.of(folder, ("a",), False) as descriptor:
        folder.write(("b",), 1, 0, [b"b"])
        assert os.pread(descriptor, 1, 0) == b"a"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_threads_share_few_descriptors(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    folder = Folder(tmp_path, Descriptors(2))

    def work(n):
        names = ("t", str(n % 7))
        folder.write(names, 700, n, [b"%d" % (n % 10)])
        return folder.read(names, n, 1)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(700))) == [b"%d" % (n % 10) for n in range(700)]
    folder.close()
    assert len(os.listdir("/proc/self/fd")) == before
