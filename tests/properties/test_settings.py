"""Whatever is given as settings, it is read or refused in lines: never a traceback, never a line too many."""

from __future__ import annotations

import string
import tomllib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from netsuite.common import toml
from netsuite.common.sources import Layers, SettingsError
from netsuite.suite.builtin import tables as built_in
from netsuite.suite.check import explain, print_config
from netsuite.suite.site import Site, known_tables, read_site

TABLES = known_tables()
words = st.sampled_from([*TABLES, *(key for model in TABLES.values() for key in model.model_fields)])
names = words | st.text(string.ascii_lowercase + "_.-\x00é", max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | st.sampled_from(["127.0.0.1:1", "~x/y", "\x00"])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
sites = st.dictionaries(
    st.sampled_from(list(TABLES)) | names, values | st.dictionaries(names, values, max_size=4), max_size=4
)


def attempt(**given):
    """The site, or the lines that refuse it."""
    try:
        site = read_site(**{"environ": {}, **given})
    except SettingsError as error:
        assert error.lines
        for line in error.lines:
            assert line.strip()
            assert len(line.splitlines()) == 1, repr(line)
        return None
    assert Site.load(site.dump()).tables == site.tables
    again = tomllib.loads(print_config(site))
    assert set(again) == {"common", *site.tables}
    return site


@given(sites)
@settings(max_examples=150, deadline=None)
def test_any_file_of_tables(tmp_path_factory, site):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("".join(f"{toml.key([name])} = {toml.value(value)}\n" for name, value in site.items()))
    attempt(file=path)


@given(st.binary(max_size=60) | texts.map(str.encode))
@settings(max_examples=150, deadline=None)
def test_any_bytes(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.toml"
    path.write_bytes(data)
    attempt(file=path)


@given(st.lists(st.tuples(st.lists(names, max_size=3).map(".".join), texts).map("=".join) | texts, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_set(sets):
    attempt(sets=sets, built_in=built_in)


@given(st.dictionaries(st.lists(names, min_size=1, max_size=3).map(lambda each: "NETSUITE_" + "__".join(each)), texts))
@settings(max_examples=150, deadline=None)
def test_any_environment(environ):
    attempt(environ=environ, built_in=built_in)


@given(texts | st.lists(names, max_size=3).map(".".join))
@settings(max_examples=100, deadline=None)
def test_any_question(key):
    site = read_site(built_in=built_in, environ={})
    try:
        assert explain(site, key)
    except SettingsError as error:
        assert len(error.lines) == 1


@given(st.dictionaries(names, values, max_size=5), st.dictionaries(names, values, max_size=5))
@example({"a": {}}, {"a": 1})
@example({"a": 1}, {"a": {"b": 2}})
def test_the_stronger_wins(weak, strong):
    layers = Layers()
    for source, given_values in (("weak", weak), ("strong", strong)):
        for key, value in given_values.items():
            layers.lay(("dns", key), value, source)
    for key, value in strong.items():
        if not isinstance(value, dict):
            assert layers.values["dns"][key] is value
            assert layers.origin(("dns", key)) == "strong"
        elif value:
            inner = next(iter(value))
            assert layers.origin(("dns", key, inner)) == "strong" or isinstance(value[inner], dict)
