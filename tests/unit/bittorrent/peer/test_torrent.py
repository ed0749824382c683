"""The conduct of torrents, on the in-memory network and the fake clock."""

from __future__ import annotations

import itertools

import pytest

from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.bittorrent.wire.extensions import ExtensionHandshake
from netsuite.bittorrent.wire.messages import (
    LARGEST_BLOCK,
    AllowedFast,
    BitfieldMessage,
    Blocks,
    Cancels,
    Choke,
    Extended,
    Handshake,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    NotInterested,
    Rejects,
    Requests,
    Unchoke,
)
from tests.swarm import PORT, Stranger, Swarm, make_content

QUIET = Conduct(allowed_fast=0)


@pytest.fixture
def swarm():
    swarm = Swarm(make_content(1_000_000))
    yield swarm
    swarm.stop()
    for peer in swarm.peers:
        assert peer.server.factory.errors == peer.server._outgoing.errors == 0


class Seed(Stranger):
    """Has everything, unchokes, and sends what it is asked for, unless told otherwise."""

    broken = frozenset()
    silent = False

    def answer(self, message):
        if isinstance(message, Handshake):
            self.transport.write(b"".join(HaveAll().encode() + Unchoke().encode()))
        elif isinstance(message, Requests) and not self.silent:
            blocks = [self.block(*span) for span in message.spans]
            self.transport.write(
                b"".join(
                    bytes(chunk)
                    for piece, begin, data in blocks
                    for chunk in Blocks(
                        [(piece, begin, bytes(len(data)) if (piece, begin) in self.broken else data)]
                    ).encode()
                )
            )


def test_a_seed_and_a_leecher(swarm):
    seed = swarm.add(has=True)
    leecher = swarm.add()
    assert seed.torrent.complete
    swarm.run_until_complete()
    assert leecher.content == swarm.content
    assert leecher.torrent.figures() == (0, 1_000_000, 0)
    assert seed.torrent.figures() == (1_000_000, 0, 0)
    swarm.network.advance(5)
    assert list(seed.torrent.links) == list(leecher.torrent.links) == []


def test_leechers_give_on_what_they_get(swarm):
    seed = swarm.add(has=True, upload=100_000)
    leechers = [swarm.add() for _ in range(5)]
    swarm.run_until_complete()
    assert all(leecher.content == swarm.content for leecher in leechers)
    assert seed.torrent.uploaded < 3_000_000
    assert sum(peer.torrent.uploaded for peer in swarm.peers) == sum(peer.torrent.downloaded for peer in swarm.peers)


def test_both_ways_at_once(swarm):
    """Two who send each other more than the transports hold must both go on reading."""
    half = 8 * 65536
    one = swarm.add(has=swarm.content[:half].ljust(1_000_000, b"-"))
    other = swarm.add(has=swarm.content[half:].rjust(1_000_000, b"-"))
    swarm.network.until(lambda: one.torrent.complete and other.torrent.complete, 20)
    assert one.content == other.content == swarm.content


def test_a_swarm_repeats_to_the_bit():
    def run():
        swarm = Swarm(make_content(500_000), seed=3)
        swarm.add(has=True, upload=100_000)
        for _ in range(6):
            swarm.add(upload=100_000)
        swarm.run_until_complete()
        accounts = [
            {peer_id: (account.received, account.sent) for peer_id, account in peer.torrent.accounts().items()}
            for peer in swarm.peers
        ]
        return [peer.finished for peer in swarm.peers], accounts

    assert run() == run()


# -- who is let in


def test_seeds_do_not_keep_a_link(swarm):
    one, other = swarm.add(has=True), swarm.add(has=True)
    swarm.network.advance(2)
    assert not list(one.torrent.links)
    assert not list(other.torrent.links)
    swarm.network.advance(300)
    assert one.server.factory.accepted == 1  # it is known to be a seed: no use in asking again


def test_seeds_keep_a_link_where_they_are_told_to(swarm):
    one = swarm.add(has=True, conduct=Conduct(close_seeds=False))
    swarm.add(has=True, conduct=Conduct(close_seeds=False))
    swarm.network.advance(2)
    assert len(list(one.torrent.links)) == 1


def test_a_partial_seed_is_of_no_use_to_a_seed(swarm):
    seed = swarm.add(has=True)
    stranger = Stranger(swarm).dial(seed)
    stranger.say(HaveNone(), ExtensionHandshake(upload_only=True).encode())
    assert stranger.closed is not None


