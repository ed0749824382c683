"""Settings from file, environment and command line: their strength, their errors, their origins."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, field_validator

from netsuite.common.settings import CommonSettings, SitePath, Table
from netsuite.common.sources import Layers, SettingsError, nearest


class Zone(Table):
    name: str
    file: SitePath
    listen: list[str] = []


class Server(Table):
    listen: list[str] = ["127.0.0.1:53"]
    root: SitePath | None = None
    limit: int = Field(10, ge=1)
    share: float = 0.5
    strict: bool = False
    mode: Literal["fast", "careful"] = "fast"
    zone: list[Zone] = []
    peers: dict[str, list[str]] = {}
    folders: list[SitePath] = []

    @field_validator("peers")
    @classmethod
    def _not_empty(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        if "" in value:
            raise ValueError("a peer needs a name")
        return value


def read(tmp_path, text=None, environ=None, sets=()):
    layers = Layers()
    if text is not None:
        path = tmp_path / "site.toml"
        path.write_text(text)
        layers.lay_file(path)
    layers.lay_environment(environ or {})
    layers.lay_sets(sets)
    layers.check_tables(["common", "dns"])
    server = layers.read("dns", Server)
    layers.finish()
    return server, layers


def complaints(tmp_path, *given, **named):
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, *given, **named)
    return [line.replace(str(tmp_path) + "/", "") for line in caught.value.lines]


def test_the_environment_is_stronger_than_the_file_and_the_command_line_than_both(tmp_path):
    text = "[dns]\nlimit = 2\nshare = 0.25\nmode = 'careful'\n"
    server, layers = read(
        tmp_path, text, {"NETSUITE_DNS__SHARE": "0.75", "NETSUITE_DNS__MODE": "fast"}, ["dns.mode=careful"]
    )
    assert (server.limit, server.share, server.mode, server.strict) == (2, 0.75, "careful", False)
    assert [layers.origin(("dns", key)) for key in ("limit", "share", "mode", "strict")] == [
        str(tmp_path / "site.toml"),
        "environment NETSUITE_DNS__SHARE",
        "command line",
        "default",
    ]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("127.0.0.1:53, [::1]:53", "listen", ["127.0.0.1:53", "[::1]:53"]),
        ('["127.0.0.1:53", "1053"]', "listen", ["127.0.0.1:53", "1053"]),
        ("1053", "listen", ["1053"]),
        ("[1053, 2053]", "listen", ["1053", "2053"]),
        ("", "listen", []),
        ("true", "strict", True),
        ("7", "limit", 7),
        ("careful", "mode", "careful"),
        ('"careful"', "mode", "careful"),
        ('{ a = ["b"] }', "peers", {"a": ["b"]}),
    ],
)
def test_what_a_text_means_depends_on_its_key(tmp_path, text, key, value):
    for given in ({"environ": {f"NETSUITE_DNS__{key.upper()}": text}}, {"sets": [f"dns.{key}={text}"]}):
        assert getattr(read(tmp_path, **given)[0], key) == value


def test_paths_of_the_file_start_at_its_folder_and_others_at_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = "[dns]\nroot = 'www'\n[[dns.zone]]\nname = 'a'\nfile = 'a.zone'\n"
    server, _ = read(tmp_path, text, {"NETSUITE_DNS__FOLDERS": "x,/y"})
    assert server.root == tmp_path / "www"
    assert server.zone[0].file == tmp_path / "a.zone"
    assert server.folders == [tmp_path / "elsewhere/x", Path("/y")]
    zones = "dns.zone=[{name = 'b', file = 'b.zone'}]"
    assert read(tmp_path, text, sets=[zones])[0].zone[0].file == tmp_path / "elsewhere/b.zone"


def test_a_path_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(tmp_path, "[dns]\nroot = '~/www'\n")[0].root == tmp_path / "www"
    assert "no_such_account" in complaints(tmp_path, "[dns]\nroot = '~no_such_account/x'\n")[0]


def test_tables_are_merged_and_lists_replaced(tmp_path):
    text = "[dns]\nlisten = ['a', 'b']\n[dns.peers]\nx = ['1']\n"
    server, _ = read(tmp_path, text, sets=["dns.listen=c", "dns.peers.y=[2]"])
    assert server.listen == ["c"]
    assert server.peers == {"x": ["1"], "y": ["2"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[dns]\nlisen = []\n", "site.toml: dns.lisen: unknown key; did you mean dns.listen?"),
        ("[dsn]\nlisten = []\n", "site.toml: dsn: unknown table; did you mean dns?"),
        ("[mail]\n", "site.toml: mail: unknown table; there are common, dns"),
        ("[dns]\nlimit = 'x'\n", "site.toml: dns.limit: a whole number is expected, not 'x'"),
        ("[dns]\nlimit = 0\n", "site.toml: dns.limit: must be greater than or equal to 1, not 0"),
        ("[dns]\nshare = 'x'\n", "site.toml: dns.share: a number is expected, not 'x'"),
        ("[dns]\nshare = nan\n", "site.toml: dns.share: a finite number is expected, not nan"),
        ("[dns]\nstrict = 'maybe'\n", "site.toml: dns.strict: true or false is expected, not 'maybe'"),
        ("[dns]\nlisten = 53\n", "site.toml: dns.listen: a list is expected, not 53"),
        ("[dns]\nroot = 5\n", "site.toml: dns.root: a path is expected, not 5"),
        ("[dns]\nzone = [{ name = 'a' }]\n", "site.toml: dns.zone[0].file: missing"),
        ("[[dns.zone]]\nname='a'\nfile='b'\nfiel='c'\n",
         "site.toml: dns.zone[0].fiel: unknown key; did you mean dns.zone[0].file?"),
        ("dns = 5\n", "site.toml: dns: a table is expected, not 5"),
        ("[dns]\nmode = 'carefull'\n",
         "site.toml: dns.mode: must be 'fast' or 'careful', not 'carefull'; did you mean 'careful'?"),
        ("[dns.peers]\n'' = []\n", "site.toml: dns.peers: a peer needs a name"),
        ("[dns]\nlisten = [\n", "site.toml:3: this is not TOML: Invalid value"),
        ("\n\nlisten 5\n", "site.toml:3: this is not TOML: Expected '=' after a key in a key/value pair"),
        ("[dns]\nfoo = 1\n", "site.toml: dns.foo: unknown key; there are listen, root, limit, share, strict, mode, "
         "zone, peers, folders"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_that_names_file_key_and_reason(tmp_path, text, expected):
    assert complaints(tmp_path, text) == [expected]


def test_errors_name_the_source_that_the_value_came_from(tmp_path):
    assert complaints(
        tmp_path, "[dns]\nlimit = 5\n", {"NETSUITE_DNS__LIMT": "1"}, ["dns.share=x", "nothing", "dns=1", "=", ".a=1"]
    ) == [
        "command line: --set nothing: write it as table.key=value",
        "command line: --set dns=1: write it as table.key=value",
        "command line: --set =: write it as table.key=value",
        "command line: --set .a=1: write it as table.key=value",
        "command line: dns.share: a number is expected, not 'x'",
        "environment NETSUITE_DNS__LIMT: dns.limt: unknown key; did you mean dns.limit?",
    ]


def test_several_errors_are_several_lines_in_one_exception(tmp_path):
    lines = complaints(tmp_path, "[dns]\nlisen = []\nlimit = 0\nshare = 'x'\n")
    assert len(lines) == 3
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, "[dns]\nlisen = []\nlimit = 0\nshare = 'x'\n")
    assert str(caught.value).splitlines() == list(caught.value.lines)


def test_files_that_cannot_be_read(tmp_path):
    layers = Layers()
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file or directory"):
        layers.lay_file(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"[dns]\nx = '\xff'\n")
    with pytest.raises(SettingsError, match=r"bytes\.toml:2: this is not UTF-8"):
        layers.lay_file(tmp_path / "bytes.toml")
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100000)
    with pytest.raises(SettingsError, match=r"deep\.toml: this is not TOML"):
        layers.lay_file(tmp_path / "deep.toml")
    (tmp_path / "long.toml").write_text("x = " + "9" * 10000)
    with pytest.raises(SettingsError, match=r"long\.toml: this is not TOML"):
        layers.lay_file(tmp_path / "long.toml")


def test_variables_of_others_are_left_alone(tmp_path):
    server, _ = read(tmp_path, environ={"NETSUITE_SHARED": "x", "PATH": "y", "OTHER__KEY": "z"})
    assert server == Server()


def test_a_table_may_be_given_as_one_text(tmp_path):
    assert read(tmp_path, sets=["dns.zone=[{ name = 'a', file = '/b' }]"])[0].zone[0].name == "a"
    assert complaints(tmp_path, environ={"NETSUITE_DNS__": "1"})[0].startswith("environment NETSUITE_DNS__: dns.:")


def test_numbers_may_stand_for_text_and_settings_are_frozen(tmp_path):
    server, _ = read(tmp_path, "[dns]\nlisten = [10053]\n")
    assert server.listen == ["10053"]
    with pytest.raises(ValueError, match="frozen"):
        server.limit = 5


@pytest.mark.parametrize("resolver", ["builtin", "system", "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"])
def test_resolvers_that_common_knows(resolver):
    assert CommonSettings(resolver=resolver).resolver == resolver


@pytest.mark.parametrize(
    "resolver",
    ["", "dns.example", "[::1", "1.2.3.4:0", "192.0.2.1:", "::1:53:", "buildin", "999.1.1.1", "1.2.3.4:99999"],
)
def test_resolvers_that_common_does_not_know(resolver):
    with pytest.raises(ValueError, match="must be"):
        CommonSettings(resolver=resolver)


def test_the_nearest_word():
    assert nearest("Lisen", ["listen", "limit"]) == "listen"
    assert nearest("quite different", ["listen", "limit"]) is None
