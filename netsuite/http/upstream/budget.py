"""How many requests may be sent another time: a share of all, so that a pool that fails is not stormed as well."""

from __future__ import annotations

from typing import Final

__all__ = ["RetryBudget"]

_SAVED: Final = 10.0
"""Retries that may be saved up."""


class RetryBudget:
    """Each request adds ``share`` of a retry, each second ``a_second``; a retry wants a whole one."""

    __slots__ = ("_a_second", "_at", "_left", "_share")

    def __init__(self, share: float, a_second: float = 1.0) -> None:
        self._share = share
        self._a_second = a_second if share else 0.0
        self._left = _SAVED if share else 0.0
        self._at = 0.0

    def request(self) -> None:
        """A request came."""
        if self._left < _SAVED:
            self._left = min(_SAVED, self._left + self._share)

    def retry(self, now: float) -> bool:
        """Take one retry, if there is one."""
        if self._at and now > self._at:
            self._left = min(_SAVED, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
