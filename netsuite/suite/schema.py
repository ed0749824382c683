"""The site file described for programs and for people: a JSON Schema, and a page of reference.

``python -m netsuite.suite.schema [FOLDER]`` writes both (into ``docs/reference``). Editors that know the schema
complete and check a ``netsuite.toml`` whose first line is ``#:schema netsuite.schema.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from netsuite.common.explain import Entry, entries
from netsuite.suite.families import summaries
from netsuite.suite.site import known_tables

__all__ = ["pages", "reference", "schema"]

_HEAD = """# Settings

*Made from the settings' own descriptions by `python -m netsuite.suite.schema`; do not edit.*

A site file is TOML; every table is optional, and a table that is there is a server that runs. The environment is
stronger than the file (`NETSUITE_DNS__LISTEN` is `dns.listen`), the command line stronger than both
(`--set dns.listen=10053`, and the named options of the plugins). What they hold is TOML, in which plain text needs no
quotes and a list may be separated by commas. Relative paths start at the site file's folder, or at the working
directory where there is no file and for what the environment and the command line say.

`--explain KEY` says all this about one key, and what it is now; `--print-config` prints every value with its origin.
For editors there is a [JSON Schema](netsuite.schema.json).
"""


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a whole site file."""
    tables = known_tables()
    places, definitions = models_json_schema(
        [(model, "validation") for model in tables.values()], ref_template="#/$defs/{model}"
    )
    properties = {name: places[model, "validation"] for name, model in tables.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "netsuite.toml",
        "description": "A site of netsuite servers: every table is optional.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **definitions,
    }


def reference() -> str:
    """The page of reference, as Markdown."""
    about = summaries()
    lines = [_HEAD]
    for name, model in known_tables().items():
        lines += [f"## [{name}]", "", f"{about[name][0].upper()}{about[name][1:]}.", ""]
        found = list(entries((name,), model))
        lines += _rows(entry for entry in found if len(entry.key) == 2)
        for above in sorted({entry.key[:-1] for entry in found if len(entry.key) > 2}):
            below = [entry for entry in found if entry.key[:-1] == above]
            title = ".".join(above)
            lines += [f"### [[{title}]]" if below[0].many else f"### [{title}]", "", *_rows(iter(below))]
    return "\n".join(lines)


def _rows(found: Iterator[Entry]) -> list[str]:
    rows = [
        f"| `{entry.key[-1]}` | {_cell(entry.type)} | {_default(entry)} | {_cell(entry.description)} |"
        for entry in found
    ]
    return ["| key | type | default | meaning |", "|---|---|---|---|", *rows, ""]


def _default(entry: Entry) -> str:
    return _cell(entry.default if entry.default.startswith(("none:", "not set")) else f"`{entry.default}`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def pages(folder: Path) -> dict[Path, str]:
    """Both files, and what must be in them."""
    return {
        folder / "netsuite.schema.json": json.dumps(schema(), indent=2) + "\n",
        folder / "settings.md": reference(),
    }


def main(arguments: list[str]) -> None:
    """Write them."""
    for path, text in pages(Path(arguments[0] if arguments else "docs/reference")).items():
        path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
