"""The one bundle of shared services that every server is built with.

A :class:`Commons` holds *unopened* handles: building it touches no file and opens no socket.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.interfaces import IReactorTime

if TYPE_CHECKING:
    from netsuite.common.access import Access
    from netsuite.common.certificates import Certificates
    from netsuite.common.datadir import DataDirectory
    from netsuite.common.identity import Identity
    from netsuite.common.journal import Journal
    from netsuite.common.metrics import Metrics
    from netsuite.common.offers import Offers
    from netsuite.common.sharing import Sharing

__all__ = ["Commons", "Runtime"]


@attrs.frozen
class Runtime:
    """What even a lone client needs.

    ``reactor`` is used to open ports, run threads and processes; ``clock`` to tell time (seconds since the epoch)
    and to wait: in production they are the same object.
    """

    reactor: Any
    clock: IReactorTime
    rng: random.Random


@attrs.frozen
class Commons(Runtime):
    """What all servers share."""

    data: DataDirectory
    offers: Offers
    access: Access
    certificates: Certificates
    journal: Journal
    metrics: Metrics
    sharing: Sharing
    identity: Identity