def test_we_do_not_talk_to_ourselves(swarm):
    peer = swarm.add()
    peer.torrent.found([peer.place])
    swarm.network.advance(2)
    assert not list(peer.torrent.links)
    peer.torrent.found([peer.place])
    swarm.network.advance(100)
    assert peer.server.factory.accepted == 1


def test_two_who_dial_each_other_keep_one_link(swarm):
    one, other = swarm.add(), swarm.add(start=False)
    other.torrent.start()
    one.torrent.found([other.place])
    other.torrent.found([one.place])
    swarm.network.advance(3)
    (mine,), (theirs,) = one.torrent.links, other.torrent.links
    assert mine.outgoing is not theirs.outgoing
    assert mine.place == other.place
    assert theirs.place == one.place


def test_a_second_connection_of_the_same_peer_is_refused(swarm):
    peer = swarm.add()
    first = Stranger(swarm).dial(peer)
    second = Stranger(swarm).dial(peer)
    assert first.closed is None
    assert second.closed is not None
    assert len(list(peer.torrent.links)) == 1


def test_another_torrent_is_not_here(swarm):
    peer = swarm.add()
    stranger = Stranger(swarm)
    stranger.machine.outgoing()
    stranger.machine._out = Handshake(bytes(20), stranger.greeting.peer_id).encode()
    stranger.dial(peer)
    assert stranger.closed is not None
    assert peer.server.unknown == 1


def test_links_are_limited(swarm):
    peer = swarm.add(conduct=Conduct(links=2))
    strangers = [Stranger(swarm, peer_id=b"-XX0000-stranger000%d" % number).dial(peer) for number in range(3)]
    assert [stranger.closed is None for stranger in strangers] == [True, True, False]
    strangers[0].transport.loseConnection()
    swarm.network.advance(1)
    assert Stranger(swarm, peer_id=b"-XX0000-stranger0009").dial(peer).closed is None


def test_connections_are_limited_over_all_torrents(swarm):
    peer = swarm.add(connections=1)
    strangers = [Stranger(swarm, peer_id=b"-XX0000-stranger000%d" % number).dial(peer) for number in range(2)]
    assert [stranger.closed is None for stranger in strangers] == [True, False]


def test_few_are_dialled_at_a_time(swarm):
    peer = swarm.add(half_open=2)
    peer.torrent.found([(f"198.51.100.{number}", PORT) for number in range(1, 20)])
    swarm.network.advance(0.1)
    assert peer.server._dialling == 2


def test_addresses_that_fail_are_tried_ever_later(swarm):
    peer = swarm.add()
    missing = swarm.network.host("198.51.100.1")
    tries = []
    connect = peer.host.connectTCP

    def connect_and_note(*arguments, **options):
        tries.append(peer.host.seconds())
        return connect(*arguments, **options)

    peer.host.connectTCP = connect_and_note
    peer.torrent.found([(missing.addresses[0], PORT)])
    swarm.network.advance(10_000)
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert len(tries) == 6
    assert all(0.6 * 30 * 2**number < wait < 1.4 * 30 * 2**number for number, wait in enumerate(waits, 1))


# -- what is said


def test_what_a_seed_says_first(swarm):
    seed = swarm.add(has=True, conduct=QUIET)
    fast = Stranger(swarm).dial(seed)
    assert isinstance(fast.heard[1], HaveAll)
    said = ExtensionHandshake.decode(fast.of(Extended)[0].payload)
    assert (said.port, said.requests, said.upload_only) == (PORT, 2000, True)
    assert said.your_ip == bytes([172, 16, 0, 1])
    assert said.version.startswith("netsuite ")
    plain = Stranger(swarm, fast=False, extended=False, peer_id=b"-XX0000-stranger0002").dial(seed)
    assert plain.heard[1:] == [BitfieldMessage(b"\xff\xff")]


def test_what_a_newcomer_says_first(swarm):
    newcomer = swarm.add()
    fast = Stranger(swarm).dial(newcomer)
    assert isinstance(fast.heard[1], HaveNone)
    assert ExtensionHandshake.decode(fast.of(Extended)[0].payload).upload_only is False
    plain = Stranger(swarm, fast=False, extended=False, peer_id=b"-XX0000-stranger0002").dial(newcomer)
    assert plain.heard[1:] == []


