"""``twistd netsuite-resolver``: the caching name server alone."""

from __future__ import annotations

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-resolver``."""

    table = "resolver"
    texts = {"root-hints": "root_hints", "upstream-port": "upstream_port"}
    longdesc = "A caching name server that iterates from the root, or forwards; UDP and TCP."
    optParameters = [
        ["root-hints", None, None, "A master file with the root's servers, instead of the IANA's."],
        ["upstream-port", None, None, "The port that name servers are asked on (53)."],
    ]

    def opt_forward(self, text: str) -> None:
        """A server (ADDRESS or ADDRESS:PORT) to ask instead of iterating from the root; repeatable."""
        self.also(("resolver", "forward"), text)


makeService = make_service  # noqa: N816 - twistd's name for it
