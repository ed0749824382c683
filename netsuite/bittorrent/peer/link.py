"""One connected peer: who chokes whom, who has what, and what each has asked of the other.

A :class:`Link` takes the messages of one connection and keeps its state; what concerns several peers (picking, choking,
limits, bans) it asks its :class:`~netsuite.bittorrent.peer.torrent.Torrent`. The two directions live apart: what we ask
for in :mod:`~netsuite.bittorrent.peer.downloads`, what we give in :mod:`~netsuite.bittorrent.peer.uploads`.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.peer.conduct import Neighbour
from netsuite.bittorrent.peer.downloads import Downloads
from netsuite.bittorrent.peer.uploads import Uploads
from netsuite.bittorrent.wire.extensions import UPLOAD_ONLY, ExtensionHandshake, upload_only
from netsuite.bittorrent.wire.fast import allowed_fast
from netsuite.bittorrent.wire.messages import (
    AllowedFast,
    BitfieldMessage,
    Blocks,
    Cancels,
    Choke,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    Message,
    NotInterested,
    Rejects,
    Requests,
    Suggest,
    Unchoke,
)
from netsuite.common.stream import StreamAdapter

if TYPE_CHECKING:
    from netsuite.bittorrent.peer.addresses import Place
    from netsuite.bittorrent.peer.torrent import Torrent

__all__ = ["Link"]

_OUR_EXTENSIONS: Final = {b"upload_only": UPLOAD_ONLY}


class Link:
    """A neighbour.

    ``has`` is what it has; ``choked`` and ``interested`` are what we told it, ``choked_us`` and ``interested_in_us``
    what it told us. ``place`` is where it can be reached again, once that is known.
    """

    __slots__ = (
        "_appeared",
        "_number",
        "_offences",
        "_since",
        "_since_us",
        "account",
        "adapter",
        "began",
        "choked",
        "choked_us",
        "downloads",
        "extensions",
        "fast",
        "has",
        "interested",
        "interested_in_us",
        "outgoing",
        "peer_id",
        "place",
        "torrent",
        "upload_only",
        "uploads",
        "version",
    )

    def __init__(self, torrent: Torrent, adapter: StreamAdapter, peer_id: bytes, place: Place, outgoing: bool) -> None:
        now = adapter.seconds()
        self.torrent = torrent
        self.adapter = adapter
        self.peer_id = peer_id
        self.place = place
        self.outgoing = outgoing
        self.began = now
        self.account = torrent.account(peer_id)
        connection: Any = adapter.connection
        self.fast: bool = connection.fast
        self.extensions: dict[bytes, int] = {}
        self.version = ""
        self.has = Bitfield(torrent.metainfo.piece_count)
        self.upload_only = False
        self.choked = self.choked_us = True
        self.interested = self.interested_in_us = False
        self.downloads = Downloads(self, now)
        self.uploads = Uploads(self, now)
        self._number = torrent.next_number()
        self._appeared = False
        self._offences = 0
        self._since = self._since_us = now

    def __hash__(self) -> int:
        # not the address in memory: swarms on a fake clock repeat to the bit
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<Link {self.place[0]}:{self.place[1]} {self.peer_id!r}>"

    @property
    def blame(self) -> tuple[Place, bytes]:
        """Who it is, also when it is gone."""
        return self.place, self.peer_id

    @property
    def useless(self) -> bool:
        """Neither side needs anything of the other (BEP 21: nor ever will)."""
        return self.torrent.complete and (self.has.full or self.upload_only)

    # -- both directions

    def begin(self) -> None:
        """The greetings are over: say what we have (BEP 3, 6), and who we are (BEP 10)."""
        torrent, have = self.torrent, self.torrent.store.have
        if self.fast and have.full:
            self.send(HaveAll())
        elif have:
            self.send(BitfieldMessage(have.to_bytes()))
        elif self.fast:
            self.send(HaveNone())
        connection: Any = self.adapter.connection
        if connection is not None and connection.extended:
            self.send(self._introduction())
        count = torrent.conduct.allowed_fast
        address = self._address()
        if self.fast and count and have and isinstance(address, IPv4Address):
            metainfo = torrent.metainfo
            pieces = allowed_fast(address, metainfo.info_hash, metainfo.piece_count, count)
            self.uploads.allowed.update(dict.fromkeys(piece for piece in pieces if have[piece]))
            for piece in self.uploads.allowed:
                self.send(AllowedFast(piece))

    def send(self, message: Message) -> None:
        """Say something; lost where nothing can be said any more."""
        if not self.adapter.closed and self.adapter.connection is not None:
            self.adapter.send(message)

    def heard(self, message: Message) -> None:
        """The peer said something."""
        _HEARD[type(message)](self, message)

    def offence(self, what: str) -> None:
        """A small breach; too many of them end the link."""
        self._offences += 1
        self.torrent.offences += 1
        if self._offences > self.torrent.conduct.offences:
            self.close(f"too many breaches, the last one {what}")

    def close(self, reason: str) -> None:
        """End it; what it was asked for is to be had from others from now on."""
        self.adapter.close(reason)
        self.torrent.left(self)

    def gone(self) -> None:
        """The connection is over: let go of all that it holds."""
        self.settle(self.adapter.seconds())
        self.uploads.clear()
        self.torrent.picker.dropped(self)
        if self._appeared:
            self.torrent.picker.disappeared(self.has)
            self._appeared = False

    def settle(self, now: float) -> None:
        """Bring the account's times up to date."""
        if not self.choked and self.interested_in_us:
            self.account.unchoked += now - self._since
        if not self.choked_us and self.interested:
            self.account.unchoked_us += now - self._since_us
        self._since = self._since_us = now

    def neighbour(self, now: float) -> Neighbour:
        """How it stands."""
        self.settle(now)
        downloads, uploads = self.downloads, self.uploads
        return Neighbour(
            self.peer_id,
            *self.place,
            self.outgoing,
            self.version,
            self.has.count,
            self.choked,
            self.interested,
            self.choked_us,
            self.interested_in_us,
            downloads.rate.rate(now),
            uploads.rate.rate(now),
            downloads.rate.total,
            uploads.rate.total,
            len(downloads.requested),
            len(uploads.queue),
            downloads.snubbed,
        )

    # -- what we tell

    def choke(self, choked: bool) -> None:
        """Choke or unchoke it; requests that waited are void (BEP 3), and are said to be (BEP 6)."""
        if choked is not self.choked:
            self.settle(self.adapter.seconds())
            self.choked = choked
            self.send(Choke() if choked else Unchoke())
            if choked:
                self.uploads.void()

    def interest(self, interested: bool) -> None:
        """Tell whether we want anything of it."""
        if interested is not self.interested:
            self.settle(self.adapter.seconds())
            self.interested = interested
            self.send(Interested() if interested else NotInterested())

    def told_complete(self) -> None:
        """We have all that we want: say so to those who care (BEP 21)."""
        message = upload_only(self.extensions, True)
        if message is not None:
            self.send(message)

    def _introduction(self) -> Extended:
        torrent, address = self.torrent, self._address()
        return ExtensionHandshake(
            _OUR_EXTENSIONS,
            torrent.port,
            torrent.version,
            address.packed if address is not None else b"",
            torrent.conduct.patience,
            torrent.complete,
        ).encode()

    def _address(self) -> IPv4Address | IPv6Address | None:
        """Where it speaks from; None if that is no IP address."""
        try:
            return ip_address(self.adapter.channel.peer[0])
        except ValueError:
            return None

    # -- what it has

    def _appear(self, has: Bitfield) -> None:
        torrent = self.torrent
        if self._appeared:
            torrent.picker.disappeared(self.has)
        self.has = has
        self._appeared = True
        torrent.picker.appeared(has)
        if torrent.picker.wants(has):
            self.interest(True)
        torrent.has_changed(self)

    def _bitfield(self, message: BitfieldMessage) -> None:
        self._appear(Bitfield.from_bytes(message.bits, self.has.length))

    def _have_all(self, message: HaveAll) -> None:
        self._appear(Bitfield.complete(self.has.length))

    def _have_none(self, message: HaveNone) -> None:
        self._appear(Bitfield(self.has.length))

    def _have(self, message: Have) -> None:
        piece, torrent = message.piece, self.torrent
        if not self._appeared:
            self._appear(Bitfield(self.has.length))
        if self.adapter.closed or not self.has.set(piece):
            return
        torrent.picker.has(piece)
        if not torrent.store.have[piece]:
            if not self.interested:
                self.interest(True)
            self.downloads.ask()
        if self.has.full:
            torrent.has_changed(self)

    # -- who chokes, who wants

    def _choke(self, message: Choke) -> None:
        if not self.choked_us:
            self.settle(self.adapter.seconds())
            self.choked_us = True
            self.downloads.choked()

    def _unchoke(self, message: Unchoke) -> None:
        if self.choked_us:
            self.settle(self.adapter.seconds())
            self.choked_us = False
            self.downloads.ask()

    def _interested(self, message: Interested) -> None:
        self._interest(True)

    def _not_interested(self, message: NotInterested) -> None:
        self._interest(False)

    def _interest(self, interested: bool) -> None:
        if interested is not self.interested_in_us:
            self.settle(self.adapter.seconds())
            self.interested_in_us = interested
            self.torrent.rechoke(self)

    # -- requests and blocks

    def _requests(self, message: Requests) -> None:
        self.uploads.asked(message.spans)

    def _cancels(self, message: Cancels) -> None:
        self.uploads.cancelled(message.spans)

    def _blocks(self, message: Blocks) -> None:
        self.downloads.arrived(message.blocks)

    def _rejects(self, message: Rejects) -> None:
        self.downloads.rejected(message.spans)

    def _allowed_fast(self, message: AllowedFast) -> None:
        self.downloads.allowed(message.piece)

    def _suggest(self, message: Suggest) -> None:
        """Advice that the picker has no use for: rarest first stands."""

    def _extended(self, message: Extended) -> None:
        """The extension handshake, which may come again and then changes things (BEP 10), or ``upload_only``."""
        if message.number == UPLOAD_ONLY:
            self.upload_only = message.payload[:1] == b"\1"
            self.torrent.has_changed(self)
        elif message.number == 0:
            said = ExtensionHandshake.decode(message.payload)
            if said is None:
                return
            self.extensions.update(said.extensions)
            self.version = said.version or self.version
            self.upload_only = said.upload_only
            if said.requests:
                self.downloads.most = said.requests
            if said.port and not self.outgoing:
                self.place = (self.place[0], said.port)
                self.torrent.located(self)
            self.torrent.has_changed(self)


_HEARD: Final[dict[type[Message], Callable[[Link, Any], None]]] = {
    Choke: Link._choke,
    Unchoke: Link._unchoke,
    Interested: Link._interested,
    NotInterested: Link._not_interested,
    Have: Link._have,
    BitfieldMessage: Link._bitfield,
    HaveAll: Link._have_all,
    HaveNone: Link._have_none,
    Requests: Link._requests,
    Cancels: Link._cancels,
    Blocks: Link._blocks,
    Rejects: Link._rejects,
    AllowedFast: Link._allowed_fast,
    Suggest: Link._suggest,
    Extended: Link._extended,
}
