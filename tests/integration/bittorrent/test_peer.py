"""Our peers among themselves, on real sockets, files and threads."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.common.commons import Runtime
from netsuite.common.threads import Threads
from tests.swarm import RealPeer, make_content, make_torrent_file

PIECE = 65536


class Peers(TestCase):
    timeout = 60

    def setUp(self):
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.runtime = Runtime(reactor, reactor, random.Random(1))
        self.threads = Threads(reactor, "disk", most=2, waiting=10_000)
        self.addCleanup(self.threads.close)

    def share(self, length):
        self.content = make_content(length)
        self.metainfo = make_torrent_file(self.folder / "a.torrent", self.content, PIECE)

    async def peer(self, name, data=None, **options):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        if data is not None:
            (folder / "file").write_bytes(data)
        peer = RealPeer(self.runtime, self.threads, self.metainfo, folder, **options)
        self.addCleanup(peer.stop)
        await peer.start()
        return peer

    def check(self, *names):
        for name in names:
            self.assertEqual((self.folder / name / "file").read_bytes(), self.content)

    async def test_a_seed_and_a_leecher(self):
        self.share(20_000_001)
        seed = await self.peer("seed", self.content)
        leecher = await self.peer("leecher")
        leecher.torrent.found([seed.place])
        await leecher.complete
        self.check("leecher")
        self.assertEqual(leecher.torrent.figures(), (0, len(self.content), 0))
        self.assertEqual(leecher.torrent.wasted, 0)

    async def test_both_ways_at_once(self):
        """Two who send each other more than all buffers hold must both go on reading."""
        self.share(64 << 20)
        middle = len(self.content) // 2
        one = await self.peer("one", self.content[:middle].ljust(len(self.content), b"\0"))
        other = await self.peer("other", self.content[middle:].rjust(len(self.content), b"\0"))
        other.torrent.found([one.place])
        await gatherResults([one.complete, other.complete])
        self.check("one", "other")

    async def test_a_swarm(self):
        self.share(4_000_000)
        conduct = Conduct().scaled(20)
        seed = await self.peer("seed", self.content, conduct=conduct, upload=4_000_000)
        leechers = [await self.peer(str(number), conduct=conduct) for number in range(6)]
        for number, leecher in enumerate(leechers):
            leecher.torrent.found([seed.place, *(other.place for other in leechers[:number])])
        await gatherResults([leecher.complete for leecher in leechers])
        self.check(*map(str, range(6)))
        self.assertLess(seed.torrent.uploaded, 5 * len(self.content))

    async def test_a_peer_that_dies_and_comes_back(self):
        self.share(8_000_000)
        conduct = Conduct().scaled(20)
        seed = await self.peer("seed", self.content, conduct=conduct, upload=8_000_000)
        leecher = await self.peer("leecher", conduct=conduct)
        leecher.torrent.found([seed.place])
        while leecher.torrent.figures().left > len(self.content) // 2:
            await leecher.turn()
        await leecher.stop()
        again = await self.peer("leecher", conduct=conduct)
        left = again.torrent.figures().left
        self.assertLessEqual(left, len(self.content) // 2)
        again.torrent.found([seed.place])
        await again.complete
        self.check("leecher")
        self.assertEqual(again.torrent.downloaded, left)

    async def test_who_is_not_allowed_is_not_let_in(self):
        self.share(100_000)

        class Nobody:
            def permits(self, host):
                return False

        seed = await self.peer("seed", self.content, rule=Nobody())
        leecher = await self.peer("leecher")
        leecher.torrent.found([seed.place])
        while not seed.server.factory.refused:
            await leecher.turn()
        self.assertEqual(seed.server.factory.accepted, 0)
