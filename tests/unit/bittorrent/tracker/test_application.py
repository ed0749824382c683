"""The tracker over HTTP."""

from __future__ import annotations

import math

import pytest

from netsuite.bittorrent.wire.announce import Event, Failure, announce_url, read_reply, read_scrape_reply
from netsuite.bittorrent.wire.bencode import decode
from tests.unit.bittorrent.tracker.desks import HASH, OTHER, Tracker, announce


@pytest.fixture
def tracker(tmp_path):
    return Tracker(tmp_path)


def raw(tracker, host="192.0.2.1", **fields):
    """An announce's reply, read strictly."""
    return decode(tracker.get(announce_url("/announce", announce(**fields)), host)[2])


def scraped(tracker, query):
    return read_scrape_reply(tracker.get(f"/scrape{query}")[2])


def quoted(info_hash):
    return "".join(f"%{byte:02x}" for byte in info_hash)


def test_peers_find_one_another_whichever_way_they_ask(tracker):
    tracker.announce("192.0.2.1", port=1111)
    reply = tracker.ask("192.0.2.2", port=2222)
    assert reply.peers == [("192.0.2.1", 1111)]
    assert (reply.seeds, reply.leechers, reply.min_interval) == (0, 2, 60)
    assert tracker.announce("192.0.2.1", port=1111).peers == [("192.0.2.2", 2222)]


def test_a_reply_is_canonical_and_tells_the_asker_his_address(tracker):
    tracker.ask("192.0.2.1")
    reply = raw(tracker, "192.0.2.2", left=0, event=Event.COMPLETED)
    assert list(reply) == sorted(reply)
    assert reply[b"external ip"] == bytes((192, 0, 2, 2))
    assert (reply[b"complete"], reply[b"downloaded"], reply[b"incomplete"]) == (1, 1, 1)
    assert reply[b"peers"] == bytes((192, 0, 2, 1, 0x1A, 0xE1))
    assert b"peers6" not in reply


def test_both_families_are_given_the_own_first(tracker):
    tracker.ask("192.0.2.1")
    tracker.ask("2001:db8::1")
    reply = raw(tracker, "2001:db8::2")
    assert (len(reply[b"peers"]), len(reply[b"peers6"])) == (6, 18)
    assert len(reply[b"external ip"]) == 16
    one = raw(tracker, "2001:db8::3", numwant=1)
    assert (len(one[b"peers"]), len(one[b"peers6"])) == (0, 18)


def test_dictionaries_with_and_without_ids(tracker):
    tracker.ask("192.0.2.1")
    tracker.ask("2001:db8::1")
    reply = raw(tracker, "192.0.2.2", compact=False)
    assert reply[b"peers"] == [
        {b"ip": b"192.0.2.1", b"peer id": b"-XX0000-abcdefghijkl", b"port": 6881},
        {b"ip": b"2001:db8::1", b"peer id": b"-XX0000-abcdefghijkl", b"port": 6881},
    ]
    bare = raw(tracker, "192.0.2.2", compact=False, no_peer_id=True)
    assert [set(each) for each in bare[b"peers"]] == [{b"ip", b"port"}] * 2


@pytest.mark.parametrize(("numwant", "given"), [(-1, 50), (0, 0), (3, 3), (10**9, 200)])
def test_how_many_peers_are_given(tracker, numwant, given):
    tracker.fill(300)
    assert len(tracker.ask(numwant=numwant).peers) == given


def test_partial_seeds_are_no_downloaders(tracker):
    tracker.ask("192.0.2.1", event=Event.PAUSED, left=9)
    tracker.ask("192.0.2.2")
    assert scraped(tracker, f"?info_hash={quoted(HASH)}") == {HASH: (0, 0, 2, 1)}
    assert tracker.ask("192.0.2.1", event=Event.PAUSED, left=9).peers == [("192.0.2.2", 6881)]


def test_nobody_believes_a_stranger_about_his_address(tracker):
    tracker.ask("192.0.2.1", ip=b"198.51.100.1", headers={"x_forwarded_for": "198.51.100.2"})
    assert tracker.ask("192.0.2.2").peers == [("192.0.2.1", 6881)]


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"ip": b"198.51.100.1"}, "198.51.100.1"),
        ({"ip": b"::ffff:198.51.100.1"}, "198.51.100.1"),
        ({"ip": b"a.name.example"}, "127.0.0.1"),
        ({"headers": {"x_forwarded_for": "203.0.113.9, 198.51.100.1"}}, "198.51.100.1"),
    ],
)
def test_whom_we_trust_is_believed(tracker, fields, known):
    tracker.ask("127.0.0.1", **fields)
    assert tracker.ask("192.0.2.2").peers == [(known, 6881)]


