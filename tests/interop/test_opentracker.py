"""Our tracker clients against opentracker, over HTTP and UDP."""

from __future__ import annotations

import os
import random
import shutil
import subprocess

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.announcer import AnnounceFailed, Announcer
from netsuite.bittorrent.peer.trackers import Trackers
from netsuite.bittorrent.wire.announce import Announce, Event
from netsuite.common.commons import Runtime
from netsuite.http.useragent import UserAgent
from netsuite.testing.fakes import KnownNames
from tests.system.running import accepts, folder, free_port, until

HASH = bytes(range(1, 21))


class Progress:
    uploaded, downloaded, left = 0, 0, 1


class OpentrackerCase(TestCase):
    timeout = 60
    scheme = "http"

    def setUp(self):
        if shutil.which("opentracker") is None:
            raise SkipTest("opentracker is not installed")
        entered = folder()
        place = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        place.chmod(0o755)
        (place / "allowed").write_text(HASH.hex() + "\n")
        port = free_port()
        become = ["-u", "nobody"] if os.getuid() == 0 else []
        address = ["-i", "127.0.0.1", "-p", str(port), "-P", str(port)]
        self.process = subprocess.Popen(
            ["opentracker", *address, "-d", str(place), *become, "-w", "allowed" if become else str(place / "allowed")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(self.process.wait, 10)
        self.addCleanup(self.process.kill)
        until("opentracker", lambda: accepts(port))
        self.url = f"{self.scheme}://127.0.0.1:{port}/announce"
        self.runtime = Runtime(reactor, reactor, random.Random(1))
        self.trackers = self.clients()

    def clients(self):
        """The trackers of one peer."""
        trackers = Trackers(self.runtime, guarded=False)
        agent = UserAgent(self.runtime, KnownNames().addresses, None)
        trackers.join(agent, KnownNames())
        self.addCleanup(trackers.close)
        self.addCleanup(agent.close)
        return trackers

    def tiers(self):
        return self.trackers.tiers(Metainfo(HASH, "x", 1, bytes(20), 1, (), trackers=((self.url,),)))

    async def announce(self, number, event=Event.NONE, info_hash=HASH, left=1):
        (((client,),),) = (self.tiers(),)
        peer_id = b"-NS0001-%012d" % number
        return await client.announce(Announce(info_hash, peer_id, 7000 + number, 0, 0, left, event, 50, number))

    async def test_peers_are_introduced_counted_and_forgotten(self):
        await self.announce(1, Event.STARTED)
        reply = await self.announce(2, Event.STARTED, left=0)
        self.assertIn(("127.0.0.1", 7001), reply.peers)
        self.assertEqual((reply.seeds, reply.leechers), (1, 1))
        self.assertGreaterEqual(reply.interval, 60)
        await self.announce(1, Event.COMPLETED, left=0)
        self.assertEqual((await self.announce(2, left=0)).seeds, 2)
        await self.announce(1, Event.STOPPED, left=0)
        reply = await self.announce(2, left=0)
        self.assertNotIn(("127.0.0.1", 7001), reply.peers)
        self.assertEqual((reply.seeds, reply.leechers), (1, 0))

    async def test_a_torrent_that_it_does_not_serve_is_refused(self):
        problem = await self.assertFailure(
            Deferred.fromCoroutine(self.announce(1, Event.STARTED, bytes(20))), AnnounceFailed
        )
        self.assertTrue(str(problem))

    async def test_two_announcers_meet(self):
        met = Deferred()

        def found(peers):
            if ("127.0.0.1", 7001) in peers and not met.called:
                met.callback(None)

        announcers = [
            Announcer(self.runtime, self.tiers(), HASH, b"-NS0001-%012d" % number, 7000 + number, Progress, found)
            for number in (1, 2)
        ]
        announcers[0].start()
        while not announcers[0].states()[0].ok:
            await _turn()
        announcers[1].start()
        await met
        for each in announcers:
            await each.stop()
        self.assertEqual((await self.announce(3)).leechers, 1)


class OpentrackerByUdpCase(OpentrackerCase):
    scheme = "udp"

    async def test_one_connection_id_serves_many_announces(self):
        for number in range(5):
            await self.announce(number)
        self.assertEqual(self.trackers.udp.sent, 6)


def _turn():
    turn = Deferred()
    reactor.callLater(0.01, turn.callback, None)
    return turn
