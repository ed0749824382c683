"""Settings in words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from netsuite.common.explain import entries, explanation, type_words, written
from netsuite.common.settings import SitePath, Table


class Zone(Table):
    """A zone."""

    name: str = Field(description="Its name.")
    file: SitePath | None = Field(None, description="Its file.")


class Cache(Table):
    size: int = Field(5, description="How big.")


class Server(Table):
    """A server.

    With more to say.
    """

    listen: list[str] = Field(["53"], description="Where.")
    zone: list[Zone] = Field([], description="Zones.")
    cache: Cache = Field(Cache(), description="The cache.")
    kind: Literal["a", "b"] = Field("a", description="Which.")
    secret: str = Field(description="What.", examples=["sesame"])


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "text"),
        (Annotated[int, "x"], "whole number"),
        (float | None, "number"),
        (list[SitePath], "list of path"),
        (dict[str, list[str]], "table of list of text"),
        (Literal["a", 1], '"a" or 1'),
        (int | str, "whole number or text"),
        (Zone, "table"),
        (bytes, "bytes"),
    ],
)
def test_types(annotation, words):
    assert type_words(annotation) == words


def test_values():
    assert written(None) == "not set"
    assert written(Path("/x")) == '"/x"'
    assert written([Zone(name="a")]) == '[{ name = "a" }]'
    assert written({"a": (1, 2)}) == "{ a = [1, 2] }"


def test_entries_go_into_tables():
    found = {entry.name: entry for entry in entries(("dns",), Server)}
    assert list(found) == [
        "dns.listen",
        "dns.zone",
        "dns.zone.name",
        "dns.zone.file",
        "dns.cache",
        "dns.cache.size",
        "dns.kind",
        "dns.secret",
    ]
    assert found["dns.zone.name"].example == '[[dns.zone]] name = "..."'
    assert found["dns.cache.size"].example == "[dns.cache] size = 5"
    assert found["dns.zone"].example == '[dns] zone = [{ name = "..." }]'
    assert found["dns.secret"].example == '[dns] secret = "sesame"'
    assert found["dns.secret"].default == "none: it must be given"
    assert found["dns.zone.file"].default == "not set"


def present(key):
    return (["1053"], "site.toml") if key == ("dns", "listen") else None


def test_a_key():
    assert explanation("dns.listen", {"dns": Server}, present) == [
        "dns.listen",
        "  Where.",
        "  type:    list of text",
        '  default: ["53"]',
        '  now:     ["1053"]  (site.toml)',
        '  example: [dns] listen = ["53"]',
    ]
    assert "  now:     this table is not used" in explanation("dns.kind", {"dns": Server}, present)
    assert not [line for line in explanation("dns.zone[0].name", {"dns": Server}, present) if "now:" in line]


def test_a_table():
    assert explanation("dns", {"dns": Server}, present)[:3] == ["[dns]", "  A server.", "  listen  Where."]
    assert explanation("dns.zone", {"dns": Server}, present)[-4:] == [
        "[[dns.zone]]",
        "  A zone.",
        "  name  Its name.",
        "  file  Its file.",
    ]


@pytest.mark.parametrize("wanted", ["", "dsn", "dns.x", "dns.listen.x", "dns.zone.x", ".", "dns."])
def test_nothing_of_that_name(wanted):
    assert explanation(wanted, {"dns": Server}, present) is None
