"""The peer as a service of the suite: it takes up the torrents that it is given, and those that come into a folder."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netsuite.bittorrent import metainfo
from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer import torrentfiles
from netsuite.bittorrent.peer.cache import ReadCache
from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.peer.progress import Progress, Standing
from netsuite.bittorrent.peer.resume import ResumeRecord
from netsuite.bittorrent.peer.server import PeerServer, make_peer_id
from netsuite.bittorrent.peer.settings import PeerSettings
from netsuite.bittorrent.peer.torrent import Torrent
from netsuite.bittorrent.peer.torrentfiles import TorrentFiles
from netsuite.bittorrent.peer.trackers import Trackers
from netsuite.bittorrent.peer.transfer import Means, State, Transfer
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
    """One port for all torrents; ``transfers`` by the file that each came from."""

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
        self.transfers: dict[Path, Transfer] = {}
        self.refused: dict[Path, str] = {}
        """Files that are no torrents, or whose torrents cannot be taken up, and why."""
        self._past = [0, 0]  # bytes up and down of transfers that have ended
        self._files = TorrentFiles(settings.torrents, settings.torrent)
        self._threads = Threads(commons.reactor, "pieces", most=settings.threads, waiting=_WAITING)
        self._trackers = Trackers(commons, guarded=guarded)
        self._means = Means(
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
        self._progress = Progress(commons.clock, self._standings, sys.__stdout__) if settings.progress else None
        self._looks = DeferredLock()
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
            read = _read(path)
            if isinstance(read, str):
                raise StartError(f"peer.torrent: {path}: {read}")
            if settings.seed and (missing := _missing(read, settings.save)):
                raise StartError(f"peer.seed: {missing}; choose its folder with --save, or leave out --seed")
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
        file = next(iter(self.transfers), None)
        if file is None and folder is not None:
            file = min(folder.glob("*.torrent"), default=None)
        command = "mkdir -p copy && cd copy && twistd -n netsuite-peer --torrent {} --save . --listen 16882"
        hint = command.format(shlex.quote(str(file))) if file is not None and folder is not None else ""
        return [Address("tcp", listener.host, listener.port, hint) for listener in self._listeners]

    def health(self) -> Health:
        """Well while nothing keeps a torrent from being downloaded or served."""
        if not self.running:
            return Health(False, "not running")
        troubles = list(self._troubles())
        more = f" (and {len(troubles) - _TOLD} more)" if len(troubles) > _TOLD else ""
        return Health(not troubles, "; ".join(troubles[:_TOLD]) + more if troubles else self._summary())

    def figures(self) -> Sequence[tuple[str, float]]:
        """What is shared, and how much was."""
        sent, received = self._bytes()
        return (
            ("torrents", len(self.transfers)),
            ("whole torrents", self._count(State.SEEDING)),
            ("peers", sum(len(list(each.links)) for each in self._torrents())),
            ("bytes uploaded", sent),
            ("bytes downloaded", received),
            ("bytes that were wrong", sum(each.corrupt for each in self._torrents())),
        )

    def reload(self) -> Awaitable[Sequence[str]]:
        """Look into the folder now."""
        return self._looks.run(lambda: Deferred.fromCoroutine(self._look()))

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more, leave all swarms, and make what was written durable."""
        return Deferred.fromCoroutine(self._drain(deadline))

    # -- torrent files

    def _look_again(self) -> None:
        self._timer = None
        looked: Deferred[Sequence[str]] = self._looks.run(lambda: Deferred.fromCoroutine(self._look()))
        looked.addErrback(lambda failure: _log.failure("the torrent files could not be looked at", failure))
        looked.addBoth(lambda _: self._wait())

    def _wait(self) -> None:
        if self.running and not self._leaving:
            self._timer = self.commons.clock.callLater(self.settings.rescan, self._look_again)

    async def _look(self) -> list[str]:
        """Take up what came, leave what went; a line for each."""
        said = []
        changes = self._files.look()
        for path in (*changes.went, *changes.came):
            if path in self.transfers:
                said.append(f"{self.transfers[path].name}: stopped")
                await self._end(path)
            self.refused.pop(path, None)
        for path in changes.came if not self._leaving else ():
            said += await self._take_up(path)
        for transfer in self.transfers.values():
            transfer.look_for_peers()
        return said

    async def _take_up(self, path: Path) -> list[str]:
        """Start with a torrent file that came; a line for what became of it."""
        read = await self._threads.run(_read, path)
        problem = read if isinstance(read, str) else self._in_the_way(read)
        if isinstance(read, str) or problem:
            self.refused[path] = problem
            _log.error("{path}: {problem}", path=path, problem=problem)
            return [f"{path}: {problem}"]
        if self._leaving:
            return []
        transfer = self.transfers[path] = Transfer(path, read, self._means)
        _log.info("{name}: taken up", name=transfer.name)
        transfer.start()
        return [f"{transfer.name}: taken up"]

    def _in_the_way(self, found: Metainfo) -> str:
        """Why a torrent cannot be taken up beside the others, or nothing."""
        names = _names(found)
        for other in self.transfers.values():
            if other.metainfo.info_hash == found.info_hash:
                return f"the same torrent as {other.path}"
            if not names.isdisjoint(_names(other.metainfo)):
                return (
                    f"it has files of the same names as {other.path}, which would be mixed up in {self.settings.save}"
                )
        return ""

    async def _end(self, path: Path, patience: float = 5.0) -> None:
        transfer = self.transfers.pop(path)
        await transfer.stop(patience)
        if transfer.torrent is not None:
            self._past[0] += transfer.torrent.uploaded
            self._past[1] += transfer.torrent.downloaded
        for other in self.refused:  # whom it was in the way of has another chance
            self._files.forget(other)

    # -- inside

    def _record(self, info_hash: bytes) -> ResumeRecord:
        return ResumeRecord(self.commons.data.at(f"peer/{info_hash.hex()}.resume"), info_hash)

    def _completed(self, transfer: Transfer) -> None:
        _log.info("{name}: whole", name=transfer.name)
        if (
            self.settings.leave
            and not self._leaving
            and not self.refused
            and self._count(State.SEEDING) == len(self.transfers)
        ):
            _log.info("all torrents are whole: leaving")
            self._leaving = True
            self.commons.reactor.callLater(0, self.commons.reactor.stop)

    def _standings(self) -> list[Standing]:
        return [each.standing() for each in self.transfers.values()]

    def _torrents(self) -> Iterator[Torrent]:
        return (each.torrent for each in self.transfers.values() if each.torrent is not None)

    def _count(self, state: State) -> int:
        return sum(each.state is state for each in self.transfers.values())

    def _bytes(self) -> tuple[int, int]:
        """Up and down, since the start."""
        torrents = list(self._torrents())
        return (
            self._past[0] + sum(each.uploaded for each in torrents),
            self._past[1] + sum(each.downloaded for each in torrents),
        )

    def _troubles(self) -> Iterator[str]:
        if self._files.trouble:
            yield self._files.trouble
        for transfer in self.transfers.values():
            if transfer.trouble:
                yield f"{transfer.name}: {transfer.trouble}"
        for path, problem in self.refused.items():
            yield f"{path}: {problem}"

    def _summary(self) -> str:
        counts = {state.value: self._count(state) for state in State}
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        warnings = [
            f"{state.url}: {state.warning}"
            for each in self.transfers.values()
            if each.announcer is not None
            for state in each.announcer.states()
            if state.warning
        ]
        return "; ".join([told or "no torrents", *warnings])

    async def _drain(self, deadline: float) -> None:
        self._leaving = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._progress is not None:
            self._progress.stop()
        for listener in self._listeners:
            await listener.close()
        patience = max(deadline - self.commons.clock.seconds(), 0.05)
        await gatherResults(
            [Deferred.fromCoroutine(each.stop(patience)) for each in self.transfers.values()], consumeErrors=True
        )

    async def _stop(self) -> None:
        await self.server.drain(self.commons.clock.seconds())
        await self._trackers.close()
        self._threads.close()
        self.commons.data.release("peer")

    def _measure(self) -> None:
        add = self.commons.metrics.add
        add(
            "netsuite_peer_torrents",
            "Torrents by what is done with them.",
            "gauge",
            lambda: {(state.value,): self._count(state) for state in State},
            labels=("state",),
        )
        add(
            "netsuite_peer_bytes",
            "Bytes of pieces that were sent and received.",
            "counter",
            lambda: dict(zip((("up",), ("down",)), self._bytes(), strict=True)),
            labels=("direction",),
        )
        add("netsuite_peer_connections", "Connections with other peers.", "gauge", lambda: self.server.count)
        add(
            "netsuite_peer_lost_bytes",
            "Bytes that were received for nothing, in torrents that are here now.",
            "gauge",
            lambda: {
                (what,): sum(getattr(each, what) for each in self._torrents())
                for what in ("wasted", "unsolicited", "corrupt")
            },
            labels=("why",),
        )
        add(
            "netsuite_peer_bans",
            "Peers that sent wrong pieces, in torrents that are here now.",
            "gauge",
            lambda: sum(each.bans for each in self._torrents()),
        )
        add(
            "netsuite_peer_trackers",
            "Trackers of the torrents that are here now, by whether they answer.",
            "gauge",
            self._tracker_counts,
            labels=("state",),
        )

    def _tracker_counts(self) -> dict[tuple[str], int]:
        counts = {("answers",): 0, ("fails",): 0, ("not asked",): 0}
        for transfer in self.transfers.values():
            for state in transfer.announcer.states() if transfer.announcer is not None else ():
                counts["answers" if state.ok else "fails" if state.trouble else "not asked",] += 1
        return counts


def _read(path: Path) -> Metainfo | str:
    """A torrent, or what is wrong with its file."""
    try:
        return metainfo.parse(torrentfiles.read(path))
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)


def _names(found: Metainfo) -> set[tuple[str, ...]]:
    """The files that a torrent puts on the disk."""
    return {file.path for file in found.files if not file.pad and file.link is None}


def _missing(found: Metainfo, save: Path) -> str:
    """The first file of a torrent that is not there in its whole size, or nothing."""
    for file in found.files:
        if file.pad or file.link is not None:
            continue
        path = save.joinpath(*file.path)
        try:
            size = path.stat().st_size
        except OSError as error:
            return f"{path}: {error.strerror}"
        if size != file.length:
            return f"{path} has {size} bytes instead of {file.length}"
    return ""


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
