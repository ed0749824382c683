"""Lists of info-hashes."""

from __future__ import annotations

import pytest

from netsuite.bittorrent.tracker.torrentlist import TorrentList
from netsuite.common.errors import StartError

A, B = b"a" * 20, b"b" * 20


def test_without_lists_everything_is_served():
    lists = TorrentList(None, None).fresh()
    assert lists.serves(A)


def test_what_is_denied_is_not_served_though_it_is_allowed(tmp_path):
    (tmp_path / "allow").write_text(f"{A.hex()} the first\r\n  {B.hex().upper()}\n\n# none\n")
    (tmp_path / "deny").write_text(B.hex())
    lists = TorrentList(tmp_path / "allow", tmp_path / "deny").fresh()
    assert [lists.serves(each) for each in (A, B, b"c" * 20)] == [True, False, False]


@pytest.mark.parametrize("line", ["x" * 40, "ab" * 19, "ab" * 21, "ab" * 20 + "z"])
def test_what_is_no_hash_is_named_with_its_line(tmp_path, line):
    (tmp_path / "allow").write_text(f"{A.hex()}\n{line}\n")
    with pytest.raises(StartError, match=r"tracker\.allow_torrents: .*allow:2: "):
        TorrentList(tmp_path / "allow", None).fresh()


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StartError, match=r"tracker\.deny_torrents: .*gone cannot be read"):
        TorrentList(None, tmp_path / "gone").fresh()
