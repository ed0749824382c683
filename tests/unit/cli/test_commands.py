"""The netsuite command: what it writes, says and answers."""

from __future__ import annotations

import pickle
import tomllib

import pytest
from twisted.application.service import IService

from netsuite import __version__
from netsuite.cli import main
from netsuite.cli.status import report
from netsuite.suite.families import FAMILIES
from netsuite.suite.root import Root
from netsuite.suite.site import read_site


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """A working directory of its own, and no settings from the environment."""
    import os

    for name in list(os.environ):
        if name.startswith("NETSUITE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_init_writes_a_site_that_can_be_read(tmp_path, capsys):
    assert main(["init", "mine", "--domain", "shop.example"]) == 0
    out = capsys.readouterr().out
    assert "wrote  mine/netsuite.toml" in out
    assert "twistd -n netsuite -c mine/netsuite.toml" in out
    site = read_site(tmp_path / "mine/netsuite.toml", environ={})
    assert list(site.tables) == [each.table for each in FAMILIES]
    assert site.common.domains == ["shop.example"]
    assert site.tables["dns"].zone[0].file == tmp_path / "mine/shop.example.zone"
    assert "shop.example" in (tmp_path / "mine/shop.example.zone").read_text()
    assert site.tables["http"].root == tmp_path / "mine/site"


def test_what_init_leaves_commented_out_can_be_set(tmp_path):
    """Every "# key = value" of the annotated file is a setting of its table."""
    main(["init", "."])
    text = (tmp_path / "netsuite.toml").read_text()
    uncommented = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and (" = " in line or line.startswith("# [[")) else line
        for line in text.splitlines()
    )
    assert len(tomllib.loads(uncommented)["common"]) > len(tomllib.loads(text)["common"])
    (tmp_path / "all.toml").write_text(uncommented)
    assert read_site(tmp_path / "all.toml", environ={}).common.workers == 2


def test_init_keeps_what_is_there(tmp_path, capsys):
    (tmp_path / "netsuite.toml").write_text("mine")
    assert main(["init"]) == 0
    assert (tmp_path / "netsuite.toml").read_text() == "mine"
    assert "kept   netsuite.toml" in capsys.readouterr().out


@pytest.mark.parametrize("domain", ["", ".", "a b", "a/b", "a..b"])
def test_init_wants_a_domain(domain, capsys):
    assert main(["init", "--domain", domain]) == 1
    assert capsys.readouterr().err == f"--domain {domain}: this is no domain name\n"


def test_init_where_it_cannot(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["init", "file"]) == 1
    assert capsys.readouterr().err == "file/netsuite.toml: cannot be written: File exists\n"


def test_the_example_in_etc_is_the_one_that_init_writes():
    from pathlib import Path

    import netsuite.cli

    root = Path(netsuite.cli.__file__).parents[2]
    template = Path(netsuite.cli.__file__).parent / "templates/netsuite.toml"
    assert (root / "etc/netsuite.toml").read_text() == template.read_text()


def test_freeze_writes_an_application(tmp_path, capsys):
    (tmp_path / "site.toml").write_text("[common]\nlog = 'own.log'\n[upper]\nidle = 5\n")
    assert main(["freeze", "-c", "site.toml", "--set", "upper.longest=9", "-o", "x.tap"]) == 0
    assert capsys.readouterr().out == "x.tap is written; run it with: twistd -no -f x.tap\n"
    (root,) = IService(pickle.loads((tmp_path / "x.tap").read_bytes()))
    assert isinstance(root, Root)
    assert (root.site.tables["upper"].idle, root.site.tables["upper"].longest) == (5, 9)
    assert root.site.common.data == tmp_path / "netsuite-data"
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_freeze_where_it_cannot(capsys):
    assert main(["freeze", "-o", "none/x.tap"]) == 1
    assert capsys.readouterr().err == "none/x.tap: cannot be written: No such file or directory\n"


def test_errors_are_lines_and_a_status(tmp_path, capsys):
    (tmp_path / "site.toml").write_text("[upper]\nidel = 5\nlongest = 'x'\n")
    for command in ("check", "freeze", "status"):
        assert main([command, "-c", "site.toml"]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert sorted(captured.err.splitlines()) == [
            "site.toml: upper.idel: unknown key; did you mean upper.idle?",
            "site.toml: upper.longest: a whole number is expected, not 'x'",
        ]


def test_explain(capsys):
    assert main(["explain", "common.drain", "--set", "common.drain=3"]) == 0
    assert "  now:     3.0  (command line)" in capsys.readouterr().out
    assert main(["explain"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][:2] == ["[common]", "[dns]"]
    assert main(["explain", "common.drian"]) == 1
    assert capsys.readouterr().err == "explain: common.drian: unknown; did you mean common.drain?\n"


def test_status_of_nothing(tmp_path, capsys):
    assert main(["status", "--data", "nowhere"]) == 1
    assert capsys.readouterr().err == (
        "nothing runs on nowhere: start it with `twistd netsuite`, or name its folder with --data\n"
    )


def test_report():
    found = {
        "version": "1", "pid": 9, "workers": 2, "uptime": 93784.5, "ok": False,
        "services": [
            {"name": "dns", "ok": True, "detail": "3 zones", "addresses": [{"address": "udp:127.0.0.1:53"}],
             "figures": [{"name": "queries", "value": 1234567}, {"name": "a second", "value": 2.5}]},
            {"name": "http", "ok": False, "detail": "", "addresses": [], "figures": []},
        ],
    }  # fmt: skip
    assert list(report(found)) == [
        "netsuite 1, process 9 and 2 workers, up 1 d 2 h",
        "dns       well: 3 zones",
        "  udp:127.0.0.1:53",
        "  1,234,567 queries, 2.50 a second",
        "http      NOT WELL",
    ]


def test_version_and_help(capsys):
    for arguments, said in ((["--version"], __version__), (["--help"], "freeze"), (["init", "--help"], "--domain")):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert said in capsys.readouterr().out
