"""Announces and scrapes over HTTP, written and read by both sides."""

from __future__ import annotations

import math

import pytest

from netsuite.bittorrent.wire.announce import (
    Announce,
    AnnounceReply,
    Event,
    Failure,
    Tally,
    announce_reply,
    announce_url,
    dictionary_peers,
    failure_reply,
    packed_address,
    read_announce,
    read_peers,
    read_reply,
    read_scrape,
    read_scrape_reply,
    scrape_reply,
    scrape_url,
)
from netsuite.bittorrent.wire.bencode import decode, encode

HASH = bytes(range(0x10, 0x24))
SAID = Announce(
    HASH, b"-NS0100-\0\xff\n%&=+# /xy", 6881, 1, 2, 3, Event.STARTED, 50, 0xDEADBEEF, b"id&1", False, True, b"::1"
)


def query(url):
    return url.partition("?")[2].encode()


@pytest.mark.parametrize("said", [SAID, Announce(HASH, HASH, 1, left=0), Announce(HASH, HASH, 1, event=Event.PAUSED)])
def test_what_is_written_is_read(said):
    assert read_announce(query(announce_url("http://a/announce", said))) == said


def test_a_url_keeps_its_own_query_and_loses_its_fragment():
    assert announce_url("http://a/announce?pass=1#x", SAID).startswith("http://a/announce?pass=1&info_hash=")


def test_what_is_left_out_has_a_meaning():
    said = read_announce(b"info_hash=" + b"h" * 20 + b"&peer_id=" + b"p" * 20 + b"&port=6881&event=&left=")
    assert said == Announce(b"h" * 20, b"p" * 20, 6881, left=1)


def test_plus_is_a_space_and_percent_may_be_everywhere():
    said = read_announce(b"info_hash=" + b"%2b" * 20 + b"&peer_id=" + b"+" * 20 + b"&port=6881&alone")
    assert (said.info_hash, said.peer_id) == (b"+" * 20, b" " * 20)


def test_a_key_is_folded_into_32_bits():
    common = b"info_hash=" + b"h" * 20 + b"&peer_id=" + b"p" * 20 + b"&port=6881&key="
    assert read_announce(common + b"00ff").key == 255
    long = read_announce(common + b"some longer secret").key
    assert 0 <= long < 2**32
    assert long != read_announce(common + b"some longer secreT").key


@pytest.mark.parametrize(
    ("announced", "scraped"),
    [
        ("http://a/announce", "http://a/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa"),
        ("http://a/x/announce.php?k=1", "http://a/x/scrape.php?k=1&info_hash=aaaaaaaaaaaaaaaaaaaa"),
        ("http://announce/a", None),
        ("http://announce", None),
    ],
)
def test_a_scrape_goes_where_announce_was(announced, scraped):
    assert scrape_url(announced, [b"a" * 20]) == scraped


def test_replies():
    peers = bytes((192, 0, 2, 1, 0, 80, 192, 0, 2, 2, 0, 0))
    reply = announce_reply(1800, 60, Tally(1, 2, 3, 3), b"\x7f\0\0\1", b"12:" + peers, bytes(15) + b"\1\0\x51")
    assert encode(decode(reply)) == reply
    assert read_reply(reply) == AnnounceReply(1800, 60, 1, 3, [("192.0.2.1", 80), ("::1", 81)], external_ip="127.0.0.1")


@pytest.mark.parametrize("ids", [True, False])
def test_dictionaries(ids):
    peers = dictionary_peers([(b"\x7f\0\0\1", 80, b"p" * 20), (bytes(16), 81, b"q" * 20)], ids=ids)
    assert encode(decode(peers)) == peers
    reply = announce_reply(1, 1, Tally(0, 0, 0), bytes(4), peers, b"")
    assert read_reply(reply).peers == [("127.0.0.1", 80), ("::", 81)]


def test_names_in_place_of_addresses_are_not_looked_up():
    reply = encode({"interval": 1, "peers": [{"ip": "a.example", "port": 80}, {"ip": "::1", "port": 0}, 7]})
    assert read_reply(reply).peers == []


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"failure reason": "no", "retry in": "never"}, Failure("no", math.inf)),
        ({"failure reason": "no", "retry in": "5"}, Failure("no", 300.0)),
        ({"failure reason": "no", "retry in": 5}, Failure("no", 300.0)),
        ({"failure reason": "", "retry in": -5}, Failure("no reason given")),
        ({"failure reason": 7}, Failure("no reason given")),
    ],
)
def test_failures(said, read):
    assert read_reply(encode(said)) == read_scrape_reply(encode(said)) == read


@pytest.mark.parametrize("failure", [Failure("no"), Failure("no", 90.0), Failure("no", math.inf)])
def test_failures_are_canonical(failure):
    written = failure_reply(failure)
    assert encode(decode(written)) == written
    expected = failure.retry_in if failure.retry_in in (None, math.inf) else 120.0
    assert read_reply(written) == Failure("no", expected)


@pytest.mark.parametrize("body", [b"", b"<html>", b"le", b"de", b"d8:intervali-1ee", b"d8:interval1:xe"])
def test_what_is_no_reply_is_told(body):
    with pytest.raises(ValueError, match="the reply"):
        read_reply(body)


def test_scrapes():
    written = scrape_reply([(b"b" * 20, Tally(1, 2, 3, 4)), (b"a" * 20, Tally(0, 0, 0))])
    assert encode(decode(written)) == written
    assert read_scrape_reply(written) == {b"a" * 20: Tally(0, 0, 0, 0), b"b" * 20: Tally(1, 2, 3, 4)}
    assert read_scrape(query(str(scrape_url("http://a/announce", [HASH, b"b" * 20]))), 2) == [HASH, b"b" * 20]
    assert isinstance(read_scrape(query(str(scrape_url("http://a/announce", [HASH, b"b" * 20]))), 1), Failure)
    assert read_scrape(None, 5) == []


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        (b"192.0.2.1", bytes((192, 0, 2, 1))),
        (b"::ffff:192.0.2.1", bytes((192, 0, 2, 1))),
        (b"::1", bytes(15) + b"\1"),
        (b"fe80::1%eth0", None),
        (b"a.example", None),
        (b"1.2.3", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_addresses(text, packed):
    assert packed_address(text) == packed


def test_what_hangs_over_is_left_out():
    assert read_peers(bytes((1, 2, 3, 4, 0, 5, 9, 9)), 4) == [("1.2.3.4", 5)]
