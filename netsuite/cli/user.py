"""``netsuite user``: who may log in."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from pathlib import Path
from typing import Any, Final

from netsuite.cli.options import add_site, site
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import InUse, StartError
from netsuite.suite.control import NothingRuns, ask
from netsuite.suite.users import answer_alone

__all__ = ["add"]

PATIENCE: Final = 15.0
"""Seconds to wait while a site starts or stops, or another command is at work."""

_COMMANDS: Final = {
    "add": ("let somebody log in", "Add a user.", "added"),
    "passwd": ("change a user's password", "Change a user's password. It is in force at once.", "changed"),
    "remove": ("let somebody log in no more", "Remove a user. What is kept for it, such as mail, stays.", "removed"),
    "list": ("name all users", "Print the users, one a line.", ""),
}


def add(commands: Any) -> None:
    """Add the command and what it can do to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "user",
        help="say who may log in",
        description="Add, change, remove and name the users of a site, running or not. A name without a domain is at "
        "the site's first one. A password is asked for twice, or is one line of standard input if that is no terminal.",
    )
    actions = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for do, (summary, description, _) in _COMMANDS.items():
        action = actions.add_parser(do, help=summary, description=description)
        if do != "list":
            action.add_argument("name", metavar="NAME", help="who, such as alice or alice@example.test")
        add_site(action)
        action.add_argument("--data", metavar="DIR", help="the data directory (default: common.data of the site)")
        action.set_defaults(run=run, do=do)


def run(options: argparse.Namespace) -> int:
    """Ask the running site, or do it in its place; print what came of it."""
    request = {"do": options.do}
    if options.do != "list":
        request["name"] = options.name
    data, domains = _place(options)
    if options.do in ("add", "passwd"):
        request["password"] = _password()
    answer = _answer(data, domains, request)
    if options.do == "list":
        print(*answer["names"], sep="\n", end="\n" if answer["names"] else "")
    else:
        print(f"{answer['name']}: {_COMMANDS[options.do][2]}")
    return 0


def _place(options: argparse.Namespace) -> tuple[Path, list[str]]:
    """The data directory, and the domains of names that have none."""
    if options.data and not options.config and not options.set:
        return Path(options.data), ["localhost"]
    common = site(options).common
    return Path(options.data) if options.data else common.data, common.domains


def _password() -> str:
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = getpass.getpass("Password: ")
        if password and getpass.getpass("Once more: ") != password:
            raise StartError("the two passwords differ: nothing was changed")
    if not password:
        raise StartError("the password is empty: nothing was changed")
    return password


def _answer(path: Path, domains: list[str], request: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(path, "user", PATIENCE, **request)
        except NothingRuns:
            pass
        data = DataDirectory(path)
        try:
            data.lock("netsuite")
        except InUse:  # it is not ready yet, or another command does the same as this one
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
            continue
        try:
            return answer_alone(data, domains, request)
        finally:
            data.release()
