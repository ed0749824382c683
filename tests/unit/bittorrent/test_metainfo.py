"""Torrent files: what is read from them, and each reason to refuse one."""

from __future__ import annotations

import hashlib

import pytest

from netsuite.bittorrent import metainfo
from netsuite.bittorrent.metainfo import File, MetainfoError, VersionTwoOnly, parse, read
from netsuite.bittorrent.wire.bencode import encode
from tests.unit.bittorrent.torrents import PIECE, info, torrent


def refusal(data):
    with pytest.raises(MetainfoError) as refused:
        parse(data)
    return str(refused.value)


def test_one_file():
    hashes = bytes(range(40))
    read = parse(torrent(length=PIECE + 5, pieces=hashes))
    assert read.info_hash == hashlib.sha1(encode(info(length=PIECE + 5, pieces=hashes))).digest()
    assert read.info == encode(info(length=PIECE + 5, pieces=hashes))
    assert read.name == "a"
    assert read.files == (File(("a",), 0, PIECE + 5),)
    assert (read.length, read.piece_length, read.piece_count) == (PIECE + 5, PIECE, 2)
    assert [read.piece_size(index) for index in range(2)] == [PIECE, 5]
    assert [read.piece_hash(index) for index in range(2)] == [hashes[:20], hashes[20:]]
    assert not read.private
    assert not read.hybrid
    assert read.trackers == read.web_seeds == ()
    assert (read.comment, read.created_by, read.creation_date) == ("", "", None)


def test_a_folder():
    read = parse(torrent({"length": 3, "path": ["x"]}, {"length": 0, "path": ["y"]}, {"length": 4, "path": ["d", "z"]}))
    assert read.files == (File(("t", "x"), 0, 3), File(("t", "y"), 3, 0), File(("t", "d", "z"), 3, 4))
    assert (read.name, read.length) == ("t", 7)


def test_the_info_hash_is_that_of_the_bytes_as_they_stand():
    """Keys out of order and numbers with leading zeros are read, and hashed as they are."""
    raw = b"d4:name1:a6:lengthi01e12:piece lengthi16384e6:pieces20:" + bytes(20) + b"e"
    assert parse(b"d4:info" + raw + b"e and more").info_hash == hashlib.sha1(raw).digest()


@pytest.mark.parametrize(("value", "private"), [(1, True), (2, True), (0, False), (b"1", False)])
def test_private(value, private):
    assert parse(torrent(private=value)).private is private


def test_everything_around():
    read = parse(
        torrent(
            around={
                "announce": "http://old/",
                "announce-list": [
                    ["http://a/x", "udp://b:1/announce", "http://a/x"],
                    [],
                    ["ftp://no"],
                    [" https://c/"],
                ],
                "url-list": ["http://seed/a b", "http://seed/a b", "", 3, "nothing"],
                "comment": "plain",
                "comment.utf-8": "schön",
                "created by": b"bad \xff",
                "creation date": 12,
            }
        )
    )
    assert read.trackers == (("http://a/x", "udp://b:1/announce"), ("https://c/",))
    assert read.web_seeds == ("http://seed/a%20b",)
    assert (read.comment, read.created_by, read.creation_date) == ("schön", "bad \N{REPLACEMENT CHARACTER}", 12)


@pytest.mark.parametrize("listed", [[], "http://x/", [["nothing"]], [[]], [3], 3])
def test_the_one_tracker_of_old(listed):
    around = {"announce": "http://old/", "announce-list": listed}
    assert parse(torrent(around=around)).trackers == (("http://old/",),)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http://a b/",
        "http://é/",
        "ftp://a/",
        "a:80/announce",
        "http:/a",
        "javascript:x",
        "udp://a\n",
        3,
        [],
    ],
)
def test_what_is_no_tracker(url):
    assert parse(torrent(around={"announce": url})).trackers == ()


def test_web_seeds_of_a_folder_end_with_a_slash():
    assert parse(torrent("x", "y", around={"url-list": "http://s/a"})).web_seeds == ("http://s/a/",)
    assert parse(torrent("x", "y", around={"url-list": ["http://s/a/"]})).web_seeds == ("http://s/a/",)
    assert parse(torrent("x", around={"url-list": "http://s/a"})).web_seeds == ("http://s/a",)


