from __future__ import annotations

import pytest

from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.testing.network import Link, Network
from netsuite.testing.swarm import Swarm

FAST = Conduct().scaled(20)


def test_a_file_goes_from_one_to_the_other_no_faster_than_its_limit() -> None:
    swarm = Swarm(pieces=8, piece_length=65536, conduct=FAST)
    swarm.join("seed", has=1.0, upload=100_000)
    peer = swarm.join("peer")
    assert (peer.finished, peer.store.have.count) == (None, 0)
    with pytest.raises(ValueError, match="peer has 0 of 8 pieces"):
        _ = peer.took
    with pytest.raises(AssertionError, match=r"nothing came of it in 1 seconds; \d+ pieces are there"):
        swarm.finish(timeout=1)
    swarm.finish(timeout=30)
    assert peer.content == swarm.content
    assert 524288 / 100_000 - 1 < peer.took < 524288 / 100_000 + 3
    assert swarm.copies() == [2] * 8
    swarm.close()
    assert swarm.copies() == [0] * 8
    assert not list(peer.torrent.links)


def test_the_links_of_the_network_are_what_lies_between_members() -> None:
    network = Network(link=Link(latency=0.5, bandwidth=200_000))
    swarm = Swarm(pieces=8, piece_length=65536, network=network)
    swarm.join("seed", has=1.0)
    peer = swarm.join("peer", stays=False)
    swarm.finish(timeout=60)
    assert peer.took > 524288 / 200_000
    swarm.advance(1)
    assert not peer.present, "it does not stay"
    assert swarm.copies() == [1] * 8


def test_shares_are_of_chance_and_names_are_unique() -> None:
    swarm = Swarm(pieces=200, piece_length=1024)
    counts = [swarm.join(f"{share}", has=share).store.have.count for share in (0.0, 0.3, 0.7, 1.0)]
    assert counts[0] == 0
    assert 30 < counts[1] < 90 < 110 < counts[2] < 170
    assert counts[3] == 200
    with pytest.raises(ValueError, match=r"1\.0 is there already"):
        swarm.join("1.0")
    swarm.close()


def test_nothing_recorded_is_the_digest_of_nothing() -> None:
    swarm = Swarm(pieces=2, piece_length=1024, recorded=True)
    before = swarm.digest()
    swarm.join("seed", has=1.0)
    swarm.join("peer")
    swarm.finish(timeout=30)
    assert swarm.digest() != before
    swarm.close()
