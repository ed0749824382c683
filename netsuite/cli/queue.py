"""``netsuite queue``: the mail that waits."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from netsuite.cli.options import add_site, site
from netsuite.suite.control import ask

__all__ = ["add"]

_PATIENCE: Final = 15.0
_COMMANDS: Final = {
    "list": ("name all messages that wait", "Print the messages that wait, the oldest first."),
    "show": ("tell all about one message", "Print one message's recipients, what servers said, and its header."),
    "flush": ("try now", "Try one message now, or all, whenever they are due."),
}


def add(commands: Any) -> None:
    """Add the command and what it can do to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "queue", help="look after the mail that waits", description="Look after the mail that waits in a running site."
    )
    actions = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for do, (summary, description) in _COMMANDS.items():
        action = actions.add_parser(do, help=summary, description=description)
        if do != "list":
            action.add_argument("id", metavar="ID", nargs=None if do == "show" else "?", help="the message's queue id")
        add_site(action)
        action.add_argument("--data", metavar="DIR", help="the data directory (default: common.data of the site)")
        action.set_defaults(run=run, do=do)


def run(options: argparse.Namespace) -> int:
    """Ask the running site; print what it answers."""
    data = Path(options.data) if options.data else site(options).common.data
    request = {"do": options.do}
    if getattr(options, "id", None) is not None:
        request["id"] = options.id
    answer = ask(data, "queue", _PATIENCE, **request)
    if options.do == "flush":
        print(f"{answer['count']} tried now")
        return 0
    if options.do == "show":
        print(*_message(answer["message"]), sep="\n")
        print("", answer["header"].replace("\r\n", "\n"), sep="\n")
        return 0
    for message in answer["messages"]:
        print(*_message(message), "", sep="\n")
    shown = len(answer["messages"])
    print(f"{answer['count']} waiting" + (f", the oldest {shown} shown" if shown < answer["count"] else ""))
    return 0


def _message(message: Mapping[str, Any]) -> list[str]:
    """A message in lines."""
    when = "under way" if message["under_way"] else f"due {_time(message['due'])}"
    sender = message["sender"] or "(a report)"
    lines = [f"{message['id']}  {message['size']} bytes  from {sender}  arrived {_time(message['arrived'])}  {when}"]
    for address, state, said, _ in message["recipients"]:
        lines.append(f"    {address}  {state}" + (f": {said}" if said else ""))
    return lines


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
