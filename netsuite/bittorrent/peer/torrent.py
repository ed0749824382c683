"""One torrent's swarm: its links, joined to the picker, the choker, the store and the addresses of others.

::

    addresses --dial--> Link <--messages--> peer
                         |  +-----------+
      picker, assembly --+              choker (whom to serve)
              |                     |
            store (hash, write) --- store (read)

A torrent is started and stopped by its owner, who also opens and closes the store, feeds :meth:`Torrent.found` from
trackers and tells them :meth:`Torrent.figures`. All time and chance come from the server's commons, and all order from
the order of events, so that whole swarms repeat to the bit on a fake clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.addresses import Addresses, Place
from netsuite.bittorrent.peer.assembly import Assembly
from netsuite.bittorrent.peer.choker import Candidate, Choker
from netsuite.bittorrent.peer.conduct import Account, Conduct, Figures, Neighbour
from netsuite.bittorrent.peer.link import Link
from netsuite.bittorrent.peer.picker import Picker
from netsuite.bittorrent.peer.pieces import PieceStore
from netsuite.bittorrent.peer.rates import Limit
from netsuite.bittorrent.peer.throttle import Throttle
from netsuite.bittorrent.peer.trials import Trials
from netsuite.bittorrent.wire.messages import Buffer, Handshake, Have, Span
from netsuite.common.stream import StreamAdapter

if TYPE_CHECKING:
    from netsuite.bittorrent.peer.server import PeerServer

__all__ = ["Torrent"]

_log = Logger()
_MOST_ACCOUNTS: Final = 2000


class Torrent:
    """See the module's docstring.

    ``store`` is open when it starts; ``upload`` and ``download`` are this torrent's own limits, in bytes a second.
    ``on_complete`` is called once when the last piece is there. Counters in bytes: ``uploaded``, ``downloaded``,
    ``wasted`` (came twice), ``unsolicited`` (nobody asked), ``corrupt`` (wrong hash); ``offences`` counts small
    breaches, ``bans`` peers that sent wrong blocks.
    """

    def __init__(
        self,
        metainfo: Metainfo,
        store: PieceStore,
        server: PeerServer,
        conduct: Conduct = Conduct(),
        *,
        upload: float | None = None,
        download: float | None = None,
        on_complete: Callable[[], None] | None = None,
    ) -> None:
        runtime = server.runtime
        # nothing secret: the system's own costs a call each
        self._rng = rng = random.Random(runtime.rng.getrandbits(64))
        self.metainfo = metainfo
        self.store = store
        self.conduct = conduct
        self.on_complete = on_complete
        self.uploaded = self.downloaded = self.wasted = self.unsolicited = self.corrupt = 0
        self.offences = self.bans = 0
        self.version = server.version
        self.running = False
        self._server = server
        self._clock = runtime.clock
        self._begin()
        self.addresses = Addresses(rng, conduct.reconnect)
        self.uploading = Throttle(self._clock, (server.upload, Limit(upload)))
        self.downloading = Throttle(self._clock, (server.download, Limit(download)))
        self._choker: Choker[Link] = Choker(
            rng,
            self._clock.seconds(),
            slots=conduct.slots,
            optimistic=conduct.optimistic,
            period=conduct.period,
            rotation=conduct.rotation,
            snub=conduct.snub,
        )
        self._links: dict[Link, None] = {}
        self._dialling: dict[Place, Deferred[Any]] = {}
        self._accounts: dict[bytes, Account] = {}
        self._number = 0
        self._held_up = False
        self._ticking: IDelayedCall | None = None
        self._soon: dict[Callable[[], None], IDelayedCall] = {}

    # -- for its owner

    def start(self) -> None:
        """Take part, with what the store has now."""
        self.running = True
        self._begin()
        self.store.lost = self._lost
        self._server.add(self)
        self._tick()

    def stop(self) -> None:
        """Leave the swarm: every link is closed. The store stays open."""
        self.running = False
        self._server.remove(self)
        for call in (self._ticking, *self._soon.values()):
            if call is not None and call.active():
                call.cancel()
        self._ticking = None
        self._soon.clear()
        self.uploading.stop()
        self.downloading.stop()
        for attempt in list(self._dialling.values()):
            attempt.cancel()
        for link in list(self._links):
            link.close("the torrent is stopped")

    def found(self, places: Iterable[Place]) -> None:
        """Others of this torrent may be at these addresses."""
        self.addresses.found(places)
        if self.running:
            self._later(self._seek)

    @property
    def complete(self) -> bool:
        """All pieces are there."""
        return self.store.have.full

    @property
    def port(self) -> int:
        """Where others can reach us."""
        return self._server.port

    @property
    def links(self) -> Iterator[Link]:
        """The neighbours, in the order of their coming."""
        return iter(self._links)

    def figures(self) -> Figures:
        """What a tracker is told."""
        metainfo, have = self.metainfo, self.store.have
        there = have.count * metainfo.piece_length
        if metainfo.piece_count and have[metainfo.piece_count - 1]:
            there -= metainfo.piece_length - metainfo.piece_size(metainfo.piece_count - 1)
        return Figures(self.uploaded, self.downloaded, metainfo.length - there)

    def neighbours(self) -> list[Neighbour]:
        """Each link as it stands."""
        now = self._clock.seconds()
        return [link.neighbour(now) for link in self._links]

    def accounts(self) -> dict[bytes, Account]:
        """What was exchanged with whom, by peer id; peers that have left included (the last 2,000)."""
        now = self._clock.seconds()
        for link in self._links:
            link.settle(now)
        return self._accounts

    def _begin(self) -> None:
        """Nothing is asked for yet."""
        metainfo = self.metainfo
        self.picker: Picker[Link] = Picker(metainfo.length, metainfo.piece_length, self.store.have, self._rng)
        self.assembly: Assembly[tuple[Place, bytes]] = Assembly(metainfo.length, metainfo.piece_length)
        self.trials = Trials()

    # -- links

    def greeted(self, adapter: StreamAdapter, theirs: Handshake, place: Place, *, outgoing: bool) -> None:
        """Somebody wants to take part: let in, unless there is a reason not to."""
        reason = self._refusal(adapter, theirs.peer_id, place, outgoing)
        if reason is not None:
            adapter.close(reason)
            return
        if not outgoing:
            adapter.send(self.greeting())
        link = Link(self, adapter, theirs.peer_id, place, outgoing)
        adapter.data = link
        self._links[link] = None
        self.addresses.worked(place)
        link.begin()

    def greeting(self) -> Handshake:
        """Our own."""
        return Handshake(self.metainfo.info_hash, self._server.peer_id, pieces=self.metainfo.piece_count)

    def failed(self, place: Place) -> None:
        """Nobody (useful) answered there."""
        self.addresses.over(place, self._clock.seconds(), failed=True)

    def left(self, link: Link) -> None:
        """A link is over."""
        if self._links.pop(link, self) is self:
            return
        link.gone()
        self.addresses.over(link.place, self._clock.seconds(), failed=False)
        if self.running:
            self.freed()
            if not link.choked:
                self._later(self._rechoke)

    def located(self, link: Link) -> None:
        """A peer that came to us said where it listens."""
        self.addresses.found([link.place])
        self.addresses.busy(link.place)

    def has_changed(self, link: Link) -> None:
        """A link has other pieces, or says that it wants none: end it if neither needs the other."""
        if link.has.full:
            self.addresses.seeds(link.place)
        if self.conduct.close_seeds and link.useless:
            link.close("neither needs anything of the other")

    def account(self, peer_id: bytes) -> Account:
        """The account with a peer."""
        account = self._accounts.pop(peer_id, None) or Account()
        if len(self._accounts) >= _MOST_ACCOUNTS:
            del self._accounts[next(iter(self._accounts))]
        self._accounts[peer_id] = account
        return account

    def next_number(self) -> int:
        """Numbers links in the order of their making."""
        self._number += 1
        return self._number

    def _refusal(self, adapter: StreamAdapter, peer_id: bytes, place: Place, outgoing: bool) -> str | None:
        """Why not to take part with somebody; None if nothing speaks against it."""
        if peer_id == self._server.peer_id:
            if outgoing:
                self.addresses.own(place)
            else:
                adapter.send(self.greeting())  # so that our other end knows it, too
            return "this is ourselves"
        if not self.running:
            return "the torrent is stopped"
        if self.addresses.banned(place, peer_id):
            return "banned"
        for other in [link for link in self._links if link.peer_id == peer_id]:
            if not other.adapter.closed:
                if not self._prefers(other, outgoing):
                    return "connected already"
                other.close("connected the other way round")
        if len(self._links) >= self.conduct.links:
            return "too many links"
        return None

    def _prefers(self, other: Link, outgoing: bool) -> bool:
        """Whether a second connection of the same peer is to replace the first.

        If both sides dialled at once, both keep the one that the greater peer id began.
        """
        if other.outgoing is outgoing or self._clock.seconds() - other.began > self.conduct.young:
            return False
        return outgoing is (self._server.peer_id > other.peer_id)

    def _seek(self) -> None:
        """Dial as many as there is need for."""
        now = self._clock.seconds()
        while len(self._links) + len(self._dialling) < self.conduct.seeks and self._server.may_dial():
            place = self.addresses.next(now, seeds=not self.complete)
            if place is None:
                return
            dialled = self._server.dial(self, place, self.conduct.connect)
            if not dialled.called:
                self._dialling[place] = dialled
                dialled.addBoth(self._dialled, place)

    def _dialled(self, _: object, place: Place) -> None:
        self._dialling.pop(place, None)

    # -- choking

    def rechoke(self, link: Link) -> None:
        """A neighbour changed its interest: do not let a slot stay idle."""
        if self.running:
            self._later(self._rechoke)

    def _rechoke(self) -> None:
        now = self._clock.seconds()
        self._apply(self._choker.again(now, self._candidates(now), seeding=self.complete))

    def _round(self, now: float) -> None:
        self._apply(self._choker.round(now, self._candidates(now), seeding=self.complete))
        for link in self._links:
            if link.interested and not link.downloads.requested and not self.picker.wants(link.has):
                link.interest(False)

    def _candidates(self, now: float) -> list[Candidate[Link]]:
        return [
            Candidate(
                link,
                link.interested_in_us,
                link.downloads.rate.rate(now),
                link.uploads.rate.rate(now),
                link.downloads.heard,
                bool(link.uploads.queue),
            )
            for link in self._links
        ]

    def _apply(self, unchoked: frozenset[Link]) -> None:
        for link in list(self._links):
            link.choke(link not in unchoked)

    # -- blocks and pieces

    def may_ask(self, again: Callable[[], None], now: float, most: int) -> int:
        """How many blocks may be asked for now."""
        if self.store.queued > self.conduct.unwritten:
            self._held_up = True
            return 0
        return self.downloading.messages(again, now, most)

    def received(self, link: Link, size: int) -> None:
        """Blocks that were asked for came."""
        self.downloaded += size
        link.account.received += size

    def sent(self, link: Link, size: int) -> None:
        """Blocks left."""
        self.uploaded += size
        link.account.sent += size

    def cancel(self, others: Sequence[Link], span: Span) -> None:
        """A block came that others were asked for, too."""
        for other in others:
            other.downloads.cancel([span])

    def freed(self) -> None:
        """Blocks are to be had again: ask others for them."""
        if self.running and not self.picker.done:
            self._later(self._ask)

    def filled(self, piece: int) -> None:
        """All blocks of a piece have come."""
        blocks = self.assembly.take(piece)
        written = self.store.write(piece, blocks)
        written.addCallbacks(self._written, self._unwritten, (self.picker, piece, blocks), {}, (self.picker, piece))

    def _written(self, right: bool, picker: Picker[Link], piece: int, blocks: list[Buffer]) -> None:
        if picker is not self.picker:
            return  # stopped and started meanwhile
        if right:
            self.picker.passed(piece)
            self.trials.end(piece)
            for place, peer_id in self.assembly.passed(piece, blocks):
                self._ban(place, peer_id)
            if not self.running:
                return
            have = Have(piece)
            for link in list(self._links):
                if not link.has[piece]:
                    link.send(have)
            if self.picker.done:
                self._completed()
        else:
            self.corrupt += sum(map(len, blocks))
            senders = [sender.blame if sender is not None else None for sender in self.picker.failed(piece)]
            guilty = self.assembly.failed(piece, blocks, senders)
            if guilty is not None:
                self._ban(*guilty)
            else:
                self.trials.begin(piece)
            self.freed()
        if self._held_up and self.store.queued <= self.conduct.unwritten:
            self._held_up = False
            self.freed()

    def _unwritten(self, failure: Failure, picker: Picker[Link], piece: int) -> None:
        """The store is closing; anything else is a fault of ours."""
        picker.failed(piece)
        if not failure.check(CancelledError):
            _log.failure("{name}: piece {piece} was not stored", failure=failure, name=self.metainfo.name, piece=piece)

    def _ban(self, place: Place, peer_id: bytes) -> None:
        """Who sent wrong blocks is not met again."""
        if self.addresses.banned(place, peer_id):
            return
        self.bans += 1
        self.addresses.ban(place, peer_id)
        for link in list(self._links):
            if self.addresses.banned(link.place, link.peer_id):
                link.close("it sent wrong blocks")

    def _completed(self) -> None:
        for link in list(self._links):
            link.interest(False)
            link.told_complete()
            self.has_changed(link)
        self._later(self._rechoke)
        if self.on_complete is not None:
            self.on_complete()

    def _lost(self, piece: int) -> None:
        """The disk does not have a piece any more: fetch it again."""
        self.picker.lost(piece)
        for link in self._links:
            if link.has[piece]:
                link.interest(True)
        self.freed()

    def _ask(self) -> None:
        for link in list(self._links):
            link.downloads.ask()

    # -- time

    def _tick(self) -> None:
        self._ticking = self._clock.callLater(self.conduct.tick, self._tick)
        now = self._clock.seconds()
        if now >= self._choker.deadline:
            self._round(now)
        for link in list(self._links):
            if link.adapter.closed:
                self.left(link)  # it may take long to be gone where its last words are not read
            else:
                link.downloads.tick(now)
        self._seek()

    def _later(self, what: Callable[[], None]) -> None:
        """Do something once this turn is over, however often it is asked for."""
        if what not in self._soon:

            def now() -> None:
                del self._soon[what]
                what()

            self._soon[what] = self._clock.callLater(0, now)
