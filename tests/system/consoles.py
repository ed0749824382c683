"""Console sessions in Markdown: found, run in a shell, and compared with what the page says they print."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOREIGN = ("aria2c", "curl", "dig", "kdig", "openssl")
"""Programs that a page may use and a machine may lack."""

_TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"

SHIMS = {
    "twistd": f'exec "{sys.executable}" -c "{_TWISTD}" "$@"',
    "python": f'exec "{sys.executable}" "$@"',
    "netsuite": f'exec "{sys.executable}" -c "import sys; from netsuite.cli import main; sys.exit(main())" "$@"',
}
"""Commands that a set-up checkout has on its path, as shell scripts."""

_LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Command(NamedTuple):
    """A command, and what the page says it prints; empty if the page says nothing."""

    line: int
    command: str
    expected: str


def sessions(markdown: str) -> Iterator[Command]:
    """The commands of all ``console`` blocks, in order; a line that begins with ``$`` starts one."""
    for block in re.finditer(r"^```console\n(.*?)^```", markdown, re.S | re.M):
        first = markdown.count("\n", 0, block.start(1)) + 1
        lines = block[1].splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        for number, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            expected = "".join(line + "\n" for line in lines[number + 1 : end])
            yield Command(first + number, lines[number][2:], expected)


def missing(commands: list[Command]) -> list[str]:
    """The foreign programs that these commands need and that are not installed."""
    words = {word for each in commands for word in re.findall(r"[\w-]+", each.command)}
    return [program for program in FOREIGN if program in words and not shutil.which(program)]


def alike(expected: str, printed: str) -> bool:
    """Whether the output is as the page has it: ``...`` stands for anything, white space is free."""
    return not expected or doctest.OutputChecker().check_output(expected, printed, _LENIENT)


def run(commands: list[Command], folder: Path, environment: dict[str, str], *, seconds: float = 120) -> list[str]:
    """What each command prints, all in one shell in a folder, with the shims on its path."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, body in SHIMS.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (bin_folder / name).chmod(0o755)
    # No proxy of the machine may come between a page and its own site.
    quiet = {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
    mark = "=====the next command====="
    done = subprocess.run(
        ["sh", "-c", "".join(f"{each.command}\nprintf '\\n{mark}\\n'\n" for each in commands)],
        cwd=folder,
        env={**quiet, "PATH": f"{bin_folder}{os.pathsep}{environment['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    return done.stdout.split(f"\n{mark}\n")[:-1]