def test_interest_follows_what_is_missing(swarm):
    peer = swarm.add()
    stranger = Stranger(swarm).dial(peer)
    stranger.say(HaveNone())
    assert not stranger.of(Interested)
    stranger.say(Have(3))
    assert stranger.of(Interested)
    other = Seed(swarm, peer_id=b"-XX0000-seed00000000").dial(peer)
    swarm.run_until_complete()
    swarm.network.advance(1)
    assert stranger.of(NotInterested)
    assert other.of(NotInterested)


def test_haves_go_to_those_who_lack_the_piece(swarm):
    peer = swarm.add()
    stranger = Stranger(swarm).dial(peer)
    stranger.say(BitfieldMessage(b"\xf0\x00"))
    Seed(swarm, peer_id=b"-XX0000-seed00000000").dial(peer)
    swarm.run_until_complete()
    swarm.network.advance(1)
    assert sorted(have.piece for have in stranger.of(Have)) == list(range(4, 16))


def test_who_cares_hears_that_we_want_nothing_any_more(swarm):
    peer = swarm.add()
    stranger = Stranger(swarm).dial(peer)
    stranger.say(HaveNone(), ExtensionHandshake({b"upload_only": 7}).encode())
    Seed(swarm, peer_id=b"-XX0000-seed00000000").dial(peer)
    swarm.run_until_complete()
    swarm.network.advance(1)
    assert stranger.of(Extended)[-1] == Extended(7, b"\1")


# -- what is given


def unchoked(swarm, peer, **options):
    stranger = Stranger(swarm, **options).dial(peer)
    stranger.say(HaveNone(), Interested()) if options.get("fast", True) else stranger.say(Interested())
    swarm.network.advance(30)
    assert stranger.of(Unchoke)
    stranger.heard.clear()
    return stranger


def received(stranger):
    return [block for message in stranger.of(Blocks) for block in message.blocks]


def rejected(stranger):
    return [span for message in stranger.of(Rejects) for span in message.spans]


def test_blocks_are_given_as_asked_for(swarm):
    stranger = unchoked(swarm, swarm.add(has=True))
    stranger.say(Requests([(0, 0, 16384), (3, 100, 1), (2, 0, 65536), (15, 16384, 576)]))
    expected = [
        stranger.block(0, 0),
        stranger.block(3, 100, 1),
        stranger.block(2, 0, 65536),
        stranger.block(15, 16384, 576),
    ]
    assert [(piece, begin, bytes(data)) for piece, begin, data in received(stranger)] == expected


def test_the_choked_are_rejected_or_ignored(swarm):
    seed = swarm.add(has=True, conduct=QUIET)
    fast = Stranger(swarm).dial(seed)
    fast.say(HaveNone(), Requests([(0, 0, 16384)]))
    assert rejected(fast) == [(0, 0, 16384)]
    plain = Stranger(swarm, fast=False, peer_id=b"-XX0000-stranger0002").dial(seed)
    plain.say(Requests([(0, 0, 16384)]))
    assert not received(plain)
    assert plain.closed is None


def test_a_newcomer_gets_its_allowed_pieces_while_choked(swarm):
    seed = swarm.add(has=True, conduct=Conduct(allowed_fast=5))
    stranger = Stranger(swarm).dial(seed)
    allowed = [message.piece for message in stranger.of(AllowedFast)]
    assert len(allowed) == len(set(allowed)) == 5
    stranger.say(HaveNone(), Requests([(allowed[0], 0, 16384)]))
    assert received(stranger) == [stranger.block(allowed[0], 0)]
    stranger.heard.clear()
    stranger.say(*(Have(piece) for piece in range(5)))
    stranger.say(Requests([(allowed[1], 0, 16384)]))
    assert rejected(stranger) == [(allowed[1], 0, 16384)]


def test_we_take_allowed_pieces_while_choked(swarm):
    peer = swarm.add()
    stranger = Stranger(swarm).dial(peer)
    stranger.say(HaveAll(), AllowedFast(7))
    asked = [span for message in stranger.of(Requests) for span in message.spans]
    assert asked == [(7, begin, 16384) for begin in range(0, 65536, 16384)]


@pytest.mark.parametrize("span", [(0, 0, LARGEST_BLOCK + 1), (0, 0, 0), (0, 0, 0xFFFFFFFF)])
def test_requests_of_a_wrong_length_close(swarm, span):
    stranger = unchoked(swarm, swarm.add(has=True))
    stranger.say(Requests([span]))
    assert stranger.closed is not None


