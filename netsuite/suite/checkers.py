"""``--auth netsuite:DATA`` for ``twistd``'s own servers: the users of a netsuite site, which may be running or not."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.cred.strcred import InvalidAuthArgumentString

from netsuite.common.datadir import DataDirectory
from netsuite.common.identity import Identity
from netsuite.common.identity.checker import PasswordChecker
from netsuite.common.journal import Journal
from netsuite.common.metrics import Metrics

__all__ = ["HELP", "users_of"]

NAME = "netsuite.sqlite"
USE = "netsuite:./netsuite-data"

HELP = """
Let in the users of a netsuite site, by name and password. DATA is the site's data directory. A name without a domain
is at "localhost", since the folder does not tell what the site's domains are: write alice@example.test.
"""


def users_of(folder: str) -> PasswordChecker:
    """A checker of the users in a data directory, where there must be some. Opens nothing before the first log-in."""
    from twisted.internet import reactor

    data = DataDirectory(Path(folder).absolute())
    if not folder or not data.at(NAME).exists():
        raise InvalidAuthArgumentString(f"there are no users in {folder!r}: name a site's data directory, as in {USE}")
    identity = Identity(
        reactor,
        reactor,
        random.SystemRandom(),
        data,
        domains=["localhost"],
        journal=Journal(reactor, data, files=False),
        metrics=Metrics(reactor),
    )
    reactor.addSystemEventTrigger("after", "shutdown", identity.close)
    return PasswordChecker(identity)
