"""``Expect: 100-continue`` from end to end: a client's body is not read before the origin wants it.

The origin says so with 100 (Continue). Whatever final answer it gives instead goes to the client, whose body is then
never read. An origin that says nothing for a while is taken for one that does not know the field.

Implements: RFC 9110 section 10.1.1
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from netsuite.common.body import Body
from netsuite.common.passing import Passing

__all__ = ["Expectation"]

_PATIENCE: Final = 1.0
"""Seconds that an origin has to say 100."""


class Expectation(Passing):
    """A client's body as a source that gives nothing before :meth:`met`, or some patience."""

    __slots__ = ("_clock", "_met", "_timer", "_waiter")

    def __init__(self, body: Body, clock: IReactorTime) -> None:
        super().__init__(body)
        self._clock = clock
        self._met = False
        self._timer: Any = None
        self._waiter: Deferred[None] | None = None

    async def __anext__(self) -> bytes:
        if not self._met:
            self._waiter = Deferred()
            self._timer = self._clock.callLater(_PATIENCE, self.met)
            try:
                await self._waiter
            finally:
                self._stop_timer()
        return await super().__anext__()

    def met(self) -> None:
        """The origin wants the body."""
        self._met = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)

    def answered(self) -> None:
        """A final answer came: if the body was not wanted before, it never is."""
        self._stop_timer()

    async def aclose(self) -> None:
        """Nobody sends the rest."""
        self._stop_timer()
        await super().aclose()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
