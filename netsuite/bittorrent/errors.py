"""What may be wrong with a torrent file."""

from __future__ import annotations

__all__ = ["MetainfoError", "VersionTwoOnly"]


class MetainfoError(ValueError):
    """A torrent file that cannot be used; the text is one clear line."""


class VersionTwoOnly(MetainfoError):
    """A torrent that only peers of BitTorrent version 2 can use."""
