"""The table of users; every function works in the transaction of the connection that it is given."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from netsuite.common.identity.errors import Refused
from netsuite.common.identity.passwords import Verifiers
from netsuite.common.storage.schema import users
from netsuite.sansio.sasl import ScramVerifier

__all__ = ["User", "add", "find", "names", "remove", "set_password"]


class User(NamedTuple):
    """One row; ``disabled`` ones keep everything and cannot log in."""

    account: str
    verifiers: Verifiers
    disabled: bool


def names(connection: Connection) -> list[str]:
    """All canonical names, in order."""
    return list(connection.scalars(select(users.c.account).order_by(users.c.account)))


def find(connection: Connection, account: str) -> User | None:
    """What is kept of a user; None if there is none."""
    row = connection.execute(select(users).where(users.c.account == account)).one_or_none()
    if row is None:
        return None
    scram = ScramVerifier(row.scram_salt, row.scram_iterations, row.scram_stored_key, row.scram_server_key)
    return User(row.account, Verifiers(row.verifier, scram), row.disabled)


def add(connection: Connection, account: str, verifiers: Verifiers, now: float) -> None:
    """A new user; raises Refused if the name is taken."""
    row = {"account": account, **_columns(verifiers), "created": now, "changed": now, "disabled": False}
    try:
        connection.execute(insert(users).values(row))
    except IntegrityError:
        raise Refused(f"{account} exists already: `netsuite user passwd` changes the password") from None


def set_password(connection: Connection, account: str, verifiers: Verifiers, now: float) -> None:
    """Another password for a user; raises Refused if there is none of that name."""
    values = {**_columns(verifiers), "changed": now}
    _one(connection.execute(update(users).where(users.c.account == account).values(values)), account)


def remove(connection: Connection, account: str) -> None:
    """Forget a user; raises Refused if there is none of that name."""
    _one(connection.execute(delete(users).where(users.c.account == account)), account)


def _one(result: Any, account: str) -> None:
    if not result.rowcount:
        raise Refused(f"there is no user {account}: `netsuite user list` names them")


def _columns(verifiers: Verifiers) -> dict[str, Any]:
    scram = verifiers.scram
    return {
        "verifier": verifiers.argon2,
        "scram_salt": scram.salt,
        "scram_iterations": scram.iterations,
        "scram_stored_key": scram.stored_key,
        "scram_server_key": scram.server_key,
    }
