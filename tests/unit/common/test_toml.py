"""What is written as TOML reads back the same."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.common import toml

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=12,
)


@given(values)
def test_values_read_back(item):
    written = toml.value(item)
    assert "\n" not in written
    assert tomllib.loads(f"x = {written}")["x"] == item


@given(st.lists(texts, min_size=1, max_size=4))
def test_keys_read_back(parts):
    found = tomllib.loads(f"{toml.key(parts)} = 1")
    for part in parts:
        found = found[part]
    assert found == 1


@pytest.mark.parametrize(
    ("item", "written"),
    [
        (True, "true"),
        (10.0, "10.0"),
        (1e22, "1e+22"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        ('say "hi"\\\n\x00', '"say \\"hi\\"\\\\\\n\\u0000"'),
        ((1, [2]), "[1, [2]]"),
        ({"a": 1, "b c": None, "d": {}}, "{ a = 1, d = {} }"),
    ],
)
def test_as_written(item, written):
    assert toml.value(item) == written


def test_what_toml_cannot_say():
    for item in (None, Path("x"), b"x"):
        with pytest.raises(TypeError, match="TOML has no"):
            toml.value(item)
