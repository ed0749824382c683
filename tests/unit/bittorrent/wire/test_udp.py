"""The tracker's datagrams, written and read by both sides."""

from __future__ import annotations

import struct

import pytest

from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import Announce, AnnounceReply, Event, Failure, Tally

HASH, PEER = b"h" * 20, b"p" * 20
SAID = Announce(HASH, PEER, 6881, 1, 2, 3, Event.COMPLETED, -1, 0xDEADBEEF)


def test_shapes():
    assert udp.connect_request(7) == struct.pack(">QII", 0x41727101980, 0, 7)
    request = udp.announce_request(5, 7, SAID)
    assert len(request) == 98
    assert udp.ANNOUNCE_REQUEST.unpack(request) == (5, 1, 7, HASH, PEER, 2, 3, 1, 1, 0, 0xDEADBEEF, -1, 6881)
    assert udp.scrape_request(5, 7, [HASH]) == struct.pack(">QII", 5, 2, 7) + HASH
    with pytest.raises(ValueError, match="at most 74"):
        udp.scrape_request(5, 7, [HASH] * 75)


@pytest.mark.parametrize("target", ["", "/announce?a=b", "/" + "x" * 254, "/" + "x" * 600])
def test_the_target_travels_behind_an_announce(target):
    options = udp.announce_request(5, 7, SAID, target)
    assert (udp.read_options(options) or b"") == target.encode()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (b"", None),
        (b"\2\0", b""),
        (b"\2\x0c/dir?a=b&c=d", b"/dir?a=b&c=d"),
        (b"\2\x0c/dir?a=b&c=d\1\1\0", b"/dir?a=b&c=d"),
        (b"\1\1\2\2/d\1\2\3?ab\0\2\1x", b"/d?ab"),
        (b"\x09\3abc\2\1/", b"/"),
        (b"\2\5/cut", None),
        (b"\2", None),
        (b"\0\2\1/", None),
    ],
)
def test_options(options, found):
    assert udp.read_options(options, 0) == found


def test_replies():
    assert udp.read_connect_reply(udp.CONNECT_REPLY.pack(0, 7, 2**63)) == 2**63
    packed = udp.REPLY_HEAD.pack(1, 7, 1800, 3, 4) + bytes((192, 0, 2, 1, 0, 80))
    assert udp.read_announce_reply(packed, ipv6=False) == AnnounceReply(1800, None, 4, 3, [("192.0.2.1", 80)])
    packed = udp.REPLY_HEAD.pack(1, 7, 1800, 3, 4) + bytes(15) + b"\1\0\x50"
    assert udp.read_announce_reply(packed, ipv6=True).peers == [("::1", 80)]
    written = udp.scrape_reply(7, [Tally(1, 2, 3), Tally(4, 5, 6)])
    assert udp.read_scrape_reply(written, 2) == [Tally(1, 2, 3), Tally(4, 5, 6)]


def test_refusals():
    error = udp.error_reply(7, b"go away")
    for said in (udp.read_connect_reply(error), udp.read_announce_reply(error, False), udp.read_scrape_reply(error, 1)):
        assert said == Failure("go away")
    assert udp.read_connect_reply(udp.error_reply(7, b"")) == Failure("no reason given")


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(15), struct.pack(">II", 3, 7)[:7], bytes(8) + b"x" * 3])
def test_what_is_cut_is_a_failure(data):
    assert isinstance(udp.read_connect_reply(data), Failure)
    assert isinstance(udp.read_announce_reply(data, False), Failure)
    assert isinstance(udp.read_scrape_reply(data, 1), Failure)
