"""The base of every server of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from netsuite.common.commons import Commons
from netsuite.interfaces import Address, Health, INetsuiteService, IOffers

__all__ = ["NetsuiteService"]


@implementer(INetsuiteService)
class NetsuiteService(Service):
    """An INetsuiteService that offers, needs, opens and reports nothing; servers override what they have."""

    workers = "any"

    def __init__(self, name: str, commons: Commons) -> None:
        self.name = name
        self.commons = commons

    def register(self, offers: IOffers) -> None:
        """Offers nothing."""

    def join(self, offers: IOffers) -> None:
        """Needs nothing."""

    def check(self) -> None:
        """Has nothing to check."""

    def open(self) -> None:
        """Opens nothing."""

    def addresses(self) -> Sequence[Address]:
        """Nowhere."""
        return ()

    def health(self) -> Health:
        """Well while it runs."""
        return Health(bool(self.running), "" if self.running else "not running")

    def figures(self) -> Sequence[tuple[str, float]]:
        """Counts nothing."""
        return ()

    def reload(self) -> Awaitable[Sequence[str]]:
        """Has nothing to reload."""
        return succeed(())

    def drain(self, deadline: float) -> Awaitable[None]:
        """Has nothing in flight."""
        return succeed(None)

    def startService(self) -> None:
        """Accept; servers call this first."""
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[None] | None:
        """Stopped at once."""
        super().stopService()  # type: ignore[no-untyped-call]
        return None
