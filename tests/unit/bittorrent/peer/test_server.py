"""Who we say that we are, and how fast our clocks run."""

from __future__ import annotations

import random
import re

from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.peer.pieces import PieceStore
from netsuite.bittorrent.peer.server import make_peer_id
from netsuite.bittorrent.peer.torrent import Torrent
from netsuite.bittorrent.wire.messages import Interested, Unchoke
from netsuite.common.threads import Inline
from netsuite.testing.folders import MemoryFolder
from tests.swarm import Stranger, Swarm, make_content


def test_peer_ids_name_us_and_differ():
    rng = random.Random(1)
    one, other = make_peer_id(rng), make_peer_id(rng)
    assert re.fullmatch(rb"-NS\d{4}-[0-9a-z]{12}", one)
    assert one[:8] == other[:8]
    assert one != other


def test_clocks_are_scaled_and_sizes_are_not():
    scaled = Conduct(links=7).scaled(10)
    assert (scaled.period, scaled.snub, scaled.window, scaled.tick) == (1.0, 6.0, 2.0, 0.1)
    assert (scaled.links, scaled.rotation, scaled.depth) == (7, 3, 500)


def test_two_torrents_behind_one_port():
    one, other = Swarm(make_content(100_000)), Swarm(make_content(200_000, seed=2))
    seed = one.add(has=True)
    folder = MemoryFolder("/other")
    folder.write(("file",), 200_000, 0, [other.content])
    store = PieceStore(other.metainfo, folder, Inline(), seed.host)
    one.network.result(store.open())
    second = Torrent(other.metainfo, store, seed.server)
    second.start()
    stranger = Stranger(one, peer_id=b"-XX0000-stranger0001").dial(seed)
    other.network = one.network
    other.strangers = iter([100])
    another = Stranger(other, peer_id=b"-XX0000-stranger0002").dial(seed)
    assert len(list(seed.torrent.links)) == len(list(second.links)) == 1
    for each in (stranger, another):
        each.say(Interested())
    one.network.advance(15)
    assert stranger.of(Unchoke)
    assert another.of(Unchoke)
    second.stop()
    one.network.advance(1)
    assert another.closed is not None
    assert stranger.closed is None
    one.stop()
