"""When an announcer says what to which tracker: tables of (seconds, tracker, event)."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netsuite.bittorrent.peer.announcer import AnnounceFailed, Announcer, Pace
from netsuite.bittorrent.wire.announce import AnnounceReply
from netsuite.common.commons import Runtime

HASH, ID = bytes(range(20)), b"-NS0001-abcdefghijkl"


class Progress:
    uploaded, downloaded, left = 10, 20, 30


def reply(**fields):
    return AnnounceReply(**{"interval": 1800, **fields})


class FakeTracker:
    """A tracker that does next what its script says: answer, refuse, or keep silent (None)."""

    def __init__(self, url, lab):
        self.url = url
        self.lab = lab
        self.script = []
        self.usual = reply()
        self.seen = []

    async def announce(self, announce):
        self.lab.said.append((round(self.lab.clock.seconds()), self.url, announce.event.name.lower()))
        self.seen.append(announce)
        answer = self.script.pop(0) if self.script else self.usual
        if answer is None:
            await Deferred()
        if isinstance(answer, Deferred):
            answer = await answer or self.usual
        if isinstance(answer, Exception):
            raise answer
        return answer


class Lab:
    """Trackers ``a``, ``b`` ... in tiers, and an announcer of them on a fake clock."""

    def __init__(self, *tiers, seed=1, **options):
        self.clock = Clock()
        self.said = []
        self.found = []
        self.trackers = {name: FakeTracker(name, self) for tier in tiers for name in tier}
        self.announcer = Announcer(
            Runtime(self.clock, self.clock, random.Random(seed)),
            [[self.trackers[name] for name in tier] for tier in tiers],
            HASH,
            ID,
            6881,
            Progress,
            self.found.extend,
            **options,
        )

    def __getattr__(self, name):
        return self.trackers[name]

    def refuse(self, *names, **fields):
        for name in names:
            self.trackers[name].usual = AnnounceFailed("refused", **fields)

    def stop(self):
        ended = []
        Deferred.fromCoroutine(self.announcer.stop()).addBoth(ended.append)
        return ended

    def pass_time(self, seconds):
        """Let time pass in small steps, and answer what was said meanwhile."""
        self.said.clear()
        for _ in range(int(seconds)):
            self.clock.advance(1)
        return self.said


def test_started_then_nothing_new_at_each_interval():
    lab = Lab("a")
    lab.announcer.start()
    assert lab.said == [(0, "a", "started")]
    first = lab.a.seen[0]
    assert (first.info_hash, first.peer_id, first.port) == (HASH, ID, 6881)
    assert (first.uploaded, first.downloaded, first.left, first.numwant) == (10, 20, 30, 50)
    assert lab.pass_time(3700) == [(1800, "a", "none"), (3600, "a", "none")]
    assert {each.key for each in lab.a.seen} == {first.key}


def test_what_is_found_is_told():
    lab = Lab("a")
    lab.a.script = [reply(peers=(("192.0.2.1", 1), ("2001:db8::1", 2)))]
    lab.announcer.start()
    assert lab.found == [("192.0.2.1", 1), ("2001:db8::1", 2)]


def test_completed_is_said_once_and_at_once():
    lab = Lab("a")
    lab.announcer.start()
    lab.pass_time(100)
    lab.said.clear()
    lab.announcer.completed()
    assert lab.said == [(100, "a", "completed")]
    assert lab.pass_time(1900) == [(1900, "a", "none")]


def test_a_torrent_that_completes_while_it_is_announced_says_both():
    lab = Lab("a")
    answer = Deferred()
    lab.a.script = [answer]
    lab.announcer.start()
    lab.announcer.completed()
    assert lab.said == [(0, "a", "started")]
    answer.callback(None)
    assert lab.said == [(0, "a", "started"), (0, "a", "completed")]


def test_a_torrent_that_completes_and_stops_at_once_says_both():
    lab = Lab("a", "b")
    lab.announcer.start()
    lab.a.script = [None]
    lab.announcer.completed()
    lab.said.clear()
    assert lab.stop() == [None]
    assert lab.said == [(0, "a", "completed"), (0, "a", "stopped")]


def test_a_tracker_that_comes_late_hears_started_before_completed():
    lab = Lab("a", "b")
    lab.announcer.start()
    lab.refuse("a")
    lab.said.clear()
    lab.announcer.completed()
    assert lab.said == [(0, "a", "completed"), (0, "b", "started"), (0, "b", "completed")]


def test_stopped_goes_to_all_who_may_know_us_and_to_no_other():
    lab = Lab("a", "b", "c")
    lab.announcer.start()
    lab.refuse("a")
    lab.pass_time(1800)
    lab.said.clear()
    assert lab.stop() == [None]
    assert sorted(lab.said) == [(1800, "a", "stopped"), (1800, "b", "stopped")]
    assert lab.b.seen[-1].numwant == 0


def test_stopping_takes_no_longer_than_it_may():
    lab = Lab("a", pace=Pace(farewell=5))
    lab.announcer.start()
    lab.a.script = [None]
    ended = lab.stop()
    lab.clock.advance(4.9)
    assert ended == []
    lab.clock.advance(0.1)
    assert ended == [None]
    assert lab.pass_time(10_000) == []


def test_stopping_while_nobody_answers_says_stopped_to_whom_started_was_sent():
    lab = Lab("a", "b")
    lab.a.script = [None]
    lab.announcer.start()
    assert lab.stop() == [None]
    assert lab.said == [(0, "a", "started"), (0, "a", "stopped")]


def test_a_stop_before_the_start_is_silent():
    lab = Lab("a")
    assert lab.stop() == [None]
    assert lab.said == []


def test_tiers_are_taken_in_order_and_who_answers_comes_to_the_front():
    lab = Lab("abc", "d", seed=3)
    order = [state.url for state in lab.announcer.states()]
    first, second, third = order[:3]
    lab.refuse(first)
    lab.announcer.start()
    assert lab.said == [(0, first, "started"), (0, second, "started")]
    assert [state.url for state in lab.announcer.states()] == [second, first, third, "d"]
    lab.refuse(second, third)
    assert [url for _, url, _ in lab.pass_time(1800)] == [second, first, third, "d"]
    assert [state.url for state in lab.announcer.states()] == [second, first, third, "d"]


def test_tiers_are_shuffled_inside_and_not_among_each_other():
    orders = {tuple(state.url for state in Lab("abc", "de", seed=seed).announcer.states()) for seed in range(60)}
    assert len(orders) == 12
    assert {frozenset(order[:3]) for order in orders} == {frozenset("abc")}


def test_when_all_fail_the_wait_doubles_with_jitter_up_to_its_bound():
    lab = Lab("a", pace=Pace(first_retry=10, longest_retry=100))
    lab.refuse("a")
    lab.announcer.start()
    times = [0, *(time for time, _, _ in lab.pass_time(2000))]
    waits = [after - before for before, after in itertools.pairwise(times)]
    for wait, middle in zip(waits, [10, 20, 40, 80, 100, 100, 100], strict=False):
        assert 0.75 * middle - 1 <= wait <= 1.25 * middle + 1
    assert len(set(waits[4:])) > 3
    assert lab.announcer.trouble == "a: refused"
    lab.a.usual = reply()
    lab.pass_time(130)
    assert lab.announcer.trouble == ""
    assert lab.announcer.states()[0].ok


def test_news_do_not_hurry_an_announcer_whom_nobody_answers():
    lab = Lab("a", pace=Pace(first_retry=100))
    lab.refuse("a")
    lab.announcer.start()
    lab.announcer.completed()
    lab.announcer.hurry()
    assert lab.pass_time(70) == []


def test_retry_in_is_kept_to():
    lab = Lab("a", "b")
    lab.a.script = [AnnounceFailed("overloaded", retry_in=2 * 3600)]
    lab.announcer.start()
    assert lab.announcer.states()[0].next == 2 * 3600
    assert [url for _, url, _ in lab.pass_time(2 * 3600 - 1)] == ["b"] * 3
    assert lab.pass_time(2) == [(7200, "a", "started")]


def test_a_refusal_for_ever_is_one():
    lab = Lab("a")
    lab.refuse("a", retry_in=math.inf)
    lab.announcer.start()
    assert lab.pass_time(100_000) == []
    assert lab.announcer.trouble == "a: refused"
    assert lab.announcer.states()[0].next == math.inf


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ({"interval": 0}, 10),
        ({"interval": 60}, 60),
        ({"interval": 60, "min_interval": 90}, 90),
        ({"interval": 10**9}, 86400),
    ],
)
def test_intervals_have_bounds(said, wait):
    lab = Lab("a")
    lab.a.usual = reply(**said)
    lab.announcer.start()
    assert lab.pass_time(wait - 1) == []
    assert lab.pass_time(1) == [(wait, "a", "none")]


@pytest.mark.parametrize(
    ("said", "wait"),
    [({}, 60), ({"min_interval": 300}, 300), ({"min_interval": 1}, 10), ({"interval": 30}, 30)],
)
def test_who_wants_peers_keeps_to_the_minimal_interval(said, wait):
    lab = Lab("a")
    lab.a.usual = reply(**said)
    lab.announcer.start()
    lab.announcer.hurry()
    assert lab.pass_time(wait - 1) == []
    lab.announcer.hurry()
    assert lab.pass_time(1) == [(wait, "a", "none")]


def test_wanting_peers_long_after_the_last_announce_asks_at_once():
    lab = Lab("a")
    lab.announcer.start()
    lab.pass_time(600)
    lab.said.clear()
    lab.announcer.hurry()
    assert lab.said == [(600, "a", "none")]


def test_a_tracker_id_goes_back_to_whom_it_came_from():
    lab = Lab("a", "b")
    lab.a.script = [reply(tracker_id=b"x")]
    lab.announcer.start()
    lab.pass_time(1800)
    assert [each.tracker_id for each in lab.a.seen] == [None, b"x"]
    lab.refuse("a")
    lab.pass_time(1800)
    assert lab.b.seen[0].tracker_id is None


def test_states_tell_what_trackers_say():
    lab = Lab("a", "b")
    assert [(state.ok, state.seeds, state.trouble) for state in lab.announcer.states()] == [(False, None, "")] * 2
    lab.refuse("a")
    lab.b.usual = reply(seeds=3, leechers=4, warning="be gentle")
    lab.announcer.start()
    a, b = lab.announcer.states()
    assert (a.ok, a.trouble) == (False, "refused")
    assert (b.ok, b.seeds, b.leechers, b.warning) == (True, 3, 4, "be gentle")
    assert lab.announcer.trouble == ""


def test_without_trackers_there_is_nothing_to_say():
    lab = Lab()
    lab.announcer.start()
    lab.announcer.completed()
    assert lab.stop() == [None]
    assert lab.clock.getDelayedCalls() == []


def test_nothing_is_left_over_after_a_stop():
    lab = Lab("a", "b")
    lab.refuse("a", "b")
    lab.announcer.start()
    lab.stop()
    assert lab.clock.getDelayedCalls() == []
