"""Whatever a torrent names as its tracker, and whatever that answers: a reply or one clear failure."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.announcer import AnnounceFailed, plain
from netsuite.bittorrent.peer.trackers import HttpTracker, Trackers
from netsuite.bittorrent.wire.announce import Announce, AnnounceReply
from netsuite.bittorrent.wire.bencode import encode
from netsuite.common.commons import Runtime
from netsuite.interfaces import HttpReply
from netsuite.testing.fakes import KnownNames
from netsuite.testing.network import Network

HERE, THERE = "192.0.2.1", "192.0.2.2"
ANNOUNCE = Announce(bytes(20), bytes(20), 6881)

values = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.binary(max_size=3), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    b"interval,min interval,peers,peers6,complete,incomplete,failure reason,retry in,tracker id,warning message".split(
        b","
    )
)
bodies = st.binary(max_size=200) | st.dictionaries(keys, values, max_size=6).map(encode)


class Web:
    """An IHttpClient with one answer."""

    def __init__(self, status, body):
        self.reply = HttpReply(status, (), body)

    async def get(self, url, **options):
        return self.reply


def outcome(coroutine):
    """What it came to, which must be at once."""
    results = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    return results[0]


@given(st.sampled_from((200, 400, 500)), bodies)
def test_any_body_is_a_reply_or_a_failure(status, body):
    found = outcome(HttpTracker("http://a.test/announce", Web(status, body), guarded=False).announce(ANNOUNCE))
    if isinstance(found, AnnounceReply):
        assert found.interval >= 0
        assert all(0 < port < 65536 for _, port in found.peers)
        assert found.warning.isprintable()
    else:
        assert found.check(AnnounceFailed)
        assert str(found.value).isprintable()


@given(st.binary(max_size=60), st.sampled_from((0, 1, 2, 3, 7)), st.booleans())
def test_any_datagram_is_an_answer_or_none(tail, action, right):
    network = Network(seed=1)
    trackers = Trackers(Runtime(network.host(HERE), network.host(HERE + "0"), random.Random(1)), guarded=False)
    trackers.join(None, KnownNames())
    (((client,),),) = (
        trackers.tiers(Metainfo(bytes(20), "x", 1, bytes(20), 1, (), trackers=((f"udp://{THERE}:1",),))),
    )
    results = []
    Deferred.fromCoroutine(client.announce(ANNOUNCE)).addBoth(results.append)
    (number,) = trackers.udp._asked
    trackers.udp._heard(action.to_bytes(4, "big") + (number ^ (not right)).to_bytes(4, "big") + tail, (THERE, 1))
    if not right:
        assert trackers.udp.strays == 1
    for result in results:
        assert isinstance(result, AnnounceReply) or result.check(AnnounceFailed)
    network.result(trackers.close())


@given(st.lists(st.lists(st.text(max_size=30) | st.just("udp://a.test:1/x"), max_size=3), max_size=3))
def test_any_tiers_have_clients_or_none(tiers):
    network = Network(seed=1)
    host = network.host(HERE)
    trackers = Trackers(Runtime(host, host, random.Random(1)), guarded=True)
    trackers.join(None, KnownNames())
    made = trackers.tiers(Metainfo(bytes(20), "x", 1, bytes(20), 1, (), trackers=tuple(map(tuple, tiers))))
    assert all(made)
    assert sum(map(len, made)) >= sum(tier.count("udp://a.test:1/x") for tier in tiers)


@given(st.text())
def test_what_strangers_say_is_printable_and_short(text):
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) <= 200
    assert plain(shown) == shown
