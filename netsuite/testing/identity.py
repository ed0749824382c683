"""A site's users in memory, for tests of protocols that ask for them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from netsuite.common.datadir import DataDirectory
from netsuite.common.identity.accounts import Accounts
from netsuite.common.identity.identity import Identity
from netsuite.common.identity.passwords import Cost
from netsuite.common.identity.throttle import LIMITS, Limits
from netsuite.common.journal import Journal
from netsuite.common.metrics import Metrics

__all__ = ["QUICK", "memory_identity"]

QUICK = Cost(1, 8)
"""Passwords that cost nearly nothing to check."""


def memory_identity(
    clock: Any,
    users: Mapping[str, str] | None = None,
    *,
    domains: Sequence[str] = ("example.test",),
    journal: Journal | None = None,
    metrics: Metrics | None = None,
    limits: Limits = LIMITS,
) -> Identity:
    """The real :class:`Identity` over a database in memory, which answers at once; ``users`` are names and passwords.

    ``clock`` may be a fake one, and is all of a reactor that is needed.
    """
    rng, data = random.Random(1), DataDirectory(Path("unused"))
    made = Identity(
        clock,
        clock,
        rng,
        data,
        domains=domains,
        journal=journal or Journal(clock, data, files=False),
        metrics=metrics or Metrics(clock),
        limits=limits,
        accounts=lambda secret: Accounts.inline(None, rng, secret, QUICK),
    )
    failures: list[Any] = []
    for name, password in (users or {}).items():
        Deferred.fromCoroutine(made.add(name, password)).addErrback(failures.append)
    for failure in failures:
        failure.raiseException()
    return made
