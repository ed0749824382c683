"""What was used last, within a budget."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Recent"]

V = TypeVar("V")


class Recent(Generic[V]):
    """The values used last, whose weights together stay within ``budget``."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._held: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self.weight = 0

    def get(self, key: Hashable) -> V | None:
        """A value, if it is still here."""
        held = self._held.get(key)
        if held is None:
            return None
        self._held.move_to_end(key)
        return held[0]

    def put(self, key: Hashable, value: V, weight: int = 1) -> None:
        """Have a value, unless it is too heavy to be here at all."""
        self.drop(key)
        if weight > self._budget // 4:
            return
        self._held[key] = value, weight
        self.weight += weight
        while self.weight > self._budget:
            _, (_, dropped) = self._held.popitem(last=False)
            self.weight -= dropped

    def drop(self, key: Hashable) -> None:
        """Have it no more."""
        held = self._held.pop(key, None)
        if held is not None:
            self.weight -= held[1]
