"""``netsuite status``: how the site that runs on a data directory is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netsuite.cli.options import add_site, site
from netsuite.suite.control import ask

__all__ = ["add", "report"]


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "status",
        help="show the services of the running site",
        description="Ask the process that runs on a data directory for its services: where they listen, whether they "
        "are well, and what they count. The exit status is 0 if all are well, 1 if not or if nothing runs.",
    )
    add_site(command)
    command.add_argument("--data", metavar="DIR", help="the data directory (default: common.data of the site)")
    command.add_argument("--json", action="store_true", help="print the answer as JSON")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask and print."""
    data = Path(options.data) if options.data else site(options).common.data
    found = ask(data, "status")["status"]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(report(found)))
    return 0 if found["ok"] else 1


def report(found: dict[str, Any]) -> Iterator[str]:
    """The answer as lines for a person."""
    workers = f" and {found['workers']} workers" if found["workers"] else ""
    yield f"netsuite {found['version']}, process {found['pid']}{workers}, up {_span(found['uptime'])}"
    for each in found["services"]:
        well = "well" if each["ok"] else "NOT WELL"
        yield f"{each['name']:<9} {well}{': ' if each['detail'] else ''}{each['detail']}"
        for address in each["addresses"]:
            yield f"  {address['address']}"
        figures = ", ".join(f"{_number(figure['value'])} {figure['name']}" for figure in each["figures"])
        if figures:
            yield f"  {figures}"


def _span(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"


def _number(count: float) -> str:
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.2f}"
