"""A tracker under whatever anybody sends: no exception, no amplification, and a store that agrees with a model."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netsuite.bittorrent.tracker.snapshot import SnapshotBroken, restore, whole
from netsuite.bittorrent.tracker.swarm import DOWNLOADER, LEAVING, SEED, Swarms
from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import (
    Announce,
    Event,
    Failure,
    announce_url,
    packed_address,
    read_announce,
    read_peers,
    read_reply,
    read_scrape,
    read_scrape_reply,
)
from netsuite.bittorrent.wire.bencode import decode, encode
from tests.unit.bittorrent.tracker.desks import Tracker

TRACKER = Tracker(Path(tempfile.mkdtemp(prefix="netsuite-test-")))

hosts = st.sampled_from(["192.0.2.1", "192.0.2.2", "198.51.100.3", "2001:db8::1", "2001:db8::2"])
hashes = st.sampled_from([bytes([each]) * 20 for each in range(3)])
counts = st.integers(0, 2**64 - 1)
announces = st.builds(
    Announce,
    info_hash=hashes,
    peer_id=st.binary(min_size=20, max_size=20),
    port=st.integers(1, 65535),
    uploaded=counts,
    downloaded=counts,
    left=counts,
    event=st.sampled_from(Event),
    numwant=st.integers(-1, 2**31 - 1),
    key=st.none() | st.integers(0, 2**32 - 1),
    tracker_id=st.none() | st.binary(max_size=10),
    compact=st.booleans(),
    no_peer_id=st.booleans(),
    ip=st.binary(min_size=1, max_size=20),
)


@given(st.binary(max_size=200), hosts)
def test_no_datagram_raises_or_is_amplified_for_who_is_not_proven(data, host):
    answer = TRACKER.datagram(data, host)
    assert answer is None or len(answer) == 16 <= len(data)


@given(st.binary(max_size=300), hosts, st.sampled_from([1, 2]))
def test_no_datagram_raises_for_who_is_proven(data, host, action):
    ident = TRACKER.connect(host)
    answer = TRACKER.datagram(ident.to_bytes(8, "big") + action.to_bytes(4, "big") + data, host)
    if answer is not None:
        assert answer[4:8] == data[:4]
        assert answer[:4] != b"\0\0\0\3" or len(answer) > 8


@given(announces, hosts)
def test_announces_over_udp_are_answered(said, host):
    reply = TRACKER.datagram(udp.announce_request(TRACKER.connect(host), 1, said), host)
    assert not isinstance(udp.read_announce_reply(reply, ":" in host), Failure)


@given(announces)
def test_announces_over_http_are_read_as_they_were_written(said):
    assert read_announce(announce_url("http://a/announce", said).partition("?")[2].encode()) == said


@given(announces, hosts)
def test_replies_over_http_are_canonical(said, host):
    body = TRACKER.get(announce_url("/announce", said), host)[2]
    assert encode(decode(body)) == body
    assert not isinstance(read_reply(body), Failure)


@given(st.binary(max_size=300))
def test_no_query_raises(query):
    read_announce(query)
    read_scrape(query, 5)
    TRACKER.http.immediately(b"/announce?" + query, "192.0.2.1")


pieces = st.sampled_from(
    b"info_hash peer_id port left numwant event compact key ip %% = & %41 hhhhhhhhhhhhhhhhhhhh 1".split()
)


@given(st.lists(pieces, max_size=20))
def test_no_mangled_query_raises(parts):
    read_announce(b"".join(parts))
    read_announce(b"=".join(parts))


@given(st.binary(max_size=200))
def test_reading_replies_raises_value_error_at_most(data):
    for read in (read_reply, read_scrape_reply):
        try:
            read(data)
        except ValueError:
            pass
    udp.read_connect_reply(data)
    udp.read_announce_reply(data, ipv6=bool(len(data) % 2))
    udp.read_scrape_reply(data, 3)
    udp.read_options(data, 0)
    read_peers(data, 4)
    read_peers(data, 16)
    packed_address(data)


steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 70), st.integers(0, 1), st.sampled_from([0, 0, 0, 1, 2, LEAVING])),
    max_size=300,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_the_store_agrees_with_a_model(changes):
    swarms = Swarms(memory=1 << 30, lifetime=1000.0, now=0.0, seed=3)
    model: dict[bytes, dict[bytes, int]] = {}
    for number, who, family, sort in changes:
        info_hash = bytes([number]) * 20
        entry = bytes([who]) * (18 if family else 6)
        swarms.announce(info_hash, family, entry, bytes(24), sort, False)
        if sort != LEAVING:
            model.setdefault(info_hash, {})[entry] = sort
        elif info_hash in model:
            model[info_hash].pop(entry, None)
            if not model[info_hash]:
                del model[info_hash]
    assert swarms.peers == sum(map(len, model.values()))
    assert {info_hash for info_hash, _ in swarms} == set(model)
    for info_hash, swarm in swarms:
        known = model[info_hash]
        assert swarm.counts == [list(known.values()).count(sort) for sort in range(3)]
        for family, width in ((0, 6), (1, 18)):
            for sort, given_ones in ((DOWNLOADER, (0, 1, 2)), (SEED, (DOWNLOADER,))):
                found = swarms.sample(swarm, family, sort, -1, 1000)
                expected = sorted(e for e, s in known.items() if len(e) == width and s in given_ones)
                assert sorted(bytes(found[at : at + width]) for at in range(0, len(found), width)) == expected
    again = Swarms(memory=1 << 30, lifetime=1000.0, now=0.0, seed=4)
    restore(whole(swarms, 0.0), again, 0.0)
    assert again.peers == swarms.peers


@given(st.binary(max_size=400))
def test_no_bytes_pass_for_a_snapshot(data):
    swarms = Swarms(memory=1 << 30, lifetime=1000.0, now=0.0, seed=3)
    try:
        restore(data, swarms, 0.0)
    except SnapshotBroken:
        return
    raise AssertionError("rubbish was restored")
