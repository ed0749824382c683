"""``netsuite torrent``: what it writes, says and answers."""

from __future__ import annotations

import io
import json
import os

import pytest

from netsuite.bittorrent import creation
from netsuite.bittorrent.metainfo import parse, read
from netsuite.cli import main, progress
from netsuite.cli.progress import Bar
from tests.unit.bittorrent.torrents import torrent


@pytest.fixture(autouse=True)
def share(tmp_path, monkeypatch):
    """A folder to share, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "a").write_bytes(b"a" * 50_000)
    (folder / "b").write_bytes(b"b" * 50_000)
    return folder


def run(capsys, *arguments):
    """The exit status, what was printed, and the errors."""
    status = main(["torrent", *arguments])
    return status, *capsys.readouterr()


def test_create(tmp_path, capsys):
    status, out, err = run(
        capsys, "create", "share", "--tracker", "http://a/announce,udp://b:1", "--tracker", "https://c/x", "-o", "out",
        "--private", "--piece-length", "16K", "--comment", "hello", "--web-seed", "http://w/", "--threads", "2",
    )  # fmt: skip
    made = read(tmp_path / "out")
    assert (status, err) == (0, "")
    assert out == f"out: 2 files, 97.7 KiB, 7 pieces\ninfo-hash {made.info_hash.hex()}\n"
    assert made.trackers == (("http://a/announce", "udp://b:1"), ("https://c/x",))
    assert (made.private, made.comment, made.web_seeds) == (True, "hello", ("http://w/",))
    assert made.piece_length == 16384


def test_create_by_default(tmp_path, capsys):
    assert run(capsys, "create", "share/a")[0] == 0
    assert read(tmp_path / "a.torrent").files[0].path == ("a",)
    assert sorted(os.listdir(tmp_path)) == ["a.torrent", "share"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nothing"], "nothing: there is no such file or folder"),
        (
            ["share", "-o", "share/x.torrent"],
            "share/x.torrent: this is within what is to be shared; write it elsewhere",
        ),
        (["share/a", "-o", "share/a"], "share/a: this is what is to be shared"),
        (["share", "-o", "no/x"], "no/x: cannot be written: there is no folder"),
        (["share", "-o", "taken"], "taken: cannot be written: Is a directory"),
        (["share", "--tracker", "nonsense"], "nonsense: a tracker's URL begins with http://, https:// or udp://"),
        (["share", "--piece-length", "3"], "a piece length is a power of two from 16 KiB to 256 MiB, not 3"),
        (["share", "--exclude", "*"], "there is nothing in it that a torrent could be made of"),
    ],
)
def test_create_where_it_cannot(tmp_path, capsys, arguments, error):
    (tmp_path / "taken").mkdir()
    status, out, err = run(capsys, "create", *arguments)
    assert (status, out) == (1, "")
    assert error in err
    assert err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["share", "taken"]
    assert sorted(os.listdir(tmp_path / "share")) == ["a", "b"]


@pytest.mark.parametrize(
    "option", ["--piece-length=x", "--piece-length=1G", "--threads=0", "--threads=x", "--threads=300"]
)
def test_options_that_are_no_numbers(capsys, option):
    with pytest.raises(SystemExit):
        main(["torrent", "create", "share", option])
    assert option.split("=")[1] in capsys.readouterr().err


def test_an_older_torrent_is_replaced_only_by_a_whole_one(tmp_path, capsys, monkeypatch):
    (tmp_path / "share.torrent").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", _full)
        assert run(capsys, "create", "share") == (1, "", "share.torrent: cannot be written: No space left on device\n")
    assert (tmp_path / "share.torrent").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["share", "share.torrent"]
    assert run(capsys, "create", "share")[0] == 0
    assert parse((tmp_path / "share.torrent").read_bytes()).name == "share"


def _full(descriptor):
    raise OSError(28, "No space left on device")


def test_interrupted(tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(creation, "digests", interrupt)
    assert run(capsys, "create", "share") == (130, "", "interrupted\n")
    assert os.listdir(tmp_path) == ["share"]


def test_show(tmp_path, capsys):
    around = {
        "announce-list": [["http://a/", "http://b/"], ["udp://c:1"]],
        "url-list": "http://w/",
        "comment": "x\x1b[31m",
    }
    link = {"attr": "l", "path": ["l"], "symlink path": ["x"]}
    pad = {"length": 9, "attr": "p"}
    (tmp_path / "t").write_bytes(
        torrent("x", pad, {"length": 12345, "path": ["d", "y"]}, link, private=1, around=around)
    )
    status, out, _ = run(capsys, "show", "t")
    assert status == 0
    assert [line.split(None, 1) for line in out.splitlines()[2:4]] == [
        ["content", "12.1 KiB in 3 files"],
        ["pieces", "1 of 16.0 KiB"],
    ]
    assert "tracker 1  http://a/\ntracker 1  http://b/\ntracker 2  udp://c:1\nweb seed   http://w/\n" in out
    assert "comment    x\N{REPLACEMENT CHARACTER}[31m\n" in out
    assert out.endswith("\n\n              1  t/x\n         12,345  t/d/y\n              0  t/l -> t/x\n")


def test_show_as_json(tmp_path, capsys):
    data = torrent("x", {"length": 9, "attr": "p"}, around={"creation date": 5})
    (tmp_path / "t").write_bytes(data)
    status, out, _ = run(capsys, "show", "t", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["info_hash"] == parse(data).info_hash.hex()
    assert told["creation_date"] == 5
    assert told["files"][1] == {"path": ".pad/9", "length": 9, "offset": 1, "pad": True, "link": None}


def test_show_from_standard_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(torrent())))
    assert "name       a\n" in run(capsys, "show", "-")[1]


def test_what_is_no_torrent(tmp_path, capsys):
    (tmp_path / "t").write_bytes(b"<html>")
    assert run(capsys, "show", "t") == (1, "", "t: not a torrent: no value begins like byte 0\n")
    assert run(capsys, "verify", "t", ".") == (1, "", "t: not a torrent: no value begins like byte 0\n")
    assert run(capsys, "show", "none") == (1, "", "none: cannot be read: No such file or directory\n")


def test_verify(tmp_path, share, capsys):
    run(capsys, "create", "share", "--piece-length", "16K")
    assert run(capsys, "verify", "share.torrent", ".") == (0, "7 of 7 pieces right\n", "")
    (share / "a").write_bytes(b"c" * 50_000)
    (share / "b").unlink()
    status, out, _ = run(capsys, "verify", "share.torrent", ".")
    assert status == 1
    assert out == (
        "share/a: has other bytes, or shares pieces with a file that has (pieces 0-3)\n"
        "share/b: is missing (pieces 3-6)\n"
        "0 of 7 pieces right\n"
    )
    status, out, _ = run(capsys, "verify", "share.torrent", ".", "--json")
    assert status == 1
    assert json.loads(out) == {
        "complete": False,
        "pieces": 7,
        "right": 0,
        "faults": [
            {
                "path": "share/a",
                "reason": "has other bytes, or shares pieces with a file that has",
                "pieces": [[0, 3]],
            },
            {"path": "share/b", "reason": "is missing", "pieces": [[3, 6]]},
        ],
    }
    assert run(capsys, "verify", "share.torrent", "nowhere") == (1, "", "nowhere: there is no such folder\n")


class Terminal(io.StringIO):
    """What stands on a terminal."""

    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = Terminal()
    with Bar(10 << 20, "hashing", stream) as bar:
        bar.advanced(0)
        now[0] += 1
        bar.advanced(5 << 20)
        now[0] += 0.05
        bar.advanced(6 << 20)
    assert stream.getvalue() == (
        "\rhashing  [............................]   0% of 10.0 MiB\x1b[K\r"
        "\rhashing  [##############..............]  50% of 10.0 MiB  5.0 MiB/s  0:01 left\x1b[K\r"
        "\r\x1b[K"
    )


def test_no_bar_elsewhere():
    stream = io.StringIO()
    with Bar(10, "hashing", stream) as bar:
        bar.advanced(10)
    assert stream.getvalue() == ""
