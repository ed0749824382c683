"""A public corpus of good and bad torrent files: each is read as libtorrent 2.1 reads it, or otherwise for a reason."""

from __future__ import annotations

import pytest

from tests.vectors.torrent_corpus import FOLDER, PAGE, expected, libtorrent, ours, page, state, theirs, torrents

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no torrents at {FOLDER}; set NETSUITE_SHARED")

WANTED = expected()


@pytest.mark.parametrize("path", torrents(), ids=lambda path: path.name)
def test_torrent(path):
    wanted, read = WANTED[path.name], ours(path.read_bytes())
    assert state(wanted, read) == ("on purpose" if wanted["verdict"] == "version 2 only" else "same"), (wanted, read)


@pytest.mark.skipif(libtorrent is None, reason="libtorrent is not installed")
def test_the_table_is_what_libtorrent_says():
    assert {path.name: theirs(path.read_bytes()) for path in torrents()} == WANTED


def test_the_whole_corpus_is_there():
    assert [path.name for path in torrents()] == list(WANTED)


def test_the_page_is_up_to_date():
    read = {path.name: (WANTED[path.name], ours(path.read_bytes())) for path in torrents()}
    assert PAGE.read_text() == page(read), "run python -m tests.vectors.torrent_corpus"
