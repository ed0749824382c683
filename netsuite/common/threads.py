"""A few threads for what would hold up the reactor: disks, SQL, and password hashes that are slow on purpose.

The threads start with the first piece of work. What cannot even wait any more is refused at once
(:class:`~netsuite.common.errors.Overloaded`), so that a flood costs its senders and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from netsuite.common.errors import Overloaded

__all__ = ["Inline", "Threads"]

T = TypeVar("T")

_GIVEN_UP: Final = object()


class _Piece:
    """One piece of work, and who waits for its result."""

    __slots__ = ("_arguments", "_untaken", "_work", "answer")

    def __init__(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._work = work
        self._arguments = arguments
        self._untaken = [True]  # popped by whoever is first: the thread that begins, or who gives it up
        self.answer: Deferred[Any] = Deferred(self.give_up)

    def give_up(self, _: object = None) -> None:
        """It need not be done, unless it has begun."""
        self._untaken.clear()

    def do(self) -> Any:
        """In a thread: the work's result, a Failure, or _GIVEN_UP."""
        try:
            self._untaken.pop()
        except IndexError:
            return _GIVEN_UP
        try:
            return self._work(*self._arguments)
        except BaseException:
            return Failure()


class Threads:
    """At most ``most`` pieces of work at once, and ``waiting`` more that wait for their turn."""

    def __init__(self, reactor: Any, name: str, *, most: int, waiting: int) -> None:
        self._reactor = reactor
        self._name = name
        self._most = most
        self._room = most + waiting
        self._threads: list[Thread] = []
        self._pieces: SimpleQueue[_Piece | None] = SimpleQueue()
        self.busy = 0

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """What ``work(*arguments)`` answers; raises Overloaded. Cancelling takes back what has not begun."""
        if self.busy >= self._room:
            raise Overloaded(f"{self._name}: {self.busy} wait already")
        self.busy += 1
        piece = _Piece(work, arguments)
        self._pieces.put(piece)
        if len(self._threads) < min(self.busy, self._most):
            name = f"netsuite {self._name} {len(self._threads)}"
            thread = Thread(target=self._work, args=(self._pieces,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return piece.answer

    def _work(self, pieces: SimpleQueue[_Piece | None]) -> None:
        """In a thread."""
        tell = self._reactor.callFromThread
        while (piece := pieces.get()) is not None:
            tell(self._over, piece, piece.do())

    def _over(self, piece: _Piece, result: Any) -> None:
        self.busy -= 1
        answer = piece.answer
        if answer.called:
            return
        if result is _GIVEN_UP:
            answer.cancel()
        else:
            answer.callback(result)

    def close(self) -> None:
        """Give up what waits, and wait for what is under way."""
        pieces, self._pieces = self._pieces, SimpleQueue()
        threads, self._threads = self._threads, []
        try:
            while (piece := pieces.get_nowait()) is not None:
                self._reactor.callFromThread(self._over, piece, _GIVEN_UP)
        except Empty:
            pass
        for _ in threads:
            pieces.put(None)
        for thread in threads:
            thread.join()


class Inline(Threads):
    """Does every piece of work at once, in the caller's own thread: for a command, and for tests on a fake clock."""

    def __init__(self) -> None:
        super().__init__(None, "inline", most=1, waiting=0)

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """What ``work(*arguments)`` answered already."""
        return maybeDeferred(work, *arguments)
