"""What the command line can ask about a site without running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netsuite.common import toml
from netsuite.common.errors import StartError
from netsuite.common.explain import explanation, written
from netsuite.common.settings import Table
from netsuite.common.sources import DEFAULT, SettingsError, nearest
from netsuite.interfaces import IControlled
from netsuite.suite.assembly import Assembly
from netsuite.suite.builtin import write_missing
from netsuite.suite.families import FAMILIES, summaries
from netsuite.suite.site import Site, known_tables

__all__ = ["check", "explain", "explain_answer", "print_config"]


def check(site: Site, reactor: Any) -> str:
    """Build everything and read every file, without opening a port; one line, or StartError for the first fault.

    The files of the built-in site are written where they are missing.
    """
    assembly = Assembly(site, reactor)
    if site.built_in:
        write_missing(assembly.commons.data, site.trackers)
    assembly.build()
    assembly.check()
    return f"fine: {', '.join(service.name or '?' for service in assembly.services)}"


def explain_answer(site: Site, reactor: Any, question: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps to a name server's answer (:mod:`netsuite.dns.authoritative.explain`), from the zones' files."""
    assembly = Assembly(site, reactor)
    if site.built_in:
        write_missing(assembly.commons.data)
    assembly.build()
    for service in assembly.services:
        if service.name == "dns":
            service.check()
    control: Any = assembly.commons.offers.find(IControlled, "dns")
    if control is None:
        raise StartError("this site has no [dns] table: there is nothing to explain")
    steps: list[dict[str, Any]] = control.explain(question)
    return steps


def print_config(site: Site) -> str:
    """The effective settings as a site file, each with its origin beside it."""
    return "\n\n".join("\n".join(_table(site, (name,), table)) for name, table in _present(site)) + "\n"


def explain(site: Site, key: str | None) -> str:
    """What is to be known about a key or a table; raises SettingsError if there is none of that name.

    Without a key, what tables there are.
    """
    if key is None:
        return "\n".join(f"{f'[{table}]':<11} {text}" for table, text in summaries().items())
    tables = known_tables()
    lines = explanation(key, tables, site.present)
    if lines is None:
        table, _, rest = key.partition(".")
        if table in tables and rest:
            near, known = nearest(rest, tables[table].model_fields), tables[table].model_fields
            hint = f"did you mean {table}.{near}?" if near else f"[{table}] has {', '.join(known)}"
        else:
            near = nearest(table, tables)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(tables)}"
        raise SettingsError([f"explain: {key}: unknown; {hint}"])
    return "\n".join(lines)


def _present(site: Site) -> Iterator[tuple[str, Table]]:
    yield "common", site.common
    for each in FAMILIES:
        if each.table in site.tables:
            yield each.table, site.tables[each.table]


def _table(site: Site, key: tuple[str, ...], table: Table) -> list[str]:
    lines, below = [f"[{toml.key(key)}]"], []
    for name in type(table).model_fields:
        value = getattr(table, name)
        origin = " ".join((site.layers.origin((*key, name)) if site.layers else DEFAULT).split())
        if isinstance(value, list | tuple) and value and isinstance(value[0], Table):
            for each in value:
                below += ["", f"[[{toml.key((*key, name))}]]  # {origin}"]
                below += [
                    f"{toml.key([inner])} = {written(getattr(each, inner))}"
                    for inner in type(each).model_fields
                    if getattr(each, inner) is not None
                ]
        elif isinstance(value, Table):
            below += ["", *_table(site, (*key, name), value)]
        elif value is None:
            lines.append(f"# {toml.key([name])} is not set")
        else:
            lines.append(f"{toml.key([name])} = {written(value)}  # {origin}")
    return lines + below
