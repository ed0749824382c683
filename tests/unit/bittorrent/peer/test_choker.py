"""Scenes, minute by minute: who sends how much, and who is therefore unchoked."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable

import pytest

from netsuite.bittorrent.peer.choker import Candidate, Choker


class Scene:
    """Neighbours by name; their rates and interest are changed, and rounds go by."""

    def __init__(self, *names: str, seed: int = 1, seeding: bool = False, **options: float) -> None:
        self.now = 0.0
        self.choker: Choker[str] = Choker(random.Random(seed), self.now, **options)  # type: ignore[arg-type]
        self.seeding = seeding
        self.people: dict[str, Candidate[str]] = {}
        self.unchoked: frozenset[str] = frozenset()
        self.join(*names)

    def join(self, *names: str, interested: bool = True) -> None:
        for name in names:
            self.people[name] = Candidate(name, interested, heard=self.now)

    def sends(self, **rates: float) -> None:
        """They send us so much, from now on."""
        for name, rate in rates.items():
            self.people[name] = self.people[name]._replace(received=rate, heard=self.now)

    def takes(self, **rates: float) -> None:
        for name, rate in rates.items():
            self.people[name] = self.people[name]._replace(sent=rate)

    def interest(self, name: str, interested: bool) -> None:
        self.people[name] = self.people[name]._replace(interested=interested)

    def round(self, count: int = 1) -> frozenset[str]:
        for _ in range(count):
            self.now = self.choker.deadline
            for name, each in self.people.items():
                if each.received:
                    self.people[name] = each._replace(heard=self.now)
            self.unchoked = self.choker.round(self.now, self.people.values(), seeding=self.seeding)
        return self.unchoked

    def again(self) -> frozenset[str]:
        self.unchoked = self.choker.again(self.now, self.people.values(), seeding=self.seeding)
        return self.unchoked


def slots(unchoked: Iterable[str], scene: Scene) -> int:
    """How many of the unchoked make use of it."""
    return sum(scene.people[name].interested for name in unchoked)


TEN = tuple("abcdefghij")


def test_rounds_are_ten_seconds_apart() -> None:
    scene = Scene(*TEN)
    assert scene.choker.deadline == 10
    scene.round()
    assert scene.choker.deadline == 20
    scene.choker.round(47.0, scene.people.values())
    assert scene.choker.deadline == 57, "late rounds are not made up for"


def test_the_four_that_send_most_and_one_more() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40, e=50, f=60)
    for _ in range(18):
        unchoked = scene.round()
        assert set("cdef") <= unchoked
        assert len(unchoked) == 5


def test_the_optimistic_one_changes_every_thirty_seconds_and_everyone_has_a_turn() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40, e=1, f=1, g=1, h=1, i=1, j=1)
    turns = []
    for _ in range(36):
        (lucky,) = scene.round() - set("abcd")
        turns.append((scene.now, lucky))
    changes = [now for (_, before), (now, lucky) in itertools.pairwise(turns) if lucky != before]
    assert changes == [now for now in range(30, 361, 30) if now > 10]
    waited = [lucky for now, lucky in turns if now % 30 == 0]
    assert set(waited[:6]) == set("efghij")
    assert waited[:6] == waited[6:12], "by turns"


def test_whoever_sends_more_when_it_is_unchoked_joins_the_four() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40, e=1, f=1, g=1, h=1, i=1, j=1)
    scene.round(2)
    (lucky,) = scene.round() - set("abcd")
    scene.sends(**{lucky: 35})
    unchoked = scene.round()
    assert {"b", "c", "d", lucky} <= unchoked
    scene.round(3)
    assert {"b", "c", "d", lucky} <= scene.unchoked, "in its own right, after its turn"


def test_better_but_uninterested_ones_stay_unchoked_and_take_their_place_once_interested() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40, e=50)
    scene.interest("e", False)
    unchoked = scene.round()
    assert set("abcde") <= unchoked
    assert slots(unchoked, scene) == 5
    scene.interest("e", True)
    unchoked = scene.again()
    assert set("bcde") <= unchoked, "at once, not in the next round"
    assert slots(unchoked, scene) == 5


def test_an_uninterested_one_that_sends_less_is_choked() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40, e=5)
    scene.interest("e", False)
    scene.round()
    for _ in range(12):
        assert "e" not in scene.round()


def test_a_slot_that_becomes_free_is_filled_at_once() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40, e=5)
    assert set("abcd") <= scene.round()
    del scene.people["d"]
    unchoked = scene.again()
    assert set("abce") <= unchoked
    assert len(unchoked) == 5
    scene.interest("c", False)
    unchoked = scene.again()
    assert slots(unchoked, scene) == 5
    assert scene.choker.deadline == 20, "the rounds keep their time"


def test_a_silent_minute_is_a_snub_and_leaves_only_the_optimistic_slots() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40)
    scene.round()
    scene.sends(d=0)  # and the others zero, so that d's silence would still rank with them
    for name in TEN[4:]:
        scene.people[name] = scene.people[name]._replace(heard=-100.0)
    for _ in range(5):
        assert "d" in scene.round(), f"after {scene.now - 10} s"
    assert scene.now == 60
    turns: Counter[str] = Counter()
    for _ in range(60):
        unchoked = scene.round()
        assert {"a", "b", "c"} <= unchoked
        assert len(unchoked) == 5, "one more optimistic one"
        turns.update(unchoked - set("abc"))
    assert turns["d"] < 30, "only by turns, as everyone"
    assert set(turns) == set("defghij")


def test_interest_that_comes_and_goes_between_rounds_chokes_nobody_who_is_served() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40, e=5)
    before = scene.round()
    scene.sends(e=15)
    scene.interest("j", False)
    scene.again()
    scene.interest("j", True)
    assert before <= scene.again() | {"j"}, "e sends more than a now, and gets its place in the next round"
    assert set("bcde") <= scene.round()


def test_without_anyone_who_sends_all_slots_go_by_turns() -> None:
    scene = Scene(*TEN, snub=-1)
    assert len(scene.round()) == 5
    seen = set(scene.unchoked)
    for _ in range(30):
        seen |= scene.round()
    assert seen == set(TEN)


def test_few_neighbours_are_all_unchoked() -> None:
    scene = Scene("a", "b", "c")
    assert scene.round() == {"a", "b", "c"}
    scene.interest("b", False)
    assert scene.again() == {"a", "b", "c"}, "an idle slot costs nothing"
    scene.join(*TEN[3:], interested=False)
    assert scene.again() == set(TEN)


def test_a_newcomer_is_three_times_as_likely_at_the_front() -> None:
    fronts = 0
    for seed in range(4000):
        choker: Choker[str] = Choker(random.Random(seed), 0.0, slots=0)
        (lucky,) = choker.again(0.0, [Candidate(name, True) for name in TEN])
        fronts += lucky == "j"
    assert fronts / 4000 == pytest.approx(3 / 12, abs=0.03)


def test_the_same_seed_makes_the_same_choices() -> None:
    def run() -> list[list[str]]:
        scene = Scene(*TEN, seed=7)
        scene.sends(a=5, e=9)
        return [sorted(scene.round()) for _ in range(50)]

    assert run() == run()


def test_nobody_is_there() -> None:
    scene = Scene()
    assert scene.round() == frozenset()
    scene.seeding = True
    assert scene.round() == frozenset()


# -- the seed


def test_a_seed_gives_a_third_of_its_slots_to_new_ones_every_thirty_seconds() -> None:
    scene = Scene(*TEN, seeding=True)
    scene.takes(**{name: 100.0 - ord(name) / 10 for name in TEN})
    unchoked = scene.round()
    assert len(unchoked) == 5
    new = []
    for _ in range(12):
        before = scene.unchoked
        unchoked = scene.round()
        assert len(unchoked) == 5
        new.append(len(unchoked - before))
    assert [sum(new[at : at + 3]) for at in range(0, 12, 3)] == [2, 2, 2, 2]
    assert max(new) == 1


def test_a_seed_with_ten_slots_spreads_its_four_turns_as_one_one_two() -> None:
    names = [f"n{number}" for number in range(40)]
    scene = Scene(*names, seeding=True, slots=9)
    scene.round()
    new = []
    for _ in range(6):
        before = scene.unchoked
        new.append(len(scene.round() - before))
    assert sorted(new[:3]) == sorted(new[3:]) == [1, 1, 2]


def test_a_seed_serves_everyone_alike_however_fast_they_take() -> None:
    scene = Scene(*TEN, seeding=True)
    scene.takes(**{name: 1000.0 if name == "a" else 10.0 for name in TEN})
    served: Counter[str] = Counter()
    for _ in range(600):
        served.update(scene.round())
    ordinary = [served[name] for name in TEN[1:]]
    assert max(ordinary) / min(ordinary) < 1.5
    assert min(ordinary) > 100


def test_a_seed_keeps_who_has_blocks_on_the_way() -> None:
    scene = Scene(*TEN, seeding=True)
    first = min(scene.round())
    scene.takes(**{first: 100.0})
    assert first in scene.round(2)
    scene.people[first] = scene.people[first]._replace(queued=True)
    scene.takes(**{**dict.fromkeys(TEN, 50.0), first: 0.0})
    for _ in range(12):
        assert first in scene.round(), "though it takes least"
    scene.people[first] = scene.people[first]._replace(queued=False)
    assert first not in scene.round(3)


def test_a_seed_fills_what_becomes_free_at_once_and_counts_that_as_a_turn() -> None:
    scene = Scene(*TEN, seeding=True)
    scene.round()
    gone = sorted(scene.unchoked)[0]
    del scene.people[gone]
    before = scene.unchoked
    unchoked = scene.again()
    assert len(unchoked) == 5
    assert len(unchoked - before) == 1
    new = 0
    for _ in range(3):
        before = scene.unchoked
        new += len(scene.round() - before)
    assert new <= 2


def test_a_seed_does_not_serve_who_wants_nothing() -> None:
    scene = Scene(*TEN, seeding=True)
    for name in TEN[:4]:
        scene.interest(name, False)
    assert slots(scene.round(), scene) == 5
    assert not scene.unchoked & set(TEN[:4])
    for name in TEN[4:7]:
        scene.interest(name, False)
    assert scene.round() == set(TEN), "three want something, so nobody need wait"


def test_from_downloading_to_seeding() -> None:
    scene = Scene(*TEN)
    scene.sends(a=10, b=20, c=30, d=40)
    scene.round()
    scene.seeding = True
    before = scene.unchoked
    assert len(scene.round() & before) >= 4
    for _ in range(30):
        assert len(scene.round()) == 5
