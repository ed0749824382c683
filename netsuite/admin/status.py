"""The state of a site as plain values, gathered from its services when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from twisted.logger import Logger

from netsuite.common.sharing import GONE, Crew, Report
from netsuite.interfaces import Address, Health, INetsuiteService, ISite

__all__ = ["ServiceStatus", "SiteStatus", "health", "site_status"]

_log = Logger()

T = TypeVar("T")


@attrs.frozen
class ServiceStatus:
    """One service: where it is, how it is, what it has counted in all processes."""

    name: str
    health: Health
    addresses: Sequence[Address]
    figures: Sequence[tuple[str, float]]


@attrs.frozen
class SiteStatus:
    """All services; ``uptime`` in seconds, ``workers`` is how many processes there are besides this one."""

    version: str
    uptime: float
    workers: int
    services: Sequence[ServiceStatus]

    @property
    def ok(self) -> bool:
        """Whether every service is well."""
        return all(service.health.ok for service in self.services)

    def as_json(self) -> dict[str, Any]:
        """What ``/status.json`` says."""
        return {
            "version": self.version,
            "uptime": round(self.uptime, 3),
            "workers": self.workers,
            "ok": self.ok,
            "services": [
                {
                    "name": service.name,
                    "ok": service.health.ok,
                    "detail": service.health.detail,
                    "addresses": [
                        {"address": str(address), "kind": address.kind, "hint": address.hint}
                        for address in service.addresses
                    ],
                    "figures": [{"name": name, "value": value} for name, value in service.figures],
                }
                for service in self.services
            ],
        }


def health(service: INetsuiteService) -> Health:
    """A service's own word; one that cannot even say it is not well."""
    try:
        found: Health = service.health()
    except Exception as error:
        _log.failure("{name} cannot tell its health", name=service.name)
        return Health(False, f"its health cannot be told: {error}")
    return found


def site_status(site: ISite, now: float, reports: Mapping[int, Report], crew: Crew | None = None) -> SiteStatus:
    """The state of a site and its workers now."""
    services = [_service(service, reports.values()) for service in site.services()]
    if crew is not None:
        services.append(ServiceStatus("workers", crew.health(), (), crew.figures()))
    workers = sum(index != GONE for index in reports)
    return SiteStatus(site.version, max(now - site.started, 0.0) if site.started else 0.0, workers, services)


def _told(service: INetsuiteService, ask: Callable[[], Sequence[T]]) -> Sequence[T]:
    """What a service says of itself; nothing from one that fails, for the page is needed most when something does."""
    try:
        return ask()
    except Exception:
        _log.failure("{name} cannot tell its state", name=service.name)
        return ()


def _service(service: INetsuiteService, reports: Iterable[Report]) -> ServiceStatus:
    name = str(service.name)
    figures: dict[str, float] = {}
    for counted in (_told(service, service.figures), *(report["figures"].get(name, ()) for report in reports)):
        for what, value in counted:
            figures[what] = figures.get(what, 0) + value
    return ServiceStatus(name, health(service), tuple(_told(service, service.addresses)), tuple(figures.items()))
