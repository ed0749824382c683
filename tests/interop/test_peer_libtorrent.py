"""Our peer and libtorrent's, each once as seed and once as leecher, over real sockets."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.common.commons import Runtime
from netsuite.common.threads import Threads
from tests.interop import libtorrent_peer
from tests.swarm import RealPeer, make_content, make_torrent_file


class LibtorrentPeer(ProcessProtocol):
    """One libtorrent session: ``ready`` gives its port, ``whole`` fires when it has everything."""

    def __init__(self):
        self.ready = Deferred()
        self.whole = Deferred()
        self.gone = Deferred()
        self.output = b""
        self.errors = b""

    def outReceived(self, data):
        *lines, self.output = (self.output + data).split(b"\n")
        for line in lines:
            if line.startswith(b"ready "):
                self.ready.callback(int(line.split()[1]))
            elif line == b"whole":
                self.whole.callback(None)

    def errReceived(self, data):
        self.errors += data

    def processEnded(self, reason):
        for waiting in (self.ready, self.whole):
            if not waiting.called:
                waiting.addErrback(lambda _: None)
                waiting.errback(AssertionError(self.errors.decode()))
        self.gone.callback(None)

    def stop(self):
        self.transport.closeStdin()
        return self.gone


class Libtorrent(TestCase):
    timeout = 60

    def setUp(self):
        if importlib.util.find_spec("libtorrent") is None:
            raise SkipTest("libtorrent is not installed")
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.content = make_content(5_000_001)
        self.torrent = self.folder / "a.torrent"
        self.metainfo = make_torrent_file(self.torrent, self.content)
        self.runtime = Runtime(reactor, reactor, random.Random(1))
        self.threads = Threads(reactor, "disk", most=2, waiting=1000)
        self.addCleanup(self.threads.close)

    def place(self, name, *, whole):
        folder = self.folder / name
        folder.mkdir()
        if whole:
            (folder / self.metainfo.name).write_bytes(self.content)
        return folder

    async def ours(self, name, *, whole=False, **options):
        peer = RealPeer(self.runtime, self.threads, self.metainfo, self.place(name, whole=whole), **options)
        self.addCleanup(peer.stop)
        await peer.start()
        return peer

    async def theirs(self, name, *peers, whole=False):
        program = libtorrent_peer.__file__
        words = [sys.executable, program, self.torrent, self.place(name, whole=whole), "0", *peers]
        peer = LibtorrentPeer()
        reactor.spawnProcess(peer, sys.executable, [str(word) for word in words], env=None)
        self.addCleanup(peer.stop)
        peer.port = await peer.ready
        return peer

    def read(self, name):
        return (self.folder / name / self.metainfo.name).read_bytes()

    async def test_it_fetches_from_us(self):
        seed = await self.ours("seed", whole=True)
        leecher = await self.theirs("leecher", f"127.0.0.1:{seed.port}")
        await leecher.whole
        self.assertEqual(self.read("leecher"), self.content)
        self.assertGreaterEqual(seed.torrent.figures().uploaded, len(self.content))
        self.assertEqual((seed.torrent.offences, seed.torrent.unsolicited), (0, 0))

    async def test_we_dial_it_and_fetch(self):
        seed = await self.theirs("seed", whole=True)
        leecher = await self.ours("leecher")
        leecher.torrent.found([("127.0.0.1", seed.port)])
        await leecher.complete
        self.assertEqual(self.read("leecher"), self.content)
        self.assertEqual((leecher.torrent.offences, leecher.torrent.corrupt), (0, 0))

    async def test_it_dials_us_and_we_fetch(self):
        leecher = await self.ours("leecher")
        await self.theirs("seed", f"127.0.0.1:{leecher.port}", whole=True)
        await leecher.complete
        self.assertEqual(self.read("leecher"), self.content)

    async def test_a_swarm_of_both(self):
        seed = await self.ours("seed", whole=True, upload=4 << 20)
        mine = [await self.ours(f"ours {number}") for number in range(2)]
        addresses = [f"127.0.0.1:{peer.port}" for peer in (seed, *mine)]
        theirs = [await self.theirs(f"theirs {number}", *addresses) for number in range(2)]
        for peer in mine:
            peer.torrent.found([("127.0.0.1", seed.port), *(("127.0.0.1", other.port) for other in theirs)])
        for peer in mine:
            await peer.complete
        for peer in theirs:
            await peer.whole
        for name in ("ours 0", "ours 1", "theirs 0", "theirs 1"):
            self.assertEqual(self.read(name), self.content)
        # whoever has something gives it on: the seed alone did not do it
        self.assertLess(seed.torrent.figures().uploaded, 4 * len(self.content))
