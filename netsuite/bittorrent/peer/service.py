"""The peer as a service of the suite: it takes up the torrents that it is given, and those that come into a folder."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netsuite.bittorrent.peer.cache import ReadCache
from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.peer.progress import Progress
from netsuite.bittorrent.peer.resume import ResumeRecord
from netsuite.bittorrent.peer.server import PeerServer, make_peer_id
from netsuite.bittorrent.peer.settings import PeerSettings
from netsuite.bittorrent.peer.torrentfiles import TorrentFiles
from netsuite.bittorrent.peer.trackers import Trackers
from netsuite.bittorrent.peer.transfer import Means, State, Transfer
from netsuite.bittorrent.peer.transfers import Transfers, missing, read
from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.listen import StreamListener
from netsuite.common.service import NetsuiteService
from netsuite.common.threads import Threads
from netsuite.interfaces import Address, Health, IHttpClient, INameResolver, IOffers

__all__ = ["PeerService", "build"]

_log = Logger()
_WAITING: Final = 100_000
_TOLD: Final = 3
"""Troubles that the health names."""


class PeerService(NetsuiteService):
    """One port for all torrents; ``transfers`` are what becomes of them."""

    workers = "one"

    def __init__(self, settings: PeerSettings, commons: Commons) -> None:
        super().__init__("peer", commons)
        self.settings = settings
        guarded = commons.access.guards_private(settings.listen)
        if settings.internal_trackers is not None:
            guarded = not settings.internal_trackers
        self.server = PeerServer(
            commons,
            make_peer_id(commons.rng),
            rule=commons.access.rule(settings.allow),
            connections=settings.connections,
            per_address=settings.connections_per_address,
            upload=settings.upload_limit or None,
            download=settings.download_limit or None,
        )
        self._threads = Threads(commons.reactor, "pieces", most=settings.threads, waiting=_WAITING)
        self._trackers = Trackers(commons, guarded=guarded)
        means = Means(
            server=self.server,
            threads=self._threads,
            cache=ReadCache(settings.cache),
            folder=Folder(settings.save),
            record=self._record,
            trackers=self._trackers.tiers,
            conduct=_conduct(settings),
            completed=self._completed,
            announce_port=settings.announce_port,
            wanted=settings.peers_wanted,
            upload=settings.torrent_upload_limit or None,
            download=settings.torrent_download_limit or None,
            only_seed=settings.seed,
        )
        self._listeners = [
            StreamListener(text, self.server.factory, commons, "peer.listen") for text in settings.listen
        ]
        self.transfers = transfers = Transfers(TorrentFiles(settings.torrents, settings.torrent), means)
        self._progress = Progress(commons.clock, transfers.standings, sys.__stdout__) if settings.progress else None
        self._leaving = False
        self._timer: IDelayedCall | None = None
        self._measure()

    def join(self, offers: IOffers) -> None:
        """Take what finds and asks trackers."""
        self._trackers.join(offers.find(IHttpClient), offers.find(INameResolver))

    def check(self) -> None:
        """The folders must be usable, and the single torrent files readable."""
        settings = self.settings
        for path in settings.torrent:
            found = read(path)
            if isinstance(found, str):
                raise StartError(f"peer.torrent: {path}: {found}")
            if settings.seed and (problem := missing(found, settings.save)):
                raise StartError(f"peer.seed: {problem}; choose its folder with --save, or leave out --seed")
        if settings.torrents is not None and settings.torrents.exists() and not settings.torrents.is_dir():
            raise StartError(f"peer.torrents: {settings.torrents} is not a folder; choose another")
        stands = next(each for each in (settings.save, *settings.save.parents) if each.exists())
        if not stands.is_dir():
            raise StartError(f"peer.save: {stands} is not a folder; choose another with --save or peer.save")
        if not settings.seed and not os.access(stands, os.W_OK | os.X_OK):
            raise StartError(f"peer.save: {stands} cannot be written; mend its permissions, or choose another")

    def open(self) -> None:
        """Own the resume records, bind and listen."""
        self.check()
        self.commons.data.folder("peer")
        self.commons.data.lock("peer")
        if self.settings.torrents is not None:
            try:
                self.settings.torrents.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StartError(f"peer.torrents: {self.settings.torrents} cannot be made: {error.strerror}") from None
        for listener in self._listeners:
            listener.open()
        self.server.port = next((listener.port for listener in self._listeners if listener.spec.form != "unix"), 0)
        self._trackers.families = {6 if ":" in listener.host else 4 for listener in self._listeners}

    def startService(self) -> None:
        """Accept, and take up the torrents."""
        super().startService()
        for listener in self._listeners:
            listener.accept()
        if self._progress is not None:
            self._progress.start()
        self._look_again()

    def stopService(self) -> Deferred[None] | None:
        """Close what is open."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def addresses(self) -> Sequence[Address]:
        """Where other peers come to, and how another one would be started by hand."""
        folder = self.settings.torrents
        file = next(iter(self.transfers.by_file), None)
        if file is None and folder is not None:
            file = min(folder.glob("*.torrent"), default=None)
        command = "mkdir -p copy && cd copy && twistd -n netsuite-peer --torrent {} --save . --listen 16882"
        hint = command.format(shlex.quote(str(file))) if file is not None and folder is not None else ""
        return [Address("tcp", listener.host, listener.port, hint) for listener in self._listeners]

    def health(self) -> Health:
        """Well while nothing keeps a torrent from being downloaded or served."""
        if not self.running:
            return Health(False, "not running")
        troubles = list(self.transfers.troubles())
        more = f" (and {len(troubles) - _TOLD} more)" if len(troubles) > _TOLD else ""
        return Health(not troubles, "; ".join(troubles[:_TOLD]) + more if troubles else self.transfers.summary())

    def figures(self) -> Sequence[tuple[str, float]]:
        """What is shared, and how much was."""
        transfers = self.transfers
        sent, received = transfers.bytes
        return (
            ("torrents", len(transfers)),
            ("whole torrents", transfers.count(State.SEEDING)),
            ("peers", sum(len(list(each.links)) for each in transfers.torrents)),
            ("bytes uploaded", sent),
            ("bytes downloaded", received),
            ("bytes that were wrong", sum(each.corrupt for each in transfers.torrents)),
        )

    def reload(self) -> Awaitable[Sequence[str]]:
        """Look into the folder now."""
        return self.transfers.look()

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more, leave all swarms, and make what was written durable."""
        return Deferred.fromCoroutine(self._drain(deadline))

    # -- inside

    def _look_again(self) -> None:
        self._timer = None
        looked = self.transfers.look()
        looked.addErrback(lambda failure: _log.failure("the torrent files could not be looked at", failure))
        looked.addBoth(lambda _: self._looked())

    def _looked(self) -> None:
        self._leave_if_whole()
        if not self._leaving:
            self._timer = self.commons.clock.callLater(self.settings.rescan, self._look_again)

    def _record(self, info_hash: bytes) -> ResumeRecord:
        return ResumeRecord(self.commons.data.at(f"peer/{info_hash.hex()}.resume"), info_hash)

    def _completed(self, transfer: Transfer) -> None:
        _log.info("{name}: whole", name=transfer.name)
        self._leave_if_whole()

    def _leave_if_whole(self) -> None:
        if self.settings.leave and not self._leaving and self.transfers.all_whole:
            _log.info("all torrents are whole: leaving")
            self._leaving = True
            self.commons.reactor.callLater(0, self.commons.reactor.stop)

    async def _drain(self, deadline: float) -> None:
        self._leaving = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._progress is not None:
            self._progress.stop()
        for listener in self._listeners:
            await listener.close()
        await self.transfers.stop(max(deadline - self.commons.clock.seconds(), 0.05))

    async def _stop(self) -> None:
        await self.server.drain(self.commons.clock.seconds())
        await self._trackers.close()
        self._threads.close()
        self.commons.data.release("peer")

    def _measure(self) -> None:
        add, transfers = self.commons.metrics.add, self.transfers
        add(
            "netsuite_peer_torrents",
            "Torrents by what is done with them.",
            "gauge",
            lambda: {(state.value,): transfers.count(state) for state in State},
            labels=("state",),
        )
        add(
            "netsuite_peer_bytes",
            "Bytes of pieces that were sent and received.",
            "counter",
            lambda: dict(zip((("up",), ("down",)), transfers.bytes, strict=True)),
            labels=("direction",),
        )
        add("netsuite_peer_connections", "Connections with other peers.", "gauge", lambda: self.server.count)
        add(
            "netsuite_peer_lost_bytes",
            "Bytes that were received for nothing, in torrents that are here now.",
            "gauge",
            lambda: {
                (what,): sum(getattr(each, what) for each in transfers.torrents)
                for what in ("wasted", "unsolicited", "corrupt")
            },
            labels=("why",),
        )
        add(
            "netsuite_peer_bans",
            "Peers that sent wrong pieces, in torrents that are here now.",
            "gauge",
            lambda: sum(each.bans for each in transfers.torrents),
        )
        add(
            "netsuite_peer_trackers",
            "Trackers of the torrents that are here now, by whether they answer.",
            "gauge",
            transfers.trackers,
            labels=("state",),
        )


def _conduct(settings: PeerSettings) -> Conduct:
    return Conduct(
        links=settings.connections_per_torrent,
        seeks=max(settings.connections_per_torrent * 4 // 5, 1),
        slots=settings.slots,
        period=settings.choke_interval,
        rotation=settings.optimistic_rounds,
        snub=settings.snub_time,
        window=settings.rate_window,
    )


def build(settings: PeerSettings, commons: Commons) -> PeerService:
    """The ``[peer]`` table's service."""
    return PeerService(settings, commons)
