"""``netsuite init``: a site of one's own to start from."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from typing import Any

from netsuite.common.errors import StartError

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "init",
        help="write a site file, a zone and a first page to start from",
        description="Write netsuite.toml with every setting of everyday use explained, a zone and a folder of pages. "
        "Files that are there already are left as they are.",
    )
    command.add_argument("folder", metavar="DIR", nargs="?", default=".", help="where to (%(default)s)")
    command.add_argument("--domain", default="example.test", help="the site's domain (%(default)s)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write what is missing; say what was written and what comes next."""
    folder = Path(options.folder)
    domain = options.domain.strip(".").lower()
    if not domain or not all(label.replace("-", "").replace("_", "").isalnum() for label in domain.split(".")):
        raise StartError(f"--domain {options.domain}: this is no domain name")
    for name, text in _starters():
        path = folder / name.replace("DOMAIN", domain)
        if path.exists():
            print(f"kept   {path}")
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("example.test", domain))
        except OSError as error:
            raise StartError(f"{path}: cannot be written: {error.strerror}") from error
        print(f"wrote  {path}")
    print(f"\nStart it:   twistd -n netsuite -c {folder / 'netsuite.toml'}")
    print(f"Check it:   netsuite check -c {folder / 'netsuite.toml'}")
    return 0


def _starters() -> list[tuple[str, str]]:
    """The files of a new site: their names, and their text for the domain ``example.test``."""
    templates = files("netsuite.cli") / "templates"
    return [
        ("netsuite.toml", (templates / "netsuite.toml").read_text()),
        ("DOMAIN.zone", (templates / "example.test.zone").read_text()),
        ("site/index.html", (templates / "site" / "index.html").read_text()),
    ]
