"""``twistd netsuite-http``: the origin server alone."""

from __future__ import annotations

from twisted.python.usage import CompleteDirs, Completions

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-http``."""

    table = "http"
    texts = {"root": "root"}
    longdesc = "An HTTP server for a folder of files."
    optParameters = [["root", None, None, "The folder to serve."]]
    compData = Completions(optActions={"root": CompleteDirs()})


makeService = make_service  # noqa: N816 - twistd's name for it
