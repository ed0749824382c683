"""A peer and its trackers on the in-memory network: what is sent, when it is sent again, what is refused."""

from __future__ import annotations

import math
import random
from struct import pack, unpack_from

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.announcer import AnnounceFailed
from netsuite.bittorrent.peer.trackers import HttpTracker, Trackers, UdpTracker
from netsuite.bittorrent.wire.announce import Announce, Event
from netsuite.bittorrent.wire.bencode import encode
from netsuite.bittorrent.wire.udp import ANNOUNCE_REQUEST, read_options
from netsuite.common.commons import Runtime
from netsuite.interfaces import HttpFailed, HttpReply, InternalTarget
from netsuite.testing.fakes import KnownNames
from netsuite.testing.network import Network

HERE, HERE6 = "192.0.2.1", "2001:db8::1"
THERE, THERE6 = "192.0.2.2", "2001:db8::2"
PORT = 6969
ANNOUNCE = Announce(bytes(range(20)), b"-NS0001-abcdefghijkl", 6881, 1, 2, 3, Event.STARTED, 50, 0xABCDEF01)
PEER, PEER6 = b"\xc0\x00\x02\x09\x1a\xe1", bytes.fromhex("20010db8" + "00" * 11 + "09") + b"\x1a\xe1"


class Tracker(DatagramProtocol):
    """A tracker that keeps what it is asked; ``mute`` lets it not answer connects or announces, or neither."""

    noisy = False
    garbled = 0
    """So many announces are answered with something else."""

    def __init__(self, host, address, peers=PEER):
        self.clock = host
        self.connection = 7
        self.peers = peers
        self.mute = set()
        self.error = None
        self.said = []
        self.announces = []
        self.origins = []
        self.port = host.listenUDP(PORT, self, interface=address)

    def datagramReceived(self, data, addr):
        connection, action, number = unpack_from(">QII", data)
        self.origins.append(addr)
        what = ("connect", "announce")[action]
        self.said.append((round(self.clock.seconds() - self.clock.began, 1), what))
        if what in self.mute:
            return
        if action == 0:
            assert connection == 0x41727101980
            self.transport.write(pack(">IIQ", 0, number, self.connection), addr)
        elif self.error is not None:
            self.transport.write(pack(">II", 3, number) + self.error, addr)
        elif connection != self.connection:
            self.transport.write(pack(">II", 3, number) + b"Connection ID mismatch", addr)
        else:
            self.announces.append(data)
            if self.garbled:
                self.garbled -= 1
                self.transport.write(pack(">IIQ", 0, number, 9), addr)
                return
            self.transport.write(pack(">IIIII", 1, number, 1800, 4, 5) + self.peers, addr)


class House:
    """A peer's trackers, and two tracker machines, one a family."""

    def __init__(self, guarded=False):
        self.network = Network()
        self.here = self.network.host(HERE, HERE6)
        self.there = self.network.host(THERE, THERE6)
        self.there.began = self.there.seconds()
        self.tracker, self.tracker6 = Tracker(self.there, THERE), Tracker(self.there, THERE6, PEER6)
        self.names = KnownNames(
            {"tracker.test": [THERE], "both.test": [THERE, THERE6], "six.test": [THERE6], "none.test": []},
            broken=["broken.test"],
        )
        self.trackers = Trackers(Runtime(self.here, self.here, random.Random(1)), guarded=guarded)
        self.web = Web()
        self.trackers.join(self.web, self.names)

    def client(self, url="udp://tracker.test:6969/announce"):
        (((client,),),) = (self.trackers.tiers(metainfo((url,))),)
        return client

    def announce(self, url="udp://tracker.test:6969/announce", **fields):
        return self.network.result(self.client(url).announce(ANNOUNCE._replace(**fields)), timeout=1000)

    def refused(self, url="udp://tracker.test:6969/announce"):
        with pytest.raises(AnnounceFailed) as caught:
            self.announce(url)
        return str(caught.value)

    def close(self):
        self.network.result(self.trackers.close())


def metainfo(*tiers):
    return Metainfo(bytes(20), "x", 1, bytes(20), 1, (), trackers=tiers)


class Web:
    """An IHttpClient that answers what it is told to."""

    def __init__(self):
        self.asked = []
        self.answer = HttpReply(200, (), b"")

    async def get(self, url, *, limit, timeout, headers=(), guarded=False):
        self.asked.append((url, guarded))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def house():
    house = House()
    yield house
    house.close()
    assert not house.network.clock.getDelayedCalls()


# -- UDP


