"""``netsuite dns``: why the name server answers what it answers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from netsuite.cli.options import add_site, site
from netsuite.suite.control import NothingRuns, ask

__all__ = ["add"]

_PATIENCE: Final = 15.0


def add(commands: Any) -> None:
    """Add the command and what it can do to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "dns", help="ask the name server about itself", description="Ask the name server about itself."
    )
    actions = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    action = actions.add_parser(
        "explain",
        help="say step by step why an answer is what it is",
        description="Say step by step why the answer to a question is what it is, then print it. A running site is "
        "asked; where none runs, the zones are read from their files.",
    )
    action.add_argument("name", metavar="NAME", help="the name that is asked for")
    action.add_argument("type", metavar="TYPE", nargs="?", default="A", help="the type, such as MX (default: A)")
    action.add_argument(
        "--client", metavar="ADDR", default="127.0.0.1", help="the address that asks (default: 127.0.0.1)"
    )
    action.add_argument("--at", metavar="LISTEN", help="the address that is asked (default: the first with the zone)")
    action.add_argument("--tcp", action="store_true", help="as over TCP, without UDP's limit of size")
    action.add_argument("--dnssec", action="store_true", help="with signatures and proofs")
    action.add_argument("--json", action="store_true", help="print the steps as JSON")
    add_site(action)
    action.add_argument("--data", metavar="DIR", help="the data directory (default: common.data of the site)")
    action.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask the running site, or read the zones; print the steps."""
    wanted = {key: getattr(options, key) for key in ("name", "type", "client", "at", "tcp", "dnssec")}
    details = {key: value for key, value in wanted.items() if value is not None}
    data = Path(options.data) if options.data else site(options).common.data
    try:
        steps = ask(data, "dns", _PATIENCE, do="explain", **details)["steps"]
    except NothingRuns:
        steps = _from_files(options, details)
    if options.json:
        print(json.dumps(steps, indent=1))
        return 0
    for number, step in enumerate(steps, 1):
        print(f"{number:>3}  {step['step']:<9} {step['text']}")
    print("", steps[-1]["message"], sep="\n")
    return 0


def _from_files(options: argparse.Namespace, details: dict[str, Any]) -> list[dict[str, Any]]:
    from twisted.internet import reactor

    from netsuite.suite.check import explain_answer

    steps = explain_answer(site(options), reactor, details)
    text = "nothing runs: zones are as in their files, without what was changed, copied or signed since"
    return [{"step": "offline", "text": text}, *steps]
