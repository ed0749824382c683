"""All servers of a site put together in one process: built, joined, opened, started, reloaded, stopped.

The order is that of :data:`netsuite.suite.families.FAMILIES`; stopping goes backwards, so that who needs another ends
before it. A start that fails undoes what it did.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger

from netsuite import __version__
from netsuite.common.access import Access
from netsuite.common.certificates import SITE_NAMES, Certificates
from netsuite.common.commons import Commons
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.identity import Identity
from netsuite.common.journal import Journal
from netsuite.common.metrics import Metrics
from netsuite.common.offers import Offers
from netsuite.common.process import ProcessFigures, allow_open_files
from netsuite.common.resolver import SystemResolver
from netsuite.common.settings import Table
from netsuite.common.sharing import Sharing
from netsuite.interfaces import INameResolver, INetsuiteService
from netsuite.suite.families import FAMILIES, family
from netsuite.suite.site import Site
from netsuite.suite.turns import shorten

__all__ = ["Assembly"]

_log = Logger()

STOP_AT_LEAST: Final = 1.0
"""Seconds that a service has for closing, however long draining took."""
DRAIN_AT_LEAST: Final = 0.1
"""Seconds that a service has for draining, however long those before it took: enough where nothing is in flight."""


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class Assembly:
    """The services of one process and the commons that they share; ``sharing`` says which process this is."""

    def __init__(self, site: Site, reactor: Any, sharing: Sharing | None = None) -> None:
        allow_open_files()
        self.site = site
        self.services: list[INetsuiteService] = []
        self.commons = _commons(site, reactor, sharing or Sharing())
        self.figures = ProcessFigures(self.commons.metrics, self.commons.clock, __version__)
        self.commons.journal.measure(self.commons.metrics)
        self.commons.certificates.measure(self.commons.metrics)
        self._system: SystemResolver | None = None
        self._reached = 0
        self._until = 0.0
        self._waiting: Deferred[Any] | None = None

    def build(self) -> None:
        """Make every server (in a worker, those that any process may run), let each offer and take.

        Touches nothing outside this process. Raises StartError.
        """
        sharing = self.commons.sharing
        for table, settings in self._tables():
            service = self._guarded(table, family(table).build, settings, self.commons)
            if service.workers == "any":
                sharing.tables.add(table)
            elif sharing.index:
                continue
            self.services.append(service)
        offers = self.commons.offers
        if self.site.common.resolver == "system":
            self._offer_system()
        for service in self.services:
            self._guarded(service.name, service.register, offers)
        if offers.find(INameResolver) is None and INameResolver in self._needed():
            self._offer_system()
        for service in self.services:
            self._guarded(service.name, service.join, offers)

    def check(self) -> None:
        """Read and check whatever can be without opening anything. Raises StartError."""
        self.commons.certificates.check()
        for service in self.services:
            self._guarded(service.name, service.check)

    def open(self) -> None:
        """Check, bind and listen; undoes it if one cannot. Raises StartError."""
        self.check()
        try:
            for service in self.services:
                self._reached += 1
                self._guarded(service.name, service.open)
            self.commons.journal.start()
            self.commons.certificates.start()
        except BaseException:
            self.unwind()
            raise

    def start(self) -> None:
        """Accept; undoes it if one cannot. Raises StartError."""
        try:
            self.figures.start()
            for service in self.services:
                self._guarded(service.name, service.startService)
        except BaseException:
            self.unwind()
            raise

    def settle(self) -> None:
        """Make the process, which is all ours, as quick as it can be from here on.

        The collector is told that what is there now stays: it need not look at it again, nor look so often.
        """
        shorten(self.commons.reactor)
        gc.collect()
        gc.freeze()
        # fewer, longer pauses are rarer ones: what is made per request dies young, without the collector
        gc.set_threshold(50_000, 20, 50)

    def unwind(self) -> None:
        """Close whatever was opened, without waiting for anything."""
        for service in reversed(self.services[: self._reached]):
            maybeDeferred(_begun, service.drain, 0.0).addErrback(_failed)
            maybeDeferred(_begun, service.stopService).addErrback(_failed)
        self._reached = 0
        self._close()

    async def reload(self) -> list[str]:
        """Take what changed: certificates, then the log files, then what each server has; answers what was done."""
        lines = self.commons.certificates.reload()
        self.commons.journal.reopen()
        for service in self.services:
            try:
                lines += [f"{service.name}: {line}" for line in await service.reload()]
            except Exception as error:
                _log.failure("{name} cannot reload", name=service.name)
                lines.append(f"{service.name} stays as it was: {error}")
        return lines

    async def stop(self, patience: float) -> bool:
        """Finish what is in flight for at most so many seconds in all, then close; False if a server did not close."""
        clean = True
        self._until = self.commons.clock.seconds() + patience
        for service in reversed(self.services):
            left = max(self._until - self.commons.clock.seconds(), 0.0)
            if not await self._within(max(left, DRAIN_AT_LEAST), service.drain, self._until):
                _log.warn("{name}: not everything in flight could be finished", name=service.name)
            if not await self._within(max(left, STOP_AT_LEAST), service.stopService):
                _log.error("{name}: does not close", name=service.name)
                clean = False
        self._reached = 0
        self._close()
        return clean

    def hurry(self) -> None:
        """Stop waiting for anything: what is in flight is cut."""
        self._until = 0.0
        if self._waiting is not None:
            self._waiting.cancel()

    async def _within(self, seconds: float, act: Callable[..., Any], *arguments: Any) -> bool:
        """Whether an action came to its end in time; logs how it failed."""
        ended: Deferred[Any] = maybeDeferred(_begun, act, *arguments)
        gate: Deferred[bool] = Deferred()
        ended.addCallbacks(lambda _: True, _failed)
        ended.addCallback(lambda good: None if gate.called else gate.callback(good))
        timer = self.commons.clock.callLater(seconds, gate.cancel)
        self._waiting = gate
        try:
            return await gate
        except CancelledError:
            ended.cancel()
            return False
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()

    def _tables(self) -> list[tuple[str, Table]]:
        """The site's tables and those that they need, in order."""
        tables = dict(self.site.tables)
        resolver = self.site.common.resolver
        if resolver not in ("builtin", "system"):
            if "resolver" in tables:
                raise StartError(
                    "common.resolver: this site has a [resolver]; set resolver.forward to forward to others"
                )
            if INameResolver in self._needed():
                tables["resolver"] = family("resolver").settings().model_validate({"listen": [], "forward": [resolver]})
        needed = self._needed()
        for each in FAMILIES:
            if each.table not in tables and not needed.isdisjoint(each.provides):
                tables[each.table] = each.settings().model_validate({"listen": []})
        return [(each.table, tables[each.table]) for each in FAMILIES if each.table in tables]

    def _needed(self) -> set[Any]:
        """The interfaces that the site's tables ask others for."""
        return {each for table, settings in self.site.tables.items() for each in family(table).needs(settings)}

    def _offer_system(self) -> None:
        self._system = SystemResolver(self.commons.reactor)
        self.commons.offers.provide(INameResolver, self._system, "system")

    def _guarded(self, name: str | None, act: Callable[..., Any], *arguments: Any) -> Any:
        """An action of a start, whose failure becomes one line."""
        try:
            return act(*arguments)
        except StartError:
            raise
        except Exception as error:
            _log.failure("{name} cannot start", name=name)
            raise StartError(f"{name}: cannot start: {type(error).__name__}: {error}") from error

    def _close(self) -> None:
        self.figures.stop()
        self.commons.certificates.stop()
        self.commons.identity.close()
        self.commons.journal.stop()
        self.commons.sharing.close()
        if self._system is not None:
            self._system.stop()
            self._system = None


def _begun(act: Callable[..., Any], *arguments: Any) -> Any:
    result = act(*arguments)
    if result is None or isinstance(result, Deferred):
        return result
    return Deferred.fromCoroutine(_awaited(result))


def _failed(failure: Any) -> bool:
    if not failure.check(CancelledError):
        _log.failure("while stopping", failure)
    return False


def _commons(site: Site, reactor: Any, sharing: Sharing) -> Commons:
    common = site.common
    data = DataDirectory(common.data)
    names = [*common.domains, *(f"*.{domain}" for domain in common.domains if domain != "localhost"), *SITE_NAMES]
    rng = random.SystemRandom()
    journal = Journal(reactor, data, files=common.access_log != "off", as_json=common.access_log == "json")
    metrics = Metrics(reactor)
    return Commons(
        reactor=reactor,
        clock=reactor,
        rng=rng,
        data=data,
        offers=Offers(),
        access=Access(reactor, common.balancers),
        certificates=Certificates(data, reactor, names=names, files=common.certificate, issues=sharing.index == 0),
        journal=journal,
        metrics=metrics,
        sharing=sharing,
        identity=Identity(reactor, reactor, rng, data, domains=common.domains, journal=journal, metrics=metrics),
    )
