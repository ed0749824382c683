"""``twistd netsuite-upper``: the upper-case servers alone."""

from __future__ import annotations

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-upper``."""

    table = "upper"
    longdesc = "The textbook's upper-case servers, UDP and TCP."


makeService = make_service  # noqa: N816 - twistd's name for it