def test_a_proxy_that_names_no_address_is_refused(tracker):
    assert isinstance(tracker.ask("127.0.0.1", headers={"x_forwarded_for": "unknown"}), Failure)
    assert tracker.swarms.peers == 0


def test_scrapes(tracker):
    tracker.ask("192.0.2.1")
    query = f"?info_hash={quoted(OTHER)}&info_hash={quoted(HASH)}&info_hash={quoted(HASH)}"
    assert scraped(tracker, query) == {HASH: (0, 0, 1, 1), OTHER: (0, 0, 0, 0)}
    assert len(tracker.swarms) == 1


def test_scrapes_are_limited(tracker):
    many = "&".join(f"info_hash={quoted(bytes([each]) * 20)}" for each in range(75))
    assert "at most 74" in scraped(tracker, f"?{many}").reason
    assert isinstance(scraped(tracker, "?info_hash=short"), Failure)
    assert isinstance(scraped(tracker, ""), Failure)


def test_everything_is_scraped_where_that_is_allowed(tmp_path):
    tracker = Tracker(tmp_path, full_scrape=True)
    for each in range(20):
        tracker.ask(info_hash=bytes([each]) * 20)
    assert len(scraped(tracker, "")) == 20


def test_below_any_path(tracker):
    assert tracker.get(announce_url("/secret/announce", announce()))[0] == 200
    assert tracker.swarms.peers == 1
    assert tracker.get("/")[0] == 404
    assert tracker.get("/announce", method=b"POST")[0] == 405


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "info_hash"),
        ("?info_hash=abc&peer_id=" + "p" * 20, "info_hash"),
        ("?info_hash=" + "h" * 20, "peer_id"),
        ("?info_hash=" + "h" * 20 + "&peer_id=" + "p" * 20, "port"),
        ("?info_hash=" + "h" * 20 + "&peer_id=" + "p" * 20 + "&port=65536", "port"),
        ("?info_hash=" + "h" * 20 + "&peer_id=" + "p" * 20 + "&port=1&left=many", "numbers"),
        ("?info_hash=" + "h" * 20 + "&peer_id=" + "p" * 20 + "&port=1&event=eaten", "event"),
        ("?" + "x" * 5000, "too long"),
    ],
)
def test_what_is_wrong_is_said(tracker, query, words):
    status, _, body = tracker.get(f"/announce{query}")
    failure = read_reply(body)
    assert status == 200
    assert words in failure.reason
    assert tracker.http.failures == 1


def test_refusals_say_when_to_come_again(tmp_path):
    listed = tmp_path / "listed"
    listed.write_text(f"{OTHER.hex()} a remark\n# another\n\n")
    tracker = Tracker(tmp_path, deny_torrents=listed, rate_limit=1)
    assert tracker.ask(info_hash=OTHER) == Failure("this torrent is not served here", math.inf)
    failures = [tracker.ask() for _ in range(11)]
    assert failures[-1].retry_in == 300.0


def test_a_full_tracker_says_so(tmp_path):
    tracker = Tracker(tmp_path, memory=1 << 20)
    for each in range(2000):
        for host in ("192.0.2.1", "192.0.2.2"):
            tracker.announce(host, info_hash=each.to_bytes(20, "big"))
    assert tracker.ask(info_hash=OTHER) == Failure("the tracker is full, come again later", 1800.0)


def test_what_is_answered_at_the_door_is_answered_the_same_inside(tmp_path):
    inside, door = Tracker(tmp_path / "a"), Tracker(tmp_path / "b")
    for each in range(30):
        target = announce_url("/announce", announce(port=1000 + each, key=each))
        assert door.http.immediately(target.encode(), "192.0.2.1") == inside.get(target)[2]
    assert door.http.announces == 30


@pytest.mark.parametrize("target", ["/scrape", "/announce", "/", announce_url("/announce", announce(ip=b"192.0.2.7"))])
def test_what_is_not_for_the_door_goes_inside(tracker, target):
    assert tracker.http.immediately(target.encode(), "127.0.0.1") is None
    assert tracker.swarms.peers == 0
