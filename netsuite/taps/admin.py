"""``twistd netsuite-admin``: the admin port alone, on a server of its own."""

from __future__ import annotations

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-admin``."""

    table = "admin"
    longdesc = "Metrics for Prometheus, health for load balancers, a page for people."


makeService = make_service  # noqa: N816 - twistd's name for it
