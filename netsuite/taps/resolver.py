"""``twistd netsuite-resolver``: the caching name server alone."""

from __future__ import annotations

from twisted.python.usage import CompleteFiles, Completions

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-resolver``."""

    table = "resolver"
    synopsis = "[options] netsuite-resolver [options]"
    longdesc = "A caching, iterative name server, UDP and TCP."
    optParameters = [
        ["root-hints", None, None, "A master file with the root's servers, in place of the IANA's."],
        ["upstream-port", None, None, "The port that name servers are asked on."],
    ]
    texts = {"root-hints": "root_hints", "upstream-port": "upstream_port"}
    compData = Completions(optActions={"root-hints": CompleteFiles()})

    def opt_forward(self, text: str) -> None:
        """A server (ADDR or ADDR:PORT) to ask instead of iterating from the root; repeatable."""
        self.also(("resolver", "forward"), text)


makeService = make_service  # noqa: N816 - twistd's name for it