@pytest.mark.parametrize(
    ("name", "made"),
    [("", "_"), ("a/b", "ab"), ("..", None), (".", None), ("/", None), ("\x01", "_"), (b"\xff", "_")],
)
def test_the_name_of_a_folder(name, made):
    read = parse(torrent("x", name=name))
    assert read.name == (made or read.info_hash.hex())
    assert read.files[0].path == (read.name, "x")


@pytest.mark.parametrize("name", ["", ".", "..", "/", "../", "\0", "\u202e"])
def test_a_file_needs_a_name(name):
    assert refusal(torrent(name=name)) == "its name is no file name"


def test_the_utf8_twin_of_a_name_counts():
    assert parse(torrent(**{"name.utf-8": "ü"})).name == "ü"
    assert parse(torrent(**{"name.utf-8": 3})).name == "a"
    assert parse(torrent({"length": 1, "path": ["p"], "path.utf-8": ["ü"]})).files[0].path == ("t", "ü")


@pytest.mark.parametrize(
    ("paths", "made"),
    [
        (["../x"], ["t/..x"]),
        (["a/.."], ["t/a/_"]),
        (["/x"], ["t/_/x"]),
        (["x", "x", "X"], ["t/x", "t/x.1", "t/X.2"]),
        (["x", "x/y"], ["t/x.1", "t/x/y"]),
    ],
)
def test_paths(paths, made):
    data = torrent(*[{"length": 1, "path": each.split("/") if each != "../x" else [each]} for each in paths])
    assert ["/".join(file.path) for file in parse(data).files] == made


def test_pad_files_take_no_names():
    files = (
        {"length": 1, "path": ["x"]},
        {"length": 9, "path": ["x"], "attr": "p"},
        {"length": 9, "attr": "p"},
        {"length": 9, "path": ["_____padding_file_7_____"]},
        {"length": 1, "path": ["y"], "attr": "xh"},
    )
    read = parse(torrent(*files))
    assert [("/".join(file.path), file.pad) for file in read.files] == [
        ("t/x", False),
        ("t/x", True),
        (".pad/9", True),
        ("t/_____padding_file_7_____", True),
        ("t/y", False),
    ]
    assert [file.executable for file in read.files] == [False] * 4 + [True]
    assert read.files[-1].offset == 28


@pytest.mark.parametrize(
    ("at", "target", "link"),
    [
        ("l", ["x"], "t/x"),
        ("l", ["d"], "t/d"),
        ("l", ["d", "y"], "t/d/y"),
        ("d/l", ["y"], "t/d/y"),
        ("d/l", ["x"], "t/x"),
        ("l", ["..", "x"], "t/x"),
        ("l", ["..", "..", "etc", "passwd"], "t/l"),
        ("l", ["/etc"], "t/l"),
        ("l", ["nowhere"], "t/l"),
        ("l", ["m", "y"], "t/m/y"),
        ("l", ["l", "y"], "t/l"),
        ("l", ["m", "nowhere"], "t/l"),
        ("l", [], None),
        ("l", [".."], None),
        ("l", "x", None),
    ],
)
def test_links_lead_nowhere_else(at, target, link):
    """BEP 47: to a file or folder of the torrent, also through another link, or to themselves."""
    data = torrent(
        "x",
        "d/y",
        {"attr": "l", "path": ["m"], "symlink path": ["d"]},
        {"attr": "l", "length": 7, "path": at.split("/"), "symlink path": target},
    )
    file = parse(data).files[-1]
    assert (file.path, file.length) == (("t", *at.split("/")), 0)
    assert file.link == (tuple(link.split("/")) if link else None)


def test_links_in_a_circle():
    data = torrent(
        "x",
        {"attr": "l", "path": ["a"], "symlink path": ["b", "c"]},
        {"attr": "l", "path": ["b"], "symlink path": ["a", "c"]},
    )
    assert [file.link for file in parse(data).files] == [None, ("t", "a"), ("t", "b")]


