"""A few threads for what would hold up the reactor: SQL, and password hashes that are slow on purpose.

The threads start with the first piece of work. What cannot even wait any more is refused at once
(:class:`~netsuite.common.errors.Overloaded`), so that a flood costs its senders and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from netsuite.common.errors import Overloaded

__all__ = ["Inline", "Threads"]

T = TypeVar("T")


class Threads:
    """At most ``most`` pieces of work at once, and ``waiting`` more that wait for their turn."""

    def __init__(self, reactor: Any, name: str, *, most: int, waiting: int) -> None:
        self._reactor = reactor
        self._name = name
        self._most = most
        self._room = most + waiting
        self._pool: ThreadPoolExecutor | None = None
        self.busy = 0

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """What ``work(*arguments)`` answers; raises Overloaded. Cancelling takes back what has not begun."""
        if self.busy >= self._room:
            raise Overloaded(f"{self._name}: {self.busy} wait already")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._most, thread_name_prefix=f"netsuite {self._name}")
        self.busy += 1
        future = self._pool.submit(work, *arguments)
        answer: Deferred[T] = Deferred(lambda _: _none(future.cancel()))
        future.add_done_callback(lambda done: self._reactor.callFromThread(self._over, done, answer))
        return answer

    def _over(self, future: Future[T], answer: Deferred[T]) -> None:
        self.busy -= 1
        if answer.called:
            return
        if future.cancelled():
            answer.cancel()
        elif (error := future.exception()) is not None:
            answer.errback(Failure(error))
        else:
            answer.callback(future.result())

    def close(self) -> None:
        """Give up what waits, and wait for what is under way."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


class Inline(Threads):
    """Does every piece of work at once, in the caller's own thread: for a command, and for tests on a fake clock."""

    def __init__(self) -> None:
        super().__init__(None, "inline", most=1, waiting=0)

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """What ``work(*arguments)`` answered already."""
        return maybeDeferred(work, *arguments)


def _none(_: object) -> None:
    """What a canceller answers."""
