"""The conduct of torrents, on the in-memory network and the fake clock."""

from __future__ import annotations

from tests.swarm import Swarm, make_content


def test_a_seed_and_a_leecher():
    swarm = Swarm(make_content(1_000_000))
    seed = swarm.add(has=True)
    leecher = swarm.add()
    assert seed.torrent.complete
    swarm.run_until_complete()
    assert leecher.content == swarm.content
    assert leecher.torrent.figures() == (0, 1_000_000, 0)
    assert seed.torrent.figures() == (1_000_000, 0, 0)
    swarm.network.advance(5)
    assert list(seed.torrent.links) == list(leecher.torrent.links) == []
    swarm.stop()
