"""All torrents of a peer: taken up when their files come, left when these go, and summed up for its operator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.logger import Logger

from netsuite.bittorrent import metainfo
from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer import torrentfiles
from netsuite.bittorrent.peer.progress import Standing
from netsuite.bittorrent.peer.torrent import Torrent
from netsuite.bittorrent.peer.torrentfiles import TorrentFiles
from netsuite.bittorrent.peer.transfer import Means, State, Transfer

__all__ = ["Transfers", "missing", "read"]

_log = Logger()
_FAREWELL: Final = 5.0


class Transfers:
    """Transfers by the file that each came from; ``refused`` are the files that cannot be taken up, and why."""

    def __init__(self, files: TorrentFiles, means: Means) -> None:
        self.by_file: dict[Path, Transfer] = {}
        self.refused: dict[Path, str] = {}
        self._files = files
        self._means = means
        self._looks = DeferredLock()
        self._leaving = False
        self._past = [0, 0]  # bytes up and down of transfers that have ended

    def __iter__(self) -> Iterator[Transfer]:
        return iter(self.by_file.values())

    def __len__(self) -> int:
        return len(self.by_file)

    def look(self) -> Deferred[list[str]]:
        """Take up what came, leave what went; a line for each. One look at a time."""
        return self._looks.run(lambda: Deferred.fromCoroutine(self._look()))

    async def stop(self, patience: float) -> None:
        """Leave all swarms, within about so many seconds; nothing is taken up any more."""
        self._leaving = True
        await gatherResults([Deferred.fromCoroutine(each.stop(patience)) for each in self], consumeErrors=True)

    # -- figures

    @property
    def torrents(self) -> list[Torrent]:
        """Those that take part in their swarms."""
        return [each.torrent for each in self if each.torrent is not None]

    @property
    def bytes(self) -> tuple[int, int]:
        """Bytes of pieces up and down, since the start."""
        return (
            self._past[0] + sum(each.uploaded for each in self.torrents),
            self._past[1] + sum(each.downloaded for each in self.torrents),
        )

    @property
    def all_whole(self) -> bool:
        """Whether nothing is left to be downloaded, nor to be taken up."""
        return bool(self) and not (self.refused or self._looks.locked) and self.count(State.SEEDING) == len(self)

    def count(self, state: State) -> int:
        """How many are in a state."""
        return sum(each.state is state for each in self)

    def standings(self) -> list[Standing]:
        """How far each is."""
        return [each.standing() for each in self]

    def troubles(self) -> Iterator[str]:
        """What keeps them from going on, a line each."""
        if self._files.trouble:
            yield self._files.trouble
        for transfer in self:
            if transfer.trouble:
                yield f"{transfer.name}: {transfer.trouble}"
        for path, problem in self.refused.items():
            yield f"{path}: {problem}"

    def summary(self) -> str:
        """How many do what, and what trackers warn of."""
        counts = {state.value: self.count(state) for state in State}
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        states = (state for each in self if each.announcer is not None for state in each.announcer.states())
        return "; ".join(
            [told or "no torrents", *(f"{state.url}: {state.warning}" for state in states if state.warning)]
        )

    def trackers(self) -> dict[tuple[str], int]:
        """How many trackers answer, fail, or were not asked."""
        counts = {("answers",): 0, ("fails",): 0, ("not asked",): 0}
        for transfer in self:
            for state in transfer.announcer.states() if transfer.announcer is not None else ():
                counts["answers" if state.ok else "fails" if state.trouble else "not asked",] += 1
        return counts

    # -- inside

    async def _look(self) -> list[str]:
        said = []
        changes = self._files.look()
        for path in (*changes.went, *changes.came):
            if path in self.by_file:
                said.append(f"{self.by_file[path].name}: stopped")
                await self._end(path)
            self.refused.pop(path, None)
        for path in changes.came:
            said += await self._take_up(path)
        for transfer in self:
            transfer.look_for_peers()
        return said

    async def _take_up(self, path: Path) -> list[str]:
        """Start with a torrent file that came; a line for what became of it."""
        found = await self._means.threads.run(read, path)
        if self._leaving:
            return []
        problem = found if isinstance(found, str) else self._in_the_way(found)
        if isinstance(found, str) or problem:
            self.refused[path] = problem
            _log.error("{path}: {problem}", path=path, problem=problem)
            return [f"{path}: {problem}"]
        transfer = self.by_file[path] = Transfer(path, found, self._means)
        _log.info("{name}: taken up", name=transfer.name)
        transfer.start()
        return [f"{transfer.name}: taken up"]

    def _in_the_way(self, found: Metainfo) -> str:
        """Why a torrent cannot be taken up beside the others, or nothing."""
        names = _names(found)
        for other in self:
            if other.metainfo.info_hash == found.info_hash:
                return f"the same torrent as {other.path}"
            if not names.isdisjoint(_names(other.metainfo)):
                place = self._means.folder.place
                return f"it has files of the same names as {other.path}, which would be mixed up in {place}"
        return ""

    async def _end(self, path: Path) -> None:
        transfer = self.by_file.pop(path)
        await transfer.stop(_FAREWELL)
        if transfer.torrent is not None:
            self._past[0] += transfer.torrent.uploaded
            self._past[1] += transfer.torrent.downloaded
        for other in self.refused:  # whom it was in the way of has another chance
            self._files.forget(other)


def read(path: Path) -> Metainfo | str:
    """A torrent, or what is wrong with its file."""
    try:
        return metainfo.parse(torrentfiles.read(path))
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)


def missing(found: Metainfo, save: Path) -> str:
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


def _names(found: Metainfo) -> set[tuple[str, ...]]:
    """The files that a torrent puts on the disk."""
    return {file.path for file in found.files if not file.pad and file.link is None}
