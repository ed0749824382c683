"""Uses that the hot path has counted, on their way to whoever decides what to keep.

A hit on the hot path costs one addition here. The store asks for them before it evicts anything, so its choice knows of
every use; the order of the uses between two evictions is lost, their number is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netsuite.http.cache.hits import StoredAnswer
from netsuite.http.cache.stored import StoredResponse

__all__ = ["Uses"]

_MOST: Final = 1024


class Uses:
    """``tell(stored, times)`` is told what was counted: at the latest when 1,024 answers have been used."""

    __slots__ = ("_tell", "_used")

    def __init__(self, tell: Callable[[StoredResponse, int], object]) -> None:
        self._tell = tell
        self._used: list[StoredAnswer] = []

    def count(self, answer: StoredAnswer) -> None:
        """An answer was given once more."""
        if answer.uses:
            answer.uses += 1
            return
        answer.uses = 1
        self._used.append(answer)
        if len(self._used) >= _MOST:
            self.settle()

    def settle(self) -> None:
        """Tell all that was counted."""
        if self._used:
            used, self._used = self._used, []
            for answer in used:
                times, answer.uses = answer.uses, 0
                self._tell(answer.stored, times)
