"""``netsuite zone``: the zones of a running site, their versions, and what is delegated from them."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from netsuite.cli import zonefile
from netsuite.cli.options import add_site, site
from netsuite.suite.control import ask

__all__ = ["add"]

_PATIENCE: Final = 30.0
_COMMANDS: Final = {
    "list": "name the zones of a running site",
    "log": "tell the versions of a zone that are kept, and what made them",
    "rollback": "make a new version that says what an older one said",
    "delegate": "delegate a name to name servers, in the zone above it",
    "refresh": "ask the primaries of a copied zone now",
    "keys": "tell the keys that a zone is signed with, and what its parent shall have",
    "rollover": "publish a new key; with --parent-has-it, let it sign",
}


def add(commands: Any) -> None:
    """Add the command and what it can do to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "zone", help="look after zones", description="Look after the zones of a running site, and master files."
    )
    actions = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for do, summary in _COMMANDS.items():
        action = actions.add_parser(do, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if do != "list":
            action.add_argument("name", metavar="NAME", help="the zone" if do != "delegate" else "the name to delegate")
        if do != "list":
            action.add_argument("--view", metavar="VIEW", help="the view whose zone is meant, if several have one")
        if do == "rollback":
            action.add_argument("serial", metavar="SERIAL", type=int, help="the version, by its serial")
        if do == "rollover":
            action.add_argument(
                "--parent-has-it", dest="parent", action="store_true", help="the parent has the new key's DS record"
            )
        if do == "delegate":
            action.add_argument(
                "--ns",
                metavar="HOST=ADDRESS",
                dest="servers",
                action="append",
                required=True,
                help="a name server with its address, or without one if it is to be found elsewhere; may repeat",
            )
        add_site(action)
        action.add_argument("--data", metavar="DIR", help="the data directory (default: common.data of the site)")
        action.set_defaults(run=run, do=do)
    zonefile.add(actions)


def run(options: argparse.Namespace) -> int:
    """Ask the running site; print what it answers."""
    data = Path(options.data) if options.data else site(options).common.data
    wanted = {key: getattr(options, key, None) for key in ("name", "serial", "servers", "parent", "view")}
    details = {key: value for key, value in wanted.items() if value is not None}
    answer = ask(data, "zone", _PATIENCE, do=options.do, **details)
    if options.do == "list":
        for zone in answer["zones"]:
            print(_zone(zone))
    elif options.do == "log":
        print(_zone(answer))
        for version in answer["versions"]:
            when = datetime.fromtimestamp(version["when"]).astimezone().isoformat(sep=" ", timespec="seconds")
            print(f"{version['serial']:>10}  {when}  +{version['added']} -{version['removed']}  {version['source']}")
        if answer["versions"]:
            print(f"{answer['versions'][-1]['before']:>10}  the oldest that is kept")
    elif options.do == "rollback":
        print(f"serial {answer['serial']}: {answer['added']} records came, {answer['removed']} went")
    elif options.do == "delegate":
        print(f"{options.name} is delegated in zone {answer['zone']} from serial {answer['serial']} on")
    elif options.do in ("keys", "rollover"):
        print(*answer["lines"], sep="\n")
    else:
        print("asked")
    return 0


def _zone(zone: dict[str, Any]) -> str:
    """A zone in one line."""
    what = "no version" if zone["serial"] is None else f"serial {zone['serial']}, {zone['records']} records"
    return f"{zone['name']}  {what}" + (f"; {zone['trouble']}" if zone["trouble"] else "")
