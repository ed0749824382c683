"""``twistd netsuite-proxy``: the caching proxy alone."""

from __future__ import annotations

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-proxy``."""

    table = "proxy"
    texts = {"origin": "origin"}
    longdesc = "A caching HTTP proxy: a forward proxy, or with --origin a reverse one."
    optParameters = [["origin", None, None, "The URL of the server that it stands before."]]


makeService = make_service  # noqa: N816 - twistd's name for it
