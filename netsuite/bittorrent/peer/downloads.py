"""What we ask of one peer: requests kept outstanding by its rate, blocks taken in, and what goes wrong with both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.peer.rates import Pipeline, Rate
from netsuite.bittorrent.peer.throttle import MESSAGE
from netsuite.bittorrent.wire.messages import Block, Cancels, Requests, Span

if TYPE_CHECKING:
    from netsuite.bittorrent.peer.link import Link

__all__ = ["Downloads"]

_MOST_ALLOWED: Final = 64
_MOST_LATE: Final = 2048
_UNSAID: Final = 250
"""Requests that a peer lets wait if it does not say how many (libtorrent's default, BEP 10)."""


class Downloads:
    """The asking side of a link.

    ``requested`` are the requests under way; ``_late`` those that became void (choke, cancel, time-out) and may have
    been answered all the same. ``heard`` is when the last block came, or the link. A peer that owes blocks and sends
    none for the snubbing time is ``snubbed``: others are asked instead, and it for one block at a time.
    """

    __slots__ = (
        "_allowed",
        "_late",
        "_owing",
        "_paused",
        "heard",
        "link",
        "most",
        "pipeline",
        "rate",
        "requested",
        "snubbed",
    )

    def __init__(self, link: Link, now: float) -> None:
        conduct = link.torrent.conduct
        self.link = link
        self.rate = Rate(now, conduct.window)
        self.pipeline = Pipeline(now, most=conduct.depth)
        self.most = _UNSAID
        self.heard = now
        self._owing = now  # since when it has owed us a block and sent none
        self.snubbed = False
        self.requested: dict[tuple[int, int], int] = {}
        self._late: dict[tuple[int, int], int] = {}
        self._allowed: dict[int, None] = {}
        self._paused = 0.0

    def ask(self) -> None:
        """Send as many requests as there is room for."""
        link = self.link
        torrent = link.torrent
        if not link.interested or link.adapter.closed or link.adapter.full:
            return
        depth = min(self.pipeline.depth, self.most)
        room = depth - len(self.requested)
        # few at a time cost a write each: wait until an eighth of them is wanted
        if room <= depth >> 3:
            return
        now = link.adapter.seconds()
        if now < self._paused:
            return
        if not link.choked_us:
            has = link.has
        elif self._allowed:
            have, theirs = torrent.store.have, link.has
            self._allowed = {piece: None for piece in self._allowed if not have[piece]}
            has = Bitfield.of(theirs.length, (piece for piece in self._allowed if theirs[piece]))
        else:
            return
        room = torrent.may_ask(self.ask, now, room)
        if room <= 0:
            return
        spans: list[Span] = []
        if torrent.trials:
            mine, has = torrent.trials.split(link, has)
            spans = torrent.picker.take(link, mine, room)
        if len(spans) < room:
            spans += torrent.picker.take(link, has, room - len(spans), common=self.snubbed)
        if not spans:
            if not self.requested and not torrent.picker.wants(link.has):
                link.interest(False)
            return
        if not self.requested:
            self._owing = now
        torrent.downloading.count(now, len(spans) * MESSAGE)
        requested = self.requested
        for piece, begin, length in spans:
            requested[piece, begin] = length
        link.send(Requests(spans))

    def arrived(self, blocks: Sequence[Block]) -> None:
        """Blocks came."""
        link = self.link
        torrent, requested = link.torrent, self.requested
        now = link.adapter.seconds()
        received, add, filled = torrent.picker.received, torrent.assembly.add, torrent.picker.filled
        count = size = 0
        for piece, begin, data in blocks:
            length = requested.pop((piece, begin), None)
            if length is None:
                length = self._late.pop((piece, begin), None)
            if length != len(data):
                torrent.unsolicited += len(data)
                if link.fast:
                    link.close("it sends blocks that were never asked for")  # BEP 6 demands it
                    return
                link.offence("a block that was not asked for")
                continue
            count += 1
            size += length
            others = received(link, piece, begin)
            if others is None:
                torrent.wasted += length
                continue
            add(piece, begin, data)
            if others:
                torrent.cancel(others, (piece, begin, length))
            if filled(piece):
                torrent.filled(piece)
        if count:
            self.heard = self._owing = now
            self.snubbed = False
            self.rate.add(now, size)
            self.pipeline.arrived(now, count)
            torrent.received(link, size)
        self.ask()

    def cancel(self, spans: Sequence[Span]) -> None:
        """Others sent these: we do not want them any more."""
        link = self.link
        cancelled = []
        for span in spans:
            if self.requested.pop(span[:2], None) is not None:
                self._is_late(span)
                cancelled.append(span)
        if cancelled:
            link.send(Cancels(cancelled))

    def rejected(self, spans: Sequence[Span]) -> None:
        """It will not send these (BEP 6). One that rejects although it does not choke us is given a second's peace."""
        link = self.link
        for piece, begin, length in spans:
            if self.requested.pop((piece, begin), None) is not None:
                link.torrent.picker.rejected(link, piece, begin)
                self._allowed.pop(piece, None)
                if not link.choked_us:
                    self._paused = link.adapter.seconds() + link.torrent.conduct.tick
            elif self._late.pop((piece, begin), None) != length:
                link.offence("a reject of what was not asked for")
        link.torrent.freed()

    def choked(self) -> None:
        """It chokes us: without the fast extension, all requests are void; with it, each will be answered (BEP 6)."""
        if not self.link.fast:
            self._void()

    def allowed(self, piece: int) -> None:
        """It gives this piece even while it chokes us."""
        if len(self._allowed) < _MOST_ALLOWED and not self.link.torrent.store.have[piece]:
            self._allowed[piece] = None
            self.ask()

    def tick(self, now: float) -> None:
        """Time has passed: give up on requests that are not answered, or go on asking after a pause."""
        if self.requested and now - self._owing >= self.link.torrent.conduct.snub:
            self.snubbed = True
            self.pipeline.stalled(now)
            spans = [(piece, begin, length) for (piece, begin), length in self.requested.items()]
            self._void()
            self.link.send(Cancels(spans))
        self.ask()

    def _void(self) -> None:
        for (piece, begin), length in self.requested.items():
            self._is_late((piece, begin, length))
        self.requested.clear()
        self.link.torrent.picker.dropped(self.link)
        self.link.torrent.freed()

    def _is_late(self, span: Span) -> None:
        if len(self._late) >= _MOST_LATE:
            del self._late[next(iter(self._late))]
        self._late[span[:2]] = span[2]
