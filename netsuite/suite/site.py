"""The settings of a whole site: which tables there are, and what is in them.

A :class:`Site` is all that a root service holds, a ``.tap`` file keeps and a worker is sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from netsuite.common.settings import CommonSettings, Table
from netsuite.common.sources import Layers, SettingsError
from netsuite.suite.families import FAMILIES, family

__all__ = ["BUILT_IN", "Option", "Site", "read_site"]

BUILT_IN = "built-in site"
"""The origin of what the built-in site sets."""

Option = tuple[tuple[str, ...], Any]
"""A key, and the text or value that a named option of the command line gives it."""


@attrs.frozen
class Site:
    """``[common]`` and the tables that are there, in the order of starting; ``built_in`` if no file described them."""

    common: CommonSettings
    tables: Mapping[str, Table]
    built_in: bool = False
    layers: Layers | None = attrs.field(default=None, eq=False, repr=False)
    """Where the values came from; not kept by :meth:`dump`."""

    @property
    def trackers(self) -> list[str]:
        """Where the tracker listens for HTTP, if there is one."""
        return list(getattr(self.tables.get("tracker"), "http", ()))

    def dump(self) -> str:
        """Everything as JSON."""
        tables = {name: table.model_dump(mode="json") for name, table in self.tables.items()}
        return json.dumps({"common": self.common.model_dump(mode="json"), "tables": tables, "built_in": self.built_in})

    @classmethod
    def load(cls, text: str) -> Site:
        """The site that was dumped; raises SettingsError if this version does not understand it."""
        try:
            dumped = json.loads(text)
            tables, built_in = dumped["tables"], dumped["built_in"]
            layers = Layers()
            layers.lay(("common",), dumped["common"], "frozen site")
            for name, values in tables.items():
                layers.lay((name,), values, "frozen site")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError([f"frozen site: cannot be understood: {error}"]) from error
        return attrs.evolve(_site(layers, list(tables)), built_in=built_in, layers=None)

    def present(self, key: tuple[str, ...]) -> tuple[Any, str] | None:
        """The value of a key and where it comes from; None where its table is not used."""
        found: Any = self.common if key[0] == "common" else self.tables.get(key[0])
        for part in key[1:]:
            if found is None:
                return None
            found = getattr(found, part)
        return found, self.layers.origin(key) if self.layers else "frozen site"


def _site(layers: Layers, wanted: Sequence[str]) -> Site:
    common = layers.read("common", CommonSettings)
    tables: dict[str, Table] = {}
    for each in FAMILIES:
        if each.table in wanted and (table := layers.read(each.table, each.settings())) is not None:
            tables[each.table] = table
    layers.finish()
    assert common is not None
    return Site(common, tables, layers=layers)


def read_site(
    file: Path | str | None = None,
    *,
    only: str | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Sequence[str] = (),
    options: Sequence[Option] = (),
    built_in: Callable[[Path], Mapping[str, Any]] | None = None,
) -> Site:
    """Read a site from its sources, the stronger over the weaker; raises SettingsError.

    ``only`` names the one table that is wanted, present in the file or not. ``built_in`` makes the tables of the
    site that is meant where there is no file, from the data directory.
    """

    def layers(base: Mapping[str, Any]) -> Layers:
        made = Layers()
        for table, values in base.items():
            made.lay((table,), values, BUILT_IN)
        if file is not None:
            made.lay_file(file)
        made.lay_environment(os.environ if environ is None else environ)
        made.lay_sets(sets)
        for key, value in options:
            if isinstance(value, str):
                made.lay_text(key, value)
            else:
                made.lay(key, value, "command line")
        return made

    read = layers({})
    if file is None and built_in is not None:
        common = read.read("common", CommonSettings)
        read.finish()
        read = layers(built_in(common.data if common else Path()))
    read.check_tables(["common", *(each.table for each in FAMILIES)])
    wanted = [only] if only else [name for name in read.values if name != "common"]
    site = _site(read, wanted)
    if not site.tables:
        names = ", ".join(f"[{each.table}]" for each in FAMILIES)
        raise SettingsError([f"{file or 'settings'}: there is nothing to serve; add one of {names}"])
    return attrs.evolve(site, built_in=file is None and built_in is not None)


def known_tables(wanted: Sequence[str] | None = None) -> dict[str, type[Table]]:
    """The classes of ``common`` and of the wanted tables (all of them by default)."""
    names = [each.table for each in FAMILIES] if wanted is None else wanted
    return {"common": CommonSettings, **{name: family(name).settings() for name in names}}
