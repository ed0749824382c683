"""Whatever a stranger says to a peer, nothing raises, the books stay right, and the download goes on."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.wire.extensions import ExtensionHandshake
from netsuite.bittorrent.wire.messages import (
    AllowedFast,
    BitfieldMessage,
    Blocks,
    Cancels,
    Choke,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    NotInterested,
    Rejects,
    Requests,
    Suggest,
    Unchoke,
)
from tests.swarm import Stranger, Swarm, make_content

PIECES = 8
CONTENT = make_content(PIECES * 65536 - 1000)

pieces = st.integers(0, PIECES - 1)
begins = st.sampled_from([0, 16384, 32768, 49152, 1, 65535])
lengths = st.sampled_from([16384, 15384, 1, 32768])
spans = st.lists(st.tuples(pieces | st.just(PIECES), begins, lengths), min_size=1, max_size=6)
messages = st.one_of(
    st.sampled_from([Choke(), Unchoke(), Interested(), NotInterested(), HaveAll(), HaveNone()]),
    st.builds(Have, pieces),
    st.builds(Suggest, pieces),
    st.builds(AllowedFast, pieces),
    st.builds(BitfieldMessage, st.binary(min_size=1, max_size=1)),
    st.builds(Requests, spans),
    st.builds(Cancels, spans),
    st.builds(Rejects, spans),
    st.builds(Extended, st.integers(0, 4), st.binary(max_size=8)),
    st.builds(ExtensionHandshake, st.just({b"upload_only": 5}), upload_only=st.booleans()).map(lambda h: h.encode()),
    # what it was asked for, right or wrong; or what nobody asked for
    st.tuples(st.sampled_from(["right", "wrong", "reject"]), st.integers(1, 8)),
    st.builds(lambda piece, begin: Blocks([(piece, begin, bytes(16384))]), pieces, begins),
    # time
    st.floats(0.1, 40),
)


class Whimsical(Stranger):
    """Says what hypothesis wants, and remembers what it was asked for."""

    def __init__(self, swarm, **options):
        super().__init__(swarm, **options)
        self.asked = []

    def answer(self, message):
        if isinstance(message, Requests):
            self.asked += message.spans
        elif isinstance(message, Cancels):
            self.asked = [span for span in self.asked if span not in message.spans]

    def do(self, what):
        if isinstance(what, float):
            self.swarm.network.advance(what)
        elif isinstance(what, tuple):
            kind, count = what
            taken, self.asked = self.asked[:count], self.asked[count:]
            if kind == "reject":
                self.put(Rejects(taken)) if self.greeting.supports_fast else None
            elif kind == "right":
                self.put(Blocks([self.block(*span) for span in taken]))
            else:
                self.put(Blocks([(piece, begin, bytes(length)) for piece, begin, length in taken]))
        else:
            self.put(what)

    def put(self, message):
        if self.closed is None:
            self.transport.write(b"".join(bytes(chunk) for chunk in message.encode()))
        self.swarm.network.advance(0.05)


def check_books(torrent):
    """Both sides of every ledger agree."""
    for link in torrent.links:
        assert not link.adapter.closed
        downloads = link.downloads
        assert torrent.picker.outstanding(link) == len(downloads.requested)
        assert len(downloads.requested) <= max(downloads.pipeline.depth, torrent.conduct.depth)
        assert len(link.uploads.queue) <= torrent.conduct.patience
        assert not link.choked or all(span[0] in link.uploads.allowed for span in link.uploads.queue)
    assert sum(account.received for account in torrent.accounts().values()) == torrent.downloaded
    left = torrent.figures().left
    assert left == sum(torrent.metainfo.piece_size(p) for p in range(PIECES) if not torrent.store.have[p])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([[], [BitfieldMessage(b"\xff"), Unchoke()], [BitfieldMessage(b"\x0f"), Unchoke(), Interested()]]),
    st.lists(st.tuples(st.integers(0, 1), messages), max_size=40),
    st.booleans(),
    st.booleans(),
)
def test_strangers(prelude, script, fast, half):
    swarm = Swarm(CONTENT)
    had = CONTENT[: 3 * 65536].ljust(len(CONTENT), b"-") if half else None
    peer = swarm.add(has=had, conduct=Conduct(depth=6, patience=5, offences=5, close_seeds=False))
    strangers = [
        Whimsical(swarm, fast=fast or number, peer_id=b"-XX0000-stranger000%d" % number).dial(peer)
        for number in range(2)
    ]
    for stranger in strangers:
        for message in prelude:
            stranger.put(message)
    for which, what in script:
        strangers[which].do(what)
        check_books(peer.torrent)
    swarm.add(has=True, conduct=Conduct(close_seeds=False))
    peer.torrent.found([swarm.peers[1].place])
    swarm.network.until(lambda: peer.torrent.complete, 600)
    check_books(peer.torrent)
    assert peer.content == CONTENT
    swarm.stop()
    assert peer.server.factory.errors == peer.server._outgoing.errors == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.booleans())
def test_noise(chunks, greeted):
    swarm = Swarm(CONTENT)
    peer = swarm.add(has=True)
    stranger = Stranger(swarm)
    if not greeted:
        stranger.machine.outgoing()
    stranger.dial(peer)
    for chunk in chunks:
        if stranger.closed is None:
            stranger.transport.write(chunk)
        swarm.network.advance(0.05)
    swarm.network.advance(400)
    assert stranger.closed is not None  # half a message, or none, for longer than anybody waits
    swarm.stop()
    assert peer.server.factory.errors == 0
