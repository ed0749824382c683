"""``netsuite cache``: what the caching proxy has stored, and why it answers as it does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from netsuite.cli.options import add_site, site
from netsuite.suite.control import ask

__all__ = ["add"]

_PATIENCE: Final = 30.0


def add(commands: Any) -> None:
    """Add the command and what it can do to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "cache", help="look into the proxy's cache", description="Look into the cache of a running proxy."
    )
    actions = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_explain(actions)


def _action(actions: Any, name: str, summary: str, run: Any, description: str = "") -> argparse.ArgumentParser:
    """One of the things to do, with the options that all have."""
    action: argparse.ArgumentParser = actions.add_parser(
        name, help=summary, description=description or f"{summary[0].upper()}{summary[1:]}."
    )
    action.add_argument("--json", action="store_true", help="print the answer as JSON")
    add_site(action)
    action.add_argument("--data", metavar="DIR", help="the data directory (default: common.data of the site)")
    action.set_defaults(run=run)
    return action


def _asked(options: argparse.Namespace, do: str, **details: Any) -> dict[str, Any]:
    """What the running proxy answers; raises StartError."""
    data = Path(options.data) if options.data else site(options).common.data
    return ask(data, "cache", _PATIENCE, do=do, **details)


def _add_explain(actions: Any) -> None:
    action = _action(
        actions,
        "explain",
        "say why a request is answered from the store or not",
        _explain,
        "Say what is stored for a URL, which of it a request selects and why not the others, what would be done, by "
        "which section of which RFC, and what would make it different. Nothing is fetched or changed.",
    )
    action.add_argument("url", metavar="URL", help="as the proxy's clients ask for it")
    action.add_argument("--method", metavar="METHOD", default="GET", help="the request's method (default: GET)")
    action.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        dest="headers",
        action="append",
        default=[],
        help="a field of the request; may repeat",
    )


def _explain(options: argparse.Namespace) -> int:
    """Print the decision and what it stands on."""
    answer = _asked(options, "explain", url=options.url, method=options.method, headers=options.headers)
    print(json.dumps(answer["explanation"], indent=1) if options.json else "\n".join(answer["lines"]))
    return 0
