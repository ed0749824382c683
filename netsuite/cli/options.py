"""Options that several commands have."""

from __future__ import annotations

import argparse

from netsuite.suite.builtin import tables
from netsuite.suite.site import Site, read_site

__all__ = ["add_site", "site"]


def add_site(command: argparse.ArgumentParser) -> None:
    """Let a command be told which site it is about."""
    command.add_argument("-c", "--config", metavar="FILE", help="the site file; without it, the built-in site")
    command.add_argument(
        "--set",
        metavar="TABLE.KEY=VALUE",
        action="append",
        default=[],
        help="set one value over those of the file and the environment; repeatable",
    )


def site(options: argparse.Namespace) -> Site:
    """The site that the options name; raises SettingsError."""
    return read_site(options.config, sets=options.set, built_in=tables)
