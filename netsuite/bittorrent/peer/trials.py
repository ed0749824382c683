"""Pieces that came wrong from several peers at once: from now on each is fetched from one peer alone.

Else one liar among honest peers could spoil every piece that is put together from both, and for ever. When the piece is
right, :mod:`~netsuite.bittorrent.peer.assembly` knows who had lied; when it is wrong again, so does everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsuite.bittorrent.bitfield import Bitfield

if TYPE_CHECKING:
    from netsuite.bittorrent.peer.link import Link

__all__ = ["Trials"]


class Trials:
    """The pieces on trial, and who sends each of them: the first who has it, until it chokes us, snubs, or leaves."""

    def __init__(self) -> None:
        self._holders: dict[int, Link | None] = {}

    def __bool__(self) -> bool:
        return bool(self._holders)

    def begin(self, piece: int) -> None:
        """A piece is put on trial."""
        self._holders[piece] = None

    def end(self, piece: int) -> None:
        """It came right."""
        self._holders.pop(piece, None)

    def split(self, link: Link, has: Bitfield) -> tuple[Bitfield, Bitfield]:
        """Of these pieces, those that a link alone is to send, and those that are not on trial."""
        mine, others = Bitfield(has.length), has.copy()
        for piece, holder in self._holders.items():
            if not has[piece]:
                continue
            others.clear(piece)
            if holder is None or holder.adapter.closed or holder.choked_us or holder.downloads.snubbed:
                holder = self._holders[piece] = link
            if holder is link:
                mine.set(piece)
        return mine, others