def test_connect_then_announce(house):
    reply = house.announce()
    assert (reply.interval, reply.leechers, reply.seeds, reply.peers) == (1800, 4, 5, [("192.0.2.9", 6881)])
    assert [what for _, what in house.tracker.said] == ["connect", "announce"]
    data = house.tracker.announces[0]
    (_, _, _, info_hash, peer_id, downloaded, left, uploaded, event, ip, key, wanted, port) = (
        ANNOUNCE_REQUEST.unpack_from(data)
    )
    assert (info_hash, peer_id, port) == (ANNOUNCE.info_hash, ANNOUNCE.peer_id, 6881)
    assert (uploaded, downloaded, left, event, ip, key, wanted) == (1, 2, 3, 2, 0, 0xABCDEF01, 50)
    assert read_options(data) == b"/announce"


def test_path_and_query_go_along(house):
    house.announce("udp://tracker.test:6969/announce?pass=1&x=2")
    assert read_options(house.tracker.announces[0]) == b"/announce?pass=1&x=2"


def test_a_connection_id_serves_a_minute(house):
    house.announce()
    house.network.advance(59)
    house.announce()
    assert [what for _, what in house.tracker.said] == ["connect", "announce", "announce"]
    house.network.advance(2)
    house.announce()
    assert [what for _, what in house.tracker.said[3:]] == ["connect", "announce"]


def test_many_who_wait_for_a_connection_id_ask_for_one(house):
    asked = [Deferred.fromCoroutine(house.client().announce(ANNOUNCE)) for _ in range(5)]
    for each in asked:
        assert house.network.result(each).interval == 1800
    assert [what for _, what in house.tracker.said].count("connect") == 1


def test_connects_are_repeated_after_15_seconds_and_given_up_after_30_more(house):
    house.tracker.mute = {"connect"}
    assert house.refused() == f"{THERE}:6969 does not answer"
    assert house.tracker.said == [(0.0, "connect"), (15.0, "connect")]
    assert house.there.seconds() - house.there.began == pytest.approx(45, abs=1)


def test_an_announce_is_repeated_with_the_id_while_that_is_valid(house):
    """BEP 15's own example: the id is older than a minute when the third repetition is due."""
    house.trackers.udp._tries = 4
    house.tracker.mute = {"announce"}
    house.refused()
    times = [(round(time), what) for time, what in house.tracker.said]
    assert times == [
        (0, "connect"),
        (0, "announce"),
        (15, "announce"),
        (45, "announce"),
        (105, "connect"),
        (105, "announce"),
    ]


def test_a_tracker_that_was_started_anew_is_asked_for_another_id(house):
    house.announce()
    house.tracker.connection = 8
    assert house.announce().interval == 1800
    assert [what for _, what in house.tracker.said] == ["connect", "announce", "announce", "connect", "announce"]


def test_an_error_is_told_and_believed(house):
    house.tracker.error = b"torrent \x1b[31mnot\x00registered\n"
    assert house.refused() == "torrent [31mnot registered"
    assert [what for _, what in house.tracker.said] == ["connect", "announce"]
    house.tracker.error = b""
    assert house.refused() == "no reason given"


def test_what_is_no_answer_is_asked_for_again(house):
    """A datagram that is cut, or anybody's, is not the tracker's word; if there are only such, that is told."""
    house.tracker.garbled = 1
    assert house.announce().interval == 1800
    house.tracker.garbled = 100
    assert house.refused() == "the tracker's datagram is malformed"
    assert house.tracker.garbled == 100 - house.trackers.udp._tries


def test_strangers_and_answers_to_nothing_are_passed_over(house):
    house.tracker.mute = {"announce"}
    asked = Deferred.fromCoroutine(house.client().announce(ANNOUNCE))
    house.network.advance(1)
    number = next(iter(house.trackers.udp._asked))
    forged = pack(">IIIII", 1, number, 1800, 0, 0)
    stranger = house.network.host("192.0.2.66")
    port = stranger.listenUDP(0, DatagramProtocol(), interface="192.0.2.66")
    to = house.tracker.origins[0]
    port.write(forged, to)
    house.tracker.transport.write(b"short", to)
    house.tracker.transport.write(pack(">IIIII", 1, number ^ 1, 1800, 0, 0), to)
    house.network.advance(1)
    assert not asked.called
    assert house.trackers.udp.strays == 3
    house.tracker.transport.write(forged, to)
    house.tracker.transport.write(forged, to)
    assert house.network.result(asked).interval == 1800