def test_requests_out_of_range_are_rejected_and_forgiven_for_a_while(swarm):
    stranger = unchoked(swarm, swarm.add(has=True, conduct=Conduct(offences=3)))
    wrong = [(16, 0, 1), (0, 65536, 1), (0, 0xFFFFFFFF, 16384)]
    stranger.say(Requests(wrong))
    assert rejected(stranger) == wrong
    stranger.say(Requests([(15, 16384, 577)]))
    assert stranger.closed is not None


def test_requests_that_wait_are_limited(swarm):
    seed = swarm.add(has=True, conduct=Conduct(patience=4, offences=3), upload=1000)
    stranger = unchoked(swarm, seed)
    spans = [(0, begin, 100) for begin in range(8)]
    stranger.say(Requests([(1, 0, 16384), *spans[:6]]))
    assert rejected(stranger) == spans[3:6]
    stranger.say(Requests(spans[3:5]))
    assert stranger.closed is not None


def test_a_cancelled_request_is_rejected(swarm):
    seed = swarm.add(has=True, upload=2000)
    stranger = unchoked(swarm, seed)
    stranger.say(Requests([(0, 0, 16384), (0, 16384, 16384), (0, 32768, 16384)]))
    stranger.say(Cancels([(0, 32768, 16384)]))
    assert rejected(stranger) == [(0, 32768, 16384)]
    swarm.network.advance(60)
    assert received(stranger) == [stranger.block(0, 0), stranger.block(0, 16384)]


def test_a_choke_rejects_what_waits(swarm):
    seed = swarm.add(has=True, upload=1000, conduct=QUIET)
    stranger = unchoked(swarm, seed)
    spans = [(0, 0, 16384), (0, 16384, 16384), (0, 32768, 16384)]
    stranger.say(Requests(spans))
    (link,) = seed.torrent.links
    link.choke(True)
    swarm.network.advance(40)
    assert rejected(stranger) == spans[len(received(stranger)) :]
    assert stranger.heard.index(stranger.of(Choke)[0]) < stranger.heard.index(stranger.of(Rejects)[0])


def test_who_asks_on_while_choked_is_closed(swarm):
    stranger = Stranger(swarm).dial(swarm.add(has=True, conduct=Conduct(allowed_fast=0, patience=50)))
    stranger.say(Requests([(0, 0, 100)] * 50))
    assert len(rejected(stranger)) == 50
    assert stranger.closed is None
    stranger.say(Requests([(0, 0, 100)]))
    assert stranger.closed is not None


WHOLE = [(piece, begin, 16384) for piece in range(14) for begin in range(0, 65536, 16384)]


