"""One torrent at work: what is there is checked, its swarm joined, its trackers told; and all of that undone.

checking --> downloading --> seeding
|             |             |
+-------------+-------------+--> stopped
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

import attrs
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import Logger

from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.announcer import Announcer, Tracker
from netsuite.bittorrent.peer.cache import ReadCache
from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.peer.folder import FolderLayer
from netsuite.bittorrent.peer.pieces import PieceStore
from netsuite.bittorrent.peer.progress import Standing
from netsuite.bittorrent.peer.resume import ResumeRecord
from netsuite.bittorrent.peer.server import PeerServer
from netsuite.bittorrent.peer.torrent import Torrent
from netsuite.common.threads import Threads

__all__ = ["Means", "State", "Transfer"]

_log = Logger()


class State(Enum):
    """What a transfer does."""

    CHECKING = "checking"
    DOWNLOADING = "downloading"
    SEEDING = "seeding"
    STOPPED = "stopped"


@attrs.frozen
class Means:
    """What the transfers of a peer share; rates in bytes a second.

    ``record`` makes a torrent's resume record, ``trackers`` the clients of its tiers; ``wanted`` is how many addresses
    a tracker is asked for. ``only_seed`` says that nothing is to be downloaded. ``completed`` is called when a
    transfer turns out to be whole, or becomes so.
    """

    server: PeerServer
    threads: Threads
    cache: ReadCache
    folder: FolderLayer
    record: Callable[[bytes], ResumeRecord]
    trackers: Callable[[Metainfo], Sequence[Sequence[Tracker]]]
    conduct: Conduct
    completed: Callable[[Transfer], None]
    announce_port: int = 0
    wanted: int = 50
    upload: float | None = None
    download: float | None = None
    only_seed: bool = False


class Transfer:
    """``path`` is the .torrent file that it came from; ``checked`` how many pieces were looked at while checking."""

    def __init__(self, path: Path, metainfo: Metainfo, means: Means) -> None:
        self.path = path
        self.metainfo = metainfo
        self.checked = 0
        self.stopped = False
        self.torrent: Torrent | None = None
        self.announcer: Announcer | None = None
        self.store = PieceStore(
            metainfo,
            means.folder,
            means.threads,
            means.server.runtime.clock,
            resume=means.record(metainfo.info_hash),
            cache=means.cache,
        )
        self._means = means
        self._trouble = ""

    @property
    def name(self) -> str:
        """The torrent's own."""
        return self.metainfo.name

    @property
    def state(self) -> State:
        """What it does now."""
        if self.stopped:
            return State.STOPPED
        if self.torrent is None:
            return State.CHECKING
        return State.SEEDING if self.torrent.complete else State.DOWNLOADING

    @property
    def trouble(self) -> str:
        """Why it cannot go on as it should, or nothing; a silent tracker is trouble only while nobody is connected."""
        if self._trouble or self.store.trouble:
            return self._trouble or self.store.trouble or ""
        if self.announcer is None or self.torrent is None or any(self.torrent.links):
            return ""
        if not self.torrent.complete and not self.announcer.states():
            return "it names no tracker that can be asked (http, https or udp), so nobody is found to download it from"
        return self.announcer.trouble

    def standing(self) -> Standing:
        """How far it is, for people."""
        torrent, pieces = self.torrent, self.metainfo.piece_count
        return Standing(
            self.name,
            self.metainfo.length,
            self.metainfo.length - torrent.figures().left if torrent is not None else 0,
            torrent.downloaded if torrent is not None else 0,
            torrent.uploaded if torrent is not None else 0,
            len(list(torrent.links)) if torrent is not None else 0,
            self.checked / (pieces or 1) if self.state is State.CHECKING else None,
            self.trouble,
        )

    def start(self) -> None:
        """Check what is there, and go on from that."""
        Deferred.fromCoroutine(self._begin()).addErrback(self._failed)

    async def stop(self, patience: float) -> None:
        """Leave the swarm, tell the trackers within so many seconds, make all that was written durable."""
        if self.stopped:
            return
        self.stopped = True
        if self.torrent is not None:
            self.torrent.stop()
        leaving = self.announcer.stop(patience) if self.announcer is not None else _nothing()
        await gatherResults(
            [Deferred.fromCoroutine(leaving), Deferred.fromCoroutine(self._close())], consumeErrors=True
        )

    def look_for_peers(self) -> None:
        """Ask the tracker anew if nobody is there to download from; to be called now and then."""
        torrent, announcer = self.torrent, self.announcer
        if announcer is not None and torrent is not None and not torrent.complete and not any(torrent.links):
            announcer.hurry()

    # -- inside

    async def _begin(self) -> None:
        means = self._means
        try:
            await self.store.open(self._progress)
        except CancelledError:
            return
        except OSError as error:
            await self._give_up(f"{error.filename or means.folder.place}: {error.strerror or error}")
            return
        if self.stopped:
            return
        missing = self.metainfo.piece_count - self.store.have.count
        if missing and means.only_seed:
            await self._give_up(
                f"{missing} of {self.metainfo.piece_count} pieces are missing or wrong in {means.folder.place}: "
                "put them right, or let them be downloaded (without --seed, or with peer.seed = false)"
            )
            return
        self.torrent = torrent = Torrent(
            self.metainfo,
            self.store,
            means.server,
            means.conduct,
            upload=means.upload,
            download=means.download,
            on_complete=self._completed,
        )
        self.announcer = Announcer(
            means.server.runtime,
            means.trackers(self.metainfo),
            self.metainfo.info_hash,
            means.server.peer_id,
            means.announce_port or means.server.port,
            torrent.figures,
            torrent.found,
            wanted=lambda: means.wanted if not torrent.complete else means.wanted // 2,
        )
        torrent.start()
        self.announcer.start()
        if torrent.complete:
            means.completed(self)

    def _progress(self, done: int, of: int) -> None:
        self.checked = done

    def _completed(self) -> None:
        if self.announcer is not None:
            self.announcer.completed()
        self._means.completed(self)

    async def _give_up(self, trouble: str) -> None:
        self._trouble = trouble
        self.stopped = True
        _log.error("{name}: {trouble}", name=self.name, trouble=trouble)
        await self._close()

    async def _close(self) -> None:
        try:
            await self.store.close()
        except OSError as error:
            _log.error("{name}: {trouble}", name=self.name, trouble=error)

    def _failed(self, failure: object) -> None:
        self._trouble = "it could not be started, and the log says why"
        _log.failure("{name} could not be started", failure, name=self.name)  # type: ignore[arg-type]


async def _nothing() -> None:
    """Nobody needs to be told."""
