"""Where services find one another, by interface."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from netsuite.interfaces import IOffers

__all__ = ["Offers"]


@implementer(IOffers)
class Offers:
    """Providers by interface, in the order in which they were offered."""

    def __init__(self) -> None:
        self._offers: list[tuple[Any, Any, str]] = []

    def provide(self, interface: Any, provider: Any, name: str) -> None:
        """Offer a provider under its table's name; raises zope's ``Invalid`` if it does not provide the interface."""
        verifyObject(interface, provider)
        self._offers.append((interface, provider, name))

    def find(self, interface: Any, name: str | None = None) -> Any:
        """The first provider of an interface (or the one of that name), or None."""
        for offered, provider, at in self._offers:
            if offered is interface and name in (None, at):
                return provider
        return None
