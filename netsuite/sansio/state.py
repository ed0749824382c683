"""States as a table: what may follow what, checked when it is written down, and drawn for the docs."""

from __future__ import annotations

from collections.abc import Iterable

from netsuite.sansio.connection import StateError

__all__ = ["StateTable"]


class StateTable:
    """Which state follows on which input; states and inputs are words.

    ``rows`` are ``(state, input, next state)``; ``start`` is the first state. ValueError if a row contradicts another
    or a state cannot be reached: a table with such a row says something else than its author thinks.
    """

    __slots__ = ("_rows", "name", "start")

    def __init__(self, name: str, start: str, rows: Iterable[tuple[str, str, str]]) -> None:
        self.name = name
        self.start = start
        self._rows: dict[tuple[str, str], str] = {}
        for state, word, following in rows:
            if self._rows.setdefault((state, word), following) != following:
                raise ValueError(f"{name}: {word!r} leads from {state} to two states")
        reached, waiting = {start}, [start]
        while waiting:
            here = waiting.pop()
            for (state, _), following in self._rows.items():
                if state == here and following not in reached:
                    reached.add(following)
                    waiting.append(following)
        lost = {state for state, _ in self._rows} - reached
        if lost:
            raise ValueError(f"{name}: nothing leads to {', '.join(sorted(lost))}")

    def step(self, state: str, word: str) -> str:
        """The state that follows; StateError if this input is forbidden here."""
        following = self._rows.get((state, word))
        if following is None:
            raise StateError(f"{self.name}: {word!r} is forbidden in {state}")
        return following

    def permits(self, state: str, word: str) -> bool:
        """Whether an input is allowed in a state."""
        return (state, word) in self._rows

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        arrows = (f"    {state} --> {following}: {word}" for (state, word), following in self._rows.items())
        left = {state for state, _ in self._rows}
        ends = sorted({following for following in self._rows.values() if following not in left})
        return "\n".join(
            ["stateDiagram-v2", f"    [*] --> {self.start}", *arrows, *(f"    {end} --> [*]" for end in ends), ""]
        )
