"""The tracker over UDP: what it answers, and what nobody can make it do."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from netsuite.bittorrent.tracker.datagrams import CONNECTED
from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import Event, Failure
from tests.unit.bittorrent.tracker.desks import HASH, OTHER, Tracker, announce


@pytest.fixture
def tracker(tmp_path):
    return Tracker(tmp_path)


def test_peers_find_one_another(tracker):
    assert tracker.announce("192.0.2.1").peers == []
    reply = tracker.announce("192.0.2.2", left=0)
    assert reply.peers == [("192.0.2.1", 6881)]
    assert (reply.seeds, reply.leechers) == (1, 1)
    assert tracker.announce("192.0.2.1").peers == [("192.0.2.2", 6881)]


def test_ipv6_has_entries_of_its_own(tracker):
    tracker.announce("192.0.2.1")
    tracker.announce("2001:db8::1")
    reply = tracker.announce("2001:db8::2")
    assert reply.peers == [("2001:db8::1", 6881)]
    assert reply.leechers == 3


def test_the_source_is_what_is_registered(tracker):
    ident = tracker.connect()
    request = bytearray(udp.announce_request(ident, 7, announce()))
    request[84:88] = socket.inet_aton("198.51.100.1")
    tracker.datagram(bytes(request))
    assert tracker.announce("192.0.2.2").peers == [("192.0.2.1", 6881)]


def test_events(tracker):
    tracker.announce("192.0.2.1")
    reply = tracker.announce("192.0.2.1", left=0, event=Event.COMPLETED)
    assert (reply.seeds, reply.leechers) == (1, 0)
    reply = tracker.announce("192.0.2.1", left=5, event=Event.PAUSED)
    assert (reply.seeds, reply.leechers) == (0, 1)
    assert tracker.swarms.find(HASH).tally() == (0, 1, 1, 0)
    reply = tracker.announce("192.0.2.1", event=Event.STOPPED)
    assert (reply.seeds, reply.leechers, reply.peers) == (0, 0, [])


def test_a_stranger_cannot_say_good_bye_for_somebody(tracker):
    tracker.announce("192.0.2.1", key=5)
    tracker.announce("192.0.2.2", event=Event.STOPPED, key=5)
    tracker.announce("192.0.2.1", event=Event.STOPPED, key=6)
    assert tracker.swarms.peers == 1
    tracker.announce("192.0.2.1", event=Event.STOPPED, key=5)
    assert tracker.swarms.peers == 0


@pytest.mark.parametrize(("numwant", "given"), [(-1, 50), (0, 0), (7, 7), (150, 150), (2**31 - 1, 200), (-(2**31), 50)])
def test_how_many_peers_are_given(tracker, numwant, given):
    tracker.fill(300)
    assert len(tracker.announce("192.0.2.1", numwant=numwant).peers) == given


def test_no_answer_is_longer_than_a_packet(tmp_path):
    tracker = Tracker(tmp_path, most_peers=2000)
    for number in range(400):
        tracker.announce(f"2001:db8::{number:x}")
        tracker.announce(f"10.0.{number >> 8}.{number & 255}")
    for host, most in (("192.0.2.1", 238), ("2001:db8:1::1", 79)):
        ident = tracker.connect(host)
        reply = tracker.datagram(udp.announce_request(ident, 7, announce(numwant=10_000)), host)
        assert len(reply) <= 1452
        assert len(udp.read_announce_reply(reply, ":" in host).peers) == most


def test_intervals_are_spread(tracker):
    intervals = {tracker.announce().interval for _ in range(500)}
    assert min(intervals) >= 1620
    assert max(intervals) <= 1980
    assert len(intervals) > 150


def test_scrapes(tracker):
    tracker.announce("192.0.2.1")
    tracker.announce("192.0.2.2", left=0, event=Event.COMPLETED)
    request = udp.scrape_request(tracker.connect(), 9, [OTHER, HASH])
    reply = tracker.datagram(request)
    assert udp.read_scrape_reply(reply, 2) == [(0, 0, 0, None), (1, 1, 1, None)]
    assert reply[4:8] == bytes((0, 0, 0, 9))
    assert len(tracker.swarms) == 1


def test_a_scrape_of_more_than_74_is_answered_for_74(tracker):
    request = udp.scrape_request(tracker.connect(), 9, [HASH] * 74) + HASH * 3000
    assert len(tracker.datagram(request)) == 8 + 74 * 12


def test_an_id_is_good_for_its_window_and_the_next(tracker):
    ident = tracker.connect()
    tracker.clock.advance(CONNECTED)
    assert not isinstance(tracker.announce(ident=ident), Failure)
    tracker.clock.advance(CONNECTED)
    assert tracker.announce(ident=ident).reason == "stale id"


def test_an_id_is_good_for_its_address_alone(tracker):
    ident = tracker.connect("192.0.2.1")
    assert isinstance(tracker.announce("192.0.2.2", ident=ident), Failure)
    assert isinstance(tracker.announce("192.0.2.1", ident=ident ^ 1), Failure)
    assert tracker.swarms.peers == 0


def test_guessed_ids_are_not_taken(tracker):
    rng = random.Random(1)
    for _ in range(2000):
        assert isinstance(tracker.announce(ident=rng.getrandbits(64)), Failure)
    assert isinstance(tracker.announce(ident=udp.MAGIC), Failure)


def test_ids_outlive_a_restart(tracker, tmp_path):
    ident = tracker.connect()
    again = Tracker(tmp_path)
    assert not isinstance(again.announce(ident=ident), Failure)


def test_nobody_gets_more_than_he_sent_before_he_is_proven(tracker):
    tracker.fill(200)
    rng = random.Random(2)
    sizes = (16, 36, 98, 120, 1496, 60_000)
    for size in sizes:
        for action in range(5):
            data = rng.randbytes(8) + struct.pack(">II", action, 1) + rng.randbytes(size - 16)
            assert len(tracker.datagram(data, "198.51.100.7") or b"") <= 16
    assert len(tracker.datagram(udp.connect_request(1) + bytes(500))) == 16
    for size in range(16):
        assert tracker.datagram(udp.connect_request(1)[:size]) is None


def test_errors_say_something(tmp_path):
    listed = tmp_path / "listed"
    listed.write_text(f"{HASH.hex()}\n")
    tracker = Tracker(tmp_path, allow_torrents=listed)
    ident = tracker.connect()
    assert tracker.announce(info_hash=OTHER).reason == "this torrent is not served here"
    assert tracker.announce(port=0).reason == "port must be between 1 and 65535"
    short = udp.HEAD.pack(ident, udp.ANNOUNCE, 7) + bytes(30)
    assert udp.read_announce_reply(tracker.datagram(short), False).reason == "the announce is too short"
    empty = udp.HEAD.pack(ident, udp.SCRAPE, 7)
    assert udp.read_scrape_reply(tracker.datagram(empty), 0).reason == "the scrape names no torrent"


def test_options_behind_an_announce_are_passed_over(tracker):
    assert not isinstance(tracker.announce(target="/announce?passkey=" + "x" * 600), Failure)
    assert tracker.swarms.peers == 1


def test_who_may_not_ask_hears_nothing(tmp_path):
    tracker = Tracker(tmp_path, allow=["192.0.2.0/24"], deny=["192.0.2.66"])
    for host in ("198.51.100.1", "192.0.2.66"):
        assert tracker.datagram(udp.connect_request(1), host) is None
    assert not isinstance(tracker.announce("192.0.2.1"), Failure)


def test_an_address_that_asks_too_often_is_told(tmp_path):
    tracker = Tracker(tmp_path, rate_limit=1)
    replies = [tracker.announce() for _ in range(12)]
    assert [isinstance(each, Failure) for each in replies] == [False] * 10 + [True] * 2
    request = udp.scrape_request(tracker.connect(), 9, [HASH] * 74)
    assert len(tracker.datagram(request)) < 60
    assert not isinstance(tracker.announce("192.0.2.2"), Failure)
    tracker.clock.advance(2)
    assert not isinstance(tracker.announce(), Failure)
    assert tracker.desk.limited == 3


def test_elsewhere_than_on_loopback_there_is_a_limit_unless_told_otherwise(tmp_path):
    assert Tracker(tmp_path).desk.rate is None
    assert Tracker(tmp_path, udp=["0.0.0.0:6969"]).desk.rate is not None
    assert Tracker(tmp_path, udp=["0.0.0.0:6969"], rate_limit=0).desk.rate is None


def test_a_flood_of_made_up_swarms_stays_within_its_memory_and_leaves_true_ones(tmp_path):
    tracker = Tracker(tmp_path, memory=1 << 20)
    tracker.fill(3)
    for number in range(3000):
        tracker.announce("198.51.100.1", info_hash=number.to_bytes(20, "little"))
    assert tracker.swarms.memory <= 1 << 20
    assert len(tracker.swarms.find(HASH)) == 3


def test_what_the_kernel_writes_and_what_people_read_give_the_same_answers(tracker):
    for family, host in ((0, "192.0.2.1"), (1, "2001:db8::1")):
        packed = socket.inet_pton(socket.AF_INET6 if family else socket.AF_INET, host)
        name = struct.pack("=H2xI16s4x", 10, 0, packed) if family else struct.pack("=H2x4s8x", 2, packed)
        request = udp.connect_request(3)
        assert tracker.udp[family].fast(request, name) == tracker.datagram(request, host)
