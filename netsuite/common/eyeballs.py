"""Connections to hosts with several addresses: the next is tried beside one that takes long.

Implements: RFC 8305 sections 4 and 5
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

__all__ = ["by_turns", "first_of"]

T = TypeVar("T")


def by_turns(addresses: Sequence[str]) -> list[str]:
    """The addresses with their families in turn, in order otherwise."""
    first = [each for each in addresses if (":" in each) is (":" in addresses[0])]
    other = [each for each in addresses if (":" in each) is not (":" in addresses[0])]
    mixed = [each for pair in zip(first, other, strict=False) for each in pair]
    return mixed + first[len(other) :] + other[len(first) :]


async def first_of(
    attempt: Callable[[str], Awaitable[T]], addresses: Sequence[str], clock: IReactorTime, delay: float
) -> T:
    """The first attempt that succeeds, a further one begun after ``delay`` seconds, or at once when one fails.

    When all have failed, the first one's exception is raised. Those that are not needed are cancelled.
    """
    return await _Race(attempt, addresses, clock, delay).run()


class _Race(Generic[T]):
    """The attempts under way."""

    def __init__(
        self, attempt: Callable[[str], Awaitable[T]], addresses: Sequence[str], clock: IReactorTime, delay: float
    ) -> None:
        self._attempt = attempt
        self._left = list(addresses)
        self._clock = clock
        self._delay = delay
        self._running: list[Deferred[T]] = []
        self._problem: Failure | None = None
        self._result: Deferred[T] = Deferred()
        self._timer: Any = None

    async def run(self) -> T:
        self._next()
        try:
            return await self._result
        finally:
            self._stop_timer()
            running, self._running = self._running, []
            for each in running:
                each.cancel()

    def _next(self) -> None:
        self._stop_timer()
        if not self._left or self._result.called:
            return
        address = self._left.pop(0)
        if self._left:
            self._timer = self._clock.callLater(self._delay, self._next)
        running = Deferred.fromCoroutine(_awaited(self._attempt(address)))
        self._running.append(running)
        running.addCallbacks(self._won, self._lost, errbackArgs=(running,))

    def _won(self, value: T) -> None:
        if not self._result.called:
            self._running = [each for each in self._running if not each.called]
            self._result.callback(value)

    def _lost(self, failure: Failure, which: Deferred[T]) -> None:
        if which not in self._running:
            return
        self._running.remove(which)
        self._problem = self._problem or failure
        if self._left:
            self._next()
        elif not self._running and not self._result.called:
            self._result.errback(self._problem)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


async def _awaited(what: Awaitable[T]) -> T:
    return await what
