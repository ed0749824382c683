"""``netsuite check``: whether a site could be started."""

from __future__ import annotations

import argparse
from typing import Any

from netsuite.cli.options import add_site, site

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="say whether a site could be started",
        description="Read a site's settings, zones and other files, and build its servers without opening a port.",
    )
    add_site(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check; StartError says what is wrong."""
    from twisted.internet import reactor

    from netsuite.suite.check import check

    print(check(site(options), reactor))
    return 0
