"""The mail store: one log of records for all accounts, the state that they make, and who watches it.

A call that changes something becomes one record. When that is durable it is applied to the model, in the order of
the log; then watchers are told, then the caller has its answer. So nobody ever sees what a crash could take back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from netsuite.common.datadir import DataDirectory
from netsuite.common.threads import Threads
from netsuite.mail.store.account import Account
from netsuite.mail.store.cache import Recent
from netsuite.mail.store.disk import DiskLog
from netsuite.mail.store.errors import LimitReached, NoSuchMessage, Refused
from netsuite.mail.store.log import Log, MemoryLog
from netsuite.mail.store.model import Changes, Model, Place
from netsuite.mail.store.values import Change, Limits

__all__ = ["DiskStore", "MailStore", "MemoryStore"]

_log = Logger()

NAME: Final = "mail"
"""The store's folder and lock in a data directory."""
CACHED: Final = 16 << 20
"""Bytes of messages that are held in memory."""
PARSED: Final = 20_000
"""Parsed messages that are held in memory."""

T = TypeVar("T")
Watcher = Callable[[Change], object]


class MailStore:
    """Everybody's mail, on a log; :meth:`open` it first. ``clock`` tells the time of day."""

    def __init__(self, log: Log, clock: IReactorTime, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._log = log
        self._clock = clock
        self._model = Model()
        self._watchers: dict[tuple[str, int], list[Watcher]] = {}
        self._bytes: Recent[bytes] = Recent(CACHED)
        self._parsed: Recent[Any] = Recent(PARSED)

    def open(self) -> None:
        """Read the state; blocks. Raises StartError."""
        self._model = self._log.open(self.now())

    async def close(self) -> None:
        """Let what is under way become durable, and close."""
        await self._log.close(self._model)

    def account(self, user: str) -> Account:
        """The mail of a user, by canonical address. Everyone who is asked for has an account."""
        return Account(self, user, self._model.account(user))

    @property
    def trouble(self) -> str | None:
        """Why nothing can be changed any more until it is opened anew, if so; all can still be read."""
        return self._log.trouble

    def figures(self) -> Sequence[tuple[str, float]]:
        """What the service may show."""
        return [
            ("accounts", len(self._model.accounts)),
            ("messages", len(self._model.blobs)),
            ("watchers", sum(map(len, self._watchers.values()))),
        ]

    def now(self) -> int:
        """The time, in whole seconds since the epoch."""
        return int(self._clock.seconds())

    async def deliver(self, data: bytes, users: list[str], token: str) -> dict[str, int]:
        """Put a message into the INBOX of each of these users, all at once, if it has not been there by this token.

        Answers the UIDs of those who had not got it before. Raises StorageFull, JournalBroken, LimitReached.
        """
        given: dict[str, int] = await self.commit_message(["deliver", users, token, self.now()], data)
        return given

    async def read(self, blob: int, start: int = 0, length: int | None = None) -> bytes:
        """A piece of a message's bytes. Raises NoSuchMessage."""
        held = self._bytes.get(blob)
        if held is None:
            known = self._model.blobs.get(blob)
            if known is None:
                raise NoSuchMessage("the message is no longer there")
            if start or (length is not None and length < known.length):
                rest = max(0, known.length - start)
                wanted = rest if length is None else min(length, rest)
                return await self._fetch(known.place, start, wanted)
            held = await self._fetch(known.place, 0, known.length)
            if blob in self._model.blobs:
                self._bytes.put(blob, held, len(held))
        return held[start : None if length is None else start + length] if start or length is not None else held

    async def parsed(self, blob: int, parse: Callable[[bytes], T]) -> T:
        """What a function makes of a message."""
        made = self.remembered(blob, parse)
        if made is None:
            made = parse(await self.read(blob))
            if blob in self._model.blobs:
                self._parsed.put((blob, parse), made)
        return made

    def remembered(self, blob: int, parse: Callable[[bytes], T]) -> T | None:
        """What a function made of a message not long ago."""
        return cast("T | None", self._parsed.get((blob, parse)))

    def watch(self, user: str, uidvalidity: int, watcher: Watcher) -> Callable[[], None]:
        """Tell of each change of a mailbox, in order; answers what ends it."""
        watchers = self._watchers.setdefault((user, uidvalidity), [])
        watchers.append(watcher)

        def stop() -> None:
            if watcher in watchers:
                watchers.remove(watcher)
            if not watchers and self._watchers.get((user, uidvalidity)) is watchers:
                del self._watchers[user, uidvalidity]

        return stop

    async def commit_message(self, head: list[Any], data: bytes, origin: object = None) -> Any:
        """Make a record that brings a message; what came of it."""
        if len(data) > self.limits.message:
            raise LimitReached(f"the message has more than {self.limits.message} bytes")
        head.append(len(data))
        apart = self._log.put(data)
        if apart is None:
            return await self.commit([*head, None], origin, data)
        name = await apart
        return await self.commit([*head, name], origin, withdraw=name)

    def commit(
        self, head: list[Any], origin: object = None, body: bytes = b"", *, withdraw: str | None = None
    ) -> Deferred[Any]:
        """Make a record; what came of it once it is durable. Cancelling gives up the answer, not the record."""
        answer: Deferred[Any] = Deferred()

        def durable(written: tuple[int, Place]) -> None:
            number, place = written
            try:
                result, changes = self._model.apply(number, head, place, origin)
            except Exception:
                failure = Failure()
                if not failure.check(Refused):
                    _log.failure("record {number} cannot be applied", failure, number=number)
                self._drop()
                answer.errback(failure)
                return
            if body and number in self._model.blobs:
                self._bytes.put(number, body, len(body))
            self._drop()
            self._tell(changes)
            answer.callback(result)
            self._log.tidy(self._model)

        def failed(failure: Failure) -> None:
            if withdraw is not None:
                self._log.withdraw(withdraw)
            answer.errback(failure)

        self._log.write(head, body).addCallbacks(durable, failed)
        return answer

    async def _fetch(self, place: Place, start: int, length: int) -> bytes:
        found = self._log.read(place, start, length)
        return found if isinstance(found, bytes) else await found

    def _drop(self) -> None:
        if self._model.dropped:
            gone, self._model.dropped = self._model.dropped, []
            for number, _ in gone:
                self._bytes.drop(number)
            self._log.dropped(gone)

    def _tell(self, changes: Changes) -> None:
        for user, uidvalidity, change in changes:
            for watcher in tuple(self._watchers.get((user, uidvalidity), ())):
                try:
                    watcher(change)
                except Exception:
                    _log.failure("a watcher of {user} fails", user=user)


class DiskStore(MailStore):
    """The store in ``mail/`` of a data directory, which it locks while it is open."""

    def __init__(
        self,
        data: DataDirectory,
        reactor: Any,
        clock: IReactorTime,
        limits: Limits = Limits(),
    ) -> None:
        self._data = data
        self._commits = Threads(reactor, "mail journal", most=1, waiting=1)
        self._work = Threads(reactor, "mail files", most=4, waiting=10_000)
        later = partial(reactor.callLater, 0)
        super().__init__(DiskLog(data.at(NAME), self._commits.run, self._work.run, later=later), clock, limits)

    def open(self) -> None:
        """Lock it, and read the state; blocks. Raises StartError."""
        self._data.lock(NAME)
        try:
            super().open()
        except BaseException:
            self._data.release(NAME)
            raise

    async def close(self) -> None:
        """Let what is under way become durable, close, and unlock."""
        await super().close()
        self._commits.close()
        self._work.close()
        self._data.release(NAME)


class MemoryStore(MailStore):
    """The same store, kept in memory; ready at once."""

    def __init__(self, clock: IReactorTime, limits: Limits = Limits()) -> None:
        super().__init__(MemoryLog(), clock, limits)
        self.open()
