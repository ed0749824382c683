"""Twisted's fake clock, for very many calls: a heap instead of a list that is sorted at each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

__all__ = ["Timeline"]


class Timeline(Clock):
    """Does what :class:`~twisted.internet.task.Clock` does, in the same order: by time, then as they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, int, Callable[..., object] | None, Any]] = []
        self._count = 0

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - the word of the interface
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        """Call something later; the answer can be cancelled, reset and delayed."""
        call: Any = DelayedCall(self.rightNow + delay, callable, args, kw, _ignore, self._moved, self.seconds)
        self._moved(call)
        answer: IDelayedCall = call
        return answer

    def at(self, time: float, what: Callable[..., object], arguments: tuple[object, ...]) -> None:
        """The same for what is never cancelled, at half the price."""
        self._count += 1
        heappush(self._heap, (time, self._count, what, arguments))

    def advance(self, amount: float) -> None:
        """Let time pass, and have everything happen that is due by then."""
        self.rightNow += amount
        heap = self._heap
        while heap and heap[0][0] <= self.rightNow:
            time, _, what, arguments = heappop(heap)
            if what is not None:
                what(*arguments)
                continue
            call = arguments
            if not call.active():
                continue
            if call.getTime() > time:
                self._moved(call)
                continue
            call.called = 1
            call.func(*call.args, **call.kw)

    def following(self) -> float | None:
        """When the next call is due; None if there is none."""
        heap = self._heap
        while heap:
            time, _, what, call = heap[0]
            if what is not None or (call.active() and call.getTime() <= time):
                return time
            heappop(heap)
            if call.active():
                self._moved(call)
        return None

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """All that can be cancelled and has neither been called nor cancelled, in their order."""
        calls = {id(call): call for _, _, what, call in self._heap if what is None and call.active()}
        return sorted(calls.values(), key=lambda call: float(call.getTime()))

    def _moved(self, call: Any) -> None:
        call.activate_delay()  # so that it tells when it is reset to an earlier time
        self._count += 1
        heappush(self._heap, (call.getTime(), self._count, None, call))


def _ignore(call: object) -> None:
    """A cancelled call is passed over when its time comes."""
