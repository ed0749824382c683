"""What all plugins share: their options, and reading a site from them.

Nothing is opened here: ``makeService`` runs before the fork, the change of directory and the drop of privileges.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from twisted.python.usage import CompleteFiles, Completions, Options, UsageError

from netsuite import __version__
from netsuite.common.errors import StartError
from netsuite.suite.root import Root
from netsuite.suite.site import Option, Site, read_site

__all__ = ["SiteOptions", "TableOptions", "make_service"]


class SiteOptions(Options):
    """The options of every plugin; ``site`` is what they and the other sources say, once they are parsed."""

    table: ClassVar[str | None] = None
    built_in: ClassVar[staticmethod[[Path], Mapping[str, Any]] | None] = None
    site: Site
    synopsis = "[options]"

    optParameters = [
        ["config", "c", None, "The site file, in TOML."],
        ["explain", None, None, "Say what a setting (or a table) is for, and what it is now; then exit."],
    ]
    optFlags = [
        ["check", None, "Read and build everything without opening a port; then exit."],
        ["print-config", None, "Print the effective settings and where each comes from; then exit."],
    ]
    compData = Completions(optActions={"config": CompleteFiles("*.toml")})

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sets: list[str] = []
        self.lists: dict[tuple[str, ...], list[Any]] = {}

    def opt_version(self) -> None:
        """Print netsuite's version and exit."""
        print(f"netsuite {__version__}")  # noqa: T201 - this is what was asked for
        raise SystemExit(0)

    def opt_set(self, text: str) -> None:
        """Set table.key=value, over file and environment; repeatable."""
        self.sets.append(text)

    def opt_listen(self, text: str) -> None:
        """Where a table listens, as TABLE=ADDRESS; repeatable."""
        table, found, address = text.partition("=")
        if not found:
            raise UsageError(f"--listen {text}: write it as TABLE=ADDRESS, such as http=127.0.0.1:8080")
        self.also((table.strip(), "listen"), address.strip())

    def also(self, key: tuple[str, ...], value: Any) -> None:
        """Take one more value for a key that holds a list."""
        self.lists.setdefault(key, []).append(value)

    def named(self) -> list[Option]:
        """What the named options say."""
        return list(self.lists.items())

    def postOptions(self) -> None:
        """Read the site; do what was asked instead of running it."""
        cls = type(self)
        try:
            self.site = read_site(
                self["config"], only=cls.table, sets=self.sets, options=self.named(), built_in=cls.built_in
            )
            if (said := self._instead()) is not None:
                print(said)  # noqa: T201 - this is what was asked for
                raise SystemExit(0)
        except StartError as error:
            sys.exit(str(error))

    def _instead(self) -> str | None:
        from netsuite.suite import check

        if self["explain"] is not None:
            return check.explain(self.site, self["explain"])
        if self["print-config"]:
            return check.print_config(self.site).rstrip("\n")
        if self["check"]:
            from twisted.internet import reactor

            return check.check(self.site, reactor)
        return None


class TableOptions(SiteOptions):
    """The options of a plugin that runs one table, ``table``, whether the site file has it or not.

    ``texts`` maps a named option to the key that it sets.
    """

    texts: ClassVar[Mapping[str, str]] = {}

    def opt_listen(self, text: str) -> None:
        """Where to listen: HOST:PORT, PORT (on 127.0.0.1), secure:HOST:PORT, unix:PATH ...; repeatable."""
        assert self.table is not None
        self.also((self.table, "listen"), text)

    def named(self) -> list[Option]:
        """What the named options say."""
        assert self.table is not None
        texts: list[Option] = [
            ((self.table, key), self[option]) for option, key in self.texts.items() if self[option] is not None
        ]
        return [*super().named(), *texts]


def make_service(options: SiteOptions) -> Root:
    """The root service of the site that was read."""
    return Root(options.site)
