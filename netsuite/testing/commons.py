"""A real Commons for tests: everything as in production, but for the reactor, the clock and the dice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from netsuite.common.access import Access
from netsuite.common.certificates import Certificates
from netsuite.common.commons import Commons
from netsuite.common.datadir import DataDirectory
from netsuite.common.journal import Journal
from netsuite.common.metrics import Metrics
from netsuite.common.offers import Offers
from netsuite.common.sharing import Sharing
from netsuite.testing.identity import memory_identity
from netsuite.testing.network import Network

__all__ = ["make_commons"]


def make_commons(data: Path, reactor: Any = None, *, clock: Any = None, seed: int = 0) -> Commons:
    """What services are built with: data below ``data``, everything else on ``reactor``.

    That is a host of an in-memory network (``Network().host("192.0.2.1")``), by default a fresh one, or a real reactor.
    ``clock`` tells the time if not the reactor does. Journals go to no files; dice are seeded.
    """
    if reactor is None:
        reactor = Network().host("192.0.2.1")
    if clock is None:
        clock = reactor
    directory = DataDirectory(data)
    journal = Journal(clock, directory, files=False)
    metrics = Metrics(clock)
    return Commons(
        reactor=reactor,
        clock=clock,
        rng=random.Random(seed),
        data=directory,
        offers=Offers(),
        access=Access(clock),
        certificates=Certificates(directory, clock),
        journal=journal,
        metrics=metrics,
        sharing=Sharing(),
        identity=memory_identity(clock, journal=journal, metrics=metrics),
    )
