"""``reference/commands.md``: every option of every plugin and of the ``netsuite`` command, as they define them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

from netsuite.cli import parser

HEAD = """# Commands

*Made from the commands themselves by `python -m docs._ext.generate`; do not edit.*

Every server is a plugin of Twisted's `twistd`. Options before the plugin's name are `twistd`'s own, of which two are
for every day: `-n` stays in the foreground, `--pidfile=` writes no process id; options after it are listed here. A
setting that has no option of its own is set with `--set table.key=value`, in the site file or in the environment: see
[Settings](settings.md).
"""

TWISTED_OWN = ("version", "help")
"""Options that Twisted gives to every plugin."""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    return ["| option | meaning |", "|---|---|", *(f"| `{option}` | {_cell(words)} |" for option, words in rows), ""]


def _plugin(maker: Any) -> list[str]:
    options = maker.options()
    short = {name: letter for letter, name in options.synonyms.items() if len(letter) == 1}
    rows = []
    for long in sorted(options.longOpt):
        name = long.rstrip("=")
        if name not in TWISTED_OWN:
            letter = f"-{short[name]}, " if name in short else ""
            value = f" {name.upper().replace('-', '_')}" if long.endswith("=") else ""
            rows.append((f"{letter}--{name}{value}", options.docs.get(name) or ""))
    about = _cell(getattr(options, "longdesc", "") or maker.description)
    return [f"## twistd {maker.tapname}", "", about, "", *_table(rows)]


def _command(name: str, command: argparse.ArgumentParser) -> list[str]:
    rows = []
    for action in command._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
        option = (", ".join(action.option_strings) + value) if action.option_strings else value.strip()
        rows.append((option, (action.help or "") % {"default": action.default, "prog": name}))
    return [f"## {name}", "", _cell(command.description or ""), "", *(_table(rows) if rows else [])]


def _commands(name: str, command: argparse.ArgumentParser) -> list[str]:
    """A command and all below it."""
    lines = _command(name, command)
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                lines += _commands(f"{name} {word}", below)
    return lines


def page() -> str:
    """The page as Markdown."""
    lines = [HEAD]
    makers = [maker for maker in getPlugins(IServiceMaker) if maker.module.startswith("netsuite.")]
    for maker in sorted(makers, key=lambda maker: (maker.tapname != "netsuite", maker.tapname)):
        lines += _plugin(maker)
    top = parser()
    lines += _commands("netsuite", top)
    return "\n".join(lines)
