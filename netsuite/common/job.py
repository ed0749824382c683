"""A coroutine that waits: what an application's answer becomes when it cannot be given at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

__all__ = ["Job", "run"]

Done = Callable[[Any], None]
Broken = Callable[[BaseException], None]


class Job:
    """Drives one coroutine over the Deferreds that it awaits; cheaper than a Deferred a request.

    ``done`` gets the coroutine's value or ``broken`` its exception: one of them, once. After
    :meth:`cancel` the coroutine sees CancelledError where it waits, and may still await in ``finally``; one
    that is running at that moment goes on.
    """

    __slots__ = ("_broken", "_coroutine", "_done", "_waiting", "cancelled", "finished")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], done: Done, broken: Broken) -> None:
        self._coroutine = coroutine
        self._done = done
        self._broken = broken
        self._waiting: Deferred[Any] | None = None
        self.cancelled = False
        self.finished = False

    def cancel(self) -> None:
        """Nobody wants the result any more."""
        self.cancelled = True
        if self._waiting is not None:
            self._waiting.cancel()

    def step(self, result: Any = None) -> None:
        """Run the coroutine until it waits or ends (an awaited Deferred looks up its result, not its failure)."""
        self._waiting = None
        try:
            if isinstance(result, Failure):
                waiting = self._coroutine.throw(result.value or CancelledError())
            else:
                waiting = self._coroutine.send(None)
        except StopIteration as stop:
            self._finish()[0](stop.value)
        except Exception as error:
            self._finish()[1](error)
        else:
            self._waiting = waiting
            waiting.addBoth(self.step)

    def _finish(self) -> tuple[Done, Broken]:
        """Let go of who is told, who most likely holds this job: else only the collector could free the two."""
        self.finished = True
        told = self._done, self._broken
        self._done = self._broken = _nobody
        return told


def _nobody(_: object) -> None:
    """Whom a job tells that is over."""


def run(coroutine: Coroutine[Any, Any, Any], done: Done, broken: Broken) -> Job:
    """Step a coroutine at once, and as often as what it awaits fires."""
    job = Job(coroutine, done, broken)
    job.step()
    return job
