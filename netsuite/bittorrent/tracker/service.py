"""The tracker as a service of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from netsuite.bittorrent.tracker.application import TrackerApplication
from netsuite.bittorrent.tracker.datagrams import Datagrams
from netsuite.bittorrent.tracker.desk import Desk
from netsuite.bittorrent.tracker.settings import TrackerSettings
from netsuite.bittorrent.tracker.snapshot import SnapshotBroken, frozen, pieces, restore
from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.listen import DatagramListener
from netsuite.common.listenspec import parse
from netsuite.common.service import NetsuiteService
from netsuite.common.threads import Threads
from netsuite.interfaces import Address, Health, IHttpServer, INetsuiteService, IOffers

__all__ = ["SNAPSHOT", "TrackerService", "build"]

_log = Logger()

SNAPSHOT: Final = "tracker/swarms"
KEY: Final = "tracker/connections.key"
"""With what connection ids are made."""
_TICK: Final = 1.0
_STEP: Final = 0.01
"""Seconds between two steps of what is done a little at a time."""
_HASH: Final = "%01" * 20


@implementer(INetsuiteService)
class TrackerService(NetsuiteService):
    """One store of swarms, asked over HTTP and UDP; kept across restarts."""

    workers = "one"

    def __init__(self, settings: TrackerSettings, commons: Commons) -> None:
        super().__init__("tracker", commons)
        self.settings = settings
        self.desk = Desk(settings, commons)
        self.http = TrackerApplication(self.desk, commons.access.rule(settings.trusted))
        self._secret = bytes(commons.rng.getrandbits(8) for _ in range(32))
        self._udp: list[Datagrams] = []
        self._listeners: list[DatagramListener] = []
        self._where: Callable[[], Sequence[Address]] = tuple
        self._threads = Threads(commons.reactor, "tracker", most=1, waiting=4)
        self._timer: Any = None
        self._kept = 0.0
        self._pieces: Iterator[bytes] | None = None
        self._parts: list[bytes] = []
        self._writing = False
        self._opened = False
        self._trouble = ""
        self.snapshots = 0

    def join(self, offers: IOffers) -> None:
        """Have the HTTP server listen for it."""
        settings = self.settings
        if settings.http:
            server = offers.find(IHttpServer)
            self._where = server.listen(
                "tracker",
                settings.http,
                self.http,
                setting="tracker.http",
                rule=self.desk.rule,
                concurrency=self.commons.access.concurrency(settings.connections, settings.connections_per_address),
            )
        self._measure()

    def check(self) -> None:
        """Read the lists of torrents."""
        self.desk.torrents = self.desk.torrents.fresh()

    def open(self) -> None:
        """Own the snapshot, take what it holds, bind."""
        data, now = self.commons.data, self.commons.clock.seconds()
        data.lock("tracker")
        self._opened = True
        key = data.at(KEY)
        if key.is_file() and len(kept := key.read_bytes()) == 32:
            # peers go on with the ids that they have
            self._secret = kept
        else:
            data.write(KEY, self._secret)
        self._restore(now)
        for text in self.settings.udp:
            try:
                family = 1 if ":" in parse(text).host else 0
            except ValueError as error:
                raise StartError(f"tracker.udp: {error}") from None
            datagrams = Datagrams(self.desk, family, self._secret, now)
            listener = DatagramListener(text, datagrams.answer, self.commons, "tracker.udp", fast=datagrams.fast)
            self._udp.append(datagrams)
            self._listeners.append(listener)
            listener.open()

    def startService(self) -> None:
        """Answer."""
        super().startService()
        for listener in self._listeners:
            listener.accept()
        self._kept = self.commons.clock.seconds()
        self._tick()

    def stopService(self) -> Deferred[None] | None:
        """Keep the swarms."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return Deferred.fromCoroutine(self._stop())

    def addresses(self) -> Sequence[Address]:
        """Where announces go."""
        found = []
        for address in self._where():
            host = f"[{address.host}]" if ":" in address.host else address.host
            trust = f" --cacert {self.commons.certificates.ca_path}" if address.kind == "https" else ""
            url = f"{address.kind}://{host}:{address.port}"
            found.append(address._replace(hint=f"curl{trust} '{url}/scrape?info_hash={_HASH}'"))
        for listener in self._listeners:
            host = f"[{listener.host}]" if ":" in listener.host else listener.host
            hint = f"netsuite torrent create FILE --tracker udp://{host}:{listener.port}/announce -o OUT"
            found.append(Address("udp", listener.host, listener.port, hint))
        return found

    def health(self) -> Health:
        """Well while it runs, its snapshots can be written and its lists read."""
        if not self.running:
            return Health(False, "not running")
        if self._trouble:
            return Health(False, self._trouble)
        return Health(True, f"{len(self.desk.swarms)} swarms, {self.desk.swarms.peers} peers")

    def figures(self) -> Sequence[tuple[str, float]]:
        """What it holds and what it did."""
        swarms = self.desk.swarms
        return (
            ("swarms", len(swarms)),
            ("peers", swarms.peers),
            ("announces over HTTP", self.http.announces),
            ("announces over UDP", sum(each.announces for each in self._udp)),
            ("scrapes", self.http.scrapes + sum(each.scrapes for each in self._udp)),
            ("refused for want of room", swarms.refused),
            ("refused by rate", self.desk.limited),
        )

    def reload(self) -> Awaitable[Sequence[str]]:
        """Read the lists of torrents again; swarms that are not served any more are dropped."""
        return Deferred.fromCoroutine(self._reload())

    def drain(self, deadline: float) -> Awaitable[None]:
        """Take nothing new (over HTTP the HTTP server sees to that)."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        for listener in self._listeners:
            await listener.close(deadline)

    async def _reload(self) -> list[str]:
        if self.settings.allow_torrents is None and self.settings.deny_torrents is None:
            return []
        try:
            self.desk.torrents = await self._threads.run(self.desk.torrents.fresh)
        except StartError as error:
            self._trouble = str(error)
            return [f"the lists of torrents stay as they were: {error}"]
        self._trouble = ""
        gone = self.desk.keep_listed()
        return [f"{self.desk.torrents}; {gone} swarms were dropped"]

    # -- time, and what is kept

    def _tick(self) -> None:
        clock = self.commons.clock
        now = clock.seconds()
        for datagrams in self._udp:
            datagrams.tick(now)
        done = self.desk.swarms.step(now)
        if self._pieces is None and not self._writing and now >= self._kept + self.settings.snapshot:
            self._kept = now
            self._parts, self._pieces = [], pieces(self.desk.swarms, now)
        if self._pieces is not None:
            piece = next(self._pieces, None)
            if piece is not None:
                self._parts.append(piece)
                done = False
            else:
                self._pieces = None
                self._writing = True
                Deferred.fromCoroutine(self._write(self._parts))
        self._timer = clock.callLater(_TICK if done else _STEP, self._tick)

    async def _write(self, parts: list[bytes]) -> None:
        """Have a snapshot written by a thread; what goes wrong shows in health and in the log, and is tried again."""
        self._parts = []
        try:
            await self._threads.run(self._written, parts)
            self.snapshots += 1
            if self._trouble.startswith("snapshot"):
                self._trouble = ""
        except Exception as error:
            if not self._trouble:
                _log.error("snapshot of the swarms cannot be written: {error}", error=error)
            self._trouble = f"snapshot of the swarms cannot be written: {error}"
        finally:
            self._writing = False

    def _written(self, parts: list[bytes]) -> None:
        self.commons.data.write(SNAPSHOT, frozen(parts))

    async def _stop(self) -> None:
        if self._opened:
            self._opened = False
            self._pieces = None
            await self._write(list(pieces(self.desk.swarms, self.commons.clock.seconds())))
            self._threads.close()
            self.commons.data.release("tracker")

    def _restore(self, now: float) -> None:
        path = self.commons.data.at(SNAPSHOT)
        try:
            restore(path.read_bytes(), self.desk.swarms, now)
        except FileNotFoundError:
            return
        except (SnapshotBroken, OSError) as error:
            _log.error(
                "{path}: the snapshot of the swarms is not used ({error}); peers will announce themselves again",
                path=path,
                error=error,
            )
            return
        self.desk.keep_listed()

    def _measure(self) -> None:
        add, desk, swarms = self.commons.metrics.add, self.desk, self.desk.swarms
        add("netsuite_tracker_swarms", "Swarms that are known.", "gauge", lambda: len(swarms))
        add("netsuite_tracker_peers", "Peers in all swarms.", "gauge", lambda: swarms.peers)
        add("netsuite_tracker_memory_bytes", "Bytes that swarms take, about.", "gauge", lambda: swarms.memory)
        add(
            "netsuite_tracker_announces",
            "Announces answered, by transport.",
            "counter",
            lambda: {("http",): self.http.announces, ("udp",): sum(each.announces for each in self._udp)},
            labels=("transport",),
        )
        add(
            "netsuite_tracker_scrapes",
            "Scrapes answered, by transport.",
            "counter",
            lambda: {("http",): self.http.scrapes, ("udp",): sum(each.scrapes for each in self._udp)},
            labels=("transport",),
        )
        add(
            "netsuite_tracker_connects",
            "Connection ids given over UDP.",
            "counter",
            lambda: sum(each.connects for each in self._udp),
        )
        add(
            "netsuite_tracker_failures",
            "Requests answered with a refusal, by transport.",
            "counter",
            lambda: {("http",): self.http.failures, ("udp",): sum(each.errors for each in self._udp)},
            labels=("transport",),
        )
        add(
            "netsuite_tracker_gone",
            "Peers not heard of, swarms dropped for room, announces refused for want of it or by rate.",
            "counter",
            lambda: {
                ("expired",): swarms.expired,
                ("evicted",): swarms.evicted,
                ("refused",): swarms.refused,
                ("limited",): desk.limited,
            },
            labels=("why",),
        )
        add("netsuite_tracker_snapshots", "Snapshots written.", "counter", lambda: self.snapshots)


def build(settings: TrackerSettings, commons: Commons) -> TrackerService:
    """The ``[tracker]`` table's service."""
    return TrackerService(settings, commons)
