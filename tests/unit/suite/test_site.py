"""A whole site's settings, and what is kept of them."""

from __future__ import annotations

import json
import pickle
import sys

import pytest

from netsuite.common.datadir import DataDirectory
from netsuite.common.sources import SettingsError
from netsuite.suite.builtin import example_files, tables, write_missing
from netsuite.suite.families import FAMILIES
from netsuite.suite.root import Root
from netsuite.suite.site import Site, read_site


def test_the_built_in_site_has_every_family(tmp_path):
    site = read_site(environ={}, sets=[f"common.data={tmp_path}"], built_in=tables)
    assert list(site.tables) == [each.table for each in FAMILIES if each.table != "ftp"]
    assert site.built_in
    assert site.common.domains[0] == "example.test"
    assert site.present(("common", "data")) == (tmp_path, "command line")
    assert site.present(("upper", "listen")) == (["127.0.0.1:12000"], "built-in site")
    assert site.present(("upper", "idle"))[1] == "default"


def test_its_files_lie_in_its_data_directory_wherever_that_is(tmp_path):
    site = read_site(environ={"NETSUITE_COMMON__DATA": str(tmp_path / "d")}, built_in=tables)
    names = {name for name, _ in example_files()}
    for path in (*(zone.file for zone in site.tables["dns"].zone), site.tables["resolver"].root_hints):
        assert str(path.relative_to(tmp_path / "d")) in names
    assert {name for name in names if name.startswith("www/")} >= {"www/index.html", "www/pictures/cache.svg"}
    assert len([name for name in names if name.startswith("www/")]) >= 12


def test_its_files_are_written_where_they_are_missing_and_kept_where_they_were_edited(tmp_path):
    data = DataDirectory(tmp_path)
    write_missing(data)
    for name, content in example_files():
        assert (tmp_path / name).read_bytes() == content
    (tmp_path / "www/index.html").write_text("mine")
    (tmp_path / "zones/test.zone").unlink()
    write_missing(data)
    assert (tmp_path / "www/index.html").read_text() == "mine"
    assert (tmp_path / "zones/test.zone").exists()


def test_its_pages_lead_nowhere_that_is_not_there(tmp_path):
    import re

    write_missing(DataDirectory(tmp_path))
    for name, content in example_files():
        if name.endswith(".html"):
            for link in re.findall(r'(?:href|src)="(/[^"]*)"', content.decode()):
                assert (tmp_path / "www" / (link[1:] or "index.html")).is_file(), (name, link)


def test_a_site_survives_being_dumped(tmp_path):
    site = read_site(environ={}, sets=[f"common.data={tmp_path}"], built_in=tables)
    again = Site.load(site.dump())
    assert (again.common, dict(again.tables), again.built_in) == (site.common, dict(site.tables), True)
    assert again.present(("upper", "listen")) == (["127.0.0.1:12000"], "frozen site")


@pytest.mark.parametrize(
    ("dump", "said"),
    [
        ("nonsense", "frozen site: cannot be understood"),
        ("{}", "frozen site: cannot be understood"),
        ("[]", "frozen site: cannot be understood"),
        (
            json.dumps({"common": {"old": 1}, "tables": {"upper": {}}, "built_in": False}),
            "frozen site: common.old: unknown key",
        ),
    ],
)
def test_a_dump_of_another_version_is_refused_in_words(dump, said):
    with pytest.raises(SettingsError, match=said):
        Site.load(dump)


def test_the_root_reduces_to_its_settings():
    site = read_site(environ={}, sets=["upper.idle=5"], built_in=tables)
    pickled = pickle.dumps(Root(site))
    assert len(pickled) < 10_000
    again = pickle.loads(pickled)
    assert isinstance(again, Root)
    assert again.site.tables["upper"].idle == 5
    assert again.site == site


def test_tables_that_are_not_used_are_not_imported(tmp_path):
    import subprocess

    program = (
        "import sys; from netsuite.suite.site import read_site; read_site(sets=['upper.listen=1'], environ={});"
        "print(sorted(name for name in sys.modules if name.count('.') == 1 and name.startswith('netsuite.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert "netsuite.upper" in done.stdout
    assert "netsuite.http" not in done.stdout
    assert "netsuite.dns" not in done.stdout