def test_many_steps_of_links_are_given_up():
    chain = [{"attr": "l", "path": [f"l{n}"], "symlink path": [f"l{n + 1}", "d"]} for n in range(60)]
    read = parse(torrent("l60/d/d", *chain))
    assert read.files[1].link == ("t", "l0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a torrent: the text ends too soon, at byte 0"),
        (b"<html>", "not a torrent: no value begins like byte 0"),
        (b"le", "not a torrent: no dictionary"),
        (b"de", "not a torrent: it has no info dictionary"),
        (b"d4:infolee", "not a torrent: it has no info dictionary"),
        (b"d4:infoi1e4:info" + encode(info()) + b"e", "not a torrent: it has no info dictionary"),
        (b"d10:magnet-uri60:magnet:?xt=urn:btih:" + b"a" * 40 + b"e", "not a torrent: it has no info dictionary"),
    ],
)
def test_what_is_no_torrent(data, reason):
    assert refusal(data) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": None}, "it has no name"),
        ({"name": 3}, "it has no name"),
        ({"piece_length": None}, "the piece length is missing, or out of bounds"),
        ({"piece_length": 0}, "the piece length is missing, or out of bounds"),
        ({"piece_length": -1}, "the piece length is missing, or out of bounds"),
        ({"piece_length": metainfo.LONGEST_PIECE + 1}, "the piece length is missing, or out of bounds"),
        ({"piece_length": "16384"}, "the piece length is missing, or out of bounds"),
        ({"length": None}, "a file's length is missing, or out of bounds"),
        ({"length": -1}, "a file's length is missing, or out of bounds"),
        ({"length": "1"}, "a file's length is missing, or out of bounds"),
        ({"length": metainfo.LONGEST_FILE + 1}, "a file's length is missing, or out of bounds"),
        ({"length": 0, "pieces": b""}, "its files are all empty"),
        ({"attr": "l"}, "its files are all empty"),
        ({"pieces": None}, "it has no piece hashes"),
        ({"pieces": []}, "it has no piece hashes"),
        ({"pieces": b""}, "1 pieces need 20 bytes of hashes, not 0"),
        ({"pieces": bytes(21)}, "1 pieces need 20 bytes of hashes, not 21"),
        ({"pieces": bytes(40)}, "1 pieces need 20 bytes of hashes, not 40"),
        ({"length": 2**21 + 1, "piece_length": 1}, "2097153 pieces are more than 2097152"),
        ({"files": []}, "it has no files"),
        ({"files": [3]}, "a file is no dictionary"),
        ({"files": [{"length": 1}]}, "a file has no path"),
        ({"files": [{"length": 1, "path": []}]}, "a file has no path"),
        ({"files": [{"length": 1, "path": "x"}]}, "a file has no path"),
        ({"files": [{"length": 1, "path.utf-8": [], "path": ["x"]}]}, "a file has no path"),
        ({"files": [{"length": 1, "path": ["x", 1]}]}, "a path is not made of strings"),
        ({"files": [{"attr": "l", "path": ["x"], "symlink path": [1]}]}, "a path is not made of strings"),
        ({"files": [{"path": ["x"]}]}, "a file's length is missing, or out of bounds"),
        ({"files": [{"attr": "p"}]}, "a file's length is missing, or out of bounds"),
        ({"files": [{"length": 1, "path": ["x"] * 101}]}, "a path has more than 100 components"),
        ({"files": [{"length": 1, "path": ["x"]}] * 100}, "too many files have the same path"),
        ({"meta_version": 3}, "version 3 of torrents is not known"),
        ({"meta_version": 2}, "the version does not fit the file tree"),
        ({"file_tree": {}}, "the version does not fit the file tree"),
    ],
)
def test_refused(changes, reason):
    assert refusal(torrent(**changes)) == reason


def test_files_that_are_too_large_together():
    each = {"length": metainfo.LONGEST_FILE, "path": ["x"]}
    assert refusal(torrent("x", files=[each] * 17)) == "the files are too large together"


@pytest.mark.parametrize("value", [-1, 0, 1, "2"])
def test_other_versions_are_version_1(value):
    assert not parse(torrent(meta_version=value)).hybrid


def test_limits_that_are_just_met():
    assert parse(torrent(piece_length=metainfo.LONGEST_PIECE)).piece_length == metainfo.LONGEST_PIECE
    assert parse(torrent(length=2**21, piece_length=1, pieces=bytes(20 << 21))).piece_count == 2**21
    assert len(parse(torrent({"length": 1, "path": ["x"] * 100})).files[0].path) == 101


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(metainfo.LARGEST + 1)
    with pytest.raises(MetainfoError, match="larger than 64 MiB"):
        read(path)


def test_a_file_that_is_read(tmp_path):
    (tmp_path / "a.torrent").write_bytes(torrent())
    assert read(tmp_path / "a.torrent").name == "a"
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


def test_version_2_only():
    tree = {"a": {"": {"length": 1, "pieces root": bytes(range(32))}}}
    data = torrent(length=None, pieces=None, meta_version=2, file_tree=tree)
    with pytest.raises(VersionTwoOnly, match="without a version 1 part"):
        parse(data)
