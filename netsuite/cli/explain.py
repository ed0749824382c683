"""``netsuite explain``: what a setting is for, and what it is."""

from __future__ import annotations

import argparse
from typing import Any

from netsuite.cli.options import add_site, site
from netsuite.suite.check import explain

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "explain",
        help="say what a setting is for",
        description="Say what a setting or a table is for, its type and default, what it is now and where that comes "
        "from. Without a key, the tables are listed.",
    )
    command.add_argument("key", metavar="KEY", nargs="?", help="such as dns.listen, or dns")
    add_site(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what is to be known."""
    print(explain(site(options), options.key))
    return 0