def test_who_reads_no_rejects_is_closed(swarm):
    seed = swarm.add(has=True)
    stranger = unchoked(swarm, seed)
    (link,) = seed.torrent.links
    stranger.transport.pauseProducing()
    stranger.say(Requests(WHOLE))
    assert link.adapter.full
    for _ in range(2000 // len(WHOLE) - 1):
        stranger.say(Cancels(WHOLE), Requests(WHOLE))
    assert not link.adapter.closed
    for _ in range(3):
        stranger.say(Cancels(WHOLE), Requests(WHOLE))
    assert link.adapter.closed


def test_who_reads_nothing_is_asked_nothing(swarm):
    """Unchokes and chokes cost a peer little; what they make us ask for must not pile up."""
    peer = swarm.add(has=swarm.content[: 8 * 65536].ljust(1_000_000, b"-"))
    stranger = unchoked(swarm, peer, fast=False)
    (link,) = peer.torrent.links
    stranger.say(BitfieldMessage(b"\x00\xff"))
    stranger.transport.pauseProducing()
    stranger.say(Requests(WHOLE[:32]))
    assert link.adapter.full
    bytes_out = peer.server.factory.bytes_out
    for _ in range(100):
        stranger.transport.write(b"".join(Unchoke().encode() + Choke().encode()))
        swarm.network.advance(0.01)
    assert link.adapter.full
    assert peer.server.factory.bytes_out == bytes_out


def test_a_peer_that_reads_slowly_is_sent_no_more_than_it_takes(swarm):
    seed = swarm.add(has=True)
    stranger = unchoked(swarm, seed)
    stranger.transport.pauseProducing()
    stranger.say(Requests([(piece, begin, 16384) for piece in range(14) for begin in range(0, 65536, 16384)]))
    swarm.network.advance(5)
    (link,) = seed.torrent.links
    assert link.uploads.queue
    stranger.transport.resumeProducing()
    swarm.network.advance(5)
    assert len(received(stranger)) == 56
    assert not link.uploads.queue


# -- what is taken


def test_blocks_that_nobody_asked_for(swarm):
    peer = swarm.add()
    fast = Stranger(swarm).dial(peer)
    fast.say(HaveAll(), Blocks([fast.block(0, 0)]))
    assert fast.closed is not None  # BEP 6
    plain = Stranger(swarm, fast=False, peer_id=b"-XX0000-stranger0002").dial(peer)
    plain.say(Blocks([plain.block(0, 0)]))
    assert plain.closed is None
    assert peer.torrent.unsolicited == 2 * 16384
    assert peer.torrent.downloaded == 0


def test_a_block_of_another_length_is_not_taken(swarm):
    peer = swarm.add()
    stranger = Stranger(swarm, fast=False).dial(peer)
    stranger.say(BitfieldMessage(b"\xff\xff"), Unchoke())
    piece, begin, length = stranger.of(Requests)[0].spans[0]
    stranger.say(Blocks([(piece, begin, bytes(length - 1))]))
    assert peer.torrent.unsolicited == length - 1


def test_who_sends_a_wrong_piece_alone_is_banned(swarm):
    peer = swarm.add()
    liar = Seed(swarm)
    liar.broken = {(piece, 0) for piece in range(16)}
    liar.dial(peer)
    swarm.network.advance(2)
    assert liar.closed is not None
    assert peer.torrent.bans >= 1
    assert peer.torrent.corrupt >= 65536
    again = Stranger(swarm, peer_id=liar.greeting.peer_id).dial(peer)
    assert again.closed is not None
    Seed(swarm, peer_id=b"-XX0000-seed00000000").dial(peer)
    swarm.run_until_complete()
    assert peer.content == swarm.content


def test_a_liar_among_honest_peers_is_found_out(swarm):
    peer = swarm.add(conduct=Conduct(close_seeds=False), download=200_000)
    liar, honest = Seed(swarm), Seed(swarm, peer_id=b"-XX0000-honest000000")
    liar.broken = {(piece, begin) for piece in range(16) for begin in (0, 16384, 32768)}
    for stranger in (honest, liar):
        stranger.dial(peer)
    swarm.run_until_complete()
    swarm.network.advance(1)
    assert peer.content == swarm.content
    assert honest.closed is None
    assert peer.torrent.addresses.banned(("", 1), liar.greeting.peer_id)
    assert peer.torrent.bans == 1


def test_a_peer_that_sends_nothing_does_not_hold_the_others_up(swarm):
    peer = swarm.add()
    snubs = Seed(swarm)
    snubs.silent = True
    snubs.dial(peer)
    (link,) = peer.torrent.links
    assert len(link.downloads.requested) == 4
    swarm.network.advance(61)
    assert link.downloads.snubbed
    assert len(link.downloads.requested) == 1
    assert sum(len(message.spans) for message in snubs.of(Cancels)) == 4
    Seed(swarm, peer_id=b"-XX0000-seed00000000").dial(peer)
    swarm.run_until_complete()
    assert peer.content == swarm.content


def test_what_comes_late_is_welcome(swarm):
    peer = swarm.add()
    snubs = Seed(swarm)
    snubs.silent = True
    snubs.dial(peer)
    asked = [span for message in snubs.of(Requests) for span in message.spans]
    swarm.network.advance(61)
    snubs.say(Blocks([snubs.block(*span) for span in asked]))
    assert peer.torrent.downloaded == 4 * 16384
    assert peer.torrent.unsolicited == 0


@pytest.mark.parametrize("fast", [True, False])
def test_a_choke_frees_the_blocks_for_others(swarm, fast):
    peer = swarm.add()
    chokes = Seed(swarm, fast=fast)
    chokes.silent = True
    if fast:
        chokes.dial(peer)
    else:
        chokes.answer = lambda message: None
        chokes.dial(peer)
        chokes.say(BitfieldMessage(b"\xff\xff"), Unchoke())
    asked = [span for message in chokes.of(Requests) for span in message.spans]
    assert asked
    chokes.say(Choke())
    if fast:
        chokes.say(Rejects(asked))
    (link,) = peer.torrent.links
    assert not link.downloads.requested
    Seed(swarm, peer_id=b"-XX0000-seed00000000").dial(peer)
    swarm.network.until(lambda: peer.torrent.complete, 20)


def test_who_rejects_everything_is_not_asked_without_end(swarm):
    peer = swarm.add()

    class Rejecting(Seed):
        def answer(self, message):
            if isinstance(message, Requests):
                self.transport.write(b"".join(Rejects(message.spans).encode()))
            else:
                super().answer(message)

    stranger = Rejecting(swarm).dial(peer)
    swarm.network.advance(20)
    assert 5 < len(stranger.of(Requests)) < 30


def test_the_end_game(swarm):
    peer = swarm.add(conduct=Conduct(depth=64))
    slow = Seed(swarm)
    slow.silent = True
    slow.dial(peer)
    Seed(swarm, peer_id=b"-XX0000-seed00000000").dial(peer)
    swarm.network.until(lambda: peer.torrent.complete, 20)  # long before it counts as snubbing
    swarm.network.advance(1)
    cancelled = [span for message in slow.of(Cancels) for span in message.spans]
    asked = [span for message in slow.of(Requests) for span in message.spans]
    assert sorted(cancelled) == sorted(asked)


# -- limits, disks, and the end


@pytest.mark.parametrize("side", ["upload", "download"])
def test_rate_limits(swarm, side):
    begin = swarm.network.clock.seconds()
    seed = swarm.add(has=True, **({"upload": 100_000} if side == "upload" else {}))
    leecher = swarm.add(**({"download": 100_000} if side == "download" else {}))
    swarm.run_until_complete()
    assert 8 < leecher.finished - begin < 16
    assert seed.torrent.uploaded == 1_000_000


def test_a_limit_is_shared_fairly():
    swarm = Swarm(make_content(2_000_000))
    seed = swarm.add(has=True, upload=200_000)
    strangers = [unchoked(swarm, seed, peer_id=b"-XX0000-stranger000%d" % number) for number in range(3)]
    everything = Requests([(piece, begin, 16384) for piece in range(30) for begin in range(0, 65536, 16384)])
    for stranger in strangers:
        stranger.say(everything)
    for stranger in strangers:
        stranger.heard.clear()
    swarm.network.advance(20)
    shares = [len(received(stranger)) for stranger in strangers]
    assert max(shares) - min(shares) <= 4
    assert min(shares) > 50
    swarm.stop()


def test_a_piece_that_the_disk_has_lost_is_fetched_again(swarm):
    seed = swarm.add(has=True, conduct=Conduct(close_seeds=False))
    leecher = swarm.add(conduct=Conduct(close_seeds=False))
    swarm.run_until_complete()
    leecher.store.have.clear(3)
    leecher.store.lost(3)
    assert leecher.torrent.figures().left == 65536
    swarm.network.until(lambda: leecher.torrent.complete, 60)
    assert seed.torrent.uploaded == 1_065_536


def test_stopping_leaves_nothing_behind(swarm):
    seed, leecher = swarm.add(has=True, upload=50_000), swarm.add(upload=50_000)
    leecher.torrent.found([("198.51.100.1", PORT)])
    swarm.network.advance(3)
    for peer in swarm.peers:
        peer.torrent.stop()
        swarm.network.result(peer.store.close())
    swarm.network.advance(1)
    assert not list(seed.torrent.links)
    assert not list(leecher.torrent.links)
    assert seed.server.count == leecher.server.count == 0
    assert not swarm.network.clock.getDelayedCalls()


def test_a_torrent_can_be_started_again(swarm):
    swarm.add(has=True, upload=100_000)
    leecher = swarm.add()
    swarm.network.advance(5)
    leecher.torrent.stop()
    left = leecher.torrent.figures().left
    assert 0 < left < 1_000_000
    swarm.network.advance(100)
    assert leecher.torrent.figures().left == left
    leecher.torrent.start()
    swarm.run_until_complete()
    assert leecher.content == swarm.content


def test_what_can_be_seen_from_outside(swarm):
    seed, leecher = swarm.add(has=True, upload=100_000), swarm.add()
    swarm.network.advance(6)
    (mine,) = seed.torrent.neighbours()
    assert mine.peer_id == leecher.server.peer_id
    assert (mine.host, mine.port) == leecher.place
    assert mine.version.startswith("netsuite")
    assert (mine.choking, mine.interested_in_us) == (False, True)
    assert mine.upload_rate > 50_000
    account = seed.torrent.accounts()[leecher.server.peer_id]
    assert account.sent == mine.sent == seed.torrent.uploaded
    assert 4 < account.unchoked <= 6
    assert leecher.torrent.picker.availability(0) == 1
    theirs = leecher.torrent.accounts()[seed.server.peer_id]
    assert theirs.received <= account.sent
    assert abs(theirs.unchoked_us - account.unchoked) < 0.2
