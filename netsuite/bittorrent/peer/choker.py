"""Whom to send pieces: tit for tat with optimistic unchokes while downloading, a rotation of its own when seeding.

*Downloading* (the textbook's rule; BEP 3, "choking"; Cohen, sections 3.2 to 3.5): every 10 s those four of the
interested neighbours are unchoked that sent us most over the last 20 s. Whoever sends more than the worst of them but
is not interested is unchoked too, and takes its place when it becomes so. One more is unchoked by turns, a new one
every 30 s, however little it sends (optimistic). A neighbour that has sent nothing for a minute snubs us: it may only
be the optimistic one; so if there are not four that send, there are several optimistic ones.

*Seeding* (the rule of mainline 4.0, which Legout and others studied): who was unchoked within the last 30 s, or has
blocks on the way, stays, the latest first; then those that take most. But in 30 s a third of the slots go to whose turn
it is, so that all are served evenly, and a fast free rider gets no more than its turn.

The turn: neighbours stand in a row, whoever is new anywhere in it, but at the front three times as likely.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    import random

__all__ = ["Candidate", "Choker"]

P = TypeVar("P", bound=Hashable)


class Candidate(NamedTuple, Generic[P]):
    """What the choker must know of a neighbour at the moment it chooses."""

    peer: P
    interested: bool
    """It wants pieces of us."""
    received: float = 0.0
    """Bytes of blocks a second that it sent us over the last 20 s."""
    sent: float = 0.0
    """Bytes of blocks a second that we sent it over the last 20 s."""
    heard: float = 0.0
    """When its last block came; when it joined, if none has."""
    queued: bool = False
    """Something that it asked for still waits to be sent."""


class Choker(Generic[P]):
    """Chooses whom to unchoke: ``slots`` neighbours for what they send, and ``optimistic`` more by turns.

    It has no clock: call :meth:`round` at ``deadline``, and :meth:`again` at once when an unchoked neighbour leaves, or
    becomes interested or uninterested, and when a neighbour joins, so that no slot is idle till the next round. Both
    say who is to be unchoked; everyone else is to be choked. Each call names all neighbours, and who is not named any
    more has left.

    ``period`` are the seconds between rounds, ``rotation`` the rounds between two turns of the optimistic one,
    ``snub`` the seconds of silence that count as a snub. (The lab divides times by a common factor.)
    """

    def __init__(
        self,
        rng: random.Random,
        now: float,
        *,
        slots: int = 4,
        optimistic: int = 1,
        period: float = 10.0,
        rotation: int = 3,
        snub: float = 60.0,
    ) -> None:
        self.deadline = now + period
        self._rng = rng
        self._slots = slots
        self._optimistic = optimistic
        self._period = period
        self._rotation = rotation
        self._snub = snub
        self._rounds = 0
        self._row: list[P] = []
        self._since: dict[P, int] = {}  # who is unchoked: the round in which that began
        self._lucky: set[P] = set()  # of these, those whose turn it is
        self._between = 0  # a seed's new unchokes since the last round

    def round(self, now: float, candidates: Iterable[Candidate[P]], *, seeding: bool = False) -> frozenset[P]:
        """Those who are to be unchoked from now on; moves ``deadline`` to the next round."""
        self.deadline += self._period
        if self.deadline <= now:
            self.deadline = now + self._period
        self._rounds += 1
        row = self._line_up(candidates)
        if seeding:
            third = -(-(self._slots + self._optimistic) // self._rotation)
            due = (third + self._rounds % self._rotation) // self._rotation
            chosen = self._rotate(row, max(0, due - self._between))
            self._between = 0
        else:
            if self._rounds % self._rotation == 0:
                row = self._next_turn(row)
            chosen = self._trade(now, row)
        return self._settle(chosen)

    def again(self, now: float, candidates: Iterable[Candidate[P]], *, seeding: bool = False) -> frozenset[P]:
        """The same between two rounds: nobody's turn comes sooner, but what is free is given away."""
        row = self._line_up(candidates)
        if not seeding:
            return self._settle(self._mend(now, row))
        chosen = self._rotate(row, 0)
        interested = {each.peer for each in row if each.interested}
        self._between += sum(peer in interested and peer not in self._since for peer in chosen)
        return self._settle(chosen)

    def _line_up(self, candidates: Iterable[Candidate[P]]) -> list[Candidate[P]]:
        """The neighbours in the order of their turns, without those who left, with those who came."""
        present = {each.peer: each for each in candidates}
        known = set(self._row)
        self._row = [peer for peer in self._row if peer in present]
        for peer in present:
            if peer not in known:
                # three of the numbers stand for the front
                self._row.insert(max(0, self._rng.randrange(-2, len(self._row) + 1)), peer)
        return [present[peer] for peer in self._row]

    def _next_turn(self, row: list[Candidate[P]]) -> list[Candidate[P]]:
        """The row from the first on that waits."""
        for at, each in enumerate(row):
            if each.interested and each.peer not in self._since:
                self._row = self._row[at:] + self._row[:at]
                return row[at:] + row[:at]
        return row

    def _trade(self, now: float, row: list[Candidate[P]]) -> list[P]:
        """The rule while downloading, at a round."""
        chosen: list[P] = []
        room = self._slots
        for each in self._ranked(now, row):
            if not room:
                break
            if each.interested:
                chosen.append(each.peer)
                room -= 1
            elif each.received > 0:
                chosen.append(each.peer)
        return self._fill(row, chosen, room + self._optimistic)

    def _mend(self, now: float, row: list[Candidate[P]]) -> list[P]:
        """The same between rounds: who is served stays, unless somebody better took its place again."""
        ranked = [each for each in self._ranked(now, row) if each.interested and each.peer not in self._lucky]
        served = [each.peer for each in ranked if each.peer in self._since]
        others = [each.peer for each in ranked if each.peer not in self._since]
        chosen = (served + others)[: self._slots]
        room = self._slots + self._optimistic - len(chosen)
        lucky = [each.peer for each in row if each.interested and each.peer in self._lucky][:room]
        chosen += lucky
        chosen += [each.peer for each in row if not each.interested and each.peer in self._since]
        filled = self._fill(row, chosen, room - len(lucky))
        self._lucky.update(lucky)
        return filled

    def _ranked(self, now: float, row: list[Candidate[P]]) -> list[Candidate[P]]:
        """Who does not snub us, by what it sends; of equals, who is unchoked already."""
        ranked = [each for each in row if now - each.heard < self._snub]
        ranked.sort(key=lambda each: (-each.received, each.peer not in self._since))
        return ranked

    def _fill(self, row: list[Candidate[P]], chosen: list[P], room: int) -> list[P]:
        """Give the slots that are left to those whose turn it is."""
        taken = set(chosen)
        waiting = [each.peer for each in row if each.interested and each.peer not in taken]
        self._lucky = set(waiting[:room])
        chosen += waiting[:room]
        if len(waiting) < room:
            # a slot is idle: nobody need wait for it
            chosen += [each.peer for each in row if not each.interested and each.peer not in taken]
        return chosen

    def _rotate(self, row: list[Candidate[P]], due: int) -> list[P]:
        """The rule of a seed: ``due`` slots go to new ones."""
        total = self._slots + self._optimistic
        served = [each for each in row if each.interested and each.peer in self._since]
        served.sort(key=self._merit)
        waiting = [each for each in row if each.interested and each.peer not in self._since]
        keep = total - min(due, len(waiting))
        chosen = [each.peer for each in served[:keep]]
        room = total - len(chosen)
        if waiting[:room]:
            last = waiting[:room][-1].peer
            chosen += [each.peer for each in waiting[:room]]
            at = self._row.index(last) + 1
            self._row = self._row[at:] + self._row[:at]
        if len(waiting) < room:
            # a slot is idle: nobody need wait for it
            chosen += [each.peer for each in row if not each.interested]
        return chosen

    def _merit(self, each: Candidate[P]) -> tuple[int, float, float]:
        since = self._since[each.peer]
        if each.queued or self._rounds - since < self._rotation:
            return 0, -since, -each.sent
        return 1, -each.sent, 0.0

    def _settle(self, chosen: list[P]) -> frozenset[P]:
        self._since = {peer: self._since.get(peer, self._rounds) for peer in chosen}
        return frozenset(chosen)
