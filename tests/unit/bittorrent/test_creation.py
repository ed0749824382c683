"""Making torrents, and finding again in a folder what they say."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from netsuite.bittorrent import content
from netsuite.bittorrent.content import digests
from netsuite.bittorrent.creation import automatic_piece_length, contents, create
from netsuite.bittorrent.errors import CreationError
from netsuite.bittorrent.files import File
from netsuite.bittorrent.metainfo import parse
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.verification import verify
from netsuite.bittorrent.wire.bencode import decode
from tests.unit.bittorrent.torrents import PIECE


@pytest.fixture
def share(tmp_path):
    """A folder with a few files: 40,011 bytes."""
    folder = tmp_path / "share"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "b.bin").write_bytes(bytes(range(256)) * 156)
    (folder / "a").write_bytes(b"0123456789")
    (folder / "empty").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"h")
    (folder / "sub" / "z").write_bytes(b"tail" * 16)
    return folder


def refusal(*arguments, **options):
    with pytest.raises(CreationError) as refused:
        create(*arguments, **options)
    return str(refused.value)


def test_a_folder(share):
    read = parse(create(share, piece_length=PIECE))
    assert read.name == "share"
    assert [("/".join(file.path), file.length) for file in read.files] == [
        ("share/.hidden", 1),
        ("share/a", 10),
        ("share/b.bin", 39936),
        ("share/empty", 0),
        ("share/sub/z", 64),
    ]
    whole = b"".join(share.parent.joinpath(*file.path).read_bytes() for file in read.files)
    assert read.pieces == b"".join(hashlib.sha1(whole[at : at + PIECE]).digest() for at in range(0, len(whole), PIECE))
    assert read.created_by.startswith("netsuite/")


def test_one_file(share):
    read = parse(create(share / "a"))
    assert [(file.path, file.length) for file in read.files] == [(("a",), 10)]
    assert read.pieces == hashlib.sha1(b"0123456789").digest()
    assert read.piece_length == 1 << 15


def test_everything_that_can_be_said(share):
    data = create(
        share,
        trackers=[("http://a/announce", "udp://b:1"), ("https://c/x",)],
        web_seeds=["http://w/"],
        private=True,
        comment="für alle",
    )
    read = parse(data)
    assert read.trackers == (("http://a/announce", "udp://b:1"), ("https://c/x",))
    assert (read.web_seeds, read.private, read.comment) == (("http://w/",), True, "für alle")
    whole = decode(data)
    assert whole[b"announce"] == b"http://a/announce"
    assert b"creation date" not in whole


def test_one_tracker_needs_no_tiers(share):
    whole = decode(create(share, trackers=[("http://a/",)]))
    assert whole[b"announce"] == b"http://a/"
    assert b"announce-list" not in whole


def test_the_same_files_give_the_same_bytes(share, tmp_path):
    first = create(share, workers=1)
    os.utime(share / "a", (1, 1))
    assert create(share, workers=3) == first
    assert create(share / ".." / "share") == first
    link = tmp_path / "link"
    link.symlink_to(share)
    assert create(link) == first


def test_what_is_left_out(share):
    assert [file.path[-1] for file in contents(share, ["*.bin", "sub"])] == [".hidden", "a", "empty"]
    assert [file.path[-1] for file in contents(share, ["sub/*", ".*"])] == ["a", "b.bin", "empty"]


def test_progress_comes_in_order_and_ends_at_the_whole(share, monkeypatch):
    monkeypatch.setattr(content, "_AT_ONCE", PIECE)
    told = []
    create(share, piece_length=PIECE, advanced=told.append)
    assert told == [PIECE, 2 * PIECE, 40011]


@pytest.mark.parametrize(
    ("length", "piece_length"),
    [
        (1, 1 << 15),
        (1500 << 15, 1 << 15),
        (1501 << 15, 1 << 16),
        (4 << 30, 1 << 22),
        (1 << 40, 1 << 24),
    ],
)
def test_automatic_piece_length(length, piece_length):
    assert automatic_piece_length(length) == piece_length


@pytest.mark.parametrize("piece_length", [0, 1, PIECE - 1, PIECE + 1, 8192, 1 << 29])
def test_piece_lengths(share, piece_length):
    if piece_length:
        assert "a power of two" in refusal(share, piece_length=piece_length)


@pytest.mark.parametrize("url", ["a:80", "http://a b/", "ftp://a/", ""])
def test_no_tracker(share, url):
    assert refusal(share, trackers=[(url,)]).startswith(f"{url}: a tracker's URL begins with")


def test_no_web_seed(share):
    assert refusal(share, web_seeds=["udp://a"]).startswith("udp://a: a web seed's URL")


def test_nothing_to_share(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "empty").touch()
    assert refusal(tmp_path / "none") == f"{tmp_path}/none: there is nothing in it that a torrent could be made of"
    assert "there is nothing in it" in refusal(tmp_path / "none" / "empty")


@pytest.mark.parametrize(
    ("name", "other"),
    [("a\nb", "a_b"), ("a\\b", "ab"), ("x\u202egpj", "xgpj"), ("A", "A.1"), ("c" * 250, "c" * 240)],
)
def test_names_that_others_would_change(share, name, other):
    (share / name).write_bytes(b"x")
    said = refusal(share)
    assert repr(f"share/{other}") in said or repr("share/a.1") in said


def test_names_that_are_no_text(share):
    (share / os.fsdecode(b"\xff")).write_bytes(b"x")
    assert "this name is not UTF-8" in refusal(share)


def test_symbolic_links_are_not_followed(share):
    (share / "link").symlink_to("a")
    assert f"{share}/link: a symbolic link is not followed" in refusal(share)
    assert create(share, exclude=["link"])


def test_what_is_no_file(share):
    os.mkfifo(share / "pipe")
    assert f"{share}/pipe: neither a file nor a folder" in refusal(share)


def test_a_file_that_changes(share):
    files = contents(share)
    (share / "a").write_bytes(b"less")
    assert refusal(share, files=files) == f"{share}/a: it changes, or cannot be read to its end"


def test_a_file_that_changes_while_it_is_hashed(share, monkeypatch):
    monkeypatch.setattr(content, "_AT_ONCE", PIECE)
    # longer than what one thread reads ahead of the first piece that is done
    os.truncate(share / "b.bin", 40 * PIECE)

    def shorten(done):
        os.truncate(share / "b.bin", 17000)

    said = refusal(share, piece_length=PIECE, workers=1, files=contents(share), advanced=shorten)
    assert said == f"{share}/b.bin: it changes, or cannot be read to its end"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_cannot_be_read(share):
    (share / "a").chmod(0)
    assert refusal(share) == f"{share}/a: Permission denied"


def test_too_many_pieces_for_the_format(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate((1 << 35) + 1)
    assert "2097153 pieces are more than 2097152" in refusal(tmp_path / "sparse", piece_length=PIECE)


def test_hashing_stops_when_nobody_wants_more(share):
    folder = Folder(share.parent)
    found = digests(folder, contents(share), PIECE, workers=1)
    assert next(found)
    found.close()
    folder.close()


def test_pad_files_are_zeros_and_pieces_may_be_longer_than_what_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "_AT_ONCE", 7)
    (tmp_path / "x").write_bytes(b"x" * 20)
    files = [File(("x",), 0, 20), File(("pad",), 20, 13, pad=True), File(("x",), 33, 20)]
    whole = b"x" * 20 + bytes(13) + b"x" * 20
    found = list(digests(Folder(tmp_path), files, 15))
    assert found == [hashlib.sha1(whole[at : at + 15]).digest() for at in range(0, 53, 15)]


class TestVerify:
    @pytest.fixture
    def made(self, share):
        return SimpleNamespace(
            torrent=parse(create(share, piece_length=PIECE)), share=share, folder=Folder(share.parent)
        )

    def faults(self, made):
        found = verify(made.torrent, made.folder)
        return found, {fault.file.path[-1]: (fault.reason, fault.pieces) for fault in found.faults}

    def test_all_is_right(self, made):
        told = []
        found = verify(made.torrent, made.folder, advanced=told.append)
        assert found.complete
        assert found.have.full
        assert found.faults == ()
        assert told[-1] == made.torrent.length

    def test_other_bytes(self, made):
        with (made.share / "b.bin").open("r+b") as file:
            file.seek(20_000)
            file.write(b"x")
        found, faults = self.faults(made)
        assert not found.complete
        assert list(found.have) == [0, 2]
        assert faults == {"b.bin": ("has other bytes, or shares pieces with a file that has", (1,))}

    def test_a_missing_file_spoils_the_pieces_it_shares(self, made):
        (made.share / "a").unlink()
        found, faults = self.faults(made)
        assert list(found.have) == [1, 2]
        assert faults["a"] == ("is missing", (0,))
        assert faults[".hidden"][1] == faults["b.bin"][1] == (0,)

    def test_an_empty_file_counts(self, made):
        (made.share / "empty").unlink()
        found, faults = self.faults(made)
        assert found.have.full
        assert not found.complete
        assert faults == {"empty": ("is missing", ())}

    def test_more_than_there_should_be(self, made):
        (made.share / "sub" / "z").write_bytes(b"tail" * 16 + b"!")
        found, faults = self.faults(made)
        assert found.have.full
        assert faults == {"z": ("has 65 bytes instead of 64", ())}
        assert not found.complete

    def test_nothing_is_there(self, made, tmp_path):
        made.folder = Folder(tmp_path / "elsewhere")
        found, faults = self.faults(made)
        assert found.have.count == 0
        assert {reason for reason, _ in faults.values()} == {"is missing"}

    def test_links_on_the_disk_are_not_followed(self, made):
        (made.share / "a").unlink()
        (made.share / "a").symlink_to(Path("/etc/passwd"))
        _, faults = self.faults(made)
        assert faults["a"] == ("is a symbolic link, which is not followed", (0,))