def test_both_families_are_announced_with_one_key(house):
    house.trackers.families = {4, 6}
    reply = house.announce("udp://both.test:6969")
    assert sorted(reply.peers) == [("192.0.2.9", 6881), ("2001:db8::9", 6881)]
    keys = {ANNOUNCE_REQUEST.unpack_from(each.announces[0])[10] for each in (house.tracker, house.tracker6)}
    assert keys == {0xABCDEF01}


def test_one_family_that_answers_is_enough(house):
    house.trackers.families = {4, 6}
    house.tracker6.error = b"no"
    assert house.announce("udp://both.test:6969").peers == [("192.0.2.9", 6881)]
    house.tracker.error = b"neither"
    assert house.refused("udp://both.test:6969") in ("no", "neither")


def test_only_families_that_we_listen_on_are_announced(house):
    house.announce("udp://both.test:6969")
    assert house.tracker6.said == []
    assert house.refused("udp://six.test:6969") == "six.test has no address that can be reached from here"
    house.trackers.families = {6}
    assert house.announce("udp://six.test:6969").peers == [("2001:db8::9", 6881)]


def test_names_that_lead_nowhere(house):
    assert house.refused("udp://none.test:6969") == "none.test has no address that can be reached from here"
    assert "no answer" in house.refused("udp://broken.test:6969")


def test_internal_addresses_are_refused_where_they_are_guarded():
    house = House(guarded=True)
    house.names = KnownNames({"inside.test": ["127.0.0.1"]})
    house.trackers.join(house.web, house.names)
    assert "internal address" in house.refused("udp://inside.test:6969")
    assert "internal address" in house.refused("udp://10.0.0.1:6969")
    house.web.answer = HttpReply(200, (), encode({"interval": 5}))
    house.announce("http://tracker.test/announce")
    assert house.web.asked[0][1] is True
    house.web.answer = InternalTarget("tracker.test leads to an internal address")
    assert "peer.internal_trackers = true" in house.refused("http://tracker.test/announce")


def test_closing_gives_up_what_is_asked(house):
    house.tracker.mute = {"connect"}
    asked = Deferred.fromCoroutine(house.client().announce(ANNOUNCE))
    failed = []
    asked.addErrback(failed.append)
    house.network.advance(1)
    house.close()
    house.network.advance(1)
    assert failed


# -- HTTP


def test_an_http_announce_says_all(house):
    house.web.answer = HttpReply(200, (), encode({"interval": 900, "peers": PEER, "warning message": "be\x1b gentle"}))
    reply = house.announce("http://tracker.test/announce?pass=1", tracker_id=b"\x00id")
    assert (reply.interval, reply.peers, reply.warning) == (900, [("192.0.2.9", 6881)], "be gentle")
    url, guarded = house.web.asked[0]
    assert url.startswith("http://tracker.test/announce?pass=1&info_hash=%00%01%02")
    for part in ("event=started", "numwant=50", "key=abcdef01", "trackerid=%00id", "compact=1", "left=3", "port=6881"):
        assert part in url
    assert not guarded


@pytest.mark.parametrize(
    ("answer", "said", "retry"),
    [
        (HttpFailed("tracker.test: refused"), "tracker.test: refused", None),
        (HttpReply(404, (), b"<html>"), "it answers with HTTP status 404", None),
        (HttpReply(200, (), b"<html>"), "the reply is not bencoded", None),
        (HttpReply(200, (), encode({"failure reason": "go\x07 away"})), "go away", None),
        (HttpReply(400, (), encode({"failure reason": "later", "retry in": "5"})), "later", 300),
        (HttpReply(200, (), encode({"failure reason": "gone", "retry in": "never"})), "gone", math.inf),
        (HttpReply(200, (), encode({"failure reason": "x" * 1000})), "x" * 200, None),
    ],
)
def test_what_a_tracker_may_answer_instead(house, answer, said, retry):
    house.web.answer = answer
    with pytest.raises(AnnounceFailed) as caught:
        house.announce("http://tracker.test/announce")
    assert str(caught.value).startswith(said)
    assert len(str(caught.value)) <= 200
    assert caught.value.retry_in == retry


# -- which tracker is whose


def test_clients_by_scheme_and_tiers_without_any_left_out(house):
    tiers = house.trackers.tiers(
        metainfo(
            ("wss://a.test", "http://b.test/announce", "udp://c.test:1"),
            ("wss://d.test", "udp://[::1", "http://", "udp://e.test:0"),
            ("https://f.test/announce",),
        )
    )
    assert [[(type(each), each.url) for each in tier] for tier in tiers] == [
        [(HttpTracker, "http://b.test/announce"), (UdpTracker, "udp://c.test:1")],
        [(HttpTracker, "https://f.test/announce")],
    ]
