"""What may be wrong with a torrent file, or with what one is to be made of."""

from __future__ import annotations

__all__ = ["CreationError", "MetainfoError", "VersionTwoOnly"]


class MetainfoError(ValueError):
    """A torrent file that cannot be used; the text is one clear line."""


class VersionTwoOnly(MetainfoError):
    """A torrent that only peers of BitTorrent version 2 can use."""


class CreationError(Exception):
    """Files that no torrent can be made of; the text is one clear line that names what to change."""
