"""One attempt to log in by SASL, as a protocol drives it.

The protocol hands over what the client said, decoded from whatever it is wrapped in on the wire (None if it said
nothing yet), and is told what comes next: a :class:`Challenge` to send, the end as :class:`Accepted`, whose ``data``
is to be sent along if there is any, or :class:`Rejected`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netsuite.common.errors import Unavailable
from netsuite.common.identity.errors import Throttled
from netsuite.sansio.sasl import Challenge, CheckPassword, Failure, FetchVerifier, SaslServer, Step, Success

if TYPE_CHECKING:
    from netsuite.common.identity.identity import Identity

__all__ = ["Accepted", "Authentication", "Challenge", "Outcome", "Rejected"]


class Accepted(NamedTuple):
    """The client is this user (a canonical name)."""

    user: str
    data: bytes = b""


class Rejected(NamedTuple):
    """The client is not let in; the reason is for the log. ``temporary`` if the same may be right later."""

    reason: str
    temporary: bool = False


Outcome = Challenge | Accepted | Rejected


class Authentication:
    """Made by :meth:`netsuite.common.identity.Identity.begin`; over with the first Accepted or Rejected."""

    def __init__(self, identity: Identity, machine: SaslServer, mechanism: str, peer: str) -> None:
        self.mechanism = mechanism
        self._identity = identity
        self._machine = machine
        self._peer = peer
        self._account = ""
        self._counted = False
        self._over = False

    async def respond(self, data: bytes | None) -> Outcome:
        """What comes next after what the client said. Never raises for anything that a client can do."""
        if self._over:
            return Rejected("the authentication is over")
        try:
            if self._account:
                self._identity.admit(self._peer, self._account, self.mechanism)
            outcome = self._outcome(await self._settled(self._machine.respond(data)))
        except (Throttled, Unavailable) as error:
            outcome = Rejected(str(error), temporary=True)
        self._over = not isinstance(outcome, Challenge)
        return outcome

    async def _settled(self, step: Step) -> Step:
        """The step after what the machine asks its owner."""
        if isinstance(step, CheckPassword):
            self._counted = True
            user = await self._identity.verify(step.name, step.password, self._peer, self.mechanism)
            return self._machine.checked(user is not None)
        if isinstance(step, FetchVerifier):
            self._account = self._identity.canonical(step.name)
            self._identity.admit(self._peer, self._account, self.mechanism)
            return self._machine.fetched(await self._identity.scram(self._account))
        return step

    def _outcome(self, step: Step) -> Outcome:
        if isinstance(step, Challenge):
            return step
        good = isinstance(step, Success)
        if not self._counted:
            self._identity.count(self._peer, self._account, self.mechanism, "ok" if good else "failed")
        if isinstance(step, Success):
            return Accepted(self._identity.canonical(step.name), step.data)
        assert isinstance(step, Failure)
        return Rejected(step.reason)
