"""The peer as a site has it: figures, metrics, health, hints, reload, locks, a drain in bounded time."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netsuite.bittorrent.creation import create
from netsuite.bittorrent.peer.service import build
from netsuite.bittorrent.peer.settings import PeerSettings
from netsuite.bittorrent.peer.transfer import State
from netsuite.bittorrent.wire.bencode import decode, encode
from netsuite.common.errors import StartError
from netsuite.interfaces import HttpFailed, HttpReply, IHttpClient, INameResolver
from netsuite.testing.commons import make_commons
from netsuite.testing.fakes import KnownNames

TRACKER = "http://tracker.test/announce"


@implementer(IHttpClient)
class Web:
    """A tracker by HTTP, without a network: introduces everybody to everybody."""

    def __init__(self):
        self.events = []
        self.ports = set()
        self.answer = None

    def get(self, url, *, limit, timeout, headers=(), guarded=False):
        fields = dict(part.partition("=")[::2] for part in url.partition("?")[2].split("&"))
        event = fields.get("event", "none")
        self.events.append(event)
        if self.answer is not None:
            return self.answer()
        self.ports.add(int(fields["port"]))
        peers = b"".join(b"\x7f\0\0\1" + port.to_bytes(2, "big") for port in self.ports)
        reply = {"interval": 1800, "complete": 1, "incomplete": 0, "peers": peers, "warning message": "be gentle"}
        return Deferred.fromCoroutine(replying(HttpReply(200, (), encode(reply))))


async def replying(reply):
    return reply


async def failing():
    raise HttpFailed("tracker.test: no connection")


class PeerServiceCase(TestCase):
    timeout = 30

    def setUp(self):
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "seed").mkdir(parents=True)
        (self.folder / "torrents").mkdir()
        (self.folder / "seed/one.txt").write_bytes(b"one" * 50_000)
        self.torrent = self.folder / "torrents/one.torrent"
        self.torrent.write_bytes(create(self.folder / "seed/one.txt", trackers=[[TRACKER]]))
        self.web = Web()
        self.count = 0

    def started(self, **settings):
        self.count += 1
        commons = make_commons(self.folder / f"data{self.count}", reactor, seed=self.count)
        commons.offers.provide(IHttpClient, self.web, "http")
        commons.offers.provide(INameResolver, KnownNames(), "system")
        given = {"listen": ["127.0.0.1:0"], "torrents": self.folder / "torrents", **settings}
        service = build(PeerSettings.model_validate(given), commons)
        service.register(commons.offers)
        service.join(commons.offers)
        service.check()
        service.open()
        service.startService()
        self.addCleanup(self.ended, service)
        return service

    async def ended(self, service):
        if service.running:
            await service.drain(reactor.seconds() + 1)
            await service.stopService()

    async def until(self, condition):
        while not condition():
            await deferLater(reactor, 0.01)

    async def pair(self):
        """A seed, and a leecher that has become one."""
        seed = self.started(save=self.folder / "seed", seed=True)
        await self.until(lambda: seed.health().detail.startswith("1 seeding"))
        leecher = self.started(save=self.folder / "copy")
        await self.until(lambda: leecher.health().detail.startswith("1 seeding"))
        return seed, leecher

    async def test_a_download_with_figures_metrics_and_warnings(self):
        seed, leecher = await self.pair()
        size = 150_000
        self.assertEqual((self.folder / "copy/one.txt").read_bytes(), (self.folder / "seed/one.txt").read_bytes())
        self.assertEqual(dict(leecher.figures())["bytes downloaded"], size)
        self.assertEqual(dict(seed.figures())["bytes uploaded"], size)
        self.assertEqual(leecher.health().detail, f"1 seeding; {TRACKER}: be gentle")
        self.assertTrue(leecher.health().ok)
        said = leecher.commons.metrics.exposition()
        self.assertIn(b'netsuite_peer_bytes_total{direction="down"} 150000.0', said)
        self.assertIn(b'netsuite_peer_torrents{state="seeding"} 1.0', said)
        self.assertIn(b'netsuite_peer_trackers{state="answers"} 1.0', said)
        await self.ended(leecher)
        await self.ended(seed)
        self.assertEqual(self.web.events, ["started", "started", "completed", "stopped", "stopped"])

    async def test_what_was_exchanged_stays_counted_when_its_torrent_goes(self):
        _, leecher = await self.pair()
        self.torrent.unlink()
        self.assertEqual(list(await leecher.reload()), ["one.txt: stopped"])
        self.assertEqual(leecher.health().detail, "no torrents")
        self.assertEqual(dict(leecher.figures())["bytes downloaded"], 150_000)
        self.assertEqual(leecher.server.torrents, {})

    async def test_a_restart_goes_on_from_the_record(self):
        service = self.started(save=self.folder / "seed")
        await self.until(lambda: service.health().detail.startswith("1 seeding"))
        await self.ended(service)
        self.assertFalse(service.health().ok)
        self.count -= 1
        again = self.started(save=self.folder / "seed")
        await self.until(lambda: again.health().detail.startswith("1 seeding"))
        (transfer,) = again.transfers
        self.assertEqual(transfer.checked, 0)

    async def test_a_tracker_that_fails_is_told_while_nobody_is_connected(self):
        self.web.answer = lambda: Deferred.fromCoroutine(failing())
        service = self.started(save=self.folder / "seed")
        await self.until(lambda: not service.health().ok and service.transfers)
        await self.until(lambda: "no connection" in service.health().detail)
        self.assertEqual(service.health().detail, f"one.txt: {TRACKER}: tracker.test: no connection")

    async def test_a_torrent_without_a_tracker_says_that_nobody_is_found(self):
        tiers = [["wss://tracker.test"]]
        self.torrent.write_bytes(encode({"announce-list": tiers, "info": self.info()}))
        service = self.started(save=self.folder / "copy")
        await self.until(lambda: "it names no tracker that can be asked" in service.health().detail)
        whole = self.started(save=self.folder / "seed")
        await self.until(lambda: whole.health() == (True, "1 seeding"))

    def info(self):
        """What the torrent is about."""
        return decode(self.torrent.read_bytes())[b"info"]

    async def test_a_silent_tracker_does_not_hold_up_the_end(self):
        self.web.answer = Deferred
        service = self.started(save=self.folder / "seed")
        await self.until(lambda: self.web.events)
        began = reactor.seconds()
        await service.drain(began + 0.3)
        self.assertLess(reactor.seconds() - began, 1)
        self.assertEqual(self.web.events, ["started", "stopped"])
        self.assertEqual({each.state for each in service.transfers}, {State.STOPPED})

    async def test_a_check_can_be_cut_short(self):
        (self.folder / "seed/large.bin").write_bytes(bytes(64 << 20))
        self.torrent.write_bytes(create(self.folder / "seed/large.bin", trackers=[[TRACKER]]))
        service = self.started(save=self.folder / "seed", threads=1)
        await self.until(lambda: service.transfers)
        await self.ended(service)
        self.assertNotIn("completed", self.web.events)

    async def test_one_owner_a_data_directory(self):
        self.started(save=self.folder / "seed")
        self.count -= 1
        self.assertRaises(StartError, self.started, save=self.folder / "seed")

    async def test_the_hint_names_a_torrent_of_the_folder(self):
        service = self.started(save=self.folder / "seed")
        (address,) = service.addresses()
        self.assertEqual((address.kind, address.port), ("tcp", service.server.port))
        self.assertIn(f"netsuite-peer --torrent {self.torrent} --save .", address.hint)

    async def test_a_torrent_file_that_is_still_being_written_is_taken_up_when_it_is_whole(self):
        whole = self.torrent.read_bytes()
        self.torrent.write_bytes(whole[:100])
        service = self.started(save=self.folder / "seed")
        await self.until(lambda: service.transfers.refused)
        self.assertFalse(service.health().ok)
        self.torrent.write_bytes(whole)
        self.assertEqual(list(await service.reload()), ["one.txt: taken up"])
        await self.until(lambda: service.health().ok)
