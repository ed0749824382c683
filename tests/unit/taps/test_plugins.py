"""The plugins: what twistd sees of them, and what their options come to."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout

import pytest
from twisted.application.service import IService, IServiceMaker
from twisted.plugin import IPlugin
from twisted.python.usage import UsageError
from zope.interface.verify import verifyObject

from netsuite.suite.families import FAMILIES
from netsuite.suite.root import Root
from twisted.plugins import netsuite_servers

MAKERS = {each.tapname: each for each in vars(netsuite_servers).values() if IServiceMaker.providedBy(each)}


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch, tmp_path):
    """No settings of the caller's environment, and a working directory of its own."""
    for name in list(os.environ):
        if name.startswith("NETSUITE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def options(name, *arguments):
    made = MAKERS[name].options()
    made.parseOptions(arguments)
    return made


def site(name, *arguments):
    return options(name, *arguments).site


def said(name, *arguments):
    """Exit status, standard output and what sys.exit would write."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out), pytest.raises(SystemExit) as ended:
        options(name, *arguments)
    return ended.value.code, out.getvalue()


def test_there_is_one_for_the_site_and_one_for_each_family():
    assert set(MAKERS) == {"netsuite", *(f"netsuite-{each.table}" for each in FAMILIES)}


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_each_is_a_service_maker_with_options_and_a_service(name):
    maker = MAKERS[name]
    assert verifyObject(IPlugin, maker)
    assert verifyObject(IServiceMaker, maker)
    assert maker.description
    made = maker.makeService(options(name))
    assert verifyObject(IService, made)
    assert isinstance(made, Root)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_each_can_say_what_its_options_are(name):
    text = str(MAKERS[name].options())
    for option in ("--config", "--set", "--listen", "--check", "--print-config", "--explain"):
        assert option in text


@pytest.mark.parametrize("table", [each.table for each in FAMILIES if each.table not in ("mail", "tracker")])
def test_a_lone_table_runs_without_a_file_and_listens_where_it_is_told(table):
    found = site(f"netsuite-{table}", "--listen", "127.0.0.1:5001", "--listen", "5002")
    assert list(found.tables) == [table]
    assert found.tables[table].listen == ["127.0.0.1:5001", "5002"]


def test_mail_listens_for_two_protocols():
    found = site("netsuite-mail", "--imap", "5001", "--pop3", "5002", "--pop3", "secure:5003").tables["mail"]
    assert (found.imap, found.pop3) == (["5001"], ["5002", "secure:5003"])
    assert site("netsuite-mail", "--pop3", "5002").tables["mail"].imap == []
    both = site("netsuite-mail").tables["mail"]
    assert (both.imap, both.pop3) == (["127.0.0.1:10143"], ["127.0.0.1:10110"])
    with pytest.raises(UsageError, match="say --imap 5001 or --pop3 5001"):
        site("netsuite-mail", "--listen", "5001")


def test_the_tracker_listens_for_two_protocols():
    found = site("netsuite-tracker", "--http", "5001", "--udp", "5002", "--udp", "5003").tables["tracker"]
    assert (found.http, found.udp) == (["5001"], ["5002", "5003"])
    assert site("netsuite-tracker", "--udp", "5002").tables["tracker"].http == []
    both = site("netsuite-tracker", "--listen", "5001").tables["tracker"]
    assert (both.http, both.udp) == (["5001"], ["5001"])
    with pytest.raises(UsageError, match="use --http and --udp"):
        site("netsuite-tracker", "--listen", "secure:5001")


def test_the_peers_everyday_options(tmp_path):
    given = ("--torrent", "a.torrent", "--torrent", "b.torrent", "--torrents", "all", "--save", "here")
    limits = ("--upload-limit", "1000", "--download-limit", "2000", "--seed", "--leave")
    peer = site("netsuite-peer", *given, *limits).tables["peer"]
    assert peer.torrent == [tmp_path / "a.torrent", tmp_path / "b.torrent"]
    assert (peer.torrents, peer.save) == (tmp_path / "all", tmp_path / "here")
    assert (peer.upload_limit, peer.download_limit, peer.seed, peer.leave) == (1000, 2000, True, True)
    usual = site("netsuite-peer").tables["peer"]
    assert (usual.seed, usual.leave, usual.progress) == (False, False, True)
    assert not site("netsuite").tables["peer"].progress


def test_the_site_listens_where_it_is_told():
    found = site("netsuite", "--listen", "upper=5001", "--listen", "http=5002", "--listen", "http=5003")
    assert found.tables["upper"].listen == ["5001"]
    assert found.tables["http"].listen == ["5002", "5003"]
    with pytest.raises(UsageError, match="TABLE=ADDRESS"):
        options("netsuite", "--listen", "5001")


def test_a_lone_table_takes_its_own_from_a_file_and_leaves_the_others(tmp_path):
    (tmp_path / "site.toml").write_text("[upper]\nidle = 5\n[http]\nthis_is = 'not looked at'\n")
    found = site("netsuite-upper", "-c", "site.toml", "--set", "upper.longest=99")
    assert (list(found.tables), found.tables["upper"].idle, found.tables["upper"].longest) == (["upper"], 5, 99)


def test_zones(tmp_path):
    found = site("netsuite-dns", "--zone", "a.test=a.zone", "--zone", "b.test=/b.zone").tables["dns"]
    assert [(zone.name, str(zone.file)) for zone in found.zone] == [
        ("a.test", f"{tmp_path}/a.zone"),
        ("b.test", "/b.zone"),
    ]
    for wrong in ("a.test", "=a.zone", "a.test="):
        with pytest.raises(UsageError, match="NAME=FILE"):
            options("netsuite-dns", "--zone", wrong)


def test_the_resolvers_options(tmp_path):
    found = site("netsuite-resolver", "--root-hints", "h", "--upstream-port", "5353", "--forward", "192.0.2.1").tables
    resolver = found["resolver"]
    assert (resolver.root_hints, resolver.upstream_port, resolver.forward) == (tmp_path / "h", 5353, ["192.0.2.1"])


def test_the_root_of_a_lone_http_server(tmp_path):
    assert site("netsuite-http", "--root", "www").tables["http"].root == tmp_path / "www"


def test_what_is_wrong_is_said_in_lines_and_ends_the_command(tmp_path):
    (tmp_path / "site.toml").write_text("[uper]\n[http]\nrot = 1\n")
    code, out = said("netsuite", "-c", "site.toml")
    assert code.splitlines() == [
        "site.toml: uper: unknown table; did you mean upper?",
        "site.toml: http.rot: unknown key; did you mean http.root?",
    ]
    assert out == ""


def test_a_file_without_tables_is_refused(tmp_path):
    (tmp_path / "site.toml").write_text("[common]\n")
    assert said("netsuite", "-c", "site.toml")[0].startswith("site.toml: there is nothing to serve; add one of [dns]")


def test_print_config_names_the_origin_of_each_value(tmp_path, monkeypatch):
    (tmp_path / "site.toml").write_text("[upper]\nidle = 5\n")
    monkeypatch.setenv("NETSUITE_UPPER__LONGEST", "99")
    code, out = said("netsuite", "-c", "site.toml", "--listen", "upper=5001", "--print-config")
    assert code == 0
    lines = out.splitlines()
    assert "idle = 5.0  # site.toml" in lines
    assert "longest = 99  # environment NETSUITE_UPPER__LONGEST" in lines
    assert 'listen = ["5001"]  # command line' in lines
    assert 'resolver = "builtin"  # default' in lines


def test_what_print_config_prints_is_a_site_file_of_the_same_site(tmp_path):
    _, out = said("netsuite", "--print-config")
    (tmp_path / "again.toml").write_text(out)
    first, again = site("netsuite"), site("netsuite", "-c", "again.toml")
    assert (first.common, first.tables) == (again.common, again.tables)


def test_explain():
    code, out = said("netsuite", "--explain", "upper.idle", "--set", "upper.idle=7")
    assert code == 0
    assert out.splitlines() == [
        "upper.idle",
        "  Seconds of silence after which a TCP connection is closed.",
        "  type:    number",
        "  default: 300.0",
        "  now:     7.0  (command line)",
        "  example: [upper] idle = 300.0",
    ]
    _, table = said("netsuite", "--explain", "dns.zone")
    assert "[[dns.zone]]" in table
    assert said("netsuite", "--explain", "upper.idel")[0] == "explain: upper.idel: unknown; did you mean upper.idle?"
    assert said("netsuite", "--explain", "uper")[0] == "explain: uper: unknown; did you mean upper?"


def test_every_key_can_be_explained():
    from netsuite.common.explain import entries
    from netsuite.suite.site import known_tables

    for table, model in known_tables().items():
        assert said("netsuite", "--explain", table)[0] == 0
        for entry in entries((table,), model):
            code, out = said("netsuite", "--explain", entry.name)
            assert code == 0
            assert entry.description in out


def test_making_the_service_opens_nothing(tmp_path):
    made = MAKERS["netsuite"].makeService(options("netsuite"))
    assert made.assembly is None
    assert list(tmp_path.iterdir()) == []
