"""``netsuite freeze``: a site's settings as a ``.tap`` file for ``twistd -no -f``."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

from netsuite.cli.options import add_site, site
from netsuite.common.errors import StartError

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "freeze",
        help="write a site's settings into a .tap file",
        description="Write the effective settings (file, environment and --set) into a .tap file, to be run by "
        "`twistd -no -f FILE`. Paths in it are absolute. It is a pickle: run only files that you trust.",
    )
    add_site(command)
    command.add_argument(
        "-o", "--output", metavar="FILE", default="site.tap", help="what to write (default: %(default)s)"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file, whole or not at all."""
    from netsuite.suite.root import assembled

    path = Path(options.output)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    frozen = pickle.dumps(assembled(site(options)), protocol=4)
    try:
        draft.touch(0o600)
        draft.write_bytes(frozen)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StartError(f"{path}: cannot be written: {error.strerror}") from error
    print(f"{path} is written; run it with: twistd -no -f {path}")
    return 0
