"""The line between a parent and its worker: JSON messages over a socket pair, each with four bytes of length before it.

Either end may ask (:meth:`Line.ask`) and gets an answer with the same number; whoever is asked answers at once or
by a Deferred. The other end's death ends the line.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

__all__ = ["Line", "LineLost"]


class LineLost(Exception):
    """The process at the other end is gone, or answered that it could not."""


class Line(Int32StringReceiver):
    """One end of a line.

    ``asked(what, detail)`` answers the other end's questions with something fit for JSON, or a Deferred of it;
    ``lost()`` is called once when the line has ended.
    """

    MAX_LENGTH = 64 << 20
    _log = Logger()

    def __init__(self, asked: Callable[[str, Any], Any], lost: Callable[[], None]) -> None:
        self._asked = asked
        self._lost = lost
        self._numbers = count(1)
        self._open: dict[int, Deferred[Any]] = {}

    @classmethod
    def over(cls, reactor: Any, end: socket.socket, asked: Callable[[str, Any], Any], lost: Callable[[], None]) -> Line:
        """A line over one end of a socket pair, which it takes over."""
        line = cls(asked, lost)
        end.setblocking(False)
        with end:
            reactor.adoptStreamConnection(end.fileno(), socket.AF_UNIX, _OneLine(line))
        return line

    def ask(self, what: str, detail: Any = None) -> Deferred[Any]:
        """The other end's answer; fails with LineLost. Cancelling means that nobody waits any more."""
        number = next(self._numbers)

        def forget(_: Deferred[Any]) -> None:
            self._open.pop(number, None)

        answer: Deferred[Any] = Deferred(forget)
        if not self.connected:
            answer.errback(LineLost("the process is gone"))
            return answer
        self._open[number] = answer
        self._put({"number": number, "ask": what, "detail": detail})
        return answer

    def close(self) -> None:
        """End the line; the other end takes it for our death."""
        if self.transport is not None:
            self.transport.loseConnection()

    def stringReceived(self, string: bytes) -> None:
        """One message, from a process of our own make."""
        message = json.loads(string)
        number = message["number"]
        if "ask" in message:
            answering = maybeDeferred(self._asked, message["ask"], message["detail"])
            answering.addCallbacks(
                lambda answer: self._put({"number": number, "answer": answer}),
                lambda failure: self._refuse(number, failure),
            )
            answering.addErrback(lambda failure: self._log.failure("an answer is not fit for the line", failure))
            return
        waiting = self._open.pop(number, None)
        if waiting is None:
            return
        if "refused" in message:
            waiting.errback(LineLost(message["refused"]))
        else:
            waiting.callback(message["answer"])

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The other end is gone."""
        self.connected = 0
        waiting, self._open = self._open, {}
        for answer in waiting.values():
            answer.errback(LineLost("the process is gone"))
        self._lost()

    def _refuse(self, number: int, failure: Failure) -> None:
        self._log.failure("a question could not be answered", failure)
        self._put({"number": number, "refused": failure.getErrorMessage()})

    def _put(self, message: dict[str, Any]) -> None:
        if self.connected:
            text = json.dumps(message).encode()
            self.sendString(text)  # type: ignore[no-untyped-call]


class _OneLine(Factory):
    noisy = False

    def __init__(self, line: Line) -> None:
        self._line = line

    def buildProtocol(self, addr: Any) -> Line:
        return self._line
