"""Which .torrent files come and go."""

from __future__ import annotations

import os

import pytest

from netsuite.bittorrent.peer.torrentfiles import TorrentFiles, read


def names(paths):
    return [path.name for path in paths]


def test_files_come_change_and_go(tmp_path):
    (tmp_path / "b.torrent").write_bytes(b"b")
    (tmp_path / "a.torrent").write_bytes(b"a")
    (tmp_path / "a.txt").write_bytes(b"no")
    (tmp_path / ".hidden.torrent").write_bytes(b"no")
    (tmp_path / "folder.torrent").mkdir()
    files = TorrentFiles(tmp_path)
    assert names(files.look().came) == ["a.torrent", "b.torrent"]
    assert files.look() == ([], [])
    (tmp_path / "a.torrent").write_bytes(b"longer")
    (tmp_path / "b.torrent").unlink()
    came, went = files.look()
    assert (names(came), names(went)) == (["a.torrent"], ["b.torrent"])


def test_a_file_replaced_by_one_of_the_same_size_and_time_comes_again(tmp_path):
    path, other = tmp_path / "a.torrent", tmp_path / "other"
    path.write_bytes(b"one")
    files = TorrentFiles(tmp_path)
    files.look()
    other.write_bytes(b"two")
    facts = path.stat()
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)
    assert files.look().came == [path]


def test_single_files_and_a_folder(tmp_path):
    single = tmp_path / "single"
    single.write_bytes(b"x")
    folder = tmp_path / "folder"
    folder.mkdir()
    files = TorrentFiles(folder, [single, single])
    assert files.look().came == [single]
    files.forget(single)
    assert files.look().came == [single]


def test_what_cannot_be_read_is_told_and_nothing_goes(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.torrent").write_bytes(b"a")
    files = TorrentFiles(folder)
    files.look()
    folder.rename(tmp_path / "elsewhere")
    assert files.look() == ([], [])
    assert files.trouble == f"{folder} cannot be read: No such file or directory"
    (tmp_path / "elsewhere").rename(folder)
    assert files.look() == ([], [])
    assert files.trouble == ""
    missing = TorrentFiles(None, [tmp_path / "missing"])
    assert missing.look() == ([], [])
    assert "missing cannot be read" in missing.trouble


def test_a_file_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("netsuite.bittorrent.peer.torrentfiles.LARGEST", 4)
    (tmp_path / "a").write_bytes(b"1234")
    assert read(tmp_path / "a") == b"1234"
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read(tmp_path / "a")
