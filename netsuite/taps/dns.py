"""``twistd netsuite-dns``: the authoritative name server alone."""

from __future__ import annotations

from pathlib import Path

from twisted.python.usage import UsageError

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-dns``."""

    table = "dns"
    longdesc = "An authoritative name server, UDP and TCP."

    def opt_zone(self, text: str) -> None:
        """A zone to serve and its master file, as NAME=FILE; repeatable."""
        name, found, file = text.rpartition("=")
        if not found or not name or not file:
            raise UsageError(f"--zone {text}: write it as NAME=FILE, such as example.test=example.test.zone")
        self.also(("dns", "zone"), {"name": name, "file": str(Path(file).expanduser().absolute())})


makeService = make_service  # noqa: N816 - twistd's name for it
