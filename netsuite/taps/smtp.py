"""``twistd netsuite-smtp``: the mail relay alone."""

from __future__ import annotations

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-smtp``."""

    table = "smtp"
    texts = {"hostname": "hostname"}
    longdesc = "A mail relay with a durable queue."
    optParameters = [["hostname", None, None, "The name that the server says it has."]]

    def opt_submission(self, text: str) -> None:
        """Where users hand in mail: HOST:PORT (STARTTLS) or secure:HOST:PORT; repeatable."""
        self.also(("smtp", "submission"), text)

    def opt_domain(self, text: str) -> None:
        """A domain whose mail is delivered here (needs a [mail] table); repeatable."""
        self.also(("smtp", "domains"), text)

    def opt_relay_domain(self, text: str) -> None:
        """A domain whose mail is taken from anyone and passed on; repeatable."""
        self.also(("smtp", "relay_domains"), text)

    def opt_route(self, text: str) -> None:
        """Where a domain's mail goes instead of to its MX, as DOMAIN=HOST:PORT; repeatable."""
        self.also(("smtp", "route"), text)


makeService = make_service  # noqa: N816 - twistd's name for it
