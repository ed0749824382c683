"""``twistd netsuite``: all tables of a site file, or the built-in site."""

from __future__ import annotations

from netsuite.suite.builtin import tables
from netsuite.taps.base import SiteOptions, make_service

__all__ = ["Options", "makeService"]


class Options(SiteOptions):
    """Options of ``netsuite``."""

    built_in = staticmethod(tables)
    longdesc = "All servers that the site file names; without one, the built-in site on loopback."


makeService = make_service  # noqa: N816 - twistd's name for it
