"""What is kept in place of a password: an argon2id verifier (RFC 9106) and SCRAM's (RFC 5802).

Both are slow to make and to check on purpose, so this belongs into threads.
"""

from __future__ import annotations

import base64
from typing import Final, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from netsuite.common.identity.errors import Refused
from netsuite.sansio.sasl import ITERATIONS, ScramVerifier, prepared, scram_verifier

__all__ = ["COST", "Cost", "Passwords", "Verifiers"]

LONGEST: Final = 512
"""Bytes of a password; what SASL's machines can carry with a name beside it."""
SALT: Final = 16


class Cost(NamedTuple):
    """How much work argon2id is: passes over memory, and its KiB. One lane, since checks run side by side."""

    passes: int
    memory: int
    rounds: int = ITERATIONS
    """Of SCRAM's PBKDF2, which the client does too."""


COST: Final = Cost(2, 46 * 1024)


class Verifiers(NamedTuple):
    """What is kept of one password."""

    argon2: str
    scram: ScramVerifier


class Passwords:
    """Makes and checks verifiers at one cost."""

    def __init__(self, cost: Cost = COST) -> None:
        self._cost = cost
        self._hasher = PasswordHasher(cost.passes, cost.memory, 1, hash_len=32, salt_len=SALT, type=Type.ID)

    def accept(self, password: str) -> str:
        """A new password in the form in which it is checked; raises Refused if it cannot be one."""
        try:
            made = prepared(password)
        except ValueError as error:
            raise Refused(f"the password cannot be used: {error}") from None
        if not made:
            raise Refused("the password is empty")
        if len(made.encode()) > LONGEST:
            raise Refused(f"the password is longer than {LONGEST} bytes")
        return made

    def verifiers(self, password: str, salts: bytes) -> Verifiers:
        """Both verifiers of an accepted password; ``salts`` are 32 random bytes."""
        argon2 = self._hasher.hash(password, salt=salts[:SALT])
        return Verifiers(argon2, scram_verifier(password, salts[SALT : 2 * SALT], self._cost.rounds))

    def check(self, verifier: str, password: str) -> bool:
        """Whether this is the password; takes as long if not."""
        try:
            return self._hasher.verify(verifier, password)
        except (VerificationError, InvalidHashError):
            return False

    def made_up(self, secret: bytes) -> str:
        """A verifier that no password fits, and that costs as much to check as a real one."""
        salt, digest = (base64.b64encode(part).decode().rstrip("=") for part in (secret[:SALT], secret[:32]))
        return f"$argon2id$v=19$m={self._cost.memory},t={self._cost.passes},p=1${salt}${digest}"
