"""What the ``netsuite user`` commands ask, answered for the site that runs or in the place of one that does not.

A request has ``do``, one of ``add``, ``passwd``, ``remove`` and ``list``, and where that needs them ``name`` and
``password``; the answer has ``name``, the canonical one, or ``names``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError, Unavailable
from netsuite.common.identity import Identity, Refused
from netsuite.common.journal import Journal
from netsuite.common.metrics import Metrics

__all__ = ["answer", "answer_alone"]


async def answer(identity: Identity, request: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked; StartError in one line if it cannot be."""
    name, password = request.get("name", ""), request.get("password", "")
    if not isinstance(name, str) or not isinstance(password, str):
        raise StartError("a user's name and password are text")
    try:
        match request.get("do"):
            case "add":
                return {"name": await identity.add(name, password)}
            case "passwd":
                return {"name": await identity.set_password(name, password)}
            case "remove":
                return {"name": await identity.remove(name)}
            case "list":
                return {"names": identity.names()}
    except (Refused, Unavailable) as error:
        raise StartError(str(error)) from None
    raise StartError("users can be asked to add, passwd, remove, list")


def answer_alone(data: DataDirectory, domains: Sequence[str], request: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, where no site runs: the caller owns the data directory. Blocks; StartError as above."""
    with _opened(data, domains) as identity:
        done: list[Any] = []
        Deferred.fromCoroutine(answer(identity, request)).addBoth(done.append)
        if isinstance(done[0], dict):
            return done[0]
        done[0].raiseException()
        raise AssertionError("unreachable")


@contextmanager
def _opened(data: DataDirectory, domains: Sequence[str]) -> Iterator[Identity]:
    from twisted.internet import reactor

    from netsuite.common.identity.accounts import Accounts

    rng = random.SystemRandom()
    identity = Identity(
        reactor,
        reactor,
        rng,
        data,
        domains=domains,
        journal=Journal(reactor, data, files=False),
        metrics=Metrics(reactor),
        accounts=lambda secret: Accounts.inline(data, rng, secret),
    )
    try:
        yield identity
    finally:
        identity.close()
