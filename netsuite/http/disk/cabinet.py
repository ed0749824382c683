"""The cache's place on disk, for the proxy: opened before the start is reported, closed when all is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from netsuite.common.commons import Commons
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.metrics import Metrics
from netsuite.common.threads import Threads
from netsuite.http.disk.log import Log
from netsuite.http.disk.recovery import recover
from netsuite.http.disk.spool import Spool
from netsuite.http.disk.tier import DiskTier

__all__ = ["Cabinet"]

_READERS: Final = 4
_WAITING: Final = 1024
_LOCK: Final = "cache"


class Cabinet:
    """A folder of its own for each worker process, so that each log has one writer: ``FOLDER/INDEX``.

    What is there must be touched by nobody else; a lock file sees to that. ``limit`` is the largest body, ``budget``
    that of all workers.
    """

    def __init__(self, commons: Commons, folder: Path | None, budget: int, limit: int) -> None:
        sharing = commons.sharing
        self._folder = DataDirectory((folder or commons.data.path / "cache") / str(sharing.index))
        self._writers = Threads(commons.reactor, "cache writer", most=1, waiting=_WAITING)
        self._readers = Threads(commons.reactor, "cache reader", most=_READERS, waiting=_WAITING)
        share = budget // max(1, sharing.count)
        self.log = Log(self._folder, share, self._writers, commons.clock.seconds)
        self.tier = DiskTier(self.log, self._readers, commons.clock.callLater)
        self.limit = min(limit, share // 4)
        self._opened = False

    def open(self) -> None:
        """Take the folder, and find what is there; raises StartError."""
        self._folder.lock(_LOCK)
        try:
            recover(self.log)
        except OSError as problem:
            raise StartError(
                f"the cache in {self._folder.path} cannot be opened ({problem}): mend it, or set another folder with "
                "proxy.disk"
            ) from problem
        self._opened = True

    def spool(self, length: int | None) -> Spool | None:
        """A file for a large body that begins to arrive; None if there is no room for it, or the disk fails."""
        if length is not None and length > self.limit:
            return None
        return Spool.begun(self.log, self._readers, length, self.limit)

    async def close(self) -> None:
        """Write what waits, and where everything is."""
        if not self._opened:
            return
        await self.tier.close()
        self._readers.close()
        self._writers.close()
        self._folder.release()

    @property
    def problem(self) -> str:
        """Why nothing is written at present, or empty."""
        return self.log.problem

    def figures(self) -> Sequence[tuple[str, float]]:
        """For the live page."""
        log = self.log
        return (
            ("responses on disk", len(log.index)),
            ("bytes on disk", log.used),
            ("read from disk", self.tier.reads),
        )

    def measure(self, metrics: Metrics) -> None:
        """Register what can be counted."""
        log, tier, add = self.log, self.tier, metrics.add
        add("netsuite_proxy_disk_stored", "Stored responses on disk.", "gauge", lambda: len(log.index))
        add("netsuite_proxy_disk_bytes", "Bytes of disk in use.", "gauge", lambda: log.used)
        add(
            "netsuite_proxy_disk_index_bytes",
            "Bytes of memory that the index of the disk takes.",
            "gauge",
            lambda: log.index.memory,
        )
        add(
            "netsuite_proxy_disk_written_bytes",
            "Bytes written to segments.",
            "counter",
            lambda: log.written_bytes,
        )
        add(
            "netsuite_proxy_disk_responses",
            "Stored responses on disk, by what became of them.",
            "counter",
            lambda: {
                ("read",): tier.reads,
                ("written",): log.writes,
                ("not admitted",): log.drops,
                ("evicted",): log.evictions,
                ("written anew",): log.reinsertions,
                ("damaged",): tier.damaged,
                ("unreadable",): tier.failures,
            },
            labels=("what",),
        )
