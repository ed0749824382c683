"""The tracker as a service on real sockets, both transports and families on one store."""

from __future__ import annotations

import socket
import urllib.request

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.bittorrent.tracker.service import TrackerService
from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import (
    Announce,
    announce_url,
    read_reply,
    read_scrape_reply,
    scrape_url,
)
from netsuite.suite.assembly import Assembly
from netsuite.suite.site import read_site

HASH = bytes(range(20))


class Tracking(TestCase):
    timeout = 30

    def started(self, *sets):
        words = ["tracker.http=127.0.0.1:0,[::1]:0", "tracker.udp=127.0.0.1:0,[::1]:0", *sets]
        site = read_site(None, only="tracker", sets=[f"common.data={self.folder}", "common.access_log=off", *words])
        assembly = Assembly(site, reactor)
        assembly.build()
        assembly.open()
        assembly.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(assembly.stop(1.0)))
        self.assembly = assembly
        (self.service,) = (each for each in assembly.services if isinstance(each, TrackerService))
        self.where = {(each.kind, each.host): each.port for each in self.service.addresses()}

    def setUp(self):
        self.folder = self.mktemp()

    async def http(self, host="127.0.0.1", **fields):
        where = f"[{host}]" if ":" in host else host
        url = f"http://{where}:{self.where['http', host]}/announce"
        said = Announce(**{"info_hash": HASH, "peer_id": b"-XX0000-abcdefghijkl", "port": 7000, "left": 1, **fields})
        return read_reply(await deferToThread(self.fetch, announce_url(url, said)))

    def fetch(self, url):
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.read()

    def datagrams(self, host, *messages):
        """The answers to messages, made with the connection id that comes first."""
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect((host, self.where["udp", host]))
            sock.send(udp.connect_request(1))
            ident = udp.read_connect_reply(sock.recv(100))
            answers = []
            for message in messages:
                sock.send(message(ident))
                answers.append(sock.recv(4096))
            return answers

    async def udp(self, host="127.0.0.1", **fields):
        said = Announce(**{"info_hash": HASH, "peer_id": b"-XX0000-abcdefghijkl", "port": 7001, "left": 1, **fields})
        (reply,) = await deferToThread(self.datagrams, host, lambda ident: udp.announce_request(ident, 2, said))
        return udp.read_announce_reply(reply, ":" in host)

    async def test_one_swarm_however_one_asks(self):
        self.started()
        await self.http()
        reply = await self.udp()
        self.assertEqual((reply.peers, reply.leechers), ([("127.0.0.1", 7000)], 2))
        await self.udp("::1", port=7002)
        reply = await self.http("::1", port=7003, left=0)
        self.assertEqual(sorted(reply.peers), [("127.0.0.1", 7000), ("127.0.0.1", 7001), ("::1", 7002)])
        self.assertEqual(reply.external_ip, "::1")
        port = self.where["http", "127.0.0.1"]
        body = await deferToThread(self.fetch, scrape_url(f"http://127.0.0.1:{port}/announce", [HASH]))
        self.assertEqual(read_scrape_reply(body)[HASH][:3], (1, 0, 3))
        (reply,) = await deferToThread(self.datagrams, "::1", lambda ident: udp.scrape_request(ident, 2, [HASH]))
        self.assertEqual(udp.read_scrape_reply(reply, 1)[0][:3], (1, 0, 3))

    async def test_figures_metrics_and_health_tell_of_it(self):
        self.started()
        for port in (7000, 7001):
            await self.http(port=port)
            await self.udp(port=port)
        figures = dict(self.service.figures())
        self.assertEqual(figures["peers"], 2)
        self.assertEqual(figures["announces over HTTP"], 2)
        self.assertEqual(figures["announces over UDP"], 2)
        self.assertEqual(self.service.health(), (True, "1 swarms, 2 peers"))
        text = self.assembly.commons.metrics.exposition().decode()
        self.assertIn("netsuite_tracker_peers 2.0", text)
        self.assertIn('netsuite_tracker_announces_total{transport="udp"} 2.0', text)

    async def test_a_snapshot_that_cannot_be_written_shows(self):
        self.started("tracker.snapshot=1")
        folder = self.assembly.commons.data.at("tracker")
        taken = folder / "swarms"
        taken.mkdir()
        (taken / "in the way").touch()
        while self.service.health().ok:
            await deferLater(reactor, 0.05, lambda: None)
        self.assertIn("snapshot of the swarms cannot be written", self.service.health().detail)
        (taken / "in the way").unlink()
        taken.rmdir()
        while not self.service.health().ok:
            await deferLater(reactor, 0.05, lambda: None)
        self.assertGreater(self.service.snapshots, 0)

    async def test_the_everyday_announce_is_answered_at_the_door(self):
        self.started()
        for port in range(7000, 7010):
            await self.http(port=port)
        text = self.assembly.commons.metrics.exposition().decode()
        self.assertIn('netsuite_http_responses_total{server="tracker",status="2xx"} 10.0', text)
        self.assertEqual(self.service.http.announces, 10)
