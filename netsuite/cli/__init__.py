"""The operator's command, ``netsuite``: set up and ask a site; users, mail, zones, answers, the cache, torrents."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from netsuite import __version__
from netsuite.cli import cache, check, dns, explain, freeze, init, queue, status, torrent, user, zone
from netsuite.common.errors import StartError

__all__ = ["main", "parser"]


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    made = argparse.ArgumentParser(
        prog="netsuite",
        description="Set up and look after a netsuite site. A site is run by `twistd -n netsuite -c netsuite.toml`, "
        "or without a file by `twistd -n netsuite`, which serves the built-in site on loopback.",
    )
    made.add_argument("--version", action="version", version=f"netsuite {__version__}")
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for each in (init, check, explain, freeze, status, user, queue, zone, dns, cache, torrent):
        each.add(commands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit status. What goes wrong is one line (each) on standard error."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return status
