"""What identity raises beside :class:`~netsuite.common.errors.Unavailable`."""

from __future__ import annotations

__all__ = ["Refused", "Throttled"]


class Refused(Exception):
    """What was asked cannot be done; the text is one line for the person who asked."""


class Throttled(Exception):
    """Too many failures lately, of this peer or for this name: try again in ``retry_after`` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failures; try again in {retry_after:.0f} seconds")
        self.retry_after = retry_after
