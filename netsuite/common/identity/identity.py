"""Who somebody is: the users of a site, and whether a password is theirs.

One :class:`Identity` serves all protocols. It opens the database with its first use, or with :meth:`Identity.open`,
which a service that needs it calls in its own ``open``, so that a database that cannot be used ends the start. The
names are held in memory: :meth:`Identity.exists` costs one look-up. Changes come from this process alone (the
``netsuite`` command asks it by ``DATA/control.sock``); a process that only checks sees another's within a minute.

A check takes the time of one argon2id whether the name exists or not, in few threads; a password that was right a
moment ago is recognised without. Failures are counted, and those who fail too often must wait.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from netsuite.common.access import is_loopback
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import Unavailable
from netsuite.common.identity import names
from netsuite.common.identity.authentication import Authentication
from netsuite.common.identity.errors import Throttled
from netsuite.common.identity.remembered import Remembered
from netsuite.common.identity.throttle import LIMITS, Limits, Throttle
from netsuite.common.journal import Event, Journal
from netsuite.common.metrics import Metrics
from netsuite.sansio import sasl
from netsuite.sansio.connection import Channel
from netsuite.sansio.sasl import ScramVerifier, prepared

if TYPE_CHECKING:
    from netsuite.common.identity.accounts import Accounts

__all__ = ["Identity"]

SECRET: Final = "identity.secret"  # noqa: S105 - the name of its file
_HIDING: Final = tuple(name for name in sasl.MECHANISMS if name not in sasl.PLAIN_TEXT)
OUTCOMES: Final = ("ok", "failed", "throttled", "unavailable")


class Identity:
    """The users of a site; ``domains`` are the site's, the first being meant where a name has none.

    ``data`` is where they are kept; ``accounts`` makes another place for them, from the site's secret.
    """

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        rng: Random,
        data: DataDirectory,
        *,
        domains: Sequence[str],
        journal: Journal,
        metrics: Metrics,
        limits: Limits = LIMITS,
        accounts: Callable[[bytes], Accounts] | None = None,
    ) -> None:
        self.domain = domains[0].lower()
        self._reactor = reactor
        self._clock = clock
        self._rng = rng
        self._data = data
        self._journal = journal
        self._metrics = metrics
        self._make = accounts
        self._throttle = Throttle(limits)
        self._names: set[str] | None = None
        self._checks: dict[tuple[str, bytes], list[Deferred[bool]]] = {}
        self._changes = 0
        self._counts = dict.fromkeys(OUTCOMES, 0)

    def open(self) -> None:
        """Open the database, unless it is open; StartError if that is impossible. May block for a moment."""
        if self._names is not None:
            return
        self._remembered = Remembered(self._rng.randbytes(32))
        if self._make is None:
            from netsuite.common.identity.accounts import Accounts  # libraries that only its users shall pay for

            self._secret = self._data.keep(SECRET, self._rng.randbytes(32))
            self._accounts = Accounts.threaded(self._reactor, self._data, self._rng, self._secret)
        else:
            self._secret = self._rng.randbytes(32)
            self._accounts = self._make(self._secret)
        self._names = set(self._accounts.open())
        self._record = self._journal.kind("auth", ("peer", "name", "mechanism", "outcome"), _line)
        self._metrics.add(
            "netsuite_logins", "Log-ins that were tried, by outcome.", "counter", self._outcomes, ("outcome",)
        )

    def close(self) -> None:
        """Close what is open; a later use opens it again."""
        if self._names is not None:
            self._names = None
            self._metrics.remove("netsuite_logins", self._outcomes)
            self._accounts.close()

    def canonical(self, name: str) -> str:
        """The one way to write a name, whether there is such a user or not."""
        return names.canonical(name, self.domain)

    def exists(self, address: str) -> bool:
        """Whether there is such a user."""
        self.open()
        return self.canonical(address) in self._known

    def names(self) -> list[str]:
        """All users, by their canonical names, in order."""
        self.open()
        return sorted(self._known)

    async def add(self, name: str, password: str) -> str:
        """A new user; answers the canonical name once it is durable. Raises Refused, Unavailable."""
        self.open()
        account = names.checked(name, self.domain)
        await self._accounts.add(account, password, self._clock.seconds())
        self._known.add(account)
        self._changed(account)
        return account

    async def set_password(self, name: str, password: str) -> str:
        """Another password, durable at return; answers the canonical name. Raises Refused, Unavailable."""
        self.open()
        account = self.canonical(name)
        await self._accounts.set_password(account, password, self._clock.seconds())
        self._changed(account)
        return account

    async def remove(self, name: str) -> str:
        """Forget a user (what is kept for it elsewhere stays); answers the canonical name. Raises as above."""
        self.open()
        account = self.canonical(name)
        await self._accounts.remove(account)
        self._known.discard(account)
        self._changed(account)
        return account

    async def verify(self, name: str, password: str, peer: str, mechanism: str = "password") -> str | None:
        """The canonical name, if this is its password; None if not.

        ``peer`` is the client's address, or empty where that is not known; ``mechanism`` is for the journal. Raises
        Throttled after too many failures, and Unavailable if it cannot be known now.
        """
        self.open()
        account = self.canonical(name)
        self.admit(peer, account, mechanism)
        try:
            good = await self._right(account, prepared(password))
        except ValueError:
            good = False
        except Unavailable:
            self.count(peer, account, mechanism, "unavailable")
            raise
        self.count(peer, account, mechanism, "ok" if good else "failed")
        return account if good else None

    def mechanisms(self, channel: Channel) -> tuple[str, ...]:
        """SASL mechanisms to offer, the best first: those that show the password only where nobody can listen."""
        private = channel.tls is not None or is_loopback(channel.peer[0])
        return sasl.MECHANISMS if private else _HIDING

    def begin(self, mechanism: str, channel: Channel) -> Authentication | None:
        """One attempt to log in by SASL; None for a mechanism that is not offered there."""
        self.open()
        mechanism = mechanism.upper()
        if mechanism not in self.mechanisms(channel):
            return None
        nonce = base64.b64encode(self._rng.randbytes(18)).decode()
        machine = sasl.server(mechanism, nonce, self._secret)
        return None if machine is None else Authentication(self, machine, mechanism, channel.peer[0])

    def admit(self, peer: str, account: str, mechanism: str) -> None:
        """Raise Throttled if this peer must wait before it tries this name."""
        wait = self._throttle.wait(peer, account, self._clock.seconds())
        if wait > 0:
            self.count(peer, account, mechanism, "throttled")
            raise Throttled(wait)

    def count(self, peer: str, account: str, mechanism: str, outcome: str) -> None:
        """Take note of how an attempt ended (one of OUTCOMES)."""
        self._counts[outcome] += 1
        self._record(peer, account[: names.LONGEST], mechanism, outcome)
        if outcome == "ok":
            self._throttle.succeeded(peer, account)
        elif outcome == "failed":
            self._throttle.failed(peer, account, self._clock.seconds())

    async def scram(self, account: str) -> ScramVerifier | None:
        """What SCRAM needs of a user who may log in; raises Unavailable."""
        return await self._accounts.scram(account)

    @property
    def _known(self) -> set[str]:
        assert self._names is not None, "open"
        return self._names

    def _changed(self, account: str) -> None:
        self._changes += 1
        self._remembered.forget(account)
        self._throttle.forgive(account)

    async def _right(self, account: str, password: str) -> bool:
        digest = self._remembered.digest(account, password)
        if self._remembered.knows(account, digest, self._clock.seconds()):
            return True
        # a client that opens many connections at once has its password checked once, whichever of them is lost
        answer: Deferred[bool] = Deferred()
        waiting = self._checks.setdefault((account, digest), [])
        waiting.append(answer)
        if len(waiting) == 1:
            Deferred.fromCoroutine(self._checked(account, password, digest)).addBoth(self._tell, (account, digest))
        return await answer

    def _tell(self, outcome: Any, check: tuple[str, bytes]) -> None:
        for answer in self._checks.pop(check):
            answer.callback(outcome)

    async def _checked(self, account: str, password: str, digest: bytes) -> bool:
        changes = self._changes
        good = await self._accounts.check(account, password)
        if good and changes == self._changes:
            self._remembered.keep(account, digest, self._clock.seconds())
        return good

    def _outcomes(self) -> dict[tuple[str, ...], int]:
        return {(outcome,): count for outcome, count in self._counts.items()}


def _line(event: Event) -> str:
    time, peer, name, mechanism, outcome = event
    return f"{time:.3f} {peer or '-'} {name or '-'} {mechanism} {outcome}"
