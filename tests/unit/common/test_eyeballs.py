"""Several addresses of one host: who is tried when, and what becomes of the others."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from netsuite.common.eyeballs import by_turns, first_of


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        (["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"], ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]),
        (["1.1.1.1", "::1", "::2"], ["1.1.1.1", "::1", "::2"]),
        (["1.1.1.1", "2.2.2.2"], ["1.1.1.1", "2.2.2.2"]),
        (["::1"], ["::1"]),
    ],
)
def test_families_take_turns(addresses, order):
    assert by_turns(addresses) == order


class Race:
    """``race.tried`` are the attempts by address; ``race.outcome`` is what came of it all."""

    def __init__(self, *addresses):
        self.clock = Clock()
        self.tried = {}
        self.cancelled = []
        self.outcome = []
        self.running = Deferred.fromCoroutine(first_of(self.attempt, addresses, self.clock, 0.25))
        self.running.addBoth(self.outcome.append)

    def attempt(self, address):
        made = self.tried[address] = Deferred(lambda _: self.cancelled.append(address))
        return made


def test_the_first_alone_if_it_is_quick():
    race = Race("a", "b")
    assert list(race.tried) == ["a"]
    race.tried["a"].callback("A")
    assert race.outcome == ["A"]
    assert not race.clock.getDelayedCalls()


def test_the_next_beside_one_that_takes_long():
    race = Race("a", "b", "c")
    race.clock.advance(0.24)
    assert list(race.tried) == ["a"]
    race.clock.advance(0.01)
    assert list(race.tried) == ["a", "b"]
    race.tried["b"].callback("B")
    assert (race.outcome, race.cancelled) == (["B"], ["a"])
    assert not race.clock.getDelayedCalls()


def test_the_slow_one_may_still_win():
    race = Race("a", "b")
    race.clock.advance(0.25)
    race.tried["a"].callback("A")
    assert (race.outcome, race.cancelled) == (["A"], ["b"])


def test_the_next_at_once_where_one_fails():
    race = Race("a", "b")
    race.tried["a"].errback(OSError("refused"))
    assert list(race.tried) == ["a", "b"]
    race.tried["b"].callback("B")
    assert race.outcome == ["B"]


def test_all_fail():
    race = Race("a", "b", "c")
    race.clock.advance(0.5)
    for address in ("b", "a", "c"):
        race.tried[address].errback(OSError(address))
    assert str(race.outcome[0].value) == "b", "the first that failed is told of"
    assert not race.clock.getDelayedCalls()


def test_given_up():
    race = Race("a", "b")
    race.clock.advance(0.25)
    race.running.cancel()
    assert sorted(race.cancelled) == ["a", "b"]
    assert race.outcome[0].check(CancelledError)
    assert not race.clock.getDelayedCalls()
