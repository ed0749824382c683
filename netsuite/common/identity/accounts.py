"""The users as they are kept: rows in the database, and the work that their passwords are, both in threads.

Loaded with its first use only: SQL's libraries and argon2's cost a process that needs neither 15 MB.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from netsuite.common.datadir import DataDirectory
from netsuite.common.identity import users
from netsuite.common.identity.passwords import COST, Cost, Passwords, Verifiers
from netsuite.common.storage.database import Database
from netsuite.common.threads import Inline, Threads
from netsuite.sansio.sasl import ScramVerifier

__all__ = ["Accounts"]

CHECKS: Final = 2
"""Passwords that are checked at once."""
QUERIES: Final = 2
WAITING: Final = 64
"""And those that wait for their turn, of each."""


class Accounts:
    """The users in a database; names are canonical, and methods raise Unavailable if the work cannot be done now.

    ``secret`` is the site's own, for the verifier of those who are none.
    """

    def __init__(self, database: Database, threads: Threads, rng: Random, secret: bytes, cost: Cost = COST) -> None:
        self._database = database
        self._threads = threads
        self._rng = rng
        self._passwords = Passwords(cost)
        self._unfitting = self._passwords.made_up(secret)

    @classmethod
    def threaded(cls, reactor: Any, data: DataDirectory, rng: Random, secret: bytes) -> Accounts:
        """Those of a data directory, for a reactor that must not wait."""
        database = Database(data, Threads(reactor, "database", most=QUERIES, waiting=WAITING))
        return cls(database, Threads(reactor, "passwords", most=CHECKS, waiting=WAITING), rng, secret)

    @classmethod
    def inline(cls, data: DataDirectory | None, rng: Random, secret: bytes, cost: Cost = COST) -> Accounts:
        """Those of a data directory (or in memory), for who may wait: every answer is there at once."""
        threads = Inline()
        return cls(Database(data, threads), threads, rng, secret, cost)

    def open(self) -> list[str]:
        """Open the database; answers all names. Raises StartError."""
        self._database.open()
        with self._database.reading() as connection:
            return users.names(connection)

    def close(self) -> None:
        """Finish what is under way, and close the database."""
        self._threads.close()
        self._database.close()

    async def add(self, account: str, password: str, now: float) -> None:
        """A new user, durable at return; raises Refused."""
        verifiers = await self._verifiers(password)
        await self._database.write(lambda connection: users.add(connection, account, verifiers, now))

    async def set_password(self, account: str, password: str, now: float) -> None:
        """Another password, durable at return; raises Refused."""
        verifiers = await self._verifiers(password)
        await self._database.write(lambda connection: users.set_password(connection, account, verifiers, now))

    async def remove(self, account: str) -> None:
        """Forget a user, durably at return; raises Refused."""
        await self._database.write(lambda connection: users.remove(connection, account))

    async def check(self, account: str, password: str) -> bool:
        """Whether this is the password of a user who may log in; takes as long if there is no such user."""
        user = await self._usable(account)
        verifier = user.verifiers.argon2 if user is not None else self._unfitting
        return await self._threads.run(self._passwords.check, verifier, password) and user is not None

    async def scram(self, account: str) -> ScramVerifier | None:
        """What SCRAM needs of a user who may log in."""
        user = await self._usable(account)
        return None if user is None else user.verifiers.scram

    async def _usable(self, account: str) -> users.User | None:
        user = await self._database.read(lambda connection: users.find(connection, account))
        return None if user is None or user.disabled else user

    async def _verifiers(self, password: str) -> Verifiers:
        accepted = self._passwords.accept(password)
        return await self._threads.run(self._passwords.verifiers, accepted, self._rng.randbytes(32))
