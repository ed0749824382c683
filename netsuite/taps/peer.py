"""``twistd netsuite-peer``: the BitTorrent peer alone."""

from __future__ import annotations

from twisted.python.usage import CompleteDirs, CompleteFiles, Completions

from netsuite.suite.site import Option
from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-peer``."""

    table = "peer"
    texts = {
        "torrents": "torrents",
        "save": "save",
        "upload-limit": "upload_limit",
        "download-limit": "download_limit",
    }
    longdesc = "A BitTorrent peer: it downloads torrents and serves them, until it is stopped."
    optParameters = [
        ["torrents", None, None, "A folder of .torrent files, watched for those that come and go."],
        ["save", None, None, "The folder for what the torrents contain."],
        ["upload-limit", None, None, "Bytes a second to other peers."],
        ["download-limit", None, None, "Bytes a second from other peers."],
    ]
    optFlags = [
        ["seed", None, "Everything is in the save folder already: check it and serve it, download nothing."],
        ["leave", None, "End when everything is downloaded, instead of serving it."],
    ]
    compData = Completions(
        optActions={
            "torrent": CompleteFiles("*.torrent"),
            "torrents": CompleteDirs(),
            "save": CompleteDirs(),
            "config": CompleteFiles("*.toml"),
        }
    )

    def opt_torrent(self, text: str) -> None:
        """A .torrent file; repeatable."""
        self.also(("peer", "torrent"), text)

    def named(self) -> list[Option]:
        """What the named options say."""
        flags: list[Option] = [(("peer", name), True) for name in ("seed", "leave") if self[name]]
        flags.append((("peer", "progress"), True))
        return [*super().named(), *flags]


makeService = make_service  # noqa: N816 - twistd's name for it
