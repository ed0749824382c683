"""The users of the built-in site, who get passwords of their own on its first run.

The passwords are drafted in a durable file first and shown, as FIRST_RUN, when all users have theirs; so a first run
that is cut short is taken up where it ended. Afterwards the users are as their owner likes them.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import Final

from netsuite.common.datadir import DataDirectory
from netsuite.suite.users import answer_alone

__all__ = ["FIRST_RUN", "PEOPLE", "settle"]

PEOPLE: Final = ("alice", "bob")
FIRST_RUN: Final = "first-run.txt"
_DRAFT: Final = "first-run.draft"
_LENGTH: Final = 20


def settle(data: DataDirectory, addresses: Sequence[str], domain: str) -> list[str]:
    """Make those users of a data directory that one owns, unless that was done before; FIRST_RUN's lines, if not."""
    if data.read(FIRST_RUN) is not None:
        return []
    known = answer_alone(data, [domain], {"do": "list"})["names"]
    wanted = [f"{address} {_password()}\n" for address in addresses if address not in known]
    drafted = data.keep(_DRAFT, "".join(wanted).encode())
    lines = drafted.decode().splitlines()
    for line in lines:
        name, _, password = line.partition(" ")
        if name not in known:
            answer_alone(data, [domain], {"do": "add", "name": name, "password": password})
    data.write(FIRST_RUN, drafted)
    data.at(_DRAFT).unlink()
    return lines


def _password() -> str:
    rng = random.SystemRandom()
    return "".join(rng.choice(string.ascii_lowercase + string.digits) for _ in range(_LENGTH))
