"""Between a connection's messages and the application: bodies that arrive, answers that are made and poured."""

from __future__ import annotations

from collections.abc import Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred

from netsuite.common.body import EMPTY, Body, BodyFailed
from netsuite.common.filespan import FileSpan
from netsuite.common.job import Job, run
from netsuite.sansio.connection import Abandon, Close, Connection, Data, End, Failed, Finish, Part, StateError

if TYPE_CHECKING:
    from netsuite.common.adapter import StreamAdapter

__all__ = ["Exchanges"]

_READ_AT_ONCE: Final = 256 * 1024
"""Bytes of a file that are read at a time where they must be encrypted."""


class _Gone(Exception):
    """The connection, or the stream, ended while a job waited for it."""


class Exchanges:
    """The bodies and jobs of one connection.

    Every body that began is ended, failed or dropped, and every source is closed exactly once, whichever side
    ends first.
    """

    __slots__ = ("_adapter", "_bodies", "_drop_left", "_jobs", "_waiters")

    def __init__(self, adapter: StreamAdapter) -> None:
        self._adapter = adapter
        self._bodies: dict[int, Body] = {}
        self._jobs: dict[Job, int] = {}  # with the stream that each works for
        self._waiters: list[Deferred[None]] = []
        self._drop_left = adapter.factory.limits.drop_bytes

    def begin(self, message: Any) -> None:
        """Hand a message to the application, and see to its answer."""
        stream = message.stream
        if message.has_body:
            body = self._bodies[stream] = Body(self._adapter, stream)
            self._drop_left = self._adapter.factory.limits.drop_bytes
        else:
            body = EMPTY
        try:
            answer = self._adapter.factory.handler(message, body, self._adapter)
        except Exception as problem:
            self._abandon(stream, body, problem)
            return
        if answer is None:
            return
        if type(answer) is CoroutineType:
            self._start(answer, stream, body)
        else:
            self._answer(answer, stream, body)

    def arrived(self, event: Data | End | Failed) -> None:
        """A piece of a body, its end, or the news that it will have none."""
        if type(event) is Data:
            body = self._bodies.get(event.stream)
            if body is None or not body.feed(event.data):
                self.drop(event.stream, len(event.data))
            return
        body = self._bodies.pop(event.stream, None)
        if type(event) is End:
            if body is not None:
                body.finish(event.trailers)
        elif type(event) is Failed:
            if body is not None:
                body.fail(event.reason)
            elif self._adapter.factory.failed is not None:
                self._adapter.factory.failed(event, self._adapter)
            if event.over:
                self._cancel(event.stream)

    def pour(self, item: Any) -> None:
        """Send an item that nobody asked for, and its source behind it."""
        self._start(self._pour(item, EMPTY), item.stream, EMPTY)

    def dispose(self, item: Any) -> None:
        """An item that will never be sent: its source is closed all the same."""
        close = getattr(getattr(item, "source", None), "aclose", None)
        if close is not None:
            run(close(), lambda _: None, self._adapter.factory.broke)

    def drop(self, stream: int, count: int) -> None:
        """Body bytes that nobody wants: read over up to a limit, beyond it the connection ends."""
        adapter = self._adapter
        connection = adapter.connection
        if connection is None or adapter.closed:
            return
        self._drop_left -= count
        if self._drop_left < 0:
            adapter.flush()
            adapter.end(Close("more of an unwanted body came than is worth reading", linger=True))
        elif count:
            connection.consumed(count, stream)
            adapter.again = True

    def wake(self) -> None:
        """There may be room to write: those who wait for it look again."""
        if not self._waiters:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)

    def fail_bodies(self, reason: str) -> None:
        """What was arriving will never be complete."""
        bodies, self._bodies = self._bodies, {}
        for body in bodies.values():
            body.fail(reason)

    def release(self, reason: str) -> None:
        """The connection ends: so do its bodies, jobs and waiters."""
        self.fail_bodies(reason)
        jobs, self._jobs = self._jobs, {}
        for job in jobs:
            job.cancel()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.errback(_Gone())

    def _start(self, coroutine: Coroutine[Any, Any, Any], stream: int, body: Body) -> None:
        adapter = self._adapter
        job: Job | None = None

        def done(item: Any) -> None:
            if job is not None:
                self._jobs.pop(job, None)
                if job.cancelled:
                    self.dispose(item)
                    return
            if item is not None:
                self._answer(item, stream, body)
            if job is not None:
                adapter.factory.pump_soon(adapter)

        def broken(problem: BaseException) -> None:
            if job is not None:
                self._jobs.pop(job, None)
                if job.cancelled:
                    return
            self._abandon(stream, body, problem)
            if job is not None:
                adapter.factory.pump_soon(adapter)

        started = run(coroutine, done, broken)
        if not started.finished:
            job = started
            self._jobs[job] = stream
            if adapter.closed:
                job.cancel()

    def _cancel(self, stream: int) -> None:
        """Nobody waits for an answer on this stream any more."""
        for job in [job for job, its in self._jobs.items() if its == stream]:
            self._jobs.pop(job, None)
            job.cancel()

    def _answer(self, item: Any, stream: int, body: Body) -> None:
        adapter = self._adapter
        connection = adapter.connection
        if connection is None or adapter.closed:
            self.dispose(item)
            return
        try:
            if item.source is not None:
                self._start(self._pour(item, body), stream, body)
            else:
                connection.send(item, adapter.seconds())
                body.drop()
        except Exception as problem:
            self._abandon(stream, body, problem)

    async def _pour(self, item: Any, body: Body) -> None:
        """Send an item and its body, no faster than the transport and the protocol's window take it."""
        source, stream = item.source, item.stream
        try:
            self._put(item)
            async for chunk in source:
                rest = chunk
                while rest:
                    room = 0 if self._adapter.full else self._standing().room(stream)
                    if isinstance(rest, FileSpan) and self._adapter.encrypted:
                        room = min(room, _READ_AT_ONCE)
                    if room <= 0:
                        if room < 0:
                            raise _Gone
                        await self._drained()
                    elif room >= len(rest):
                        self._put(Part(stream, rest))
                        rest = b""
                    else:
                        self._put(Part(stream, rest[:room]))
                        rest = rest[room:]
            self._put(Finish(stream, getattr(source, "trailers", ())))
            if not body.lasting:
                body.drop()
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _put(self, item: Any) -> None:
        adapter = self._adapter
        self._standing().send(item, adapter.seconds())
        if adapter.pumping:
            adapter.flush()
        else:
            adapter.pump()

    def _standing(self) -> Connection:
        connection = self._adapter.connection
        if connection is None or self._adapter.closed:
            raise _Gone
        return connection

    def _drained(self) -> Deferred[None]:
        self._standing()
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def _abandon(self, stream: int, body: Body, problem: BaseException) -> None:
        adapter = self._adapter
        connection = adapter.connection
        if isinstance(problem, _Gone) or connection is None or adapter.closed:
            return
        if not isinstance(problem, BodyFailed):
            # a peer that breaks off is no fault of ours
            adapter.factory.broke(problem)
        try:
            connection.send(Abandon(stream, str(problem) or type(problem).__name__), adapter.seconds())
        except StateError:
            adapter.end(Close("an answer failed when nothing more could be said"))
        body.drop()
