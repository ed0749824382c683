"""What one peer asks of us: requests that wait, and blocks that leave as fast as the peer and the limits take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from netsuite.bittorrent.peer.rates import Rate
from netsuite.bittorrent.wire.messages import LARGEST_BLOCK, Block, Blocks, Buffer, Rejects, Span

if TYPE_CHECKING:
    from netsuite.bittorrent.peer.link import Link

__all__ = ["Uploads"]

_HEAD: Final = 13
"""What a block costs beside its bytes."""


class Uploads:
    """The giving side of a link.

    Requests wait here and not in a buffer of the transport, so that a choke or a cancel still reaches them (BEP 3).
    ``allowed`` are the pieces that are given while we choke (BEP 6). A peer that asks on and on for what it does not
    get, or does not read what it is told, is closed.
    """

    __slots__ = ("_reading", "_serving", "_unread", "_unwelcome", "allowed", "link", "queue", "rate")

    def __init__(self, link: Link, now: float) -> None:
        self.link = link
        self.rate = Rate(now, link.torrent.conduct.window)
        self.queue: dict[Span, None] = {}
        self.allowed: dict[int, None] = {}
        self._reading: Deferred[Buffer] | None = None
        self._serving = False
        self._unwelcome = 0  # requests for what it does not get, since we choked it
        self._unread = 0  # rejects since the transport was full

    def asked(self, spans: Sequence[Span]) -> None:
        """Requests came; those that will not be answered are rejected (BEP 6) or ignored (BEP 3)."""
        link, queue = self.link, self.queue
        metainfo, have = link.torrent.metainfo, link.torrent.store.have
        count, patience = metainfo.piece_count, link.torrent.conduct.patience
        refused: list[Span] = []
        for span in spans:
            piece, begin, length = span
            if not 0 < length <= LARGEST_BLOCK:
                link.close(f"a request for {length} bytes")
                return
            if piece >= count or begin + length > metainfo.piece_size(piece):
                link.offence("a request for what does not exist")
                refused.append(span)
            elif not have[piece] or (link.choked and not self._allows(piece)):
                self._unwelcome += 1
                refused.append(span)
            elif len(queue) >= patience:
                link.offence("a request more than may wait")
                refused.append(span)
            else:
                queue[span] = None
        self._refuse(refused)
        if self._unwelcome > patience:
            link.close("it asks on for what it does not get")
        self.serve()

    def cancelled(self, spans: Sequence[Span]) -> None:
        """Requests were withdrawn; each gets a reject if it still waited (BEP 6)."""
        self._refuse([span for span in spans if self.queue.pop(span, self) is None])

    def void(self) -> None:
        """We choke: what waits will not be answered, but for pieces that are allowed fast (BEP 6)."""
        self._unwelcome = 0
        refused = [span for span in self.queue if span[0] not in self.allowed]
        for span in refused:
            del self.queue[span]
        self._refuse(refused)

    def clear(self) -> None:
        """The link is over."""
        self.queue.clear()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()

    def serve(self) -> None:
        """Send blocks while the transport takes them, the limits allow it, and they can be had at once."""
        if self._serving:
            return
        adapter = self.link.adapter
        if not adapter.full:
            self._unread = 0
        self._serving = True
        try:
            while self.queue and self._reading is None and not adapter.full and not adapter.closed:
                if not self._serve_some(adapter.seconds()):
                    break
        finally:
            self._serving = False

    def _serve_some(self, now: float) -> bool:
        """Send one write's worth; False if nothing can go now."""
        torrent = self.link.torrent
        most, may_send, read = torrent.conduct.batch, torrent.uploading.take, torrent.store.read
        blocks: list[Block] = []
        size = 0
        awaited: tuple[Deferred[Buffer], Span] | None = None
        for span in self.queue:
            piece, begin, length = span
            if size >= most or not may_send(self.serve, now, length + _HEAD):
                break
            data = read(piece, begin, length)
            if isinstance(data, Deferred):
                awaited = data, span
                break
            blocks.append((piece, begin, data))
            size += length
        if blocks:
            self._put(blocks, size, now)
        if awaited is not None:
            self._await(*awaited)
        return bool(blocks or awaited)

    def _put(self, blocks: list[Block], size: int, now: float) -> None:
        link = self.link
        for piece, begin, data in blocks:
            del self.queue[piece, begin, len(data)]
        link.send(Blocks(blocks))
        # within a turn of the adapter, too: only what is written shows whether the transport is full
        link.adapter.flush()
        self.rate.add(now, size)
        link.torrent.sent(link, size)

    def _await(self, data: Deferred[Buffer], span: Span) -> None:
        """A block must come from the disk; the queue goes on with it."""
        self._reading = data

        def done(result: Any) -> None:
            if self._reading is not data:
                return
            self._reading = None
            if span in self.queue:
                if isinstance(result, Failure):
                    del self.queue[span]
                    self._refuse([span])
                elif not self.link.adapter.closed:
                    self._put([(span[0], span[1], result)], span[2], self.link.adapter.seconds())
            self.serve()

        data.addBoth(done)

    def _allows(self, piece: int) -> bool:
        """Whether to give a piece to a choked peer: few, and only to one that is just starting (BEP 6)."""
        return piece in self.allowed and self.link.has.count < self.link.torrent.conduct.allowed_fast

    def _refuse(self, spans: list[Span]) -> None:
        link = self.link
        if spans and link.fast:
            link.send(Rejects(spans))
            if link.adapter.full:
                self._unread += len(spans)
                if self._unread > link.torrent.conduct.patience:
                    link.close("it reads no rejects")
