"""``twistd netsuite-ftp``: the FTP server alone."""

from __future__ import annotations

from twisted.python.usage import CompleteDirs, Completions

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-ftp``."""

    table = "ftp"
    texts = {"root": "root"}
    longdesc = "An FTP server for a folder of files."
    optParameters = [["root", None, None, "The folder to serve."]]
    compData = Completions(optActions={"root": CompleteDirs()})


makeService = make_service  # noqa: N816 - twistd's name for it
