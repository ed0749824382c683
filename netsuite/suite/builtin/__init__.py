"""The site that runs where there is no site file: all servers on loopback, with the domain ``example.test``.

Its zones and pages, and what its peer shares, are files in the data directory, written where they are missing, so that
whoever edits them keeps what they wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from netsuite.common.datadir import DataDirectory
from netsuite.suite.builtin import sample
from netsuite.suite.builtin.people import FIRST_RUN, PEOPLE, settle
from netsuite.suite.builtin.sample import share
from netsuite.suite.families import FAMILIES

__all__ = ["FIRST_RUN", "example_files", "people", "share", "tables", "write_missing"]

DOMAIN = "example.test"


def tables(data: Path) -> dict[str, Any]:
    """The tables of the site file that it does not need; the paths are those in the data directory."""
    zones = data / "zones"
    described: dict[str, Any] = {
        "dns": {
            "listen": ["127.0.0.1:10053"],
            "zone": [
                {"name": DOMAIN, "file": str(zones / f"{DOMAIN}.zone")},
                {"name": ".", "file": str(zones / "root.zone"), "listen": ["127.0.0.2:10053"]},
                {"name": "test", "file": str(zones / "test.zone"), "listen": ["127.0.0.3:10053"]},
            ],
        },
        "resolver": {
            "listen": ["127.0.0.1:10054"],
            "root_hints": str(zones / "root.hints"),
            "upstream_port": 10053,
            "ipv6": False,
        },
        # a minute of freshness, since caches guess none for files that were written just now
        "http": {
            # browsers refuse to open port 10080 (it once was Amanda's); 10088 is for them
            "listen": ["127.0.0.1:10080", "127.0.0.1:10088", "secure:127.0.0.1:10443"],
            "root": str(data / "www"),
            "max_age": 60,
        },
        "proxy": {"listen": ["127.0.0.1:10081"]},
        "upper": {"listen": ["127.0.0.1:12000"]},
        "mail": {
            "imap": ["127.0.0.1:10143", "secure:127.0.0.1:10993"],
            "pop3": ["127.0.0.1:10110", "secure:127.0.0.1:10995"],
        },
        "smtp": {
            "listen": ["127.0.0.1:10025"],
            "submission": ["127.0.0.1:10587", "secure:127.0.0.1:10465"],
            "domains": [DOMAIN],
        },
        "tracker": {"http": ["127.0.0.1:16969"], "udp": ["127.0.0.1:16969"]},
        "peer": {
            "listen": ["127.0.0.1:16881"],
            "torrents": str(data / sample.TORRENTS),
            "save": str(data / sample.FOLDER),
        },
        "admin": {"listen": ["127.0.0.1:10090"]},
    }
    common = {"domains": [DOMAIN, "localhost"]}
    return {"common": common, **{each.table: described[each.table] for each in FAMILIES if each.table in described}}


def example_files() -> Iterator[tuple[str, bytes]]:
    """Every file of the site, as its name below the data directory and its bytes."""

    def below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
        for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if each.is_dir():
                yield from below(each, f"{prefix}{each.name}/")
            else:
                yield f"{prefix}{each.name}", each.read_bytes()

    return below(files(__name__) / "data", "")


def write_missing(data: DataDirectory, trackers: Sequence[str] = ()) -> None:
    """Write the files that are not there; StartError if they cannot be written.

    ``trackers`` are the addresses at which the site's tracker listens for HTTP.
    """
    for name, content in example_files():
        if not data.at(name).exists():
            data.write(name, content, 0o644)
    share(data, trackers)


def people(data: DataDirectory) -> list[str]:
    """Have alice and bob, as users; on the first run the lines of FIRST_RUN, a name and a password each."""
    return settle(data, [f"{name}@{DOMAIN}" for name in PEOPLE], DOMAIN)
