"""Torrent files: whatever comes is refused in one line or safe for a disk, and is read as libtorrent reads it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netsuite.bittorrent.metainfo import MetainfoError, parse
from tests.properties.bittorrent.torrents import generated, mutated
from tests.vectors.torrent_corpus import libtorrent, ours, state, theirs

anything = st.binary() | generated() | mutated()


def folded(path):
    return unicodedata.normalize("NFC", "/".join(path).casefold())


@settings(max_examples=400, deadline=None)
@given(anything)
def test_what_is_accepted_is_safe(data):
    try:
        read = parse(data)
    except MetainfoError as error:
        assert str(error)
        assert "\n" not in str(error)
        return
    at = 0
    taken, folders = set(), set()
    for file in read.files:
        assert (file.offset, file.length >= 0) == (at, True)
        at += file.length
        for name in (*file.path, *(file.link or ())):
            assert name not in ("", ".", "..")
            assert not set(name) & set("/\\\0")
            assert not any(unicodedata.category(each) == "Cc" for each in name)
            assert len(name.encode()) <= 255
        if not file.pad:
            assert file.path[0] == read.name
            assert folded(file.path) not in taken
            taken.add(folded(file.path))
            folders.update(folded(file.path[:depth]) for depth in range(1, len(file.path)))
    assert not taken & folders
    assert at == read.length > 0
    assert sum(read.piece_size(index) for index in range(read.piece_count)) == read.length
    assert all(0 < read.piece_size(index) <= read.piece_length for index in (0, read.piece_count - 1))
    assert read.info in data


@pytest.mark.skipif(libtorrent is None, reason="libtorrent is not installed")
@settings(max_examples=600, deadline=None)
@given(generated() | mutated())
def test_it_is_read_as_libtorrent_reads_it(data):
    try:
        wanted = theirs(data)
    except UnicodeDecodeError:  # a name that libtorrent's Python binding cannot tell
        assume(False)
    read = ours(data)
    if "files" not in wanted or "files" not in read:
        assert state(wanted, read) != "different"
        return
    for key in ("verdict", "info_hash", "private", "piece_length", "pieces"):
        assert read[key] == wanted[key], key
    assert [file[1:3] for file in read["files"]] == [file[1:3] for file in wanted["files"]]
    if not _differs_on_purpose(data, wanted):
        assert read["files"] == wanted["files"]
        assert read["name"] == wanted["name"]


def _differs_on_purpose(data, wanted):
    """Pad files that take names; files that some file systems take for one; names too long for any."""
    paths = [folded(file[0].split("/")) for file in wanted["files"]]
    inner = {path[:at] for path in paths for at, each in enumerate(path) if each == "/"}
    return (
        any(file.pad for file in parse(data).files)
        or len({*paths} | inner) < len(paths) + len(inner)
        or any(len(name.encode()) > 240 for file in wanted["files"] for name in file[0].split("/"))
    )
