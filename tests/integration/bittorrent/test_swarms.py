"""Swarms of production peers on the in-memory network and a fake clock: who gives more is served better, and nobody
is lost."""

from __future__ import annotations

from statistics import median

from twisted.trial.unittest import TestCase

from netsuite.bittorrent.peer.conduct import Conduct
from netsuite.testing.swarm import Member, Swarm

KIB = 1024
FAST, MIDDLE, SLOW = 400 * KIB, 100 * KIB, 40 * KIB
BRISK = Conduct(links=24, seeks=12, allowed_fast=0).scaled(20)
"""The protocol's clocks run twenty times as fast: a round is half a second."""

MISER = Conduct(links=24, seeks=12, allowed_fast=0, slots=0, optimistic=0).scaled(20)
"""Never unchokes anybody."""


class SwarmTests(TestCase):
    def swarm(self, **options: object) -> Swarm:
        swarm = Swarm(**{"conduct": BRISK, "neighbours": 12, "interval": 5.0, **options})
        self.addCleanup(swarm.close)
        return swarm

    def assert_all_have_it(self, swarm: Swarm) -> None:
        for member in swarm.members.values():
            if member.present:
                self.assertEqual(member.content, swarm.content, member.name)

    def test_two_hundred_peers_and_who_gives_more_is_done_earlier(self) -> None:
        swarm = self.swarm(pieces=96, piece_length=16 * KIB)
        swarm.join("seed", has=1.0, upload=SLOW)
        classes: dict[int, list[Member]] = {FAST: [], MIDDLE: [], SLOW: []}
        for number in range(198):
            rate = (FAST, MIDDLE, SLOW)[number % 3]
            classes[rate].append(swarm.join(f"peer {number}", has=0.3, upload=rate, stays=False))
        riders = [swarm.join(f"rider {number}", has=0.3, conduct=MISER) for number in range(5)]
        swarm.finish(timeout=300)
        fast, middle, slow = (median(member.took for member in members) for members in classes.values())
        self.assertLess(fast * 1.1, middle)
        self.assertLess(middle * 1.1, slow)
        takes = [rider.took for rider in riders]
        self.assertGreater(min(takes), middle, "the luckiest who gives nothing")
        self.assertGreater(median(takes), slow * 1.5)
        givers = sorted(member.took for members in classes.values() for member in members)
        self.assertGreater(median(takes), givers[len(givers) * 9 // 10])
        self.assertEqual([rider.torrent.uploaded for rider in riders], [0] * 5)
        self.assert_all_have_it(swarm)

    def small(self, seed: int = 0, peers: int = 24, **options: object) -> Swarm:
        """A seed, and as many peers of all classes."""
        swarm = self.swarm(pieces=32, piece_length=32 * KIB, seed=seed, **options)
        swarm.join("seed", has=1.0, upload=FAST)
        for number in range(peers):
            swarm.join(f"peer {number}", upload=(FAST, MIDDLE, SLOW)[number % 3])
        return swarm

    def test_the_same_seed_gives_the_same_run_to_the_byte(self) -> None:
        def run(seed: int) -> tuple[str, list[float]]:
            swarm = self.small(seed, recorded=True)
            swarm.finish(timeout=300)
            return swarm.digest(), [member.took for member in swarm.members.values()]

        self.assertEqual(run(1), run(1))
        self.assertNotEqual(run(1)[0], run(2)[0])

    def test_churn_and_a_seed_that_leaves_after_one_copy_is_out(self) -> None:
        swarm = self.small()
        swarm.until(lambda: min(swarm.copies()) >= 2, timeout=300)
        swarm.leave("seed")
        self.assertTrue(any(member.finished is None for member in swarm.members.values()))
        for number in range(8):
            swarm.advance(0.5)
            swarm.join(f"late {number}", upload=MIDDLE)
            alone = [piece for piece, copies in enumerate(swarm.copies()) if copies == 1]
            for member in swarm.members.values():
                if member.present and not any(member.store.have[piece] for piece in alone):
                    member.leave()  # nobody needs it for the only copy of a piece
                    break
        swarm.finish(timeout=600)
        left = [member for member in swarm.members.values() if not member.present]
        self.assertGreaterEqual(len(left), 5)
        self.assertGreater(len(swarm.members) - len(left), 20)
        self.assert_all_have_it(swarm)

    def test_who_sends_wrong_blocks_is_found_and_banned_and_everyone_gets_the_whole_file(self) -> None:
        swarm = self.small()
        liar = swarm.join("liar", has=1.0, upload=FAST)
        liar.rot()
        honest = [member for member in swarm.members.values() if member is not liar]
        swarm.finish(timeout=600)
        self.assertEqual([member.content == swarm.content for member in honest], [True] * len(honest))
        self.assertGreater(liar.torrent.uploaded, 0)
        deceived = [member for member in honest if member.torrent.corrupt]
        self.assertTrue(deceived)
        for member in deceived:
            self.assertTrue(member.torrent.addresses.banned(liar.place, liar.server.peer_id), member.name)
        for member in honest:
            for other in honest:
                self.assertFalse(member.torrent.addresses.banned(other.place, other.server.peer_id), "nobody else is")

    def test_a_network_that_was_cut_in_two_heals(self) -> None:
        for cut in (3.0, 400.0):
            swarm = self.small()
            swarm.advance(2.0)
            members = list(swarm.members.values())
            ours, theirs = members[::2], members[1::2]
            swarm.partition(ours, theirs)
            swarm.advance(cut)
            self.assertTrue(any(member.finished is None for member in theirs), "the seed is on our side")
            if cut > 100:
                self.assertTrue(all(member.finished is not None for member in ours))
            swarm.heal(ours, theirs)
            swarm.finish(timeout=600)
            self.assert_all_have_it(swarm)
