"""``twistd netsuite-tracker``: the BitTorrent tracker alone."""

from __future__ import annotations

from twisted.python.usage import UsageError

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-tracker``."""

    table = "tracker"
    texts = {"allow-torrents": "allow_torrents", "interval": "interval"}
    longdesc = "A BitTorrent tracker, over HTTP and UDP."
    optParameters = [
        ["allow-torrents", None, None, "A file with the info-hashes that are served, one a line; without it, all."],
        ["interval", None, None, "Seconds after which peers shall announce again."],
    ]

    def opt_http(self, text: str) -> None:
        """Where to listen for announces over HTTP: HOST:PORT, PORT or secure:HOST:PORT; repeatable."""
        self.also(("tracker", "http"), text)

    def opt_udp(self, text: str) -> None:
        """Where to listen for announces over UDP: HOST:PORT or PORT; repeatable."""
        self.also(("tracker", "udp"), text)

    def opt_listen(self, text: str) -> None:
        """Where to listen over both; repeatable."""
        if text.startswith(("secure:", "unix:")):
            raise UsageError(f"--listen {text}: UDP has no such address; use --http and --udp")
        self.opt_http(text)
        self.opt_udp(text)


makeService = make_service  # noqa: N816 - twistd's name for it
